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
# # Clouds of points, under any rotation
#
# ## Goals
#
# After this page you can
#
# - **measure** what rotations cost networks that know upright clouds alone;
# - **learn** $\lambda$ over a few canonical poses, and watch what it prefers;
# - **weigh** how many offsets to take, by accuracy and cost;
# - **judge** from intervals when canonical-$\lambda$-equitune is worth more than one
#   canonical pose: frozen and finetuned, clean and damaged;
# - **compare** both forms of eq. (5) on vectors.
#
# {bdg-secondary}`CPU` {bdg-secondary}`paper: section 3.2, definition 1, appendix D.5`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import pandas as pd
import torch

from equinb import lab

# %%
from equinb import canonical as can
from equinb.apps.clouds import data, methods, network
from equinb.apps.clouds.methods import Learning, Way
from equinb.frames import pca_frame

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots
from equinb.sliders import slider

plots.use_style()
torch.set_num_threads(1)

# %% [markdown]
# ## Three tasks
#
# [](61_canonical_poses.ipynb) made canonical-$\lambda$-equitune exact. Is it of use to a
# *pretrained* model? The paper has an experiment in its appendix D.5, without code or
# data. So here are three tasks of our own, each with a small PointNet {cite:p}`qi2017pointnet`
# that was trained on upright clouds:
#
# - *solids*: which of twelve solids, knots and surfaces is it? Rotations of space;
# - *planar*: which of nine outlines? Rotations of the plane;
# - *thorns*: where is the tip of the thorn on this body? The answer is a vector, which
#   is to turn with the cloud.
#
# Clouds are damaged as a scanner damages them: noise, a hidden side, outliers.

# %%
HOW = {"upright": "clean", "turned": "clean", "noise": "noise 0.2"}
HOW |= {"hidden": "missing 0.4", "outliers": "outliers 0.2"}


def shown(task):
    for name, spoil in HOW.items():
        r = torch.Generator().manual_seed(6)
        clouds = data.draw(task, 8, r, data.SPOILS[spoil])
        yield clouds if name == "upright" else data.turned(clouds, task, r)


# %% mystnb={"figure": {"name": "fig-clouds-data", "caption": "One cloud of each task (rows): upright, turned, and turned with each kind of damage. A cross marks the tip to be told."}, "image": {"alt": "A grid of point clouds, three rows of tasks and five columns; the shapes are plain to see when upright and clean, and hard to make out with noise or outliers."}}
_, axes = plt.subplots(3, 5, figsize=(5.6, 3.6))
for line, task in zip(axes, data.TASKS.values()):
    for ax, clouds in zip(line, shown(task)):
        ax.scatter(*clouds.x[1, :, :2].T, s=3, color="0.4")
        if task.vector:
            ax.plot(*clouds.target[1, :2], "x", color="C3", ms=8)
        ax.set(xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[], aspect=1)
for ax, title in zip(axes[0], HOW):
    ax.set_title(title, fontsize=11)
for ax, name in zip(axes[:, 0], data.TASKS):
    _ = ax.set_ylabel(name)

# %% [markdown]
# Predict: how much of their accuracy is left when clouds are turned by any rotation? For
# vectors the score is $R^2$: one at best, zero for who always answers zero.

# %%
rows, made = lab.load_result("clouds-small")
print(made)


# %%
rows["undo"] = rows["undo"].astype(str)
rows["quarter"] = rows["quarter"].astype(str)
ORDER = ["solids", "planar", "thorns"]
USUAL = {"setting": "frozen", "spoil": "clean", "quarter": "all"}


def pick(rows=rows, **told):
    for column, value in (USUAL | told).items():
        if value is not ...:
            rows = rows[rows[column] == value]
    return rows


# %%
def scores(**told):
    found = pick(**told).groupby("task")["score"].mean()
    return found.reindex(ORDER)


start = {
    "upright": scores(method="plain, upright"),
    "turned": scores(method="plain"),
}
start = pd.DataFrame(start)
start.round(3)

# %% tags=["hide-cell"]
assert (start["upright"] >= 0.95).all()
assert (start["turned"] <= 0.60).all()

# %% [markdown]
# There is something to repair. All rows are means over three seeds; a seed has its own
# test clouds, rotations, first weights and labels. The networks are the same.
#
# ## One canonical pose is not the network's pose
#
# The planar task, live. Principal axes give each outline two poses, half a turn apart.
# Averaged, that is canonicalisation alone:

# %%
planar = data.TASKS["planar"]
M = network.load_network("planar")
random = torch.Generator().manual_seed(0)
test = data.turned(
    data.draw(planar, 1000, random, data.Spoil()), planar, random
)


# %%
def accuracy(f, clouds=test):
    return planar.score(methods.answer(f, clouds.x), clouds.target)


# %%
alone = can.CanonicalLambda(M, pca_frame, can.rotate, can.keep)
print(f"plain:                  {accuracy(M):.3f}")
print(f"canonicalisation alone: {accuracy(alone):.3f}")

# %% [markdown]
# Equivariant, and of little use: the longest axis of an upright T stands, that of a
# canonical T lies. The network has never seen a lying T. With four offsets, the multiples
# of an eighth turn, one of eight poses is near the upright one, and $\lambda$ is to find
# it. It is a PointNet too, of 32 channels; it learns from a thousand labels, through
# eq. (6), while $\mathbf{M}$ stays as it is.

# %%
way = Way("canonical-lambda", k=4)
f = methods.operator(M, planar, way, seed=0)
labelled = data.draw(planar, 1000, torch.Generator().manual_seed(1))
print("before learning:", f"{accuracy(f):.3f}")

# %%
mine = [p for p in f.parameters() if p.requires_grad]
methods.learn(f, mine, planar, labelled, 0, Learning(250))
f.requires_grad_(False)
print("after learning: ", f"{accuracy(f):.3f}")
assert accuracy(f) > accuracy(M) + 0.3

# %% [markdown]
# What does $\lambda$ prefer? For each test cloud, the angle by which the pose of greatest
# weight differs from the upright cloud:

# %%
upright = data.draw(
    planar, 1000, torch.Generator().manual_seed(2), data.Spoil()
)
_, poses = f(upright.x, return_poses=True)
best = poses.weights.argmax(0)
turn = poses.elements[best, torch.arange(len(best))]
angle = torch.atan2(turn[:, 1, 0], turn[:, 0, 0]).rad2deg()
near = (angle.abs() < 45).double().mean()
print(f"chosen pose within 45 degrees of upright: {near:.2f}; by chance 0.25")
assert near > 0.5

# %% [markdown]
# ## Turn a shape
#
# Move the slider: the cloud turns, and its frame with it (drawn for the pose of greatest
# weight, $h(x)\theta^{-1}$). The poses, their weights and the answer stay where they are.
# What the plain network says changes.

# %%
names = list(planar.shapes)
shape = data.draw(planar, 40, torch.Generator().manual_seed(5), data.Spoil())
shape = shape.rows(shape.target.eq(names.index("F")).nonzero()[:1, 0])


# %%
def told(logits):
    return names[int(logits.argmax())]


def seen(degrees):
    R = methods.plane_rotation(degrees * torch.pi / 180)[None]
    x = can.rotate(R, shape.x)
    return x, *f(x, return_poses=True)


# %%
def show(ax, cloud, title):
    ax.scatter(*cloud[0].T, s=4, color="0.4")
    ax.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", title=title)
    ax.set(xticks=[], yticks=[])


def arrows(ax, h):
    ax.quiver([0, 0], [0, 0], *h, scale=4, color=["C0", "C3"], width=0.02)


# %%
def draw(degrees):
    x, y, poses = seen(degrees)
    order = poses.weights[:, 0].argsort(descending=True)
    _, (left, middle, right) = plt.subplots(1, 3, figsize=(6, 2.5))
    show(left, x, f"plain: {told(M(x))}")
    arrows(left, poses.elements[order[0], 0].mT.float())
    show(middle, poses.inputs[order[0]], f"lambda: {told(y)}")
    right.barh(range(8), poses.weights[order, 0], color="C2")
    right.set(xlim=(0, 1), yticks=[], title="weights")
    right.invert_yaxis()
    return (
        f"An F turned by {degrees} degrees. The plain network says "
        f"{told(M(x))}; canonical-lambda-equitune says {told(y)}, the same "
        "weights on the same poses at every angle."
    )


# %%
slider(
    draw,
    range(0, 360, 24),
    label="turned by (degrees)",
    caption="Left: an F and the axes of its pose; above it what the plain "
    "network says. Middle: its pose of greatest weight, and the answer of "
    "canonical-lambda-equitune. Right: the weights of all eight poses.",
)

# %% tags=["hide-cell"]
said, weights, answers = set(), [], []
for degrees in range(0, 360, 24):
    x, y, poses = seen(degrees)
    said.add(told(M(x)))
    weights.append(poses.weights[:, 0].sort().values)
    answers.append(told(y))
assert len(said) > 2 and set(answers) == {"F"}
assert torch.allclose(torch.stack(weights), weights[0], atol=1e-4)

# %% [markdown]
# ## How many offsets?
#
# Stored rows, all three tasks, frozen networks. *Fixed* offsets are spread evenly; in
# space the first six are the permutations of the axes. *Random* ones are drawn; *learned*
# ones start from the fixed and are learned together with $\lambda$.

# %%
LINES = {
    "alike": {"method": "canonical", "offsets": "fixed"},
    "lambda": {"method": "canonical-lambda", "offsets": "fixed"},
    "lambda, random": {"method": "canonical-lambda", "offsets": "random"},
    "lambda, learned": {"method": "canonical-lambda", "offsets": "learned"},
    "most confident": {"method": "canonical-equizero", "offsets": "fixed"},
}
frozen = pick(frame="pca", undo="True")
LOOKS = dict(zip(LINES, ("0.5", "C2", "C0", "C1", "C3")))


def curve(ax, label, wide):
    band = lab.intervals(wide)
    style = {"color": LOOKS[label], "label": label, "marker": "o", "ms": 4}
    ax.plot(band.index, band["mean"], **style)
    low, high, colour = band["low"], band["high"], LOOKS[label]
    ax.fill_between(band.index, low, high, color=colour, alpha=0.12)


# %% mystnb={"figure": {"name": "fig-clouds-offsets", "caption": "The score on clean clouds, turned, against the number k of offsets; frozen networks, means of three seeds, bands their 95 % intervals. Dotted: upright clouds."}, "image": {"alt": "In all three tasks the curves with lambda rise with the number of offsets and pass far above the curve of poses that are weighed alike, which stays low."}}
for name, ax in plots.panels({n: n for n in ORDER}, height=8):
    for label, how in LINES.items():
        mine = pick(frozen, task=name, **how)
        if len(mine):
            curve(ax, label, mine.pivot(index="seed", columns="k")["score"])
    ax.axhline(start["upright"][name], ls=":", color="0.5")
    ax.set_xscale("log", base=2)
    ax.set(xticks=(1, 2, 4, 8, 16), xticklabels=(1, 2, 4, 8, 16))
    ax.set_ylabel("$R^2$" if name == "thorns" else "accuracy")
lines = ax.figure.axes[0].get_legend_handles_labels()
_ = ax.figure.legend(*lines, loc="outside lower center", ncols=2)

# %%
clean = frozen.groupby(["task", "method", "offsets", "k"])["score"].mean()
lam = clean.xs(("canonical-lambda", "fixed"), level=("method", "offsets"))
lam = lam.unstack("k").loc[ORDER]
lam.round(3)

# %% tags=["hide-cell"]
alike = clean.xs(("canonical", "fixed"), level=("method", "offsets")).unstack(
    "k"
)
assert (lam[16] > alike.loc[ORDER].max(axis=1) + 0.3).all()
assert (lam[16] > lam[1]).all()

# %% [markdown]
# *Alike* is what offsets are worth without $\lambda$: an even average over poses of which
# most are strange to the network. *Most confident* has no labels at all: each cloud goes
# by the pose in which the network is most certain, equizero's choice. It is the thing to
# try first, and $\lambda$ is what labels add to it.

# %%
free = (
    clean.xs("canonical-equizero", level="method")
    .droplevel("offsets")
    .unstack("k")
)
pd.concat({"most confident": free[16], "lambda": lam[16]}, axis=1).round(3)

# %% [markdown]
# (A vector has no confidence.) What does each doubling of $k$ bring to $\lambda$, in points?

# %%
doubled = 100 * lam.diff(axis=1).drop(columns=1)
doubled.round(1)

# %% tags=["hide-cell"]
assert (doubled.loc[["planar", "thorns"], [8, 16]] < 2).all(axis=None)
assert doubled.loc["solids", 16] > 2

# %% [markdown]
# In the plane and for vectors four offsets are about enough; solids still gain at sixteen.
#
# The alternative is a finite subgroup, without a frame: the 24 rotations of a cube, or
# the 8 of an octagon. It is equivariant to these and to no others.

# %%
finite = {
    "equitune": scores(method="equitune"),
    "lambda-equitune": scores(method="lambda-equitune"),
    "canonical-lambda, k = 4": lam[4],
    "canonical-lambda, k = 16": lam[16],
}
finite = pd.DataFrame(finite)
finite.round(3)

# %% tags=["hide-cell"]
with_four = finite["canonical-lambda, k = 4"] - finite["lambda-equitune"]
assert with_four[["solids", "thorns"]].min() > 0.01
assert abs(with_four["planar"]) < 0.02

# %% [markdown]
# Mind the passes: 24 and 8 for the finite groups, $4k$ in space and $2k$ in the plane for the
# others. With eight passes in the plane both are alike; in space sixteen passes over poses
# are ahead of 24 over rotations. So few rotations come near no pose in particular.

# %% [markdown]
# ## Does it pay?
#
# The question that is asked of canonical-$\lambda$-equitune: is it better than
# *canonicalisation alone* ($k = 1$, the pose of the frame), by how much, and is that so on
# damaged clouds, where frames are wrong? All that learns, learns from the same 4,000
# labelled clouds, damaged at random, turned anew in each step. By points of the score,
# pairs of the same seed, with intervals as everywhere:


# %%
def gain(setting, column="spoil", k=16):
    told = {
        "setting": setting,
        "undo": "True",
        "offsets": "fixed",
        "frame": "pca",
    }
    mine = pick(**told, **{column: ...})
    mine = mine[mine[column] != "all"]
    wide = mine.pivot(
        index="seed", columns=["method", "k", "task", column], values="score"
    )
    lead = wide["canonical-lambda"][k] - wide["canonical"][1]
    return lab.intervals(100 * lead).rename_axis(["task", column])


# %%
gain("frozen").round(1)

# %% mystnb={"figure": {"name": "fig-clouds-gain", "caption": "Canonical-lambda-equitune with 16 offsets less canonicalisation alone, in points of the score on turned clouds, by damage; three seeds, 95 % intervals. Circles: the network frozen. Squares: finetuned."}, "image": {"alt": "All means are above zero. With a frozen network the gain is tens of points; after finetuning it is smaller, and still there in every task and for each kind of damage."}}
gains = {setting: gain(setting) for setting in ("frozen", "finetuned")}
for name, ax in plots.panels({n: n for n in ORDER}, height=8):
    for (setting, found), mark in zip(gains.items(), "os"):
        mine = found.loc[name]
        half = mine["high"] - mine["mean"]
        style = {"xerr": half, "fmt": mark, "label": setting}
        ax.errorbar(mine["mean"], mine.index, **style)
    ax.axvline(0, color="0.5", lw=1)
    ax.invert_yaxis()
ax.set_xlabel("points ahead of canonicalisation alone")
_ = ax.legend()

# %% tags=["hide-cell"]
assert all((found["mean"] > 0).all() for found in gains.values())
assert (gains["frozen"]["low"] > 0).all()
assert gains["frozen"]["mean"].median() > gains["finetuned"]["mean"].median()

# %% [markdown]
# Frozen, the comparison is not quite fair: one pose that the network has never seen cannot
# be right. Finetuning lets the network learn that pose. Then what is left of the gain is
# what several poses are worth in themselves:

# %%
tuned = gains["finetuned"]
clear = tuned["low"] > 0
print(f"clear of zero: {clear.sum()} of {len(clear)} comparisons")
tuned.round(1)

# %% tags=["hide-cell"]
assert clear.mean() > 0.8
by_damage = tuned["mean"].unstack("spoil")
assert (
    (by_damage["noise 0.1"] > by_damage["clean"])
    .loc[["solids", "planar"]]
    .all()
)
assert by_damage["noise 0.2"]["planar"] > by_damage["noise 0.1"]["planar"]

# %% [markdown]
# So canonical-$\lambda$-equitune beats canonicalisation alone, at sixteen times its passes, by
# points that are in the table. With moderate noise it gains more than on clean clouds where a
# class is asked for: noise turns the frame, and with several offsets some pose is near the
# one that is wanted all the same. With more noise the gain goes on growing in the plane.
#
# Where does it come from? The clean test clouds in quarters, from those whose principal
# axes are least clear (the smallest eigengap) to those whose axes are clearest:

# %%
quarters = gain("finetuned", column="quarter")["mean"]
quarters = quarters.unstack("quarter").loc[ORDER]
quarters.round(1)

# %% tags=["hide-cell"]
low, high = (
    quarters[["1", "2"]].mean(axis=1),
    quarters[["3", "4"]].mean(axis=1),
)
assert (low > high + 1)[["solids", "planar"]].all()
assert abs(low["thorns"] - high["thorns"]) < 2

# %% [markdown]
# In the two tasks of classes clouds with less clear axes gain more than the others; for the
# thorns' vectors the gain is about the same for all.
#
# Is it the pose or the average? Augmentation has the same labels, the same steps, no frame
# and no average:


# %%
def named(rows):
    k = rows["k"].map(lambda k: f", k = {k:.0f}" if k > 0 else "")
    learned = (
        rows["frame"].eq("learned").map({True: ", learned frame", False: ""})
    )
    return rows["method"].replace("plain", "augmentation") + k + learned


ways = pick(setting="finetuned", spoil=...)
ways = ways[ways["spoil"].isin(["clean", "noise 0.2"])]
ways = ways.assign(way=named(ways)).pivot_table(
    "score", "way", ["task", "spoil"], sort=False
)
ways[ORDER].round(3)

# %% [markdown]
# On clean clouds, in points: what one canonical pose adds to augmentation, and what sixteen
# weighted ones add to that.

# %%
steps = ["augmentation", "canonical, k = 1", "canonical-lambda, k = 16"]
steps = ways.xs("clean", axis=1, level="spoil")[ORDER].loc[steps]
steps = 100 * steps.diff().iloc[1:]
steps.round(1)

# %% tags=["hide-cell"]
pose, average = steps.to_numpy()
assert (pose > 3 * average).all() and (average > 2).all()

# %% [markdown]
# Mostly it is the pose.
#
# ## Both forms of eq. (5)
#
# For a vector the offset matters: eq. (5) as printed carries the answer back by $h(x)$
# alone, so it adds up arrows in $k$ poses ([](61_canonical_poses.ipynb)). $\lambda$ is
# learned through each form, for each number of offsets:

# %%
of_vectors = {"task": "thorns", "method": "canonical-lambda", "frame": "pca"}
forms = pick(**of_vectors).pivot_table("score", "k", ["offsets", "undo"])
forms = forms.drop(columns="random", level=0)
undone = {"True": "undone", "False": "as printed"}
forms = forms.rename(columns=undone, level=1)
forms.round(3)

# %% tags=["hide-cell"]
fixed = forms["fixed"]
assert (fixed["undone"] >= fixed["as printed"] - 0.02).all()
assert fixed["undone"][16] > fixed["undone"][1] + 0.2
assert fixed["as printed"].max() < fixed["as printed"][1] + 0.15
learned = forms["learned"].dropna()
assert (learned["undone"] > learned["as printed"]).all()

# %% [markdown]
# With one fixed offset, the identity, the forms are the same. With more, the printed form
# gains little: $\lambda$ has to choose between poses that are good for the network and
# the one pose whose answer is carried back rightly. Learned offsets help it, even a single
# one; with $\theta^{-1}$ they are better still.
#
# ## A frame that is learned
#
# The paper's $h$ is a network. Ours makes two vectors that turn with the cloud
# ([](61_canonical_poses.ipynb)), one frame instead of four, and is learned together with
# $\lambda$. Frozen networks, clean clouds:

# %%
both = ["canonical", "canonical-lambda"]
frames = pick(undo="True", offsets="fixed")
frames = frames[frames["method"].isin(both)]
frames = frames.pivot_table("score", ["task", "method", "k"], "frame")
frames = frames.dropna().loc[ORDER]
frames.round(3)

# %% tags=["hide-cell"]
several = frames.drop(index=1, level="k")
assert (several["learned"] < several["pca"]).all()
one = frames.xs(("canonical", 1), level=("method", "k"))
assert one["learned"]["planar"] > one["pca"]["planar"] + 0.1
assert abs(one["learned"]["solids"] - one["pca"]["solids"]) < 0.05
assert one["learned"]["thorns"] < 0 < one["pca"]["thorns"]

# %% [markdown]
# By itself a learned frame helps in the plane, changes little on solids and fails on thorns.
# With several offsets principal axes are ahead in every task; they also take more passes,
# two or four poses, all that signs leave open, instead of one.

# %% [markdown]
# ## What it costs
#
# $k$ offsets and $A$ frames are $kA$ passes of the model and of $\lambda$: $A = 4$ by
# principal axes in space. Time for 16 solids, against one pass of the plain network; the
# calls take turns, so that what slows one slows all ([](74_what_it_costs.ipynb)):

# %%
solids = data.TASKS["solids"]
net = network.load_network("solids")
batch = data.draw(solids, 16, torch.Generator().manual_seed(3)).x


# %%
from equinb.apps.costs.clock import in_turn

operators, passes = {"plain": net}, {"plain": 1}
for k in (1, 2, 4, 8, 16):
    way = Way("canonical-lambda", k=k)
    operators[f"k = {k}"] = methods.operator(net, solids, way, 0)
    passes[f"k = {k}"] = 4 * k
calls = {n: lambda f=f: methods.answer(f, batch) for n, f in operators.items()}

# %%
took = pd.DataFrame(in_turn(calls, 9), columns=["round", "way", "seconds"])
took = took.pivot(index="round", columns="way", values="seconds")
cost = pd.DataFrame({"passes": passes, "seconds": took.median()})
cost = cost.loc[list(passes)]
cost["times plain"] = took.div(took["plain"], axis=0).median()
cost["per pass"] = cost["times plain"] / cost["passes"]
cost.round(3)

# %% tags=["hide-cell"]
assert (took["k = 16"] / took["k = 2"]).median() > 4

# %% [markdown]
# The cost grows at least as $k$ does. A pose costs more than a pass of the plain network:
# beside so small a network $\lambda$, half as wide, and the turning of the clouds weigh a
# good deal. Beside a large model they would not ([](74_what_it_costs.ipynb)).
#
# ## Paper and here
#
# | paper | here |
# | --- | --- |
# | definition 1, for continuous groups | $SO(2)$ and $SO(3)$, exact, on three tasks |
# | appendix D.5, a point-cloud network, without code or data | *content not available*; three generated tasks, all damage and every cloud from a seed |
# | canonicalisation is a special case, $k = 1$ | measured as the baseline: frozen, finetuned, by damage, by eigengap |
# | eq. (5) | both forms, for all $k$ |
# | offsets $\Theta$ | fixed, random and learned |
#
# ## Pitfalls
#
# - **A frozen network and one canonical pose.** Equivariant, and of little use: the pose of
#   the frame need not be the pose that was learned.
# - **Comparing what learned with what did not.** Augmentation has the same labels here, and
#   finetuned canonicalisation too.
# - **$R^2$ below zero.** An answer in a wrong direction is worse than none.
# - **Intervals over three seeds.** They are of test clouds, labels, turns and first weights;
#   not of other networks.
#
# ## Recap
#
# - We **measured** that three networks with nearly perfect scores on upright clouds lose most
#   of it on turned ones.
# - We **learned** $\lambda$ over eight poses of an outline, and it prefers those near upright.
# - We **weighed** the number of offsets: in the plane and for vectors few are enough, solids
#   gain up to sixteen; the cost grows at least in proportion.
# - We **judged** by pairs of seeds whether several weighted poses are ahead of one canonical
#   pose, frozen and finetuned, for every kind of damage.
# - We **compared** both forms of eq. (5): as printed, more offsets help a vector little.
#
# ## Exercises
#
# :::{exercise} No labels
# :label: ex-clouds-confident
#
# Use the most confident pose (`Way("canonical-equizero", k=4)`) on the planar test clouds.
# How far is it behind the $\lambda$ that was learned above?
# :::
#
# :::{solution-start} ex-clouds-confident
# :class: dropdown
# :::

# %%
confident = methods.operator(M, planar, Way("canonical-equizero", k=4), 0)
print(f"most confident: {accuracy(confident):.3f}; lambda: {accuracy(f):.3f}")
assert accuracy(confident) > accuracy(alone) + 0.3

# %% [markdown]
# :::{solution-end}
# :::
#
# :::{exercise} The same weights everywhere
# :label: ex-clouds-turned
#
# $\lambda$ has learned from clouds that were turned anew in each step. Was that needed?
# Compare its weights for a cloud and for the cloud turned by a third of a turn.
# :::
#
# :::{solution-start} ex-clouds-turned
# :class: dropdown
# :::

# %%
third = methods.plane_rotation(2 * torch.pi / 3)[None]
_, one = f(test.x[:5], return_poses=True)
_, other = f(can.rotate(third.expand(5, 2, 2), test.x[:5]), return_poses=True)
one, other = one.weights.sort(0).values, other.weights.sort(0).values
print(f"greatest difference: {(one - other).abs().max():.0e}")
assert torch.allclose(one, other, atol=1e-3)

# %% [markdown]
# No: $\lambda$ reads canonical poses, and these do not turn. Upright clouds would have
# given the same gradients. Only augmentation needs the turns.
#
# :::{solution-end}
# :::
#
# :::{exercise} Damage
# :label: ex-clouds-damage
#
# Add noise to the test clouds, from none to a third of their radius. Plot the accuracy of
# the plain network on upright clouds, and of $\lambda$ on turned ones.
# :::
#
# :::{solution-start} ex-clouds-damage
# :class: dropdown
# :::

# %%
levels = (0.0, 0.1, 0.2, 0.3)
curves = {"upright, plain": [], "turned, lambda": []}
for noise in levels:
    r = torch.Generator().manual_seed(11)
    clouds = data.draw(planar, 500, r, data.Spoil(noise=noise))
    curves["upright, plain"].append(accuracy(M, clouds))
    turned = data.turned(clouds, planar, r)
    curves["turned, lambda"].append(accuracy(f, turned))
curves = pd.DataFrame(curves, index=levels).rename_axis("noise")
curves.round(3)

# %% mystnb={"figure": {"name": "fig-clouds-noise", "caption": "Accuracy against the noise of each coordinate, relative to the radius."}, "image": {"alt": "Both curves fall with noise; that of lambda on turned clouds stays below that of the plain network on upright ones."}}
ax = curves.plot(marker="o", figsize=(5.2, 2.8))
_ = ax.set(ylabel="accuracy", ylim=(0, 1.05))

# %% tags=["hide-cell"]
assert (curves.iloc[-1] < curves.iloc[0]).all()
assert (curves["turned, lambda"] <= curves["upright, plain"] + 0.01).all()

# %% [markdown]
# :::{solution-end}
# :::
#
# ## What next
#
# All groups of this book are done. [](71_your_own_model.ipynb) puts the methods around
# models of other libraries, one of them of clouds.
