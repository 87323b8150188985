"""Each adapter of page 71 against the real library, with random weights."""

import subprocess
import sys

import numpy as np
import open_clip
import pytest
import timm
import torch
import torchvision
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    ViTConfig,
    ViTForImageClassification,
)

import equinb as eq
from equinb.apps import clip
from equinb.apps.rl import cartpole_actions, load_q_network
from equinb.apps.rl.wrapper import symmetrize_dqn
from equinb.apps.text import decoding, words

C2, C4 = eq.cyclic(2), eq.cyclic(4)
TURN, SAME = eq.Rot90(C4), eq.Trivial(C4)
METHODS = ("equitune", "equizero", "lambda-equitune")
VOCABULARY = 12
SWAP = words.swap_of([[(0, 1), (2, 3)]], VOCABULARY)
RING = words.swap_of([[(0, 1, 2)]], VOCABULARY)


def images(n=3):
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(1))


class Adapter:
    """A model from one tensor to another, and where it may be cut."""

    def __init__(self, plain, encode, head, act_in, act_out, width, x):
        self.plain, self.encode, self.head = plain, encode, head
        self.act_in, self.act_out, self.width, self.x = act_in, act_out, width, x

    def symmetrized(self, method):
        actions = self.act_in, self.act_out
        if method == "equitune":
            f = eq.Equitune(self.encode, *actions, head=self.head)
        elif method == "equizero":
            f = eq.Equizero(
                self.encode, *actions, loss=eq.losses.neg_max_q, head=self.head
            )
        else:
            lam = nn.Linear(self.width, 1)
            f = eq.LambdaEquitune(self.encode, *actions, lam, head=self.head)
        return f.eval().requires_grad_(False)


def of_torch():
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.Flatten())
    head = nn.Linear(8 * 15 * 15, 10)
    whole = nn.Sequential(net, head)
    return Adapter(whole, net, head, TURN, SAME, 8 * 15 * 15, images())


def of_torchvision():
    net = torchvision.models.resnet18(weights=None, num_classes=10).eval()
    return Adapter(net, net, None, TURN, SAME, 10, images())


def of_timm():
    net = timm.create_model("resnet10t", pretrained=False, num_classes=10).eval()

    def pooled(x):
        return net.forward_head(net.forward_features(x), pre_logits=True)

    head = net.get_classifier()
    return Adapter(net, pooled, head, TURN, SAME, net.num_features, images())


def of_open_clip():
    vision = {"image_size": 64, "patch_size": 16, "layers": 2, "width": 64}
    text = {"width": 64, "heads": 2, "layers": 2}
    net = open_clip.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=text).eval()
    captions = open_clip.build_zero_shot_classifier(
        net,
        open_clip.get_tokenizer("ViT-B-32"),
        classnames=["cat", "dog", "fish"],
        templates=["a photo of a {}.".format],
    )
    net.requires_grad_(False)
    head = clip.Similarity(captions.T.contiguous(), net.logit_scale.exp().item())
    return Adapter(
        lambda x: head(net.encode_image(x)),
        *(net.encode_image, head, TURN, SAME, 32, images()),
    )


def image_classifier():
    config = ViTConfig(
        image_size=64,
        patch_size=16,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_labels=10,
    )
    return ViTForImageClassification(config).eval()


def of_transformers_images():
    net = image_classifier()

    def logits(x):
        return net(pixel_values=x).logits

    return Adapter(logits, logits, None, TURN, SAME, 10, images())


def language_model():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=24,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=VOCABULARY - 1,
        eos_token_id=VOCABULARY - 1,
        initializer_range=0.5,
    )
    return GPT2LMHeadModel(config).eval().requires_grad_(False)


def prompts(n=3):
    random = torch.Generator().manual_seed(4)
    return torch.randint(VOCABULARY, (n, 5), generator=random)


def of_transformers_words():
    net = language_model()

    def scores(ids):
        return net(ids).logits[:, -1]

    return Adapter(
        scores,
        scores,
        None,
        SWAP.on_ids,
        SWAP.on_logits,
        VOCABULARY,
        prompts(),
    )


def cartpole(units=32):
    return DQN(
        "MlpPolicy",
        "CartPole-v1",
        policy_kwargs={"net_arch": [units, units]},
        buffer_size=1,
        seed=0,
        device="cpu",
    )


def of_stable_baselines3():
    net = cartpole().q_net
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(2))
    return Adapter(net, net, None, *cartpole_actions(), 2, x)


MAKE = {
    "torch": of_torch,
    "torchvision": of_torchvision,
    "timm": of_timm,
    "open_clip": of_open_clip,
    "transformers, images": of_transformers_images,
    "transformers, words": of_transformers_words,
    "stable-baselines3": of_stable_baselines3,
}


@pytest.fixture(scope="module", params=MAKE)
def adapter(request):
    torch.manual_seed(0)
    return MAKE[request.param]()


def passes(f, a):
    return eq.check_equivariance(f, a.act_in, a.act_out, a.x).passed


@torch.no_grad()
def test_the_cut_is_a_cut_of_the_model(adapter):
    y = adapter.encode(adapter.x)
    assert y.shape[-1] == adapter.width
    whole = y if adapter.head is None else adapter.head(y)
    torch.testing.assert_close(whole, adapter.plain(adapter.x), atol=1e-5, rtol=1e-5)


def test_the_model_by_itself_fails(adapter):
    assert not passes(adapter.plain, adapter)


@pytest.mark.parametrize("method", METHODS)
def test_symmetrized_it_passes(adapter, method):
    assert passes(adapter.symmetrized(method), adapter)


@torch.no_grad()
@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_weighted_mean_of_the_answers_of_the_library(adapter, method):
    """By hand, view by view, without an orbit in one batch."""
    f = adapter.symmetrized(method)
    y, orbit = f(adapter.x, return_orbit=True)
    G, total = adapter.act_in.group, 0
    for g in range(G.order):
        answer = adapter.encode(adapter.act_in(g, adapter.x))
        back = adapter.act_out(int(G.inverses[g]), answer)
        total = total + orbit.weights[g][:, None] * back
    by_hand = total if adapter.head is None else adapter.head(total)
    torch.testing.assert_close(y, by_hand, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("method", METHODS)
def test_exported_it_is_the_same(adapter, method, tmp_path):
    f = adapter.symmetrized(method)
    size = ({0: torch.export.Dim("batch")},)
    plain = eq.plain_module(f)
    program = torch.export.export(plain, (adapter.x[:2],), dynamic_shapes=size)
    torch.export.save(program, tmp_path / "model.pt2")
    again = torch.export.load(tmp_path / "model.pt2").module()
    for x in (adapter.x, adapter.x[:1]):
        torch.testing.assert_close(again(x), f(x), atol=1e-5, rtol=1e-5)
    assert passes(again, adapter)


ALONE = """
import sys
for name in ("equinb", "timm", "open_clip", "transformers", "torchvision"):
    sys.modules[name] = None
import torch
f = torch.export.load("model.pt2").module()
torch.save(f(torch.load("inputs.pt", weights_only=True)), "outputs.pt")
"""


@torch.no_grad()
@pytest.mark.parametrize("name", ["timm", "open_clip", "transformers, images"])
def test_the_file_needs_neither_this_package_nor_the_library(name, tmp_path):
    a = MAKE[name]()
    f = a.symmetrized("lambda-equitune")
    size = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(eq.plain_module(f), (a.x[:2],), dynamic_shapes=size)
    torch.export.save(program, tmp_path / "model.pt2")
    torch.save(a.x, tmp_path / "inputs.pt")
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outputs = torch.load(tmp_path / "outputs.pt", weights_only=True)
    torch.testing.assert_close(outputs, f(a.x), atol=1e-5, rtol=0)
    assert (outputs - a.plain(a.x)).abs().max() > 1e-4


def test_an_object_with_names_is_refused_in_a_sentence():
    with pytest.raises(TypeError, match="got ImageClassifierOutput"):
        eq.Equitune(image_classifier(), TURN, SAME)(images())


# Whole texts, by the library's own generate.


def generated(model, swap, x, noise, steps=8):
    rows = swap.on_ids.orbit(x).flatten(0, 1)
    all_tokens = decoding.Sampling(top_k=None)
    fair = decoding.EquiProcessor(swap, x.shape[1], all_tokens, noise)
    made = model.generate(
        rows,
        attention_mask=torch.ones_like(rows),
        max_new_tokens=steps,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        logits_processor=[fair],
    )
    return made.unflatten(0, (swap.group.order, -1))


@pytest.mark.parametrize("swap", [SWAP, RING], ids=["order two", "order three"])
def test_generate_writes_mirror_images(swap):
    model, x = language_model(), prompts(10)
    noise = decoding.gumbel(7, len(x), VOCABULARY)
    one = generated(model, swap, x, noise)
    for g in range(swap.group.order):
        # The branches of one call are views of one text ...
        assert torch.equal(one[g], swap.on_ids(g, one[0]))
        # ... and a call for gx, with the noise moved along, writes g of it.
        other = generated(
            model,
            swap,
            swap.on_ids(g, x),
            lambda step, g=g: swap.on_logits(g, noise(step)),
        )
        assert torch.equal(other[0], swap.on_ids(g, one[0]))
    assert not torch.equal(one[1], one[0])


def test_generate_without_the_processor_does_not():
    model, x, nothing = language_model(), prompts(10), words.swap_of([], VOCABULARY)
    noise = decoding.gumbel(7, len(x), VOCABULARY)
    one = generated(model, nothing, x, noise)[0]
    other = generated(
        model,
        nothing,
        SWAP.on_ids(1, x),
        lambda step: SWAP.on_logits(1, noise(step)),
    )[0]
    assert not torch.equal(other, SWAP.on_ids(1, one))


# An agent that plays.


def test_an_agent_plays_in_the_library():
    """By the library's own evaluation; an agent that knows nothing lasts 20 steps."""
    model = cartpole(256)
    model.q_net.q_net.load_state_dict(load_q_network().state_dict())
    agent = symmetrize_dqn(model, *cartpole_actions())
    track = make_vec_env("CartPole-v1", n_envs=5, seed=0)
    mean, _ = evaluate_policy(agent, track, n_eval_episodes=10)
    assert mean > 100


def test_a_mirrored_state_has_the_mirrored_action():
    model = cartpole()
    agent = symmetrize_dqn(model, *cartpole_actions())
    random = np.random.default_rng(0)
    states = random.normal(size=(50, 4)).astype(np.float32)
    for player, mirrors in ((model, False), (agent, True)):
        here, _ = player.predict(states, deterministic=True)
        there, _ = player.predict(-states, deterministic=True)
        assert (here == 1 - there).all() == mirrors
