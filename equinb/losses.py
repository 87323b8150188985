"""Proxy losses for equizero: which of the views does the model like best?

Each takes one row a view and gives one number a view; the least is the best. All but
`neg_similarity` read the model's outputs directly.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import normalize


def neg_max_prob(logits: Tensor) -> Tensor:
    """The negative of the greatest probability (sections 4.1 and 4.2 of the paper).

    Args:
        logits: `(N, classes)`, before the softmax.

    Returns:
        `(N,)`, between -1 (certain) and -1/classes (no idea).

    Example:
        >>> import torch
        >>> neg_max_prob(torch.tensor([[0.0, 0.0], [0.0, 50.0]]))
        tensor([-0.5000, -1.0000])
    """
    return -logits.softmax(-1).amax(-1)


def entropy(logits: Tensor) -> Tensor:
    """The entropy of the predicted distribution, in nats (section 4.2 of the paper).

    Args:
        logits: `(N, classes)`, before the softmax.

    Returns:
        `(N,)`, between 0 (certain) and log(classes).

    Example:
        >>> import torch
        >>> entropy(torch.zeros(1, 2))
        tensor([0.6931])
    """
    log_p = logits.log_softmax(-1)
    # 0 log 0 = 0, also where a logit is -inf.
    return -(log_p.exp() * log_p.clamp_min(-1e4)).sum(-1)


def neg_max_q(q: Tensor) -> Tensor:
    r"""The negative of the greatest Q-value: $-\max_a Q(gs, a)$ (section 4.1).

    Args:
        q: `(N, actions)`.

    Returns:
        `(N,)`, in units of return.

    Example:
        >>> import torch
        >>> neg_max_q(torch.tensor([[1.0, 3.0]]))
        tensor([-3.])
    """
    return -q.amax(-1)


def neg_similarity(text: Tensor) -> Callable[[Tensor], Tensor]:
    """The negative of the best cosine similarity to any text (section 4.1, CLIP).

    Args:
        text: `(classes, d)`, text features, of any length.

    Returns:
        A loss from image features `(N, d)` to `(N,)`, between -1 and 1.

    Example:
        >>> import torch
        >>> neg_similarity(torch.eye(2))(torch.tensor([[0.0, 7.0]]))
        tensor([-1.])
    """
    anchors = normalize(text, dim=-1)

    def loss(features: Tensor) -> Tensor:
        return -(normalize(features, dim=-1) @ anchors.to(features).T).amax(-1)

    return loss
