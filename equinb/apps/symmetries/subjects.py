"""Pretrained models with a task: inputs without labels, and others with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from equinb.actions import Action, Trivial
from equinb.apps.clip.glyphs import GLYPH_NAMES, GLYPH_TEMPLATES, GLYPHS, sample
from equinb.apps.clip.model import Similarity, normalise
from equinb.apps.clip.pretrained import load_clip
from equinb.apps.cnn.backbones import load_backbone
from equinb.apps.cnn.data import load_task
from equinb.apps.cnn.probing import Probing, probe
from equinb.apps.letters import LETTERS
from equinb.apps.symmetries import agents
from equinb.apps.symmetries.signs import SIGNS, carried, handwritten, printed, train
from equinb.apps.views.orbits import GENERATORS, Orbits, action
from equinb.groups import cyclic
from equinb.losses import neg_max_prob, neg_max_q
from equinb.symmetrized import TensorMap

DIGITS = "0123456789"
#: Those that are digits after a half turn as well.
TURNABLE = "01689"
#: Seeds of the inputs; those of a run are added.
UNLABELLED, LABELLED = 10_000, 20_000


@dataclass(frozen=True)
class Subject:
    """A pretrained model with a task.

    Attributes:
        model: to logits, or to features for the head.
        head: from features to logits, if the average comes before it.
        loss: the proxy loss of equizero.
        unlabelled: `(B, ...)`, what a diagnosis sees.
        inputs: `(N, ...)`, other ones, in the same pose.
        right: `(N, classes)`, which answers to them are right.
        candidates: by name, how groups act on inputs and outputs.
        carries: by the same names, `(|G|, classes)`: what each element makes of a class
            by the task; the task has the symmetry if the action on outputs agrees.
        classes: what they are called.
    """

    model: TensorMap
    head: TensorMap | None
    loss: TensorMap
    unlabelled: Tensor
    inputs: Tensor
    right: Tensor
    candidates: Mapping[str, tuple[Action, Action]]
    carries: Mapping[str, Tensor]
    classes: tuple[str, ...]

    def lacks(self, name: str) -> bool:
        """Whether the task lacks a candidate: some element moves a class elsewhere."""
        table = self.carries[name]
        each = torch.eye(table.shape[1])
        expected = self.candidates[name][1].orbit(each).argmax(-1)
        return not torch.equal(expected, table)


def load_subject(name: str, seed: int, unlabelled: int, labelled: int) -> Subject:
    """A subject by name.

    Args:
        name: "cnn", "clip" or "probe" and one of the shipped glyph models, as in
            "cnn/glyph-resnet"; "letters", "signs", "digits", "digits 01689"; or
            "cartpole", "acrobot", "gridworld".
        seed: of the inputs, of nets that are trained here, and of the agent.
        unlabelled: how many inputs without labels, where there is no end of them.
        labelled: how many with.

    Raises:
        ValueError: for another name.
    """
    kind, _, which = name.partition("/")
    if kind in MAKERS:
        return MAKERS[kind](which, seed, unlabelled, labelled)
    raise ValueError(f"There is no subject {name!r}; there are {', '.join(MAKERS)}.")


def _of_images(
    model: TensorMap,
    head: TensorMap | None,
    unlabelled: Tensor,
    labelled: tuple[Tensor, Tensor],
    signs: str,
    classes: int | None = None,
) -> Subject:
    """A classifier of images: all symmetries of a square are tried on it."""
    acts = {name: action(name) for name in GENERATORS}
    inputs, labels = labelled
    return Subject(
        model,
        head,
        neg_max_prob,
        unlabelled,
        inputs,
        one_hot(labels, classes or len(signs)).bool(),
        {name: (act, Trivial(act.group)) for name, act in acts.items()},
        {name: carried(signs, act.group, classes) for name, act in acts.items()},
        tuple(signs),
    )


def _cnn(which: str, seed: int, unlabelled: int, labelled: int) -> Subject:
    backbone = load_backbone(which)
    some, _ = sample(unlabelled, UNLABELLED + seed, test=True)
    pixels, labels = sample(labelled, LABELLED + seed, test=True)
    known = backbone.preprocess(pixels), labels
    unknown = backbone.preprocess(some)
    # No glyph is another one under any turn or mirror.
    return _of_images(backbone.encode, backbone.head, unknown, known, GLYPHS)


def _clip(which: str, seed: int, unlabelled: int, labelled: int) -> Subject:
    clip = load_clip(which)
    head = Similarity(clip.classifier(GLYPH_NAMES, GLYPH_TEMPLATES), clip.scale)
    some, _ = sample(unlabelled, UNLABELLED + seed, test=True)
    pixels, labels = sample(labelled, LABELLED + seed, test=True)
    known = normalise(pixels), labels
    return _of_images(clip.encode, head, normalise(some), known, GLYPHS)


def _probe(which: str, seed: int, unlabelled: int, labelled: int) -> Subject:
    backbone, task = load_backbone(which), load_task("digits")
    x, y = (
        [backbone.preprocess(task.split(split)[0]), task.split(split)[1]]
        for split in ("train", "test")
    )
    with torch.no_grad():
        features = backbone.encode(x[0])[None]
    head = probe(Orbits(cyclic(1), features, x[1]), 10, None, Probing(rate=1e-2), seed)
    some = backbone.preprocess(task.split("validation")[0])[:unlabelled]
    known = y[0][:labelled], y[1][:labelled]
    return _of_images(backbone.encode, head, some, known, DIGITS)


def _printed(signs: str) -> Callable[[str, int, int, int], Subject]:
    def make(which: str, seed: int, unlabelled: int, labelled: int) -> Subject:
        net = train(*printed(signs, 20_000, seed), seed)
        some, _ = printed(signs, unlabelled, UNLABELLED + seed)
        known = printed(signs, labelled, LABELLED + seed)
        return _of_images(net, None, some, known, signs)

    return make


def _handwritten(digits: str) -> Callable[[str, int, int, int], Subject]:
    def make(which: str, seed: int, unlabelled: int, labelled: int) -> Subject:
        net = train(*handwritten("train", digits), seed)
        some, _ = handwritten("validation", digits)
        x, y = handwritten("test", digits)
        known = x[:labelled], y[:labelled]
        return _of_images(net, None, some[:unlabelled], known, digits, 10)

    return make


def _agent(short: str) -> Callable[[str, int, int, int], Subject]:
    def make(which: str, seed: int, unlabelled: int, labelled: int) -> Subject:
        played = agents.play(short, seed, unlabelled, labelled)
        name = "symmetry"
        return Subject(
            played.q,
            None,
            neg_max_q,
            played.unlabelled,
            played.states,
            played.right,
            {name: (played.task.state, played.task.action)},
            {name: played.moves},
            tuple(map(str, range(played.right.shape[1]))),
        )

    return make


MAKERS: Mapping[str, Callable[[str, int, int, int], Subject]] = {
    "cnn": _cnn,
    "clip": _clip,
    "probe": _probe,
    "letters": _printed(LETTERS),
    "signs": _printed(SIGNS),
    "digits": _handwritten(DIGITS),
    "digits 01689": _handwritten(TURNABLE),
    **{short: _agent(short) for short in ("cartpole", "acrobot", "gridworld")},
}
