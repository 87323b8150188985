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
# # Groups and actions
#
# ## Goals
#
# After this page you can
#
# - **state** the axioms of a group, and read them off a picture of its table;
# - **build** cyclic, dihedral and symmetric groups, products and subgroups;
# - **let** a group act on images, words, states and Q-values;
# - **find** the orbit and the stabiliser of an input;
# - **check** that an action is one, and see why the order of two moves matters.
#
# {bdg-secondary}`CPU` {bdg-secondary}`paper: section 2, "Group Equivariance"`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import itertools

import numpy as np
import torch

import equinb as eq
from equinb import plots

# %% tags=["hide-cell"]
plots.use_style()

# %% [markdown]
# ## What a group is
#
# > "A **group** $(G, \cdot)$ is a set $G$ accompanied by a binary operator $\cdot$ that
# > satisfy the axioms of a group, namely i) closure [...]; ii) associativity [...];
# > iii) identity [...]; iv) inverse [...]." {cite:p}`basu2023efficient`
#
# In plain words: a {term}`group` is a set of moves. Doing one after another is again a move of
# the set, doing nothing is one, and every move can be undone.
#
# Here are the four quarter turns of a square. All that we need to know of them is which
# move two of them make together. That is a table of whole numbers.

# %%
C4 = eq.cyclic(4)
print(C4)
print(C4.table)

# %% [markdown]
# Row $g$, column $h$ holds $gh$: first $h$, then $g$. The table is all there is, so the
# axioms can be read off it.

# %%
t = C4.table
closed = (t >= 0).all() and (t < 4).all()
associative = (t[t] == np.stack([row[t] for row in t])).all()  # (gh)k, g(hk)
identity = (t[0] == range(4)).all() and (t[:, 0] == range(4)).all()
inverses = all((row == 0).any() for row in t)
print(closed, associative, identity, inverses)

# %% [markdown]
# The package checks them when a group is built, and says which one fails.

# %%
eq.check_group([[0, 1, 2], [1, 0, 2], [2, 2, 0]])

# %% [markdown]
# ## Four groups in pictures
#
# $C_4$ holds the quarter turns; $D_4$ adds the mirrors; $S_3$ holds all orders of three
# things; $C_2 \times C_2$ are two switches. In which picture does the order of two
# moves matter? Look for a table that is not symmetric about its diagonal.

# %% mystnb={"figure": {"name": "fig-cayley", "caption": "Cayley tables. A colour is an element; row g, column h has the colour of gh."}, "image": {"alt": "Four coloured tables. Those of C4 and C2 x C2 are symmetric about the diagonal, those of D4 and S3 are not."}}
C2, D4, S3 = eq.cyclic(2), eq.dihedral(4), eq.symmetric(3)
groups = [C4, D4, S3, eq.direct_product(C2, C2)]
plots.cayley_tables(*groups)
assert [G.is_abelian for G in groups] == [True, False, False, True]

# %% [markdown]
# In $D_4$, mirroring and then turning is not turning and then mirroring:

# %%
for g, h in [("r", "s"), ("s", "r")]:
    print(f"{g} after {h} is", D4.elements[D4.product(g, h)])

# %% [markdown]
# Every row of every picture holds each colour once. Why? Because $gh = gk$ can be undone
# from the left: $h = k$.

# %%
print(
    all(sorted(row) == list(range(G.order)) for G in groups for row in G.table)
)

# %% [markdown]
# A {term}`subgroup` is a set of moves that is a group by itself. Name a few moves, and
# the rest follows.

# %%
for moves in [("r^2",), ("s",), ("r^2", "s"), ("r", "s")]:
    print(D4.subgroup(*moves))

# %% [markdown]
# ## What an action is
#
# > "[...] we define a **group action** of $G$ on $\mathcal X$ as [...] i) identity:
# > $\Gamma_{\mathcal X}(e, x) = x$ [...]; ii) compatibility:
# > $\Gamma_{\mathcal X}(g, \Gamma_{\mathcal X}(h, x)) = \Gamma_{\mathcal X}(gh, x)$ [...]."
# > {cite:p}`basu2023efficient`
#
# In plain words: an {term}`action` lets each move do something to an input. Doing nothing does nothing, and
# doing two moves is doing their product. We write $gx$ for it.
#
# Here is a letter on five by five pixels, and the group $D_4$ acting on it.

# %%
F = torch.tensor([[0, 1, 1, 1, 0]] + [[0, 1, 0, 0, 0]] * 4).float()
F[2, 2] = 1


def gx(g, x):  # r^k s^m: mirror if m = 1, then k quarter turns
    k, m = g % 4, g // 4
    return torch.rot90(x.flip(-1) if m else x, k, (-2, -1))


# %% mystnb={"figure": {"name": "fig-orbit-f", "caption": "The orbit of the letter F under the symmetries of the square."}, "image": {"alt": "Eight pictures of the letter F, turned and mirrored; no two are the same."}}
views = torch.stack([gx(g, F) for g in range(8)])
plots.image_row(views, [f"${name}$" for name in D4.elements], columns=4)
assert len(views.unique(dim=0)) == 8

# %% [markdown]
# All views of an input are its {term}`orbit`. The package makes it for a whole batch at
# once; its axes are (group, batch, height, width).

# %%
square = eq.Rot90(D4)
orbit = square.orbit(F[None])
print(tuple(orbit.shape), torch.equal(orbit[:, 0], views))

# %%
eq.check_action(square, torch.rand(2, 5, 5))

# %% [markdown]
# ### The order of two moves
#
# Let a permutation act on a list. "Entry $i$ goes to place $p(i)$" and "place $i$ takes
# entry $p(i)$" look like the same thing. They are inverse to one another, and only the
# first satisfies $g(hx) = (gh)x$, where $gh$ means first $h$, then $g$. Does it matter?


# %%
def goes_to(p, x):
    return x[:, p.argsort()]


def takes_from(p, x):
    return x[:, p]


# %%
def is_action(apply, G, perms, x):
    pairs = itertools.product(range(G.order), repeat=2)
    return all(
        torch.equal(
            apply(perms[g], apply(perms[h], x)),
            apply(perms[G.product(g, h)], x),
        )
        for g, h in pairs
    )


# %%
turns = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]])
orders = torch.tensor(list(itertools.permutations(range(3))))
for apply in (goes_to, takes_from):
    for G, perms in [(C4, turns), (S3, orders)]:
        x = torch.arange(perms.shape[1])[None]
        print(f"{apply.__name__:10} {G.name}", is_action(apply, G, perms, x))

# %% [markdown]
# For $C_4$ both pass: it commutes. Only a group that does not commute shows the
# difference, and so the package's equivariance tests all include $D_4$, $S_3$ or $S_4$.
#
# ## Orbits and stabilisers
#
# Some inputs look the same from several sides. The moves that leave $x$ as it is are its
# {term}`stabiliser`, $G_x = \{g : gx = x\}$.
#
# :::{prf:theorem} Orbit and stabiliser
# :label: thm-orbit-stabiliser
#
# For a finite group, the number of different views of $x$ times the number of moves that
# leave it as it is equals the order of the group.
# :::
#
# :::{prf:proof}
# $gx = hx$ exactly if $h^{-1}g \in G_x$, that is, if $g \in h G_x$. So each view is made
# by $|G_x|$ elements, and the views share all of $G$ evenly. $\blacksquare$
# :::

# %% tags=["hide-cell"]
PIXELS = {
    "F": "01110 01000 01100 01000 01000",
    "A": "00100 01010 01110 01010 01010",
    "N": "10001 11001 10101 10011 10001",
    "H": "10001 10001 11111 10001 10001",
    "+": "00000 00100 01110 00100 00000",
}
letters = {
    name: torch.tensor(
        [[int(pixel) for pixel in row] for row in rows.split()]
    ).float()
    for name, rows in PIXELS.items()
}

# %% [markdown]
# Four letters and a plus sign. How many different views has each? Guess, then look.

# %% mystnb={"figure": {"name": "fig-letters-symmetry", "caption": "Four letters and a plus sign, with different symmetries."}, "image": {"alt": "Pixel pictures: F has no symmetry, A a mirror, N a half turn, H both, and a plus sign all of the square's."}}
plots.image_row(list(letters.values()), list(letters))

# %%
for name, x in letters.items():
    orbit = square.orbit(x[None])[:, 0]
    fixing = [g for g, v in zip(D4.elements, orbit) if torch.equal(v, x)]
    views = len(orbit.unique(dim=0))
    print(f"{name}: {views} views, left as it is by {', '.join(fixing)}")
    assert views * len(fixing) == D4.order

# %% [markdown]
# Stabilisers are where equizero meets {term}`ties <tie>`: if two moves give the same
# view, no loss can prefer one of them.
#
# ## Four actions of this book
#
# | input or output | what $g$ does | class | chapter |
# | --- | --- | --- | --- |
# | image | turns and mirrors pixels | `Rot90`, `Flip` | [CLIP](31_clip_on_turned_images.ipynb), [CNNs](41_probes_and_choices.ipynb) |
# | sentence | replaces words | `Relabel` | [SCAN](21_compositional_generalisation.ipynb), [fair text](51_fair_text.ipynb) |
# | state of a cart and pole | mirrors: changes signs | `SignedPermutation` | [deep Q-learning](11_deep_q_learning.ipynb) |
# | Q-values, logits | permutes entries | `Permutation` | [deep Q-learning](11_deep_q_learning.ipynb) |
#
# **Words.** The sentence keeps its order; words change places in the vocabulary. What
# happens to a sentence without the swapped words? (`"r"` names the element of $C_2$
# that is not the identity.)

# %%
words = ["jump", "run", "walk", "twice"]
swap = [[0, 1, 2, 3], [1, 0, 2, 3]]
verbs = eq.Relabel(C2, swap)
for sentence in (["jump", "twice"], ["walk", "twice"]):
    ids = torch.tensor([[words.index(word) for word in sentence]])
    print(sentence, "->", [words[i] for i in verbs("r", ids)[0]])

# %% [markdown]
# "walk twice" is its own mirror: its stabiliser is the whole group. The logits over the same
# vocabulary are permuted.

# %%
logits = torch.tensor([[3.0, 1.0, 0.0, 0.0]])
print(eq.Permutation(C2, swap)("r", logits))

# %% [markdown]
# **States and Q-values.** Mirror a cart with a pole: position, velocity, angle and angular
# velocity change sign, and "push left" becomes "push right".

# %%
mirror = eq.SignedPermutation(C2, None, [[1, 1, 1, 1], [-1, -1, -1, -1]])
state = torch.tensor([[0.5, 0.0, -0.1, 0.2]])
print(mirror("r", state))
print(eq.Permutation(C2, [[0, 1], [1, 0]])("r", torch.tensor([[10.0, 7.0]])))

# %% [markdown]
# **Two at once.** Turns of an image and swaps of its colours commute, so their product
# acts: eight moves of a picture with two channels.

# %%
colours = eq.Permutation(C2, [[0, 1], [1, 0]], dim=1)
both = eq.Product(eq.Rot90(C4), colours)
print(both.group)
print(eq.check_action(both, torch.rand(2, 2, 5, 5)).passed)

# %% [markdown]
# ## What equivariant means
#
# > "A model $\mathbf{M} : \mathcal X \mapsto \mathcal Y$ is **equivariant** to $G$ [...] if
# > $\mathbf{M}(gx) = g\mathbf{M}(x)$ for all $g \in G$, $x \in \mathcal X$." {cite:p}`basu2023efficient`
#
# In plain words: {term}`equivariant` says: move the input, and the output moves along. Which of these are
# equivariant to permutations of the entries, and which to a change of all signs?

# %%
x = torch.randn(100, 3)
shuffle = eq.Permutation(S3, orders)
signs = eq.SignedPermutation(C2, None, [[1, 1, 1], [-1, -1, -1]])

# %%
print(f"{'':12} {shuffle.group.name:5} signs")
functions = {"relu": torch.relu, "tanh": torch.tanh}
functions["running sum"] = lambda x: x.cumsum(-1)
functions["softmax"] = lambda x: x.softmax(-1)
for name, f in functions.items():
    reports = [eq.check_equivariance(f, a, a, x) for a in (shuffle, signs)]
    print(f"{name:12}", *[f"{report.passed!s:5}" for report in reports])

# %% [markdown]
# Relu: permutations only. Tanh: both. A running sum: signs only. Softmax: permutations
# only. A pretrained model usually passes neither test.
#
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | group | "a set $G$ accompanied by a binary operator" | names and a table, `FiniteGroup`; the axioms are checked when it is built |
# | action | a function $\Gamma_{\mathcal X}(g, x)$ | an `Action` on batches; compatibility is checked when it is built, or by `check_action` |
# | groups used | $C_2$, $C_4$, flips | these, and $C_3$, $D_4$, $S_3$, $S_4$ and products in the equivariance tests |
#
# ## Pitfalls
#
# - **Goes to, or takes from.** `perms[g][i]` is where entry `i` goes. The other
#   convention is no action, and commuting groups hide it.
# - **A quarter turn needs square images.** `Rot90` refuses others; crop or pad.
# - **Ids and logits are different spaces.** The same permutation acts on ids by
#   `Relabel`, and on logits by `Permutation`.
#
# ## Recap
#
# - Four axioms make a table a group, and `check_group` says which one fails.
# - `cyclic`, `dihedral`, `symmetric`, `direct_product` and `.subgroup` build them.
# - Images, words, states and Q-values each have their class of action.
# - Views times stabiliser is the order of the group; stabilisers make ties.
# - The wrong convention breaks $g(hx) = (gh)x$; only a group that does not commute shows
#   it.
#
# ## Exercises
#
# :::{exercise} All subgroups of the square
# :label: ex-subgroups
#
# How many subgroups has $D_4$? Find them with `D4.subgroup`.
# :::
#
# :::{solution-start} ex-subgroups
# :class: dropdown
# :::

# %%
pairs = itertools.product(D4.elements, repeat=2)
subgroups = {D4.subgroup(*pair).members for pair in pairs}
for members in sorted(subgroups, key=len):
    print([D4.elements[g] for g in members])
print(len(subgroups))

# %% [markdown]
# A proper subgroup has order 1, 2 or 4 (Lagrange), and two elements make any group of
# order at most 4; $r$ and $s$ make $D_4$.
#
# :::{solution-end}
# :::
#
# :::{exercise} Counting pictures
# :label: ex-burnside
#
# How many black-and-white pictures of two by two pixels are there, if turned and
# mirrored ones count as the same? Count the orbits, and compare with the mean number of
# pictures that a move leaves as they are.
# :::
#
# :::{solution-start} ex-burnside
# :class: dropdown
# :::

# %%
pictures = torch.tensor(list(itertools.product([0, 1], repeat=4))).view(
    -1, 2, 2
)
orbits = {
    frozenset(map(tuple, square.orbit(p[None]).flatten(1).tolist()))
    for p in pictures
}
fixed = [
    (square(g, pictures) == pictures).all(2).all(1).sum() for g in range(8)
]
print(len(orbits), sum(fixed).item() / 8)

# %% [markdown]
# The two numbers agree for every finite group (Burnside's lemma).
#
# :::{solution-end}
# :::
#
# :::{exercise} Your own action
# :label: ex-own-action
#
# Write an action of $C_3$ that rotates the three colour channels of an image, and check
# it. Then break it on purpose.
# :::
#
# :::{solution-start} ex-own-action
# :class: dropdown
# :::


# %%
class Channels(eq.Action):
    def act(self, g, x):
        return x.roll(g, dims=1)


images = torch.rand(2, 3, 4, 4)
print(eq.check_action(Channels(eq.cyclic(3)), images).passed)
print(eq.check_action(Channels(eq.cyclic(2)), images))

# %% [markdown]
# Rolling twice by one is rolling by two, not by nothing: no action of $C_2$.
#
# :::{solution-end}
# :::
#
# ## What next
#
# [](02_one_operator.ipynb) turns a model that respects no symmetry into one that does.
