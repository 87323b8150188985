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
# # Universality: what the average can approximate
#
# ## Goals
#
# After this page you can
#
# - **state** theorem 3 of the paper in two forms that hold, and say why the printed one
#   does not;
# - **prove** both in a few lines, and read off a bound on the error;
# - **measure** it: errors that fall with the width of a net, and one that does not;
# - **choose** where a model must be good: on all views, not on the inputs alone;
# - **say** what changes when the group stretches vectors, and what does not.
#
# {bdg-secondary}`CPU` {bdg-secondary}`paper: section 3.3, definition 2, theorem 3`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
from functools import partial

import matplotlib.pyplot as plt
import pandas as pd
import torch

import equinb as eq

# %% tags=["hide-cell"]
from equinb import plots

plots.use_style()
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # so small a network gains nothing from a second

# %% [markdown]
# ## Definition 2 and theorem 3
#
# A symmetry is a restriction. Does the average restrict a model to what is symmetric,
# or to less than that?
#
# > "**Definition 2** (Universal approximator). A model $\mathbf{M} : \mathcal X \mapsto \mathcal Y$
# > is a universal approximator of a continuous function
# > $f : \mathcal X \mapsto \mathcal Y$ if for any compact set $\mathcal K \subset \mathcal X$
# > and $\epsilon > 0$, there exists a choice of parameters for $\mathbf{M}$ such that
# > $\lVert f(x) - \mathbf{M}(x) \rVert \le \epsilon$ for all $x \in \mathcal K$."
# > {cite:p}`basu2023efficient`
#
# In plain words: name a region and an error, and the model has parameters that do as
# well everywhere in the region. Nets with one hidden layer are such models
# {cite:p}`cybenko1989approximation,hornik1989multilayer,leshno1993multilayer`. The
# definition says that good parameters exist. It does not say how to find them.
#
# > "**Theorem 3** (Universality). Let $f_G : \mathcal X \mapsto \mathcal Y$ be any continuous
# > function equivariant to group $G$ and let $\lambda : \mathcal X \mapsto \mathbb R^+$ be any
# > positive scalar function. And let $\mathbf{M} : \mathcal X \mapsto \mathcal Y$ be a universal
# > approximator of $\frac{f_G}{\lambda}$. [...] Then, $\mathbf{M}_G^\lambda$ is a universal
# > approximator of $f_G$." {cite:p}`basu2023efficient`
#
# In plain words: if the model can come close to $f_G / \lambda$, its average can come close to
# $f_G$. (The paper states it for groups with $\lVert g \rVert = 1$.)
#
# Put $\mathbf{M} = f_G / \lambda$ into eq. (4), exactly. Each $\lambda(gx)$ cancels, each
# $g^{-1} f_G(gx)$ is $f_G(x)$, and the normalisation is left over:
#
# $$
# \begin{aligned}
# &\frac{1}{\sum_g \lambda(gx)} \sum_g g^{-1} \lambda(gx) \, \frac{f_G(gx)}{\lambda(gx)} \\
# &\quad = \frac{|G|}{\sum_g \lambda(gx)} \, f_G(x) .
# \end{aligned}
# $$ (eq-printed-limit)
#
# That is $f_G$ only where $\sum_g \lambda(gx) = |G|$, or where $f_G$ vanishes. The
# theorem fits the *unnormalised* average, to which the paper's eq. (3) leads
# ({prf:ref}`prop-minimisers`). So there are two ways to mend it: keep eq. (4) and let
# $\mathbf{M}$ approximate $f_G$, or keep $f_G / \lambda$ and do not normalise.
#
# ## Two forms that hold
#
# Write $G\mathcal K$ for the union of all $g\mathcal K$: every view of every input in
# $\mathcal K$. Write $c = \max_g \lVert g^{-1} \rVert$ for the most that the group
# stretches a vector of $\mathcal Y$. A finite group has finitely many matrices, so $c$ is
# finite. For turns, mirrors and permutations, in the Euclidean norm, it is 1.
#
# :::{prf:theorem} Universality of eq. (4)
# :label: thm-universality
#
# Let a finite group $G$ act on $\mathcal X$ by continuous maps and on $\mathcal Y$ by
# matrices. Let $f_G$ be continuous and equivariant, and let $\lambda$ be any positive
# function, continuous or not. Then for any $\mathbf{M}$ and any compact $\mathcal K$
#
# $$
# \sup_{x \in \mathcal K} \lVert \mathbf{M}_G^\lambda(x) - f_G(x) \rVert
#   \le c \, \sup_{x \in G\mathcal K} \lVert \mathbf{M}(x) - f_G(x) \rVert .
# $$
#
# So if $\mathbf{M}$ is a {term}`universal approximator` of $f_G$, then
# $\mathbf{M}_G^\lambda$ is one as well.
# :::
#
# :::{prf:proof}
# Since $f_G(x) = g^{-1} f_G(gx)$ for each $g$, and the weights
# $w_g(x) = \lambda(gx) / \sum_h \lambda(hx)$ sum to one,
#
# $$
# \mathbf{M}_G^\lambda(x) - f_G(x)
#   = \sum_g w_g(x) \, g^{-1} \bigl( \mathbf{M}(gx) - f_G(gx) \bigr) .
# $$
#
# Each $gx$ lies in $G\mathcal K$, so the norm is at most
# $\sum_g w_g(x) \, \lVert g^{-1} \rVert \sup_{G\mathcal K} \lVert \mathbf{M} - f_G \rVert$, and a weighted
# mean of the $\lVert g^{-1} \rVert$ is at most $c$. For the second claim: each $g\mathcal K$
# is the continuous image of a compact set, so $G\mathcal K$, a union of finitely many, is
# compact. Choose the parameters for $G\mathcal K$ and $\epsilon / c$. $\blacksquare$
# :::
#
# The proof asks nothing of $\lambda$ but weights that are not negative and sum to one. They
# may jump, and they may change with $\mathbf{M}$, as they do where $\lambda$ reads its
# features. $\lambda = 1$ gives equitune.
#
# :::{prf:theorem} Universality of the unnormalised average
# :label: thm-universality-unnormalised
#
# Let $G$, $f_G$, $\mathcal K$ be as before, and let $\lambda$ be positive and *continuous*. For
# any $\mathbf{M}$, the average
# $A(x) = \frac{1}{|G|} \sum_g \lambda(gx) \, g^{-1} \mathbf{M}(gx)$ obeys
#
# $$
# \sup_{x \in \mathcal K} \lVert A(x) - f_G(x) \rVert
#   \le c \, \max_{x \in G\mathcal K} \lambda(x) \,
#       \sup_{x \in G\mathcal K} \bigl\lVert \mathbf{M}(x) - f_G(x) / \lambda(x) \bigr\rVert .
# $$
#
# So if $\mathbf{M}$ is a universal approximator of $f_G / \lambda$, then $A$ is one of $f_G$.
# :::
#
# :::{prf:proof}
# As in {eq}`eq-printed-limit`,
# $f_G(x) = \frac{1}{|G|} \sum_g \lambda(gx) \, g^{-1} \bigl( f_G(gx) / \lambda(gx) \bigr)$. Subtract
# and take norms, as before. On the compact $G\mathcal K$ the continuous $\lambda$ has a
# maximum, so the factor is finite: approximate to within $\epsilon$ divided by it. Since
# $\lambda$ is continuous and positive, $f_G / \lambda$ is continuous; definition 2 speaks of
# no other functions. $\blacksquare$
# :::
#
# ## A target, a region and a net
#
# Now numbers. Write a point of the plane as a complex number $z$; a quarter turn is
# multiplication by $i$. Take
#
# $$
# f_G(z) = z + a \, \bar z^3 \, e^{-|z|^2 / 2}, \qquad a \in \mathbb C .
# $$
#
# Both terms turn with $z$, because $\overline{iz}^{\,3} = (-i)^3 \bar z^3 = i \bar z^3$.


# %%
def rotations(n):
    t = 2 * torch.pi * torch.arange(n) / n
    return torch.stack([t.cos(), -t.sin(), t.sin(), t.cos()], -1).view(n, 2, 2)


# %%
def f(x):
    z = torch.complex(x[..., 0], x[..., 1])
    bump = (0.8 + 0.5j) * torch.exp(-(z.abs() ** 2) / 2)
    return torch.view_as_real(z + bump * z.conj() ** 3)


# %% [markdown]
# Predict: is it also equivariant to turns by 45 degrees, or to mirrors?

# %%
mirror = torch.diag(torch.tensor([1.0, -1.0]))
D4_matrices = torch.cat([rotations(4), rotations(4) @ mirror])
turn = eq.Matrix(eq.cyclic(4), rotations(4))
turn8 = eq.Matrix(eq.cyclic(8), rotations(8))
D4 = eq.Matrix(eq.dihedral(4), D4_matrices)

# %%
x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
passed = [eq.check_equivariance(f, a, a, x).passed for a in (turn, turn8, D4)]
print(dict(zip(["C4", "C8", "D4"], passed)))
assert passed == [True, False, False]

# %% [markdown]
# To $C_4$, and to no more of these. The region $\mathcal K$ is a disc off the centre. It is
# not invariant: its four views overlap, and their union is $G\mathcal K$.


# %%
def disc(radii, angles):
    r = torch.linspace(0, 1, radii).sqrt()[:, None]
    t = 2 * torch.pi * torch.arange(angles) / angles
    points = torch.stack([r * t.cos(), r * t.sin()], -1).flatten(0, 1)
    return points + torch.tensor([0.6, 0.3])


K, train = disc(100, 256), disc(31, 48)  # to test on, to fit on
GK, GK_train = turn.orbit(K), turn.orbit(train).flatten(0, 1)
print(f"test points of GK: {GK[..., 0].numel():,}, to fit: {len(GK_train):,}")

# %% mystnb={"figure": {"name": "fig-union", "caption": "The region K, an off-centre disc, and its three other views. Their union GK is what a model must know."}, "image": {"alt": "Four overlapping discs around the origin, each a quarter turn of the next. Much of the union lies outside the disc K."}}
figure, ax = plt.subplots(figsize=(3.4, 3.2))
edges = turn.orbit(disc(2, 256)[256:])
for g, edge in enumerate(edges):
    name = "K" if g == 0 else f"${turn.group.elements[g]}$K"
    ax.fill(*edge.T, alpha=0.5 if g == 0 else 0.15, color="#0072B2")
    ax.annotate(name, edge.mean(0) * 1.7, ha="center", va="center")
ax.set(aspect="equal")
outside = (GK - torch.tensor([0.6, 0.3])).norm(dim=-1) > 1
assert outside.double().mean() > 0.3

# %% [markdown]
# The model has one hidden layer. Its first weights are drawn at random and stay; the last
# ones are a least-squares fit. No training run can fail, and the seed fixes all. With
# enough random units such a net comes uniformly close to a continuous function, with high
# probability {cite:p}`rahimi2008uniform`. (The fit minimises the mean square. The greatest
# error is measured, not minimised.)


# %%
def fit(width, seed, x, *targets):
    """One net for each target; they share the random first layer."""
    random = torch.Generator().manual_seed(seed)
    W = torch.randn(2, width, generator=random)
    b = torch.randn(width, generator=random)

    def hidden(x):
        return (x @ W + b).relu()

    last = torch.linalg.lstsq(hidden(x), torch.cat(targets, -1)).solution

    def answer(A, x):  # in blocks that fit into the cache
        blocks = x.split(1024, -2)
        return torch.cat([hidden(block) @ A for block in blocks], -2)

    return [partial(answer, A) for A in last.split(2, -1)]


# %%
def sup(difference):
    return difference.norm(dim=-1).max().item()


# %%
M = fit(1024, 0, GK_train, f(GK_train))[0]
print(f"width 1024: sup over GK of |M - f| = {sup(M(GK) - f(GK)):.4f}")
print("equivariant:", eq.check_equivariance(M, turn, turn, K[::100]).passed)

# %% [markdown]
# A good approximation of a symmetric function, and not symmetric itself. A continuous
# $\lambda$, and one that jumps on a chessboard:


# %%
def lam(x):  # positive and continuous
    return torch.exp(0.5 * x[..., 0] + torch.sin(2 * x[..., 1]) / 2)


# %%
def jumps(x):  # positive, not continuous
    white = (3 * x).floor().sum(-1) % 2 == 0
    return torch.where(white, 5.0, 0.2)


# %%
for weight in (lam, jumps):
    share = weight(GK) / weight(GK).sum(0)
    low, high = share.min(), share.max()
    print(f"{weight.__name__:5} weights from {low:.2f} to {high:.2f}")

# %% [markdown]
# ## The errors fall with the width
#
# Five averages, tested on the same points. The first three are
# {prf:ref}`thm-universality`, made by the package, the fourth is
# {prf:ref}`thm-universality-unnormalised`, and the last is theorem 3 as printed.


# %%
def equitune(M, action):
    return eq.Equitune(M, action, action)


def weigh(M, action, lam):
    options = {"of": "inputs", "positive": "given"}
    return eq.LambdaEquitune(M, action, action, lam, **options)


# %%
def unnormalised(M, lam, x):
    y = turn.undo(M(turn.orbit(x)))
    return (lam(turn.orbit(x))[..., None] * y).mean(0)


# %%
def five_errors(width, seed):
    x, y = GK_train, f(GK_train)
    M, M_b = fit(width, seed, x, y, y / lam(x)[:, None])
    y, orbit = equitune(M, turn)(K, return_orbit=True)
    yield "M on GK", sup(orbit.features - f(GK))
    yield "equitune", sup(y - wanted)
    yield "lambda", sup(weigh(M, turn, lam)(K) - wanted)
    yield "lambda that jumps", sup(weigh(M, turn, jumps)(K) - wanted)
    yield "unnormalised", sup(unnormalised(M_b, lam, K) - wanted)
    yield "as printed", sup(weigh(M_b, turn, lam)(K) - wanted)


# %%
wanted = f(K)
widths, seeds = [16, 32, 64, 128, 256, 512, 1024], range(3)
rows = [
    (width, seed, form, error)
    for width in widths
    for seed in seeds
    for form, error in five_errors(width, seed)
]

# %%
columns = ["width", "seed", "form", "error"]
errors = pd.DataFrame(rows, columns=columns).set_index(columns[:3])["error"]
errors = errors.unstack("form")[[form for _, _, form, _ in rows[:6]]]
errors.groupby("width").median().round(4)

# %% [markdown]
# The last column is no matter of width. The limit in {eq}`eq-printed-limit` says where it
# must end: at the greatest distance of $|G| f_G / \sum_g \lambda(gx)$ from $f_G$.

# %%
printed_limit = 4 * wanted / lam(GK).sum(0)[:, None]
floor = sup(printed_limit - wanted)
last = errors.loc[widths[-1], "as printed"]
print(f"predicted floor {floor:.4f}, at width 1024:", last.round(4).tolist())
assert ((last - floor).abs() < 0.05 * floor).all()

# %%
factors = errors.loc[widths[0]] / errors.loc[widths[-1]]
print("how many times smaller at the greatest width, least of the seeds:")
print(factors.min().round(1).to_string())
assert (factors.drop(columns="as printed") > 5).all(axis=None)
assert (factors["as printed"] < 5).all()

# %% mystnb={"figure": {"name": "fig-universality", "caption": "The greatest error on K against the width of the net. Line: median of three seeds, band: least to greatest. Dotted: the floor predicted for theorem 3 as printed."}, "image": {"alt": "On log-log axes the errors of equitune, lambda-equitune with a continuous and a jumping lambda, and the unnormalised average fall together. Theorem 3 as printed flattens onto its predicted floor."}}
green = plots.METHOD_STYLE["lambda-equitune"]["color"]
looks = {
    "equitune": {"color": plots.METHOD_STYLE["equitune"]["color"]},
    "lambda": {"color": green},
    "lambda that jumps": {"color": green, "ls": "--"},
    "unnormalised": {"color": "#CC79A7"},
    "as printed": {"color": "k"},
}
figure, ax = plt.subplots(figsize=(5.2, 4.4))
for form, look in looks.items():
    seen = errors[form].groupby("width")
    ax.loglog(widths, seen.median(), marker=".", label=form, **look)
    band = seen.min(), seen.max()
    ax.fill_between(widths, *band, color=look["color"], alpha=0.15, lw=0)
ax.axhline(floor, color="k", ls=":")
ax.set_xticks(widths, widths)
ax.minorticks_off()
ax.set(xlabel="width", ylabel="greatest error on K")
_ = ax.legend(fontsize=10)

# %% [markdown]
# Four fall, one does not ({numref}`fig-universality`). The bounds hold at each width and
# seed, as they must; here $c = 1$.

# %%
for form in ("equitune", "lambda", "lambda that jumps"):
    used = (errors[form] / errors["M on GK"]).max()
    print(f"{form:18} at most {used:.2f} of the bound")
    assert used <= 1

# %% [markdown]
# Takeaway: an average over turns never makes the greatest error on $G\mathcal K$ greater.
# Normalise, and aim at $f_G$.
#
# ## Good on $\mathcal K$ alone is not enough
#
# Theorem 3 leaves open where $\mathbf{M}$ is to be good. Suppose it is fitted on $\mathcal K$
# only. Predict: how good is its average, on the same $\mathcal K$?

# %%
alone = []
for seed in seeds:
    M = fit(1024, seed, train, f(train))[0]
    y, orbit = equitune(M, turn)(K, return_orbit=True)
    alone.append([sup(M(K) - wanted), sup(y - wanted)])

# %%
pd.DataFrame(alone, columns=["M on K", "average on K"]).round(4)

# %% tags=["hide-cell"]
assert all(average > 50 * own for own, average in alone)

# %% [markdown]
# The average asks the model about $gx$, and there it never learned anything. A model that
# was pretrained on upright pictures is in this position. That is what {term}`equizero` and
# a learned $\lambda$ are for: put the weight on the view that the model knows.


# %%
def knows(x):  # great in the disc K, tiny elsewhere, positive everywhere
    inside = (x - torch.tensor([0.6, 0.3])).norm(dim=-1) < 1 + 1e-9
    return torch.where(inside, 1.0, 1e-9)


# %%
M = fit(1024, 0, train, f(train))[0]
trusting = sup(weigh(M, turn, knows)(K) - wanted)
print(f"equitune {alone[0][1]:.4f}, a lambda that knows K {trusting:.4f}")
assert trusting < 0.05 * alone[0][1]

# %% [markdown]
# {prf:ref}`thm-universality` holds for the worst $\lambda$. A good one does better.
#
# ## Groups that stretch
#
# > "[...] $\lambda$-equitune is a universal approximator of equivariant functions for groups
# > where $\lVert g \rVert = 1$ for $g \in G$." {cite:p}`basu2023efficient`
#
# In plain words: for groups that keep lengths. The condition is sufficient, and it is not
# necessary: {prf:ref}`thm-universality` has the factor $c$ in its place. Squeeze the
# plane: measure one axis in another unit, with $x' = Sx$. The quarter turns become
# $S g S^{-1}$. The group is the same; the lengths are not.

# %%
S = torch.diag(torch.tensor([3.0, 1.0]))
squeezed = eq.Matrix(eq.cyclic(4), S @ rotations(4) @ S.inverse())
stretch = torch.linalg.matrix_norm(squeezed.matrices, ord=2)
c = stretch.max().item()
print(dict(zip(squeezed.group.elements, stretch.round(decimals=3).tolist())))


# %%
def f2(x):
    return f(x @ S.inverse()) @ S


K2, train2 = K @ S, GK_train @ S  # S is diagonal, its own transpose
eq.check_equivariance(f2, squeezed, squeezed, K2[::100])

# %% [markdown]
# Now be mean to it. Let $\mathbf{M} = f + \delta$ with $\lVert \delta \rVert = \epsilon$
# everywhere, and point $\delta$ so that each $g^{-1}$ stretches it as far as it can, all
# into the same direction. An axis-parallel squeeze keeps the quadrants, so $\delta$ may go by quadrant.

# %%
rows_of_inverse = squeezed.matrices[squeezed.group.inverses][:, 0]
worst = rows_of_inverse / rows_of_inverse.norm(dim=-1, keepdim=True)


# %%
def quadrant(x):
    return (torch.atan2(x[..., 1], x[..., 0]) // (torch.pi / 2)).long() % 4


def wrong(x, eps=0.01):
    return f2(x) + eps * worst[quadrant(x)]


# %% [markdown]
# Equitune takes the plain mean, so its factor is at most the mean of the norms. A $\lambda$
# that trusts the second quadrant comes as close to the greatest norm as it likes.


# %%
def trusts_second(x):
    return torch.where(quadrant(x) == 1, 1000.0, 1.0)


# %%
averages = {"equitune": equitune(wrong, squeezed)}
averages["lambda"] = weigh(wrong, squeezed, trusts_second)
ratios = {}
for name, average in averages.items():
    ratios[name] = sup(average(K2) - f2(K2)) / sup(wrong(K2) - f2(K2))
    print(f"{name:8} multiplies the error by {ratios[name]:.3f}")
print(f"mean of the norms {stretch.mean():.3f}, the bound c = {c:.3f}")

# %%
assert 0.99 * stretch.mean() < ratios["equitune"] < stretch.mean() + 1e-9
assert 0.99 * c < ratios["lambda"] < c + 1e-9

# %% [markdown]
# So an average can be worse than its model, by the factor $c$ and no more. For a fixed
# group $c$ is a number. It scales $\epsilon$, and $\epsilon$ goes to zero.

# %%
rows = []
for width in widths:
    for seed in seeds:
        M = fit(width, seed, train2, f2(train2))[0]
        y, orbit = equitune(M, squeezed)(K2, return_orbit=True)
        z = weigh(M, squeezed, jumps)(K2)
        own = sup(orbit.features - f2(orbit.inputs))
        rows.append((width, own, sup(y - f2(K2)), sup(z - f2(K2))))

# %%
names = ["width", "M on GK", "equitune", "lambda that jumps"]
stretched = pd.DataFrame(rows, columns=names).set_index("width")
fall = stretched.loc[16].to_numpy() / stretched.loc[1024].to_numpy()
print("times smaller, least of the seeds:", fall.min(0).round(1))
assert (fall > 5).all()
assert (stretched.div(stretched["M on GK"], axis=0).max() <= c).all()

# %% mystnb={"figure": {"name": "fig-squeezed", "caption": "Equitune and lambda-equitune (with the lambda that jumps) under turns, solid, and under turns of the squeezed plane, dashed. Line: median of three seeds, band: least to greatest."}, "image": {"alt": "On log-log axes four lines fall side by side. Those for the squeezed plane lie higher, and fall as well."}}
figure, ax = plt.subplots(figsize=(5.2, 3.6))
for form in ("equitune", "lambda that jumps"):
    look = looks[form]["color"]
    for table, line in ((errors, "-"), (stretched, "--")):
        seen = table[form].groupby("width")
        plane = "plane" if table is errors else "squeezed"
        label = f"{form}, {plane}"
        ax.loglog(widths, seen.median(), line, color=look, label=label)
        band = seen.min(), seen.max()
        ax.fill_between(widths, *band, color=look, alpha=0.1, lw=0)
    flat, high = errors[form].groupby("width"), stretched[form]
    assert (high.groupby("width").median() > flat.median()).all()
ax.set_xticks(widths, widths)
ax.minorticks_off()
ax.set(xlabel="width", ylabel="greatest error")
_ = ax.legend(fontsize=9)

# %% [markdown]
# Convergence persists ({numref}`fig-squeezed`). The dashed lines lie higher, in part
# because the squeezed target is longer itself. For a finite group that acts by matrices
# there is no counterexample to universality, whatever the norm. One more way to see it:
# in the norm $\lVert S^{-1} y \rVert$ this group keeps lengths, and every finite group has such a
# norm (average an inner product over the group). In finite dimension all norms agree on
# what goes to zero.
#
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | theorem 3, average | eq. (4), normalised | eq. (4) ({prf:ref}`thm-universality`), and unnormalised ({prf:ref}`thm-universality-unnormalised`) |
# | $\mathbf{M}$ approximates | $f_G / \lambda$ | $f_G$ for eq. (4), $f_G / \lambda$ for the unnormalised average |
# | $\lambda$ | any positive function | any positive function for eq. (4); continuous as well for the other |
# | where $\mathbf{M}$ must be good | not stated in the main part | on $G\mathcal K$ |
# | $\lVert g \rVert = 1$ | assumed | not needed: $c = \max_g \lVert g^{-1} \rVert$ scales the error |
#
# ## Pitfalls
#
# - **Universality is about parameters that exist.** It does not say that training finds
#   them, nor how wide the net must be, nor anything of a pretrained model that is kept
#   as it is.
# - **Views outside the data.** The average is as good as the model is on $gx$. Look
#   there first when equituning disappoints.
# - **Lengths.** Entries in different units, a position and a speed say, make a group that
#   stretches. Scale them before you average, or expect the factor $c$.
# - **A finite grid is not a supremum.** The errors here are the greatest of many points,
#   with the edge of the disc among them.
#
# ## Recap
#
# - Eq. (4) approximates $f_G$ if $\mathbf{M}$ does; with $\mathbf{M} \to f_G / \lambda$ it is the
#   unnormalised average that does.
# - Each proof writes $f_G(x)$ as the same average of $g^{-1} f_G(gx)$, and subtracts.
# - Measured, four errors fall with the width, and the printed combination stays on the
#   floor that {eq}`eq-printed-limit` predicts.
# - $\mathbf{M}$ must be good on $G\mathcal K$; good on $\mathcal K$ alone is not enough.
# - A group that stretches multiplies the error by $c$ at most. Convergence persists.
#
# ## Exercises
#
# :::{exercise} Is equizero a universal approximator?
# :label: ex-equizero-universal
#
# Equizero jumps where the least loss passes from one view to another, so it is not
# continuous, although $f_G$ is. Can it still come close to $f_G$ everywhere?
# :::
#
# :::{solution-start} ex-equizero-universal
# :class: dropdown
# :::


# %%
def first_entry(y):
    return y[:, 0]


# %%
for width in (16, 1024):
    M = fit(width, 0, GK_train, f(GK_train))[0]
    zero = eq.Equizero(M, turn, turn, loss=first_entry)
    print(f"width {width:4}: equizero {sup(zero(K) - wanted):.4f}")

# %% tags=["hide-cell"]
bound = sup(M(GK) - f(GK))
assert sup(zero(K) - wanted) <= bound < errors["equitune"].min() * 5

# %% [markdown]
# Yes. Its weights are not negative and sum to one, and the proof of
# {prf:ref}`thm-universality` asks for no more. Its jumps are at most twice the error, so they
# vanish with it.
#
# :::{solution-end}
# :::
#
# :::{exercise} A lambda that vanishes at a point
# :label: ex-vanishing-lambda
#
# Let $\lambda$ be continuous and positive but for one point $p$ of $\mathcal K$, where it is zero.
# What becomes of both forms? Take the best case: $\mathbf{M}$ is exactly what it should
# approximate, wherever that is defined.
# :::
#
# :::{solution-start} ex-vanishing-lambda
# :class: dropdown
# :::

# %%
p = torch.tensor([[1.0, 0.5]])


def vanishing(x):
    return (x - p[0]).norm(dim=-1)


# %%
def quotient(x):  # f / lambda, and zero where lambda is
    y = f(x) / vanishing(x)[..., None]
    return torch.where(vanishing(x)[..., None] > 0, y, 0.0)


# %%
views, weights = turn.orbit(p), vanishing(turn.orbit(p))[..., None]
normalised = (weights * turn.undo(f(views))).sum(0) / weights.sum(0)
print(f"normalised   {sup(normalised - f(p)):.4f}")
b = sup(unnormalised(quotient, vanishing, p) - f(p))
print(f"unnormalised {b:.4f}, |f(p)| / 4 = {sup(f(p)) / 4:.4f}")
assert abs(b - sup(f(p)) / 4) < 1e-9 and sup(normalised - f(p)) < 1e-9

# %% [markdown]
# Eq. (4) goes on: the weight of one view is zero, the others sum to one. It breaks only if
# $\lambda$ vanishes on a whole orbit. The unnormalised average loses the view $p$: any
# finite $\mathbf{M}(p)$ is multiplied by zero, and a share $1/|G|$ of $f_G(p)$ is missing.
# Near $p$, $f_G / \lambda$ grows without bound, so no continuous model approximates it.
#
# :::{solution-end}
# :::
#
# :::{exercise} When is theorem 3 right as printed?
# :label: ex-right-as-printed
#
# Find all $\lambda$ for which it holds for every $f_G$. Make one out of `lam`, and check.
# :::
#
# :::{solution-start} ex-right-as-printed
# :class: dropdown
# :::


# %%
def balanced(x):
    return 4 * lam(x) / lam(turn.orbit(x)).sum(0)


# %%
for width in (16, 1024):
    y = f(GK_train) / balanced(GK_train)[:, None]
    M = fit(width, 0, GK_train, y)[0]
    both = weigh(M, turn, balanced)(K), unnormalised(M, balanced, K)
    print(f"width {width:4}:", *[f"{sup(y - wanted):.4f}" for y in both])
assert sup(both[0] - wanted) < 0.1 * floor
torch.testing.assert_close(*both)

# %% [markdown]
# Those with $\sum_g \lambda(gx) = |G|$ for every $x$ at which some $f_G$ does not vanish:
# there eq. (4) *is* the unnormalised average. Divide by the mean over the orbit, and any $\lambda$ becomes one of them. It
# keeps its weights.
#
# :::{solution-end}
# :::
#
# :::{exercise} Better at every point?
# :label: ex-pointwise
#
# For turns, the greatest error on $G\mathcal K$ never grows by averaging. Prove it. Does
# the error at a single point never grow either?
# :::
#
# :::{solution-start} ex-pointwise
# :class: dropdown
# :::

# %%
M = fit(64, 0, GK_train, f(GK_train))[0]
x = GK.flatten(0, 1)
before = (M(x) - f(x)).norm(dim=-1)
after = (equitune(M, turn)(x) - f(x)).norm(dim=-1)
print(f"greatest: {before.max():.4f} before, {after.max():.4f} after")
print(f"greater after averaging at {(after > before).double().mean():.0%}")
assert after.max() <= before.max() and (after > before).any()

# %% [markdown]
# $G\mathcal K$ is its own set of views, $G(G\mathcal K) = G\mathcal K$, and $c = 1$: put it in the place of
# $\mathcal K$ in {prf:ref}`thm-universality`. At a single point the error can grow: there the
# model happened to be good, and it borrows from views where it is not.
#
# :::{solution-end}
# :::
#
# ## What next
#
# A net of finite width has to be trained, and equizero's choice has no gradient:
# [](05_learning_through_an_argmin.ipynb). For a trained agent, averaged over its symmetry,
# see [](11_deep_q_learning.ipynb).
