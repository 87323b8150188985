"""Lambda-equitune, eq. (4): learned weights, and the path between the other two."""

import math

import pytest
import torch
from cases import ALL, C4, CASES, D4, S3, loss, permutation, symmetrize
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import equinb as eq
from equinb.lambda_equitune import POSITIVE

seeds = st.integers(0, 10_000)


def with_net(case, model, net, **options):
    return eq.LambdaEquitune(model, case.act_in, case.act_out, net, **options)


@pytest.mark.parametrize("positive", POSITIVE)
@given(case=st.sampled_from(ALL), seed=seeds)
def test_a_constant_lambda_is_equitune(positive, case, seed):
    model = case.model(torch.float64, seed)
    x = case.inputs(2, torch.float64, seed)

    def constant(y):
        return torch.full((len(y),), 1.7, dtype=y.dtype)

    f = with_net(case, model, constant, positive=positive)
    with torch.no_grad():
        expected = symmetrize("equitune", case, model)(x)
        torch.testing.assert_close(f(x), expected, rtol=0, atol=1e-12)


@given(case=st.sampled_from(ALL), seed=seeds)
def test_the_temperature_leads_from_equizero_to_equitune(case, seed):
    model = case.model(torch.float64, seed)
    x = case.inputs(2, torch.float64, seed)

    def at(tau):
        # log lambda = -l / tau
        return with_net(case, model, lambda y: -loss(y) / tau, of="outputs")

    with torch.no_grad():
        zero = symmetrize("equizero", case, model, torch.float64)
        equizero, orbit = zero(x, return_orbit=True)
        equitune = symmetrize("equitune", case, model)(x)
        torch.testing.assert_close(at(1e9)(x), equitune, rtol=0, atol=1e-7)
        order = orbit.scores.sort(0).values
        gaps = order - order[0]
        if not ((gaps > 1e-9) & (gaps < 1e-4)).any():
            torch.testing.assert_close(at(1e-6)(x), equizero, rtol=0, atol=1e-7)
        views = [
            at(tau)(x, return_orbit=True)[1].effective_views for tau in (0.01, 0.1, 1)
        ]
        assert (views[0] <= views[1] + 1e-9).all()
        assert (views[1] <= views[2] + 1e-9).all()


@pytest.mark.parametrize("positive", POSITIVE)
@given(case=st.sampled_from(ALL), seed=seeds)
def test_weights_are_positive_and_sum_to_one(positive, case, seed):
    model = case.model(torch.float64, seed)

    def net(y):
        z = 3 * y.flatten(1).sum(1)
        return z.exp() if positive == "given" else z

    f = with_net(case, model, net, positive=positive)
    x = case.inputs(3, torch.float64, seed)
    with torch.no_grad():
        _, orbit = f(x, return_orbit=True)
    assert (orbit.weights > 0).all()
    torch.testing.assert_close(orbit.weights.sum(0), torch.ones(3, dtype=torch.float64))
    z = net(model(orbit.inputs.flatten(0, 1)).detach()).view(-1, 3)
    lam = {"exp": z.exp(), "softplus": (1 + z.exp()).log(), "given": z}[positive]
    torch.testing.assert_close(orbit.weights, lam / lam.sum(0))
    torch.testing.assert_close(orbit.scores, lam.log())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("positive", ["exp", "softplus"])
def test_extreme_scores_overflow_nowhere(dtype, positive):
    act = permutation(S3)
    x = torch.tensor([[0.25, 1.0, 2.0]], dtype=dtype)
    limit = 6e4 if dtype is torch.float16 else 1e30
    for low, high in ((-limit, limit), (-18, -18), (-12, -12), (-limit, -limit)):

        def net(y, low=low, high=high):
            return torch.where(y[:, 0] > 1, high, low).to(y.dtype)

        f = eq.LambdaEquitune(nn.Identity(), act, act, net, positive=positive)
        y, orbit = f(x, return_orbit=True)
        total = orbit.weights.double().sum(0)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-2)
        if low == high:
            mean = eq.Equitune(nn.Identity(), act, act)(x)
            torch.testing.assert_close(y, mean)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_log_softplus_is_smooth_and_right(dtype):
    z = torch.linspace(-40, 40, 801, dtype=dtype, requires_grad=True)
    scores = eq.Learned(lambda y: y, positive="softplus")._log_lambda(z)
    exact = [math.log(math.log1p(math.exp(float(v)))) for v in z.detach()]
    tolerance = {torch.float16: 2e-2, torch.float32: 1e-5, torch.float64: 1e-8}[dtype]
    torch.testing.assert_close(
        scores.detach().double(),
        torch.tensor(exact, dtype=torch.float64),
        rtol=tolerance,
        atol=tolerance,
    )
    (slope,) = torch.autograd.grad(scores.sum(), z)
    assert slope.isfinite().all()
    assert (slope > 0).all()
    assert (slope <= 1.01).all()


@pytest.mark.parametrize("positive", ["exp", "softplus"])
@pytest.mark.parametrize("group", ["C4", "D4", "S3"])
def test_gradients_reach_model_and_net(group, positive):
    case = CASES[group][1]
    net = nn.Linear(case.out_shape[0], 1).double()
    model = case.model(torch.float64)
    f = with_net(case, model, net, positive=positive)
    x = case.inputs(2, torch.float64, 4)
    f(x).square().sum().backward()
    assert net.weight.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())
    x = torch.randn_like(x).requires_grad_()
    assert torch.autograd.gradcheck(f, x)


def test_numbers_may_come_as_a_column():
    act = permutation(D4)
    for net in (lambda y: y[:, 0], lambda y: y[:, :1]):
        f = eq.LambdaEquitune(nn.Identity(), act, act, net)
        x = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
        scores = f(x, return_orbit=True)[1].scores
        assert torch.equal(scores, act.orbit(x)[..., 0])


def test_net_and_model_are_both_trained_and_stored():
    act = permutation(C4)
    f = eq.LambdaEquitune(nn.Linear(4, 4), act, act, nn.Linear(4, 1))
    names = {name for name, _ in f.named_parameters()}
    assert names == {
        *("encoder.weight", "encoder.bias"),
        *("weighting.net.weight", "weighting.net.bias"),
    }
