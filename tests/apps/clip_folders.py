"""Small data sets of made-up images, on disk as the real ones are."""

import hashlib
import pickle

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import CIFAR100

#: The middle of an image tells its class and its place.
MIDDLE = 16


def picture(label, place, side=32, mode="RGB"):
    """One colour all over, which tells the class and the place of an image."""
    colour = (label, place // 256, place % 256)
    image = Image.new("RGB", (side, side), colour)
    return image if mode == "RGB" else image.convert(mode)


def told(images):
    """Class and place, of images `(N, 3, H, W)`, bytes."""
    label, high, low = images[:, :, MIDDLE, MIDDLE].long().unbind(1)
    return label, 256 * high + low


def tiny_imagenet(root, classes=("goldfish", "tabby_cat"), each=500, tests=3):
    """`tiny-imagenet-32/{train,val}/<class_name>/*.png`."""
    for part, count in ("train", each), ("val", tests):
        for label, name in enumerate(sorted(classes)):
            folder = root / "tiny-imagenet-32" / part / name
            folder.mkdir(parents=True)
            for place in range(count):
                picture(label, place).save(folder / f"{place:04}.png", compress_level=0)


def cifar100(root, monkeypatch, train=12, test=4):
    """`cifar-100-python/{train,test,meta}`, whose checksums are taken for right."""
    folder = root / "cifar-100-python"
    folder.mkdir()
    names = ["apple", "aquarium_fish", "beaver"]

    def write(name, content):
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    sums = {}
    for name, count in ("train", train), ("test", test):
        labels = [i % len(names) for i in range(count)]
        rows = [
            np.asarray(picture(label, i)).transpose(2, 0, 1).reshape(-1)
            for i, label in enumerate(labels)
        ]
        batch = {"data": np.stack(rows), "fine_labels": labels}
        sums[name] = write(name, batch)
    sums["meta"] = write("meta", {"fine_label_names": names})
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    meta = {**CIFAR100.meta, "md5": sums["meta"]}
    monkeypatch.setattr(CIFAR100, "meta", meta)
    return names


def imagenet_v2(root, labels=range(12), each=2):
    """`imagenetv2-matched-frequency-format-val/<label>/*.jpeg`, not square."""
    for label in labels:
        folder = root / "imagenetv2-matched-frequency-format-val" / str(label)
        folder.mkdir(parents=True)
        for place in range(each):
            image = Image.new("RGB", (60, 40), (10 * label, 0, 0))
            image.save(folder / f"{place}.jpeg", quality=100)


def as_bytes(picture):
    """A preprocessing that changes nothing."""
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
