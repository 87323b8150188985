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
# # One operator, three weightings
#
# ## Goals
#
# After this page you can
#
# - **write** eq. (1), (2) and (4) of the paper in a few lines each;
# - **recognise** equitune, equizero and lambda-equitune as one weighted average;
# - **read** the record of an orbit: views, scores and weights;
# - **walk** from equitune to equizero by a temperature;
# - **say** which minimisation problem eq. (4) solves, and which it does not.
#
# {bdg-secondary}`CPU` {bdg-secondary}`paper: sections 2, 3 and 3.1`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

import equinb as eq
from equinb.apps import letters

# %% tags=["hide-cell"]
from equinb import plots
from equinb.sliders import slider

plots.use_style()
torch.manual_seed(0)
torch.set_num_threads(1)  # so small a network gains nothing from a second

# %% [markdown]
# ## A model that reads upright letters
#
# A small convolutional net learns ten printed characters in a few seconds. It has only
# ever seen them upright.

# %%
net = letters.pretrained()
x, y = letters.sample(1000, seed=1)

# %% mystnb={"figure": {"name": "fig-letters", "caption": "Ten letters of the training distribution: shifted and noisy, never turned."}, "image": {"alt": "Ten noisy grey images of single letters and digits, all upright."}}
plots.image_row(x[:10], [letters.LETTERS[k] for k in y[:10]])


# %% [markdown]
# How well does it read, and how well once every letter is turned by a random number of
# quarter turns? Predict before you look. (Below, `G` is the group of the four quarter turns.
# `turn` says how it acts on images, `same` how it acts on answers: not at all. And
# `turn.orbit(x)` stacks the four views of every image.)


# %%
def accuracy(f, x):
    return (f(x).argmax(-1) == y).float().mean().item()


# %%
G = eq.cyclic(4)
turn, same = eq.Rot90(G), eq.Trivial(G)
random = torch.Generator().manual_seed(2)
k = torch.randint(4, (len(x),), generator=random)
turned = turn.orbit(x)[k, torch.arange(len(x))]

# %%
print(f"upright {accuracy(net, x):.1%}, turned {accuracy(net, turned):.1%}")
assert accuracy(net, x) > 0.9 and accuracy(net, turned) < 0.6

# %% [markdown]
# The net is {term}`pretrained` and good, and blind to a {term}`symmetry` that the task
# has. This is the situation of the whole book: keep the model, repair the symmetry.

# %% [markdown]
# ## Equation (1): equitune
#
# > "Equituning converts a pretrained model into an equivariant version by minimizing
# > the distance of features obtained from pretrained and equivariant models."
# > {cite:p}`basu2023efficient`
#
# In plain words: show the model every view $gx$ of the input, carry each answer back
# with $g^{-1}$, and take the mean. This is {term}`equitune`.
#
# $$
# \mathbf{M}_G(x) = \frac{1}{|G|} \sum_{g \in G} g^{-1} \mathbf{M}(gx)
# $$ (eq-1)
#
# The output here is ten logits. A turn of the picture leaves the right answer as it
# is, so the group acts trivially on them and $g^{-1}$ does nothing. We write it all
# the same: the next page shows what happens to those who forget it.


# %%
def equitune(M, x):
    answers = [same(G.inverse(g), M(turn(g, x))) for g in range(4)]
    return torch.stack(answers).mean(0)


# %% [markdown]
# The package makes all views in one batch and calls the model once.

# %%
f1 = eq.Equitune(net, turn, same)
torch.testing.assert_close(f1(turned), equitune(net, turned))
print(f"equitune, turned: {accuracy(f1, turned):.1%}")

# %% [markdown]
# ## Equation (2): equizero
#
# > "[...] $g_* = \arg\min_{g \in G} l(\mathbf{M}(gx))$ with $l$ [...] being an injective proxy
# > loss function and assuming the minima is unique." {cite:p}`basu2023efficient`
#
# In plain words: ask a {term}`proxy loss` which view the model likes best, and keep
# that view's answer alone. This is {term}`equizero`.
#
# $$
# \mathbf{M}_G^0(x) = g_*^{-1} \mathbf{M}(g_* x), \qquad g_* = \arg\min_{g \in G} \, l(\mathbf{M}(gx))
# $$ (eq-2)
#
# The proxy loss here is the negative of the greatest probability: the view that the
# model is most certain of wins.


# %%
def equizero(M, x):
    views = torch.stack([M(turn(g, x)) for g in range(4)])
    best = (-views.softmax(-1).amax(-1)).argmin(0)
    answers = [same(G.inverse(g), views[g]) for g in range(4)]
    return torch.stack(answers)[best, torch.arange(len(x))]


# %%
f0 = eq.Equizero(net, turn, same, loss=eq.losses.neg_max_prob)
agree = torch.isclose(f0(turned), equizero(net, turned), atol=1e-5)
print(f"the same answer for {agree.all(-1).float().mean():.1%} of the letters")

# %% [markdown]
# Not for all? Where two views {term}`tie`, the lines above keep the first and the package
# averages all of them. It also counts as tied what differs by no more than a small
# tolerance (`equinb.equizero.TIE_TOLERANCE`): two views of which the net is nearly
# certain, say.

# %%
with_tie = ~agree.all(-1)
_, orbit = f0(turned, return_orbit=True)
chosen = (orbit.weights > 0).sum(0)
assert (chosen[with_tie] > 1).all()
print(f"views kept: {chosen.unique().tolist()}")

# %% [markdown]
# That is no detail. [](03_equivariance.ipynb) shows that one minimiser can break
# equivariance, and that the average over all minimisers keeps it.

# %%
print(f"equizero, turned: {accuracy(f0, turned):.1%}")

# %% [markdown]
# ## Equation (4): lambda-equitune
#
# > "[...] given a pretrained model $\mathbf{M}$, the features $\mathbf{M}(gx)$ for any fixed $x$ are
# > not all equally important for all $g \in G$." {cite:p}`basu2023efficient`
#
# In plain words: a small net looks at each view's features and says how much that view
# should count. This is {term}`lambda-equitune`.
#
# $$
# \mathbf{M}_G^\lambda(x) = \frac{1}{\sum_{g \in G} \lambda(gx)}
#   \sum_{g \in G} g^{-1} \lambda(gx) \, \mathbf{M}(gx)
# $$ (eq-4)
#
# We cut the net in two: the encoder makes 64 features, the head turns them into logits.
# The average is taken between them, and $\lambda$ reads the same features.

# %%
encoder, head = net[:-1], net[-1]
lam = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 1))


# %%
def lambda_equitune(x):
    views = torch.stack([encoder(turn(g, x)) for g in range(4)])
    weights = lam(views).exp()  # positive, whatever lam gives
    aligned = [same(G.inverse(g), views[g]) for g in range(4)]
    mean = (weights * torch.stack(aligned)).sum(0) / weights.sum(0)
    return head(mean)


# %%
f = eq.LambdaEquitune(encoder, turn, same, lam, head=head)
torch.testing.assert_close(f(turned), lambda_equitune(turned))

# %% [markdown]
# Now $\lambda$ learns, and nothing else does. It sees upright letters with their labels;
# their turned views are made by the group. It has therefore used labels, and its name
# says how many.

# %%
before, steps = accuracy(f, turned), 200
letters.fit(f, lam, steps, lr=1e-2)
name = f"lambda ({128 * steps:,} labels)"
print(f"{name}: {before:.1%} before, {accuracy(f, turned):.1%} after")
assert accuracy(f, turned) > before + 0.1

# %% [markdown]
# ### The inverse at work
#
# So far $g^{-1}$ had nothing to do. Let the output be a picture as well: say, the mean
# feature map of the net's first layer. The same lines and the package still agree.


# %%
def first_layer(v):
    return nn.functional.pad(net[:3](v).mean(1), (2, 2, 2, 2))


view = [first_layer(turn(g, turned)) for g in range(4)]
back = torch.stack([turn(G.inverse(g), view[g]) for g in range(4)])
f_maps = eq.Equitune(first_layer, turn, turn)
torch.testing.assert_close(f_maps(turned), back.mean(0))
assert eq.check_equivariance(f_maps, turn, turn, turned).passed

# %% [markdown]
# ## One operator
#
# The three equations share everything but the weights:
#
# $$
# \mathbf{M}_G^w(x) = \sum_{g \in G} w_g(x) \; g^{-1} \mathbf{M}(gx),
#   \qquad w_g(x) \ge 0, \quad \sum_{g \in G} w_g(x) = 1 .
# $$ (eq-operator)
#
# | method | $w_g(x)$ | class | weights by |
# | --- | --- | --- | --- |
# | equitune | $1/\lvert G\rvert$ | `Equitune` | `Uniform` |
# | equizero | even over the minimisers of $l(\mathbf{M}(gx))$ | `Equizero` | `ArgMin` |
# | lambda-equitune | $\lambda(gx) / \sum_h \lambda(hx)$ | `LambdaEquitune` | `Learned` |
#
# Which to try? Equitune needs nothing but the group. Equizero needs a proxy loss that
# tells a good view from a bad one, and no labels. Lambda-equitune needs labels, or another
# teacher. Which is ahead depends on the model and on what its last layer has seen; there
# is no order for all of them, and [](42_verdict_on_cifar10.ipynb) shows it turn around.
#
# In the package all three are the one module `Symmetrized`, which makes the orbit once
# and asks a weighting for $w$. What it made can be looked at.

# %%
seven = turned[y == letters.LETTERS.index("7")][:1]
for name, method in {"equitune": f1, "equizero": f0, "lambda": f}.items():
    _, orbit = method(seven, return_orbit=True)
    print(f"{name:9}", orbit.weights[:, 0].detach().numpy().round(3))

# %% mystnb={"figure": {"name": "fig-orbit", "caption": "The orbit of one turned letter. Above each view: the group element, and the weight that the learned lambda gives it."}, "image": {"alt": "Four views of the digit 7, a quarter turn apart. The view with the greatest weight is the upright one."}}
weights = orbit.weights[:, 0].tolist()
titles = [f"${g}$: {w:.2f}" for g, w in zip(G.elements, weights)]
plots.image_row(orbit.inputs[:, 0], titles)
upright = (4 - k[y == letters.LETTERS.index("7")][0]) % 4
assert orbit.weights[:, 0].argmax() == upright

# %% [markdown]
# `orbit.inputs`, `.features` and `.outputs` have the axes (group, batch, ...). The encoder
# sees each view once, whatever the method: lambda needs no second pass. A hook on its
# first layer counts.

# %%
seen = []
hook = encoder[0].register_forward_hook(lambda _, x, y: seen.append(len(y)))
for method in (f1, f0, f):
    method(turned)
hook.remove()
print(f"{len(turned)} letters; views encoded by each method: {seen}")

# %% [markdown]
# ## Special cases
#
# > "When $\lambda(gx) = 1$ for $g \in G$, then equation 4 is the same as equation 1."
# > {cite:p}`basu2023efficient`

# %%
constant = eq.LambdaEquitune(net, turn, same, lambda z: 0 * z[:, 0])
torch.testing.assert_close(constant(turned), f1(turned))

# %% [markdown]
# Equizero is the other end: $\lambda$ is the indicator of the best view. No positive
# function is an indicator, but $\lambda = e^{-l/\tau}$ comes as close as one likes. A
# temperature $\tau$ thus joins the two: equitune at $\tau \to \infty$, equizero at
# $\tau \to 0$.


# %%
def softmin(tau):
    def log_lambda(z):
        return -eq.losses.neg_max_prob(z) / tau

    return eq.LambdaEquitune(net, turn, same, log_lambda, of="outputs")


# %%
torch.testing.assert_close(softmin(1e6)(turned), f1(turned), atol=1e-4, rtol=0)
cold, zero = softmin(1e-7)(turned), f0(turned)
close = torch.isclose(cold, zero, atol=1e-3).all(-1)
print(f"tau = 1e-7 is equizero for {close.float().mean():.1%} of the letters")

# %% [markdown]
# For the rest several views tie within the tolerance, and equizero gives them equal
# weight.

# %%
taus = torch.logspace(-3, 1, 13).tolist()
path = []
for tau in taus:
    logits, orbit = softmin(tau)(turned, return_orbit=True)
    right = (logits.argmax(-1) == y).float().mean().item()
    path.append((right, orbit.effective_views.mean().item()))

# %% mystnb={"figure": {"name": "fig-temperature", "caption": "From equizero (at the left edge) to equitune (at the right) by the temperature of the softmin weights, for turned letters. Views: the exponential of the entropy of the weights."}, "image": {"alt": "As the temperature rises, accuracy falls from that of equizero to that of equitune, while the effective number of views rises from about one to four."}}
figure, (top, below) = plt.subplots(2, sharex=True, figsize=(5.2, 4.5))
top.semilogx(taus, [a for a, _ in path], color="k")
top.axhline(accuracy(f0, turned), ls=":", label="equizero")
top.axhline(accuracy(f1, turned), ls="--", label="equitune")
top.set(ylabel="accuracy", ylim=(0, 1))
top.legend()
below.semilogx(taus, [v for _, v in path], color="k")
below.set(xlabel="temperature", ylabel="effective views", ylim=(0, 4.2))
assert path[0][0] > path[-1][0] and path[0][1] < path[-1][1]

# %% [markdown]
# The same path for one letter. Move the slider: at the left the best view has all the
# weight, at the right all views weigh the same.


# %%
def draw(tau):
    _, orbit = softmin(tau)(seven, return_orbit=True)
    weights = orbit.weights[:, 0].tolist()
    titles = [f"{w:.2f}" for w in weights]
    plots.image_row(orbit.inputs[:, 0], titles, columns=4)
    return f"Four views of a 7, of weights {', '.join(titles)}."


slider(
    draw,
    taus,
    label="temperature",
    caption="The weights of the four views of a turned 7, from equizero to "
    "equitune.",
    tell="{:.3f}".format,
)

# %% tags=["hide-cell"]
for tau, low, high in ((taus[0], 0.95, 1), (taus[-1], 0.2, 0.3)):
    _, orbit = softmin(tau)(seven, return_orbit=True)
    assert low <= orbit.weights.max() <= high

# %% [markdown]
# So much for the weights. Here are all the methods at once, on the same turned letters.

# %% mystnb={"figure": {"name": "fig-accuracy", "caption": "Accuracy on 1,000 turned letters. The dotted line is the ceiling: the pretrained net on the same letters upright. Lambda was trained with labels of upright letters; equitune and equizero use no labels beyond pretraining."}, "image": {"alt": "The pretrained net reads turned letters worst, equitune better, equizero better still and lambda-equitune best, below the upright ceiling."}}
methods = {"pretrained": net, "equitune": f1, "equizero": f0}
methods["lambda-equitune"] = f  # with the labels counted above
scores = {name: accuracy(g, turned) for name, g in methods.items()}
colours = [plots.METHOD_STYLE[name]["color"] for name in scores]
bars = plt.barh(list(scores), scores.values(), color=colours)
plt.bar_label(bars, fmt="{:.0%}", label_type="center", color="w")
plt.axvline(accuracy(net, x), ls=":", color="k")
plt.gca().invert_yaxis()
plt.xlabel("accuracy")
assert sorted(scores, key=scores.get) == list(methods)

# %% [markdown]
# Here averaging logits helps a little, choosing helps more, and a lambda trained with
# labels most. The paper calls lambda-equitune "competitive with equizero" for zero-shot
# tasks. How well equitune does also depends on where the average is taken: see
# {ref}`ex-where-to-cut`. One net and ten characters prove nothing about other models; the
# application chapters measure those.
#
# ## What does equation (4) minimise?
#
# The paper derives eq. (4) as the solution of a constrained problem:
#
# > "[...] we want to minimize [eq. (3)]. We call the solution to equation 3 as
# > $\lambda$-equitune, given by [eq. (4)]." {cite:p}`basu2023efficient`
#
# $$
# \min_{\mathbf{M}_G^\lambda} \; \sum_{g \in G}
#   \lVert \lambda(gx) \, \mathbf{M}(gx) - \mathbf{M}_G^\lambda(gx) \rVert_2^2
# \quad \text{s.t.} \quad \mathbf{M}_G^\lambda(gx) = g \, \mathbf{M}_G^\lambda(x)
# $$ (eq-3)
#
# (The paper prints $\mathbf{M}_G^\lambda(g, x)$ under the sum, which we read as
# $\mathbf{M}_G^\lambda(gx)$.) The constraint leaves one unknown vector $z = \mathbf{M}_G^\lambda(x)$. Write $m_g = \mathbf{M}(gx)$ and
# $\lambda_g = \lambda(gx)$. The sum is then $\sum_g \lVert \lambda_g m_g - g z \rVert^2$,
# an ordinary least-squares problem.
#
# :::{prf:proposition} What eq. (3) and eq. (4) minimise
# :label: prop-minimisers
#
# Let $G$ act on the output by orthogonal matrices.
#
# 1. The minimiser of eq. (3) as printed is
#    $z = \frac{1}{|G|} \sum_g g^{-1} \lambda_g m_g$: not normalised.
# 2. The minimiser of $\sum_g \lambda_g \lVert m_g - g z \rVert^2$ is eq. (4).
#
# If the matrices are not orthogonal, the minimiser of the second is
# $\bigl(\sum_g \lambda_g \, g^\top g\bigr)^{-1} \sum_g \lambda_g \, g^\top m_g$. It is
# equivariant as well, and in general it is not eq. (4).
# :::
#
# :::{prf:proof}
# Set the gradients in $z$ to zero. The first sum gives
# $\sum_g g^\top g z = \sum_g g^\top \lambda_g m_g$, the second
# $\sum_g \lambda_g g^\top g z = \sum_g \lambda_g g^\top m_g$. For orthogonal $g$ we have
# $g^\top g = 1$ and $g^\top = g^{-1}$, which gives both formulas. For equivariance,
# replace $x$ by $hx$ in the second sum and put $k = gh$:
# $\sum_k \lambda_k \lVert m_k - k h^{-1} z \rVert^2$ is the sum for $x$ with $h^{-1} z$
# in the place of $z$, so its minimiser is $h$ times that for $x$. All $\lambda_g$ are
# positive and all $g$ invertible, so each sum is strictly convex and has one minimiser.
# Where $hx = x$, the constraint also asks for $hz = z$; the sums do not change when $z$
# becomes $hz$, so the one minimiser obeys it. $\blacksquare$
# :::
#
# Numbers decide. Take $S_3$ on the plane, by its turns and mirrors of a triangle, and
# once more in a sheared basis, where the matrices are not orthogonal.

# %%
from itertools import permutations

S3 = eq.symmetric(3)
angles = torch.pi * torch.tensor([3, 7, 11], dtype=torch.float64) / 6
corners = torch.stack([angles.cos(), angles.sin()], -1)  # of a triangle
moved = [corners[list(p)] for p in permutations(range(3))]
rotations = torch.stack(
    [torch.linalg.lstsq(corners, c).solution.T for c in moved]
)
shear = torch.tensor([[1.0, 0.8], [0.0, 1.0]]).double()
sheared = shear @ rotations @ shear.inverse()
for R in (rotations, sheared):
    print(eq.check_action(eq.Matrix(S3, R), torch.randn(5, 2).double()).passed)

# %% [markdown]
# Draw random $m_g$ and $\lambda_g$, let a solver that knows nothing of groups minimise
# each sum, and compare its answers with the formulas.

# %%
from scipy.optimize import minimize

m, lam_g = torch.randn(6, 2).double(), torch.rand(6).double() + 0.1


def printed(z, R):  # eq. (3)
    return ((lam_g[:, None] * m - R @ z) ** 2).sum()


def weighted(z, R):  # the weighted least squares
    return (lam_g * ((m - R @ z) ** 2).sum(-1)).sum()


# %%
def solve(objective, R):
    found = minimize(
        lambda z: objective(torch.tensor(z), R).item(), [0, 0], tol=1e-12
    )
    return torch.tensor(found.x)


def unnormalised(R):
    return (lam_g[:, None] * torch.linalg.solve(R, m)).mean(0)


def eq4(R):
    return (lam_g[:, None] * torch.linalg.solve(R, m)).sum(0) / lam_g.sum()


# %%
def least_squares(R):
    left = torch.einsum("g,gji,gjk->ik", lam_g, R, R)
    return torch.linalg.solve(left, torch.einsum("g,gji,gj->i", lam_g, R, m))


# %%
formulas = [unnormalised, eq4, least_squares]
print(f"{'':26}", *[f"{formula.__name__:>14}" for formula in formulas])
for R, basis in [(rotations, "orthogonal"), (sheared, "sheared")]:
    for objective in (printed, weighted):
        z = solve(objective, R)
        gaps = [(formula(R) - z).norm().item() for formula in formulas]
        name = f"{objective.__name__} sum, {basis}"
        print(f"{name:26}", *[f"{gap:14.1e}" for gap in gaps])

# %% tags=["hide-cell"]
z3, z4 = solve(printed, rotations), solve(weighted, rotations)
assert torch.allclose(z3, unnormalised(rotations), atol=1e-5)
assert torch.allclose(z4, eq4(rotations), atol=1e-5)
assert torch.allclose(z4, least_squares(rotations), atol=1e-5)
z5 = solve(weighted, sheared)
assert torch.allclose(z5, least_squares(sheared), atol=1e-5)
assert (z5 - eq4(sheared)).norm() > 1e-2
assert (z3 - eq4(rotations)).norm() > 1e-2

# %% [markdown]
# A row is a minimum that the solver found, a column a formula, an entry their distance.
# As printed, eq. (3) leads to the unnormalised average. Eq. (4) is the minimum of the
# weighted sum when the action is orthogonal, and in this sheared example of neither. (The
# third row has the formula
# $(\sum_g g^\top g)^{-1} \sum_g \lambda_g \, g^\top m_g$, by the same proof.) The
# book uses eq. (4): by {prf:ref}`thm-equivariance` it is equivariant in every basis.
#
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | eq. (2) | one minimiser, assumed unique | the average over all minimisers |
# | eq. (3) | leads to eq. (4) | leads to the unnormalised average; eq. (4) is a weighted least squares ({prf:ref}`prop-minimisers`) |
# | $\lambda$ | $\mathcal X \to \mathbb R^+$ | positive by construction: `exp` or `softplus` of a net |
# | what $\lambda$ reads | features of a frozen encoder | the features of the one pass that is made anyway |
#
# ## Pitfalls
#
# - **Where the average is taken matters.** Logits, probabilities and features give
#   different models. Choose with `head=`; the second exercise measures it.
# - **Lambda must read $gx$ alone.** Weights that read the aligned features
#   $g^{-1}\mathbf{M}(gx)$ break the symmetry, unless they are invariant to the output
#   action. `of=` offers no such choice; a `Weighting` of your own could.
# - **A lambda that has seen labels is not zero-shot.** Say how many it saw.
#
# ## Recap
#
# - Eq. (1), (2) and (4) are a few lines each, and equal what the package computes.
# - They are one weighted average over the orbit; only the weights differ.
# - `return_orbit=True` shows views, scores and weights.
# - A temperature leads from equitune to equizero.
# - Eq. (4) minimises a weighted least squares, not eq. (3) as printed.
#
# ## Exercises
#
# :::{exercise} Another proxy
# :label: ex-another-proxy
#
# Replace the proxy loss by the entropy of the prediction, and by the negative of the
# greatest logit. Which does best here? For CNNs the paper offers the greatest probability
# and the entropy.
# :::
#
# :::{solution-start} ex-another-proxy
# :class: dropdown
# :::

# %%
right = {}
for loss in (eq.losses.neg_max_prob, eq.losses.entropy, eq.losses.neg_max_q):
    chooser = eq.Equizero(net, turn, same, loss=loss)
    share = accuracy(chooser, turned)
    right[loss.__name__] = (chooser(turned).argmax(-1) == y).float()
    print(f"{loss.__name__:14} {share:.1%}")
for other in list(right)[1:]:
    gap = right["neg_max_prob"] - right[other]
    error = gap.std() / len(gap) ** 0.5
    print(f"neg_max_prob - {other:9} {gap.mean():+.1%}, error {error:.1%}")

# %% [markdown]
# All read the same letters, so it is the differences, letter by letter, that have a standard
# error. Rank two of them only if it is small beside their difference. `neg_max_q` takes the
# greatest entry of whatever it is given, so it serves for logits.
#
# :::{solution-end}
# :::
#
# :::{exercise} Where to cut
# :label: ex-where-to-cut
#
# Equitune the features, the logits and the probabilities. Two of the three agree.
# Which, and why?
# :::
#
# :::{solution-start} ex-where-to-cut
# :class: dropdown
# :::

# %%
features = eq.Equitune(encoder, turn, same, head=head)
logits = eq.Equitune(net, turn, same)
probabilities = eq.Equitune(lambda v: net(v).softmax(-1), turn, same)
for model in (features, logits, probabilities):
    print(f"{accuracy(model, turned):.1%}")
torch.testing.assert_close(
    features(turned), logits(turned), atol=1e-4, rtol=1e-4
)

# %% [markdown]
# The head is one linear layer, and a weighted average commutes with an affine map when
# the weights sum to one. The softmax is not affine.
#
# :::{solution-end}
# :::
#
# :::{exercise} The unnormalised average
# :label: ex-unnormalised
#
# Multiply $\lambda$ by ten. What happens to eq. (4), and what to the minimiser of
# eq. (3) as printed?
# :::
#
# :::{solution-start} ex-unnormalised
# :class: dropdown
# :::

# %%
one, three = eq4(rotations), unnormalised(rotations)
lam_g = 10 * lam_g
print("eq. (4) changes by a factor", (eq4(rotations) / one).numpy().round(3))
print(
    "eq. (3) changes by a factor",
    (unnormalised(rotations) / three).numpy().round(3),
)

# %% [markdown]
# Only the normalised average keeps the scale of the model's output.
#
# :::{solution-end}
# :::
#
# ## What next
#
# [](03_equivariance.ipynb) proves that the operator is equivariant, and then breaks it
# in every way that a practitioner can.
