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
# # Deep Q-learning: a cart, a pole and their mirror image
#
# ## Goals
#
# After this page you can
#
# - **state** the symmetry of an environment as a pair of actions, and check it;
# - **measure** how far a trained {term}`deep Q-network` is from that symmetry;
# - **write** equitune and equizero for Q-values in a few lines each;
# - **compare** methods over seeds, paired and with intervals, and explain the outcome;
# - **wrap** any DQN of stable-baselines3 so that its own tools use the new policy.
#
# {bdg-secondary}`CPU`
# {bdg-secondary}`paper: sections 4.1 and 5.1.1, Fig. 2`

# %% tags=["hide-cell"]
import sys

if "google.colab" in sys.modules:
    package = "equinb[book] @ git+https://github.com/equinb/equinb"
    get_ipython().run_line_magic("pip", f"install -q '{package}'")

# %%
import gymnasium
import pandas as pd
import torch

import equinb as eq
from equinb import lab
from equinb.apps import rl

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt

from equinb import plots

plots.use_style()
torch.manual_seed(0)
torch.set_num_threads(1)  # so small a network gains nothing from a second

# %% [markdown]
# ## An agent that takes a side
#
# > "We first pretrain Deep Q-learning nets (DQNs) for each of the Gridworld, Cartpole,
# > and Acrobot environments [...]" {cite:p}`basu2023efficient`
#
# In plain words: train an agent that knows nothing of symmetry, and only then ask what
# symmetry can do for it.
#
# In CartPole {cite:p}`barto1983neuronlike` a cart is pushed to the left or to the right
# at every step. Each step earns a reward of one, until the pole leans too far, the cart
# leaves its track, or 500 steps are over. A network gives $Q(s, a)$, the return to be
# expected from state $s$ after action $a$; the agent takes the action of greatest $Q$.
# Five were pretrained, from five seeds, and their weights ship with the book; the
# command `equinb run dqn --preset small --seeds 0-4` makes them again.

# %%
agents = [rl.load_q_network(seed=k) for k in rl.SEEDS]
q = agents[0]
print(q)
print(sum(p.numel() for p in q.parameters()), "parameters")

# %% [markdown]
# Each file carries a card that says how it was made.

# %%
_, card = lab.load_weights("dqn/cartpole-q-seed0.safetensors")
card

# %% [markdown]
# Let each play the same 200 episodes, and look at how they end. Nothing in the task
# prefers a side of the track: the start is random around the middle. Predict first.

# %%
played = [rl.rollout(agent, episodes=200) for agent in agents]


def sides(ends):
    position = ends[:, 0]
    return (position < -2.4).mean(), (position > 2.4).mean()


for k, episodes in enumerate(played):
    left, right = sides(episodes.ends)
    print(f"seed {k}: off to the left {left:4.0%}, to the right {right:4.0%}")

# %% tags=["hide-cell"]
ends = [sides(episodes.ends) for episodes in played]
assert all(min(pair) < 0.02 for pair in ends)
assert sum(max(pair) > 0.9 for pair in ends) == 4

# %% [markdown]
# Each agent balances the pole and drifts, and where it leaves the track it does so on one
# side. Which side is an accident of its seed. An agent that knew the mirror image of what
# it has learned would have no side.
#
# ## The mirror as a pair of actions
#
# > "[...] we apply equizero and equitune on top of pretrained models inspired from the
# > group symmetries found in van der Pol et al. (2020)." {cite:p}`basu2023efficient`
#
# In plain words: walk around the track and look from behind. Position, angle and both
# velocities change sign, left and right swap. The {term}`group` is $C_2$; it acts on
# states by a sign and on Q-values by a swap {cite:p}`vanderpol2020mdp`.

# %%
G = eq.cyclic(2)
state = eq.SignedPermutation(G, None, [[1] * 4, [-1] * 4])
action = eq.Permutation(G, [[0, 1], [1, 0]])

s = torch.randn(1000, 4) * torch.tensor([1.2, 1.0, 0.1, 1.0])
print(eq.check_action(state, s))
print(eq.check_action(action, torch.randn(1000, 2)))

# %% [markdown]
# That these are actions says nothing about the environment yet. Does it commute with
# them? Put a thousand copies of it into random states, push, and compare with the
# mirrored states, pushed the other way.

# %%
envs = gymnasium.make_vec(rl.CARTPOLE, num_envs=1000)


def step(s, a):
    envs.reset(seed=0)
    envs.unwrapped.state = s.double().numpy().T
    after, reward, ended, _, _ = envs.step(a.numpy())
    outcome = torch.tensor(list(zip(reward, ended)))
    return torch.as_tensor(after), outcome


# %%
a = torch.randint(2, (1000,))
after, outcome = step(s, a)
mirrored, same = step(state("r", s), 1 - a)
assert torch.equal(mirrored, state("r", after))
assert torch.equal(same, outcome)
ending = outcome[:, 1].mean()
print(f"equal bit for bit; {ending:.0%} of the steps end an episode")

# %% [markdown]
# In all these steps the dynamics and the ends are symmetric, as the equations of the cart
# and pole say, and every step is worth one. (The limit of 500 steps is no part of the
# state; we leave it out.) The best Q function is then symmetric too:
#
# :::{prf:proposition} A symmetric task has an equivariant optimal Q function
# :label: prop-symmetric-q
#
# Let steps, rewards and ends satisfy $\mathrm{step}(gs, ga) = g\,\mathrm{step}(s, a)$,
# $r(gs, ga) = r(s, a)$ and $d(gs, ga) = d(s, a)$, where $g$ permutes the actions, rewards
# are bounded, and $d$ is one where the episode ends and zero elsewhere. Then $Q^*(gs, ga) = Q^*(s, a)$.
# :::
#
# :::{prf:proof}
# Value iteration starts from $Q_0 = 0$, which is symmetric, and repeats
# $Q_{n+1}(s, a) = r(s, a) + \gamma \, (1 - d(s, a)) \max_{a'} Q_n(\mathrm{step}(s, a), a')$. If $Q_n$ is
# symmetric, so is $Q_{n+1}$: at $(gs, ga)$ the reward is the same, the next state is
# $g$ times the old one, and the maximum over $a'$ is that over $ga'$. For $\gamma < 1$
# the iteration converges to $Q^*$, and limits of symmetric functions are symmetric.
# $\blacksquare$
# :::
#
# An agent that is not equivariant is therefore wrong somewhere. How far off are ours,
# in the states that they visit?

# %%
for k, (agent, episodes) in enumerate(zip(agents, played)):
    seen = torch.as_tensor(episodes.visited[::20])
    error = eq.check_equivariance(agent, state, action, seen).error
    chosen = agent(seen).argmax(-1)
    same = (agent(state("r", seen)).argmax(-1) == chosen).float().mean()
    print(f"seed {k}: error {error:.2f}, same push in the mirror {same:.0%}")

# %% [markdown]
# The error is relative to the greatest Q-value. A mirrored state asks for the opposite
# push every time; these agents often give the same one.
#
# Their Q-values also suggest why they leave the track. By default, stable-baselines3
# renews the target network of a DQN every 10,000 steps, so ten times in our pretraining, and each renewal
# lets the agent look one step further ahead.

# %%
for k, (agent, episodes) in enumerate(zip(agents, played)):
    greatest = agent(torch.as_tensor(episodes.visited[::20])).amax(-1)
    print(f"seed {k}: greatest Q on average {greatest.mean():.1f}")
print(f"ten rewards, discounted: {sum(0.99**n for n in range(10)):.1f}")

# %% [markdown]
# An agent that counts ten rewards ahead cannot see the end of the track from the middle.
# All it could do there is not to drift, and nobody taught it that.
#
# ## Equitune and equizero for Q-values
#
# > "We find that equitune outperforms non-equivariant pretrained models but equizero
# > outperforms both." {cite:p}`basu2023efficient`
#
# In plain words: ask the agent about the state and about its mirror image, swap the
# second answer back, and take the mean (equitune) or the view that promises the greatest
# return (equizero).
#
# $$
# Q_G(s, \cdot) = \frac{1}{|G|} \sum_{g \in G} g^{-1} Q(gs, \cdot)
# $$ (eq-q-equitune)
#
# $$
# \begin{aligned}
# Q_G^0(s, \cdot) &= g_*^{-1} Q(g_* s, \cdot) \\
# g_* &= \arg\max_{g \in G} \, \max_a Q(gs, a)
# \end{aligned}
# $$ (eq-q-equizero)


# %%
def equitune(s):
    answers = [action(G.inverse(g), q(state(g, s))) for g in range(2)]
    return torch.stack(answers).mean(0)


# %%
def equizero(s):
    answers = [action(G.inverse(g), q(state(g, s))) for g in range(2)]
    answers = torch.stack(answers)
    best = answers.amax(-1).argmax(0)  # a swap leaves the maximum as it is
    return answers[best, torch.arange(len(s))]


# %% [markdown]
# The package says the same, and asks the network once for all views.

# %%
f1 = eq.Equitune(q, state, action)
f0 = eq.Equizero(q, state, action, loss=eq.losses.neg_max_q)

torch.testing.assert_close(f1(seen), equitune(seen))
agree = torch.isclose(f0(seen), equizero(seen), atol=1e-4).all(-1)
print(f"equizero agrees on {agree.double().mean():.2%} of {len(seen)} states")

# %% [markdown]
# Where it does not, the two views {term}`tie`: the package averages them, our lines keep
# the first. The state that matters is $s = 0$, the pole upright and all at rest. It is
# its own mirror image, so both views always tie there.

# %%
rest = torch.zeros(1, 4)
print("pretrained", q(rest).numpy())
print("our lines ", equizero(rest).numpy())
print("package   ", f0(rest).numpy())

# %%
print(eq.check_equivariance(equizero, state, action, rest))
print(eq.check_equivariance(f0, state, action, rest))

# %% [markdown]
# At rest the two actions are worth the same, and an equivariant Q function says so. One
# argmin alone does not ([](03_equivariance.ipynb) shows the failure and the repair). Now the
# report for all agents, both methods and two precisions, with $s = 0$ in the batch:

# %%
for dtype in (torch.float32, torch.float64):
    x = torch.cat([seen, rest]).to(dtype)
    for method in ("equitune", "equizero"):
        errors = []
        for k in rl.SEEDS:
            agent = rl.load_q_network(seed=k).to(dtype)
            f = rl.symmetrize(agent, state, action, method)
            report = eq.check_equivariance(f, state, action, x)
            errors.append(report.error)
            assert report.passed
        print(f"{method}, {dtype}: greatest error {max(errors):.0e}")

# %% [markdown]
# ## Does it help?
#
# > "We find that equituning performs better than non-equivariant models and equizero
# > outperform both of them. The results are over five seeds."
# > {cite:p}`basu2023efficient`
#
# In plain words: the paper reports an order of three methods. Here each of our agents
# plays the same 200 start states under each of them, live.

# %%
METHODS = ["pretrained", "equitune", "equizero"]


def play(agent, method):
    f = rl.symmetrize(agent, state, action, method)
    return rl.rollout(f, episodes=200)


# %%
plays = {m: [play(agent, m) for agent in agents] for m in METHODS}
returns = {m: [p.returns.mean() for p in plays[m]] for m in METHODS}
returns = pd.DataFrame(returns).rename_axis("seed")
returns.round(1)

# %% [markdown]
# The agents differ among themselves, so an interval for the mean of five is wide:


# %%
lab.intervals(returns).round(1)

# %% [markdown]
# These are means over seeds, with an interval by Student's $t$ (its confidence is the
# default of `mean_interval`, 0.95). They overlap, and that says little: the same agent
# stands in every column. The question is by how much *it*
# gains. So take the difference for each agent first, and the interval after.

# %%
pairs = [
    ("equitune", "pretrained"),
    ("equizero", "pretrained"),
    ("equizero", "equitune"),
]
gains = lab.paired_gains(returns, pairs)
gains.round(1)

# %% tags=["hide-cell"]
assert (gains["mean"].iloc[:2] > 50).all()
assert ((gains["low"] < 0) & (gains["high"] > 0)).all()
assert (returns.idxmax(axis=1) == "pretrained").sum() == 1
assert returns["pretrained"].idxmax() == 3
assert abs(gains["mean"].iloc[2]) < 10

# %% mystnb={"figure": {"name": "fig-cartpole", "caption": "Return on CartPole-v1. A line is one pretrained agent under the three methods, a mean over 200 episodes with the same start states. Large marks: mean over the five agents, with its interval (Student's t, confidence 0.95)."}, "image": {"alt": "Four of five lines rise from pretrained to equitune, the highest one falls; from equitune to equizero one rises and four fall a little."}}
plots.by_method(plt.gca(), returns)
plt.gca().set(ylabel="return", ylim=(0, 520))
for method in ("equitune", "equizero"):
    assert (returns[method] > returns["pretrained"]).sum() == 4

# %% [markdown]
# On average both methods are far ahead. But the agent that was best to begin with loses by
# either, and one such agent among five is enough for all three intervals to hold zero: on
# this environment five seeds settle neither sentence of the paper. (The next page has
# more seeds, and more environments.) Between equizero and equitune there is next to no
# difference here.
#
# The same returns are stored with the book. How old are they, and do they agree?

# %%
rows, made = lab.load_result("dqn-small")
print(made)

# %%
use = rl.TASKS[rl.CARTPOLE].ours.use
rows = rows[(rows.environment == rl.CARTPOLE) & (rows.steps == use)]
stored = rows.pivot(index="seed", columns="method", values="mean_return")
gap = (stored[METHODS] - returns).abs().max().max()
print(f"greatest difference of a return to the stored one: {gap:.2f}")

# %% [markdown]
# ## Why it helps
#
# Follow the carts of one agent under the three methods.

# %% mystnb={"figure": {"name": "fig-drift", "caption": "Position of the cart over 25 episodes of the agent of seed 1. Dotted: the ends of the track."}, "image": {"alt": "Under the pretrained agent all carts drift to one side and leave the track there. Under equitune and equizero they spread to both sides, and their episodes last longer."}}
figure, axes = plt.subplots(3, sharex=True, figsize=(5.2, 5.6))
for ax, method in zip(axes, METHODS):
    f = rl.symmetrize(agents[1], state, action, method)
    episodes = rl.rollout(f, episodes=25)
    colour = plots.METHOD_STYLE[method]["color"]
    for i, length in enumerate(episodes.lengths):
        path = episodes.states[: length + 1 : 6, i, 0]
        ax.plot(range(0, length + 1, 6), path, color=colour, lw=0.8)
    ax.set(title=method, ylim=(-2.6, 2.6), xlim=(0, 500))
    for edge in (-2.4, 2.4):
        ax.axhline(edge, ls=":", color="0.5")
axes[1].set_ylabel("position (m)")
_ = axes[2].set_xlabel("step")

# %%
ends = {}
for method in ("equitune", "equizero"):
    for k, episodes in enumerate(plays[method]):
        whole = (episodes.lengths == 500).mean()
        ends[method, k] = *sides(episodes.ends), whole
ends = pd.DataFrame(ends, index=["left", "right", "not over"]).T
assert (ends["left"] - ends["right"]).abs().max() < 0.25
ends.map("{:.0%}".format)

# %% [markdown]
# The side is gone: what leaves the track leaves it on both sides alike. The other
# episodes end with a fallen pole, or are not over after 500 steps. Symmetry
# did not teach the agents where the track ends; it took the drift away.
#
# Then how much is owed to the *choice* of the view? Two controls tell: a view drawn
# at random in every step, and the view of the *least* promise. The second is one line,
# the first a weighting of our own.


# %%
class RandomView(eq.Weighting):
    def forward(self, orbit):
        scores = torch.rand(orbit.features.shape[:2])
        return scores, (scores == scores.amin(0)).float()


def max_q(values):
    return values.amax(-1)


# %%
controls = {
    "random view": lambda q: eq.Symmetrized(q, state, action, RandomView()),
    "least Q": lambda q: eq.Equizero(q, state, action, loss=max_q),
}
for name, control in controls.items():
    returns[name] = [rl.evaluate(control(agent)).mean() for agent in agents]
returns["equizero - random"] = returns["equizero"] - returns["random view"]
lab.intervals(returns).round(1)

# %% tags=["hide-cell"]
better = returns["random view"] > returns["pretrained"]
assert better.sum() == 4
assert (returns["equizero - random"] > 0).sum() >= 3
assert (returns["least Q"] < returns["random view"]).sum() >= 4
gain = returns.mean() - returns["pretrained"].mean()
assert gain["random view"] > gain["equizero"] / 2

# %% [markdown]
# A random view helps the same agents that equizero helps: it takes the side away on
# average, without any judgement, and that is most of the gain. The greatest Q does better
# than chance for most agents (the last row has the interval of its lead), the least Q
# worse for most. So the Q-values are a fair {term}`proxy loss` here, and about as good as
# the plain average.
#
# ## What equizero chooses
#
# Which view does it follow, step by step? Here for the agent of seed 2.

# %%
f0 = eq.Equizero(agents[2], state, action, loss=eq.losses.neg_max_q)
episode = rl.rollout(f0, episodes=1)
visited = torch.as_tensor(episode.visited[:150])
_, orbit = f0(visited, return_orbit=True)
m = orbit.weights[1] > orbit.weights[0]
print(f"the mirrored view in {m.double().mean():.0%} of {len(m)} steps")

# %% mystnb={"figure": {"name": "fig-choice", "caption": "Angle of the pole in the first 150 steps of one episode under equizero (seed 2). Orange triangles: the mirrored view was followed. Grey circles: the view as it is."}, "image": {"alt": "The pole swings to and fro. While it swings one way equizero follows the view as it is, while it swings back the mirrored view."}}
angle, steps = visited[:, 2].rad2deg(), torch.arange(150)
look = plots.METHOD_STYLE
plt.plot(angle, color="0.7", lw=1)
plt.scatter(steps[~m], angle[~m], s=16, **look["pretrained"], label="as it is")
plt.scatter(steps[m], angle[m], s=16, **look["equizero"], label="mirrored")
plt.gca().set(xlabel="step", ylabel="angle (degrees)", ylim=(-4, 5.5))
_ = plt.legend(ncols=2, loc="upper right")

# %%
swings = torch.where(m, -visited[:, 3], visited[:, 3])
one_way = (swings < 0).double().mean()
print(f"in the view that is followed, one way in {one_way:.0%} of the steps")
assert one_way > 0.8

# %% [markdown]
# Equizero is a {term}`canonicalisation` by construction: each state and its mirror image
# are read through one view. In these steps that is mostly the view in which the pole
# swings one way. Over whole episodes, and for all agents?

# %%
for k, agent in enumerate(agents):
    f = rl.symmetrize(agent, state, action, "equizero")
    visited = torch.as_tensor(rl.rollout(f, episodes=10).visited[::5])
    _, orbit = f(visited, return_orbit=True)
    swings = (orbit.weights[1] > 0.5) == (visited[:, 3] < 0)
    one_way = swings.double().mean()
    print(f"seed {k}: {max(one_way, 1 - one_way):.0%}")
    assert 0.2 < one_way < 0.8

# %% [markdown]
# The preference is weaker there, and each agent has its own.
#
# And this is how it looks, drawn by the environment:

# %% mystnb={"figure": {"name": "fig-strip", "caption": "The agent of seed 1 from one start state, every 83 steps: as pretrained (above) and under equizero (below). The picture marked *over* shows the end of the episode."}, "image": {"alt": "Above, the cart wanders to one side until it leaves the track. Below, it stays near the middle with the pole upright for the whole time shown.", "classes": "photo"}}
figure, axes = plt.subplots(2, 4, figsize=(5.2, 1.9))
reached, one = [], agents[1]
for row, method in zip(axes, ("pretrained", "equizero")):
    f = rl.symmetrize(one, state, action, method)
    episode = rl.rollout(f, episodes=1)
    shown = [min(83 * i, episode.lengths[0]) for i in range(4)]
    frames = rl.frames(episode.states[shown, 0])
    reached.append(abs(episode.states[: shown[-1] + 1, 0, 0]).max())
    for ax, frame, i in zip(row, frames, shown):
        ax.imshow(frame[180:330])
        over = i == episode.lengths[0]
        ax.set_title("over" if over else f"step {i}", size=11)
        ax.axis("off")
assert reached[0] > 2.4
assert reached[1] < 1

# %% [markdown]
# ## Any DQN of stable-baselines3
#
# Agents in use are seldom bare networks. Take a DQN of stable-baselines3
# {cite:p}`raffin2021stable`: here an untrained one that receives our weights, at home
# one of your own.

# %%
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from equinb.apps.rl.wrapper import symmetrize_dqn

# %%
net = {"net_arch": [256, 256]}
model = DQN("MlpPolicy", rl.CARTPOLE, policy_kwargs=net, buffer_size=1)
model.q_net.q_net.load_state_dict(q.state_dict())
agent = symmetrize_dqn(model, state, action, method="equizero")

# %% [markdown]
# The wrapper has the `predict` of the library, so the library's own evaluation takes
# it. The model stays as it was. (Episodes start elsewhere than ours, so the numbers
# differ from those above.)

# %%
for name, player in {"model": model, "wrapper": agent}.items():
    track = make_vec_env(rl.CARTPOLE, n_envs=20, seed=0)
    mean, std = evaluate_policy(player, track, n_eval_episodes=100)
    print(f"{name:7}: return {mean:.0f}, standard deviation {std:.0f}")

# %% [markdown]
# ## Paper and here
#
# | | paper | here |
# | --- | --- | --- |
# | environments | Gridworld, CartPole, Acrobot | CartPole-v1; the others on [the next page](12_three_environments.ipynb) |
# | algorithm | DQN of stable-baselines3 | the same, at the version on the card above |
# | network | "the default architecture [...] with 103k parameters" | two hidden layers of 256 units, our choice: no default of the library has 103k parameters here, and the paper's network is not known to us |
# | learning rate | 1e-4 | 1e-4 |
# | steps | 100k, the best of 50k to 100k for one seed | 100k, no selection |
# | all else | not stated in the main part | the library's defaults |
# | seeds | five | five |
# | evaluation | not stated in the main part (its appendices were not available to us) | 200 episodes an agent, the same start states for every method |
# | equizero | one view | all views that tie |
# | Fig. 2 (b) | paper's value not available | {numref}`fig-cartpole` |
# | finding | "equituning performs better than non-equivariant models and equizero outperform both" | both are far ahead of the pretrained agent on average, but not for every agent; with five seeds neither lead is certain, and their order is open |
#
# ## Pitfalls
#
# - **Equivariant Q-values, a policy that is not.** At $s = 0$ both actions are worth the
#   same, and `argmax` takes the first. No deterministic policy can mirror a state that
#   is its own mirror image.
# - **The greatest Q is not the truest.** Equizero follows the view that promises most,
#   which need not be the better one. Run the controls above on your agent.
# - **Many episodes do not replace seeds.** They make the mean of *one* agent precise. The
#   interval of a method is over agents.
# - **The task must have the symmetry.** The operator makes any network symmetric, also
#   where the task is not. Check the environment first, as above.
#
# ## Recap
#
# - A sign on states and a swap on Q-values: CartPole commutes with the pair, bit for bit.
# - The pretrained agents do not, and each drifts to a side of its own.
# - Equitune and equizero are a few lines each, equal to the package, and equivariant at
#   $s = 0$ only if ties are averaged.
# - Paired over agents, both gain on average and the best agent loses; most of the gain
#   comes without a choice of view, and the order of the two is open.
# - `symmetrize_dqn` serves any DQN of stable-baselines3.
#
# ## Exercises
#
# :::{exercise} Half a symmetry
# :label: ex-half-symmetry
#
# Mirror the state and forget to swap the answer back. What does equitune become, and
# what does it cost?
# :::
#
# :::{solution-start} ex-half-symmetry
# :class: dropdown
# :::

# %%
kept = eq.Trivial(G)
half = [rl.evaluate(eq.Equitune(f, state, kept)).mean() for f in agents]
print("without the swap", [f"{r:.0f}" for r in half])
print(eq.check_equivariance(eq.Equitune(q, state, kept), state, kept, s))
assert max(half) < returns["pretrained"].min()

# %% [markdown]
# It becomes *invariant*: the same push for a pole that leans left and one that leans
# right. The report passes, for the wrong pair of actions. Only the check on the
# environment shows which pair is right.
#
# :::{solution-end}
# :::
#
# :::{exercise} A task without the symmetry
# :label: ex-mountain-car
#
# In MountainCar-v0 a car in a valley is pushed left, not at all, or right. Is it
# symmetric about position zero? About the bottom of the valley, at $-\pi/6$?
# :::
#
# :::{solution-start} ex-mountain-car
# :class: dropdown
# :::

# %%
car = gymnasium.make("MountainCar-v0").unwrapped


def drive(position, velocity, push):
    car.reset(seed=0)
    car.state = position, velocity
    (x, v), _, ended, _, _ = car.step(push)
    return torch.tensor([x, v]), ended


# %%
def mismatch(about, position):
    after, ended = drive(position, 0.01, 2)
    mirrored, also = drive(2 * about - position, -0.01, 0)
    back = torch.stack([2 * about - mirrored[0], -mirrored[1]])
    return f"off by {(back - after).abs().max():.0e}, ends {ended} and {also}"


bottom = -torch.pi / 6
for about, position in [(0, -0.4), (bottom, -0.4), (bottom, 0.15)]:
    found = mismatch(about, position)
    print(f"about {about:5.2f}, from {position:5.2f}: {found}")

# %% [markdown]
# About zero: no, the valley is not there. About the bottom the slope is symmetric, but
# the wall on the left has no counterpart, and the mirror image of the goal lies outside
# the track. An agent made symmetric here would be told that the goal is worth as much as
# the wall.
#
# :::{solution-end}
# :::
#
# :::{exercise} Between the two
# :label: ex-q-temperature
#
# Weights $w_g \propto e^{\max_a Q(gs, a) / \tau}$ lead from equizero ($\tau \to 0$) to
# equitune ($\tau \to \infty$). Plot the return along the path.
# :::
#
# :::{solution-start} ex-q-temperature
# :class: dropdown
# :::


# %%
def softmax_q(q, tau):
    def log_lambda(values):
        return values.amax(-1) / tau

    return eq.LambdaEquitune(q, state, action, log_lambda, of="outputs")


# %%
taus = torch.logspace(-3, 1, 5).tolist()
path = [
    [rl.evaluate(softmax_q(f, tau), episodes=50).mean() for tau in taus]
    for f in agents
]

# %% mystnb={"figure": {"name": "fig-q-temperature", "caption": "Return from equizero (left) to equitune (right), a line an agent, by the temperature of the weights."}, "image": {"alt": "Each of the five lines leads from its return under equizero to its return under equitune."}}
for k, line in enumerate(path):
    plt.semilogx(taus, line, marker=".", color="0.4")
    plt.text(1.3 * taus[-1], line[-1], f"seed {k}", va="center", size=10)
plt.gca().set(xlabel="temperature", ylabel="return", ylim=(0, 520))
for end, method in [(0, "equizero"), (-1, "equitune")]:
    reached = torch.tensor([line[end] for line in path])
    wanted = torch.tensor(returns[method].values)
    torch.testing.assert_close(reached, wanted, rtol=0.15, atol=0)

# %% [markdown]
# Some lines rise and some fall: no end of the path is best for every agent.
#
# :::{solution-end}
# :::
#
# :::{exercise} Unusual starts
# :label: ex-unusual-starts
#
# Episodes begin with all four numbers within 0.05 of zero. Widen that. Does symmetry
# still help?
# :::
#
# :::{solution-start} ex-unusual-starts
# :class: dropdown
# :::

# %%
wide = {}
for width in (0.05, 0.1, 0.2):
    start = {"low": -width, "high": width}
    fs = [rl.symmetrize(q, state, action, method) for method in METHODS]
    wide[width] = [rl.evaluate(f, start=start).mean() for f in fs]
wide = pd.DataFrame(wide, index=METHODS).round(1)
lead = wide - wide.loc["pretrained"]
assert (lead.iloc[1:] > 0).all(axis=None)
assert (lead.iloc[1:][0.2] < lead.iloc[1:][0.05] / 2).all()
wide

# %% [markdown]
# For this agent both leads melt away. One agent is an anecdote: the next page has all.
#
# :::{solution-end}
# :::
#
# ## What next
#
# [](12_three_environments.ipynb) has Acrobot, Gridworld, learned weights and the whole of
# Fig. 2. Or your own agent: name its symmetry as a pair of actions, check it on the
# environment, and wrap it. [](02_one_operator.ipynb) has the operator in general and
# [](03_equivariance.ipynb) what can break it.
