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
# # Finetuning on SCAN: few steps and many
#
# ## Goals
#
# After this page you can
#
# - **finetune** a sequence model through its average over a group, one step at a time;
# - **prove** that of log-probabilities the straight-through gradient does not see the
#   choice, and check it;
# - **read** Figure 10 and Tables 10 to 12, remade with one update a step for all;
# - **separate** how a model is trained from how it is read;
# - **judge** the claim about few steps and many, with intervals.
#
# {bdg-secondary}`CPU`
# {bdg-secondary}`paper: sections 3.3 and 5.1.3, Fig. 10, Tab. 10-12`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import pandas as pd
import torch

from equinb import lab
from equinb.apps import scan
from equinb.apps.scan import few_shot

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots

plots.use_style()
torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## A few steps, live
#
# > "For few-shot learning, we find in Fig. 10 in §D that equizero is competitive with
# > equitune for small iterations, but as the number of steps increase, equitune is the
# > better algorithm. This is expected since the gradients are computable for equitune, but
# > only approximated in equizero." {cite:p}`basu2023efficient`
#
# In plain words: go on training the model on its own training set, but through the
# symmetrized model. Commands that the training set lacks are views of commands that it
# has, so the model can now learn about them. The claim is about who learns faster.
#
# What is a step? Take a sentence and all views of it, average what the model gives, and
# follow the gradient of the negative log-likelihood of the right words. In half of the
# steps, by a coin, each view is told the right words so far (*teacher forcing*), else it
# goes on from words that were chosen. `SymmetrizedSeq2Seq` has the weights of a model and
# the losses of its average:

# %%
task = "around_right"
pretrained = scan.load_model(task)
by = scan.symmetry(scan.SYMMETRY[task])
sets = scan.load_sets(task, seed=0)
learned = scan.learn_importance(pretrained, scan.every(sets.train, 16), by)

# %%
start = scan.METHODS["equitune"].start(pretrained, by, learned)
x, y = sets.train.commands[:4], sets.train.actions[:4]
print(scan.COMMANDS.decode(x))
print(scan.sentence_losses(start, x, y, forced=True).detach())

# %% [markdown]
# One sentence a step, the paper's learning rate, a look at some of the test set now and
# then:

# %%
few = scan.every(sets.test, 8)
tuning = scan.Tuning(scan.LEARNING_RATE[task], steps=400)
print(tuning)
curves = {}


# %%
def follow(name, looks=(0, 50, 100, 200, 400)):
    method = scan.METHODS[name]
    model = method.start(pretrained, by, learned)
    course = curves[name] = {}

    def visit(step):
        if step in looks:
            rules = {method.reads}
            found = few_shot.read(model, few, by, learned, rules)
            course[step] = found[method.reads]

    scan.finetune(model, sets.train, 0, tuning, visit)


# %%
for name in ("equitune", "equizero", "equizero, identity"):
    follow(name)
live = pd.DataFrame(curves).rename_axis("steps")
(100 * live).round(1)

# %% [markdown]
# In percent of every eighth test command. FIXME
#
# ## What is averaged decides what is learnt
#
# > "[...] it to be slightly better to use $\mathbf{M}_G(x)$ instead of $\mathbf{M}(x)$
# > [...]" {cite:p}`basu2023efficient`
#
# In plain words: equizero's value, but the gradient of a {term}`stand-in` $S$, the mean of
# all views or the model itself; [](05_learning_through_an_argmin.ipynb) has both forms.
# There the average was of scores before a softmax. Here three things can be averaged:
# probabilities $p$, scores before the softmax (*logits*), or $\log p$ as it is, as in the
# published code. It seems a detail. It is not.
#
# :::{prf:proposition} A gradient that does not see the choice
# :label: prop-blind-gradient
#
# Let the loss be linear in what is averaged, such as $L(z) = -\sum_t z_t[y_t]$ of
# log-probabilities $z$. Then the straight-through gradient of equizero with the stand-in
# $S$ is the gradient of $L(S)$: it does not depend on which view was chosen.
# :::
#
# :::{prf:proof}
# The gradient is $L'(\mathbf{M}_G^0) \, \partial S$, with $L'$ at equizero's value. A
# linear $L$ has the same $L'$ everywhere, so this is $L'(S) \, \partial S = \partial L(S)$.
# $\blacksquare$
# :::
#
# So with $S = \mathbf{M}_G$, equizero is trained as equitune of log-probabilities is; and
# with $S = \mathbf{M}$, as the model by itself. A choice enters only where no word is told,
# in where a sentence is taken to end. With a softmax after the average $L'$ is
# $p - 1_y$, which vanishes as soon as the chosen view is right. Check it, on teacher-forced
# sentences:


# %%
def gradient(name):
    model = scan.METHODS[name].start(pretrained, by, learned).eval()
    log_p = model(x, y)
    right = log_p.gather(-1, y[..., None])[..., 0]
    before = (y == scan.ACTIONS.eos).cumsum(1) <= 1  # the first EOS counts
    return parameters_gradient(model, -(right * before).sum())


# %%
def parameters_gradient(model, loss):
    parts = [p for half in model.encoder_and_decoder for p in half]
    grads = torch.autograd.grad(loss, parts)
    return torch.cat([g.flatten() for g in grads])


# %%
x, y = sets.train.commands[:64], sets.train.actions[:64]
pairs = [("equizero", "equitune, log p"), ("equizero, p", "equitune, p")]
pairs += [("equizero, logits", "equitune")]
for one, other in pairs:
    a, b = gradient(one), gradient(other)
    print(f"{one:17} and {other:16} differ by {(a - b).norm() / b.norm():.0e}")

# %%
a, b = (gradient(name) for name in ("equizero", "equitune, log p"))
assert (a - b).norm() < 1e-4 * b.norm()
a, b = (gradient(name) for name in ("equizero, logits", "equitune"))
assert (a - b).norm() > 0.5 * b.norm()

# %% [markdown]
# The lengths of the gradients tell the rest. FIXME

# %%
names = [n for n, m in scan.METHODS.items() if m.weights]
pd.Series({n: gradient(n).norm().item() for n in names}).round(1)

# %% [markdown]
# What do they learn? Stored rows: LSTMs, three seeds, every method, 3,200 steps.

# %%
small, made = lab.load_result("scan-finetuning-small")
print(made)

# %%
paper, made = lab.load_result("scan-finetuning-paper")
print(made)


# %%
def own(rows):
    reads = rows["method"].map(lambda name: scan.METHODS[name].reads)
    return rows[(rows["rule"] == reads) & (rows["set"] == "some of test")]


lstm = paper[paper["cell"] == "LSTM"]
every_method = pd.concat([own(lstm), own(small)])

# %%
cuts = {
    "equitune": ["equitune, p", "equitune", "equitune, log p"],
    "equizero": ["equizero, p", "equizero, logits", "equizero"],
}
cuts["lambda-equitune"] = [
    f"lambda-equitune{end}" for end in (", p", ", logits", "")
]


# %%
def accuracy_at(step):
    at = every_method[every_method["steps"] == step]
    by = at.groupby(["task", "method"])["accuracy"]
    return 100 * by.mean().unstack("task")


table = {"start": accuracy_at(0), "3,200 steps": accuracy_at(3200)}
table = pd.concat(table, axis=1).swaplevel(axis=1)
order = [name for names in cuts.values() for name in names]
table.loc[order, list(scan.TASKS)].round(1)

# %% [markdown]
# FIXME
#
# ## Figure 10
