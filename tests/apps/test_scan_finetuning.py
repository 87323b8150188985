"""Models that are trained through their average, lambda for sentences, finetuning."""

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from scan_cases import EOS, everything, left_alone, some, trained, untrained
from torch.nn.functional import one_hot, pad

import equinb as eq
from equinb.apps import scan
from equinb.apps.scan import finetuning, importance
from equinb.apps.scan.methods import GeometricMean
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Orbit

GROUPS = ("Verb", "Direction", "Verbs")
EACH_CELL = pytest.mark.parametrize("kind", scan.CELLS)
EACH_GROUP = pytest.mark.parametrize("name", GROUPS)
EACH_TASK = pytest.mark.parametrize("task", scan.TASKS)
EACH_METHOD = pytest.mark.parametrize("method", scan.METHODS)


def lam(kind, seed=0):
    """A lambda that has learnt nothing, and is far from even."""
    torch.manual_seed(seed)
    net = scan.Importance(trained(kind))
    with torch.no_grad():
        net.net[-1].weight *= 20
    return Learned(net.requires_grad_(False), of="inputs")


def surest(estimator="mean"):
    return ArgMin(scan.certainty, "features", estimator, scan.TIE)


#: What weighs the views, from the kind of a cell, and whether they follow one sentence.
WEIGHED = {
    "even": (lambda kind: Uniform(), True),
    "even, apart": (lambda kind: Uniform(), False),
    "lambda": (lam, True),
    "lambda, apart": (lam, False),
    "surest": (lambda kind: surest(), False),
}
EACH_WEIGHTING = pytest.mark.parametrize("weighed", WEIGHED)


def symmetrized(kind, by, weighed="even", cut="logits"):
    build, together = WEIGHED[weighed]
    model = scan.SymmetrizedSeq2Seq(trained(kind), by, build(kind), cut, together)
    return model.double().eval()


def moved(by, each=3, most=8):
    """Commands that no element leaves alone, so that no views tie, and 10 actions."""
    commands, actions = some(each, most)
    kept = ~left_alone(commands, by)
    return commands[kept], actions[kept, :10]


def until_end(words):
    """The places up to the first EOS, which is one of them."""
    ended = (words == EOS).long()
    return ended.cumsum(-1) - ended == 0


def weights_of(model):
    return torch.cat([t.flatten() for t in model.state_dict().values()])


# The average is equivariant.


def errors(model, by, commands, actions):
    """How far f(gx) is from g f(x), told the words and not."""
    views, told = by.commands.orbit(commands), by.actions.orbit(actions)
    views, told = views.flatten(0, 1), told.flatten(0, 1)
    for said, of_views in (
        (model(commands, actions), model(views, told)),
        (model.run(commands, 12), model.run(views, 12)),
    ):
        yield (of_views - by.logits.orbit(said).flatten(0, 1)).abs().max().item()


@EACH_WEIGHTING
@EACH_GROUP
@EACH_CELL
def test_the_average_is_equivariant(kind, name, weighed):
    by = scan.symmetry(name)
    for cut in scan.CUTS:
        model = symmetrized(kind, by, weighed, cut)
        assert max(errors(model, by, *moved(by))) < 1e-9
    plain = trained(kind, torch.float64)
    assert min(errors(plain, by, *moved(by))) > 1e-3


@pytest.mark.parametrize("parts", [("actions",), ("logits",), ("actions", "logits")])
@EACH_WEIGHTING
def test_the_wrong_direction_is_no_symmetry(weighed, parts):
    """Verbs has order 4: g and its inverse differ."""
    by = scan.symmetry("Verbs")
    perms = by.actions.orbit(torch.arange(len(scan.ACTIONS))[None])[:, 0]
    back = perms[by.group.inverses]
    wrong = {
        "actions": eq.Relabel(by.group, back),
        "logits": eq.Permutation(by.group, back),
    }
    planted = replace(by, **{part: wrong[part] for part in parts})
    model = symmetrized("LSTM", planted, weighed)
    assert min(errors(model, by, *moved(by))) > 1e-3


# The average, against plain loops.


def each_view(by, of_view):
    """What a function says to each view, carried back by hand."""
    for g in range(by.group.order):
        yield by.logits.act(int(by.group.inverses[g]), of_view(g))


def mixed(weights, aligned, cut):
    mean = sum(w[:, None, None] * p for w, p in zip(weights, aligned, strict=True))
    return {"p": mean.log(), "logits": mean.log_softmax(-1), "log p": mean}[cut]


def slow_weights(weighed, kind, by, commands, views):
    """Even, of lambda, or all on the view of the greatest mean certainty."""
    if weighed.startswith("even"):
        return torch.full((by.group.order, len(commands)), 1 / by.group.order)
    if weighed.startswith("lambda"):
        lambdas = [lam(kind).net.double()(by.commands.act(g, commands)) for g in by]
        return torch.stack(lambdas).softmax(0)
    certain = [
        [
            max_p[:end].mean()
            for max_p, end in zip(
                log_p.exp().amax(-1), until_end(words).sum(1), strict=True
            )
        ]
        for log_p, words in views
    ]
    best = torch.tensor(certain).argmax(0)
    return one_hot(best, by.group.order).T.double()
