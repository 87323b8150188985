"""A small CLIP, glyphs and features of their views, shared by the tests of CLIP."""

from functools import cache

import torch
from torch.nn.functional import normalize

from equinb.apps import clip
from equinb.apps.clip.model import build

#: The symmetries, and how one image looks under each generator.
TURNS = {
    "rot90": lambda x: x.rot90(1, (-2, -1)),
    "hflip": lambda x: x.flip(-1),
    "vflip": lambda x: x.flip(-2),
    "half turn": lambda x: x.flip(-1, -2),
}


@cache
def trained():
    """The glyph CLIP that ships first; nobody may change it."""
    return clip.load_clip("glyph-resnet")


def fresh(name="glyph-resnet"):
    """A copy of a shipped CLIP, to be changed."""
    return clip.load_clip(name)


@cache
def glyphs(n=60, seed=5, test=True):
    return clip.Pictures(*clip.sample(n, seed, test), trained().preprocess)


@cache
def pixels(n=60, seed=5):
    """Glyphs of the test set, preprocessed: `(n, 3, 32, 32)`."""
    pictures = glyphs(n, seed)
    return torch.stack([pictures[i][0] for i in range(n)])


@cache
def head():
    model = trained()
    text = model.classifier(clip.GLYPH_NAMES, clip.GLYPH_TEMPLATES)
    return clip.Similarity(text, model.scale)


@cache
def orbits(n=60, seed=5, test=True):
    """Features of all eight views of glyphs."""
    return clip.encode_orbits(trained(), glyphs(n, seed, test))


def made_up(group="rot90", n=7, width=4, seed=0):
    """Orbits of random features, of no images."""
    small = clip.subgroup(group)
    random = torch.Generator().manual_seed(seed)
    features = torch.randn((small.order, n, width), generator=random)
    return clip.Orbits(small, features, torch.arange(n) % width)


def untrained(seed=0, vision=None):
    """A CLIP of few weights that has learnt nothing."""
    captions = ["a dog.", "a cat.", "a tree.", "a house."]
    tokenizer = clip.Tokenizer.for_captions(captions)
    vision = vision or {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = build("toy", vision, tokenizer)
    made.model.eval().requires_grad_(False)
    return made


def unit(features):
    return normalize(features, dim=-1)


def weights_of(module):
    return torch.cat([t.flatten().double() for t in module.state_dict().values()])
