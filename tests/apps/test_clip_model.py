"""CLIPs: tokenizer, heads and weights, against open_clip's own; and those that ship."""

import open_clip
import pytest
import torch
from clip_cases import fresh, head, orbits, pixels, trained, unit, untrained
from open_clip.tokenizer import SimpleTokenizer
from torch.nn.functional import normalize as scaled

import equinb as eq
from equinb.apps import clip
from equinb.apps.clip import glyph_clips, tiny_clips
from equinb.apps.clip.model import (
    CONTEXT,
    TEXT,
    WIDTH,
    build,
    normalise,
    pack,
    restore,
    weights_name,
)
from equinb.apps.clip.tiny_imagenet import TEMPLATES
from equinb.lab import load_weights
from equinb.lab.files import ASSETS

RECIPES = glyph_clips.RECIPES | tiny_clips.RECIPES
CAPTIONS = [t.format(name) for t in clip.GLYPH_TEMPLATES for name in clip.GLYPH_NAMES]
EACH_SHIPPED = pytest.mark.parametrize("name", clip.SHIPPED)
EACH_GLYPH = pytest.mark.parametrize(
    "name", [name for name in clip.SHIPPED if name.startswith("glyph")]
)
EACH_RECIPE = pytest.mark.parametrize("name", RECIPES)


# The tokenizer.


def test_the_tokenizer_keeps_the_order_and_the_end_the_greatest():
    tokenizer = clip.Tokenizer.for_captions(CAPTIONS)
    whole = SimpleTokenizer(context_length=CONTEXT)(CAPTIONS)
    ours = tokenizer(CAPTIONS)
    assert ours.shape == whole.shape
    assert len(tokenizer) == len(whole[whole > 0].unique())
    used = whole > 0
    by_whole = whole[used].argsort(stable=True)
    assert torch.equal(by_whole, ours[used].argsort(stable=True))
    assert torch.equal(tokenizer.tokens[ours[used]], whole[used])
    assert torch.equal(ours.argmax(1), whole.argmax(1))
    assert (ours.amax(1) == len(tokenizer) - 1).all()


def test_a_compact_vocabulary_changes_no_feature():
    small = trained()
    whole = open_clip.CLIP(
        embed_dim=WIDTH,
        vision_cfg={"image_size": 32, **RECIPES["glyph-resnet"].vision},
        text_cfg={"vocab_size": 49408, **TEXT},
    ).eval()
    state = small.model.state_dict()
    words = whole.token_embedding.weight.detach().clone()
    words[small.tokenizer.tokens] = state["token_embedding.weight"]
    whole.load_state_dict(state | {"token_embedding.weight": words})
    few = CAPTIONS[::29]
    with torch.no_grad():
        expected = whole.encode_text(SimpleTokenizer(context_length=CONTEXT)(few))
        found = small.model.encode_text(small.tokenizer(few))
    torch.testing.assert_close(found, expected)


def test_what_follows_the_end_of_a_caption_is_not_read():
    """The padding shares its id with a word."""
    model = trained()
    ids = model.tokenizer(CAPTIONS[:20])
    padded = ids == 0
    end = ids.argmax(1, keepdim=True)
    padded &= torch.arange(ids.shape[1]) > end
    assert padded.any(1).all()
    other = torch.where(padded, 3, ids)
    with torch.no_grad():
        same, changed = (model.model.encode_text(x) for x in (ids, other))
    torch.testing.assert_close(same, changed)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        *[("a unicorn.", "unicorn"), ("a dog!", "!"), ("cats", "cats")],
        *[("a dog, ünïcörn.", ","), ("a Žluťoučký.", "žluťoučký"), ("a 犬.", "犬")],
    ],
)
def test_an_unknown_word_is_named(text, word):
    tokenizer = clip.Tokenizer.for_captions(["a dog.", "a cat."])
    says = f"has never seen '{word}' in a caption, so it cannot read '{text}': use"
    with pytest.raises(ValueError, match=says) as refused:
        tokenizer(["a cat.", text])
    assert 'load_clip("ViT-B-32")' in str(refused.value)
    assert "\n" not in str(refused.value)


def test_case_and_blanks_are_as_in_open_clip():
    tokenizer = clip.Tokenizer.for_captions(["a dog."])
    assert torch.equal(tokenizer(["  A  DOG ."]), tokenizer(["a dog."]))


# Weights.


@EACH_RECIPE
def test_what_is_packed_is_restored_in_half_precision(name):
    vision, captions = RECIPES[name].vision, ["a dog.", "a cat."]
    tokenizer = clip.Tokenizer.for_captions(captions)
    made = build(name, vision, tokenizer)
    packed = pack(made)
    floats = [t for t in made.model.state_dict().values() if t.is_floating_point()]
    halves = [t for t in packed.values() if t.dtype is torch.float16]
    assert len(halves) == len(floats) > 20
    again = restore(name, vision, packed)
    assert not again.model.training
    assert not any(p.requires_grad for p in again.model.parameters())
    assert torch.equal(again.tokenizer(captions), tokenizer(captions))
    for key, value in made.model.state_dict().items():
        rounded = value.half().float() if value.is_floating_point() else value
        assert torch.equal(again.model.state_dict()[key], rounded)
    twice = pack(again)
    assert twice.keys() == packed.keys()
    assert all(torch.equal(twice[key], packed[key]) for key in packed)


@EACH_RECIPE
def test_a_restored_model_makes_the_same_features(name):
    vision = RECIPES[name].vision
    made = build(name, vision, clip.Tokenizer.for_captions(["a dog.", "a cat."]))
    made.model.eval().requires_grad_(False)
    x = pixels(4)
    again = restore(name, vision, pack(made))
    before, after = made.encode_unit(x), again.encode_unit(x)
    assert before.shape == (4, WIDTH)
    assert (before * after).sum(1).min() > 0.999


def test_the_context_holds_every_caption_of_ours():
    classes, templates = clip.GLYPH_NAMES, clip.GLYPH_TEMPLATES
    longest = SimpleTokenizer(context_length=77)(
        [t.format(name) for t in templates for name in classes]
    )
    assert (longest > 0).sum(1).max() <= CONTEXT


# Preprocessing.


def test_bytes_are_normalised_as_open_clip_does():
    images, labels = clip.sample(20, seed=0)
    pictures = clip.Pictures(images, labels, clip.preprocessing(32))
    expected = torch.stack([pictures[i][0] for i in range(20)])
    torch.testing.assert_close(normalise(images), expected, atol=1e-6, rtol=1e-6)


def test_any_image_becomes_a_square_of_the_right_side():
    picture = clip.Pictures(*clip.sample(1, seed=0), lambda x: x).picture(0)
    wide = picture.resize((90, 50))
    assert clip.preprocessing(32)(wide.convert("L")).shape == (3, 32, 32)
    assert clip.preprocessing(224)(wide).shape == (3, 224, 224)


# The head.


@EACH_GLYPH
def test_similarities_are_open_clips_own_logits(name):
    model = fresh(name)
    texts = [f"a {word}." for word in clip.GLYPH_NAMES]
    ids, x = model.tokenizer(texts), pixels(8)
    text = model.classifier(clip.GLYPH_NAMES, ["a {}."])
    ours = clip.Similarity(text, model.scale)(model.encode(x))
    with torch.no_grad():
        theirs, _ = model.model.get_logits(x, ids)
        image, words, scale = model.model(x, ids)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(ours, scale * image @ words.T, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(model.encode_unit(x), image)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_have_similarities_in_float32(dtype):
    features = orbits().features[0].to(dtype)
    found = head()(features)
    assert found.dtype is torch.float32
    assert torch.equal(found, head()(features.float()))
    exact = head()(features.double())
    assert exact.dtype is torch.float64
    torch.testing.assert_close(found.double(), exact, atol=1e-3, rtol=1e-4)


def test_similarities_do_not_depend_on_the_length_of_features():
    features = orbits().features[0]
    long = features * torch.rand(len(features), 1).add(0.1)
    torch.testing.assert_close(head()(long), head()(features), atol=1e-4, rtol=1e-5)


def test_a_class_is_the_mean_of_its_captions():
    model, classes, templates = untrained(), ["dog", "cat"], ["a {}.", "{}.", "a a {}."]
    found = model.classifier(classes, templates)
    for row, name in zip(found, classes, strict=True):
        told = [
            model.model.encode_text(model.tokenizer([t.format(name)]))[0]
            for t in templates
        ]
        torch.testing.assert_close(row, scaled(unit(torch.stack(told)).mean(0), dim=0))


def test_the_scale_is_one_over_the_temperature():
    model = untrained()
    assert model.scale == pytest.approx(1 / 0.07, rel=1e-5)
    assert trained().scale <= 100.001


def test_the_towers_of_a_clip_may_stand_in_for_one_another():
    """Similarity is a head: it keeps the symmetry of what it is given."""
    act = eq.Rot90(eq.cyclic(4))
    f = eq.Equitune(trained().encode, act, eq.Trivial(act.group), head=head())
    assert eq.check_equivariance(f, act, eq.Trivial(act.group), pixels(4)).passed


# What ships.


@EACH_SHIPPED
def test_a_shipped_model_says_how_it_was_made(name):
    tensors, card = load_weights(weights_name(name))
    recipe = RECIPES[name]
    assert card["vision"] == recipe.vision
    assert card["steps"] == recipe.steps
    assert card["seed"] == 0
    assert card["licence"] == "MIT"
    assert set(card["versions"]) == {"torch", "open_clip_torch", "numpy"}
    for split in "validation", "test":
        found = card["accuracy"][f"{split}, shipped"]
        assert 0 < found["turned"] < found["upright"] <= 1
    assert all(
        t.dtype is torch.float16 for t in tensors.values() if t.is_floating_point()
    )


@EACH_GLYPH
def test_glyphs_are_read_upright_and_not_turned(name):
    model, course = clip.load_clip(name), glyph_clips.course()
    text = model.classifier(course.classes, course.templates)
    images, labels = clip.sample(400, seed=77, test=True)
    similar = clip.Similarity(text, model.scale)
    act, x = clip.action("rot90"), normalise(images)
    hits = [
        similar(model.encode(view)).argmax(1) == labels
        for view in act.orbit(x).unbind(0)
    ]
    upright, turned = hits[0], torch.cat(hits)
    assert upright.double().mean() >= 0.85
    assert turned.double().mean() < upright.double().mean() / 2
    _, card = load_weights(weights_name(name))
    told = card["accuracy"]["test, shipped"]
    assert upright.double().mean() == pytest.approx(told["upright"], abs=0.05)
    assert turned.double().mean() == pytest.approx(told["turned"], abs=0.05)


@EACH_SHIPPED
def test_a_shipped_model_is_good_upright_and_worse_when_turned(name):
    """The least accuracy upright; and the most, over four turns, as a part of it."""
    bounds = {"glyph": (0.85, 1 / 2), "tiny-resnet": (0.25, 2 / 3)}
    bounds |= {"tiny-vit": (0.15, 2 / 3)}
    least, most = bounds.get(name) or bounds[name.split("-")[0]]
    _, card = load_weights(weights_name(name))
    told = card["accuracy"]["test, shipped"]
    assert told["upright"] >= least
    assert told["turned"] <= most * told["upright"]


@EACH_SHIPPED
def test_a_shipped_model_reads_the_captions_of_its_data(name):
    model = clip.load_clip(name)
    if name.startswith("glyph"):
        classes, templates = clip.GLYPH_NAMES, clip.GLYPH_TEMPLATES
    else:
        classes, templates = ["goldfish"], TEMPLATES
    found = model.classifier(classes, templates)
    assert found.shape == (len(classes), WIDTH)
    assert (found @ found.T).fill_diagonal_(0).max() < 0.99


def test_what_ships_is_small():
    sizes = [path.stat().st_size for path in (ASSETS / "clip").glob("*.safetensors")]
    assert len(sizes) <= len(clip.SHIPPED)
    assert 1e6 < sum(sizes) <= 14e6
    assert max(sizes) <= 8e6
