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
# # A language model that takes no sides
#
# ## Goals
#
# After this page you can
#
# - **state** fairness as equivariance under a swap of words, and build the action of such a
#   group on any tokenizer, of order two and three;
# - **decode** by EquiLM, EquizeroLM and what lies between, and check on a thousand texts
#   that they mirror exactly;
# - **measure** a bias against a known one, before and after;
# - **tell** which words a group should swap, and what a relaxed model gives up;
# - **say** what equal chances of praise do not mean.
#
# {bdg-secondary}`CPU`
# {bdg-secondary}`paper: sections 4.1 and 5.1.2, Fig. 3, 9`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import pandas as pd
import torch

from equinb.apps.text import decoding, toy, words

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots

plots.use_style()
torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## A bias that is known
#
# > "A language model (LM) is given these contexts to generate sentences. These generated
# > sentences are then classified as 'positive', 'negative', 'neutral', or 'other' by a
# > *regard classifier*" {cite:p}`basu2023efficient`
#
# In plain words: let a model go on from *The man worked as* and from *The woman worked as*,
# a few hundred times each, and count how often it speaks well of each. On real text two
# things are unknown: what the model's bias truly is, and how often the classifier errs. So
# we begin with a language in which both are known. Its sentences say one thing of one
# person, in praise, in blame or neither, with chances that we have planted.

# %%
planted = pd.DataFrame(toy.PLANTED).T
planted

# %% [markdown]
# A GPT-2 of two layers has learned it from a million sentences. What it says of whom can be
# read off its next token:

# %%
model = toy.load_toy()
learned = {person: toy.chances(model, person) for person in toy.PLANTED}
learned = pd.DataFrame(learned).T
learned.round(3)

# %% tags=["hide-cell"]
assert (learned - planted).abs().max(axis=None) < 0.02

# %% [markdown]
# It has learned the bias with the language, as models do.
#
# ## A group of words
#
# What should not matter is which of two words was said. The group of order two swaps *man*
# and *woman*, and with them the pronouns that go with them; on a text it acts token by
# token, and on what a model says of the next token by permuting the vocabulary.

# %%
pairs = [("man", "woman"), ("he", "she")]
tokens = words.tokens_of(model.tokenizer, pairs)
swap = words.swap_of([tokens], model.size)
x = toy.toy_prompts("man", 1)
for branch in swap.on_ids.orbit(x):
    print(model.tokenizer.decode(branch[0]))

# %% [markdown]
# A fair model is {term}`equivariant`: if it says of a man that he is a hero
# with some chance, it says of a woman that she is one with the same chance. That is
# equitune for the next token, eq. (1), and is called {term}`EquiLM` {cite:p}`basu2023equituning`:
# ask the model about both branches, undo the swap in what it says of the second, take the
# mean.

# %%
logits = [model.model(branch).logits for branch in swap.on_ids.orbit(x)]
p = torch.stack([logit[:, -1].softmax(-1) for logit in logits])
branches = swap.on_logits.undo(p)[:, 0]
chances = {
    "man": branches[0],
    "woman": branches[1],
    "EquiLM": branches.mean(0),
}
sayings = ["hero", "clerk", "thief"]
ids = model.tokenizer.convert_tokens_to_ids(sayings)
said = {who: row[ids].tolist() for who, row in chances.items()}
pd.DataFrame(said, index=sayings).round(3)

# %% [markdown]
# What EquiLM says lies between what is said of a man and of a woman. A text is written in the same
# way, a token at a time: one is drawn from the mean and appended to both branches, as each
# puts it.
#
# ## Mirrored to the letter
#
# Equal chances could hide unequal texts. A sharper check: draw by adding Gumbel noise to
# the log-probabilities and taking the greatest. The noise belongs to tokens, so it can be
# swapped too, and then equivariance is exact: of $gx$ with the noise $gn$ the decoder
# makes $g$ of what it makes of $x$ with $n$, token for token.

# %%
all_tokens = decoding.Sampling(top_k=None)
n = 1000
noise = decoding.gumbel(0, n, model.size)
he = toy.toy_prompts("man", n)
she = swap.on_ids(1, he)


# %%
def moved(noise, by, g):
    return lambda step: by.on_logits(g, noise(step))


def mirrored(by, noise, relaxed=False):
    """How many texts of gx are g of those of x, for the swap."""
    rest, swapped = (by, 5, all_tokens), moved(noise, swap, 1)
    one = decoding.write(model.model, he, *rest, noise, relaxed)
    two = decoding.write(model.model, she, *rest, swapped, relaxed)
    return (swap.on_ids(1, one) == two).all(1).double().mean().item()


# %%
nothing = words.swap_of([], model.size)
exact = {"plain": mirrored(nothing, noise), "EquiLM": mirrored(swap, noise)}
print(exact)

# %% tags=["hide-cell"]
assert exact["EquiLM"] == 1
assert exact["plain"] < 0.9

# %% [markdown]
# All of a thousand texts are mirrored; of the plain model two in three, by chance: common
# noise, and chances that are not so different.
#
# Must the noise be swapped? Here the words that are swapped stand in the prompt, or are as
# good as certain. The question arises where one of them is *drawn*. So let a group of order
# three move three of the sayings along with three persons, only to test; there a swap and
# its inverse differ as well.

# %%
people = ["northerner", "islander", "southerner"]
lists = words.tokens_of(model.tokenizer, [people, sayings])
strict = words.swap_of([lists], model.size)
north = toy.toy_prompts("northerner", n)
one = decoding.write(model.model, north, strict, 5, all_tokens, noise)

# %%
found = {}
for g in (1, 2):
    gx, turned = strict.on_ids(g, north), moved(noise, strict, g)
    for name, drawn in (("swapped", turned), ("as it was", noise)):
        two = decoding.write(model.model, gx, strict, 5, all_tokens, drawn)
        same = (strict.on_ids(g, one) == two).all(1)
        found[f"noise {name}", g] = same.double().mean().item()
pd.Series(found).unstack().rename_axis(columns="element").round(3)

# %% tags=["hide-cell"]
assert found["noise swapped", 1] == found["noise swapped", 2] == 1
assert max(found["noise as it was", g] for g in (1, 2)) < 0.8

# %% [markdown]
# With the noise as it was, a third of the texts are no longer mirrored. A seed fixes an
# order of tokens, and the swap changes the order: the draw of a swapped word has to be
# swapped with it.
#
# {term}`EquizeroLM` is the other method of the paper:
#
# > "we use equizero using the regard scores as the proxy loss function, so as to maximize
# > positivity in the generated texts, while guaranteeing group-theoretic fairness."
# > {cite:p}`basu2023efficient`
#
# Its algorithm is in an appendix whose text is not available. So this is our reading:
# each branch writes a few tokens for itself; a {term}`proxy loss` scores the texts; the
# chunk of the best branch is carried back and appended to all. Here {term}`regard` is exact: one
# for praise, minus one for blame.
#
# The noise is *not* swapped now. All branches share it, so that a branch's text depends on
# $gx$ alone: man and woman have the same two branches, in another order, and the best of
# them is the same. Where branches tie, that whose token ids come first is taken, a rule
# that does not ask where the orbit begins.


# %%
def loss(ids):
    return -toy.toy_regard(ids)


def write_best(prompts, swap_by, seed, chunk=5, temperature=0.0):
    noise = decoding.gumbel(seed, len(prompts), model.size)
    return decoding.write_best(
        *(model.model, prompts, swap_by, 5, all_tokens, noise, loss),
        *(chunk, seed, temperature),
    )


# %%
for chunk in (2, 5):
    one = write_best(he, swap, 1, chunk)
    same = (swap.on_ids(1, one) == write_best(she, swap, 1, chunk)).all(1)
    print(f"chunks of {chunk}: {same.double().mean().item():.3f} mirrored")
    assert same.all()

# %% [markdown]
# ## The bias, measured
#
# Three decoders, two thousand texts for each person, each with noise of its own. If a
# measurement is worth anything, the plain model must show what was planted.


# %%
def texts(decoder, person, swap_by, seed, n=2000):
    prompts = toy.toy_prompts(person, n)
    if decoder == "EquizeroLM":
        return write_best(prompts, swap_by, seed)
    noise = decoding.gumbel(seed, n, model.size)
    by = nothing if decoder == "pretrained" else swap_by
    return decoding.write(model.model, prompts, by, 5, all_tokens, noise)


# %%
def measure(people, swap_by):
    rows = []
    for decoder in ("pretrained", "EquiLM", "EquizeroLM"):
        for person in people:
            ids = texts(decoder, person, swap_by, seed=len(rows))
            regard = toy.toy_regard(ids)
            hits = [(regard == v).double() for v in (-1, 0, 1)]
            rows.append((decoder, person, *hits))
    columns = ["decoder", "person", *toy.OUTCOMES]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:2])


drawn = measure(["man", "woman"], swap)
shares = drawn.map(lambda hits: hits.mean().item())
shares.round(3)

# %% mystnb={"figure": {"name": "fig-toy-regard", "caption": "What is said of a man and of a woman in the toy language, in two thousand texts each. Crosses: the planted chances of praise."}, "image": {"alt": "Bars of praise, neutral and blame for man and woman under three decoders. The plain model praises the man more than twice as often as the woman; under EquiLM both bars are alike; under EquizeroLM both are alike and praise is more frequent."}}
figure, ax = plt.subplots(figsize=(5.2, 2.6))
plots.regard_bars(ax, shares[["praise", "neutral", "blame"]])
ax.plot(planted["praise"][["man", "woman"]], [0, 1], "kx")
ax.set_xlabel("share of texts")
_ = figure.legend(loc="outside upper center", ncols=3)

# %% [markdown]
# And with intervals, what is of interest: the *difference* in praise between the two.


# %%
def bias(drawn, one, other):
    rows = {}
    for decoder, hits in drawn["praise"].groupby("decoder", sort=False):
        a, b = (hits[decoder, person] for person in (one, other))
        error = (a.var() / len(a) + b.var() / len(b)).sqrt().item()
        middle = (a.mean() - b.mean()).item()
        rows[decoder] = (middle, middle - 1.96 * error, middle + 1.96 * error)
    return pd.DataFrame(rows, index=["mean", "low", "high"]).T


gap = bias(drawn, "man", "woman")
gap.round(3)

# %% tags=["hide-cell"]
truth = planted["praise"]["man"] - planted["praise"]["woman"]
assert gap["low"]["pretrained"] < truth < gap["high"]["pretrained"]
assert gap["low"]["EquiLM"] < 0 < gap["high"]["EquiLM"]
assert gap["low"]["EquizeroLM"] < 0 < gap["high"]["EquizeroLM"]
praise = shares["praise"].groupby("decoder").min()
assert praise["EquizeroLM"] > shares["praise"]["EquiLM"].max() + 0.05
ill = shares["blame"]
assert ill["EquiLM", "man"] > ill["pretrained", "man"] + 0.05
better = shares["praise"]["EquizeroLM"]
assert (better - planted["praise"]["man"]).abs().max() < 0.05

# %% [markdown]
# (Normal intervals of two thousand independent texts each, of one model.) The planted
# difference lies in the plain model's interval, and zero in those of EquiLM and
# EquizeroLM.
#
# > "In equitune, if negativity is present in some demographics, it gets redistributed in
# > the other demographics, which is undesirable." {cite:p}`basu2023efficient`
#
# So it is: EquiLM meets in the middle, and says more ill of the man than the plain model
# does. EquizeroLM takes the better of two branches, and speaks of both about as the plain
# model speaks of the man.
#
# ## Between the two
#
# Equizero is $\lambda$-equitune with all weight on one branch, equitune with the same on
# all. In text, too, there is what lies between. Let $\ell$ be the proxy loss of a branch's
# text, and
#
# $$\lambda(gx) \propto \exp(-\ell(gx) / \tau).$$
#
# A branch is *drawn* with these chances, and its chunk is appended. At $\tau = 0$ that is
# EquizeroLM. With even chances, $\tau = \infty$, and chunks of one token it is EquiLM: to
# draw a branch, then its token, is to draw from the mean. Basu et al. do not have this
# one; we call it $\lambda$-EquiLM. It weighs texts where eq. (4) weighs features, and is
# a relative of it.

# %%
warmth = [0, 0.25, 0.5, 1, 2, 4, torch.inf]
praised, same = [], []
for tau in warmth:
    one = write_best(he, swap, 0, temperature=tau)
    two = write_best(she, swap, 0, temperature=tau)
    same.append(torch.equal(swap.on_ids(1, one), two))
    praised.append((toy.toy_regard(one) == 1).double().mean().item())
between = pd.DataFrame({"temperature": warmth, "praise": praised})
between.round(3)

# %% tags=["hide-cell"]
error = 3 * (0.25 / n) ** 0.5
assert all(same) and between["praise"].is_monotonic_decreasing
assert abs(praised[0] - better.mean()) < error
assert abs(praised[-1] - shares["praise"]["EquiLM"].mean()) < error
assert praised[-1] + error < praised[0]

# %% [markdown]
# At either end it is what was measured before, within the error of a thousand texts; and
# at every temperature all of them are mirrored to the letter. So how kind a model is made
# is a matter of degree; that it takes no sides is not.
#
# ## Three words
#
# Nothing hangs on two. Northerner, islander and southerner are permuted by the cyclic group
# of order three.

# %%
ring = words.swap_of([words.tokens_of(model.tokenizer, [people])], model.size)
three = measure(people, ring)
means = three["praise"].map(lambda hits: hits.mean().item()).unstack("person")
means.loc[["pretrained", "EquiLM", "EquizeroLM"], people].round(3)

# %%
one = decoding.write(model.model, north, ring, 5, all_tokens, noise)
print(model.tokenizer.decode(one[0]))
for g in (1, 2):
    x, turned = ring.on_ids(g, north), moved(noise, ring, g)
    two = decoding.write(model.model, x, ring, 5, all_tokens, turned)
    assert torch.equal(ring.on_ids(g, one), two)
    print(model.tokenizer.decode(two[0]))

# %%
best = write_best(north, ring, 1)
for g in (1, 2):
    two = write_best(ring.on_ids(g, north), ring, 1)
    same = (ring.on_ids(g, best) == two).all(1)
    print(
        f"element {g}: {int(same.sum())} of {n} texts mirrored by EquizeroLM"
    )
    assert same.all()

# %% tags=["hide-cell"]
for one, other in ((0, 1), (0, 2), (1, 2)):
    gaps = bias(three, people[one], people[other])
    for fair in ("EquiLM", "EquizeroLM"):
        assert gaps["low"][fair] < 0.01 and gaps["high"][fair] > -0.01
    assert gaps["low"]["pretrained"] > 0

# %% [markdown]
# The plain model tells three kinds of persons; EquiLM gives all three about the mean of
# their planted chances, EquizeroLM about the greatest.
#
# ## Which words?
#
# The vocabulary falls into three sets: *equality* words are swapped, *general* words may be
# set aside, all others are *neutral*. In {term}`R-EquiLM`, the *relaxed* model, general words keep
# the chances that they have in the text as it is written; the others are averaged as in
# EquiLM, and scaled to what is left. (R-EquizeroLM does not swap them.) Where a word
# belongs is a choice, and it shows. Swap the persons alone, and pronouns are neutral: what
# EquiLM then says of a man it averages over *he* and *she*.

# %%
persons = words.tokens_of(model.tokenizer, pairs[:1])
pronouns = model.tokenizer.convert_tokens_to_ids(["he", "she"])
choices = {
    "EquiLM, pronouns swapped": (swap, False),
    "EquiLM, persons alone": (words.swap_of([persons], model.size), False),
    "R-EquiLM": (words.swap_of([persons], model.size, pronouns), True),
}

# %%
noise = decoding.gumbel(3, n, model.size)
found = {}
for name, (by, relaxed) in choices.items():
    ids = decoding.write(model.model, he, by, 5, all_tokens, noise, relaxed)
    found[name] = (ids == pronouns[0]).any(1).double().mean().item()
pd.Series(found).round(3).to_frame("a man is he")

# %% tags=["hide-cell"]
assert found["EquiLM, pronouns swapped"] > 0.98 and found["R-EquiLM"] > 0.98
assert 0.4 < found["EquiLM, persons alone"] < 0.6

# %% [markdown]
# Swapping pronouns repairs that and keeps the symmetry, as long as every pronoun is about
# the person. The relaxed model repairs it another way, and what it gives up depends on
# what is left to it. Here is the share of mirrored texts, persons and pronouns swapped,
# when pronouns are general, and when a word of praise is:

# %%
hero = model.tokenizer.convert_tokens_to_ids(["hero"])
for name, left in (("he, she", pronouns), ("hero", hero)):
    by = words.swap_of([persons], model.size, left)
    exact[f"R-EquiLM, {name}"] = mirrored(by, noise, relaxed=True)
pd.Series(exact).to_frame("mirrored")

# %% tags=["hide-cell"]
assert exact["R-EquiLM, he, she"] > 0.98
assert exact["R-EquiLM, hero"] < 0.95

# %% [markdown]
# In this language pronouns are mirror images by themselves, and hardly a text is lost. But
# *hero* is said of men more than of women, and a general word keeps its bias:

# %%
for who, x in (("man", he), ("woman", she)):
    ids = decoding.write(model.model, x, by, 5, all_tokens, noise, True)
    found[who] = (ids == hero[0]).any(1).double().mean().item()
    print(f"hero, of a {who}: {found[who]:.3f}")
assert found["man"] > found["woman"] + 0.05

# %% [markdown]
# ## What equal regard does not mean
#
# - It is equality of *words that were listed*. A name, a job, a neighbourhood may stand for
#   a group as well as its noun, and no swap of this list touches them.
# - It equalises what the model says, not what is true, and not what follows from it.
# - EquizeroLM is kinder because it selects; kindness is not truth.
# - A prompt without a word that is swapped is its own mirror image: there EquizeroLM is
#   mirrored in distribution only, by a draw between branches that are one text.
# - A classifier that judges texts has a bias of its own, as the paper says. Here it was
#   exact, in real text it is not.
#
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | model | GPT-2, 117M | a GPT-2 of two layers on a toy language; any causal model of Hugging Face |
# | group | two words | cyclic groups of any order, and products |
# | inverse on the output | makes no difference for two words | applied; order three needs it |
# | sampling | by seeds | Gumbel noise that belongs to tokens, so that mirroring is exact |
# | EquizeroLM | an appendix that is not available; $m = 5$ | our reading of the main text; $m = 5$ |
# | regard | a BERT classifier | exact |
# | $\lambda$-equitune | none for text | $\lambda$-EquiLM, weights from regard by a temperature |
# | code | not to be had | `decoding.write`, `decoding.write_best` |
#
# ## Pitfalls
#
# - **One seed in every branch is no equivariance.** In EquiLM noise belongs to tokens, and
#   is swapped with them; in EquizeroLM it is the same in every branch.
# - **Cut after averaging.** With top-k, the likeliest forty tokens of a branch are not
#   those of the mean.
# - **Words of several tokens cannot be swapped** token by token; `tokens_of` refuses them.
# - **His and her.** *Her* is the counterpart of *his* and of *him*: a permutation of words
#   has to choose.
# - **Report regard and mirroring.** Equal shares can hide unequal texts, and mirrored texts
#   can be equally unkind.
#
# ## Recap
#
# - A fair model is equivariant under a swap of words; the group acts on ids and permutes the
#   vocabulary, in order two and three.
# - EquiLM averages next-token distributions, EquizeroLM chooses chunks by regard, and
#   $\lambda$-EquiLM lies between; a thousand texts of each were mirrored to the letter.
# - In a language with a planted bias the plain model showed that bias, EquiLM spread it,
#   EquizeroLM gave all the better share; of a difference neither showed any.
# - Which words are swapped, left general or neutral is a choice that can be read in the
#   texts.
# - Equal chances of praise are a property of listed words under one judge, no more.
#
# ## Exercises
#
# :::{exercise} Both at once
# :label: ex-text-product
#
# Swap man and woman *and* permute the three others: a group of order six. Is the decoder
# still exact?
# :::
#
# :::{solution-start} ex-text-product
# :class: dropdown
# :::

# %%
rings = [words.tokens_of(model.tokenizer, [people]), tokens]
both = words.swap_of(rings, model.size)
noise = decoding.gumbel(5, 100, model.size)
x = torch.cat([he[:50], north[:50]])
one = decoding.write(model.model, x, both, 5, all_tokens, noise)
for g in range(both.group.order):
    gx, turned = both.on_ids(g, x), moved(noise, both, g)
    two = decoding.write(model.model, gx, both, 5, all_tokens, turned)
    assert torch.equal(both.on_ids(g, one), two)
print(both.group.name, "of order", both.group.order)

# %% [markdown]
# Yes: nothing in the argument asks what the group is. It costs six branches. (Each prompt
# has a word of one factor; for one of both it takes a richer language.)
#
# :::{solution-end}
# :::
#
# :::{exercise} More branches
# :label: ex-text-branches
#
# How does the share of praise under EquizeroLM depend on the number of branches: two against
# three?
# :::
#
# :::{solution-start} ex-text-branches
# :class: dropdown
# :::


# %%
def best_of(people):
    left = 1.0
    for person in people:
        left *= 1 - planted["praise"][person]
    return 1 - left


for who, table in ((["man", "woman"], drawn), (people, three)):
    found = table["praise"]["EquizeroLM"].map(lambda h: h.mean().item()).mean()
    most = best_of(who)
    print(f"{len(who)} branches: {found:.3f}, if independent {most:.3f}")
    assert planted["praise"][who].max() - 0.05 < found < most

# %% [markdown]
# The best of two draws would praise more if the draws were independent. They are not: all
# branches share their noise, so that a branch's text depends on $gx$ alone and mirroring is
# exact. The share of praise is about that of the person of whom most praise is said.
#
# :::{solution-end}
# :::
#
# :::{exercise} The likeliest token
# :label: ex-text-greedy
#
# Without noise, decoding takes the likeliest token. Is EquiLM still exact, and what does
# its text say of chances?
# :::
#
# :::{solution-start} ex-text-greedy
# :class: dropdown
# :::

# %%
greedy = {}
for person in ("man", "woman"):
    prompts = toy.toy_prompts(person, 2)
    for name, by in (("plain", nothing), ("EquiLM", swap)):
        ids = decoding.write(model.model, prompts, by, 5, all_tokens)
        greedy[name, person] = ids
        print(f"{name:6}", model.tokenizer.decode(ids[0]))
assert torch.equal(
    swap.on_ids(1, greedy["EquiLM", "man"]), greedy["EquiLM", "woman"]
)

# %% [markdown]
# Exact: one text for both. But of chances it says nothing: the likeliest token of a mean
# may lead by very little, and stands for all. To speak of chances, draw.
#
# :::{solution-end}
# :::
#
# ## What next
#
# Real text, and a judge that errs: tens of thousands of texts of a model of film reviews,
# [](52_regard_of_texts.ipynb).
