"""Bad input: refused at once, in a clear sentence that says what to do."""

import re

import numpy as np
import pytest
import torch
from cases import C2, C3, C4, D4, S3, permutation
from torch import nn

import equinb as eq

SAME, SWAP = eq.Trivial(C2), eq.Permutation(C2, [[0, 1], [1, 0]])
TURN, MOVE = eq.Rot90(C4), permutation(S3)
X = torch.ones(3, 2)
V4 = eq.direct_product(C2, C2)


def table(*rows):
    names = tuple("abcdef"[: len(rows)])
    return lambda: eq.FiniteGroup("T", names, rows)


def equitune(model=None, x=X, act_in=SWAP, act_out=SWAP, **options):
    model = nn.Identity() if model is None else model
    return lambda: eq.Equitune(model, act_in, act_out, **options)(x)


def equizero(loss=eq.losses.neg_max_q, x=X, **options):
    return lambda: eq.Equizero(nn.Identity(), SWAP, SWAP, loss=loss, **options)(x)


def learned(net, x=X, **options):
    return lambda: eq.LambdaEquitune(nn.Identity(), SWAP, SWAP, net, **options)(x)


def constant(value):
    return lambda y: torch.full((len(y),), value)


BAD = {
    # groups
    "a table that is not square": (table([0, 1]), ValueError, "must be square"),
    "a table with a foreign entry": (table([0, 2], [2, 0]), ValueError, "closure"),
    "a table of floats": (table([0.0, 1.0], [1.0, 0.0]), ValueError, "whole numbers"),
    "a table that does not associate": (
        table([0, 1, 2], [1, 0, 0], [2, 0, 0]),
        ValueError,
        "associativity",
    ),
    "a table without identity": (table([0, 0], [1, 1]), ValueError, "identity"),
    "a table without inverses": (table([0, 1], [1, 1]), ValueError, "no inverse"),
    "double names": (
        lambda: eq.FiniteGroup("T", ("e", "e"), [[0, 1], [1, 0]]),
        ValueError,
        "different names",
    ),
    "a name too few": (
        lambda: eq.FiniteGroup("T", ("e",), [[0, 1], [1, 0]]),
        ValueError,
        "2 elements",
    ),
    "a false subgroup": (
        lambda: eq.FiniteGroup("T", ("e", "r"), [[0, 1], [1, 0]], C4, (0, 1)),
        ValueError,
        "no subgroup of C4",
    ),
    "cyclic(0)": (lambda: eq.cyclic(0), ValueError, "at least 1"),
    "dihedral(1.5)": (lambda: eq.dihedral(1.5), ValueError, "whole number"),
    "symmetric('3')": (lambda: eq.symmetric("3"), ValueError, "whole number"),
    "an unknown element": (lambda: D4.product("q", "r"), ValueError, "no element 'q'"),
    "an element beyond the last": (lambda: C4.inverse(4), ValueError, "no element 4"),
    "an element counted from behind": (lambda: C4.index(-1), ValueError, "no element"),
    "half an element": (lambda: C4.index(0.5), ValueError, "no element 0.5"),
    # actions
    "Rot90 of S3": (lambda: eq.Rot90(S3), ValueError, "Rot90 needs cyclic(n)"),
    "Rot90 of a look-alike": (lambda: eq.Rot90(V4), ValueError, "Rot90 needs"),
    "a quarter turn of an oblong": (
        lambda: TURN("r", torch.ones(1, 3, 4)),
        ValueError,
        "square images; got 3 by 4",
    ),
    "an image without batch": (
        lambda: TURN.orbit(torch.ones(3, 3)),
        ValueError,
        "x[None]",
    ),
    "a flip of order 3": (lambda: eq.Flip(C3), ValueError, "order 2"),
    "a flip of the batch": (
        lambda: eq.Flip(C2, 0).orbit(X),
        ValueError,
        "other than the batch",
    ),
    "a flip of a missing axis": (lambda: eq.Flip(C2, 2).orbit(X), ValueError, "dim=2"),
    "a permutation of the batch": (
        lambda: eq.Permutation(C2, [[0, 1], [1, 0]], dim=-2)("r", X),
        ValueError,
        "other than the batch",
    ),
    "an axis of the wrong size": (
        lambda: MOVE.orbit(X),
        ValueError,
        "3 entries along axis -1; got 2",
    ),
    "an orbit output of the wrong size": (
        lambda: MOVE.undo(torch.ones(6, 2, 4)),
        ValueError,
        "got 4",
    ),
    "a row that is no permutation": (
        lambda: eq.Permutation(C2, [[0, 1], [1, 1]]),
        ValueError,
        "permutations of 0 to 1",
    ),
    "a permutation too few": (
        lambda: eq.Permutation(C3, [[0, 1], [1, 0]]),
        ValueError,
        "one row an element",
    ),
    "permutations that are no action": (
        lambda: eq.Permutation(S3, MOVE.perms[S3.inverses]),
        ValueError,
        "doing h and then g",
    ),
    "signs that are no action": (
        lambda: eq.SignedPermutation(C3, None, [[1], [-1], [1]]),
        ValueError,
        "SignedPermutation got no action of C3",
    ),
    "signs of zero": (
        lambda: eq.SignedPermutation(C2, None, np.zeros((2, 999))),
        ValueError,
        "each +1 or -1",
    ),
    "signs too few": (
        lambda: eq.SignedPermutation(C2, [[0, 1], [1, 0]], [[1], [1]]),
        ValueError,
        "as many signs as places",
    ),
    "matrices that are no action": (
        lambda: eq.Matrix(C3, [np.eye(2), np.eye(2), -np.eye(2)]),
        ValueError,
        "Matrix got no action of C3",
    ),
    "matrices that lose everything": (
        lambda: eq.Matrix(C2, np.zeros((2, 2, 2))),
        ValueError,
        "identity must change nothing",
    ),
    "matrices that are not square": (
        lambda: eq.Matrix(C2, np.ones((2, 2, 3))),
        ValueError,
        "one square matrix an element",
    ),
    "a matrix with NaN": (
        lambda: eq.Matrix(C2, [np.eye(2), np.eye(2) * np.nan]),
        ValueError,
        "finite entries",
    ),
    "a matrix times whole numbers": (
        lambda: eq.Matrix(C2, [np.eye(2), -np.eye(2)]).orbit(X.long()),
        TypeError,
        "x.float()",
    ),
    "token ids out of range": (
        lambda: eq.Relabel(C2, [[0, 1], [1, 0]]).orbit(torch.tensor([[0, 2]])),
        ValueError,
        "ids from 0 to 1; got ids from 0 to 2",
    ),
    "negative token ids": (
        lambda: eq.Relabel(C2, [[0, 1], [1, 0]]).orbit(torch.tensor([[-100, 1]])),
        ValueError,
        "got ids from -100",
    ),
    "floats to Relabel": (
        lambda: eq.Relabel(C2, [[0, 1], [1, 0]]).orbit(X),
        TypeError,
        "use Permutation",
    ),
    "ids too small for the vocabulary": (
        lambda: eq.Relabel(eq.cyclic(1), [range(300)]).orbit(X.to(torch.uint8)),
        ValueError,
        "x.long()",
    ),
    "a restriction to a stranger": (
        lambda: eq.Rot90(D4).restrict(C4),
        ValueError,
        "action.group.subgroup",
    ),
    "a restriction to another group's subgroup": (
        lambda: eq.Rot90(D4).restrict(S3.subgroup("(0 1)")),
        ValueError,
        "no subgroup made from D4",
    ),
    # the operator
    "two groups of different order": (
        equitune(act_out=eq.Trivial(C3)),
        ValueError,
        "of order 2 and Trivial(C3) of order 3",
    ),
    "two groups of equal order": (
        equitune(act_in=eq.Trivial(C4), act_out=eq.Trivial(V4)),
        ValueError,
        "Trivial(C4) of order 4 and Trivial(C2 x C2) of order 4",
    ),
    "two very long groups": (
        equitune(act_in=eq.Trivial(eq.direct_product(eq.symmetric(4), D4))),
        ValueError,
        "same group",
    ),
    "a group for an action": (equitune(act_out=C2), TypeError, "Trivial(G)"),
    "no tensor": (equitune(x=[[1.0, 2.0]]), TypeError, "torch tensor; got list"),
    "an empty batch": (equitune(x=torch.ones(0, 2)), ValueError, "at least one input"),
    "a number for a batch": (equitune(x=torch.tensor(1.0)), ValueError, "one input"),
    "chunk 0": (equitune(chunk=0), ValueError, "at least 1; got 0"),
    "chunk 1.5": (equitune(chunk=1.5), ValueError, "whole number"),
    "an encoder that returns a tuple": (
        equitune(lambda x: (x, x)),
        TypeError,
        "got tuple",
    ),
    "an encoder that returns whole numbers": (
        equitune(lambda x: x.long()),
        TypeError,
        "got torch.int64",
    ),
    "an encoder that drops the batch": (
        equitune(lambda x: x.mean(0)),
        ValueError,
        "6 views went in, shape (2,) came out",
    ),
    "an encoder that returns a number": (
        equitune(lambda x: x.mean()),
        ValueError,
        "keep the batch as axis 0",
    ),
    "an encoder of another output size": (
        equitune(nn.Linear(2, 3)),
        ValueError,
        "2 entries along axis -1; got 3",
    ),
    "an encoder elsewhere": (
        equitune(nn.Linear(2, 2, device="meta")),
        ValueError,
        "on meta and got a tensor on cpu: move one with .to(device)",
    ),
    "an input elsewhere": (
        equitune(nn.Linear(2, 2), torch.ones(3, 2, device="meta")),
        ValueError,
        "on cpu and got a tensor on meta",
    ),
    "a net elsewhere": (
        learned(nn.Linear(2, 1, device="meta")),
        ValueError,
        "lambda has its weights on meta",
    ),
    "a head elsewhere": (
        equitune(head=nn.Linear(2, 1, device="meta")),
        ValueError,
        "The head has its weights on meta",
    ),
    "float64 into float32": (
        equitune(nn.Linear(2, 2), X.double()),
        ValueError,
        "weights of torch.float32 and got torch.float64: convert one",
    ),
    "float64 images into float32": (
        lambda: eq.Equitune(nn.Conv2d(1, 1, 1), TURN, TURN)(
            torch.ones(1, 1, 3, 3, dtype=torch.float64)
        ),
        ValueError,
        "got torch.float64",
    ),
    "whole numbers into a float model": (
        equitune(nn.Linear(2, 2), X.long()),
        ValueError,
        "got torch.int64",
    ),
    "a net of another dtype": (
        learned(nn.Linear(2, 1).double()),
        ValueError,
        "lambda has weights of torch.float64",
    ),
    "a net that works in place": (
        learned(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 1))),
        ValueError,
        "inplace=False",
    ),
    # the weights
    "NaN lambda": (learned(constant(torch.nan)), ValueError, "lambda gave NaN"),
    "infinite lambda": (learned(constant(torch.inf)), ValueError, "lambda gave NaN"),
    "lambda of zero": (
        learned(constant(0.0), positive="given"),
        ValueError,
        "must be positive; got 0",
    ),
    "negative lambda": (
        learned(constant(-2.0), positive="given"),
        ValueError,
        "must be positive; got -2",
    ),
    "two lambdas a view": (
        learned(lambda y: y),
        ValueError,
        "(6,) or (6, 1); got (6, 2)",
    ),
    "one lambda for all": (learned(lambda y: y.sum()), ValueError, "got ()"),
    "an unknown positive": (
        learned(constant(1.0), positive="relu"),
        ValueError,
        "softplus",
    ),
    "NaN loss": (equizero(constant(torch.nan)), ValueError, "The proxy loss gave NaN"),
    "infinite loss": (equizero(constant(-torch.inf)), ValueError, "or infinity"),
    "a loss of the whole batch": (
        equizero(lambda y: y.mean()),
        ValueError,
        "one number a view",
    ),
    "a loss an entry": (equizero(lambda y: -y), ValueError, "got (6, 2)"),
    "a loss that is no tensor": (equizero(lambda y: 0.5), ValueError, "got float"),
    "an unknown estimator": (equizero(estimator="ste"), ValueError, "mean, identity"),
    "an unreadable part": (equizero(of="aligned"), ValueError, '"inputs", "features"'),
    "an unreadable part for lambda": (
        learned(constant(1.0), of="x"),
        ValueError,
        '"inputs", "features"',
    ),
    "a negative tolerance": (
        equizero(tolerance=-1e-9),
        ValueError,
        "below 1; got -1e-09",
    ),
    "a tolerance of one": (equizero(tolerance=1.0), ValueError, "below 1"),
    "a NaN tolerance": (equizero(tolerance=float("nan")), ValueError, "below 1"),
    # checks
    "a check of two groups": (
        lambda: eq.check_equivariance(nn.Identity(), SWAP, MOVE, X),
        ValueError,
        "same group",
    ),
    "a check of a tuple": (
        lambda: eq.check_equivariance(lambda x: (x, x), SWAP, SWAP, X),
        TypeError,
        "one tensor; got tuple",
    ),
    "a check of nothing": (
        lambda: eq.check_equivariance(nn.Identity(), SWAP, SWAP, X[:0]),
        ValueError,
        "at least one input",
    ),
    "an action check of nothing": (
        lambda: eq.check_action(SWAP, X[:0]),
        ValueError,
        "at least one input",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_sentence(name):
    call, kind, says = BAD[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert caught.type is kind
    assert says in message
    assert re.fullmatch(r".+[^.]\.", message), "one line that ends with a full stop"
    assert len(re.findall(r"\. [A-Z]", message)) <= 1, "two short sentences at most"
    assert len(message) <= 250


def test_there_are_enough_of_them():
    assert len(BAD) >= 25


def test_refused_calls_leave_nothing_behind():
    model = nn.Linear(2, 2)
    f = eq.LambdaEquitune(model, SWAP, SWAP, nn.Linear(2, 1))
    before = f(X).detach()
    attributes = set(vars(f))
    for bad in (X.double(), torch.ones(0, 2), torch.ones(3, 4), "text"):
        with pytest.raises((ValueError, TypeError)):
            f(bad)
    assert torch.equal(f(X).detach(), before)
    assert set(vars(f)) == attributes
    assert all(p.grad is None for p in f.parameters())


def test_the_encoder_is_not_called_for_an_input_that_cannot_be_acted_on():
    calls = []
    f = eq.Equitune(calls.append, TURN, eq.Trivial(C4))
    for bad in (torch.ones(1, 3, 4), torch.ones(3, 3), torch.ones(0, 3, 3), None):
        with pytest.raises((ValueError, TypeError)):
            f(bad)
    assert calls == []


def test_other_errors_of_the_encoder_come_through():
    def broken(x):
        raise RuntimeError("its own trouble")

    with pytest.raises(RuntimeError, match="its own trouble"):
        equitune(broken)()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        equitune(nn.Linear(3, 2))()
    with pytest.raises(ValueError, match="weights of") as caught:
        equitune(nn.Linear(2, 2), X.double())()
    assert isinstance(caught.value.__cause__, RuntimeError)
