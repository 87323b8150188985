"""Fewer passes than views: still equivariant, bounded, and counted."""

import numpy as np
import pytest
import torch
from cases import (
    ALL,
    C4,
    CASES,
    D4,
    DTYPES,
    all_subgroups,
    equivariance_error,
    permutation,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import equinb as eq
from equinb.distinct import distinct_rows
from equinb.routed import choose

BOUND = {torch.float32: 1e-5, torch.float64: 1e-10}
IDS = ["float32", "float64"]
seeds = st.integers(0, 10_000)


class Counting(nn.Module):
    """A model that counts the rows it has seen."""

    def __init__(self, model):
        super().__init__()
        self.model, self.rows = model, 0

    def forward(self, x):
        self.rows += len(x)
        return self.model(x)


class Router(nn.Module):
    """A small net on what it reads, without any symmetry."""

    def __init__(self, case, dtype, seed=1):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            width = int(np.prod(case.shape))
            self.net = nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, 1))
            self.net.to(dtype)
        self.dtype = dtype

    def forward(self, views):
        return 4 * self.net(views.flatten(1).to(self.dtype))


def routed(case, dtype, seed=0, **options):
    model = case.model(dtype, seed)
    router = Router(case, dtype, seed + 1)
    return eq.Routed(model, case.act_in, case.act_out, router, **options)


# --- equivariant ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=IDS)
@pytest.mark.parametrize("group", ["C4", "D4"])
@given(data=st.data(), seed=seeds)
def test_equivariant(group, dtype, data, seed):
    case = data.draw(st.sampled_from(CASES[group]))
    n = case.group.order
    how = data.draw(
        st.sampled_from(
            [{"k": k} for k in range(1, n + 1)]
            + [{"eps": e} for e in (0.0, 0.03, 0.2, 0.6)]
        )
    )
    f = routed(case, dtype, seed, **how)
    x = case.inputs(3, dtype, seed)
    assert equivariance_error(f, case.act_in, case.act_out, x) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=IDS)
@pytest.mark.parametrize("group", ["C4", "D4"])
@given(data=st.data(), seed=seeds)
def test_equivariant_where_inputs_are_symmetric(group, dtype, data, seed):
    case = data.draw(st.sampled_from(CASES[group]))
    n = case.group.order
    h = data.draw(st.integers(1, n - 1))
    how = data.draw(
        st.sampled_from(
            [{"k": k} for k in range(1, n + 1)]
            + [{"eps": e} for e in (0.0, 0.03, 0.2, 0.6)]
        )
    )
    x = case.inputs(3, dtype, seed, fixed_by=h)
    f = routed(case, dtype, seed, **how)
    assert equivariance_error(f, case.act_in, case.act_out, x) <= BOUND[dtype]
    with torch.no_grad():
        y, route = f(x, return_orbit=True)
    gap = (case.act_out(h, y) - y).abs().max()
    assert float(gap / route.aligned.abs().max()) <= BOUND[dtype]
    order = case.group.subgroup(h).order
    assert (route.chosen.sum(0) >= order).all()
    if not isinstance(case.act_in, eq.Matrix):  # matrices round: views are not equal
        assert (route.passes <= route.chosen.sum(0) // order).all()


def test_without_the_ties_it_is_not_equivariant():
    # What the suite would miss if a cut could go through equal views.
    case = next(case for case in CASES["D4"] if case.name == "vector to vector")
    x = case.inputs(8, torch.float64, 3, fixed_by=4)
    f = routed(case, torch.float64, k=1)
    assert equivariance_error(f, case.act_in, case.act_out, x) <= 1e-10

    def cut(route):
        best = route.scores.argmax(0)
        return nn.functional.one_hot(best, case.group.order).T.to(x.dtype)

    def broken(x):
        route = f.orbit(x)
        route.weights = cut(route)
        return f.weighting.combine(route)

    with torch.no_grad():
        report = eq.check_equivariance(broken, case.act_in, case.act_out, x)
    assert report.error > 1e-3


@pytest.mark.parametrize("dtype", DTYPES, ids=IDS)
@pytest.mark.parametrize("G", [C4, D4], ids=str)
def test_masks_of_images(G, dtype):
    turn = eq.Rot90(G)
    torch.manual_seed(0)
    model = nn.Conv2d(2, 3, 3, padding=1).to(dtype)
    router = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten())
    router = nn.Sequential(router, nn.Linear(16, 1)).to(dtype)
    symmetric = torch.rand(2, 2, 8, 8, dtype=dtype)
    symmetric = turn.orbit(symmetric).sum(0)
    x = torch.cat([torch.rand(4, 2, 8, 8, dtype=dtype), symmetric])
    for how in ({"k": 1}, {"k": 3}, {"eps": 0.2}):
        f = eq.Routed(model, turn, turn, router, look=nn.AvgPool2d(2), **how)
        assert equivariance_error(f, turn, turn, x) <= BOUND[dtype]


# --- its two ends, and what lies between ----------------------------------------------


@given(case=st.sampled_from(ALL), seed=seeds)
def test_all_views_are_lambda_equitune(case, seed):
    x = case.inputs(3, torch.float64, seed)
    for how in ({"k": case.group.order}, {"eps": 0.0}):
        f = routed(case, torch.float64, seed, **how)
        whole = eq.LambdaEquitune(
            f.encoder, case.act_in, case.act_out, f.weighting.net, of="inputs"
        )
        with torch.no_grad():
            y, route = f(x, return_orbit=True)
            expected, orbit = whole(x, return_orbit=True)
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(route.weights, orbit.weights)
        torch.testing.assert_close(route.aligned, orbit.aligned, rtol=0, atol=1e-12)
        assert float(route.left_out.abs().max()) <= 1e-12


@given(case=st.sampled_from([c for c in ALL if not c.vocabulary]), seed=seeds)
def test_one_view_is_canonicalisation(case, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, *case.shape, dtype=torch.float64, generator=generator)
    f = routed(case, torch.float64, seed, k=1)
    with torch.no_grad():
        y, route = f(x, return_orbit=True)
        for b in range(2):
            g = int(route.scores[:, b].argmax())
            view = f.encoder(case.act_in(g, x[b : b + 1]))
            back = case.act_out(int(case.group.inverses[g]), view)
            torch.testing.assert_close(y[b : b + 1], back, rtol=0, atol=1e-12)
    assert route.passes.tolist() == [1, 1]


@given(case=st.sampled_from(ALL), seed=seeds, eps=st.floats(0.001, 0.9))
def test_the_adaptive_rule_takes_the_fewest(case, seed, eps):
    f = routed(case, torch.float64, seed, eps=eps)
    with torch.no_grad():
        _, route = f(case.inputs(4, torch.float64, seed), return_orbit=True)
    assert (route.left_out <= eps).all()
    torch.testing.assert_close(route.weights.sum(0), torch.ones(4, dtype=torch.float64))
    for shares, chosen in zip(route.shares.T, route.chosen.T, strict=True):
        # Without the lightest chosen, and those that tie with it, too much is left.
        lightest = shares[chosen].min()
        fewer = shares[chosen & (shares > lightest * (1 + 1e-8))].sum()
        assert 1 - fewer > eps * (1 - 1e-8)
        assert shares[~chosen].sum() <= lightest * (~chosen).sum()


def test_ties_at_the_cut_are_in():
    scores = torch.tensor([2.0, 1.0, 1.0 - 5e-5, 1.0 - 3e-4])[:, None]
    assert choose(scores, k=2)[:, 0].tolist() == [True, True, True, False]
    assert choose(scores, k=2, tolerance=0.0)[:, 0].tolist() == [
        True,
        True,
        *[False] * 2,
    ]
    even = torch.zeros(4, 1)
    assert choose(even, k=1).all()
    assert choose(even, eps=0.25).all()
    halves = torch.tensor([0.4, 0.4, 0.1, 0.1]).log()[:, None]
    assert choose(halves, eps=0.21)[:, 0].tolist() == [True, True, False, False]
    assert choose(halves, eps=0.2).all()  # met within rounding alone: not relied on


def test_weights_of_views_that_underflow_are_left_out():
    turn = eq.Rot90(C4)
    encoder = Counting(nn.Flatten())
    f = eq.Routed(encoder, turn, eq.Trivial(C4), lambda v: 500 * v[:, 0, 0], k=4)
    f(torch.tensor([[[0.0, 4.0], [8.0, 2.0]]]))
    assert encoder.rows == 1


# --- the certificate ------------------------------------------------------------------


def probabilities(case, seed):
    model = nn.Sequential(case.model(torch.float64, seed), nn.Softmax(-1))
    router = Router(case, torch.float64, seed + 1)

    def build(**how):
        return eq.Routed(model, case.act_in, case.act_out, router, **how)

    return build


CLASSES = [
    case for case in ALL if len(case.out_shape) == 1 and "skewed" not in case.name
]


@given(case=st.sampled_from(CLASSES), seed=seeds)
def test_the_certificate_holds(case, seed):
    build = probabilities(case, seed)
    x = case.inputs(4, torch.float64, seed)
    with torch.no_grad():
        whole, orbit = build(k=case.group.order)(x, return_orbit=True)
        for k in range(1, case.group.order):
            y, route = build(k=k)(x, return_orbit=True)
            d = route.left_out
            variation = (y - whole).abs().sum(-1) / 2
            assert (variation <= d + 1e-12).all()
            # The identity behind it: M_G - M_S = d (r - M_S).
            rest = torch.where(route.chosen, 0, route.shares)[..., None] * orbit.aligned
            torch.testing.assert_close(whole - y, rest.sum(0) - d[:, None] * y)
            # In any norm, d times the greatest distance between two views.
            apart = torch.cdist(*[orbit.aligned.transpose(0, 1)] * 2).amax((1, 2))
            assert ((whole - y).norm(dim=-1) <= d * apart + 1e-12).all()


def test_the_certificate_is_attained():
    # Two views that share no class: the error is what is left out, no less.
    swap, same = permutation(eq.cyclic(2)), eq.Trivial(eq.cyclic(2))
    one_hot = lambda x: nn.functional.one_hot(x.argmax(-1), 2).double()  # noqa: E731
    router = lambda x: x[:, 0]  # noqa: E731
    x = torch.tensor([[1.0, 0.3]], dtype=torch.float64)
    y, route = eq.Routed(one_hot, swap, same, router, k=1)(x, return_orbit=True)
    whole = eq.Routed(one_hot, swap, same, router, k=2)(x)
    variation = float((y - whole).abs().sum()) / 2
    assert variation == pytest.approx(float(route.left_out))
    assert variation > 0.3
    # Renormalised, the 1-norm is 2 d: a bound of d on it, as for the sum that is not
    # renormalised, would be wrong.
    assert float((y - whole).abs().sum()) > 1.9 * float(route.left_out)


# --- passes are what the encoder sees -------------------------------------------------


@given(case=st.sampled_from(ALL), seed=seeds, data=st.data())
def test_passes_are_counted(case, seed, data):
    k = data.draw(st.integers(1, case.group.order))
    fixed = data.draw(st.one_of(st.none(), st.integers(0, case.group.order - 1)))
    f = routed(case, torch.float64, seed, k=k, chunk=data.draw(st.integers(1, 9)))
    f.encoder = Counting(f.encoder)
    x = case.inputs(3, torch.float64, seed, fixed_by=fixed)
    with torch.no_grad():
        _, route = f(x, return_orbit=True)
        assert f.encoder.rows == route.encoded <= int(route.passes.sum())
        for b in range(3):
            f.encoder.rows = 0
            alone = f.orbit(x[b : b + 1])
            assert f.encoder.rows == int(alone.passes) == int(route.passes[b])
            views = case.act_in.orbit(x[b : b + 1])[route.chosen[:, b]]
            assert f.encoder.rows == len(views.flatten(1).unique(dim=0))


def test_inputs_that_share_views_share_passes():
    turn = eq.Rot90(C4)
    x = torch.rand(1, 6, 6)
    encoder = Counting(nn.Flatten())
    f = eq.Routed(encoder, turn, eq.Trivial(C4), lambda v: v[:, 0, 0], k=2)
    y, route = f(turn.orbit(x).flatten(0, 1), return_orbit=True)
    assert (encoder.rows, route.encoded, route.passes.tolist()) == (2, 2, [2] * 4)
    assert torch.equal(y, y[:1].expand_as(y))


def test_the_router_learns_through_the_chosen():
    turn = eq.Rot90(C4)
    router = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    f = eq.Routed(encoder, turn, eq.Trivial(C4), router, k=2)
    f(torch.rand(5, 4, 4)).square().sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in encoder.parameters())
    assert float(router[1].weight.grad.abs().sum()) > 0


# --- equal views ----------------------------------------------------------------------


@given(case=st.sampled_from(ALL), seed=seeds, data=st.data())
def test_distinct_changes_nothing_but_passes(case, seed, data):
    h = data.draw(st.integers(0, case.group.order - 1))
    x = case.inputs(2, torch.float64, seed, fixed_by=h)
    model = case.model(torch.float64, seed)
    counting = Counting(model)
    with torch.no_grad():
        whole = eq.Equitune(model, case.act_in, case.act_out)(x)
        f = eq.Equitune(eq.Distinct(counting), case.act_in, case.act_out)
        torch.testing.assert_close(f(x), whole, rtol=0, atol=1e-12)
    views = case.act_in.orbit(x).flatten(0, 1).flatten(1)
    assert counting.rows == len(views.unique(dim=0))
    if not isinstance(case.act_in, eq.Matrix):
        assert counting.rows <= 2 * case.group.order // case.group.subgroup(h).order


def test_the_order_of_distinct_rows_is_that_of_their_content():
    x = torch.rand(6, 3)[[0, 1, 2, 0, 5, 5]]
    first, place = distinct_rows(x)
    assert torch.equal(x[first][place], x)
    assert len(first) == 4
    order = torch.tensor([3, 5, 0, 4, 2, 1])
    again, _ = distinct_rows(x[order])
    assert torch.equal(x[first], x[order][again])
    assert len(distinct_rows(torch.tensor([[0.0], [-0.0]]))[0]) == 1


def test_distinct_passes_gradients():
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    net = nn.Linear(2, 1)
    eq.Distinct(net)(x).sum().backward()
    grad = net.weight.grad.clone()
    net.zero_grad()
    net(x).sum().backward()
    torch.testing.assert_close(grad, net.weight.grad)


# --- cosets ---------------------------------------------------------------------------


@pytest.mark.parametrize("G", [C4, D4, eq.symmetric(3)], ids=str)
def test_right_cosets(G):
    for H in all_subgroups(G):
        cosets = eq.right_cosets(H)
        assert cosets.shape == (G.order // H.order, H.order)
        assert sorted(cosets.flatten().tolist()) == list(range(G.order))
        for row in cosets:
            assert row.tolist() == [G.product(h, int(row[0])) for h in H.members]
            assert row[0] == row.min()


def respecting(case, H, seed=0):
    """A model that respects a subgroup: the average over it of one that does not."""
    act_in, act_out = case.act_in.restrict(H), case.act_out.restrict(H)
    return Counting(eq.Equitune(case.model(torch.float64, seed), act_in, act_out))


@pytest.mark.parametrize("case", CASES["D4"], ids=str)
@pytest.mark.parametrize("method", ["equitune", "equizero", "lambda"])
def test_eight_views_become_four(case, method):
    H = D4.subgroup("s")
    model = respecting(case, H)
    weighting = {
        "equitune": eq.Uniform(),
        "equizero": eq.ArgMin(lambda y: y.flatten(1).amax(1)),
        "lambda": eq.Learned(lambda y: y.flatten(1)[:, 0]),
    }[method]
    x = case.inputs(3, torch.float64, 1)
    with torch.no_grad():
        whole, orbit = eq.Symmetrized(model, case.act_in, case.act_out, weighting)(
            x, return_orbit=True
        )
        assert model.rows == 24
        f = eq.OverCosets(model, case.act_in, case.act_out, weighting, H)
        y, made = f(x, return_orbit=True)
    assert model.rows == 24 + 12
    torch.testing.assert_close(y, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(made.features, orbit.features, rtol=0, atol=1e-12)


def test_left_cosets_would_be_wrong():
    case = next(case for case in CASES["D4"] if case.name == "vector to vector")
    H = D4.subgroup("s")
    model, x = respecting(case, H), case.inputs(3, torch.float64, 1)
    with torch.no_grad():
        f = eq.Equitune(model, case.act_in, case.act_out)
        whole, orbit = f(x, return_orbit=True)
    right = [int(row[0]) for row in eq.right_cosets(H)]
    left = [0, 1, 2, 3]
    assert {frozenset(D4.table[g, list(H.members)].tolist()) for g in left} == {
        frozenset({g, D4.product(g, "s")}) for g in left
    }
    torch.testing.assert_close(orbit.aligned[right].mean(0), whole)
    for row in eq.right_cosets(H):
        torch.testing.assert_close(orbit.aligned[row[0]], orbit.aligned[row[1]])
    gaps = [
        float((orbit.aligned[g] - orbit.aligned[D4.product(g, "s")]).abs().max())
        for g in left
    ]
    assert max(gaps) > 1e-3


@pytest.mark.parametrize("dtype", DTYPES, ids=IDS)
@given(case=st.sampled_from(CASES["D4"]), seed=seeds, k=st.integers(1, 4))
def test_routed_over_cosets(case, dtype, seed, k):
    H = D4.subgroup("s")
    model = respecting(case, H, seed).to(dtype)
    router = Router(case, dtype, seed)
    x = case.inputs(2, dtype, seed)
    f = eq.Routed(model, case.act_in, case.act_out, router, k=k, respects=H)
    assert equivariance_error(f, case.act_in, case.act_out, x) <= BOUND[dtype]
    with torch.no_grad():
        y, route = f(x, return_orbit=True)
        assert (route.passes <= route.chosen.sum(0)).all()
        if k == 4:
            net = f.weighting.net
            whole = eq.LambdaEquitune(
                model, case.act_in, case.act_out, net, of="inputs"
            )(x)
            gap = (y - whole).abs().max() / route.aligned.abs().max()
            assert float(gap) <= BOUND[dtype]
            assert (route.passes <= 4).all()


# --- the cache ------------------------------------------------------------------------


def test_a_seen_orbit_costs_no_pass():
    turn = eq.Rot90(D4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    cached = eq.Cached(net, size=100).eval()
    f = eq.Equitune(cached, turn, eq.Trivial(D4))
    x = torch.rand(3, 4, 4)
    with torch.no_grad():
        whole = eq.Equitune(net, turn, eq.Trivial(D4))(x)
        torch.testing.assert_close(f(x), whole)
        assert cached.passes == 24
        for g in range(8):
            torch.testing.assert_close(f(turn(g, x)), whole)
        assert cached.passes == 24
        f(torch.rand(1, 4, 4))
        assert cached.passes == 32
        net[1].weight.mul_(2)
        torch.testing.assert_close(f(x), eq.Equitune(net, turn, eq.Trivial(D4))(x))
    assert cached.passes == 56


def test_the_cache_is_bounded_and_steps_aside():
    cached = eq.Cached(nn.Linear(2, 2), size=3).eval()
    x = torch.arange(10.0).view(5, 2)
    with torch.no_grad():
        first = cached(x)
        assert len(cached._kept) == 3
        for made in cached._kept.values():  # and each holds no more than itself
            assert made.untyped_storage().nbytes() == made.nbytes
        torch.testing.assert_close(cached(x[2:]), first[2:])
        assert cached.passes == 5
        cached(x[:1])
        assert cached.passes == 6
        torch.testing.assert_close(cached(x.flip(0)), first.flip(0))
    assert cached(x).requires_grad  # gradients: passed through
    cached.train()
    before = cached.passes
    with torch.no_grad():
        cached(x)
    assert cached.passes == before + 5


def test_a_recalled_output_cannot_be_spoilt():
    cached = eq.Cached(nn.Linear(2, 2), size=9).eval()
    x = torch.rand(2, 2)
    with torch.no_grad():
        first = cached(x)
        kept = first.clone()
        first.zero_()
        cached(x).zero_()
        torch.testing.assert_close(cached(x), kept)


# --- refusals -------------------------------------------------------------------------

TURN, SAME = eq.Rot90(C4), eq.Trivial(C4)
IMAGE = torch.rand(2, 4, 4)


def corner(views):
    return views[:, 0, 0]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({}, "either k, a number, or eps"),
        ({"k": 1, "eps": 0.1}, "either k, a number, or eps"),
        ({"k": 0}, "from 1 to 4; got 0"),
        ({"k": 5}, "from 1 to 4; got 5"),
        ({"k": 1.5}, "from 1 to 4; got 1.5"),
        ({"eps": -0.1}, "eps must be at least 0"),
        ({"eps": 1.0}, "below 1"),
        ({"eps": float("nan")}, "eps must be"),
        ({"k": 1, "tolerance": -1}, "tie tolerance"),
        ({"k": 3, "respects": C4.subgroup("r^2")}, "from 1 to 2; got 3"),
        ({"k": 1, "respects": D4.subgroup("s")}, "no subgroup made from C4"),
        ({"k": 1, "positive": "none"}, "positive must be one of"),
    ],
)
def test_bad_options_are_refused(how, says):
    with pytest.raises(ValueError, match=says):
        eq.Routed(nn.Flatten(), TURN, SAME, corner, **how)


@pytest.mark.parametrize(
    ("parts", "x", "error", "says"),
    [
        ({"router": lambda v: v}, IMAGE, ValueError, "one number a view"),
        ({"router": lambda v: corner(v) / 0}, IMAGE, ValueError, "NaN or infinity"),
        ({"look": lambda v: v[:1]}, IMAGE, ValueError, "keeps the batch as axis 0"),
        ({"encoder": lambda v: v[:1]}, IMAGE, ValueError, "keep the batch as axis 0"),
        ({}, IMAGE[:0], ValueError, "at least one input"),
        ({}, IMAGE.numpy(), TypeError, "takes a torch tensor"),
        ({}, torch.rand(2, 3, 4), ValueError, "needs square images"),
        ({}, torch.full((1, 4, 4), torch.nan), ValueError, "NaN"),
    ],
)
def test_bad_input_is_refused(parts, x, error, says):
    parts = {"encoder": nn.Flatten(), "router": corner, "look": None, **parts}
    f = eq.Routed(
        parts["encoder"], TURN, SAME, parts["router"], k=1, look=parts["look"]
    )
    with pytest.raises(error, match=says):
        f(x)


def test_other_refusals():
    with pytest.raises(ValueError, match="at least 1; got 0"):
        eq.Cached(nn.Identity(), 0)
    with pytest.raises(ValueError, match="is no subgroup"):
        eq.right_cosets(C4)
    with pytest.raises(ValueError, match="no subgroup made from C4"):
        eq.OverCosets(nn.Flatten(), TURN, SAME, eq.Uniform(), D4.subgroup("s"))
    f = eq.OverCosets(nn.Flatten(), TURN, SAME, eq.Uniform(), C4.subgroup("r^2"))
    with pytest.raises(ValueError, match="at least one input"):
        f(IMAGE[:0])
    with pytest.raises(ValueError, match="NaN"):
        eq.Distinct(nn.Identity())(torch.tensor([[torch.nan]]))
