"""The operator itself: equivariant for every method, one encoder pass, no memory."""

import copy

import pytest
import torch
from cases import (
    ALL,
    BOUND,
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
    equivariance_error,
    inverse_by_search,
    loss,
    permutation,
    signed,
    symmetrize,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import equinb as eq

seeds = st.integers(0, 10_000)


class Counting(nn.Module):
    """A model that remembers how many rows each call had."""

    def __init__(self, model):
        super().__init__()
        self.model, self.rows = model, []

    def forward(self, x):
        self.rows.append(len(x))
        return self.model(x)


def case_of(group, name):
    return next(case for case in CASES[group] if case.name == name)


# --- theorem 2 -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", GROUPS)
@given(data=st.data(), seed=seeds)
def test_equivariant(group, method, dtype, data, seed):
    case = data.draw(st.sampled_from(CASES[group]))
    f = symmetrize(method, case, case.model(dtype, seed), dtype)
    x = case.inputs(3, dtype, seed)
    assert equivariance_error(f, case.act_in, case.act_out, x) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", GROUPS)
@given(data=st.data(), seed=seeds)
def test_equivariant_where_inputs_are_symmetric(group, method, dtype, data, seed):
    case = data.draw(st.sampled_from(CASES[group]))
    h = data.draw(st.integers(1, case.group.order - 1))
    x = case.inputs(3, dtype, seed, fixed_by=h)
    torch.testing.assert_close(case.act_in(h, x), x)
    f = symmetrize(method, case, case.model(dtype, seed), dtype)
    assert equivariance_error(f, case.act_in, case.act_out, x) <= BOUND[dtype]
    # The output is as symmetric as the input.
    with torch.no_grad():
        y, orbit = f(x, return_orbit=True)
    gap = (case.act_out(h, y) - y).abs().max()
    assert float(gap / orbit.aligned.abs().max()) <= BOUND[dtype]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.group.name} {case}")
def test_inputs_that_every_element_fixes(case, method):
    x = case.inputs(1, torch.float64)
    x = torch.full_like(x, case.vocabulary - 1 if case.vocabulary else 0.75)
    if not torch.equal(case.act_in.orbit(x), x.expand(case.group.order, *x.shape)):
        x = torch.zeros_like(x)
    f = symmetrize(method, case, case.model(torch.float64), torch.float64)
    with torch.no_grad():
        y, orbit = f(x, return_orbit=True)
    scale = orbit.aligned.abs().max()
    for g in range(case.group.order):
        assert float((case.act_out(g, y) - y).abs().max() / scale) <= 1e-9


@pytest.mark.parametrize("method", METHODS)
@given(case=st.sampled_from(ALL), seed=seeds, order=st.permutations(range(4)))
def test_permuted_batches(method, case, seed, order):
    x = case.inputs(4, torch.float64, seed)
    f = symmetrize(method, case, case.model(torch.float64, seed), torch.float64)
    with torch.no_grad():
        y, orbit = f(x, return_orbit=True)
        torch.testing.assert_close(f(x[order]), y[order], rtol=0, atol=1e-12)
        alone = torch.cat([f(one) for one in x.split(1)])
        torch.testing.assert_close(alone, y, rtol=0, atol=1e-12)
    assert orbit.weights.shape == (case.group.order, 4)


@given(case=st.sampled_from(ALL), seed=seeds)
def test_an_equivariant_model_is_returned_as_it_is(case, seed):
    inner = symmetrize("equitune", case, case.model(torch.float64), torch.float64)
    x = case.inputs(2, torch.float64, seed)
    with torch.no_grad():
        expected = inner(x)
        for method in METHODS:
            outer = symmetrize(method, case, inner, torch.float64)
            torch.testing.assert_close(outer(x), expected, rtol=0, atol=1e-9)


def test_forgetting_the_inverse_shows_with_order_above_two():
    # What this suite would miss if it looked at groups of order 2 alone.
    class Forgetful(eq.Permutation):
        def undo(self, y):
            return torch.stack([self.act(g, y[g]) for g in range(len(y))])

    found = {}
    for G in (C2, C4, D4, S3):
        act = permutation(G)
        out = Forgetful(G, act.perms)
        f = eq.Equitune(nn.Linear(act.size, act.size).double(), act, out)
        x = torch.rand(2, act.size, dtype=torch.float64)
        found[G.name] = equivariance_error(f, act, act, x) > 1e-3
    assert found == {"C2": False, "C4": True, "D4": True, "S3": True}


# --- eq. (1), (2), (4), written out ---------------------------------------------------


def weighed_by_loop(case, model, x, weigh):
    """The sum over g of w_g(x) g^-1 M(gx), one sample and one element at a time."""
    outputs = []
    for one in x.split(1):
        views = [model(case.act_in(g, one)) for g in range(case.group.order)]
        total = 0
        for g, weight in enumerate(weigh(views)):
            back = inverse_by_search(case.group, g)
            total = total + weight * case.act_out(back, views[g])
        outputs.append(total)
    return torch.cat(outputs)


def uniform(views):
    return [1 / len(views)] * len(views)


def argmin(views):
    scores = torch.cat([loss(y) for y in views]).detach()
    best = int(scores.argmin())
    gap = scores.sort().values
    assert gap[1] - gap[0] > 1e-6, "choose a seed without ties"
    return [float(g == best) for g in range(len(views))]


def learned(net):
    def weigh(views):
        lam = [net(y).exp().squeeze() for y in views]
        return [one / sum(lam) for one in lam]

    return weigh


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "case",
    [case for case in ALL if case.group.order < 12],
    ids=lambda case: f"{case.group.name} {case}",
)
def test_values_and_gradients_equal_the_loop(case, method):
    model = case.model(torch.float64, 5)
    f = symmetrize(method, case, model, torch.float64)
    x = case.inputs(2, torch.float64, 5)
    weigh = {"equitune": uniform, "equizero": argmin}.get(method)
    if method == "lambda":
        weigh = learned(f.weighting.net)
    elif method == "equizero":
        f.weighting.estimator = "chosen"
        if case.vocabulary:
            x = case.inputs(2, torch.float64, 7)
            x[:, :3] = torch.arange(3)  # different words: no ties
        else:
            x = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    y, y_loop = f(x), weighed_by_loop(case, model, x, weigh)
    torch.testing.assert_close(y, y_loop, rtol=1e-10, atol=1e-10)
    weights = list(f.parameters())
    direction = torch.randn_like(y)
    for ours, theirs in zip(
        torch.autograd.grad((y * direction).sum(), weights),
        torch.autograd.grad((y_loop * direction).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


# --- one pass -------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", ["C4", "D4", "S3"])
def test_the_encoder_sees_every_view_once(group, method):
    case = case_of(group, "vector to class")
    encoder = Counting(case.model(torch.float32))
    f = symmetrize(method, case, encoder)
    _, orbit = f(case.inputs(5, torch.float32), return_orbit=True)
    assert encoder.rows == [5 * case.group.order]
    assert orbit.views == 5 * case.group.order


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunk", [1, 2, 5, 24, 1000])
def test_chunks_change_nothing(method, chunk):
    for case in CASES["S3"]:
        encoder = Counting(case.model(torch.float64))
        x = case.inputs(4, torch.float64)
        whole = symmetrize(method, case, encoder, torch.float64)(x)
        encoder.rows.clear()
        f = symmetrize(method, case, encoder, torch.float64, chunk=chunk)
        y = f(x)
        torch.testing.assert_close(y, whole, rtol=0, atol=1e-12)
        assert sum(encoder.rows) == 24
        assert max(encoder.rows) == min(chunk, 24)
        assert len(encoder.rows) == -(-24 // chunk)
        y.sum().backward()


@pytest.mark.parametrize("method", METHODS)
def test_the_record_of_the_orbit(method):
    case = case_of("D4", "vector to vector")
    model = case.model(torch.float64)
    f = symmetrize(method, case, model, torch.float64)
    x = case.inputs(3, torch.float64, 1)
    with torch.no_grad():
        y, orbit = f(x, return_orbit=True)
        assert torch.equal(y, f(x))
    torch.testing.assert_close(orbit.inputs, case.act_in.orbit(x))
    flat = model(orbit.inputs.flatten(0, 1)).detach()
    torch.testing.assert_close(orbit.features, flat.view(8, 3, 4))
    torch.testing.assert_close(orbit.aligned, case.act_out.undo(orbit.features))
    assert orbit.outputs is orbit.features
    assert orbit.group == D4
    weights = orbit.weights
    assert weights.shape == orbit.scores.shape == (8, 3)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(3, dtype=x.dtype))
    torch.testing.assert_close((weights[..., None] * orbit.aligned).sum(0), y)
    assert (
        (orbit.effective_views >= 1 - 1e-9) & (orbit.effective_views <= 8 + 1e-9)
    ).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_cut_into_encoder_and_head(method):
    G, act = S3, permutation(S3)
    encoder = Counting(nn.Sequential(nn.Linear(3, 6), nn.Tanh()).double())
    head = Counting(nn.Linear(6, 4).double())
    read = {"equizero": [], "lambda": []}

    def spy(y):
        read[method].append(y)
        return eq.losses.neg_max_q(y)

    out = eq.Trivial(G)
    f = {
        "equitune": lambda: eq.Equitune(encoder, act, out, head=head),
        "equizero": lambda: eq.Equizero(encoder, act, out, loss=spy, head=head),
        "lambda": lambda: eq.LambdaEquitune(encoder, act, out, spy, head=head),
    }[method]()
    x = torch.randn(2, 3, dtype=torch.float64)
    y, orbit = f(x, return_orbit=True)
    average = (orbit.weights[..., None] * orbit.aligned).sum(0)
    torch.testing.assert_close(y, head.model(average))
    assert encoder.rows == [12]
    if method == "equitune":
        assert head.rows == [2]
    if method == "equizero":
        # The loss reads the head's answer to each view; the average is of features.
        assert head.rows == [12, 2]
        assert torch.equal(read[method][0], head.model(orbit.features.flatten(0, 1)))
    if method == "lambda":
        assert head.rows == [2]
        assert torch.equal(read[method][0], orbit.features.flatten(0, 1))
    assert eq.check_equivariance(f, act, out, x).passed
    assert orbit.outputs.shape == (6, 2, 4)


@pytest.mark.parametrize("of", ["inputs", "features", "outputs"])
@pytest.mark.parametrize("method", ["equizero", "lambda"])
def test_what_the_weights_read(method, of):
    act, same = signed(D4), eq.Trivial(D4)
    encoder, head = nn.Linear(4, 5).double(), nn.Linear(5, 2).double()
    seen = []

    def score(rows):
        seen.append(rows)
        return rows.square().sum(-1)

    options = {"of": of, "head": head}
    if method == "equizero":
        f = eq.Equizero(encoder, act, same, loss=score, **options)
    else:
        f = eq.LambdaEquitune(encoder, act, same, score, **options)
    x = torch.randn(3, 4, dtype=torch.float64)
    with torch.no_grad():
        _, orbit = f(x, return_orbit=True)
    assert torch.equal(seen[0], getattr(orbit, of).flatten(0, 1))
    assert seen[0].shape == (24, {"inputs": 4, "features": 5, "outputs": 2}[of])
    assert eq.check_equivariance(f, act, same, x).passed


# --- no memory, no surprises ----------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_kept_between_calls(method):
    case = case_of("S3", "vector to vector")
    f = symmetrize(method, case, case.model(torch.float64), torch.float64).eval()
    x = case.inputs(7, torch.float64)
    state = {name: value.clone() for name, value in f.state_dict().items()}
    attributes = set(vars(f)) | set(vars(f.weighting))
    with torch.no_grad():
        first = f(x)
        for size in (1, 7, 3):
            torch.testing.assert_close(f(x[:size]), first[:size])
        assert torch.equal(f(x), first)
        assert torch.equal(copy.deepcopy(f)(x), first)
    assert set(vars(f)) | set(vars(f.weighting)) == attributes
    assert f.state_dict().keys() == state.keys()
    assert all(
        torch.equal(value, state[name]) for name, value in f.state_dict().items()
    )


@pytest.mark.parametrize("method", METHODS)
def test_state_dict_round_trip(method, tmp_path):
    case = case_of("D4", "image to mask")
    f = symmetrize(method, case, case.model(torch.float32, 1))
    g = symmetrize(method, case, case.model(torch.float32, 2))
    torch.save(f.state_dict(), tmp_path / "weights.pt")
    g.load_state_dict(torch.load(tmp_path / "weights.pt"))
    x = case.inputs(2, torch.float32)
    assert torch.equal(f(x), g(x))


@pytest.mark.parametrize("method", METHODS)
def test_dropout_and_batch_statistics_wait_for_eval(method):
    case = case_of("D4", "vector to vector")
    middle = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 4))
    f = symmetrize(method, case, middle.double(), torch.float64)
    x = case.inputs(4, torch.float64)
    assert equivariance_error(f, case.act_in, case.act_out, x) > 1e-3
    f.eval()
    assert equivariance_error(f, case.act_in, case.act_out, x) <= 1e-9
    with torch.no_grad():
        assert torch.equal(f(x), f(x))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(method, dtype):
    for case in CASES["D4"]:
        f = symmetrize(method, case, case.model(dtype), dtype)
        x = case.inputs(2, dtype)
        y, orbit = f(x, return_orbit=True)
        assert y.dtype == dtype
        assert y.isfinite().all()
        bound = {torch.float16: 5e-3, torch.bfloat16: 5e-2}[dtype]
        assert equivariance_error(f, case.act_in, case.act_out, x) <= bound
        total = orbit.weights.double().sum(0)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=bound)


@pytest.mark.parametrize("method", METHODS)
def test_autocast(method):
    case = case_of("D4", "vector to vector")
    f = symmetrize(method, case, case.model(torch.float32))
    x = case.inputs(3, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = f(x)
        assert equivariance_error(f, case.act_in, case.act_out, x) <= 5e-2
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()


@pytest.mark.parametrize("method", METHODS)
def test_shapes_at_the_edge(method):
    one, G = eq.cyclic(1), D4
    for model, act_in, act_out, x in (
        (nn.Linear(3, 2), eq.Trivial(one), eq.Trivial(one), torch.randn(1, 3)),
        (nn.Linear(4, 1), permutation(G), eq.Trivial(G), torch.randn(1, 4)),
        (lambda v: v[:, 0], permutation(G), eq.Trivial(G), torch.randn(2, 4)),
        (nn.Linear(4, 4), permutation(G), permutation(G), torch.randn(4, 3).T),
        (nn.Linear(4, 4), eq.Trivial(G), eq.Trivial(G), torch.randn(4)[None]),
    ):
        x = x[:, :4] if x.shape[1] != 2 else x
        if x.shape == (3, 4):
            assert not x.is_contiguous()
        options = {
            "equitune": {},
            "equizero": {"loss": lambda y: y.reshape(len(y), -1).sum(1)},
            "lambda": {"net": lambda y: y.reshape(len(y), -1).sum(1)},
        }[method]
        kind = {"equitune": eq.Equitune, "equizero": eq.Equizero}.get(
            method, eq.LambdaEquitune
        )
        f = kind(model, act_in, act_out, **options)
        y = f(x.requires_grad_())
        assert y.shape == model(x).shape
        assert y.requires_grad
        assert eq.check_equivariance(f, act_in, act_out, x).passed


def test_inputs_receive_gradients():
    act = permutation(C3)
    for method in ("equitune", "lambda"):
        case = case_of("C3", "vector to vector")
        f = symmetrize(method, case, case.model(torch.float64), torch.float64)
        x = torch.randn(2, act.size, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(f, x)


def test_an_infinite_logit_does_no_harm():
    # The last action is masked; the group moves the other three.
    act = eq.Permutation(
        S3, torch.cat([torch.tensor(permutation(S3).perms), torch.full((6, 1), 3)], 1)
    )
    net = nn.Linear(3, 4).double()

    def masked(x):
        return net(x).masked_fill(torch.tensor([False, False, False, True]), -torch.inf)

    x = torch.randn(4, 3, dtype=torch.float64)
    for f in (
        eq.Equitune(masked, permutation(S3), act),
        eq.Equizero(masked, permutation(S3), act, loss=eq.losses.entropy),
        eq.Equizero(masked, permutation(S3), act, loss=eq.losses.neg_max_prob),
        eq.LambdaEquitune(masked, permutation(S3), act, lambda y: y.amax(-1)),
    ):
        y = f(x)
        assert y[:, :3].isfinite().all()
        assert (y[:, 3] == -torch.inf).all()
        assert eq.check_equivariance(f, permutation(S3), act, x).passed
        net.zero_grad()
        y[:, :3].sum().backward()
        assert net.weight.grad.isfinite().all()
        assert net.weight.grad[:3].abs().sum() > 0


def test_a_view_of_no_weight_may_be_infinite():
    # Each view masks its own first entry: the entry that is masked moves with g.
    act = permutation(S4)

    def masked(x):
        return torch.cat([torch.full_like(x[:, :1], -torch.inf), x[:, 1:]], 1)

    f = eq.Equizero(masked, act, act, loss=eq.losses.neg_max_q, tolerance=0)
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    y, orbit = f(x, return_orbit=True)
    # The greatest entry is seen by every view but those that put it first.
    assert int((orbit.weights > 0).sum()) == 18
    assert not y.isnan().any()
    digits = torch.tensor([100.0, 10.0, 1.0], dtype=x.dtype)
    only = eq.Equizero(masked, act, act, loss=lambda y: y[:, 1:] @ digits)
    assert only(x).tolist() == [[1.0, 2.0, 3.0, -torch.inf]]


@pytest.mark.parametrize("part", ["encoder", "head", "net"])
def test_what_others_read_is_not_changed_in_place(part):
    doubled = {
        "encoder": nn.Identity(),
        "head": nn.Linear(3, 2),
        "net": nn.Linear(3, 1),
    }
    doubled[part] = nn.Sequential(nn.ReLU(inplace=True), doubled[part])
    act, same = permutation(C3), eq.Trivial(C3)
    f = eq.LambdaEquitune(
        doubled["encoder"], act, same, doubled["net"], head=doubled["head"]
    )
    x = torch.randn(2, 3)
    kept = x.clone()
    if part == "head":  # reads the average, which nobody else does
        assert eq.check_equivariance(f, act, same, x).passed
        orbit = f(x, return_orbit=True)[1]
        with pytest.raises(ValueError, match="in place"):
            _ = orbit.outputs
    else:
        with torch.no_grad(), pytest.raises(ValueError, match="in place"):
            f(x)
        with torch.inference_mode():  # keeps no version numbers
            f(x)
    assert torch.equal(x, kept)
