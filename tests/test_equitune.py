"""Equitune, eq. (1): the plain average."""

import pytest
import torch
from cases import C4, CASES, D4, S3, permutation, symmetrize
from torch import nn

import equinb as eq


@pytest.mark.parametrize("group", ["C4", "D4", "S3", "C2 x S3"])
def test_every_view_weighs_the_same(group):
    case = CASES[group][0]
    f = symmetrize("equitune", case, case.model(torch.float32))
    _, orbit = f(case.inputs(3, torch.float32), return_orbit=True)
    n = case.group.order
    assert torch.equal(orbit.weights, torch.full((n, 3), 1 / n))
    assert torch.equal(orbit.scores, torch.zeros(n, 3))
    torch.testing.assert_close(orbit.effective_views, torch.full((3,), float(n)))


@pytest.mark.parametrize("G", [C4, D4, S3], ids=lambda G: G.name)
def test_a_linear_model_becomes_its_projection(G):
    # The average of P_g^-1 A P_g commutes with every P_g.
    act = permutation(G)
    model = nn.Linear(act.size, act.size, bias=False).double()
    f = eq.Equitune(model, act, act)
    eye = torch.eye(act.size, dtype=torch.float64)
    A = f(eye).detach().T
    P = act.orbit(eye).mT
    torch.testing.assert_close(P @ A, A @ P)
    mean = torch.stack([p.T @ model.weight.detach() @ p for p in P]).mean(0)
    torch.testing.assert_close(A, mean)
    g = eq.Equitune(lambda x: x @ A.T, act, act)
    torch.testing.assert_close(g(eye), A.T)


def test_gradients_reach_every_weight():
    case = CASES["D4"][1]
    f = symmetrize("equitune", case, case.model(torch.float32))
    f(case.inputs(2, torch.float32)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in f.parameters())
