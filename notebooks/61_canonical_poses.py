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
# # Groups without end: canonical poses
#
# ## Goals
#
# After this page you can
#
# - **define** canonical-lambda-equitune, and prove it equivariant to a group that is not
#   finite, in two forms (definition 1 and theorem 1 of the paper);
# - **make** frames for clouds of points, by principal axes and by learned vectors;
# - **tell** which inputs have no frame, and what a nearly undetermined one costs;
# - **show** where a canonical pose jumps, and how several poses smooth it;
# - **say** what it costs to turn an image, and why quarter turns are free.
#
# {bdg-secondary}`CPU` {bdg-secondary}`paper: section 3.2, definition 1, theorem 1`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
from functools import partial

import pandas as pd
import torch

import equinb as eq
from equinb.canonical import keep, rotate
from equinb.frames import LEAST_GAP, LearnedFrame, eigengap, pca_frame

# %%
from torch.nn.functional import affine_grid, grid_sample

from equinb import canonical as can
from equinb.apps.clouds import data, methods, network

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots

plots.use_style()
torch.manual_seed(4)
torch.set_num_threads(1)

# %% [markdown]
# ## Definition 1
#
# All groups so far were finite: the sum over the orbit had four terms, or eight. The
# rotations of space, $SO(3)$, are infinitely many. The paper's way out is to sum over
# *some* of them, starting from a pose that the input itself determines.
#
# > "The idea is to combine the canonicalization method of Kaba et al. (2022) with
# > $\lambda$-equitune leading to an expressive equivariant network with weighted averaging
# > over features with different group actions applied to them." {cite:p}`basu2023efficient`
#
# In plain words: a {term}`frame` $h$ reads off the input which way it is turned, so that
# $h(gx) = g\,h(x)$. Then $h(x)^{-1}x$ is the same for all $gx$: the input in a
# {term}`canonical pose`. The model sees $k$ poses, $\theta h(x)^{-1}x$ for a few
# {term}`offsets <offset>` $\theta \in \Theta$, and $\lambda$ weighs what it makes of them.
#
# Input: a cloud of points, `(B, points, 3)`. Here are six whose axes are clear, in a sense
# that comes below.

# %%
thorns = data.TASKS["thorns"]
random = torch.Generator().manual_seed(0)
x = data.draw(thorns, 50, random, data.Spoil()).x
x = x[eigengap(x) > 0.1][:6]
print("clouds:", tuple(x.shape))

# %% [markdown]
# A model without any symmetry: a small PointNet, trained on upright clouds, each with a
# thorn, to point at its tip. A $\lambda$ as lopsided, not trained; a frame; and three
# offsets, drawn at random:

# %%
M, log_lambda = network.load_network("thorns"), network.PointNet(3, 1)
log_lambda.requires_grad_(False)
h = LearnedFrame()
Theta = can.random_rotations(3, random=random)

# %% [markdown]
# The definition by hand, eq. (5). One thing is ours: the answer to a pose is a vector *in
# that pose*, so it is carried back by $\theta^{-1}$ before $h(x)$. The paper prints
# $h(x)$ alone. We come back to that.


# %%
def canonical_lambda(x, undo=True):
    (hx,) = h(x).float()
    total = weights = 0
    for theta in Theta.float():
        pose = rotate(theta @ hx.mT, x)
        w = log_lambda(pose).exp()
        back = hx @ theta.T if undo else hx
        total = total + w * rotate(back, M(pose))
        weights = weights + w
    return total / weights


# %% [markdown]
# Turn all clouds by one rotation $g$. Predict: how do the answers change?

# %%
g = can.random_rotations(1, random=random).float().expand(6, 3, 3)
plain = (M(rotate(g, x)) - rotate(g, M(x))).abs().max()
print(f"the plain model:             {plain:.0e}")

# %%
for undo in (True, False):
    moved = canonical_lambda(rotate(g, x), undo)
    gap = (moved - rotate(g, canonical_lambda(x, undo))).abs().max()
    print(f"undo {undo!s:5}  f(gx) - g f(x): {gap:.0e}")

# %% [markdown]
# The package has the same as a module, in one pass over all poses:

# %%
options = {"net": log_lambda, "offsets": Theta}
f = eq.CanonicalLambda(M, h, rotate, rotate, **options)
printed = eq.CanonicalLambda(
    M, h, rotate, rotate, **options, undo_offset=False
)

# %%
torch.testing.assert_close(f(x), canonical_lambda(x))
torch.testing.assert_close(printed(x), canonical_lambda(x, undo=False))

# %% [markdown]
# ## Theorem 1
#
# > "**Theorem 1.** $M_{G, \text{equi}}^\lambda(x)$ and $M_{G, \text{inv}}^\lambda(x)$ are,
# > respectively, equivariant and invariant to G." {cite:p}`basu2023efficient`
#
# :::{prf:theorem} Canonical-lambda-equitune (Theorem 1 of the paper, both forms)
# :label: thm-canonical
#
# Let $G$ act on inputs and, linearly, on outputs; let $h$ satisfy $h(gx) = g\,h(x)$, and let
# $w_\theta(x) = \lambda(\theta h(x)^{-1}x) / \sum_{\theta'} \lambda(\theta' h(x)^{-1}x)$ with
# $\lambda > 0$. Then
#
# - $\sum_\theta w_\theta(x)\, h(x)\,\theta^{-1} \mathbf{M}(\theta h(x)^{-1}x)$ is equivariant, and
# - so is $\sum_\theta w_\theta(x)\, h(x)\, \mathbf{M}(\theta h(x)^{-1}x)$, eq. (5) as printed;
# - $\sum_\theta w_\theta(x)\, \mathbf{M}(\theta h(x)^{-1}x)$, eq. (6), is invariant.
# :::
#
# :::{prf:proof}
# $h(gx)^{-1} gx = h(x)^{-1}g^{-1} gx = h(x)^{-1}x$. So for $gx$ the model and $\lambda$ see
# the very same poses as for $x$: no $w_\theta$ and no $\mathbf{M}(\cdot)$ changes. What changes
# is the factor before $\mathbf{M}$: $h(gx)\,\theta^{-1} = g\,h(x)\,\theta^{-1}$ in the first
# form, $h(gx) = g\,h(x)$ in the second, none in the third. As $G$ acts linearly on
# outputs, $g$ comes out of the sum. Where an input has a finite set of frames, $H(gx) = g
# H(x)$, the sum over all of them has the same terms, and the argument holds. $\blacksquare$
# :::
#
# The check: a thousand random rotations, two frames, three forms, two dtypes.

# %%
FORMS = {
    "offset undone": {"act_out": rotate},
    "as printed": {"act_out": rotate, "undo_offset": False},
    "invariant": {"act_out": keep},
}

# %%
FRAMES = {"principal axes": pca_frame, "learned": h}
check = partial(can.check_continuous, at_once=5)  # small batches, fast
turns = can.random_rotations(1000, random=random)

# %%
errors = {}
for dtype in (torch.float32, torch.float64):
    net, lam, clouds = M.to(dtype), log_lambda.to(dtype), x[:2].to(dtype)
    for frame, (form, how) in [(a, b) for a in FRAMES for b in FORMS.items()]:
        f = eq.CanonicalLambda(
            net, FRAMES[frame], rotate, **how, net=lam, offsets=Theta
        )
        report = check(f, rotate, how["act_out"], clouds, turns)
        errors[str(dtype)[6:], frame, form] = report.error
        assert report.error <= (1e-5 if dtype is torch.float32 else 1e-10)
M, log_lambda = M.float(), log_lambda.float()
pd.Series(errors).unstack(0).map("{:.0e}".format)

# %% [markdown]
# ## What the printed form lacks
#
# Both forms are equivariant. They are not equally good averages. In the printed one the
# $k$ vectors that are added are in $k$ different poses. Two consequences can be measured.
#
# *A model that is equivariant already* should come out unchanged, as it does under
# equitune. The point of a cloud that is farthest from the origin, as a vector:


# %%
def farthest(x):
    place = x.norm(dim=-1).argmax(1)
    return x[torch.arange(len(x)), place]


# %%
for undo in (True, False):
    f = eq.CanonicalLambda(
        farthest, pca_frame, rotate, rotate, offsets=Theta, undo_offset=undo
    )
    gap = (f(x) - farthest(x)).abs().max()
    print(f"undo {undo!s:5}  |f(x) - M(x)|: {gap:.0e}")
    assert (gap < 1e-5) == undo

# %% [markdown]
# *A finite group* should be a special case. Take $h(x) = e$ and for $\Theta$ the whole
# group, here the 24 rotations of a cube: only with $\theta^{-1}$ is this
# $\lambda$-equitune, eq. (4).


# %%
def unmoved(x):
    return torch.eye(3).expand(1, len(x), 3, 3)


# %%
cube = methods.finite_action(3)
whole = eq.LambdaEquitune(M, cube, cube, log_lambda, of="inputs")
options |= {"offsets": can.cube_rotations()}
for undo in (True, False):
    f = eq.CanonicalLambda(
        M, unmoved, rotate, rotate, **options, undo_offset=undo
    )
    print(
        f"undo {undo!s:5}  |f - eq. (4)|: {(f(x) - whole(x)).abs().max():.0e}"
    )
    assert torch.allclose(f(x), whole(x), atol=1e-5) == undo

# %% [markdown]
# So the package undoes the offset, and `undo_offset=False` is eq. (5) as printed. What the
# difference is worth in a task, [](62_clouds_of_points.ipynb) measures.
#
# ## Frames
#
# *Principal axes.* The eigenvectors of the covariance of the points, the longest first,
# turn with the cloud. Their signs are not determined: of the eight choices four are
# rotations. Taking all four is exact, since the set of four turns with the cloud.

# %%
print("frames in SO(3):", tuple(pca_frame(x).shape))
print("frames in O(3): ", tuple(pca_frame(x, mirrors=True).shape))

# %% mystnb={"figure": {"name": "fig-canonical-poses", "caption": "One cloud, turned in three ways (above), and its four canonical poses each time (below), seen along the shortest axis; one colour a pose."}, "image": {"alt": "Three differently turned views of one cloud of points above, and below each of them the same four poses drawn over one another in four colours."}}
_, axes = plt.subplots(2, 3, figsize=(5.2, 3.4), sharex=True, sharey=True)
first = None
for g, (above, below) in zip(can.random_rotations(3, random=random), axes.T):
    seen = rotate(g[None], x[:1])
    above.scatter(*seen[0, :, :2].T, s=4, color="0.5")
    poses = [rotate(frame.mT, seen)[0] for frame in pca_frame(seen)]
    poses.sort(key=lambda pose: tuple(pose[0].round(decimals=3).tolist()))
    for pose in poses:
        below.scatter(*pose[:, :2].T, s=4)
    first = first or poses
    assert torch.allclose(torch.stack(poses), torch.stack(first), atol=1e-4)

# %% [markdown]
# *Learned vectors.* A small network weighs the points by their distances, which a rotation
# leaves alone. The weighted sums are vectors that turn with the cloud, and Gram-Schmidt
# makes a frame of two of them. There is one frame and no sign, and gradients reach the
# network: this is the "equivariant auxiliary function" of the definition.

# %%
frame = LearnedFrame()
print("frames:", tuple(frame(x).shape))
print("weights to learn:", sum(p.numel() for p in frame.parameters()))

# %% [markdown]
# ## Inputs without a frame
#
# A frame with one value cannot exist for every input. Let $sx = x$ for some $s \ne e$.
# Then $h(x) = h(sx) = s\,h(x)$, so $s = e$: a contradiction. Where finitely many $s$ do
# this, as the half turns of a brick, a finite set of frames is possible, and is averaged.
# Where infinitely many do, as around a line, there is no finite set to average over. And
# a given way to make frames can fail earlier: the turns of a cube, or of twelve points on
# a ring, are finitely many, but their variances are equal, so the principal axes are not
# determined, and the learned vectors cancel. The package refuses all of these.

# %%
angle = torch.arange(12) * (2 * torch.pi / 12)
line = torch.linspace(-1, 1, 12)
AMBIGUOUS = {
    "a ring": torch.stack([angle.cos(), angle.sin(), 0 * angle], -1),
    "a line": torch.stack([line, 2 * line, 0 * line], -1),
    "a cube": torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3),
    "one point": torch.ones(12, 3),
    "no point": torch.ones(0, 3),
}

# %%
refused = 0
for name, cloud in AMBIGUOUS.items():
    for frame in FRAMES.values():
        try:
            frame(cloud[None])
        except ValueError as error:
            refused += 1
            said = error
    print(f"{name}: {said}")
assert refused == 2 * len(AMBIGUOUS)

# %% [markdown]
# A roof is no such case: a half turn leaves it as it is, so its four frames are two pairs
# of equal poses, and all is exact.

# %%
base = torch.tensor([[3, 2, -1], [3, -2, -1], [-3, 2, -1], [-3, -2, -1.0]])
roof = torch.cat([base, torch.tensor([[2, 0, 1], [-2, 0, 1.0]])])

# %%
half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
assert set(map(tuple, (roof @ half_turn).tolist())) == set(
    map(tuple, roof.tolist())
)
f = eq.CanonicalLambda(M, pca_frame, rotate, rotate, log_lambda, Theta)
report = check(f, rotate, rotate, roof[None], turns)
assert report.passed and report.error <= 1e-5
report

# %% [markdown]
# ## Nearly without a frame
#
# Between a clear frame and none lies a range. When two variances are nearly equal, a
# rounding error of the input turns the axes by that error over the {term}`eigengap`, their
# difference relative to the greatest. A cloud with a gap that we set:


# %%
def with_gap(gap):
    raw = x[:1].double()
    values, axes = torch.linalg.eigh(raw.mT @ raw / raw.shape[1])
    white = raw @ axes.flip(-1) / values.flip(-1).sqrt()[:, None]
    return white * torch.tensor([1.0, (1 - gap) ** 0.5, 0.6]).double()


def open_frame(x):
    return pca_frame(x, least_gap=0)


# %%
orders = methods.spread(6)[:3]
rows = []
for gap in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
    for dtype in (torch.float32, torch.float64):
        net, lam = M.to(dtype), log_lambda.to(dtype)
        f = eq.CanonicalLambda(net, open_frame, rotate, rotate, lam, orders)
        clouds = with_gap(gap).to(dtype)
        report = check(f, rotate, rotate, clouds, turns)
        rows.append((gap, str(dtype)[6:], report.error))
M, log_lambda = M.float(), log_lambda.float()
table = pd.DataFrame(rows, columns=["gap", "dtype", "error"])
table = table.pivot(index="gap", columns="dtype", values="error")

# %% mystnb={"figure": {"name": "fig-canonical-gap", "caption": "The greatest relative equivariance error over a thousand rotations of a cloud, against the eigengap. Shaded: refused unless asked for."}, "image": {"alt": "Two falling lines on logarithmic axes: the error in float32 and, about eight orders below, in float64, each falling in proportion to one over the eigengap."}}
ax = plt.figure().gca()
for dtype, marker in zip(table, "os"):
    ax.loglog(table.index, table[dtype], marker=marker, label=dtype)
ax.axvspan(table.index[0] / 2, LEAST_GAP, color="0.5", alpha=0.15)
ax.set(xlabel="eigengap", ylabel="relative error")
_ = ax.legend()

# %% tags=["hide-cell"]
assert (table.loc[1e-2:, "float32"] <= 1e-5).all()
assert (table.loc[1e-2:, "float64"] <= 1e-10).all()
fall = table.loc[1e-5] / table.loc[1e-2]
assert ((fall > 100) & (fall < 10_000)).all()
assert (table["float32"] / table["float64"]).between(1e7, 1e9).all()

# %% [markdown]
# The error is the rounding over the gap, in both dtypes. That is why the package computes
# frames in float64 and refuses gaps below $10^{-4}$: there the rounding of a float32
# *input* alone turns the axes too far.
#
# ## Where a canonical pose jumps
#
# Exactness is one thing, continuity another. Stretch a cloud slowly, so that its longest
# axis becomes its second: at the crossing the two swap places, and the canonical pose
# turns by a quarter at once. The answer jumps. With offsets that include all six orders
# of the axes, the swap only renames the poses.


# %%
def stretched(s):
    cloud = data.draw(
        thorns, 1, torch.Generator().manual_seed(3), data.Spoil()
    ).x
    values, axes = torch.linalg.eigh(cloud.mT @ cloud / cloud.shape[1])
    white = cloud @ axes / values.sqrt()[:, None]
    sides = torch.stack([1.2 - 0.2 * s, 0.8 + 0.2 * s, 0.5 + 0 * s], -1)
    return white * sides[:, None]


def one_frame(x):
    return open_frame(x)[:1]


# %%
solid = network.load_network("solids")
CASES = {
    "one frame": (one_frame, None, None),
    "four frames, k = 1": (open_frame, None, None),
    "four frames, k = 6, lambda": (open_frame, log_lambda, methods.spread(6)),
}
paths = {
    name: eq.CanonicalLambda(solid, frame, rotate, keep, net, offsets)
    for name, (frame, net, offsets) in CASES.items()
}

# %% mystnb={"figure": {"name": "fig-canonical-path", "caption": "An invariant answer along a path on which two axes swap their order at 1. Its shape is the same all the way; only its proportions change."}, "image": {"alt": "Three curves over a path. With one frame and with four frames the curve breaks in the middle; with six offsets and lambda it is smooth throughout."}}
ax = plt.figure().gca()
s = torch.linspace(0, 2, 400)
for (name, f), style in zip(paths.items(), (":", "--", "-")):
    y = methods.answer(f, stretched(s))[:, 0]
    ax.plot(
        s[:200],
        y[:200],
        style,
        label=name,
        color="C0" if "6" in name else "0.5",
    )
    ax.plot(s[200:], y[200:], style, color="C0" if "6" in name else "0.5")
ax.set(xlabel="along the path", ylabel="answer")
_ = ax.legend(fontsize=10)

# %% [markdown]
# How many offsets does it take? One number of offsets at a time:

# %%
from equinb.sliders import slider

few = stretched(s[::2])
answers = {
    k: methods.answer(
        eq.CanonicalLambda(
            solid, open_frame, rotate, keep, log_lambda, methods.spread(k)
        ),
        few,
    )[:, 0]
    for k in range(1, 7)
}


# %%
def draw(k):
    y = answers[k]
    ax = plt.figure().gca()
    for half in (slice(0, 100), slice(100, 200)):
        ax.plot(s[::2][half], y[half], "C0")
    ax.set(xlabel="along the path", ylabel="answer")
    return f"{k} offsets: at 1 the answer jumps by {abs(y[100] - y[99]):.2f}."


# %%
caption = "The answer along the same path, with so many offsets and lambda."
slider(draw, answers, "offsets", caption)

# %% tags=["hide-cell"]
at_one = {k: float(abs(y[100] - y[99])) for k, y in answers.items()}
assert at_one[6] < 0.01 and min(list(at_one.values())[:5]) > 3 * at_one[6]
assert at_one[4] > at_one[3]

# %% [markdown]
# More offsets do not make the jump smaller one by one. It is gone when all six orders of
# the axes are there.
#
# To tell a jump from a steep place, halve the step: the greatest change between
# neighbours halves where the function is continuous, and stays where it jumps.


# %%
def greatest_change(f, points):
    y = methods.answer(f, stretched(torch.linspace(0, 2, points)))
    return float(y.diff(dim=0).abs().max())


# %%
jumps = pd.DataFrame(
    {
        points: {name: greatest_change(f, points) for name, f in paths.items()}
        for points in (200, 400, 800, 1600)
    }
)

# %%
smooth = jumps.loc["four frames, k = 6, lambda"]
assert (jumps.drop(index=smooth.name)[1600] > 0.8 * jumps[200].iloc[:2]).all()
assert smooth[1600] < smooth[200] / 6
jumps.map("{:.1e}".format)

# %% [markdown]
# That is the sense in which a *weighted* frame is better than a canonical pose: {cite:t}`dym2024equivariant`
# show that no continuous choice of one pose exists for rotations, and that weights over
# several can repair it. Not every path is repaired by a finite set: near a crossing with
# tilted axes the poses turn quickly, by one over the gap (an exercise below).
#
# ## Images: what a turn costs
#
# Points can be turned exactly. The pixels of an image lie on a grid; a turn by any angle
# has to interpolate. Turn images and turn them back: what is lost?


# %%
def turn(images, degrees):
    a = torch.deg2rad(torch.tensor(float(degrees)))
    R = torch.stack([a.cos(), -a.sin(), 0 * a, a.sin(), a.cos(), 0 * a])
    grid = affine_grid(
        R.view(1, 2, 3).expand(len(images), 2, 3), images.shape, False
    )
    return grid_sample(
        images, grid, padding_mode="border", align_corners=False
    )


# %%
from equinb.apps.clip import glyphs
from equinb.apps.cnn.backbones import load_backbone

backbone = load_backbone("glyph-resnet")
pixels, labels = glyphs.sample(500, 7, True)
images = backbone.preprocess(pixels)

# %%
rows = []
for degrees in range(0, 181, 15):
    back = turn(turn(images, degrees), -degrees)
    lost = (back - images).square().mean().sqrt() / images.std()
    right = backbone.model(back).argmax(1) == labels
    rows.append((degrees, float(lost), float(right.double().mean())))
cost = pd.DataFrame(rows, columns=["degrees", "lost", "accuracy"])

# %% mystnb={"figure": {"name": "fig-canonical-images", "caption": "Above: the difference that a turn and a turn back leave in 500 images of signs, relative to their spread. Below: the accuracy of a network on what is left."}, "image": {"alt": "The difference is zero at multiples of ninety degrees and an eighth of the spread at all other angles; the accuracy of the network stays near one throughout."}}
for key, ax in plots.panels(
    {"lost": "difference", "accuracy": "accuracy"}, 4.2
):
    ax.plot(cost["degrees"], cost[key], marker="o")
    ax.set_xticks(range(0, 181, 45))
_ = ax.set(ylim=(0, 1.05), xlabel="degrees there and back")

# %% tags=["hide-cell"]
quarter = cost["degrees"] % 90 == 0
assert (cost.loc[quarter, "lost"] < 1e-4).all()
assert cost.loc[~quarter, "lost"].between(0.1, 0.15).all()
upright = cost["accuracy"][0]
assert (cost.loc[quarter, "accuracy"] == upright).all()
assert cost["accuracy"].min() > upright - 0.02

# %% [markdown]
# A quarter turn moves each pixel to the place of another: it is a permutation, exact in
# every dtype, and quarter turns form a group. Other angles blur, lose the corners, and
# form no group on the grid (an eighth turn, twice, is no quarter turn). This network hardly
# minds the blur, so a canonical pose of an image may be of use; but it is equivariant
# only as far as interpolation is exact, and no longer to rounding. This book is about
# exact symmetries, so its images turn by quarters: $C_4$ and $D_4$.
#
# ## Paper and here
#
# | paper | here |
# | --- | --- |
# | eq. (5), $h(x)\,\mathbf{M}(\theta h(x)^{-1}x)$ | with $h(x)\,\theta^{-1}$, eq. (4) and equivariant models are special cases; as printed by `undo_offset=False` |
# | eq. (6), invariant | the same |
# | theorem 1 | proved for both forms and for finite sets of frames; checked on a thousand rotations |
# | $h$, an "equivariant auxiliary function" | principal axes and learned vectors; inputs on which these are not determined are refused |
# | experiments in an appendix, D.5 | not available to us, nor its data; ours are on [the next page](62_clouds_of_points.ipynb) |
#
# ## Pitfalls
#
# - **An offset that is not undone.** The check of equivariance passes; the answer is still an
#   average of vectors in different poses. Compare with a model that is equivariant.
# - **One sign of an axis, chosen by a rule.** It jumps, and a rule such as "most points on the
#   positive side" has ties.
# - **Frames in float32.** Their rounding is divided by the eigengap, like that of the input.
# - **Mirrors.** A frame of $SO(3)$ is not one of $O(3)$: a left glove stays a left glove.
#
# ## Recap
#
# - We **defined** canonical-lambda-equitune by hand, and proved both forms.
# - We **made** frames by principal axes, with all their signs, and by learned vectors.
# - We **told** on which inputs these frames fail: a ring, a cube, a line, a point; nearly ambiguous ones
#   lose precision as one over the eigengap.
# - We **showed** a jump at a crossing of axes, and six weighted offsets that pass it smoothly.
# - We **said** what turning an image costs: nothing by quarters; at other angles an eighth of
#   the spread, which a network may not mind, and exactness.
#
# ## Exercises
#
# :::{exercise} Mirrors
# :label: ex-canonical-mirrors
#
# A frame of $SO(3)$ makes a model equivariant to rotations. Is it to mirrors? Check with
# matrices of $O(3)$, then with a frame of $O(3)$.
# :::
#
# :::{solution-start} ex-canonical-mirrors
# :class: dropdown
# :::

# %%
mirrors = can.random_rotations(100, random=random, mirrors=True)
for allowed in (False, True):
    frame = partial(pca_frame, mirrors=allowed)
    f = eq.CanonicalLambda(M, frame, rotate, rotate, log_lambda, Theta)
    report = check(f, rotate, rotate, x, mirrors)
    print(f"frames of {'O' if allowed else 'SO'}(3): {report}")
    assert report.passed == allowed

# %% [markdown]
# :::{solution-end}
# :::
#
# :::{exercise} A cloud without vectors
# :label: ex-canonical-centre
#
# A cloud that is its own mirror image through the middle, $x = -x$, has principal axes. Has
# it a learned frame? Why not?
# :::
#
# :::{solution-start} ex-canonical-centre
# :class: dropdown
# :::

# %%
even = torch.cat([x, -x], 1)
print("principal axes:", tuple(pca_frame(even).shape))
try:
    LearnedFrame()(even)
except ValueError as error:
    print("learned vectors:", error)

# %% [markdown]
# Every point has its opposite with the same distances, so every such sum cancels: it
# changes sign with the cloud, and $-x = x$ asks for $v = -v$.
#
# :::{solution-end}
# :::
#
# :::{exercise} A crossing with tilted axes
# :label: ex-canonical-tilted
#
# On the path above the axes stay where they are while their order changes. Let the
# covariance have an off-diagonal entry $b$ all along, so that the axes turn instead of
# swapping. How does the greatest slope of the smooth curve grow as $b$ falls?
# :::
#
# :::{solution-start} ex-canonical-tilted
# :class: dropdown
# :::


# %%
def tilted(s, b):
    shear = torch.eye(3).repeat(len(s), 1, 1)
    shear[:, 0, 1] = shear[:, 1, 0] = b
    return stretched(s) @ shear


# %%
f, slopes = paths["four frames, k = 6, lambda"], {}
s = torch.linspace(0.98, 1.02, 801)
for b in (0.01, 0.003, 0.001, 0.0003):
    change = methods.answer(f, tilted(s, b)).diff(dim=0).abs().max()
    slopes[b] = float(change / (s[1] - s[0]))
print({b: round(slope, 2) for b, slope in slopes.items()})
assert slopes[0.0003] > 5 * slopes[0.01]

# %% [markdown]
# About as one over $b$, which is the gap at the crossing: continuous for every $b > 0$,
# but as steep as you like.
#
# :::{solution-end}
# :::
#
# ## What next
#
# The operator is exact. Is it any use to a *pretrained* model, whose idea of upright is its
# own? [](62_clouds_of_points.ipynb) asks networks that know upright shapes about turned
# ones.
