"""Lambda-equitune, eq. (4) of the paper: learned importance weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equinb.actions import Action
from equinb.equizero import require_readable
from equinb.symmetrized import Orbit, Symmetrized, TensorMap, Weighting

#: What makes lambda positive: exp or softplus of the net; "given" takes it as it is.
POSITIVE = ("exp", "softplus", "given")


class Learned(Weighting):
    r"""The weights of lambda-equitune: $w_g(x) = \lambda(gx) / \sum_h \lambda(hx)$.

    Args:
        net: from `(N, ...)` to one number a view, `(N,)` or `(N, 1)`.
        of: what it reads: the encoder's "features", the "outputs" or the "inputs".
        positive: how its number z becomes $\lambda > 0$: "exp" $e^z$, "softplus"
            $\log(1 + e^z)$, or "given", z itself, which is then checked.
    """

    def __init__(
        self, net: TensorMap, of: str = "features", positive: str = "exp"
    ) -> None:
        super().__init__()
        require_readable(of)
        if positive not in POSITIVE:
            raise ValueError(
                f"positive must be one of {', '.join(POSITIVE)}; got {positive!r}."
            )
        self.net, self.of, self.positive = net, of, positive

    def forward(self, orbit: Orbit) -> tuple[Tensor, Tensor]:
        """The logarithm of lambda, and the weights, normalised over the group."""
        scores = self._log_lambda(orbit.score(self.net, self.of, "lambda"))
        return scores, scores.softmax(0)

    def _log_lambda(self, z: Tensor) -> Tensor:
        if self.positive == "exp":
            return z
        if self.positive == "softplus":
            # log softplus(z) is z itself where softplus(z) would vanish.
            edge = -8.0 if z.dtype is torch.float16 else -20.0
            safe = nn.functional.softplus(z.clamp_min(edge)).log()
            return torch.where(z > edge, safe, z)
        if not bool((z > 0).all()):
            raise ValueError(
                f"lambda must be positive; got {float(z.min()):.3g}. Return log lambda "
                'and use positive="exp", or use positive="softplus".'
            )
        return z.log()


class LambdaEquitune(Symmetrized):
    r"""The weighted average over the orbit, eq. (4) of the paper.

    $M_G^\lambda(x) = \sum_g \lambda(gx) g^{-1} M(gx) / \sum_g \lambda(gx)$. Lambda
    reads the features that the one encoder pass has made: it needs no second pass.

    Args:
        model: the pretrained model, or its part before the average.
        act_in: how the group acts on its input.
        act_out: how the group acts on its output.
        net: gives one number a view, from which lambda is made.
        of: what the net reads: "features", "outputs" or "inputs".
        positive: "exp", "softplus" or "given"; see `Learned`.
        head: the part after the average, if any.
        chunk: the most views at once; see `Symmetrized`.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(2)
        >>> swap = eq.Permutation(G, [[0, 1], [1, 0]])
        >>> first = lambda features: features[:, 0]
        >>> f = eq.LambdaEquitune(torch.exp, swap, eq.Trivial(G), first, of="inputs")
        >>> f(torch.tensor([[0.0, 1.0]]))
        tensor([[2.2562, 1.4621]])
    """

    def __init__(
        self,
        model: TensorMap,
        act_in: Action,
        act_out: Action,
        net: TensorMap,
        *,
        of: str = "features",
        positive: str = "exp",
        head: TensorMap | None = None,
        chunk: int | None = None,
    ) -> None:
        weighting = Learned(net, of, positive)
        super().__init__(model, act_in, act_out, weighting, head, chunk)
