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
# # Tables 2, 8 and 9: which choice decides
#
# ## Goals
#
# After this page you can
#
# - **read** Table 2 beside the paper, and Tables 8 and 9, from stored rows;
# - **separate** the choices that hide in the words "equitune a language model", and say
#   what each is worth;
# - **explain** a difference to the paper by an experiment;
# - **check** that training on many pairs at once changes no conclusion;
# - **find** the errors: by what a command holds, and by its length.
#
# {bdg-secondary}`CPU`
# {bdg-secondary}`paper: section 5.1.3, Tab. 2, 8 and 9`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import numpy as np
import pandas as pd
import torch

from equinb import lab
from equinb.apps import scan

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots

plots.use_style()
torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## Eighteen models
#
# > "All the recurrent models (RNN, LSTM, GRU) and their equivariant counterparts contain
# > a single hidden layer of 64 units. [...] Results are over three seeds."
# > {cite:p}`basu2023efficient`
#
# In plain words: three kinds of network, two tasks, three seeds. Ours were trained from
# nothing on two CPU cores, many pairs a step, and judged ten times on the way.

# %%
training, made = lab.load_result("scan-pretraining-small")
print(made)

# %% mystnb={"figure": {"name": "fig-scan-training", "caption": "Accuracy on the validation set over the course of training, one line a model, for three kinds of cell; 18 models."}, "image": {"alt": "LSTMs and GRUs rise to nearly one, with dips on the way; RNNs rise more slowly and stay a little below."}}
seen = training[training["set"] == "validation"]
for at, cell in enumerate(scan.CELLS):
    lines = seen[seen["cell"] == cell].groupby(["task", "seed"])
    for _, line in lines:
        colour = f"C{at}"
        plt.plot(line["pairs"] / 1e3, line["accuracy"], color=colour, lw=1)
    plt.plot([], [], color=colour, label=cell)
plt.gca().set(xlabel="thousand pairs", ylabel="accuracy", ylim=(0, 1.02))
_ = plt.legend()
last = seen[seen["pairs"] == seen["pairs"].max()].groupby("cell")["accuracy"]
assert last.min()["RNN"] < last.min()[["LSTM", "GRU"]].min()

# %%
kept = training[training["set"] != "validation"]
kept = kept.pivot_table("accuracy", ["task", "cell"], "set", "min")
(100 * kept).round(1)

# %% tags=["hide-cell"]
assert (kept["validation, shipped"].drop("RNN", level="cell") > 0.99).all()

# %% [markdown]
# These are the worst of three seeds each, in percent, measured on the weights as they
# ship: LSTMs and GRUs are above 99 on validation, RNNs are not.
#
# ## Table 2, beside the paper
#
# > "We find that equizero outperforms other methods using non-equivariant pretrained
# > models." {cite:p}`basu2023efficient`
#
# In plain words: here are the rows of the paper, and ours, under the published reading of
# each method and under its definition ({eq}`eq-scan-equizero` and
# {eq}`eq-scan-next-word`). Each is a mean over three seeds, with their standard
# deviation, in percent.

# %%
rows, made = lab.load_result("scan-paper")
print(made)


# %%
def summed(cell, recipe="batched", groups=("Verb", "Direction")):
    mine = rows[(rows["cell"] == cell) & (rows["recipe"] == recipe)]
    mine = mine[mine["group"].isin(groups)]
    by = mine.groupby(["rule", "task", "set"], sort=False)["accuracy"]
    return 100 * by.agg(["mean", "std"])


def shown(table):
    text = table.map("{:.1f}".format)
    spread = " (" + text["std"] + ")"
    return text["mean"] + spread.where(table["std"].notna(), "")


# %%
paper = lab.paper_values("table2")
paper["rule"] = paper["method"].map(
    {
        "LSTM": "pretrained",
        "EquiLSTM": "equitune",
        "EquizeroLSTM": "equizero",
    }
)
paper["set"] = paper["metric"].map(
    {"val_acc": "validation", "test_acc": "test"}
)
paper = paper.set_index(["rule", "transform", "set"])[["value", "std"]]
paper = paper.set_axis(["mean", "std"], axis=1).rename_axis(
    ["rule", "task", "set"]
)


# %%
def as_published(table):
    rules = {rule: f"{rule}, published" for rule in ("equitune", "equizero")}
    names = {published: rule for rule, published in rules.items()}
    return table.drop(index=list(rules), level="rule").rename(index=names)


def beside(cell="LSTM", recipe="batched"):
    ours = summed(cell, recipe)
    columns = {"as published": as_published(ours), "as defined": ours}
    if cell == "LSTM":
        columns = {"paper": paper, **columns}
    parts = {name: shown(part) for name, part in columns.items()}
    return pd.DataFrame(parts).loc[["pretrained", "equitune", "equizero"]]


table2 = beside()
table2.xs("test", level="set")

# %%
table2.xs("validation", level="set")

# %% [markdown]
# The first table is the test set, the second the validation set. How far is each reading
# from the paper? In standard deviations of the difference of two such numbers, the
# paper's and ours (a deviation below 0.1 counts as 0.1):


# %%
def distance(ours):
    spread = np.hypot(paper["std"], ours["std"]).clip(lower=0.1)
    return ((ours["mean"] - paper["mean"]) / spread).reindex(paper.index)


readings = {
    "as published": as_published(summed("LSTM")),
    "as defined": summed("LSTM"),
}
far = pd.DataFrame({name: distance(ours) for name, ours in readings.items()})
far.unstack("set").round(1)

# %% tags=["hide-cell"]
assert (far.xs("test", level="set").abs() < 2).all(axis=None)
beyond = far[(far.abs() > 2).any(axis=1)].index
assert set(beyond) == {("pretrained", "add_jump", "validation")}
assert (far["as published"].drop("pretrained", level="rule").abs() < 2).all()

# %% [markdown]
# Every test accuracy of the paper lies within two such deviations of ours, under both
# readings. (For equitune as defined that says little: its accuracy varies much from seed
# to seed.) One number of twelve does not: the validation accuracy of the LSTM by itself
# on *add jump*, where ours is nearly perfect. The control below takes that up.
#
# Validation is no test of a method here: on it equizero does no better than the model by
# itself.
#
# So Table 2 stands: equizero is far ahead of equitune. And the paper's equizero lies just
# below what the grammar and the group allow:

# %%
reach = {}
for task in scan.TASKS:
    x = scan.tensors(scan.load_split(task).test)[0]
    by = scan.symmetry(scan.SYMMETRY[task])
    reach[task] = scan.reachable(task, by, x).double().mean()
    value = paper.loc[("equizero", task, "test"), "mean"]
    print(f"{task:12} paper {value}, within reach {100 * reach[task]:.1f}")
    assert 0 < 100 * reach[task] - value < 3

# %% [markdown]
# But a distance in deviations hides how *wide* some of these are. On *add jump* the
# published reading of equizero moves by many points between our seeds, its definition
# by less than two. Why?
#
# ## Which choice decides
#
# Between equation (2) and a table of accuracies lie choices that the paper's main part
# does not name. The published code makes one of each kind; here they are varied, for the
# LSTMs on the test sets, three seeds each.

# %%
for name, rule in scan.RULES.items():
    print(f"{name}: {rule.what}")
for name, what in scan.BOUNDS.items():
    print(f"({name}): {what}")

# %%
choices = summed("LSTM").xs("test", level="set")
choices["mean"].unstack("task").round(1)  # percent

# %% mystnb={"figure": {"name": "fig-scan-choices", "caption": "Accuracy on the test sets under every reading, LSTMs. A small mark is one seed, a large one the mean of three. Dashed: the share of the test that the group can reach."}, "image": {"alt": "On both tasks equizero by words or by likelihood lies close to the dashed ceiling, all three seeds together. The published score lies there on around right and is spread out on add jump. All readings of equitune, and equizero word by word, lie far to the left."}}
readings = [rule for rule in scan.RULES if rule != "pretrained"]
tests = rows[(rows["cell"] == "LSTM") & (rows["recipe"] == "batched")]
tests = tests[tests["set"] == "test"]
titles = {task: task.replace("_", " ") for task in scan.TASKS}
for task, ax in plots.panels(titles, height=6.2):
    by = scan.symmetry(scan.SYMMETRY[task])
    mine = tests[(tests["task"] == task) & (tests["group"] == by.name)]
    table = mine.pivot(index="seed", columns="rule", values="accuracy")
    for place, name in enumerate(readings[::-1]):
        style = plots.METHOD_STYLE[name.split(",")[0]]
        ax.plot(table[name], [place] * 3, ls="", ms=4, alpha=0.5, **style)
        ax.plot(table[name].mean(), place, ms=9, **style)
    ax.axvline(reach[task], color="0.5", ls="--", lw=1)
    ax.set_yticks(range(len(readings)), readings[::-1], fontsize=9)
    ax.set(xlim=(0, 1))

# %% tags=["hide-cell"]
mean, std = choices["mean"].unstack("task"), choices["std"].unstack("task")
equitunes = mean.loc[[n for n in readings if n.startswith("equitune")]]
sentence = ["equizero", "equizero, likelihood"]
assert (equitunes.max() < mean.loc[sentence].min() - 20).all()
assert (mean.loc["equizero, word by word"] < mean.loc["equizero"] - 40).all()
assert mean.loc["equizero, published", "add_jump"] < 70
assert std.loc["equizero, published", "add_jump"] > 10
assert std.loc["equizero", "add_jump"] < 1
assert mean.loc["equizero, published", "around_right"] > 83
assert (mean.loc[sentence] > mean.loc["any view"] - 2).all(axis=None)

# %% [markdown]
# - **Choosing or averaging.** Every reading of equitune stays far below the two clean
#   readings of equizero, on both tasks.
# - **A choice for the sentence, or for each word.** Chosen anew for every word, equizero
#   is as poor as equitune: all views must go on from a word that is wrong.
# - **What the score is a mean of.** Over words, or as a likelihood, equizero comes within
#   two points of *any view* on both tasks. Over 50 slots it does so on *around right*;
#   on *add jump* it depends on the seed.
#
# Equitune has two choices of its own, and each combination was measured: one joint
# distribution or independent branches, the mean of probabilities or that of their
# logarithms.

# %%
parts = {
    ("joint", "p"): "equitune",
    ("joint", "log p"): "equitune, log-probabilities",
    ("place by place", "p"): "equitune, place by place",
    ("place by place", "log p"): "equitune, published",
}
four = pd.DataFrame({key: mean.loc[rule] for key, rule in parts.items()})
four.round(1)

# %% tags=["hide-cell"]
jump, around = four.loc["add_jump"], four.loc["around_right"]
assert (jump["joint"] - jump["place by place"]).abs().max() < 4
assert (jump.xs("p", level=1) > jump.xs("log p", level=1) + 18).all()
assert (around["place by place"] > around["joint"] + 30).all()
assert (around.xs("p", level=1) < around.xs("log p", level=1) + 2).all()

# %% [markdown]
# In percent again. Joint decoding, the sounder definition, gains nothing: it is about equal
# on *add jump* and far behind on *around right*. The mean of probabilities is the better
# one on *add jump*, joint or not; on *around right* it is not. None of the four is near
# equizero.
#
# ### A score that follows the longer answer
#
# The published score is a mean over 50 slots. A slot in which nothing is said counts one
# eighth, the greatest probability of no idea; a slot in which a word is said counts at
# least as much, however doubtful the word. So of two answers the longer one starts ahead.
# Look at every third test command, if the swapped view answers it rightly, and ask which
# view the score picks.
# The last columns take the mean of the same branches over the words that were said.


# %%
def lengths(branches):
    return (branches.p.sum(-1) > 0).sum(-1)


def picks(task, seed, step=3):
    model, by = scan.load_model(task, "LSTM", seed), scan.SYMMETRY[task]
    test = scan.every(scan.load_sets(task, seed).test, step)
    branches = scan.speak(model, test.commands, scan.symmetry(by))
    slots = scan.published_equizero(branches)
    words, _ = scan.equizero(model, branches)
    known = scan.exact_match(branches.aligned[1], test.actions)
    own, swapped = lengths(branches)
    table = {
        "longer": own > swapped,
        "slots": scan.exact_match(slots, test.actions),
        "words": scan.exact_match(words, test.actions),
    }
    return pd.DataFrame(table)[known.numpy()]


# %%
def summary(table):
    parts = {"longer": table["longer"], "not": ~table["longer"]}
    found = {"n": len(table), "longer": table["longer"].mean()}
    for name, part in parts.items():
        for score in ("slots", "words"):
            found[f"{score}, {name}"] = table[score][part].mean()
    return found


tasks = [(task, seed) for task in scan.TASKS for seed in scan.SEEDS]
found = pd.DataFrame({key: summary(picks(*key)) for key in tasks}).T
found.astype({"n": int}).round(3)

# %% tags=["hide-cell"]
assert (found["slots, not"] > 0.9).all()
assert found["longer"].max() > 0.3
assert found["slots, longer"].max() < 0.5
assert found["words, longer"].min() > 0.8
assert (found.loc["around_right", "longer"] == 0).all()

# %% [markdown]
# A row is a model: the number of commands, the share whose own (wrong) answer is longer,
# and the shares that each score gets right, for these and for the others. If the wrong
# answer is not longer, the published score finds the right view nearly always; if it is,
# seldom or never. The mean over words of the *same* answers finds most in either case, so
# the empty slots are the cause. How often the wrong answer is longer differs between
# seeds, and so does the published accuracy on *add jump*. On *around right* it is never
# longer, and the score does no harm.
#
# ## One pair a step, or many
#
# > "LSTMs were trained for 200K iterations." {cite:p}`basu2023efficient`
#
# In plain words: the published code shows the model one pair at a time. Ours sees many at
# a time. Does it change the table? As a control, LSTMs were trained by the published
# recipe as a whole, one a task. These are the two:

# %%
print(scan.PUBLISHED, scan.BATCHED, sep="\n")

# %%
alone, made = lab.load_result("scan-pretraining-paper")
print(made)

# %%
names = {"one by one": alone, "batched": training[training["cell"] == "LSTM"]}
best = {
    name: part[part["set"] == "validation, shipped"]
    .groupby("task")["accuracy"]
    .agg(["min", "max"])
    for name, part in names.items()
}
(100 * pd.concat(best, axis=1)).round(1)

# %% tags=["hide-cell"]
for task in scan.TASKS:
    theirs = paper.loc[("pretrained", task, "validation"), "mean"] / 100
    assert best["one by one"]["max"][task] < theirs
    assert theirs < best["batched"]["min"][task]

# %% [markdown]
# Validation accuracy in percent, the least and the greatest over seeds. The recipe moves it,
# and the paper's values lie between the two. Ours sees more pairs, with larger steps at
# first and smaller ones at last, and gets further; which of these it is we did not ask.
# That is the one number of Table 2 that is not within two deviations. And the methods?

# %%
results = [lab.load_result(name) for name in ("scan-paper", "scan-small")]
rows = pd.concat([result.rows for result in results])
control = beside("LSTM", "published").xs("test", level="set")
control["as defined, batched"] = beside()["as defined"].xs("test", level="set")
control

# %% tags=["hide-cell"]
mean = summed("LSTM", "published")["mean"].xs("test", level="set")
mean = mean.unstack("task")
assert (mean.loc["any view"] - mean.loc["equizero"] < 3).all()
assert (mean.loc["equizero"] > mean.loc["equitune"] + 20).all()
assert (mean.loc["equizero"] > mean.loc["equitune, published"] + 50).all()
assert mean.loc["equizero, published", "add_jump"] < 70

# %% [markdown]
# Test accuracy in percent. One seed a task is little, but nothing turns around: equizero is close to
# *any view*, equitune far below, and the published score loses several points on *add
# jump* here too. So batches are not needed for that loss.
#
# ## Tables 8 and 9
#
# The paper's values for GRUs and RNNs stand in an appendix that was not available to us;
# these are ours alone.

# %%
beside("GRU").xs("test", level="set")

# %%
beside("RNN").xs("test", level="set")

# %% [markdown]
# GRUs first, then RNNs; test sets, in percent. And on the validation sets, as defined:

# %%
both = {cell: beside(cell)["as defined"] for cell in ("GRU", "RNN")}
pd.DataFrame(both).xs("validation", level="set")

# %% tags=["hide-cell"]
for cell in ("GRU", "RNN"):
    mean = summed(cell)["mean"].xs("test", level="set").unstack("task")
    assert (mean.loc["equizero"] > mean.loc["equitune"] + 40).all()
    assert (mean.loc["equizero"] > 70).all()
    gap = mean.loc["any view"] - mean.loc["equizero"]
    assert gap.between(0, 2.5).all()

# %% [markdown]
# The picture is the same for all cells: equizero comes within a few points of what any
# choice could reach, and is far ahead of equitune. The paper says that it observed
# "similar results for RNNs and GRUs" {cite:p}`basu2023efficient`; so do we.
#
# ## Larger groups
#
# The group of the published code has two elements. Gordon et al. {cite:p}`gordon2020permutation`
# let all four verbs move. Under the cycle of four, every test command of *add jump* has
# a view without a jump (see [the ceiling](21_compositional_generalisation.ipynb)).

# %%
jump = rows[(rows["task"] == "add_jump") & (rows["set"] == "test")]
jump = jump[(jump["cell"] == "LSTM") & (jump["recipe"] == "batched")]
by = jump.groupby(["rule", "group"], sort=False)["accuracy"]
larger = shown(100 * by.agg(["mean", "std"])).unstack("group")
larger = larger.dropna()
larger

# %% tags=["hide-cell"]
mean = 100 * by.mean().unstack("group")
assert mean.loc["equizero", "Verbs"] > 97
assert mean.loc["equitune", "Verbs"] > mean.loc["equitune", "Verb"] + 40
nothing = (mean["Verb x Direction"] - mean["Verb"]).abs()
assert nothing.max() < 5

# %% [markdown]
# In percent. With four verbs equizero solves *add jump*, and equitune gains most. But is it a
# majority that outvotes the jump? Count the views that hold one:

# %%
x = scan.tensors(scan.load_split("add_jump").test)[0]
views = scan.symmetry("Verbs").commands.orbit(x)
jump_id = scan.COMMANDS.ids["jump"]
holding = (views == jump_id).any(-1).sum(0)
print(pd.Series(holding.numpy()).value_counts(normalize=True).round(3))

# %% [markdown]
# In most commands two views of four hold a jump: no majority. But they hold it in different
# halves. At each place only one of four views meets a jump that it does not know:

# %%
most = (views == jump_id).sum(0).max()
print(f"at any place, at most {most} of {len(views)} views have a jump")
assert most == 1

# %% [markdown]
# Adding the swap of directions brings next to nothing, since a view with the other
# direction has the same *jump* in it. What counts is not the size of a group but whom it
# reaches. And under the published score a larger group is no sure gain.
# By seed:

# %%
slots = jump[jump["rule"] == "equizero, published"]
slots = slots.pivot(index="seed", columns="group", values="accuracy")
chance = jump[(jump["rule"] == "random view") & (jump["group"] == "Verbs")]
print((100 * slots).round(1))
print(f"a random view of four: {100 * chance['accuracy'].mean():.1f}")
assert (slots["Verbs"] < chance["accuracy"].mean()).sum() == 1

# %% [markdown]
# ## Where the errors are
#
# What do the commands hold that go wrong? Here for one LSTM and every fourth test command
# of *add jump*.

# %%
model, verb = scan.load_model("add_jump"), scan.symmetry("Verb")
test = scan.every(scan.load_sets("add_jump", seed=0).test, 4)
methods = ["pretrained", "equitune", "equizero"]
judged = scan.judge(model, test, verb, methods)


# %%
def kind(command):
    clause = next(c for c in command.split(" and ") if "jump" in c)
    clause = next(c for c in clause.split(" after ") if "jump" in c)
    ways = [way for way in ("opposite", "around") if way in clause]
    turns = ["turn" for side in ("left", "right") if side in clause]
    return " ".join(["jump", *(ways or turns)])


commands = scan.COMMANDS.decode(test.commands)
judged["how"] = [kind(command) for command in commands]
judged["with run"] = ["run" in command for command in commands]
by = judged.groupby(["with run", "how"])[methods].mean()
(100 * by).round(1)

# %% mystnb={"figure": {"name": "fig-scan-length", "caption": "Accuracy by the number of actions that a command asks for, for test commands of add jump within reach of the group; one LSTM."}, "image": {"alt": "Equizero stays near one at every length. Equitune falls from most of the short commands to few of the long ones. The pretrained model stays near zero."}}
judged["length"] = (test.actions != scan.ACTIONS.eos).sum(1).numpy()
near = judged[~judged["with run"]]
groups = near.groupby(pd.cut(near["length"], range(0, 49, 6)), observed=True)
for method in methods:
    style = plots.METHOD_STYLE[method]
    middle, share = groups["length"].mean(), groups[method].mean()
    plt.plot(middle, share, label=method, **style)
plt.gca().set(
    xlabel="actions asked for", ylabel="accuracy", ylim=(-0.03, 1.03)
)
_ = plt.legend()

within, beyond = by.loc[False], by.loc[True]
assert within["equizero"].min() > 0.95 > 0.1 > beyond["equizero"].max()
assert (beyond["equitune"] > beyond["equizero"]).all()
few, many = groups["equitune"].mean().iloc[[0, -1]]
assert few > many + 0.4

# %% [markdown]
# The table is in percent. What equizero gets wrong are nearly all commands that hold *run*
# as well, whatever is asked of the jump: those beyond reach. There equitune is right at
# times, and the better method. Within reach it falls with length, from most of the short
# commands to few of the long ones; equizero does not.
#
# Whether the halves are joined by *and* or *after* makes no difference:

# %%
judged["joined by"] = [
    next((w for w in ("and", "after") if w in c.split()), "-")
    for c in commands
]
near = judged[~judged["with run"]]
joined = 100 * near.groupby("joined by")[methods].mean()
assert (joined.loc["and"] - joined.loc["after"]).abs().max() < 3
joined.round(1)

# %% [markdown]
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | models | RNN, GRU, LSTM, three seeds | the same |
# | training | 200k pairs, Adam, 1e-4; one pair a step [code] | 300k pairs, 64 a step, a learning rate that starts higher and falls to zero; as a control the published recipe |
# | validation | a fifth of the training set chooses the best of ten states [code] | the same |
# | equitune, equizero | one reading each [code] | that reading, the definition, and what lies between |
# | Tab. 2 | LSTM | LSTM, beside the paper |
# | Tab. 8 and 9 | values not available to us | GRU and RNN |
# | finding | "equizero outperforms other methods" | it does, for all cells; by how much depends on the reading, and its limit is the reach of the group |
#
# Rows marked [code] were read from the authors' published code.
#
# ## Pitfalls
#
# - **A padded score is a score of length.** Divide by the words that were said.
# - **A validation set of the training kind rewards the model's own answer.** A method looks
#   well there if it changes nothing.
# - **Three seeds are few** where a choice depends on what a model says when it is wrong.
# - **Report the ceiling.** Without it, a property of the group reads like a property of
#   the method.
#
# ## Recap
#
# - Stored rows give Table 2 beside the paper, and Tables 8 and 9.
# - The choices are the average, the score, the level at which one chooses, and the group.
# - Where the published score fails was found by asking when it picks rightly: when the
#   wrong answer is not the longer one.
# - Training by the published recipe, one pair a step, moves the validation accuracy and
#   turns no order of the methods around.
# - The errors that equizero leaves are the commands that hold both swapped words.
#
# ## Exercises
#
# :::{exercise} A score that follows the shorter answer
# :label: ex-shorter
#
# The likelihood of a whole sentence is a sum over its words, so a short answer has less
# to lose. Does that do harm here? Ask as above: when does it pick rightly?
# :::
#
# :::{solution-start} ex-shorter
# :class: dropdown
# :::

# %%
few = scan.every(scan.load_sets("add_jump", seed=0).test, 6)
branches = scan.speak(model, few.commands, verb)
known = scan.exact_match(branches.aligned[1], few.actions)
own, swapped = lengths(branches)
for name, loss in {"sum": scan.surprise, "mean": scan.certainty}.items():
    words, _ = scan.equizero(model, branches, loss)
    right = scan.exact_match(words, few.actions)
    for label, part in {
        "shorter": own < swapped,
        "not": own >= swapped,
    }.items():
        share = right[known & part].double().mean()
        print(f"{name}, own answer {label}: {share:.1%}")
        assert share > 0.97

# %% [markdown]
# It does next to none, for this model: the sum and the mean over words get the same shares
# right. Only the mean over slots, in which a word can gain up to seven eighths over an
# empty slot, follows the length.
#
# :::{solution-end}
# :::
#
# :::{exercise} Another partner
# :label: ex-another-partner
#
# Swap *jump* with *walk* in place of *run*. What is the ceiling now, and does
# equizero reach it with the same model?
# :::
#
# :::{solution-start} ex-another-partner
# :class: dropdown
# :::

# %%
other = scan.cycle("Other", ("jump", "JUMP"), ("walk", "WALK"))
reach = scan.reachable("add_jump", other, few.commands).double().mean()
share = scan.judge(model, few, other, ["equizero"])["equizero"].mean()
print(f"within reach {reach:.1%}, equizero {share:.1%}")
assert 0.9 * reach < share < 1.05 * reach

# %% [markdown]
# The ceiling is the same by symmetry, up to the sample, and equizero is near it again:
# nothing is special about *run*.
#
# :::{solution-end}
# :::
#
# :::{exercise} Is the lead certain?
# :label: ex-lead
#
# Three seeds are few. For the LSTMs, give an interval for the lead of equizero over a
# random view and over equitune, paired by seed.
# :::
#
# :::{solution-start} ex-lead
# :class: dropdown
# :::

# %%
for task in scan.TASKS:
    mine = tests[(tests["task"] == task)]
    mine = mine[mine["group"] == scan.SYMMETRY[task]]
    table = mine.pivot(index="seed", columns="rule", values="accuracy")
    others = ["random view", "equitune"]
    pairs = [("equizero", other) for other in others]
    gain = lab.paired_gains(100 * table, pairs)
    print(task, gain.round(1).to_string(), sep="\n")
    assert (gain["low"] > 0).all()

# %% [markdown]
# As far as training seeds go, yes: both intervals (0.95, Student's $t$, in percentage points)
# are far from zero. They say nothing about other data or other networks.
#
# :::{solution-end}
# :::
#
# ## What next
#
# Without training, equizero leads on both tasks. Weights that are learned instead of a
# choice: [](23_learned_weights_for_sentences.ipynb). What finetuning does to both:
# [](24_finetuning_on_scan.ipynb); the
# [theory of learning through an argmin](05_learning_through_an_argmin.ipynb) says what
# to expect.
