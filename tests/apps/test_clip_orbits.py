"""Features of all views, from one pass: those of every turned copy are among them."""

import pytest
import torch
from clip_cases import TURNS, fresh, glyphs, made_up, orbits, pixels, trained
from torch.utils.data import DataLoader

import equinb as eq
from equinb.apps import clip
from equinb.apps.clip.finetuning import turn

EACH_GROUP = pytest.mark.parametrize("name", clip.GENERATORS)
N = 24


# The symmetries.


@pytest.mark.parametrize("name", TURNS)
def test_what_generates_a_symmetry(name):
    x = pixels(3)
    act = clip.action(name)
    (generator,) = clip.GENERATORS[name]
    assert torch.equal(act(generator, x), TURNS[name](x))
    assert act.group.order == (4 if name == "rot90" else 2)
    assert act.group.name == name


def test_all_turns_and_mirrors():
    act = clip.action("D4")
    assert act.group.order == 8
    assert len(act.orbit(pixels(1)).flatten(1).unique(dim=0)) == 8


@EACH_GROUP
def test_each_is_an_action(name):
    assert eq.check_action(clip.action(name), pixels(2)).passed


# One pass answers for every turned copy.


def test_every_turned_copy_from_one_pass():
    """The image tower sees |D4| views an image, however many copies are asked for."""
    model, seen = fresh(), []
    model.model.visual.register_forward_hook(lambda _, x, __: seen.append(len(x[0])))
    made = clip.encode_orbits(model, glyphs(N), reading=clip.Reading(batch=10))
    for name in clip.GENERATORS:
        small = clip.subgroup(name)
        for h in range(small.order):
            turned = made.of(name, torch.full((N,), h))
            assert turned.group == small
            assert turned.features.shape == (small.order, N, 128)
    assert seen == [80, 80, 32]


@EACH_GROUP
def test_they_are_those_of_really_turned_images(name):
    """Every element of every group turns the images, and the CLIP sees the views."""
    model, x, act = trained(), pixels(N), clip.action(name)
    for h in range(act.group.order):
        views = act.orbit(act(h, x))
        live = model.encode(views.flatten(0, 1)).unflatten(0, views.shape[:2])
        cached = orbits(N).of(name, torch.full((N,), h)).features
        torch.testing.assert_close(cached, live, atol=1e-4, rtol=1e-4)


@EACH_GROUP
def test_each_image_may_be_turned_by_an_element_of_its_own(name):
    act = clip.action(name)
    shown = torch.arange(N) % act.group.order
    views = act.orbit(turn(act, pixels(N), shown))
    live = trained().encode(views.flatten(0, 1)).unflatten(0, views.shape[:2])
    cached = orbits(N).of(name, shown)
    torch.testing.assert_close(cached.features, live, atol=1e-4, rtol=1e-4)
    assert torch.equal(cached.labels, orbits(N).labels)


@EACH_GROUP
def test_nothing_turned_are_the_upright_images(name):
    upright = orbits(N).of(name)
    first = torch.full((N,), upright.group.identity)
    assert torch.equal(upright.features, orbits(N).of(name, first).features)
    whole = orbits(N)
    identity = whole.features[whole.group.identity]
    assert torch.equal(upright.features[upright.group.identity], identity)


def test_the_wrong_order_of_turns_would_be_found():
    """D4 is not abelian: the views of a turned mirror image are gh, not hg."""
    group, whole = clip.SQUARE.group, orbits(N)
    h = group.index("r s")
    right = whole.of("D4", torch.full((N,), h)).features
    swapped = whole.features[torch.from_numpy(group.table[h].copy())]
    assert (right - swapped).abs().max() > 0.1


def test_a_subgroup_of_what_was_encoded():
    turned = clip.encode_orbits(trained(), glyphs(N), clip.action("rot90"))
    assert turned.features.shape == (4, N, 128)
    shown = torch.arange(N) % 2
    small = turned.of("half turn", shown).features
    torch.testing.assert_close(small, orbits(N).of("half turn", shown).features)


@pytest.mark.parametrize(
    ("encoded", "asked", "view"),
    [
        ("rot90", "hflip", "s"),
        ("rot90", "D4", "s"),
        ("hflip", "half turn", "r^2"),
        ("vflip", "hflip", "s"),
        ("half turn", "rot90", "r"),
    ],
)
def test_views_that_are_missing(encoded, asked, view):
    says = rf"The view '{view}' is not among those of {encoded}: encode the orbits of"
    with pytest.raises(ValueError, match=says.replace("^", r"\^")):
        made_up(encoded).of(asked)


# Encoding.


@pytest.mark.parametrize("batch", [1, 7, N, 100])
def test_batches_change_nothing(batch):
    reading = clip.Reading(batch=batch)
    made = clip.encode_orbits(trained(), glyphs(N), reading=reading)
    torch.testing.assert_close(made.features, orbits(N).features, atol=1e-4, rtol=1e-4)
    assert torch.equal(made.labels, glyphs(N).labels)
    assert len(made) == N


def test_processes_that_read_change_nothing():
    reading = clip.Reading(batch=8, workers=1)
    made = clip.encode_orbits(trained(), glyphs(N), reading=reading)
    torch.testing.assert_close(made.features, orbits(N).features, atol=1e-4, rtol=1e-4)
    assert torch.equal(made.labels, orbits(N).labels)


def test_some_rows_only():
    rows = [3, 20, 4]
    made = clip.encode_orbits(trained(), glyphs(N), rows=rows)
    few = orbits(N).rows(torch.tensor(rows))
    torch.testing.assert_close(made.features, few.features, atol=1e-4, rtol=1e-4)
    assert made.labels.tolist() == few.labels.tolist() == rows
    assert len(few) == 3


def test_the_labels_are_those_of_the_loader():
    (_, labels) = next(iter(DataLoader(glyphs(N), N)))
    assert torch.equal(orbits(N).labels, labels)


def test_features_keep_their_length():
    lengths = orbits(N).features.norm(dim=-1)
    assert lengths.std() > 0.01 * lengths.mean()
    torch.testing.assert_close(orbits(N).features[0], trained().encode(pixels(N)))


def test_encoding_leaves_no_gradient():
    model = fresh()
    model.model.visual.requires_grad_(True)
    assert not clip.encode_orbits(model, glyphs(4)).features.requires_grad


def test_half_precision_where_it_is_safe():
    mixed = clip.Reading(precision="mixed")
    made = clip.encode_orbits(trained(), glyphs(N), reading=mixed).features
    exact = orbits(N).features
    assert made.dtype is torch.float32
    away = (made - exact).norm(dim=-1) / exact.norm(dim=-1)
    assert 1e-5 < away.max() < 0.1


def test_one_session_may_read_in_either_precision():
    for precision in ("float32", "mixed", "float32"):
        reading = clip.Reading(precision=precision)
        made = clip.encode_orbits(trained(), glyphs(4), reading=reading)
    torch.testing.assert_close(made.features, orbits(4).features)


def test_an_unknown_precision():
    reading = clip.Reading(precision="half")
    with pytest.raises(ValueError, match='is "float32" or "mixed"; got \'half\''):
        clip.encode_orbits(trained(), glyphs(4), reading=reading)
