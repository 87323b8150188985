"""Canonical-lambda-equitune: theorem 1 for both forms; frames, and what has none."""

import math

import numpy as np
import pytest
import torch

import equinb as eq
from equinb import canonical as can
from equinb import frames as fr

DTYPES = {torch.float64: 1e-10, torch.float32: 1e-5}
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
EACH_FORM = pytest.mark.parametrize("undo", [True, False])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def clouds(b=6, points=60, n=3, seed=0, sizes=(3.0, 1.8, 1.0)):
    """Clouds with axes of their own and no symmetry."""
    x = torch.randn((b, points, n), dtype=torch.float64, generator=seeded(seed))
    x = x + 0.5 * x**2  # skewed: no mirror leaves one as it is
    return x * torch.tensor(sizes[:n], dtype=torch.float64)


class Net(torch.nn.Module):
    """A network of points with no symmetry, to a vector or to some numbers."""

    def __init__(self, n=3, out=3, dtype=torch.float64, seed=0):
        super().__init__()
        random = seeded(seed)
        draw = {"dtype": torch.float64, "generator": random}
        self.a = torch.randn((n, 16), **draw).to(dtype)
        self.b = torch.randn((16, out), **draw).to(dtype)
        self.c = torch.randn(16, **draw).to(dtype)

    def forward(self, x):
        return (x @ self.a + self.c).tanh().mean(1) @ self.b


def log_lambda(n=3, dtype=torch.float64):
    return Net(n, 1, dtype, seed=9)


FRAMES = {
    "pca": fr.pca_frame,
    "pca, mirrors": lambda x: fr.pca_frame(x, mirrors=True),
    "learned": fr.LearnedFrame(),
    "learned, mirrors": fr.LearnedFrame(mirrors=True),
}
EACH_FRAME = pytest.mark.parametrize("frame", FRAMES)


def elements(m, frame, n=3, seed=5):
    return can.random_rotations(m, n, seeded(seed), mirrors="mirrors" in frame)


def offsets(k=3, n=3):
    return can.random_rotations(k, n, seeded(7))


# Frames.


@EACH_FRAME
def test_a_frame_turns_with_its_input(frame):
    x, h = clouds(), FRAMES[frame]
    for g in elements(20, frame):
        moved = h(can.rotate(g.expand(6, 3, 3), x))
        expected = g @ h(x)
        # As sets: every frame of gx is g times one of x.
        gaps = (moved[:, None] - expected[None]).abs().amax((-2, -1))
        assert gaps.amin(0).max() < 1e-10
        assert gaps.amin(1).max() < 1e-10


@pytest.mark.parametrize(
    ("frame", "count"),
    [("pca", 4), ("pca, mirrors", 8), ("learned", 1), ("learned, mirrors", 2)],
)
def test_frames_are_of_the_group_and_as_many_as_it_takes(frame, count):
    made = FRAMES[frame](clouds())
    assert made.shape == (count, 6, 3, 3)
    assert made.dtype is torch.float64
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(made @ made.mT, eye.expand_as(made))
    signs = made.det().round()
    assert (signs == 1).sum() == (len(signs) // (2 if "mirrors" in frame else 1)) * 6
    assert len({tuple(m.flatten().tolist()) for m in made[:, 0]}) == count


def test_the_plane_has_frames_too():
    x = clouds(n=2)
    for frame in (fr.pca_frame, fr.LearnedFrame(2)):
        f = can.CanonicalLambda(Net(2, 2), frame, can.rotate, can.rotate)
        turns = can.random_rotations(50, 2, seeded())
        assert can.check_continuous(f, can.rotate, can.rotate, x, turns).passed


def test_gram_schmidt_against_numpy():
    v = torch.randn((5, 2, 3), dtype=torch.float64, generator=seeded())
    (made,) = fr.gram_schmidt(v)
    for vectors, frame in zip(v.numpy(), made.numpy(), strict=True):
        q, r = np.linalg.qr(vectors.T)
        q = q * np.sign(np.diag(r))
        np.testing.assert_allclose(frame[:, :2], q, atol=1e-12)
        np.testing.assert_allclose(frame[:, 2], np.cross(q[:, 0], q[:, 1]), atol=1e-12)


def test_gradients_reach_the_network_of_the_frame():
    frame = fr.LearnedFrame()
    f = can.CanonicalLambda(Net(), frame, can.rotate, can.rotate)
    f(clouds()).square().sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in frame.parameters()
    )


# What has no frame.

CIRCLE = torch.linspace(0, 2 * math.pi, 13, dtype=torch.float64)[:-1]
DISC = torch.stack([CIRCLE.cos(), CIRCLE.sin(), 0 * CIRCLE], -1)
CUBE = torch.tensor(
    [[a, b, c] for a in (-1.0, 1) for b in (-1.0, 1) for c in (-1.0, 1)],
    dtype=torch.float64,
)
LINE = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None] * torch.ones(3)
AMBIGUOUS = {"disc": DISC, "cube": CUBE, "line": LINE, "one point": DISC[:1]}


@pytest.mark.parametrize("shape", AMBIGUOUS)
@pytest.mark.parametrize("mirrors", [False, True])
def test_what_a_continuous_family_leaves_alone_is_refused(shape, mirrors):
    good, bad = clouds(1, points=len(AMBIGUOUS[shape]) + 3)[0], AMBIGUOUS[shape]
    bad = torch.cat([bad, bad[:1].expand(3, 3)]) if shape == "one point" else bad
    for g in can.random_rotations(5, random=seeded()):
        x = torch.stack([good[: len(bad)], bad @ g.T])
        with pytest.raises(ValueError, match=r"^Input 1 has no frame: .*equal\. Leave"):
            fr.pca_frame(x, mirrors)


@pytest.mark.parametrize("shape", AMBIGUOUS)
@pytest.mark.parametrize("mirrors", [False, True])
def test_a_learned_frame_does_not_take_rounding_for_a_vector(shape, mirrors):
    bad = AMBIGUOUS[shape]
    bad = torch.cat([bad, -bad]) / 3  # one point and its mirror image: a line
    for g in can.random_rotations(20, random=seeded()):
        with pytest.raises(ValueError, match="Input 0 has no frame: its vectors are"):
            fr.LearnedFrame(mirrors=mirrors)((bad @ g.T + 0.1)[None])


def test_the_least_gap_is_where_refusal_begins():
    x = clouds(1)
    points = x - x.mean(1, keepdim=True)
    values, axes = torch.linalg.eigh(points.mT @ points)
    white = points @ axes / values.sqrt()[:, None]
    for gap, fine in ((2e-4, True), (0.5e-4, False)):
        made = white * torch.tensor([1, (1 - gap) ** 0.5, 0.5], dtype=torch.float64)
        assert fr.eigengap(made).item() == pytest.approx(gap, rel=1e-6)
        if fine:
            fr.pca_frame(made)
        else:
            with pytest.raises(ValueError, match="nearly equal"):
                fr.pca_frame(made)


@pytest.mark.parametrize(
    ("vectors", "fine"),
    [
        ([[1.0, 0, 0], [2.0, 0, 0]], False),
        ([[0.0, 0, 0], [0.0, 1, 0]], False),
        ([[0.0, 0, 0], [0.0, 0, 0]], False),
        ([[1.0, 0, 0], [1.0, 1e-5, 0]], False),
        ([[1.0, 0, 0], [1.0, 1e-3, 0]], True),
    ],
)
def test_vectors_that_span_no_frame(vectors, fine):
    v = torch.tensor([vectors])
    if fine:
        fr.gram_schmidt(v)
    else:
        with pytest.raises(ValueError, match="collinear or zero"):
            fr.gram_schmidt(v)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(2, 3), r"\(B, points, n\); got \(2, 3\)"),
        (torch.zeros(2, 0, 3), r"\(B, points, n\); got \(2, 0, 3\)"),
        (torch.full((1, 4, 3), math.nan), "Input 0 .* NaN or infinity"),
    ],
)
def test_what_is_no_cloud_is_refused(x, says):
    for frame in (fr.pca_frame, fr.LearnedFrame(), fr.eigengap):
        with pytest.raises(ValueError, match=says):
            frame(x)


# Theorem 1.


def model(act, out, dtype, undo, frame="pca", k=3):
    return can.CanonicalLambda(
        Net(out=out, dtype=dtype),
        FRAMES[frame],
        can.rotate,
        act,
        log_lambda(dtype=dtype),
        offsets(k),
        undo,
    )


@EACH_DTYPE
@EACH_FORM
@EACH_FRAME
@pytest.mark.parametrize(("act", "out"), [(can.keep, 5), (can.rotate, 3)])
def test_theorem_1(dtype, undo, frame, act, out):
    f = model(act, out, dtype, undo, frame)
    x = clouds().to(dtype)
    report = can.check_continuous(f, can.rotate, act, x, elements(100, frame))
    assert report.error < DTYPES[dtype]
    assert f(x).dtype is dtype


@EACH_FORM
def test_a_model_by_itself_is_not_equivariant(undo):
    x = clouds()
    alone = can.check_continuous(Net(), can.rotate, can.rotate, x, offsets(10))
    assert alone.error > 0.1
    assert not alone.passed


def test_only_the_first_form_leaves_an_equivariant_model_as_it_is():
    def middle(x):  # the mean of points, by their distance from it: a vector
        c = x.mean(1, keepdim=True)
        return (x * (x - c).norm(dim=-1, keepdim=True)).mean(1)

    x = clouds()
    made = {
        undo: can.CanonicalLambda(
            middle,
            fr.pca_frame,
            can.rotate,
            can.rotate,
            log_lambda(),
            offsets(),
            undo,
        )(x)
        for undo in (True, False)
    }
    torch.testing.assert_close(made[True], middle(x))
    assert (made[False] - middle(x)).abs().max() > 0.1


def test_with_h_the_identity_and_all_offsets_it_is_eq_4():
    G = eq.cyclic(4)
    quarter = torch.tensor([[0.0, -1], [1, 0]], dtype=torch.float64)
    R = torch.stack([torch.linalg.matrix_power(quarter, g) for g in range(4)])
    turn = eq.Matrix(G, R.numpy())
    net, lam, x = Net(2, 2), log_lambda(2), clouds(n=2)
    identity = lambda x: torch.eye(2).double().expand(1, len(x), 2, 2)  # noqa: E731
    finite = eq.LambdaEquitune(net, turn, turn, lam, of="inputs")(x)
    made = {
        undo: can.CanonicalLambda(net, identity, can.rotate, can.rotate, lam, R, undo)(
            x
        )
        for undo in (True, False)
    }
    torch.testing.assert_close(made[True], finite)
    assert (made[False] - finite).abs().max() > 0.01


def test_by_hand():
    """Eq. (5) with its offsets undone, one input at a time."""
    net, lam, theta, x = Net(), log_lambda(), offsets(), clouds(2)
    f = can.CanonicalLambda(net, FRAMES["learned"], can.rotate, can.rotate, lam, theta)
    (h,) = FRAMES["learned"](x)
    for i in range(2):
        top, bottom = 0.0, 0.0
        for t in theta:
            pose = x[i] @ (t @ h[i].T).T
            weight = lam(pose[None])[0, 0].exp()
            top = top + weight * (h[i] @ t.T @ net(pose[None])[0])
            bottom = bottom + weight
        torch.testing.assert_close(f(x)[i], top / bottom)


def test_poses_are_recorded():
    f = model(can.rotate, 3, torch.float64, True)
    y, made = f(clouds(), return_poses=True)
    assert made.inputs.shape == (12, 6, 60, 3)  # 3 offsets, 4 frames
    assert made.elements.shape == (12, 6, 3, 3)
    torch.testing.assert_close(made.weights.sum(0), torch.ones(6).double())
    torch.testing.assert_close((made.weights[..., None] * made.aligned).sum(0), y)
    torch.testing.assert_close(made.weights, made.scores.softmax(0))


def test_lambda_may_read_features():
    lam = lambda features: features[:, 0]  # noqa: E731
    f = can.CanonicalLambda(
        Net(), fr.pca_frame, can.rotate, can.rotate, lam, of="features"
    )
    report = can.check_continuous(f, can.rotate, can.rotate, clouds(), offsets(50))
    assert report.passed
    with pytest.raises(ValueError, match='reads "inputs" or "features"; got \'all\''):
        can.CanonicalLambda(Net(), fr.pca_frame, can.rotate, can.rotate, lam, of="all")


def test_without_a_net_all_views_weigh_the_same():
    f = can.CanonicalLambda(Net(), fr.pca_frame, can.rotate, can.rotate)
    _, made = f(clouds(), return_poses=True)
    assert torch.equal(made.weights, torch.full((4, 6), 0.25).double())


# Offsets and rotations.


def test_learned_offsets_are_rotations_and_learn():
    module = can.LearnedOffsets(offsets())
    torch.testing.assert_close(module(), offsets())
    f = can.CanonicalLambda(
        Net(), fr.pca_frame, can.rotate, can.keep, log_lambda(), module
    )
    optimizer = torch.optim.Adam(module.parameters(), 0.1)
    before = f(clouds()).sum().item()
    for _ in range(5):
        optimizer.zero_grad()
        f(clouds()).sum().backward()
        optimizer.step()
    assert f(clouds()).sum().item() < before - 0.01
    theta = module()
    torch.testing.assert_close(theta @ theta.mT, torch.eye(3).double().expand(3, 3, 3))
    torch.testing.assert_close(theta.det(), torch.ones(3).double())
    report = can.check_continuous(f, can.rotate, can.keep, clouds(), offsets(20))
    assert report.passed


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("mirrors", [False, True])
def test_random_rotations(n, mirrors):
    q = can.random_rotations(4000, n, seeded(), mirrors)
    torch.testing.assert_close(q @ q.mT, torch.eye(n).double().expand_as(q))
    share = (q.det() > 0).double().mean().item()
    assert share == pytest.approx(0.5, abs=0.05) if mirrors else share == 1
    # Haar: every column is evenly on the sphere, so entries have variance 1/n.
    assert q.mean(0).abs().max() < 0.05
    assert (q.square().mean(0) - 1 / n).abs().max() < 0.03
    assert torch.equal(q, can.random_rotations(4000, n, seeded(), mirrors))


def test_the_cube_has_24_rotations():
    q = can.cube_rotations()
    assert q.shape == (24, 3, 3)
    assert torch.equal(q[0], torch.eye(3).double())
    assert torch.equal(q.det().round(), torch.ones(24).double())
    found = {tuple(m.flatten().tolist()) for m in q}
    assert len(found) == 24
    products = (q[:, None] @ q[None]).flatten(0, 1)
    assert {tuple(m.flatten().tolist()) for m in products} == found


# Bad input.


@pytest.mark.parametrize(
    ("x", "error", "says"),
    [
        (torch.zeros(2, 5, 3, dtype=torch.long), TypeError, "got torch.int64"),
        ([[1.0]], TypeError, "got list"),
    ],
)
def test_what_is_no_floating_point_tensor(x, error, says):
    with pytest.raises(error, match=says):
        model(can.keep, 5, torch.float64, True)(x)


def test_offsets_that_are_no_matrices():
    with pytest.raises(ValueError, match=r"\(k, n, n\); got shape \(3, 3\)"):
        can.Fixed(torch.eye(3))


def test_vectors_of_another_size():
    with pytest.raises(ValueError, match="Matrices of 3 rows act on vectors of 3"):
        can.rotate(torch.eye(3)[None], torch.zeros(1, 4, 2))
