"""Pretrained CNNs by name: those that ship, public ones, torchvision's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from equinb.apps.cnn.networks import AlexNet, ResNet, public_resnet
from equinb.lab import data_folder, load_weights
from equinb.lab.runner import RUNS

#: The CNNs that ship: of printed signs, and of photographs.
SIGNS = ("glyph-resnet", "glyph-alexnet")
PHOTOGRAPHS = ("tiny-resnet", "tiny-alexnet")
SHIPPED = (*SIGNS, *PHOTOGRAPHS)
#: CNNs that a run makes, by its name: those of the paper.
MADE = {
    "cifar100-resnet": "cnn-cifar100-paper",
    "cifar100-alexnet": "cnn-cifar100-paper",
}
#: Trained on CIFAR10 by Y. Idelbayev; read from `EQUINB_DATA`.
PUBLIC = ("resnet20", "resnet56")
#: Trained on ImageNet; torchvision downloads them. The size of each in megabytes.
IMAGENET = {"resnet18": 45, "alexnet": 233}
#: Kinds of network that we train.
KINDS: dict[str, type[ResNet] | type[AlexNet]] = {"resnet": ResNet, "alexnet": AlexNet}
#: Means and standard deviations of the channels of ImageNet, as most networks use them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """A pretrained CNN, in eval mode and without gradients.

    Attributes:
        name: what it is called.
        model: the network.
        head: its end, from features `(..., d)` to the logits of what it was trained on.
        cut: from preprocessed images to features, what the head reads.
        side: of the images that it reads, in pixels.
    """

    name: str
    model: nn.Module
    head: nn.Module
    cut: Callable[[Tensor], Tensor]
    side: int = 32

    def encode(self, images: Tensor) -> Tensor:
        """`(N, d)`: the features of preprocessed images `(N, 3, H, W)`."""
        return self.cut(images)

    def preprocess(self, pixels: Tensor) -> Tensor:
        """`(N, 3, side, side)`: what it reads, from bytes `(N, 3, H, W)`."""
        x = normalise(pixels)
        if x.shape[-1] == self.side:
            return x
        return nn.functional.interpolate(
            x, self.side, mode="bilinear", align_corners=False, antialias=True
        )

    def to(self, device: str) -> Backbone:
        """The same on a device."""
        self.model.to(device)
        return self


def load_backbone(name: str) -> Backbone:
    """A pretrained CNN by name.

    Args:
        name: one of `SHIPPED`, which come with equinb; of `MADE`, which a run has to
            make first; of `PUBLIC`, read from the folder that `EQUINB_DATA` names; or
            of `IMAGENET`, which torchvision downloads.

    Raises:
        ValueError: for another name.
        FileNotFoundError: if it does not lie where it should.
        OSError: if it cannot be downloaded.
    """
    if name in SHIPPED:
        tensors, card = load_weights(weights_name(name))
        return frozen(name, restore(card["network"], card["classes"], tensors))
    if name in MADE:
        run, preset = MADE[name].rsplit("-", 1)
        place = RUNS / MADE[name]
        if not (place / weights_name(name)).exists():
            raise FileNotFoundError(
                f"{name} is not in {place}: make it there with `equinb run {run} "
                f"--preset {preset}`."
            )
        tensors, card = load_weights(weights_name(name), place)
        return frozen(name, restore(card["network"], card["classes"], tensors))
    if name in PUBLIC:
        how = "get the ResNets of github.com/akamaster/pytorch_resnet_cifar10"
        folder = data_folder("resnet-cifar10", f"{how} as safetensors")
        file = folder / f"{name}.safetensors"
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: {how} as safetensors.")
        return frozen(name, public_resnet(load_file(file)))
    if name in IMAGENET:
        return _imagenet(name)
    known = ", ".join([*SHIPPED, *MADE, *PUBLIC, *IMAGENET])
    raise ValueError(f"There is no CNN {name!r}; there are {known}.")


def normalise(pixels: Tensor) -> Tensor:
    """Bytes `(N, 3, H, W)` as most networks read them: about zero, about one."""
    x = pixels.float() / 255
    mean, std = (x.new_tensor(v)[:, None, None] for v in (MEAN, STD))
    return (x - mean) / std


def weights_name(name: str) -> str:
    """The file of a CNN that ships, below the assets."""
    return f"cnn/{name}.safetensors"


def build(network: Mapping[str, Any], classes: int) -> ResNet | AlexNet:
    """A network with random weights.

    Args:
        network: "kind", one of `KINDS`, and the arguments of its class.
        classes: how many there are.

    Raises:
        ValueError: for another kind.
    """
    options = dict(network)
    kind = options.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"There is no kind {kind!r}; there are {', '.join(KINDS)}.")
    return KINDS[kind](classes=classes, **options)


def restore(
    network: Mapping[str, Any], classes: int, tensors: Mapping[str, Tensor]
) -> ResNet | AlexNet:
    """A network with the weights that `pack` made."""
    net = build(network, classes)
    net.load_state_dict(dict(tensors))
    return net


def pack(net: nn.Module) -> dict[str, Tensor]:
    """The weights of a network as they ship: in half precision."""
    return {
        key: value.half() if value.is_floating_point() else value
        for key, value in net.state_dict().items()
    }


def frozen(name: str, net: ResNet | AlexNet) -> Backbone:
    """A network of ours as a backbone."""
    net.eval().requires_grad_(False)
    return Backbone(name, net, net.head, net.features)


def _imagenet(name: str) -> Backbone:
    try:
        net: Any = getattr(models, name)(weights="DEFAULT")
    except OSError as error:  # what urllib raises is one
        raise OSError(
            f"The weights of {name}, {IMAGENET[name]} MB, could not be loaded: "
            "torchvision downloads them from download.pytorch.org on first use; go "
            f"online and call load_backbone({name!r}) again."
        ) from error
    return torchvision_backbone(name, net)


def torchvision_backbone(name: str, net: Any) -> Backbone:
    """A ResNet of torchvision cut before its last layer, an AlexNet before three."""
    net.eval().requires_grad_(False)
    if isinstance(net, models.ResNet):
        body = nn.Sequential(*list(net.children())[:-1], nn.Flatten())
        return Backbone(name, net, net.fc, body, side=224)
    body = nn.Sequential(net.features, net.avgpool, nn.Flatten())
    return Backbone(name, net, net.classifier, body, side=224)
