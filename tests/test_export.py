"""A plain module is the model that it was made of, and its exports need no equinb."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

import equinb as eq

C2, C4, D4 = eq.cyclic(2), eq.cyclic(4), eq.dihedral(4)
TURN, SAME = eq.Rot90(C4), eq.Trivial(C4)
MOVES = [[0, *(1 + (k + m) % 4 for m in range(4))] for k in range(4)]
SWAP = eq.Permutation(C2, [[0, 1], [1, 0]])
WORDS = [[0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5]]

#: Runs where `import equinb` fails; loads a program and its inputs, prints its answers.
ALONE = """
import json, sys
sys.modules["equinb"] = None
try:
    import equinb
except ImportError:
    pass
else:
    raise SystemExit("equinb can be imported")
import torch
f = torch.export.load(sys.argv[1]).module()
inputs = torch.load(sys.argv[2], weights_only=True)
assert not [name for name in sys.modules if name.startswith("equinb.")]
print(json.dumps([f(x).double().tolist() for x in inputs]))
"""


def encoder():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3, 2)
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())


def images(n, seed=1):
    return torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(seed))


def models():
    """Each weighting, each thing that it reads, each kind of action: model, inputs."""
    net, head, lam = encoder(), nn.Linear(32, 5), nn.Linear(32, 1)
    on_words = eq.Relabel(C2, WORDS)
    embed = nn.Sequential(nn.Embedding(6, 8), nn.Flatten(), nn.Linear(24, 6))
    ids = torch.randint(6, (5, 3), generator=torch.Generator().manual_seed(2))
    signs = eq.SignedPermutation(C2, None, [[1] * 4, [-1] * 4])
    q = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    upright = eq.Rot90(D4).restrict(D4.subgroup("s"))
    both = eq.Product(eq.Flip(C2, -1), eq.Flip(C2, -2))
    shear = torch.tensor([[1.0, 0.8], [0.0, -1.0]])
    sheared = eq.Matrix(C2, torch.stack([torch.eye(2), shear]))
    states = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    max_prob, max_q = eq.losses.neg_max_prob, eq.losses.neg_max_q
    text = torch.eye(7, 32)
    near = eq.losses.neg_similarity(text)
    agent = nn.Sequential(net, head)
    return {
        "equitune": (eq.Equitune(net, TURN, SAME, head=head), images(5)),
        "no head": (eq.Equitune(net, TURN, SAME), images(5)),
        "chunk": (eq.Equitune(net, TURN, SAME, chunk=3), images(5)),
        "map": (eq.Equitune(nn.Conv2d(3, 2, 3, padding=1), TURN, TURN), images(5)),
        "equizero": (
            eq.Equizero(net, TURN, SAME, loss=max_prob, head=head),
            images(5),
        ),
        "features": (
            eq.Equizero(net, TURN, SAME, loss=near, of="features", head=head),
            images(5),
        ),
        "turned": (
            eq.Equizero(agent, TURN, eq.Permutation(C4, MOVES), loss=max_q),
            images(5),
        ),
        "dqn": (eq.Equizero(q, signs, SWAP, loss=max_q), states),
        "tie": (eq.Equizero(q, signs, SWAP, loss=max_q), 0 * states),
        "wide tie": (
            eq.Equizero(q, signs, SWAP, loss=max_q, tolerance=0.9),
            states,
        ),
        "lambda": (eq.LambdaEquitune(net, TURN, SAME, lam, head=head), images(5)),
        "softplus": (
            eq.LambdaEquitune(net, TURN, SAME, lam, positive="softplus"),
            images(5),
        ),
        "given": (
            eq.LambdaEquitune(
                net, TURN, SAME, lambda z: z.abs().sum(-1), positive="given"
            ),
            images(5),
        ),
        "lambda of inputs": (
            eq.LambdaEquitune(
                net, TURN, SAME, lambda x: x[:, 0, 0, 0], of="inputs", head=head
            ),
            images(5),
        ),
        "lambda of outputs": (
            eq.LambdaEquitune(
                net, TURN, SAME, lambda y: y.amax(-1), of="outputs", head=head
            ),
            images(5),
        ),
        "words": (eq.Equitune(embed, on_words, eq.Permutation(C2, WORDS)), ids),
        "restricted": (
            eq.Equitune(net, upright, eq.Trivial(upright.group)),
            images(5),
        ),
        "product": (eq.Equitune(net, both, eq.Trivial(both.group)), images(5)),
        "sheared": (
            eq.Equitune(nn.Linear(2, 2), sheared, sheared),
            states[:, :2].contiguous(),
        ),
        "a method": (eq.Equitune(Tower(net).encode, TURN, SAME), images(5)),
    }


class Tower(nn.Module):
    """A model whose features are those of a method, as open_clip's are."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.eval()

    def encode(self, x):
        return self.net(x)


CASES = {name: (f.eval(), x) for name, (f, x) in models().items()}
each_case = pytest.mark.parametrize("case", CASES)


def exported(f, x):
    size = ({0: torch.export.Dim("batch")},)
    return torch.export.export(eq.plain_module(f), (x,), dynamic_shapes=size)


@each_case
@torch.no_grad()
def test_a_plain_module_computes_what_the_model_does(case):
    f, x = CASES[case]
    torch.testing.assert_close(eq.plain_module(f)(x), f(x), atol=1e-6, rtol=1e-6)


@each_case
@torch.no_grad()
def test_in_double_precision_too(case):
    f, x = models()[case]
    x = x.double() if x.dtype.is_floating_point else x
    f.eval().double()
    if case in ("features", "a method"):
        f.encoder = encoder().double()
    found = eq.plain_module(f)(x)
    assert found.dtype is torch.float64
    torch.testing.assert_close(found, f(x), atol=1e-12, rtol=1e-12)


@each_case
@torch.no_grad()
def test_an_export_takes_a_batch_of_any_size(case):
    f, x = CASES[case]
    program = exported(f, x[:2]).module()
    for n in (1, 2, 5):
        torch.testing.assert_close(program(x[:n]), f(x[:n]), atol=1e-5, rtol=0)


@pytest.fixture
def alone(tmp_path):
    """Asks an export where equinb cannot be imported."""

    def answers(f, x, inputs):
        torch.export.save(exported(f, x), tmp_path / "model.pt2")
        torch.save(inputs, tmp_path / "inputs.pt")
        command = [sys.executable, "-I", "-c", ALONE]
        files = [str(tmp_path / "model.pt2"), str(tmp_path / "inputs.pt")]
        done = subprocess.run(
            command + files, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return [torch.tensor(y) for y in json.loads(done.stdout)]

    return answers


@pytest.mark.parametrize("case", ["equitune", "equizero", "lambda", "turned"])
@torch.no_grad()
def test_an_export_runs_without_equinb(case, alone):
    f, x = CASES[case]
    inputs = [images(n, seed=10 + n) for n in (1, 2, 7)]
    answers = alone(f, x[:2], inputs)
    for some, y in zip(inputs, answers, strict=True):
        torch.testing.assert_close(y.float(), f(some), atol=1e-5, rtol=0)
    # The average is in the file: the model by itself would give other answers.
    bare = f.encoder(some) if f.head is None else f.head(f.encoder(some))
    assert (y - bare).abs().max() > 1e-3


@torch.no_grad()
def test_an_export_of_all_is_as_equivariant_as_the_model():
    f, x = CASES["turned"]
    program = exported(f, x[:2]).module()
    assert eq.check_equivariance(program, f.act_in, f.act_out, x).passed
    assert not eq.check_equivariance(f.encoder, f.act_in, f.act_out, x).passed


@pytest.mark.parametrize("case", ["equizero", "lambda"])
def test_the_checks_of_the_model_itself_cannot_be_exported(case):
    """Why there is a plain module: once this fails, it is not needed any more."""
    f, x = CASES[case]
    with pytest.raises(RuntimeError, match="data-dependent"):
        torch.export.export(f, (x,))


def test_the_weights_of_a_method_are_exported_as_weights():
    f, x = CASES["a method"]
    assert len(exported(f, x).state_dict) == 2


@torch.no_grad()
def test_masked_logits_stay_masked():
    mask = torch.tensor([0.0, -torch.inf])
    f = eq.Equizero(
        nn.Identity(), SWAP, SWAP, loss=lambda y: y[:, 0], head=lambda y: y + mask
    ).eval()
    g = eq.Equizero(lambda x: x + mask, SWAP, SWAP, loss=lambda y: y[:, 0]).eval()
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    for model in (f, g):
        y = eq.plain_module(model)(x)
        assert not y.isnan().any()
        assert torch.equal(y, model(x))


@torch.no_grad()
def test_onnx_runtime_gives_the_same(tmp_path):
    """Where onnx, onnxscript and onnxruntime are installed; the book asks for none."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is none of the book's packages")
    import onnxruntime

    f, x = CASES["lambda"]
    torch.onnx.export(exported(f, x[:2]), dynamo=True).save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    name = session.get_inputs()[0].name
    for n in (1, 5):
        y = session.run(None, {name: x[:n].numpy()})[0]
        torch.testing.assert_close(torch.from_numpy(y), f(x[:n]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("f", "error", "says"),
    [
        (nn.Linear(2, 2), TypeError, "Only a symmetrized model"),
        (eq.Equitune(nn.Identity(), SWAP, SWAP), ValueError, "call eval"),
    ],
    ids=["another model", "training mode"],
)
def test_what_cannot_be_plain_is_refused(f, error, says):
    with pytest.raises(error, match=says):
        eq.plain_module(f)


def test_a_method_of_a_model_in_training_mode_is_refused():
    f = eq.Equitune(Tower(nn.Dropout()).train().encode, SWAP, SWAP).eval()
    with pytest.raises(ValueError, match="Tower is in training mode"):
        eq.plain_module(f)


def test_a_weighting_of_your_own_is_refused():
    class First(eq.Uniform):
        pass

    f = eq.Symmetrized(nn.Identity(), SWAP, SWAP, First()).eval()
    with pytest.raises(TypeError, match="got First"):
        eq.plain_module(f)


def test_an_average_over_some_views_is_refused_and_not_taken_for_the_whole():
    routed = eq.Routed(nn.Flatten(), TURN, SAME, lambda x: x[:, 0, 0], k=1).eval()
    half = {"weighting": eq.Uniform(), "respects": C4.subgroup("r^2")}
    cosets = eq.OverCosets(nn.Flatten(), TURN, SAME, **half).eval()
    for f in (routed, cosets):
        with pytest.raises(TypeError, match=r"^\w+ is not a plain average over the"):
            eq.plain_module(f)
