"""Glyphs: all different however they are turned, whole, and drawn as the seed says."""

from pathlib import Path

import matplotlib
import pytest
import torch
from PIL import ImageFont
from torch.nn.functional import interpolate, pad

from equinb.apps.clip import GLYPH_NAMES, GLYPH_TEMPLATES, GLYPHS, SQUARE, draw, sample
from equinb.apps.clip import glyphs as drawing
from equinb.apps.clip.glyphs import (
    COLOURS,
    CONTRAST,
    FONTS,
    SIZES,
    TEST_FONTS,
    colour_pairs,
    ink,
)

EVERY = FONTS + TEST_FONTS
EACH_FONT = pytest.mark.parametrize("font", EVERY)
EACH_SET = pytest.mark.parametrize("test", [False, True])
#: How alike two signs may be however they are turned, at one size: the most in any
#: font (measured: 0.971), and on average over fonts (0.835).
ANYWHERE, ON_AVERAGE = 0.98, 0.85


def boxed(mask):
    """A sign alone, scaled to fill a square of 24 by 24, of length one."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    high, wide = cut.shape
    side = max(high, wide)
    left, top = (side - wide) // 2, (side - high) // 2
    cut = pad(cut, (left, side - wide - left, top, side - high - top))
    small = interpolate(cut[None, None], (24, 24), mode="bilinear", antialias=True)
    return small[0, 0] / small.norm()


def likeness(some, others):
    """Cosines of every sign to every other, the greatest over turns and mirrors."""
    views = SQUARE.orbit(torch.stack([boxed(mask) for mask in some])).flatten(2)
    still = torch.stack([boxed(mask) for mask in others]).flatten(1)
    return (views @ still.T).amax(0)


def drawn(text, font="DejaVuSans"):
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    opened = ImageFont.truetype(str(file), SIZES[1])
    masks = [torch.from_numpy(drawing._draw(sign, opened).copy()) for sign in text]
    return torch.stack(masks).float()


def test_a_hundred_signs_with_names_of_their_own():
    assert len(GLYPHS) == len(set(GLYPHS)) == 100
    assert len(GLYPH_NAMES) == len(set(GLYPH_NAMES)) == 100
    assert all(template.format("x").count("x") for template in GLYPH_TEMPLATES)


def test_no_sign_is_another_one_turned_or_mirrored():
    alike = []
    for font in EVERY:
        for masks in ink(font):
            alike.append(likeness(masks, masks).fill_diagonal_(0))
    alike = torch.stack(alike)
    assert alike.max() < ANYWHERE
    assert alike.mean(0).max() < ON_AVERAGE
    assert (alike > 0.9).double().mean() < 0.001


@pytest.mark.parametrize("pair", ["69", "bq", "dp", "nu", "!¡"])
def test_signs_that_are_would_be_found(pair):
    one, other = drawn(pair)
    assert likeness([one], [other]).item() > ANYWHERE


@EACH_FONT
def test_every_sign_lies_whole_in_its_image(font):
    masks = ink(font)
    assert masks.shape == (2, 100, 32, 32)
    for edge in (masks[..., 0, :], masks[..., -1, :], masks[..., 0], masks[..., -1]):
        assert edge.max() == 0
    assert masks.flatten(2).amax(-1).min() > 0.5
    for size in masks:
        assert len(size.flatten(1).unique(dim=0)) == 100


@EACH_FONT
def test_no_font_lacks_a_sign(font):
    """One that it lacks would be an empty box, or nothing."""
    box = drawn("\uffff", font)[0] / 255
    assert not (ink(font)[1] == box).flatten(1).all(1).any()


def test_a_sign_too_large_for_the_image_is_drawn_smaller():
    wide = int(drawn("№", "DejaVuSans-Bold")[0].any(0).sum())
    assert drawing.WIDEST - 3 <= wide <= drawing.WIDEST


def test_fonts_and_colours_of_the_test_set_are_its_own():
    assert not set(FONTS) & set(TEST_FONTS)
    train, test = set(colour_pairs(False)), set(colour_pairs(True))
    assert not train & test
    assert len(train) > 2 * len(test) > 20


@EACH_SET
def test_ink_and_page_differ_in_lightness(test):
    for ink_name, page in colour_pairs(test):
        pair = torch.tensor([COLOURS[ink_name], COLOURS[page]], dtype=torch.float32)
        dark, light = pair @ torch.tensor([0.3, 0.59, 0.11])
        assert abs(dark - light) >= CONTRAST


@EACH_SET
def test_a_set_is_drawn_in_all_of_its_fonts_and_no_other(test, monkeypatch):
    asked = []
    monkeypatch.setattr(drawing, "ink", lambda font: asked.append(font) or ink(font))
    sample(100, seed=0, test=test)
    assert sorted(asked) == sorted(TEST_FONTS if test else FONTS)


@EACH_SET
def test_without_noise_every_image_mixes_the_two_colours_of_a_pair(test, monkeypatch):
    monkeypatch.setattr(drawing, "NOISE", 0.0)
    images, _ = sample(300, seed=1, test=test)
    names = {tuple(colour): name for name, colour in COLOURS.items()}
    seen = set()
    for image in images:
        page = image[:, 0, 0]
        around = [image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]]
        # No ink at the edge, wherever the sign was moved to.
        assert (torch.cat(around, 1) == page[:, None]).all()
        pixels = image.flatten(1).T.float()
        seen.add(front_of(pixels, page, names, test))
    assert seen == set(colour_pairs(test))


def front_of(pixels, page, names, test):
    """The one pair of its set that can have made these pixels."""
    fits = []
    for front, back in colour_pairs(test):
        if back == names[tuple(page.tolist())]:
            u = torch.tensor(COLOURS[front]).float() - page
            share = (pixels - page) @ u / u.square().sum()
            if (pixels - page - share[:, None] * u).abs().max() < 1:
                fits.append((front, back))
    (only,) = fits
    return only


def test_signs_are_moved_by_a_pixel_at_most_in_every_direction():
    mask = torch.zeros(9, 32, 32)
    mask[:, 10, 20] = 1
    down = torch.arange(-1, 2).repeat_interleave(3)
    right = torch.arange(-1, 2).repeat(3)
    moved = drawing._shift(mask, down, right).nonzero()
    assert moved[:, 1].tolist() == (10 + down).tolist()
    assert moved[:, 2].tolist() == (20 + right).tolist()


@EACH_SET
def test_the_seed_decides(test):
    state = torch.get_rng_state()
    images, labels = sample(200, seed=3, test=test)
    again, _ = sample(200, seed=3, test=test)
    other, same = sample(200, seed=4, test=test)
    assert torch.equal(images, again)
    assert torch.equal(labels, same)
    differ = (images != other).flatten(1).any(1)
    assert differ.all()
    assert torch.equal(torch.get_rng_state(), state)


def test_every_sign_is_as_often_as_any_other():
    images, labels = sample(500, seed=0)
    assert images.shape == (500, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert labels.bincount().tolist() == [5] * 100


def test_an_image_shows_the_sign_of_its_label(monkeypatch):
    """Apart from the noise, the nearest of all drawn signs is its own."""
    monkeypatch.setattr(drawing, "NOISE", 0.0)
    labels = torch.arange(100)
    images = draw(labels, torch.Generator().manual_seed(0)).float()
    away = (images - images[:, :, :1, :1]).norm(dim=1)
    away = away / away.flatten(1).norm(dim=1)[:, None, None]
    known = torch.cat([ink(font) for font in FONTS]).flatten(2)
    known = known / known.norm(dim=-1, keepdim=True)
    best = torch.full((100, 100), -1.0)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            moved = away.roll((down, right), (1, 2)).flatten(1)
            best = torch.maximum(best, (known @ moved.T).amax(0))
    assert (best.argmax(0) == labels).double().mean() > 0.98
