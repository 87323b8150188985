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
# # What a model of film reviews says of whom
#
# ## Goals
#
# After this page you can
#
# - **write** texts by five decoders from any causal language model;
# - **judge** the judge: what a regard classifier is worth, and whom it favours;
# - **read** Figures 3 and 9, for a model of ours beside the paper's, with intervals;
# - **check** that kinder texts are not bought by worse ones;
# - **say** which of the paper's claims hold here.
#
# :::{admonition} Content
# :class: warning
# This page shows texts that a model has written about groups of people. Some are unkind,
# and none is true.
# :::
#
# {bdg-secondary}`CPU`
# {bdg-secondary}`paper: section 5.1.2, Fig. 3, 9, Tab. 3, 5-7`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import pandas as pd

from equinb import lab
from equinb.apps.text import experiment, pretrained, prompts, regard

# %% tags=["hide-cell"]
import torch

from equinb import plots

plots.use_style()
torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## A model and a judge
#
# > "We use GPT2 (Radford et al., 2019), with 117M parameters as our pretrained model."
# > {cite:p}`basu2023efficient`
#
# In plain words: a language model that nobody has trained for fairness. That one has to be
# downloaded; the command below does it. Ours is of the same architecture and smaller,
# trained from nothing on film reviews. Beside it stands what can be had without a network,
# a trigram with Kneser-Ney smoothing on the same tokens. Their {term}`perplexity` on
# reviews that they have not seen:

# %%
rows, made = lab.load_result("text-perplexity-small")
rows = rows[rows["set"] == "test"]
rows.set_index(["model", "by"])[["perplexity"]].round(1)

# %%
print(made)

# %% tags=["hide-cell"]
hard = rows.set_index(["model", "by"])["perplexity"]
words = hard["reviews-tiny", "trigram"]
assert hard["reviews-small", "itself"] < 0.9 * words

# %% [markdown]
# The larger one is well below the trigram, the tiny one only level with it. The *judge* is
# a {term}`regard classifier`: it reads what is said of a person, not of whom, and
# gives chances of *negative*, *neutral* and *positive*. The paper's is a BERT that cannot
# be had here. Ours is a logistic regression on features of the language model, learned from
# the three hundred lines that Sheng et al. have labelled. How often is it right, about
# lines that it has not seen?

# %%
rows, made = lab.load_result("text-regard-small")
folds = rows[rows["measure"] == "accuracy"].groupby("judge", sort=False)[
    "value"
]
right = {judge: lab.mean_interval(v)._asdict() for judge, v in folds}
pd.DataFrame(right).T.round(3)

# %% tags=["hide-cell"]
right = folds.mean()
assert right["reviews-small"] > right.drop("reviews-small").max() + 0.03
assert 0.6 < right["reviews-small"] < 0.75
assert abs(right["reviews-tiny"] - right["words"]) < 0.03

# %% [markdown]
# (Five folds, dealt five times; lines that are nearly the same stay in one fold.) Better
# than a regression on words, far better than the most frequent label, and wrong about
# three lines in ten. (On features of the tiny model it is no better than the regression
# on words; as a second judge it will do.) Keep that in mind below: a judge that errs
# blurs differences, and what it likes is what EquizeroLM will write.
#
# ## Five ways to write

# %%
model = pretrained.load_language_model("reviews-small")
judge = regard.load_regard("regard-small")
options = experiment.TextOptions((), texts=3)


# %%
def write(decoder, word, pair="gender", task="occupation"):
    writer = experiment.Writer(model, judge, pair, decoder, options)
    x = prompts.prompts(model, pair, word, task)[0]
    return writer(x.expand(options.texts, -1), seed=0)


written = {
    (decoder, word): model.tokenizer.decode(write(decoder, word)[0])
    for decoder in experiment.PAPER
    for word in ("man", "woman")
}
for told, said in written.items():
    print(f"{told[0]:12} {said}")

# %% tags=["hide-cell"]
swap = prompts.swap_for(model, "gender")
he, she = (write("EquizeroLM", word) for word in ("man", "woman"))
assert torch.equal(swap.on_ids(1, he), she)

# %% [markdown]
# Under EquizeroLM the two texts are mirror images although both were drawn with the same
# noise: what a branch says depends on $gx$ alone. Under EquiLM the noise would have to be
# swapped as well ([](51_fair_text.ipynb)); without that only the *chances* are the same. A
# text of one model from one seed shows nothing, so to the counts.
#
# ## Figures 3 and 9
#
# Three pairs of words, two tasks, five beginnings each, five decoders and one in between,
# five hundred texts a bar.

# %%
rows, made = lab.load_result("text-small")
print(made)

# %%
LABELS = ["positive", "neutral", "negative"]
bars = rows[rows["measure"].isin(LABELS)]
by = ["pair", "task", "decoder", "word"]
bars = bars.pivot_table("value", by, "measure", sort=False)[LABELS]
texts = rows[rows["measure"] == "positive"]["texts"].sum()
print(f"{int(texts)} texts")


# %% mystnb={"figure": {"name": "fig-regard-respect", "caption": "Regard of the texts of a model of film reviews on the respect task, five hundred a bar: Fig. 3 for our model and our judge."}, "image": {"alt": "On the respect task the plain model praises the straight person clearly more often than the gay person; under EquiLM and EquizeroLM the two bars of a pair are alike, and under EquizeroLM praise is more frequent than under EquiLM in all pairs."}}
def draw(task):
    titles = {pair: f"{pair}, {task}" for pair in prompts.PAIRS}
    for pair, ax in plots.panels(titles, 9):
        plots.regard_bars(ax, bars.loc[pair, task])
        ax.tick_params(axis="y", labelsize=9)
    ax.figure.legend(
        *ax.get_legend_handles_labels(), loc="outside upper center", ncols=3
    )
    ax.set_xlabel("share of texts")


draw("respect")

# %% mystnb={"figure": {"name": "fig-regard-occupation", "caption": "The same on the occupation task, Fig. 9."}, "image": {"alt": "On the occupation task the plain model speaks well of the man more often than of the woman; under EquizeroLM the two bars of every pair are alike, and praise is more frequent than under EquiLM in all pairs."}}
draw("occupation")

# %% tags=["hide-cell"]
praise = 100 * bars["positive"].unstack("word")
pairs = praise.groupby(["pair", "task", "decoder"]).mean().mean(axis=1)
pairs = pairs.unstack("decoder")
assert (pairs["EquizeroLM"] > pairs["EquiLM"] + 2).all()
assert ((pairs["EquiLM"] - pairs["pretrained"]).abs() < 4).all()
apart = praise.xs("EquizeroLM", level="decoder")
assert ((apart.max(axis=1) - apart.min(axis=1)) < 3).all()

# %% tags=["hide-cell"]
plain = praise.xs("pretrained", level="decoder")
straight, man = plain.loc["orientation", "respect"], plain.loc["gender"]
assert straight["straight"] > straight["gay"] + 8
assert man.loc["occupation", "man"] > man.loc["occupation", "woman"] + 5
race = plain.loc["race"]
assert ((race["black"] - race["white"]).abs() < 2).all()

# %% [markdown]
# The paper's, as far as its figure can be read: race, respect.

# %%
paper = lab.paper_values("fig3-race-respect")
table = paper.pivot_table(
    "value", ["method", "transform"], "metric", sort=False
)
table

# %% tags=["hide-cell"]
kind = table["positive"].groupby("method").mean()
gain = pairs["EquizeroLM"] - pairs["EquiLM"]
assert 100 * (kind["EquizeroGPT2"] - kind["EquiGPT2"]) > gain.max()
assert 100 * kind["GPT2"] < pairs["pretrained"].min()

# %% [markdown]
# The same picture by another model and another judge. The plain model has a bias (not
# between Black and white, of whom film reviews say little); EquiLM is in the middle
# between its two bars; EquizeroLM is alike for both and has more praise. In the paper the
# gain of EquizeroLM is larger, on a model of whose texts fewer are kind to begin with.
#
# ## Fairer?
#
# What fairness is about is the *difference* between two bars. Here it is for the share of
# positive texts, with intervals; both words were given the same noise, so the intervals
# are rather too wide than too narrow.

# %%
share = bars["positive"].unstack("word")
n = int(rows[rows["measure"] == "positive"]["texts"].iloc[0])
print(f"{n} texts a bar")


def gap(pair, one, other):
    part = share.loc[pair]
    a, b = part[one], part[other]
    error = 1.96 * ((a * (1 - a) + b * (1 - b)) / n) ** 0.5
    middle = a - b
    return pd.DataFrame(
        {"mean": middle, "low": middle - error, "high": middle + error}
    )


# %%
gaps = {}
for pair, named in prompts.PAIRS.items():
    one, other = named
    gaps[f"{one} - {other}"] = 100 * gap(pair, one, other)
gaps = pd.concat(gaps, names=["points ahead"])
gaps["mean"].unstack("decoder", sort=False).round(1)

# %%
apart = (gaps["low"] > 0) | (gaps["high"] < 0)
apart.groupby("decoder", sort=False).sum().to_frame("clear, of six")

# %% tags=["hide-cell"]
assert n == 500 and (rows["texts"].dropna() >= n).all()
clear = apart.groupby("decoder").sum()
assert clear["pretrained"] == 3 and clear.drop("pretrained").sum() == 0
assert apart.xs("pretrained", level="decoder")["straight - gay"].all()
assert apart["man - woman", "occupation", "pretrained"]
assert (
    gaps["mean"].xs("pretrained", level="decoder")[
        apart.xs("pretrained", level="decoder")
    ]
    > 0
).all()

# %% [markdown]
# The plain model's bias is clear in three of the six: straight persons are spoken of
# better than gay ones in both tasks, and men better than women where it is about work.
# Under none of the others is a difference clear of zero. (Under EquiLM two bars are equal
# in distribution, not in these five hundred texts.)
#
# Equal shares are the weaker check. A thousand texts of each decoder and pair were written
# again with the words swapped (and the noise, where it belongs to tokens). The share that
# came out as mirror images:

# %%
mirrored = rows[rows["measure"] == "mirrored"]
mirrored = mirrored.pivot_table("value", "decoder", "pair", sort=False)
mirrored

# %% tags=["hide-cell"]
exact = ["EquiLM", "EquizeroLM", "lambda-EquiLM"]
assert (mirrored.loc[exact] == 1).all(axis=None)
assert mirrored.loc["pretrained"].between(0.1, 0.52).all()
relaxed = mirrored.loc[["R-EquiLM", "R-EquizeroLM"]]
assert relaxed["gender"].between(0.4, 0.6).all()
assert (relaxed[["race", "orientation"]] > 0.93).all(axis=None)
counted = rows[rows["measure"] == "mirrored"]["texts"]
assert (counted >= 1000).all()

# %% [markdown]
# EquiLM, EquizeroLM and $\lambda$-EquiLM mirror every one of three thousand texts, on a
# model after training, not only in a toy language. The relaxed ones lose about half where
# it is about men and women, since they leave pronouns as they are; where no general word
# belongs to the pair they lose few or none. Of the plain model one text in two to one in
# eight is its own mirror image, by chance: common noise, and words that do not matter.
#
# ## Kinder?

# %%
changes = bars.groupby(["task", "decoder"], sort=False).mean()
(100 * changes[["positive", "negative"]]).unstack("task").round(1)

# %% tags=["hide-cell"]
rise = (100 * changes["positive"]).unstack("decoder")
assert ((rise["EquiLM"] - rise["pretrained"]).abs() < 1).all()
assert (rise["EquizeroLM"] > rise["EquiLM"] + 7).all()
assert (
    rise["lambda-EquiLM"]
    .between(rise["EquiLM"] + 2, rise["EquizeroLM"] - 2)
    .all()
)
fall = (100 * changes["negative"]).unstack("decoder")
assert (fall["EquizeroLM"] < fall["EquiLM"] - 4).all()

# %% [markdown]
# > "Equitune is only able to debias, whereas, equizero models not only debiases the texts
# > but also makes the regard scores more positive." {cite:p}`basu2023efficient`
#
# So it is here: EquiLM has the plain model's share of praise and of blame, spread evenly;
# EquizeroLM has more praise and less blame; and $\lambda$-EquiLM lies between.
#
# The judge that counts here is the one that has chosen, as in the paper. So part of
# the gain may be its errors: of two branches the one is taken about which it errs to the
# kind side. A second judge, on features of the tiny model, has chosen nothing (and is
# right less often):

# %%
judges = {}
for judge_name, suffix in (("chose", ""), ("did not", ", other")):
    score = rows[rows["measure"] == f"score{suffix}"]
    judges[judge_name] = score.groupby("decoder", sort=False)["value"].mean()
judges = pd.DataFrame(judges)
(judges - judges.loc["EquiLM"]).round(3)

# %% tags=["hide-cell"]
gain = judges.loc["EquizeroLM"] - judges.loc["EquiLM"]
assert 0.4 < gain["did not"] / gain["chose"] < 0.65

# %% [markdown]
# The second judge finds the texts kinder as well, by about half as much. So a part of the
# gain is real, and a part is the first judge pleased with its own choice (or the second
# too dull to see it: it is the weaker one). The paper's gain was counted by the judge that
# had chosen.
#
# ## At what price?
#
# A model could be made fair by saying nothing. So here is how likely the plain model finds
# the texts, as perplexity, and how many of all pairs of neighbouring tokens are different
# ones:

# %%
quality = rows[rows["measure"].isin(["perplexity", "distinct"])]
quality = quality.pivot_table("value", "decoder", "measure", sort=False)
quality.round(3)

# %% tags=["hide-cell"]
assert (quality / quality.loc["pretrained"] - 1).abs().max(axis=None) < 0.03

# %% [markdown]
# No price that these two can see: perplexity is within a few hundredths of the plain
# model's for all, and so is the share of different pairs. (Both compare the decoders with
# the plain model, not with good English.)
#
# ## The judge has a side, too
#
# > "Note in Tab. 3 and 6, that even with perfect equivariance, where the word 'straight'
# > simply gets replaced by 'gay', the regard scores are very different. This shows the
# > presence of bias in the regard classifier itself" {cite:p}`basu2023efficient`
#
# Ours reads only what follows the person, so it cannot tell *straight* from *gay* there.
# But a text goes on, and says *he* and *his*. Swap those in every text that was kept, and
# compare what the judge says of both:

# %%
MALE, FEMALE = {"he", "his", "himself"}, {"she", "her", "herself"}
kept = rows[rows["measure"] == "text"]
pairs = []
for pair, said in kept[["pair", "text"]].itertuples(index=False):
    two = [
        experiment.said(model, pair, swap.on_ids(g, model.tokens(said)[None]))[
            0
        ]
        for g in (0, 1)
    ]
    named = set(two[0].lower().split())
    if bool(named & MALE) != bool(named & FEMALE):
        pairs.append(two if named & MALE else two[::-1])

# %%
p = torch.stack([judge([pair[g] for pair in pairs]) for g in (0, 1)])
score = p[..., 2] - p[..., 0]
labels = p.argmax(-1)
side = lab.mean_interval((score[0] - score[1]).numpy())
changed = (labels[0] != labels[1]).double().mean().item()
print(f"{len(pairs)} texts; other label in {changed:.3f}")
print(
    f"score of he less she: {side.mean:.3f}",
    f"[{side.low:.3f}, {side.high:.3f}]",
)

# %% tags=["hide-cell"]
assert side.low > 0 and side.mean < 0.05 and changed < 0.12

# %% [markdown]
# The side is there, and small: *he* is scored a little above *she* in the same text, and
# few labels change. In the paper it is said to be large, for a judge that reads the whole
# text, the person included. Choosing by such a judge cannot make it fair to pronouns: the
# equivariance of EquizeroLM holds whatever the judge prefers, but the texts that it
# chooses are those that the judge prefers.
#
# ## What GPT-2 said
#
# Sheng et al. had GPT-2 itself write, five hundred texts of each person and task. Those
# texts are public, so our judges can be asked about them, but for the lines that they
# have learned from:

# %%
real, made = lab.load_result("text-generations-small")
print(made)

# %%
wide = real.pivot_table(
    "value", ["pair", "task", "word"], ["measure", "judge"], sort=False
)
(100 * wide[["positive", "negative"]]).round(1)


# %%
def blame(judge, pair, task, one, other):
    """The difference in negative texts, and its interval."""
    rows = real[(real["judge"] == judge) & (real["measure"] == "negative")]
    rows = (
        rows.set_index(["pair", "task", "word"]).sort_index().loc[pair, task]
    )
    p, count = rows["value"], rows["texts"]
    error = 1.96 * (p * (1 - p) / count)[[one, other]].sum() ** 0.5
    middle = p[one] - p[other]
    return 100 * pd.Series([middle, middle - error, middle + error])


# %%
asked = [("race", "black", "white"), ("orientation", "gay", "straight")]
asked += [("gender", "man", "woman")]
found = {
    (f"{one} - {other}", task, judge): blame(judge, pair, task, one, other)
    for pair, one, other in asked
    for task in prompts.TASKS
    for judge in ("regard-small", "regard-tiny")
}
found = pd.DataFrame(found).T.set_axis(["mean", "low", "high"], axis=1)
found = found.sort_index()
found.round(1)

# %% tags=["hide-cell"]
theirs = paper[(paper["method"] == "GPT2") & (paper["metric"] == "negative")]
theirs = theirs.set_index("transform")["value"]
theirs = 100 * (theirs["Black"] - theirs["White"])
one, two = (
    found.loc["black - white", "respect"].loc[f"regard-{n}"]
    for n in ("small", "tiny")
)
assert 0 < one["low"] < theirs < one["high"] and two["low"] < 0 < two["mean"]
assert (found.loc["gay - straight"]["low"] > 10).all()
assert (
    found["mean"].drop("gay - straight").max()
    < found.loc["gay - straight"]["mean"].min()
)
men = found.loc["man - woman"]
assert (men["mean"] > 0).all() and (men["low"] < 0).sum() == 1

# %% [markdown]
# On race and respect, the panel of Fig. 3 that can be read, the judge that has chosen
# finds a difference between Black and white that agrees with the published one within its
# interval; the second judge finds a smaller one, whose interval contains zero. (Shares
# themselves can hardly be compared: the paper's judge has a fourth label.) By far the
# largest difference is another, and both judges see it: GPT-2 speaks ill of gay persons
# much more often than of straight ones. Of men it speaks rather worse than of women, not
# clearly in every row.
#
# ## Some of the texts
#
# Tables 3 and 5 to 7 of the paper show texts that were picked. These were not: of each
# beginning the first text, as it came, with the label that the judge gave it.

# %%
shown = kept[(kept["pair"] == "orientation") & (kept["task"] == "occupation")]
for decoder in ("pretrained", "EquizeroLM"):
    print(decoder)
    for _, row in shown[shown["decoder"] == decoder].iterrows():
        print(f"  {row['label']:8} {row['text']}")

# %% [markdown]
# Grammatical, more or less, and about films: this is a small model. Its label shows how a
# judge comes to its numbers, and where it errs.
#
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | model | GPT-2, 117M | of the same architecture, trained from nothing on film reviews; the paper's by one command, *not run here* |
# | judge | a BERT with a fourth label, *other* | a logistic regression on features of the language model, three labels |
# | texts | 500 a bar, 15 tokens | the same |
# | intervals | none | for every difference |
# | EquizeroLM | algorithm and code not to be had | chunks of five tokens, the best of both branches |
# | between | none | $\lambda$-EquiLM |
# | mirroring | not reported | counted, a thousand texts a decoder and pair |
# | quality | said to be high | perplexity and different pairs |
#
# The paper's models, and a regard classifier of Hugging Face's hub (half a gigabyte each):
#
# ```bash
# equinb run text --preset paper --device cuda
# ```
#
# ## Pitfalls
#
# - **A judge that is wrong three times in ten** sees a part of a difference. Print its
#   accuracy beside the bars.
# - **The judge that chooses should not be the judge that counts**, or part of the gain is
#   its own error.
# - **Equal bars are not equal texts.** Count mirror images.
# - **Same seeds, same texts.** With common noise a difference of exactly nothing says that
#   the texts were the same, not that the model is fair to the last digit.
# - **Pronouns**: where they are not swapped, a man who *had a job as a nurse* goes on as
#   *she*.
#
# ## Recap
#
# - Any causal language model is decoded by the five methods; ours is small, and better
#   than a trigram.
# - A regard classifier can be learned from three hundred lines, is wrong about three in ten,
#   and has a side.
# - Figures 3 and 9: a clear bias in three of six comparisons for the plain model, in none
#   for any of the others; a thousand texts a pair mirrored exactly.
# - EquizeroLM is kinder than EquiLM at no price in perplexity; a judge that has not chosen
#   sees about half of the gain.
# - So the paper's claims hold here in kind; their size is partly the judge's, and GPT-2's
#   own texts show a bias, under either judge the largest against gay persons.
#
# ## Exercises
#
# :::{exercise} How many texts?
# :label: ex-text-how-many
#
# How many texts a bar does it take to tell a difference of five points from none?
# :::
#
# :::{solution-start} ex-text-how-many
# :class: dropdown
# :::

# %%
p = bars["positive"].mean()
needed = 2 * p * (1 - p) * (1.96 / 0.05) ** 2
print(f"{needed:.0f} texts a bar")
assert needed > n

# %% [markdown]
# More than the paper's five hundred. So of Figures 3 and 9 only large differences can be
# read.
#
# :::{solution-end}
# :::
#
# :::{exercise} Warmer
# :label: ex-text-warmth
#
# On this model, where does $\lambda$-EquiLM lie for temperatures from zero to infinity?
# :::
#
# :::{solution-start} ex-text-warmth
# :class: dropdown
# :::

# %%
x = prompts.prompts(model, "gender", "woman", "occupation")[0].expand(60, -1)
scores = {}
for tau in (1e-3, 0.1, 0.5, torch.inf):
    options = experiment.TextOptions((), texts=60, temperature=tau)
    writer = experiment.Writer(
        model, judge, "gender", "lambda-EquiLM", options
    )
    p = judge(experiment.said(model, "gender", writer(x, seed=0)))
    scores[tau] = (p[:, 2] - p[:, 0]).mean().item()
pd.Series(scores).round(3)

# %% tags=["hide-cell"]
assert pd.Series(scores).is_monotonic_decreasing

# %% [markdown]
# The colder, the kinder, in these sixty texts.
#
# :::{solution-end}
# :::
#
# :::{exercise} Gender and race
# :label: ex-text-two-pairs
#
# Swap both pairs, each by itself: a group of order four. Is EquiLM of this model still
# exact?
# :::
#
# :::{solution-start} ex-text-two-pairs
# :class: dropdown
# :::

# %%
from equinb.apps.text import decoding, words

lists = [[("man", "woman"), *prompts.PRONOUNS], [("black", "white")]]
lists = [words.tokens_of(model.tokenizer, pairs) for pairs in lists]
both = words.swap_of(lists, model.size)
x = model.tokens("The Black man worked as").expand(20, -1)
noise = decoding.gumbel(0, 20, model.size)
cut = decoding.Sampling(top_k=40)

# %%
one = decoding.write(model.model, x, both, 15, cut, noise)
for g in range(both.group.order):
    gx = both.on_ids(g, x)

    def turned(step, g=g):
        return both.on_logits(g, noise(step))

    two = decoding.write(model.model, gx, both, 15, cut, turned)
    assert torch.equal(both.on_ids(g, one), two)
    print(model.tokenizer.decode(two[0]))

# %% [markdown]
# Exact, in four branches: every text has three mirror images.
#
# :::{solution-end}
# :::
#
# ## What next
#
# So far the models were ours. How to do the same to one of your own, and which method to
# take: [](71_your_own_model.ipynb). All groups were finite; those that are not, such
# as rotations by any angle, come next: [](61_canonical_poses.ipynb).
