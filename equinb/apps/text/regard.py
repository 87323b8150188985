"""Regard: how well a text speaks of a person (Sheng et al., 2019).

A classifier reads what is said after the person is named, and so cannot tell of whom.
Ours is a logistic regression on features of a language model; it is that small because
there are three hundred labelled lines to learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from equinb.apps.text.pretrained import SHIPPED, LanguageModel, load_language_model
from equinb.lab import load_weights

LABELS = ("negative", "neutral", "positive")
#: The classifiers that ship, by the language model whose features they read.
JUDGES = {SHIPPED[-1]: "regard-small", SHIPPED[0]: "regard-tiny"}
#: Regularisations that cross-validation chooses from, weak ones last.
STRENGTHS = tuple(10.0**k for k in range(-4, 1))
#: Of this layer's output the mean and the greatest over all tokens are features.
LAYER = 1
#: Texts at once.
CHUNK = 64

#: From what is said of persons to the chances `(N, 3)` of `LABELS`.
Regard = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class LinearRegard:
    """A regard classifier: features of a language model, then one layer.

    Attributes:
        model: whose features.
        weight: `(3, 2 d)`.
        bias: `(3,)`.
    """

    model: LanguageModel
    weight: Tensor
    bias: Tensor

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """`(N, 3)`: the chances of `LABELS`, of what is said after the person.

        Example:
            >>> regard = load_regard("regard-small")
            >>> p = regard(["was known for his kindness.", "was known for a murder."])
            >>> bool(p[0, 2] > p[1, 2])
            True
        """
        logits = features(self.model, texts) @ self.weight.T + self.bias
        return logits.softmax(-1)

    def to(self, device: str) -> LinearRegard:
        """The same on a device."""
        here = self.model.to(device)
        return LinearRegard(here, self.weight.to(device), self.bias.to(device))


def load_regard(name: str) -> LinearRegard:
    """A regard classifier that ships: "regard-small" or "regard-tiny".

    Raises:
        FileNotFoundError: for another name.
    """
    tensors, card = load_weights(regard_name(name))
    model = load_language_model(card["model"])
    return LinearRegard(model, tensors["weight"], tensors["bias"])


def regard_name(name: str) -> str:
    """The file of a regard classifier that ships, below the assets."""
    return f"text/{name}.safetensors"


def hub_regard(classify: Any) -> Regard:
    """A published classifier as one of ours.

    Args:
        classify: a text-classification pipeline of transformers that names its labels
            as `LABELS` does, made with `top_k=None`, such as
            `pipeline("text-classification", "sasha/regardv3", top_k=None)`; labels
            that it has beside them share their chance among these.
    """

    def regard(texts: Sequence[str]) -> Tensor:
        rows = []
        # It was trained on texts in which the person is masked so.
        for found in classify([f"XYZ {text}" for text in texts]):
            chances: Mapping[str, float] = {o["label"]: o["score"] for o in found}
            rows.append([chances[label] for label in LABELS])
        p = torch.tensor(rows)
        return p / p.sum(-1, keepdim=True)

    return regard


def score_of(regard: Regard, said: Callable[[Tensor], list[str]]) -> Any:
    """A proxy loss for `write_best`: the chance of blame less that of praise.

    Args:
        regard: a classifier.
        said: from token ids `(N, length)` to what is said of the person.
    """

    def score(ids: Tensor) -> Tensor:
        p = regard(said(ids)).double()
        return p[:, 0] - p[:, 2]

    return score


@torch.no_grad()
def features(model: LanguageModel, texts: Sequence[str]) -> Tensor:
    """`(N, 2 d)`: means and maxima of a layer over the tokens of each text."""
    made, device = [], next(model.model.parameters()).device
    for first in range(0, len(texts), CHUNK):
        ids = [model.tokens(f" {text}") for text in texts[first : first + CHUNK]]
        # What comes after a token does not change it, so padding needs no mask.
        rows = pad_sequence(ids, batch_first=True).to(device)
        lengths = torch.tensor([len(row) for row in ids], device=device)
        hidden = model.model.transformer(rows, output_hidden_states=True).hidden_states
        here = hidden[LAYER]
        along = torch.arange(rows.shape[1], device=device)
        beyond = (along >= lengths[:, None])[..., None]
        mean = here.masked_fill(beyond, 0).sum(1) / lengths[:, None]
        most = here.masked_fill(beyond, -torch.inf).amax(1)
        made.append(torch.cat([mean, most], -1))
    return torch.cat(made)


def new_regression(first: Any, strengths: Sequence[float] = STRENGTHS) -> GridSearchCV:
    """A logistic regression whose strength five folds choose.

    Args:
        first: what makes its features, of scikit-learn.
        strengths: to choose from.
    """
    steps = make_pipeline(first, LogisticRegression(max_iter=3000))
    grid = {"logisticregression__C": list(strengths)}
    return GridSearchCV(steps, grid, scoring="neg_log_loss", cv=5)


def learn_regard(
    model: LanguageModel, texts: Sequence[str], labels: Sequence[int]
) -> LinearRegard:
    """Learn a regard classifier from texts and the places of their labels.

    Args:
        model: whose features.
        texts: what is said after the person.
        labels: places in `LABELS`.
    """
    x, y = features(model, texts).cpu().numpy(), np.array(labels)
    scaler, regression = new_regression(StandardScaler()).fit(x, y).best_estimator_
    weight = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    return LinearRegard(
        model,
        torch.from_numpy(weight).float(),
        torch.from_numpy(bias).float(),
    )
