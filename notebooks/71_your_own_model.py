# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: mystnb,tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own model
#
# ## Goals
#
# After this page you can
#
# - **wrap** a torch module, and models of torchvision, timm, open_clip, transformers and
#   stable-baselines3, each in a few lines;
# - **check** each of them before and after, and say what failed;
# - **generate** with the `generate` of transformers, so that two prompts which are mirror
#   images have texts which are mirror images;
# - **export** a symmetrised model into a file that runs where this package is not;
# - **choose** the group, the space and the weighting by what was measured.
#
# {bdg-secondary}`CPU`
# {bdg-secondary}`paper: sections 3, 4 and 5`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import pandas as pd
import torch
from torch import nn

import equinb as eq
from equinb import lab

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots

plots.use_style()
torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## What a model must be
#
# > "Equituning converts a pretrained model into an equivariant version by minimizing
# > the distance of features obtained from pretrained and equivariant models."
# > {cite:p}`basu2023efficient`
#
# In plain words: nothing is asked of the model but that it can be called. So an adapter
# has three things to say: a function from a batch to one tensor, how the group acts on
# what goes in, and how it acts on what comes out. The libraries of this page differ in
# where they keep that tensor.
#
# The models here have *random weights*, but for a language model and an agent that ship
# with the package. Theorem 2 does not ask what the weights are, and nothing has to be
# downloaded. Where a library keeps its pretrained weights is in a table below. One function checks a model before and after, and keeps the errors:

# %%
errors = {}


def compare(name, plain, f, x):
    actions = f.act_in, f.act_out
    before = eq.check_equivariance(plain, *actions, x)
    after = eq.check_equivariance(f, *actions, x)
    errors[name] = {"before": before.error, "after": after.error}
    print(f"before {before.error:.0e}, after {after.error:.0e}")
    assert after.passed and not before.passed


# %% [markdown]
# (Errors are relative to the largest output; about 1e-7 is the rounding of float32.)
#
# ## A module of torch
#
# A small network from images to maps. The map turns with the image, so the group acts
# on both alike, and $g^{-1}$ turns each answer back.

# %%
G = eq.cyclic(4)
turn, same = eq.Rot90(G), eq.Trivial(G)
images = torch.rand(5, 3, 64, 64)

# %%
net = nn.Sequential(
    *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()),
    nn.Conv2d(8, 1, 3, padding=1),
)
f_map = eq.Equitune(net, turn, turn).eval()
compare("a torch module", net, f_map, images)

# %% [markdown]
# ## A classifier of torchvision
#
# A class does not turn with its image: the output action is {term}`trivial <action>`.
# `eval()` comes first, for the sake of dropout and batch statistics
# ({ref}`ex-own-training`).

# %%
from torchvision.models import resnet18

vision = resnet18(weights=None, num_classes=10).eval()
f_vision = eq.Equizero(vision, turn, same, loss=eq.losses.neg_max_prob)
compare("torchvision", vision, f_vision, images)

# %% [markdown]
# ## A classifier of timm, cut at its features
#
# A model of timm comes in two parts, `forward_features` and `forward_head`. Between the
# pooled features and the classifier is the place to {term}`cut`: the average is taken of
# features, and $\lambda$ reads them. (Here $\lambda$ is as untrained as the model;
# [](32_weights_for_views.ipynb) trains one.)

# %%
import timm

backbone = timm.create_model("resnet10t", pretrained=False, num_classes=10)
backbone.eval()


def pooled(x):
    features = backbone.forward_features(x)
    return backbone.forward_head(features, pre_logits=True)


# %%
lam = nn.Linear(backbone.num_features, 1)
f_timm = eq.LambdaEquitune(
    *(pooled, turn, same, lam), head=backbone.get_classifier()
)
f_timm.eval()
compare("timm", backbone, f_timm, images)

# %% [markdown]
# ## A CLIP of open_clip
#
# Two towers {cite:p}`ilharco2021openclip`. The image tower is what is symmetrised; the text
# tower and its captions are encoded once, by the library's own function, and become the
# {term}`head`.

# %%
import open_clip

tower = {"image_size": 64, "patch_size": 16, "layers": 2, "width": 64}
reader = {"width": 64, "heads": 2, "layers": 2}
two = open_clip.CLIP(embed_dim=32, vision_cfg=tower, text_cfg=reader)
two = two.eval().requires_grad_(False)

# %%
captions = open_clip.build_zero_shot_classifier(
    *(two, open_clip.get_tokenizer("ViT-B-32")),
    classnames=["cat", "dog", "fish"],
    templates=["a photo of a {}.".format],
)
captions = captions.T.contiguous()  # (classes, d)

# %%
from equinb.apps import clip

head = clip.Similarity(captions, two.logit_scale.exp().item())
nearest = eq.losses.neg_similarity(captions)
f_clip = eq.Equizero(
    *(two.encode_image, turn, same), loss=nearest, of="features", head=head
).eval()
compare("open_clip", lambda x: head(two.encode_image(x)), f_clip, images)

# %% [markdown]
# ## An image classifier of transformers
#
# A model of Hugging Face returns an object with names. The average is of a tensor: take
# the logits out of it. Forget that, and the package says so.

# %%
from transformers import ViTConfig, ViTForImageClassification

small = {"hidden_size": 32, "intermediate_size": 64, "num_labels": 10}
small |= {"num_hidden_layers": 2, "num_attention_heads": 2}
config = ViTConfig(image_size=64, patch_size=16, **small)
vit = ViTForImageClassification(config).eval()

# %%
try:
    eq.Equitune(vit, turn, same)(images)
except TypeError as error:
    print(error)
else:
    raise AssertionError("an object with names was averaged")


# %%
def logits(x):
    return vit(pixel_values=x).logits


f_vit = eq.Equitune(logits, turn, same)
compare("transformers, images", logits, f_vit, images)

# %% [markdown]
# ## A language model of transformers
#
# The group swaps words. On token ids it acts by renaming them, on the scores of the next
# token by moving them. The model is the small GPT-2 of [](51_fair_text.ipynb), which
# ships; `AutoModelForCausalLM` makes any other.

# %%
from equinb.apps.text import decoding, toy, words

model = toy.load_toy()
pairs = words.tokens_of(model.tokenizer, [("man", "woman"), ("he", "she")])
swap = words.swap_of([pairs], model.size)
he = toy.toy_prompts("man", 6)


# %%
def next_token(ids):
    return model.model(ids).logits[:, -1].softmax(-1)


f_words = eq.Equitune(next_token, swap.on_ids, swap.on_logits)
compare("transformers, words", next_token, f_words, he)

# %% [markdown]
# That is one token. For whole texts `generate` of transformers takes a list of
# processors of scores, and the averaging of branches is one. A batch holds all views of
# every prompt; the processor averages what they say and draws one token for all.

# %%
quiet = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
all_tokens = decoding.Sampling(top_k=None)


def generate(prompts, noise, steps=5):
    rows = swap.on_ids.orbit(prompts).flatten(0, 1)
    start = prompts.shape[1]
    fair = decoding.EquiProcessor(swap, start, all_tokens, noise)
    given = {"attention_mask": torch.ones_like(rows), "max_new_tokens": steps}
    made = model.model.generate(
        rows, **given, logits_processor=[fair], **quiet
    )
    return made[: len(prompts)]


# %% [markdown]
# Six prompts about a man and the same about a woman, drawn apart. The noise belongs to
# tokens, so it is swapped with them. Will the texts be mirror images, or only their
# chances?

# %%
noise = decoding.gumbel(0, len(he), model.size)
one = generate(he, noise)
she = generate(swap.on_ids(1, he), lambda t: swap.on_logits(1, noise(t)))
for ids in (one[0], she[0], one[1], she[1]):
    print(model.tokenizer.decode(ids))
assert torch.equal(swap.on_ids(1, one), she)

# %% tags=["hide-cell"]
written = decoding.write(model.model, he, swap, 5, all_tokens, noise)
assert torch.equal(one, written) and not torch.equal(one, she)


def by_itself(prompts, noise):
    nothing = words.swap_of([], model.size)
    return decoding.write(model.model, prompts, nothing, 5, all_tokens, noise)


many = toy.toy_prompts("man", 200)
noise = decoding.gumbel(1, len(many), model.size)
plain = by_itself(many, noise)
other = by_itself(swap.on_ids(1, many), lambda t: swap.on_logits(1, noise(t)))
assert not torch.equal(swap.on_ids(1, plain), other)

# %% [markdown]
# All six are mirror images, to the letter. They are what `decoding.write` of that page
# writes; and the model by itself, given the same noise, does not mirror all of two hundred
# (the hidden cell checks both).
#
# ## An agent of stable-baselines3
#
# A DQN {cite:p}`raffin2021stable` keeps its network behind `predict`. `symmetrize_dqn`
# copies the network and gives the copy a `predict`, which everything in the library that
# plays takes. CartPole's mirror negates the state and swaps the two actions
# ([](11_deep_q_learning.ipynb)). The weights are those of a shipped agent.

# %%
from stable_baselines3 import DQN

from equinb.apps import rl
from equinb.apps.rl.wrapper import symmetrize_dqn

width = {"net_arch": [256, 256]}
dqn = DQN("MlpPolicy", rl.CARTPOLE, policy_kwargs=width, buffer_size=1)
_ = dqn.q_net.q_net.load_state_dict(rl.load_q_network().state_dict())

# %%
agent = symmetrize_dqn(dqn, *rl.cartpole_actions(), method="equizero")
states = torch.randn(100, 4)
compare("stable-baselines3", dqn.q_net, agent.q, states)

# %%
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

for name, player in {"as it was": dqn, "symmetrized": agent}.items():
    track = make_vec_env(rl.CARTPOLE, n_envs=20, seed=0)
    mean, _ = evaluate_policy(player, track, n_eval_episodes=20)
    print(f"{name:12} return {mean:.0f}")

# %% [markdown]
# (Twenty episodes of one agent show that it plays, and not which is better.)
#
# ## All at once
#
# Every model fails before and passes after:

# %%
pd.DataFrame(errors).T.map("{:.0e}".format)

# %% tags=["hide-cell"]
assert len(errors) == 7
table = pd.DataFrame(errors).T
assert table["before"].min() > 1e-2 and table["after"].max() < 1e-5

# %% [markdown]
# Where the pretrained weights are, *not run here* since each is a download:
#
# | library | random weights | pretrained |
# | --- | --- | --- |
# | torchvision | `resnet18(weights=None)` | `resnet18(weights="DEFAULT")` |
# | timm | `create_model(name, pretrained=False)` | `create_model(name, pretrained=True)` |
# | open_clip | `CLIP(...)` | `create_model_and_transforms(name, pretrained="openai")` |
# | transformers, images | `ViTForImageClassification(config)` | `ViTForImageClassification.from_pretrained(name)` |
# | transformers, words | `GPT2LMHeadModel(config)` | `load_language_model("gpt2")`, of `equinb.apps.text.pretrained` |
# | stable-baselines3 | `DQN("MlpPolicy", env)` | `DQN.load(file)` |
#
# ## A file that runs alone
#
# A model is served by people who did not make it. What they get should be a file, and ask
# for torch and nothing else.
#
# The package reads numbers to say what is wrong with them: a $\lambda$ that gives NaN,
# a batch of the wrong shape. An exporter follows tensors, not numbers, and gives up
# there. `plain_module` is the same computation without the checks. It goes through
# `torch.export`, here with a batch of any size:

# %%
from pathlib import Path
from tempfile import mkdtemp

folder = Path(mkdtemp())
several = ({0: torch.export.Dim("batch")},)


# %%
def export(f, x, file):
    plain = eq.plain_module(f)
    program = torch.export.export(plain, (x[:2],), dynamic_shapes=several)
    torch.export.save(program, folder / file)


# %%
exports = {"map": (f_map, images), "timm": (f_timm, images)}
exports |= {"clip": (f_clip, images), "dqn": (agent.q.eval(), states)}
for name, (f, x) in exports.items():
    export(f, x, f"{name}.pt2")
    torch.save([x[:1], x], folder / f"{name}-inputs.pt")

# %% [markdown]
# That is equitune, $\lambda$-equitune, and equizero twice. Now a fresh interpreter, with
# nothing of this one, and where `import equinb` fails even if it is installed:

# %%
ALONE = """
import sys
sys.modules["equinb"] = None
import torch
for name in sys.argv[1:]:
    f = torch.export.load(f"{name}.pt2").module()
    inputs = torch.load(f"{name}-inputs.pt", weights_only=True)
    torch.save([f(x) for x in inputs], f"{name}-outputs.pt")
try:
    import equinb
except ImportError as error:
    print(error)
"""

# %%
import subprocess

command = [sys.executable, "-I", "-c", ALONE, *exports]
options = {"cwd": folder, "capture_output": True, "text": True}
done = subprocess.run(command, **options)
print(done.stdout or done.stderr)
assert done.returncode == 0 and "import of equinb halted" in done.stdout

# %%
for name, (f, x) in exports.items():
    file = folder / f"{name}-outputs.pt"
    outputs = torch.load(file, weights_only=True)
    with torch.no_grad():
        gaps = [(y - f(x[: len(y)])).abs().max() for y in outputs]
    size = (folder / f"{name}.pt2").stat().st_size / 1e6
    print(f"{name:5} greatest gap {max(gaps):.0e}, {size:.1f} MB")
    assert max(gaps) < 1e-5

# %% [markdown]
# One image or five, one state or a hundred, from files that were made with two. And is what comes out of the file
# equivariant? It has to be, as it is the same function; a check costs a line.

# %%
program = torch.export.load(folder / "map.pt2").module()
print(eq.check_equivariance(program, turn, turn, images))
assert eq.check_equivariance(program, turn, turn, images).passed

# %% [markdown]
# What is lost are the checks, and what was fixed is fixed. Give package and file an image
# of NaN, and one of another size:

# %%
from_file = torch.export.load(folder / "timm.pt2").module()
odd = {"NaN": images * torch.nan, "small": images[..., ::2, ::2]}
answers = {}
for name, f in {"package": f_timm, "file": from_file}.items():
    for what, x in odd.items():
        try:
            answers[name, what] = f(x)
        except (ValueError, AssertionError) as error:
            answers[name, what] = str(error).split("\n")[0]

# %%
for key, answer in answers.items():
    told = isinstance(answer, str)
    shown = answer if told else f"answers, NaN: {bool(answer.isnan().any())}"
    print(*key, shown, sep=": ")

# %% tags=["hide-cell"]
kinds = {key: isinstance(answer, str) for key, answer in answers.items()}
assert list(kinds.values()) == [True, False, False, True]
assert answers["file", "NaN"].isnan().all()

# %% [markdown]
# The file passes NaN on, where the package names the part that made it; and it serves
# images of the one size that it was made with.
#
# The same program becomes ONNX in one more line. It takes three packages that this book
# does not install (`onnx`, `onnxscript`, `onnxruntime`), so it is *not run here*; where
# they are installed, a test of the package runs it and compares the answers to 1e-5.
#
# ```text
# torch.onnx.export(program, dynamo=True).save("model.onnx")
# ```
#
# ## Which group?
#
# Now the choices. The chapters have stored what they measured; here it is read again, to
# answer one question at a time. (Which symmetry *your* model lacks can be measured without
# labels: [](72_which_symmetry.ipynb).)

# %%
NAMES = ["clip-small", "clip-importance-small", "costs-paper"]
NAMES += ["cnn-small", "cnn-public-small", "scan-paper"]
NAMES += ["dqn-small", "text-small"]
stored = {name: lab.load_result(name).rows for name in NAMES}
records = {name: lab.load_result(name).provenance for name in NAMES}
for name, m in records.items():
    print(f"{name:21} {m.command}, on {m.device}, {m.date[:10]}")

# %% [markdown]
# First the CLIPs of [](33_clip_on_photographs.ipynb), two of signs and two of photographs
# (three draws of the turns, one training each), in points of accuracy.

# %%
rows = stored["clip-small"]
own = rows[rows["scale"] == "CLIP's"]
own = own[own["cut"].isna() | (own["cut"] == "features")]
found = own.groupby(["group", "model", "method"], sort=False)["top1"].mean()
found = 100 * found.unstack("method")
turned = found.loc["rot90"]

# %% [markdown]
# *Does it occur?* A wrapped model gives one answer to all views of an image, be it a
# worse one than it had for the upright. So what it is worth depends on what will come:

# %%
advice = {}  # what is gained by following it, in points, one number a model
zero = turned["equizero"]
advice["wrap, where turns occur"] = zero - turned["pretrained"]
upright = turned["pretrained, upright"]
advice["do not, where none occur"] = upright - zero
pd.DataFrame(advice).round(1)

# %% tags=["hide-cell"]
assert (pd.DataFrame(advice) > 2).all(axis=None)

# %% [markdown]
# *How large?* Equizero over the eight views of $D_4$ has one answer for all eight copies
# of an image. Where images are turned and never mirrored, its stored accuracy is
# therefore that of a group larger than needed. What do four views more cost? Predict
# before you look, for signs and for photographs.

# %%
larger = zero - found.loc["D4"]["equizero"]
advice["no mirrors, where none occur"] = larger
mirror = found.loc["hflip"]
harm = mirror["pretrained, upright"] - mirror["pretrained"]
good = mirror["equitune"] - mirror["pretrained, upright"]
columns = {"larger group costs": larger, "a mirror by itself costs": harm}
pd.DataFrame({**columns, "an even mean over it gains": good}).round(1)

# %% tags=["hide-cell"]
signs, photos = ["glyph-resnet", "glyph-vit"], ["tiny-resnet", "tiny-vit"]
assert (larger[signs] > 3).all() and (harm[signs] > 30).all()
assert (larger[photos].abs() < 1).all() and (harm[photos].abs() < 1).all()
assert good[photos].between(0.4, 1.5).all() and (good[signs] < -15).all()
one_view = mirror["equizero"] - mirror["pretrained, upright"]
assert one_view[photos].between(0.2, 1).all()

# %% [markdown]
# On signs several points, on photographs nothing to speak of. The second column fits that:
# it is what a mirror costs the model by itself. Where it costs nothing, the views that it
# adds are good ones, and an even mean over the mirror alone is better than the model is
# upright; even equizero is. So: take the smallest group that holds what occurs, and measure what each of
# its elements costs the model as it is.
#
# *And if it is not finite?* A model of clouds of points in the plane, under turns by any
# angle. Four quarter turns do not help; a {term}`frame` does (`eq.CanonicalLambda`,
# [](61_canonical_poses.ipynb)):

# %%
from equinb.canonical import check_continuous, random_rotations, rotate
from equinb.frames import pca_frame


def corner(x):
    return x.amax(1)  # of the box around the points


quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
powers = [torch.linalg.matrix_power(quarter, k) for k in range(4)]
four = eq.Matrix(G, torch.stack(powers))

# %%
cloud, turns = torch.randn(8, 50, 2), random_rotations(20, n=2)
models = {"four quarter turns": eq.Equitune(corner, four, four)}
models["a frame"] = eq.CanonicalLambda(corner, pca_frame, rotate, rotate)
for name, f in models.items():
    report = check_continuous(f, rotate, rotate, cloud, turns)
    print(f"{name:18} {report.error:.0e}")
    assert report.passed == (name == "a frame")

# %% [markdown]
# A frame has its price: inputs for which there is none. The corners of a square have no
# longest axis, and are refused.

# %%
square = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]])
try:
    models["a frame"](square)
except ValueError as error:
    print(error)
else:
    raise AssertionError("a square was given a frame")

# %% [markdown]
# ## Which space?
#
# Features, logits or probabilities: where is the average taken? For *equizero* it hardly
# matters, since nothing is averaged but ties. For an even mean, on quarter turns:

# %%
own = rows[(rows["scale"] == "CLIP's") & (rows["group"] == "rot90")]
by_cut = own[own["cut"].notna()].groupby(["model", "method", "cut"])
by_cut = 100 * by_cut["top1"].mean().unstack("cut")
even = by_cut.xs("equitune", level="method")
even.round(1)

# %%
chosen = by_cut.xs("equizero", level="method")
spread = chosen.max(axis=1) - chosen.min(axis=1)
print(f"equizero, the greatest difference of two spaces: {spread.max():.2f}")
assert spread.max() < 0.2

# %% [markdown]
# And the classifiers of [](42_verdict_on_cifar10.ipynb), on CIFAR10: two networks of ours
# and two of others {cite:p}`idelbayev2018resnets`, with heads that were there before.

# %%
cnn = pd.concat([stored["cnn-small"], stored["cnn-public-small"]])
heads = cnn[cnn["setting"] == "head"]
read = heads[heads["images"].isna()].groupby(["model", "rule", "cut"])
read = 100 * read["top1"].mean().unstack("cut")
averaged = read.xs("equitune", level="rule")
averaged.round(1)

# %%
mean_of_p = [
    even["probabilities"] - even["features"],
    averaged["probabilities"] - averaged["logits"],
]
names = [*even.index, *(f"{n}, CNN" for n in averaged.index)]
advice["an even mean of probabilities"] = pd.concat(mean_of_p).set_axis(names)

# %% tags=["hide-cell"]
of_p = advice["an even mean of probabilities"]
assert (even.idxmax(axis=1) == "probabilities").all()
assert (of_p[[*signs, *photos]] > 1.5).all()
assert (of_p[["resnet20, CNN", "resnet56, CNN"]] < -7).all()
assert of_p[["tiny-resnet, CNN", "tiny-alexnet, CNN"]].between(0, 2).all()

# %% [markdown]
# For every CLIP, probabilities at its own temperature are the best to average. For the two
# public networks they are worse than logits by many points, and for ours there is little
# between the two. No rule covers all of them. So average both on images with labels, and
# take the better: it costs no training. Where the head is affine, features and logits are
# one ({ref}`ex-where-to-cut`).
#
# ## Which weighting?
#
# *No labels.* Does the model read one view well and the others badly, or all of them
# alike? Heads that were learned upright first: equizero ahead of equitune, by points. With
# them the sentences of [](22_scan_tables.ipynb), where equizero chooses a whole answer.

# %%
logit = read["logits"].unstack("rule")
scan = stored["scan-paper"]
scan = scan[
    (scan["set"] == "test") & scan["group"].isin(["Verb", "Direction"])
]
sentences = scan.groupby(["task", "cell", "rule"])["accuracy"].mean()
sentences = 100 * sentences.unstack("rule")
sentences.index = [", ".join(key) for key in sentences.index]

# %%
sources = {"": turned, ", CNN": logit, ", SCAN": sentences}
ahead = pd.concat(
    (t["equizero"] - t["equitune"]).rename(lambda n, kind=kind: n + kind)
    for kind, t in sources.items()
)
advice["equizero, a head learned upright"] = ahead
ahead.round(1).to_frame("points ahead")

# %% tags=["hide-cell"]
assert (ahead > 2).all() and len(ahead) == 14
assert ahead[[n for n in ahead.index if n.endswith("CNN")]].min() > 7
level = (even["probabilities"] - zero)[photos]
assert (level.abs() < 0.7).all()

# %% [markdown]
# On all of them, if by little on photographs, where the even mean of *probabilities* from
# above is level with it. But the head can be learned through the average itself, on features of a
# network that was made for something else:

# %%
probe = cnn[(cnn["setting"] == "probe") & (cnn["mode"] == "eval")]
probe = probe[(probe["set"] == "test") & (probe["epoch"] == 10)]
probe = probe[probe["method"] == probe["rule"]]
probe = probe.groupby(["model", "rule"])["top1"].mean().unstack("rule")
probe = 100 * probe[["equitune", "equizero", "lambda-equitune"]]
probe.round(1)

# %%
foreign = ["tiny-resnet", "tiny-alexnet"]
behind = (probe["equitune"] - probe["equizero"]).add_suffix(", CNN")
advice["equitune, a head learned through it"] = behind
assert (behind[[f"{n}, CNN" for n in foreign]] > 2).all()
assert (behind[["resnet20, CNN", "resnet56, CNN"]] < -3).all()

# %% [markdown]
# On our two networks equitune is ahead, on the two that know the task equizero is. So the
# question is what the features were made for.
#
# *Labels.* How many does $\lambda$ need before it is better than equizero, which needs
# none? And what does a classifier of *orientation* do with as many images, known to be
# upright?

# %%
lessons = stored["clip-importance-small"]
lessons = lessons[lessons["network"].isin(["d-100-100-1"])]
both = [lessons, heads.drop(columns="method")]
both[1] = both[1].rename(columns={"rule": "method"})
both = pd.concat(both, ignore_index=True)
both["model"] += both["setting"].notna().map({True: ", CNN", False: ""})
both = both[both["images"].notna()]
taught = 100 * both.groupby(["method", "model", "images"])["top1"].mean()

# %%
learned, compass = (
    taught[name] for name in ("lambda-equitune", "orientation classifier")
)
choice = pd.concat([zero, logit["equizero"].add_suffix(", CNN")])
gain = learned.unstack("images").sub(choice, axis=0).sort_index(axis=1)
gain.round(1)

# %%
ends = gain.bfill(axis=1).iloc[:, 0], gain.ffill(axis=1).iloc[:, -1]
advice["equizero, where labels are few"] = -ends[0]
advice["lambda, where labels are many"] = ends[1]
difference = (compass - learned).unstack("images").ffill(axis=1).iloc[:, -1]
advice["orientation, not labels"] = difference

# %% tags=["hide-cell"]
assert (ends[1] > 0.4).all() and len(ends[1]) == 8
clips, cnns = [*signs, *photos], [n for n in ends[0].index if "CNN" in n]
assert (ends[0][clips] < -1).all() and ends[0][cnns].abs().max() < 7
assert (ends[0][cnns] > -1).all()
assert (difference > -0.5).all() and (difference > 0).sum() == 7
assert gain.columns[0] == 50 and gain.columns[-1] == 16_000
assert heads["images"].min() == 100

# %% [markdown]
# (The first and the last entry of a row are its fewest and its most images.) With the most
# labels $\lambda$ is ahead on every model. With fifty the CLIPs lose by it on average, with
# a hundred the CNNs are level or better. And the classifier of orientation is ahead of
# $\lambda$ on all models but one, if often by little, with no label of a class: where you
# know which way is up, begin there.
#
# *What it costs* is no reason for one or the other. Times for the four views of a batch,
# over those of equitune ([](74_what_it_costs.ipynb)):

# %%
cost = stored["costs-paper"]
cost = cost[(cost["way"] == "float32") & (cost["batch"] == 32)]
cost = cost.groupby(["model", "method"])["time_s"].mean().unstack("method")
cost = cost.div(cost["equitune"], axis=0)
columns = ["pretrained", "equizero", "lambda-equitune"]
cost[columns].round(2)

# %% tags=["hide-cell"]
assert (cost[["equizero", "lambda-equitune"]] < 1.1).all(axis=None)

# %% [markdown]
# *Agents.* Returns are no percentages, and five agents are few:

# %%
played = stored["dqn-small"]
duel = {}
for name, task in rl.TASKS.items():
    mine = played[played["environment"] == name]
    mine = mine[mine["steps"] == task.ours.use]
    wide = mine.pivot(index="seed", columns="method", values="mean_return")
    pairs = [("equizero", "equitune"), ("equizero", "pretrained")]
    duel[task.short] = lab.paired_gains(wide, pairs)
duel = pd.concat(duel)
duel.round(2)

# %% tags=["hide-cell"]
assert ((duel["low"] < 0) & (duel["high"] > 0)).all()
against = duel["mean"].unstack()
assert (against["equizero - pretrained"] > 0).all()
assert against["equizero - equitune"]["acrobot"] > 0

# %% [markdown]
# Every interval holds zero: this evidence decides nothing. What speaks for equizero there
# is not a number but a mechanism: near rest an average makes left and right worth nearly
# the same, and an agent that then does nothing stays at rest
# ([](12_three_environments.ipynb)).
#
# *Texts.* There the question is what you want. Shares of texts that a classifier takes
# for positive or negative, over three pairs of words and two tasks:

# %%
said = stored["text-small"]
said = said[said["measure"].isin(["positive", "negative"])]
said = said.groupby(["decoder", "measure"], sort=False)["value"].mean()
shares = 100 * said.unstack("measure")
shares.loc[["pretrained", "EquiLM", "lambda-EquiLM", "EquizeroLM"]].round(1)

# %% tags=["hide-cell"]
step = shares["positive"]
counted = stored["text-small"].query("measure == 'positive'")
assert counted["pair"].nunique() == 3 and counted["task"].nunique() == 2
assert abs(step["EquiLM"] - step["pretrained"]) < 1
assert step["EquizeroLM"] > step["lambda-EquiLM"] + 2 > step["EquiLM"] + 4

# %% [markdown]
# Equitune leaves the model's tone as it is and shares it out; equizero makes it kinder.
# Both are fair to the listed words. A weighting between them goes part of the way.
#
# ## The guide
#
# Every piece of advice of this page for which accuracies are stored, with what following
# it has gained on each model that it was measured on:

# %% mystnb={"figure": {"name": "fig-own-guide", "caption": "What following a piece of advice has gained, in points of accuracy, one mark a model; the axis is linear between -1 and 1 and logarithmic beyond. Left of the line the advice was wrong."}, "image": {"alt": "For wrapping where turns occur, for equizero with a head learned upright and for lambda where labels are many all marks are right of zero. For an even mean of probabilities and for equitune with a head learned through it, marks of the public CNNs are on the left and others on the right."}}
KINDS = {"SCAN": "sentences", "CNN": "CNNs", "glyph": "CLIPs of signs"}
KINDS["tiny"] = "CLIPs of photographs"
COLOURS = dict(
    zip(KINDS.values(), ("#CC79A7", "#D55E00", "#0072B2", "#009E73"))
)
_, ax = plt.subplots(figsize=(5.2, 4.4))
for place, gains in enumerate(advice.values()):
    for name, value in gains.items():
        kind = next(k for mark, k in KINDS.items() if mark in name)
        ax.plot(value, place, "o", c=COLOURS[kind], alpha=0.7, label=kind)
ax.set_yticks(range(len(advice)), list(advice), size=8)
ax.set_xscale("symlog", linthresh=1)
ticks = [-10, -1, 0, 1, 10, 100]
ax.set_xticks(ticks, map(str, ticks))
ax.set(xlabel="points gained", xlim=(-20, 150))
ax.axvline(0, color="0.5")
ax.invert_yaxis()
marks = dict(zip(*reversed(ax.get_legend_handles_labels())))
_ = ax.figure.legend(
    marks.values(), marks, loc="outside lower center", ncols=2, fontsize=8
)

# %%
guide = pd.DataFrame(
    {
        name: {
            "models": len(g),
            "right on": (g > 0).sum(),
            "median": g.median(),
        }
        for name, g in advice.items()
    }
).T
guide = guide.astype({"models": int, "right on": int})
guide.round(1)

# %% tags=["hide-cell"]
always = guide.index[guide["models"] == guide["right on"]]
assert set(always) >= {
    "wrap, where turns occur",
    "do not, where none occur",
    "equizero, a head learned upright",
    "lambda, where labels are many",
}
doubtful = guide.index[guide["models"] > guide["right on"] + 1]
assert "equitune, a head learned through it" in doubtful
assert "an even mean of probabilities" in doubtful

# %% [markdown]
# In words, in the order in which the questions come:
#
# 1. **Will it occur?** If turned inputs will not come, leave the model as it is.
# 2. **Which group?** The smallest that holds what occurs. If it is not finite, a frame;
#    mind the inputs that have none.
# 3. **What does each element cost the model as it is?** Where nothing, averaging is all
#    that is left to gain, and any weighting does it.
# 4. **Do you know which way is up** for some inputs? Learn that, and weigh by it.
# 5. **Have you thousands of labels?** Learn $\lambda$. With tens of them equizero may be
#    better, which needs none.
# 6. **Neither?** A head that was learned on upright inputs: equizero. A head that you
#    learn through the average, on features of another task: equitune.
# 7. **For an even mean, which space?** Try probabilities and logits on labelled inputs.
#    For equizero it does not matter.
#
# A symmetry is exact by either weighting; what the guide is about is accuracy. Where the
# figure shows advice to fail on some models, labelled inputs tell beforehand: by
# the net gain of [](42_verdict_on_cifar10.ipynb). All of it was measured on small models,
# of which there is one of each kind, so look before you trust it.
#
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | models | CLIP, CNNs, GPT-2, DQNs, sequence models | the classes of six libraries, in adapters of a few lines |
# | weights | pretrained | random, or our own: what is checked is the symmetry |
# | decoding | its code for text could not be had | a processor of scores in the library's own `generate` |
# | served | not treated | one file that runs without this package |
# | space | for CLIP, probabilities at temperature 1 [code] | features, logits and probabilities side by side |
# | weighting | $\lambda$ ahead of equizero on most models | so with many labels; with few on some |
#
# The row marked [code] was read from the authors' published code.
#
# ## Pitfalls
#
# - **Call `eval()` first.** `plain_module` refuses a model in training mode; the average
#   does not.
# - **Turn what the model sees.** A crop to a square comes before the group, not after it.
# - **A head after an equivariant average** must respect the action itself; after an
#   invariant one it may be anything ({ref}`ex-own-head`).
# - **An exported file checks nothing.** NaN comes out as NaN. Check before the file, or
#   behind it.
# - **A passed check is no accuracy.** Every model of this page passes, and none of those
#   with random weights knows anything.
#
# ## Recap
#
# - An adapter is a function to one tensor and two actions, for seven models of six
#   libraries.
# - Every one of them failed the check before and passed it after, by rounding alone.
# - With the processor in `generate`, mirrored prompts have mirrored texts, if the noise is
#   swapped with the tokens.
# - `plain_module` and `torch.export` make a file that needs torch only, for any size of
#   batch, and gives the same to 1e-5.
# - The group by what occurs, the space by a look at labelled inputs, the weighting by what
#   is known: some of that advice held on every model, some did not.
#
# ## Exercises
#
# :::{exercise} In training mode
# :label: ex-own-training
#
# Symmetrise a network with batch statistics, and one with dropout, both in training mode.
# Which of them passes the check? Does its answer to an image depend on the others in the
# batch?
# :::
#
# :::{solution-start} ex-own-training
# :class: dropdown
# :::


# %%
def network(layer):
    first = nn.Conv2d(3, 8, 3, stride=2)
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(first, layer, nn.ReLU(), pool, nn.Flatten())


layers = {"batch statistics": nn.BatchNorm2d(8), "dropout": nn.Dropout(0.5)}
passes = {}
for name, layer in layers.items():
    f = eq.Equitune(network(layer).train(), turn, same)
    passes[name] = eq.check_equivariance(f, turn, same, images).passed
    alone = torch.allclose(f(images)[:1], f(images[:1]), atol=1e-4)
    print(f"{name:16} passes: {passes[name]}; alone the same: {alone}")
    assert not alone

# %% tags=["hide-cell"]
assert passes == {"batch statistics": True, "dropout": False}
message = ""
try:
    eq.plain_module(f)
except ValueError as error:
    message = str(error)
assert "eval()" in message

# %% [markdown]
# Batch statistics pass: the views of all images of a batch are one set, whichever of them
# is turned, and so are their mean and variance. But the answer to an image changes with
# its company, which no user of a classifier expects. Dropout treats every view in its own
# way and fails.
#
# :::{solution-end}
# :::
#
# :::{exercise} A head that looks at places
# :label: ex-own-head
#
# Put a linear layer on the flattened map of the first model as a head. Is the result
# invariant? Repair it, in two ways.
# :::
#
# :::{solution-start} ex-own-head
# :class: dropdown
# :::

# %%
bad = nn.Sequential(nn.Flatten(), nn.Linear(64 * 64, 10))
pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
heads = {
    "a head on places": eq.Equitune(f_map.encoder, turn, turn, head=bad),
    "pooled first": eq.Equitune(f_map.encoder, turn, turn, head=pooling),
    "head inside": eq.Equitune(nn.Sequential(f_map.encoder, bad), turn, same),
}

# %%
for name, f in heads.items():
    report = eq.check_equivariance(f, turn, same, images)
    print(f"{name:16} {report.error:.0e}")
    assert report.passed == (name != "a head on places")

# %% [markdown]
# The average is a map that turns with the image; a head that looks at places sees it
# turn. Either the head forgets the places, or it goes inside, and the average is taken of
# its answers.
#
# :::{solution-end}
# :::
#
# :::{exercise} Play from the file
# :label: ex-own-play
#
# Let the exported agent play an episode of CartPole beside the one that it was made of.
# Do they ever differ?
# :::
#
# :::{solution-start} ex-own-play
# :class: dropdown
# :::

# %%
import gymnasium

q = torch.export.load(folder / "dqn.pt2").module()
env = gymnasium.make(rl.CARTPOLE)
state, _ = env.reset(seed=3)
over, steps = False, 0
while not over:
    action = q(torch.from_numpy(state)[None]).argmax(-1).item()
    assert action == agent.predict(state)[0]
    state, _, fell, late, _ = env.step(action)
    over, steps = fell or late, steps + 1
print(f"{steps} steps, the same action in every one")

# %% [markdown]
# They do not, in this episode: the file is the same function, but for rounding, and
# rounding decides only between actions of equal worth.
#
# :::{solution-end}
# :::

# %% tags=["hide-cell"]
import shutil

shutil.rmtree(folder)

# %% [markdown]
# ## What next
#
# When all views are too dear, fewer will do: [](73_fewer_passes.ipynb). Where the published
# code and the equations differ, and what that is worth: [](75_as_defined_as_published.ipynb). The whole package on one page: [](../book/api.md). What belongs to a chapter:
# [](../book/api_applications.md).
