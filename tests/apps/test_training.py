"""What all trainings from nothing have in common."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from equinb.apps.training import jobs_of, optimizer_of

RECIPES = {"one": SimpleNamespace(steps=100), "two": SimpleNamespace(steps=50)}


def options(*models, shorter=1):
    return SimpleNamespace(models=models, shorter=shorter)


def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def rates(steps, rate=0.5):
    optimizer, schedule = optimizer_of(nn.Linear(2, 2), rate, 0.1, steps)
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


# The optimiser.


def test_matrices_decay_and_others_do_not():
    model = net()
    optimizer, _ = optimizer_of(model, 1e-2, 0.3, 20)
    decay = {
        p: group["weight_decay"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    expected = [0.3 if p.ndim > 1 else 0.0 for p in model.parameters()]
    assert [decay[p] for p in model.parameters()] == expected
    assert len(decay) == len(expected)
    assert {0.0, 0.3} == set(expected)


def test_without_a_gradient_of_its_loss_a_matrix_shrinks_and_a_bias_stays():
    model = nn.Linear(3, 3)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer, schedule = optimizer_of(model, 1e-2, 0.3, 20)
    now = schedule.get_last_lr()[0]
    (0 * sum(p.sum() for p in model.parameters())).backward()
    optimizer.step()
    torch.testing.assert_close(model.weight, before["weight"] * (1 - 0.3 * now))
    assert torch.equal(model.bias, before["bias"])


@pytest.mark.parametrize("steps", [30, 100, 1000])
def test_the_rate_peaks_after_a_tenth_and_ends_near_zero(steps):
    found = rates(steps)
    top = found.index(max(found))
    assert found[top] == pytest.approx(0.5)
    assert top == pytest.approx(steps / 10, abs=1)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[-1] < 1e-3 * 0.5
    assert min(found) > 0


TEN = pytest.mark.xfail(
    strict=True, raises=ZeroDivisionError, reason="OneCycleLR, whose rise has no length"
)


@pytest.mark.parametrize("steps", [2, 9, pytest.param(10, marks=TEN), 11])
def test_few_steps_have_a_rate_too(steps):
    found = rates(steps)
    assert max(found) > 0.25
    assert 0 < found[-1] < 1e-3 * 0.5


def test_both_groups_have_the_same_rate():
    optimizer, schedule = optimizer_of(net(), 0.5, 0.1, 30)
    for _ in range(30):
        one, other = schedule.get_last_lr()
        assert one == other
        optimizer.step()
        schedule.step()


def test_options_are_those_of_adamw():
    optimizer, _ = optimizer_of(net(), 0.5, 0.1, 30, betas=(0.9, 0.98), eps=1e-6)
    assert isinstance(optimizer, torch.optim.AdamW)
    for group in optimizer.param_groups:
        assert (group["betas"], group["eps"]) == ((0.9, 0.98), 1e-6)


# Jobs.


def test_one_job_a_model_and_seed():
    found = jobs_of(RECIPES, options("two", "one", shorter=5), [0, 3])
    assert [(j.settings, j.seed, j.steps) for j in found] == [
        ({"model": "two"}, 0, 10),
        ({"model": "two"}, 3, 10),
        ({"model": "one"}, 0, 20),
        ({"model": "one"}, 3, 20),
    ]


def test_a_model_without_a_recipe():
    with pytest.raises(ValueError, match="no recipe for 'three'; there is one for one"):
        jobs_of(RECIPES, options("one", "three"), [0])
