"""Two kinds of network for small images: a ResNet and an AlexNet, each with a head.

Each is cut where transfer cuts it: `features`, then `head`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


class Halved(nn.Module):
    """A shortcut without weights: every second pixel, and channels of zeros.

    Option A of He et al. (2016), section 4.2.

    Args:
        added: how many channels.
    """

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` to `(N, C + added, H / 2, W / 2)`."""
        half = self.added // 2
        edges = (0, 0, 0, 0, half, self.added - half)
        return nn.functional.pad(x[:, :, ::2, ::2], edges)


class ResNet(nn.Module):
    """A residual network for images of 32 by 32 pixels, of torchvision's blocks.

    Args:
        widths: the channels of each stage; the second and later ones halve the image.
        blocks: in each stage.
        classes: how many there are.
        stride: of the first convolution.
        plain: shortcuts without weights, as in the networks that He et al. (2016)
            trained on CIFAR10.

    Example:
        >>> ResNet((8, 16), 1, classes=10)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: int,
        classes: int,
        stride: int = 1,
        plain: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inside = widths[0]
        for i, width in enumerate(widths, 1):
            stage = _stage(inside, width, blocks, 1 if i == 1 else 2, plain)
            self.add_module(f"layer{i}", stage)
            inside = width
        self.stages = len(widths)
        self.linear = nn.Linear(widths[-1], classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out")

    def features(self, x: Tensor) -> Tensor:
        """`(N, d)`: the means over the last image, of `(N, 3, H, W)`."""
        x = self.bn1(self.conv1(x)).relu()
        for i in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{i}")(x)
        return x.mean((-2, -1))

    @property
    def head(self) -> nn.Linear:
        """The last layer, from features to logits."""
        return self.linear

    def forward(self, x: Tensor) -> Tensor:
        """`(N, classes)`: the logits of images."""
        logits: Tensor = self.linear(self.features(x))
        return logits


def _stage(
    inside: int, width: int, blocks: int, stride: int, plain: bool
) -> nn.Sequential:
    shortcut: nn.Module | None = None
    if stride != 1 or inside != width:
        shortcut = nn.Sequential(
            nn.Conv2d(inside, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        )
        if plain:
            shortcut = Halved(width - inside)
    first = BasicBlock(inside, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


class AlexNet(nn.Module):
    """An AlexNet for images of 32 by 32 pixels: five convolutions, then three layers.

    As torchvision's, with kernels of three pixels and fewer channels. It is cut between
    the two: transfer learns new layers on what the convolutions see.

    Args:
        widths: the channels of the five convolutions.
        hidden: the width of the two hidden layers.
        classes: how many there are.
        dropout: of the hidden layers, in training.

    Example:
        >>> net = AlexNet((8, 8, 8, 8, 8), 16, classes=10)
        >>> net(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self, widths: Sequence[int], hidden: int, classes: int, dropout: float = 0.5
    ) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.features = nn.Sequential(
            *_convolution(3, a, pool=True),
            *_convolution(a, b, pool=True),
            *_convolution(b, c),
            *_convolution(c, d),
            *_convolution(d, e, pool=True),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(16 * e, hidden), nn.ReLU()),
            *(nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU()),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(N, classes)`: the logits of images `(N, 3, 32, 32)`."""
        logits: Tensor = self.head(self.features(x))
        return logits


def _convolution(inside: int, width: int, pool: bool = False) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(inside, width, 3, padding=1), nn.ReLU()]
    return [*layers, nn.MaxPool2d(2)] if pool else layers


def public_resnet(tensors: dict[str, Tensor]) -> ResNet:
    """One of the ResNets that Y. Idelbayev trained on CIFAR10, of any depth.

    Args:
        tensors: its state dict, with `linear` as the last layer.
    """
    blocks = 1 + max(int(key.split(".")[1]) for key in tensors if "layer1" in key)
    with torch.device("meta"):
        net = ResNet((16, 32, 64), blocks, 10, plain=True)
    # Weights may come without the counts of batches.
    counts = {key: torch.tensor(0) for key in net.state_dict() if "num_batches" in key}
    net.load_state_dict({**counts, **tensors}, assign=True)
    return net
