"""A symmetrized model of sentences that can be trained: all views, one pass, gradients.

What is averaged decides what is learnt. A sentence is a table of distributions, a row a
word, and the average over the views can be taken of

    p         probabilities,
    logits    scores before the softmax, which then follows the average,
    log p     log-probabilities as they are, as in the published code.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from equinb.apps.scan.model import Seq2Seq
from equinb.apps.scan.words import ACTIONS, Symmetry
from equinb.equizero import ArgMin
from equinb.symmetrized import Orbit, Weighting

Cut = Literal["p", "logits", "log p"]
CUTS: tuple[Cut, ...] = get_args(Cut)
#: The least probability that is told from zero, so that its logarithm is finite.
LEAST = 1e-30


class SymmetrizedSeq2Seq(Seq2Seq):
    """A copy of a model, whose losses are those of its average over a group.

    It has the weights of the model, under the same names. Only `forward` and `run`,
    which a training calls, are symmetrized: `say` reads the model by itself, unless it
    is given the symmetry and weights.

    Args:
        model: the model; its weights are copied.
        by: the symmetry.
        weighting: how the views are weighed: `Uniform`, `Learned` of the "inputs"
            (commands; anything else is not the same in both), or `ArgMin`, whose loss
            reads "features": `(N, length, 8)` probabilities, zero after the end of a
            sentence.
        cut: what is averaged; see the head of this module.
        together: whether a sentence that is not told is chosen word by word from the
            average, with all views following; if not, each view speaks for itself and
            the average comes after, place by place. `ArgMin` needs the latter: it
            chooses by whole sentences.

    Raises:
        ValueError: for an unknown cut, or `ArgMin` with `together`.

    Example:
        >>> from equinb.apps.scan.words import COMMANDS, symmetry
        >>> from equinb.equitune import Uniform
        >>> model = SymmetrizedSeq2Seq(Seq2Seq("GRU"), symmetry("Verb"), Uniform())
        >>> x = COMMANDS.encode(["jump", "run"])
        >>> jump, run = model.eval().run(x, 5).exp()
        >>> JUMP, RUN = ACTIONS.ids["JUMP"], ACTIONS.ids["RUN"]
        >>> torch.allclose(jump[:, JUMP], run[:, RUN])
        True
    """

    def __init__(
        self,
        model: Seq2Seq,
        by: Symmetry,
        weighting: Weighting,
        cut: Cut = "logits",
        together: bool = True,
    ) -> None:
        if cut not in CUTS:
            raise ValueError(f"The cut is one of {', '.join(CUTS)}; got {cut!r}.")
        if together and isinstance(weighting, ArgMin):
            raise ValueError(
                "Equizero chooses by whole sentences: build it with together=False."
            )
        super().__init__(model.kind)
        self.load_state_dict(model.state_dict())
        self.to(model.out.weight.device)
        self.by, self.weighting = by, weighting
        self.cut, self.together = cut, together

    @property
    def encoder_and_decoder(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The parameters of the encoder, and those of the decoder; none of lambda."""
        theirs = set(self.weighting.parameters())
        encoder, decoder = super().encoder_and_decoder
        return encoder, [p for p in decoder if p not in theirs]

    def forward(self, commands: Tensor, actions: Tensor) -> Tensor:
        """What is averaged, `(B, length, 8)`, if each view is told its words.

        Args:
            commands: `(B, words)` ids.
            actions: `(B, length)` ids; what is said at each place.

        Returns:
            Log-probabilities. With the cut "log p" their exponentials sum to less than
            one where views disagree.
        """
        views, told = self.by.commands.orbit(commands), self.by.actions.orbit(actions)
        log_p = super().forward(views.flatten(0, 1), told.flatten(0, 1))
        return self._average(views, log_p.unflatten(0, views.shape[:2]), told)

    def run(self, commands: Tensor, length: int) -> Tensor:
        """As `forward`, `(B, length, 8)`, but nobody is told a word.

        Args:
            commands: `(B, words)` ids.
            length: how many words are chosen, whether or not the sentence has ended.
        """
        views = self.by.commands.orbit(commands)
        shape = views.shape[:2]
        if not self.together:
            log_p = super().run(views.flatten(0, 1), length).unflatten(0, shape)
            return self._average(views, log_p, log_p.argmax(-1))
        memory, state = self.encode(views.flatten(0, 1))
        hidden = state.hidden.unflatten(0, shape)
        before = Orbit(self.by.group, views, hidden, hidden)
        scores, weights = self.weighting(before)
        last = torch.full_like(commands[:, 0], ACTIONS.ids["<sos>"])
        rows = []
        for _ in range(length):
            told = self.by.actions.orbit(last).flatten()
            log_p, state = self.step(told, state, memory)
            aligned = self._cut(log_p.unflatten(0, shape))
            now = Orbit(self.by.group, views, hidden, aligned)
            now.scores, now.weights = scores, weights
            rows.append(self._log(self.weighting.combine(now)))
            last = rows[-1].argmax(-1)
        return torch.stack(rows, 1)

    def _average(self, views: Tensor, log_p: Tensor, words: Tensor) -> Tensor:
        """The average of whole sentences `(|G|, B, length, 8)`, weighed by them."""
        ended = (words == ACTIONS.eos).long()
        spoken = ended.cumsum(-1) - ended == 0
        p = log_p.exp() * spoken[..., None]
        orbit = Orbit(self.by.group, views, p, self._cut(log_p))
        orbit.scores, orbit.weights = self.weighting(orbit)
        return self._log(self.weighting.combine(orbit))

    def _cut(self, log_p: Tensor) -> Tensor:
        """What is averaged, carried back from the terms of each view.

        Logits differ from log p by one number a view and place, which the softmax after
        the average takes away.
        """
        return self.by.logits.undo(log_p.exp() if self.cut == "p" else log_p)

    def _log(self, averaged: Tensor) -> Tensor:
        if self.cut == "p":
            return averaged.clamp_min(LEAST).log()
        return averaged.log_softmax(-1) if self.cut == "logits" else averaged
