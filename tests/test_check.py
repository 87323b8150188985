"""The checks pass what is right and, above all, fail what is wrong."""

import numpy as np
import pytest
import torch
from cases import (
    ALL,
    C2,
    C3,
    C4,
    CASES,
    D4,
    DTYPES,
    GROUPS,
    METHODS,
    S3,
    S4,
    permutation,
    signed,
    symmetrize,
)
from torch import nn

import equinb as eq
from equinb.check import TOLERANCE


class Forgetful(eq.Permutation):
    """Carries the views back by g where it should be by g^-1."""

    def undo(self, y):
        return torch.stack([self.act(g, y[g]) for g in range(len(y))])


class Reversed(eq.Permutation):
    """Acts by g^-1: (gh)x is then h(gx), the law of another group."""

    def act(self, g, x):
        return super().act(self.group.inverse(g), x)

    def orbit(self, x):
        return torch.stack([self.act(g, x) for g in range(self.group.order)])


def linear(act):
    return nn.Linear(act.size, act.size).double()


# --- groups --------------------------------------------------------------------------


@pytest.mark.parametrize("G", GROUPS.values(), ids=GROUPS)
def test_groups_pass(G):
    report = eq.check_group(G.table)
    assert report.passed
    assert repr(report) == "group axioms: passed"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([[0, 1], [1, 2]], "(closure)"),
        ([[0, 1], [1, -1]], "(closure)"),
        ([[0.0, 1.0], [1.0, 0.0]], "(closure)"),
        ([[0, 0], [0, 0]], "(identity)"),
        ([[0, 0], [1, 1]], "(identity)"),
        ([[0, 1, 2], [1, 0, 0], [2, 0, 0]], "(associativity)"),
        ([[0, 1], [1, 1]], "no inverse"),
        ([[0, 1, 2], [1, 0, 2]], "must be square"),
        ([], "must be square"),
        (3, "must be square"),
    ],
)
def test_tables_that_break_one_axiom_fail(table, says):
    report = eq.check_group(table)
    assert not report.passed
    assert says in report.notes[0]
    assert repr(report).startswith("group axioms: FAILED\n  ")


# --- actions -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.group.name} {case}")
def test_actions_pass(case, dtype):
    report = eq.check_action(case.act_in, case.inputs(2, dtype))
    assert report.passed
    assert list(report.errors) == ["ex = x", "g(hx) = (gh)x", "g^-1(gx) = x"]


def test_the_reversed_action_fails_where_the_group_is_not_abelian():
    passed = {}
    for G in (C2, C3, C4, D4, S3, S4):
        act = Reversed(G, permutation(G).perms)
        report = eq.check_action(act, torch.rand(2, act.size))
        passed[G.name] = report.errors["g(hx) = (gh)x"] == 0
    assert passed == {
        "C2": True,
        "C3": True,
        "C4": True,
        "D4": False,
        "S3": False,
        "S4": False,
    }


def test_a_forgotten_inverse_in_undo_fails():
    for G in (C4, D4, S3):
        act = Forgetful(G, permutation(G).perms)
        report = eq.check_action(act, torch.rand(2, act.size))
        assert report.errors["g^-1(gx) = x"] > 0.1
        assert not report.passed


def test_interpolated_turns_fail():
    class Blurred(eq.Rot90):
        def act(self, g, x):
            x = super().act(g, x)
            return x if g == 0 else (x + x.roll(1, -1)) / 2

    assert not eq.check_action(Blurred(D4), torch.rand(1, 4, 4)).passed


def test_an_action_that_makes_nan_fails():
    class Spoils(eq.Permutation):
        def act(self, g, x):
            y = super().act(g, x)
            return y * torch.nan if g == self.group.order - 1 else y

        def orbit(self, x):
            return torch.stack([self.act(g, x) for g in range(self.group.order)])

    report = eq.check_action(Spoils(S3, permutation(S3).perms), torch.rand(2, 3))
    assert not report.passed
    assert np.isnan(report.error)
    assert np.isnan(report.errors["g(hx) = (gh)x"])


# --- equivariance --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", GROUPS)
def test_symmetrized_models_pass_and_bare_models_fail(group, method, dtype):
    for case in CASES[group]:
        model = case.model(dtype)
        x = case.inputs(4, dtype, 1)
        f = symmetrize(method, case, model, dtype)
        report = eq.check_equivariance(f, case.act_in, case.act_out, x)
        assert report.passed, report
        assert list(report.errors) == list(case.group.elements)
        assert report.tolerance == TOLERANCE[dtype]
        bare = eq.check_equivariance(model, case.act_in, case.act_out, x)
        assert not bare.passed
        assert bare.errors[case.group.elements[0]] <= TOLERANCE[dtype]


def test_a_forgotten_inverse_shows_beyond_order_two():
    passed = {}
    for G in (C2, C4, D4, S3, S4):
        act = permutation(G)
        f = eq.Equitune(linear(act), act, Forgetful(G, act.perms))
        x = torch.rand(3, act.size, dtype=torch.float64)
        passed[G.name] = eq.check_equivariance(f, act, act, x).passed
    assert passed == {"C2": True, "C4": False, "D4": False, "S3": False, "S4": False}


@pytest.mark.parametrize("G", [C4, D4, S3], ids=lambda G: G.name)
def test_the_wrong_action_on_the_output_fails(G):
    act = permutation(G)
    f = eq.Equitune(linear(act), act, act)
    x = torch.rand(3, act.size, dtype=torch.float64)
    assert eq.check_equivariance(f, act, act, x).passed
    assert not eq.check_equivariance(f, act, eq.Trivial(G), x).passed
    assert not eq.check_equivariance(f, signed(G), act, x).passed
    reversed_act = Reversed(G, act.perms)
    assert not eq.check_equivariance(f, act, reversed_act, x).passed


@pytest.mark.parametrize("G", [C3, D4], ids=lambda G: G.name)
def test_dropout_fails(G):
    act = permutation(G)
    f = eq.Equitune(nn.Sequential(nn.Dropout(0.5), linear(act)), act, act)
    x = torch.rand(8, act.size, dtype=torch.float64)
    assert not eq.check_equivariance(f, act, act, x).passed
    assert eq.check_equivariance(f.eval(), act, act, x).passed


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_and_infinity_fail(bad):
    act = permutation(S3)

    def spoils_one(x):
        # One view of one input: the one that begins with its least entry.
        y = x.clone()
        y[x[:, 0] == x.amin(1), 0] = bad
        return y

    report = eq.check_equivariance(spoils_one, act, act, torch.rand(3, 3))
    assert not report.passed
    assert "FAILED" in repr(report)
    everywhere = eq.check_equivariance(
        lambda x: x * torch.nan, act, act, torch.ones(2, 3)
    )
    assert not everywhere.passed
    assert np.isnan(everywhere.error)


def test_masked_logits_are_compared_by_place():
    act = permutation(S3)

    def masks_the_least(x):
        return torch.where(x == x.amin(-1, keepdim=True), -torch.inf, x)

    def masks_the_first(x):
        return torch.cat([torch.full_like(x[:, :1], -torch.inf), x[:, 1:]], 1)

    x = torch.rand(4, 3)
    assert eq.check_equivariance(masks_the_least, act, act, x).passed
    wrong = eq.check_equivariance(masks_the_first, act, act, x)
    assert wrong.error == np.inf


def test_one_wrong_element_is_named():
    act = permutation(S3)

    def wrong_for_one_order(x):
        rising = (x[:, :1] < x[:, 1:2]) & (x[:, 1:2] < x[:, 2:])
        return torch.where(rising, x + 1, x)

    x = torch.tensor([[2.0, 0.0, 1.0]])
    report = eq.check_equivariance(wrong_for_one_order, act, act, x)
    (name,) = (g for g, error in report.errors.items() if error > 0)
    assert act(name, x).tolist() == [[0.0, 1.0, 2.0]]
    marked = [line for line in repr(report).splitlines() if line.endswith("<-")]
    assert len(marked) == 1
    assert name in marked[0]


def test_whole_numbers_and_complex_numbers():
    act = permutation(D4)
    ids = torch.tensor([[3, 1, 2, 0]])
    assert eq.check_equivariance(lambda x: x + 1, act, act, ids).passed
    assert not eq.check_equivariance(lambda x: x.roll(1, 1), act, act, ids).passed
    waves = torch.randn(2, 4, dtype=torch.complex64)
    assert eq.check_equivariance(lambda x: x.exp(), act, act, waves).passed
    phases = torch.tensor([1, 1j, -1, -1j])
    assert not eq.check_equivariance(lambda x: x * phases, act, act, waves).passed


def test_the_tolerance_can_be_chosen():
    act = permutation(S3)
    weights = torch.tensor([1.0, 1.01, 1.0])
    x = torch.ones(1, 3) + 0.01 * torch.arange(3)
    check = eq.check_equivariance
    assert not check(lambda x: x * weights, act, act, x).passed
    assert check(lambda x: x * weights, act, act, x, tolerance=0.02).passed
    half = check(lambda x: x * 2, act, act, x.half())
    assert half.tolerance == TOLERANCE[torch.float16]
    assert half.passed


def test_a_function_of_another_shape_fails():
    act = permutation(S3)
    x = torch.rand(2, 3)

    def longer_when_rising(x):
        return x if float(x[0, 0]) < 0.5 else torch.cat([x, x])

    x[0] = torch.tensor([0.1, 0.9, 0.9])
    assert not eq.check_equivariance(longer_when_rising, act, act, x).passed


def test_checks_neither_train_nor_change_anything():
    case = CASES["S3"][1]
    f = symmetrize("lambda", case, case.model(torch.float32))
    x = case.inputs(2, torch.float32).requires_grad_()
    kept = x.detach().clone()
    eq.check_equivariance(f, case.act_in, case.act_out, x)
    eq.check_action(case.act_in, x)
    assert torch.equal(x, kept)
    assert x.grad is None
    assert all(p.grad is None for p in f.parameters())
    assert f.training


def test_report_of_a_nan_never_hides_it():
    for errors in ({"a": 0.0, "b": float("nan")}, {"a": float("nan"), "b": 0.0}):
        report = eq.Report("a check", errors, 1.0)
        assert np.isnan(report.error)
        assert not report.passed
        assert repr(report).count("<-") == 1
