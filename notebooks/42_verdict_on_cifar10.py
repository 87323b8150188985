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
# # CIFAR10, and a verdict on equizero
#
# ## Goals
#
# After this page you can
#
# - **read** Figures 5b and 11b for two networks of ours, beside the paper's;
# - **separate** what is the method's from what is the published code's: a sign, batch
#   statistics, a test on the training set;
# - **compare** the methods where the head is there already, on our networks and on two
#   that others trained;
# - **predict** from validation images which rules will be ahead for a given head;
# - **judge** the claim that equizero fails on pretrained CNNs, with intervals.
#
# {bdg-secondary}`CPU`
# {bdg-secondary}`paper: section 5.2.2, Fig. 5b, 11b`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import pandas as pd

from equinb import lab

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots

plots.use_style()

# %% [markdown]
# ## Two networks, two settings
#
# > "We use pretrained Alexnet and Resnet, trained extensively over CIFAR100. [...] Along
# > with $\lambda$, we also perform linear probing wherein last two layers for the
# > classification problem is being learned" {cite:p}`basu2023efficient`
#
# In plain words: the network has seen other photographs, a new end is learned for
# CIFAR10, and all of it through the average. Ours is the experiment of
# [](41_probes_and_choices.ipynb), on real photographs: a ResNet and an AlexNet trained
# from nothing on Tiny-ImageNet, frozen, and CIFAR10, every image turned at random, 45,000
# images to learn from and 10,000 to test. There is one network of each kind; the three
# seeds are those of the probe. What the two are worth on their own two hundred classes,
# upright and turned:

# %%
pretraining, made = lab.load_result("cnn-tiny-small")
print(made)

# %%
shipped = pretraining[pretraining["set"].str.endswith("shipped")]
(100 * shipped.set_index(["model", "set"])[["upright", "turned"]]).round(1)

# %%
rows, made = lab.load_result("cnn-small")
print(made)

# %% [markdown]
# Is there something to transfer? The probe that has learned from upright images, tested
# on upright images:

# %%
there = rows[rows["setting"] == "head"]
upright = there[there["rule"] == "pretrained, upright"]
(100 * upright.pivot(index="seed", columns="model", values="top1")).round(1)

# %% tags=["hide-cell"]
tested = shipped.set_index(["model", "set"])["upright"].unstack("set")
assert tested.loc["tiny-resnet", "test, shipped"] >= 0.35
assert tested.loc["tiny-alexnet", "test, shipped"] >= 0.22
assert upright["top1"].min() > 0.7
assert (tested["test, shipped"] > 0.29).all()

# %% [markdown]
# There is: about a third of two hundred classes are told, and in CIFAR10 more than seven
# images in ten.
#
# ## Figures 5b and 11b
#
# > "In Fig. 5b and 11b we see that $\lambda$-equitune outperforms equitune and equizero.
# > Moreover, equizero performs even worse than equitune. This trend is consistent across
# > both Alexnet and Resnet pretrained modules." {cite:p}`basu2023efficient`
#
# As defined: network in eval mode, tested on test images.

# %%
probes = rows[rows["setting"] == "probe"]
course = probes[(probes["mode"] == "eval") & (probes["set"] == "test")]
own = course["method"] == course["rule"]
course, crossed = course[own], course[~own]
SHOWN = ["plain", "equitune", "equizero", "equizero, sign turned"]
SHOWN += ["lambda-equitune"]

# %% mystnb={"figure": {"name": "fig-cnn-probe", "caption": "Accuracy on turned CIFAR10 test images after every epoch of probing: Fig. 5b and 11b for our ResNet and AlexNet; the mean of three seeds, bands their 95 % intervals. *Sign turned*: the proxy of the published code."}, "image": {"alt": "For both networks equitune and lambda-equitune end close together at the top, equizero a few points below them, and equizero with its sign turned far below, near the plain probe."}}
titles = {"tiny-resnet": "ResNet", "tiny-alexnet": "AlexNet"}
for name, ax in plots.panels(titles, height=6.4):
    mine = course[course["model"] == name]
    plots.course(ax, mine[mine["method"].isin(SHOWN)], "epoch", "top1")
    ax.set(ylabel="accuracy", xticks=range(1, 11))
ax.set_xlabel("epochs")
lines = ax.get_legend_handles_labels()
_ = ax.figure.legend(*lines, loc="outside lower center", ncols=2)

# %%
last = course[course["epoch"] == 10]


def with_intervals(rows, by):
    found = {}
    for model, mine in rows.groupby("model", sort=False):
        wide = mine.pivot(index="seed", columns=by, values="top1")
        order = [name for name in mine[by].unique() if name in wide]
        found[model] = lab.intervals(100 * wide[order])
    return pd.concat(found, axis=1)


with_intervals(last, "method").round(1)

# %% tags=["hide-cell"]
mean = 100 * last.groupby(["model", "method"])["top1"].mean().unstack("model")
below = mean.loc["equitune"] - mean.loc["equizero"]
assert (below > 2).all() and (below < 9).all()
turned = mean.loc["equizero, sign turned"] - mean.loc["plain"]
assert (turned.abs() < 4).all()
assert (mean.loc["equitune"] - mean.loc["equizero, sign turned"] > 18).all()

# %% tags=["hide-cell"]
proxies = ["equizero, entropy", "equizero, max logit"]
assert (mean.loc[proxies] < mean.loc["equitune"]).all(axis=None)
chosen = mean.loc["equizero, chosen"] - mean.loc["equizero"]
assert (chosen > 0.4 * below).all()
lead = mean.loc["lambda-equitune"] - mean.loc["equitune"]
assert 1 < lead["tiny-resnet"] < 2 and -0.7 < lead["tiny-alexnet"] < 0
first = course[(course["epoch"] < 4) & (course["model"] == "tiny-alexnet")]
first = first.groupby("method")["top1"].mean()
assert first["lambda-equitune"] > first["equitune"] + 0.01

# %% tags=["hide-cell"]
knows = mean.loc["orientation classifier"] - mean.loc["lambda-equitune"]
assert abs(knows["tiny-resnet"]) < 0.7 and knows["tiny-alexnet"] > 1

# %% [markdown]
# The paper's curves, by its own networks (validation accuracy in percent, read from
# the figure; after the first, second, fifth and tenth epoch):

# %%
paper = pd.concat(lab.paper_values(item) for item in ("fig5b", "fig11b"))
paper = paper.pivot(index=["model", "method"], columns="step", values="value")
paper[[0, 1, 4, 9]]

# %% [markdown]
# The order of the paper's second sentence is here: equizero is below equitune on both
# networks, with each of its proxies. Of the first sentence half is: $\lambda$-equitune
# is ahead of equitune on the ResNet; on the AlexNet it leads in the first epochs and ends
# a fraction of a point *behind*. There the paper reports the
# opposite, for an AlexNet of its own.
#
# *Equizero, chosen*, which has the gradient of the view that it chose, makes up a good
# part of what equizero lacks. And an {term}`orientation classifier`, which has learned which
# way is up and nothing of the classes, is as good a weight as $\lambda$ on the ResNet and
# better on the AlexNet.
#
# ## As published
#
# Things in the published code that are not in the equations (*[code]* marks what was read there): equizero takes the
# view of *least* confidence; the networks stay in training mode, so that each answer
# depends on the other images in its batch of four; and what is called validation is the
# training set. (An AlexNet has no batch statistics, so for it the mode changes nothing
# here.) The legend of the paper's figure has probably its two equizeros swapped; we call
# the lower curve the one with its sign turned, and the upper one entropy.

# %%
swapped = {
    "equizero (labelled entropy)": "equizero, sign turned",
    "equizero (labelled max prob)": "equizero, entropy",
}
kinds = {"ResNet18": "tiny-resnet", "AlexNet": "tiny-alexnet"}
paper = paper.rename(index={**swapped, **kinds})
paper = paper.rename(columns=lambda step: step + 1)  # epochs that are done

# %%
mode = probes["model"].map({"tiny-resnet": "train", "tiny-alexnet": "eval"})
curves = probes[(probes["mode"] == mode) & (probes["set"] == "test")]
curves = curves[curves["method"] == curves["rule"]]
CURVES = ["lambda-equitune", "equitune", *swapped.values()]


# %% mystnb={"figure": {"name": "fig-cnn-published", "caption": "The paper's curves of Fig. 5b and 11b, and ours as published: least confidence, and the ResNet in training mode; on test images, the mean of three seeds, bands their 95 % intervals. Above ResNets, below AlexNets."}, "image": {"alt": "In all four panels lambda-equitune and equitune are at the top, equizero by entropy is below them, and equizero with its sign turned is far below. The paper's equizero by entropy is far from equitune on the ResNet and near it on the AlexNet; ours is nearer on the ResNet."}}
figure, axes = plt.subplots(2, 2, figsize=(5.2, 6), sharex=True, sharey="row")
for kind, (left, right) in zip(titles, axes):
    for method in CURVES:
        style = {**plots.method_style(method), "ms": 4, "lw": 1.2}
        published = paper.loc[(kind, method)] / 100
        left.plot(published.index, published, label=method, **style)
        mine = curves[(curves["model"] == kind) & (curves["method"] == method)]
        plots.course(right, mine, "epoch", "top1")
    left.set(
        title=f"{titles[kind]}, paper", ylabel="accuracy", xlim=(0.5, 10.5)
    )
    right.set(title="ours", xticks=(1, 4, 7, 10))
for ax in (left, right):
    ax.set_xlabel("epochs")
lines = left.get_legend_handles_labels()
_ = figure.legend(*lines, loc="outside lower center", ncols=2)

# %% [markdown]
# What mode and set are worth, after ten epochs:

# %%
end = probes[(probes["epoch"] == 10) & (probes["method"] == probes["rule"])]
modes = end[end["set"].isin(["test", "train"])].pivot_table(
    "top1", ["model", "method"], ["mode", "set"], sort=False
)
few = modes.index.isin(["plain", "equizero", *CURVES], level="method")
(100 * modes[few]).round(1)

# %% [markdown]
# And by how many points each is ahead of equitune, or behind: in the paper, as published
# (training mode, where it makes a difference, on the training set), the same on test
# images, and in eval mode on them.

# %%
published = modes["train"].fillna(modes["eval"])
cases = {
    "paper": paper[10],
    "as published": 100 * published["train"],
    "test images": 100 * published["test"],
    "eval mode": 100 * modes["eval"]["test"],
}
from_equitune = pd.DataFrame(cases)
from_equitune -= from_equitune.xs("equitune", level="method")
from_equitune = from_equitune.swaplevel().loc[
    ["lambda-equitune", "equizero, entropy", "equizero, sign turned"]
]
from_equitune.round(1)

# %% tags=["hide-cell"]
cost = (modes["eval"]["test"] - modes["train"]["test"]).dropna()
assert (cost > 0.1).all()
order = ["equizero", "equitune", "lambda-equitune"]
assert modes["train"]["test"]["tiny-resnet"][order].is_monotonic_increasing
flattered = modes["eval"]["train"] - modes["eval"]["test"]
assert flattered.drop("lambda-equitune", level="method").max() < 0.09
assert flattered["tiny-alexnet", "lambda-equitune"] > 0.12

# %% tags=["hide-cell"]
sign = from_equitune.loc["equizero, sign turned"]
assert (sign < -18).all(axis=None) and sign["paper"].min() > -23
assert (sign["paper"] > sign.drop(columns="paper").max(axis=1)).all()
entropy = from_equitune.loc["equizero, entropy"]
assert (entropy < -2).all(axis=None)
assert (entropy.iloc[:, 1:] > -7.5).all(axis=None)
assert entropy["paper"]["tiny-resnet"] < -10
assert entropy["paper"]["tiny-alexnet"] > entropy.loc["tiny-alexnet"][1:].max()

# %% tags=["hide-cell"]
known = from_equitune.loc["lambda-equitune"]
assert (known["as published"] > known["paper"]).all()
assert (known["paper"] > known["eval mode"] + 1).all()
assert known["eval mode"]["tiny-alexnet"] < 0
assert known["as published"]["tiny-alexnet"] > 8
wider = (from_equitune["test images"] - from_equitune["eval mode"]).abs()
assert wider.xs("tiny-resnet", level="model").between(0.5, 4).all()

# %% [markdown]
# - The *sign* makes the lower of the paper's equizeros: about twenty points behind
#   equitune there, and somewhat more here. It costs equizero most of what it has over the
#   plain probe.
# - *Batch statistics* cost every method more than ten points: all of them, so the order
#   of the averages stays, and their distances grow by a few points at most.
# - The *training set* flatters whoever has most to remember, and that is $\lambda$: on
#   the AlexNet it makes of a fraction of a point behind equitune a lead of many points.
#   The lead of $\lambda$ that the paper reports lies on both networks between ours as
#   published and ours in eval mode on test images.
# - The *upper* of the paper's equizeros is not explained by these. On the ResNet it is
#   much further behind equitune than ours in any of these ways, on the AlexNet nearer.
#   Other networks, another optimiser: what it is we do not know.
#
# ## Trained one way, read another
#
# On digits the order hung on whether the head had seen turned images. Here:

# %%
best = pd.concat([last, crossed])
best = best.groupby(["model", "method", "rule"], sort=False)["top1"].mean()
best = 100 * best.unstack("rule")[["plain", "equitune", "equizero"]]
best.loc["tiny-resnet"].round(1)

# %%
best.loc["tiny-alexnet"].round(1)

# %% tags=["hide-cell"]
apart = (best["equitune"] - best["equizero"]).unstack("model")
assert (apart.loc["plain"] < -7).all()
assert (apart.loc[["augmentation", "augmentation, all views"]] > 0.5).all(
    axis=None
)
assert (apart.loc["equitune"] > 2).all()
assert (apart.loc[["equizero, chosen", "lambda-equitune"]] < -1).all(axis=None)

# %% [markdown]
# As there. From the plain head, which has learned from upright images alone, equizero
# reads better than equitune by many points. From a head that has learned from all four
# views alike, through equitune or *augmentation*, equitune reads better. A head that was
# learned through weights or a choice lies between: that of *equizero, chosen*, and that
# of $\lambda$, whose weight was on the upright view, are better read by equizero.
#
# ## A head that is there
#
# The second setting: the plain probe, learned from upright images, is a head like any
# other. Read it by every rule, without training anything but $\lambda$. (The mean of
# logits, *equitune*, is what `ttach` does.)

# %%
READ = ["pretrained", "equitune", "equizero", "equizero, entropy"]
READ += ["equizero, max logit", "equizero, sign turned"]
READ += ["pretrained, upright", "any view"]
logits = there[(there["cut"] == "logits") & there["rule"].isin(READ)]
with_intervals(logits, "rule").loc[READ].round(1)

# %% [markdown]
# And two networks that others have trained on CIFAR10 itself, with their own heads
# {cite:p}`idelbayev2018resnets`: ResNet-20 and ResNet-56, on 932 test images whose pixels
# have not been compressed, as those that they were trained on (three seeds for $\lambda$
# alone; the rest is one answer).

# %%
public, made = lab.load_result("cnn-public-small")
print(made)

# %%
theirs = public[public["setting"] == "head"]
both = theirs[theirs["rule"].isin(READ)]
both = both.groupby(["rule", "cut", "model"])["top1"].mean().unstack("model")
both = both.unstack("cut").loc[READ]
(100 * both).round(1)

# %% [markdown]
# The same had been tried once before this book was written, with ResNet-20, each image at
# one random turn. Its accuracies beside ours, in percent, and the standard error that 932
# images leave:

# %%
trial = {"pretrained": 50.9, "equitune": 73.8, "equizero": 84.4}
trial |= {"equizero, entropy": 84.7, "equizero, sign turned": 34.4}
trial |= {"lambda-equitune": 88.3, "pretrained, upright": 91.6}

# %%
here = both["resnet20", "logits"].copy()
lam = theirs[
    (theirs["rule"] == "lambda-equitune") & (theirs["images"] == 7000)
]
here["lambda-equitune"] = lam.groupby("model")["top1"].mean()["resnet20"]
agreed = pd.DataFrame({"trial": trial, "here": 100 * here}).loc[list(trial)]
agreed["standard error"] = 100 * (here * (1 - here) / 932) ** 0.5
agreed.round(1)

# %% tags=["hide-cell"]
assert len(agreed) == 7 and agreed.notna().all(axis=None)
gap = (agreed["here"] - agreed["trial"]).abs()
assert (gap < agreed["standard error"]).all() and gap.max() < 0.8
assert abs(100 * both["resnet20", "probabilities"]["equitune"] - 64.1) < 0.1

# %% tags=["hide-cell"]
ours = logits.groupby(["rule", "model"])["top1"].mean().unstack("model")
ours = ours[list(titles)]
all_four = pd.concat([ours, both.xs("logits", axis=1, level="cut")], axis=1)
ahead = 100 * (all_four.loc["equizero"] - all_four.loc["equitune"])
assert (ahead > 7).all() and (ahead > 9.5).sum() >= 3
assert (all_four.loc[proxies] > all_four.loc["equitune"]).all(axis=None)

# %% tags=["hide-cell"]
assert (all_four.loc[READ[2:5]].idxmax() == "equizero, max logit").all()
assert (
    all_four.loc["equizero, sign turned"] < all_four.loc["pretrained"]
).all()
cuts = both.loc["equitune"].unstack("cut")
assert (cuts["logits"] - cuts["probabilities"] > 0.07).all()
cuts = there[there["rule"] == "equitune"].pivot_table(
    "top1", "model", "cut", sort=False
)
assert (cuts["probabilities"] - cuts["logits"]).between(0, 0.03).all()

# %% [markdown]
# The two agree. On all four networks equizero is ahead of equitune, by about ten points,
# with each of its proxies; the greatest logit is the best of the three. With its sign
# turned it is far below the network by itself. Averaging probabilities in place of logits
# makes equitune much worse on the public networks, changes it little on ours, and leaves
# equizero as it was.
#
# Is it the head, or the features? A probe learned anew on *their* features, through each
# method, and read by every rule:

# %%
probed = public[(public["setting"] == "probe") & (public["mode"] == "eval")]
probed = probed[(probed["epoch"] == 10) & (probed["set"] == "test")]
anew = probed.groupby(["model", "method", "rule"], sort=False)["top1"].mean()
anew = 100 * anew.unstack("rule")[["plain", "equitune", "equizero"]]
anew.loc["resnet20"].round(1)

# %% tags=["hide-cell"]
assert (anew["equizero"] - anew["equitune"] > 3).all()

# %% [markdown]
# Here it is the features. From every head, equitune's own among them, equizero reads
# better, and the same goes for ResNet-56. (The images that these probes learn from are
# some that the networks were trained on, and so are the validation images below; the test
# images are not.)
#
# ## What validation images tell
#
# For each head, on its validation images: how well a proxy orders the views, by how many
# nats the view that it takes is worse than the best (*regret*), and what each rule puts
# right and wrong.

# %%
judged = pd.concat([there, theirs])
judged = judged[judged["corrected"].notna()].copy()
judged["net gain"] = judged["corrected"] - judged["corrupted"]
columns = ["agreement", "best", "regret", "corrected", "corrupted"]
columns += ["net gain"]
judged = judged.groupby(["model", "rule"], sort=False)[columns].mean()
judged.round(2)

# %% tags=["hide-cell"]
net = judged["net gain"].unstack("model")
found = all_four.loc[net.index, net.columns]
for name in net:
    picked = found.loc[net[name].idxmax(), name]
    assert found[name].max() - picked < 0.03
    gained = net[name] - net.loc["equitune", name]
    better = found[name] - found.loc["equitune", name]
    assert ((gained > 0) == (better > 0)).all()

# %% tags=["hide-cell"]
right = judged.loc[(slice(None), ["equizero", *proxies]), :]
lowest = right["agreement"].groupby("model").idxmin()
least = right["regret"].groupby("model").idxmin()
assert {rule for _, rule in lowest} == {"equizero, max logit"}
assert {rule for _, rule in least} == {"equizero, max logit"}
assert (right["agreement"] > 0.25).all() and (right["best"] > 0.6).all()

# %% [markdown]
# For each head, the rules with a greater *net gain* than equitune on validation images
# are those that are ahead of it on test images; among the three proxies, which are close,
# it picks the best or one that is near. It needs labels and no training. So whether a
# proxy can work for a network need not be believed: it can be looked up beforehand.
#
# Of the other measures *regret* is the one to go by: it is least for the greatest logit,
# the best proxy on all four networks. Rank agreement is *lowest* for it. What counts is
# not how all views are ordered, but how bad the one is that is taken.
#
# ## Lambda, and its price
#
# From how many images it has been learned: a hundred, a thousand, ten thousand (of the
# public networks seven thousand, all that there are).

# %%
lambdas = pd.concat([there, theirs])
lambdas = lambdas[lambdas["images"].notna()].replace(
    {"images": {7000: 10_000}}
)
table = lambdas.groupby(["rule", "images", "model"])["top1"].mean()
scores = 100 * table.unstack("model")[list(all_four)]
scores.round(1)

# %% tags=["hide-cell"]
full = scores.groupby("rule").last()
few = scores.groupby("rule").first()
zero = 100 * all_four.loc["equizero", full.columns]
compass = "orientation classifier"
assert (full.loc["lambda-equitune"] > zero + 3).all()

# %% tags=["hide-cell"]
logit = 100 * all_four.loc["equizero, max logit", full.columns]
gain = scores.loc["lambda-equitune"].sub(logit, axis=1)
assert (gain.loc[100.0] < 0).sum() == 3 and (gain.loc[1000.0] > 0).all()

# %% tags=["hide-cell"]
assert (full.loc[compass] - full.loc["lambda-equitune"] > 0.2).all()
assert (few.loc[[compass, "lambda-equitune"]] > zero - 1).all(axis=None)
distilled = full.loc["lambda-equitune, distilled from equizero"]
assert ((distilled - zero).abs() < 2).all()
early = scores.loc["lambda-equitune, distilled from equizero", 100.0]
assert (early.filter(like="tiny") < zero.filter(like="tiny") - 4).all()
shuffled = full.loc["lambda-equitune, shuffled"]
assert (shuffled < full.loc["lambda-equitune"] - 15).all()

# %% [markdown]
# With all these labels $\lambda$ is ahead of equizero on all four heads. A hundred are
# about enough to be level with it, a thousand to pass the best of the proxies. Learned
# from equizero's answers instead of labels it is as good as its teacher, and no better,
# and on our networks it takes many images to be that. The plainest baseline is ahead of
# it: a classifier of orientation, from images known to be upright and no labels of
# classes, is better on every head. Shuffled among images the same weights are worth
# little: $\lambda$ reads the image.
#
# ## Verdict

# %%
PAIRS = [("equizero", "equitune"), ("lambda-equitune", "equitune")]
PAIRS += [("lambda-equitune", "equizero")]
TESTED = dict.fromkeys(titles, 10_000) | {"resnet20": 932, "resnet56": 932}


def gains(rows, by):
    found = {}
    for model, mine in rows.groupby("model", sort=False):
        wide = mine.pivot(index="seed", columns=by, values="top1")
        table = lab.paired_gains(100 * wide, PAIRS)
        noise = (wide * (1 - wide)).mean() / TESTED[model]
        total = [noise[one] + noise[other] for one, other in PAIRS]
        table["images"] = [196 * variance**0.5 for variance in total]
        found[model] = table
    return pd.concat(found, names=["model", "points ahead"])


# %% [markdown]
# A head learned through each method; points, with the interval of three seeds. *Images*
# is half the interval that the choice of test images leaves, as if each method had been
# tested on others; it is too wide, since they were tested on the same.

# %%
probed = probed[probed["method"] == probed["rule"]]
learned = gains(pd.concat([last, probed]), "method")
learned.round(1)

# %% [markdown]
# Heads that were there before. Of the public networks there is one head each, so that
# only $\lambda$ has seeds, and *images* is the uncertainty:

# %%
most = lambdas[lambdas["images"] == 10_000]
most = most[most["rule"] == "lambda-equitune"]
plain = pd.concat([logits, theirs[theirs["cut"] == "logits"]])
plain = plain[plain["rule"].isin(["equitune", "equizero"])]
before = gains(pd.concat([plain, most]), "rule")
before.round(1)

# %% tags=["hide-cell"]
lead = learned.unstack("points ahead")
name = "equizero - equitune"
ours, public_ones = list(titles), ["resnet20", "resnet56"]
assert (lead["high"][name][ours] < 0).all()
assert (lead["mean"][name] + lead["images"][name])[ours].max() < 0
assert (lead["low"][name][public_ones] > 0).all()
assert (lead["mean"][name] - lead["images"][name])[public_ones].min() > 0

# %% tags=["hide-cell"]
name = "lambda-equitune - equitune"
assert (lead["low"][name].drop("tiny-alexnet") > 0).all()
assert lead["high"][name]["tiny-alexnet"] < 0
assert (
    -lead["mean"][name]["tiny-alexnet"] < lead["images"][name]["tiny-alexnet"]
)
name = "lambda-equitune - equizero"
assert (lead["low"][name] > 0).all()
assert (before["mean"] - before["images"] > 0).all()
assert (before["low"] > 0).all() and len(before) == 12
assert before["mean"].xs("lambda-equitune - equitune", level=1).min() > 10
name = "equizero - equitune"
assert before["mean"].xs(name, level=1).between(8, 12).all()

# %% [markdown]
# Does equizero fail on pretrained CNNs?
#
# - **Where it does.** On features that were not made for the task, with a head learned
#   through each method, equizero is below equitune on both of our networks, by a few
#   points, clear of the seeds and of the choice of images. That is the paper's setting,
#   and its finding holds there.
# - **Where it does not.** With a head that is there, equizero is ahead on all four
#   networks, by about ten points, clear of both. And on networks that know the task it is
#   ahead even when the head is learned through each method.
# - **And $\lambda$?** It is ahead of equizero everywhere, and ahead of equitune where
#   the head is there. Where the head is learned it is ahead of equitune on three networks
#   of four. On our AlexNet it is not, after ten epochs: behind by less than the choice of
#   images can decide, and ahead where it is tested on what it has learned from, as in the
#   paper.
# - **What makes the difference.** A choice needs one view that is read well, and a way to
#   find it: features that were made upright for the task, or a head that has learned from
#   upright images, give it both. Where features are foreign and the head learns all turns
#   at once, the mean of four mediocre answers is better. Part of the gap is the
#   straight-through gradient.
# - **What made it look larger.** The sign. Batch statistics lower all methods and leave
#   their order; the test on the training set flatters $\lambda$.
# - **What is not the reason** is the absence of a proxy: the greatest logit, the greatest
#   probability and the entropy are all worth something on every head that was there.
#
# ### Does compression tell which way is up?
#
# Our two networks have seen compressed images (JPEG) throughout. Compression works on
# blocks of eight pixels and leaves traces that know the two axes apart; a small network that
# learns orientation from such images fails on uncompressed ones. Do $\lambda$ and the
# orientation classifier live by these traces? The same heads and rules again, on CIFAR10 as it
# was before it was compressed; a thousand images to learn from in either case:

# %%
lossless, made = lab.load_result("cnn-lossless-small")
print(made)

# %%
readers = ["lambda-equitune", "orientation classifier"]
traces = pd.concat(
    {"compressed": rows, "lossless": lossless}, names=["pixels"]
)
traces = traces[(traces["setting"] == "head") & (traces["images"] == 1000)]
traces = traces[traces["rule"].isin(readers) & (traces["mode"] == "eval")]
traces = traces[(traces["cut"] == "logits") & (traces["set"] == "test")]
traces = traces.groupby(["model", "rule", "pixels"], sort=False)
traces = traces[["top1", "weight 0"]].mean().unstack("pixels")
(100 * traces.rename(columns={"weight 0": "weight, upright"})).round(1)

# %% tags=["hide-cell"]
weight = traces["weight 0"]
assert ((weight["lossless"] - weight["compressed"]) > -0.02).all()
drop = traces["top1"]["compressed"] - traces["top1"]["lossless"]
assert (drop > 0).all() and (drop < 0.035).all()
heads = lossless[lossless["rule"] == "pretrained, upright"]
heads = heads[heads["setting"] == "head"].groupby("model")["top1"].mean()
assert (heads < upright.groupby("model")["top1"].mean() - 0.01).all()

# %% [markdown]
# They do not: without the traces, the upright view has as much weight as with them. A point
# or three of accuracy are lost, and the model loses as much on upright images: fewer lossless
# images are at hand, so its head has learned from fewer.
#
# What is left open: there is one network of each kind, small, of small photographs; and
# the public networks had been trained on the images that their probes and their
# $\lambda$ learned from. The paper's own networks may tell another story, and the
# commands for them are below.
#
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | networks | "trained extensively over CIFAR100"; in the code torchvision's, of ImageNet [code] | a ResNet and an AlexNet trained on Tiny-ImageNet; ResNet-20 and -56 trained on CIFAR10 by others; the paper's by one command, *not run here* |
# | images | CIFAR10, turned | the same; for our two networks compressed (JPEG), and lossless beside |
# | frozen network | training mode [code] | eval mode; training mode beside |
# | seeds | not said in its text | three of the probe, one network of each kind |
# | probe | the last two layers, 1e-3, 10 epochs; two linear layers with nothing between them [code] | one linear layer, 1e-3, 10 epochs |
# | optimiser | SGD with momentum, 4 images a step [code] | Adam, 64 images a step |
# | test | the training set [code] | the test set; the training set beside |
# | equizero | least confidence [code] | greatest; the published beside, and two other proxies |
# | settings | a head learned through each method | that, and a head that is there before |
# | equizero and equitune | equizero below | so with a head learned on foreign features; else above |
# | $\lambda$ and equitune | $\lambda$ ahead on both | ahead on the ResNet, not on the AlexNet |
#
# Rows marked [code] were read from the authors' published code. The paper's networks and
# sizes:
#
# ```text
# equinb run cnn-cifar100 --preset paper --device cuda      # both networks
# equinb run cnn --preset paper --seeds 0-2 --device cuda   # and torchvision's
# ```
#
# ## Pitfalls
#
# - **One setting is not the method.** Say what the features and the head have seen before
#   saying that a method fails.
# - **Test on test images.** The more a method can remember, the more a training set
#   flatters it.
# - **Eval mode for a frozen network**, or the answer is one of the batch.
# - **Try the plain baseline.** A classifier of orientation needs no labels of classes,
#   and reads every head that was there better than $\lambda$.
# - **Know what a network was trained on.** Its validation images must not be among it, or
#   it looks surer and better there than it is.
# - **Average logits**, or try both: averaging probabilities can cost many points.
#
# ## Recap
#
# - Figures 5b and 11b: on foreign features equizero is below equitune by a few points;
#   $\lambda$ is ahead of equitune on the ResNet and not on the AlexNet.
# - The published sign puts equizero near the plain probe; batch statistics lower all; the
#   training set flatters $\lambda$.
# - With a head that is there equizero is ahead of equitune on four networks of four, and
#   on two that know the task even when the head is learned through it.
# - The net gain on labelled validation images tells which rules are ahead of equitune on
#   test images; among proxies go by regret, not by rank agreement.
# - So the claim on equizero holds in the paper's setting and not beyond it; a proxy is
#   there, and a classifier of orientation is better than any.
#
# ## Exercises
#
# :::{exercise} Where is the weight?
# :label: ex-cifar-weight
#
# Where does $\lambda$ put its weight: learned along with a head, and for a head that is
# there? And how many views does it use?
# :::
#
# :::{solution-start} ex-cifar-weight
# :class: dropdown
# :::

# %%
weighed = rows[(rows["mode"] == "eval") & rows["views"].notna()]
biggest = weighed["images"].isna() | (weighed["images"] == 10_000)
weighed = weighed[biggest & (weighed["rule"] == "lambda-equitune")]
columns = ["views", *(f"weight {g}" for g in range(4))]
weighed = weighed.groupby(["model", "setting"])[columns].mean()
weighed.round(2)

# %% tags=["hide-cell"]
assert (weighed["weight 0"] > 0.5).all()
assert (weighed["weight 0"] > 3 * weighed[columns[2:]].max(axis=1)).all()
assert weighed["views"].between(1.2, 3).all()
second = weighed[columns[2:]].idxmax(axis=1)
assert (second == "weight 2").all()

# %% [markdown]
# On the upright view, in both settings, and on about two views in effect. (On digits,
# along with a head, it had no preference that lasted.) Of the wrong views the half turn
# has most: a photograph upside down is more like one than a photograph on its side.
#
# :::{solution-end}
# :::
#
# :::{exercise} Sure and wrong
# :label: ex-cifar-calibration
#
# Are the heads of this page calibrated, upright and turned?
# :::
#
# :::{solution-start} ex-cifar-calibration
# :class: dropdown
# :::

# %%
heads = pd.concat([there, theirs])
errors = heads[heads["ece"].notna()].groupby(["model", "rule"])["ece"].mean()
errors = errors.unstack("rule")
errors.round(3)

# %% tags=["hide-cell"]
assert (errors["pretrained, upright"] < 0.05).all()
assert (errors["pretrained"] > 0.25).all()
assert (errors["pretrained"] > 6 * errors["pretrained, upright"]).all()

# %% [markdown]
# Upright ours are, nearly. (So are the public ones, but on images that they were trained
# on, which says nothing.) Turned they are sure and wrong, all four. That a proxy by
# sureness is nevertheless worth something says that they are *less* sure of wrong views
# than of right ones.
#
# :::{solution-end}
# :::
#
# :::{exercise} A lower temperature
# :label: ex-cifar-temperature
#
# $\lambda$ averages about two views. Is it better if it is made to choose?
# :::
#
# :::{solution-start} ex-cifar-temperature
# :class: dropdown
# :::

# %%
warm = full[full.index.str.contains("temperature")]
warm.round(1)

# %% tags=["hide-cell"]
ours = warm.filter(like="tiny")
assert (ours.iloc[-1] > ours.iloc[0] + 0.5).all()  # as learned, and coldest
assert (warm.max() - warm.min() < 2).all()

# %% [markdown]
# Not on our networks, where it was better as it had been learned; on the public ones it
# hardly matters. A mean of two good views is worth more than the better of them.
#
# :::{solution-end}
# :::
#
# ## What next
#
# Text instead of images, and a choice with something to choose by: fairness in generated
# sentences, [](51_fair_text.ipynb).
