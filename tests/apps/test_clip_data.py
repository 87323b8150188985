"""Data sets in their own layouts, CLIPs by name, and what is said where one is not."""

import logging
from dataclasses import replace
from functools import partial

import open_clip
import pytest
import torch
from clip_folders import as_bytes, cifar100, imagenet_v2, picture, tiny_imagenet, told
from open_clip.transformer import QuickGELU
from torch.utils.data import DataLoader

from equinb import lab
from equinb.apps import clip
from equinb.apps.clip import data, experiment
from equinb.apps.clip import tiny_imagenet as photographs
from equinb.apps.clip.tiny_imagenet import (
    PRETRAINING,
    SPLITS,
    TEMPLATES,
    TRAIN,
    tiny_classes,
    tiny_images,
)
from equinb.lab.data import data_folder


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """An empty folder of data sets."""
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    tiny_images.cache_clear()
    yield tmp_path
    tiny_images.cache_clear()


def everything(images):
    """All images and labels of a split, as a loader gives them."""
    (batch,) = DataLoader(images, len(images))
    return batch


# Tiny-ImageNet.


def test_the_training_images_of_each_class_are_split_in_the_order_of_their_names(root):
    tiny_imagenet(root)
    assert tiny_classes() == ("goldfish", "tabby cat")
    spans = {
        "pretraining": range(PRETRAINING),
        "train": range(PRETRAINING, TRAIN),
        "validation": range(TRAIN, 500),
        "test": range(3),
    }
    assert set(spans) == set(SPLITS)
    assert [len(spans[name]) for name in SPLITS] == [400, 80, 20, 3]
    for split, places in spans.items():
        images, labels = tiny_images(split)
        assert images.shape == (2 * len(places), 3, 32, 32)
        assert labels.tolist() == [0] * len(places) + [1] * len(places)
        classes, found = told(images)
        assert torch.equal(classes, labels)
        assert found.tolist() == list(places) * 2


def test_a_data_set_of_photographs(root):
    tiny_imagenet(root, each=482)
    photos = clip.load_data("tiny-imagenet")
    assert photos.classes == ("goldfish", "tabby cat")
    assert len(photos.templates) == 80
    assert all(text.format("x").count("x") for text in photos.templates)
    lengths = [len(photos.split(s, as_bytes)) for s in ("train", "validation", "test")]
    assert lengths == [160, 4, 6]
    images, labels = everything(photos.split("test", as_bytes))
    assert torch.equal(told(images)[0], labels)


def test_a_grey_photograph_has_three_colours(root):
    tiny_imagenet(root, each=1, tests=1)
    folder = root / "tiny-imagenet-32/val/goldfish"
    picture(90, 90, mode="L").save(folder / "0000.png")
    images, _ = tiny_images("test")
    assert images.shape == (2, 3, 32, 32)
    assert (images[0] == images[0, :1]).all()


def test_photographs_are_read_once(root, monkeypatch):
    tiny_imagenet(root, each=1)
    first = tiny_images("test")
    monkeypatch.setattr(photographs, "ImageFolder", None)
    assert tiny_images("test") is first


# CIFAR100.


def test_cifar100_in_its_own_layout(root, monkeypatch):
    cifar100(root, monkeypatch)
    monkeypatch.setattr(data, "CIFAR100_TRAIN", 9)
    things = clip.load_data("cifar100")
    assert things.classes == ("apple", "aquarium fish", "beaver")
    assert things.templates == TEMPLATES
    for split, places in (
        ("train", range(9)),
        ("validation", range(9, 12)),
        ("test", range(4)),
    ):
        images, labels = everything(things.split(split, as_bytes))
        classes, found = told(images)
        assert found.tolist() == list(places)
        assert classes.tolist() == labels.tolist() == [i % 3 for i in places]


def test_a_damaged_cifar100_is_named(root, monkeypatch):
    cifar100(root, monkeypatch)
    (root / "cifar-100-python/test").write_bytes(b"half")
    with pytest.raises(ValueError, match="cifar-100-python are damaged: get CIFAR100"):
        clip.load_data("cifar100")


def test_the_last_tenth_of_cifar100_is_for_validation():
    assert data.CIFAR100_TRAIN == 45_000


# ImageNet-V2.


def test_the_labels_of_imagenet_v2_are_the_numbers_of_its_folders(root):
    """As words, 10 comes before 2."""
    imagenet_v2(root, [0, 1, 2, 10, 11, 20])
    images = clip.load_data("imagenet-v2").split("test", as_bytes)
    assert len(images) == 12
    for pixels, label in images:
        assert pixels.shape == (3, 40, 60)
        assert pixels[0, 20, 30].item() == pytest.approx(10 * label, abs=3)
    assert sorted({label for _, label in images}) == [0, 1, 2, 10, 11, 20]


def test_imagenet_v2_has_the_thousand_classes():
    found = clip.load_data("imagenet-v2")
    assert len(found.classes) == 1000
    assert found.classes[0] == "tench"
    assert found.classes[999] == "toilet paper"


def test_processes_read_imagenet_v2(root):
    imagenet_v2(root, [2, 10], each=1)
    images = clip.load_data("imagenet-v2").split("test", as_bytes)
    labels = [label.tolist() for _, label in DataLoader(images, 2, num_workers=1)]
    assert sorted(labels[0]) == [2, 10]


# Glyphs.


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_sets_of_glyphs(monkeypatch, split):
    """Only the test set is drawn in the fonts and colours that are kept for it."""
    sizes = {name: (n // 20, seed) for name, (n, seed) in data.GLYPH_SETS.items()}
    monkeypatch.setattr(data, "GLYPH_SETS", sizes)
    images = clip.load_data("glyphs").split(split, as_bytes)
    drawn, labels = clip.sample(*sizes[split], test=split == "test")
    assert torch.equal(images.images, drawn)
    assert torch.equal(images.labels, labels)
    assert images[7][1] == 7


def test_there_are_as_many_glyphs_as_the_page_says():
    sizes = {name: n for name, (n, _) in data.GLYPH_SETS.items()}
    assert sizes == {"train": 16_000, "validation": 2000, "test": 4000}
    assert len({seed for _, seed in data.GLYPH_SETS.values()}) == 3


def test_a_picture_is_the_image():
    images, labels = clip.sample(3, seed=0)
    pictures = clip.Pictures(images, labels, as_bytes)
    assert len(pictures) == 3
    for i in range(3):
        shown, label = pictures[i]
        assert torch.equal(shown, images[i])
        assert label == labels[i]


# Parts.


@pytest.mark.parametrize(("n", "every"), [(40, 4), (41, 4), (7, 1), (3, 5)])
def test_a_part_is_one_of_so_many(n, every):
    chosen = clip.part(range(n), every)
    assert len(chosen) == n // every
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(n))


def test_a_part_is_random_and_always_the_same():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    chosen = clip.part(range(4000), 4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert clip.part(range(4000), 4) == chosen
    # All classes, whose images lie in turn or side by side.
    assert len({i % 100 for i in chosen}) == 100
    assert len({i // 40 for i in chosen}) == 100
    assert len({i % 4 for i in chosen}) == 4


# The preset of the paper: its code, on few images and with random weights.


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize("name", experiment.PAPER_DATA)
def test_the_preset_of_the_paper(root, tmp_path, monkeypatch, name):
    cifar100(root, monkeypatch, test=2)
    imagenet_v2(root, [2, 10], each=1)
    monkeypatch.setattr(data, "TEMPLATES", TEMPLATES[:1])
    names = open_clip.IMAGENET_CLASSNAMES[:12]
    monkeypatch.setattr(open_clip, "IMAGENET_CLASSNAMES", names)
    random = partial(clip.load_clip, pretrained=None)
    monkeypatch.setattr(experiment, "load_clip", random)
    config = experiment.EXPERIMENT.config("paper")
    assert config.models == tuple(clip.PAPER)
    assert config.data == experiment.PAPER_DATA
    assert config.reading.precision == "mixed"
    assert config.every == 1
    config = replace(config, models=("ViT-B-32",), data=(name,))
    rows, made = lab.run(
        experiment.EXPERIMENT,
        "paper",
        config=config,
        folder=tmp_path / "runs",
        progress=False,
    )
    assert set(rows["group"]) == set(clip.GENERATORS)
    assert set(rows["data"]) == {name}
    methods = {"pretrained", "pretrained, upright", "any view", "equitune", "equizero"}
    published = {"equitune, published", "equizero, published"}
    assert set(rows["method"]) == methods | published
    assert rows["top1"].isin([0.0, 0.5, 1.0]).all()
    assert made.command == (
        "equinb run clip --preset paper --seeds 0 --models ViT-B-32 --data " + name
    )


# What is refused, and how.


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: clip.load_clip("nope"),
            "There is no CLIP 'nope': there are glyph-resnet, glyph-vit,.* and what "
            r"open_clip.list_models\(\) lists, such as ViT-B-32",
        ),
        (
            lambda: clip.load_clip("ViT-B-32", "nobody"),
            "open_clip has no weights 'nobody' for ViT-B-32; it has .*openai",
        ),
        (
            lambda: clip.load_data("mnist"),
            "There is no data set 'mnist'; there are glyphs, tiny-imagenet, cifar100, "
            "imagenet-v2",
        ),
        (
            lambda: clip.load_data("glyphs").split("all", as_bytes),
            "There is no split 'all'; there is train, validation, test",
        ),
        (
            lambda: clip.load_data("imagenet-v2").split("train", as_bytes),
            "There is no split 'train'; there is test",
        ),
        (
            lambda: tiny_images("all"),
            "There is no split 'all'; there are pretraining, train, validation, test",
        ),
        (
            lambda: clip.subgroup("C4"),
            "There is no symmetry 'C4' here; there are rot90, hflip, vflip, half turn",
        ),
        (lambda: clip.action("turn"), "There is no symmetry 'turn' here"),
    ],
)
def test_what_is_unknown_is_refused_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_an_unknown_split_of_the_data_on_disk(root, monkeypatch):
    cifar100(root, monkeypatch)
    tiny_imagenet(root, each=1)
    for name in "cifar100", "tiny-imagenet":
        with pytest.raises(ValueError, match="There is no split 'all'; there"):
            clip.load_data(name).split("all", as_bytes)


@pytest.mark.parametrize(
    ("name", "folder", "size", "source"),
    [
        ("tiny-imagenet", "tiny-imagenet-32", "237 MB", "cs231n.stanford.edu/tiny-"),
        ("cifar100", "cifar-100-python", "169 MB", "www.cs.toronto.edu/~kriz/cifar"),
        (
            "imagenet-v2",
            "imagenetv2-matched-frequency-format-val",
            "1.3 GB",
            "huggingface.co/datasets/vaishaal/ImageNetV2",
        ),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_data_that_is_not_there(root, monkeypatch, known, name, folder, size, source):
    if not known:
        monkeypatch.delenv("EQUINB_DATA")
    where = f"{root / folder} is missing" if known else "EQUINB_DATA is not set"
    with pytest.raises(FileNotFoundError, match=where) as missing:
        clip.load_data(name).split("test", as_bytes)
    told = str(missing.value)
    assert size in told
    assert source in told
    assert f"EQUINB_DATA name the folder that holds {folder}/." in told
    assert "\n" not in told


def test_a_data_folder(root, monkeypatch):
    (root / "things").mkdir()
    assert data_folder("things", "get them") == root / "things"
    (root / "file").touch()
    for name in "file", "other":
        with pytest.raises(FileNotFoundError, match="is missing: get them, and let"):
            data_folder(name, "get them")
    monkeypatch.setenv("EQUINB_DATA", "")
    with pytest.raises(FileNotFoundError, match="EQUINB_DATA is not set: get them"):
        data_folder("things", "get them")


# Downloads.


@pytest.mark.parametrize("name", [*clip.PAPER, "ViT-L-14"])
@pytest.mark.parametrize("reason", [OSError("no route"), RuntimeError("no route")])
def test_a_download_that_is_impossible(monkeypatch, name, reason):
    def refuse(*_, **__):
        raise reason

    monkeypatch.setattr(open_clip, "create_model_and_transforms", refuse)
    with pytest.raises(OSError, match=f"The weights 'openai' of {name}") as failed:
        clip.load_clip(name)
    said = str(failed.value)
    assert ("about" in said) == (name in clip.PAPER)
    assert f"about {clip.PAPER.get(name)} MB" in said or name == "ViT-L-14"
    assert "downloads them from huggingface.co on first use; go online and" in said
    assert f"load_clip('{name}')" in said
    assert "\n" not in said
    assert failed.value.__cause__ is reason


def test_no_network(monkeypatch, tmp_path):
    """As open_clip itself fails: its cache is empty, and it may not look outside."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="'openai' of RN50, about 256 MB could not be"):
        clip.load_clip("RN50")


@pytest.mark.parametrize("name", ["RN50", "ViT-B-32"])
def test_weights_of_openai_have_the_activation_that_they_were_trained_with(
    monkeypatch, name
):
    """The download and its reading left out: the model is built as for the weights."""
    factory = "open_clip.factory"
    monkeypatch.setattr(f"{factory}.download_pretrained", lambda *_, **__: "weights")
    monkeypatch.setattr(f"{factory}.load_checkpoint", lambda *_, **__: {})
    model = clip.load_clip(name).model
    assert any(isinstance(part, QuickGELU) for part in model.modules())
    assert not any(isinstance(part, torch.nn.GELU) for part in model.modules())


def test_loading_leaves_logging_as_it_was(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no memory")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", refuse)
    before = logging.root.manager.disable
    for pretrained, says in ("openai", "could not be loaded"), (None, "^no memory$"):
        with pytest.raises(OSError, match=says):
            clip.load_clip("RN50", pretrained)
    assert logging.root.manager.disable == before
