"""Deep Q-learning: the symmetry, the shipped agents, their evaluation, the wrapper."""

import copy
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

import equinb as eq
from equinb.apps import rl
from equinb.apps.rl import wrapper

STATE, ACTION = rl.cartpole_actions()
SYMMETRIZED = rl.METHODS[1:]
EACH_TASK = pytest.mark.parametrize("task", rl.TASKS.values(), ids=lambda t: t.short)


def symmetrized(method, seed=0, environment=rl.CARTPOLE, dtype=torch.float32):
    """A shipped agent under a method."""
    task = rl.TASKS[environment]
    q = rl.load_q_network(environment, seed).to(dtype)
    lam = rl.load_lambda(environment, seed).to(dtype)
    return rl.symmetrize(q, task.state, task.action, method, lam)


def visited(task, dtype=torch.float32):
    """States that a random agent visits."""
    torch.manual_seed(0)
    actions = task.action.size
    played = rl.rollout(lambda s: torch.rand(len(s), actions), task.environment, 10)
    return rl.some(played, most=300).to(dtype)


def states(dtype=torch.float32):
    """Random states, small and large, and the one that the mirror leaves as it is."""
    torch.manual_seed(0)
    scale = torch.tensor([[0.05], [0.2], [1.0], [5.0]], dtype=dtype)
    drawn = (torch.randn(4, 64, dtype=dtype) * scale).reshape(-1, 4)
    return torch.cat([drawn, torch.zeros(1, 4, dtype=dtype)])


@pytest.fixture(scope="module")
def trained():
    """A DQN that stable-baselines3 itself has trained for a few hundred steps."""
    model = DQN(
        "MlpPolicy", rl.CARTPOLE, learning_starts=50, buffer_size=500, device="cpu"
    )
    return model.learn(300)


# The symmetry.


def test_the_mirror_is_an_action():
    assert eq.check_action(STATE, states()).passed
    assert eq.check_action(ACTION, torch.randn(5, 2)).passed


def test_cartpole_is_symmetric():
    """step(gs, ga) = g step(s, a), bit for bit, and the same end of the episode."""
    env = gymnasium.make(rl.CARTPOLE).unwrapped
    ends = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        start = rng.uniform(-1, 1, 4) * [2.6, 3.0, 0.24, 3.0]
        a = int(rng.integers(2))
        after, ended = [], []
        for sign, act in ((1, a), (-1, 1 - a)):
            env.reset(seed=0)
            env.state = sign * start
            with np.errstate(all="raise"):
                state, _, end, _, _ = env.step(act)
            after.append(sign * state)
            ended.append(end)
        np.testing.assert_array_equal(*after)
        assert ended[0] == ended[1]
        ends += ended[0]
    assert 0 < ends < 300


def test_acrobot_is_symmetric():
    """The same, for Acrobot: its equations are odd in angles, velocities and torque."""
    state, action = rl.acrobot_actions()
    env = gymnasium.make(rl.ACROBOT).unwrapped
    ends = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        start = rng.uniform(-1, 1, 4) * [3.1, 3.1, 4.0, 9.0]
        a = int(rng.integers(3))
        mirrored = int(action("r", torch.eye(3)[a][None]).argmax())
        after, ended = [], []
        for sign, act in ((1, a), (-1, mirrored)):
            env.reset(seed=0)
            env.state = sign * start
            seen, _, end, _, _ = env.step(act)
            after.append(torch.from_numpy(seen)[None])
            ended.append(end)
        torch.testing.assert_close(state("r", after[0]), after[1], rtol=0, atol=1e-5)
        assert ended[0] == ended[1]
        ends += ended[0]
    assert 0 < ends < 300


@EACH_TASK
def test_every_task_has_a_pair_of_actions(task):
    x = visited(task)
    assert x.shape[1:] == task.shape
    assert eq.check_action(task.state, x).passed
    assert eq.check_action(task.action, torch.randn(5, task.action.size)).passed
    env = gymnasium.make(task.environment)
    assert env.observation_space.shape == task.shape
    assert env.action_space.n == task.action.size


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", SYMMETRIZED)
@pytest.mark.parametrize("seed", rl.SEEDS)
@EACH_TASK
def test_symmetrized_agents_are_equivariant(task, seed, method, dtype):
    q = symmetrized(method, seed, task.environment, dtype)
    x = visited(task, dtype)
    if task.environment == rl.CARTPOLE:
        x = torch.cat([x, states(dtype)])
    assert eq.check_equivariance(q, task.state, task.action, x).passed


@pytest.mark.parametrize("seed", rl.SEEDS)
@EACH_TASK
def test_pretrained_agents_are_not(task, seed):
    q, x = rl.load_q_network(task.environment, seed), visited(task)
    assert eq.check_equivariance(q, task.state, task.action, x).error > 0.01
    assert rl.asymmetry(q, task.state, task.action, x) > 0.02


def test_asymmetry_is_the_share_that_equitune_removes():
    """Q = symmetric + c antisymmetric, with what decides between actions known."""
    x = torch.randn(2000, 4)

    def q(s):
        symmetric = s[:, :1] * torch.tensor([1.0, -1.0])  # q(-s) swapped is the same
        fault = 0.5 * torch.ones(1, 2) * torch.tensor([1.0, -1.0])
        return symmetric + fault

    expected = 0.5 / (x[:, 0] + 0.5).square().mean().sqrt()
    assert rl.asymmetry(q, STATE, ACTION, x) == pytest.approx(float(expected), rel=1e-4)
    even = eq.Equitune(q, STATE, ACTION)
    assert rl.asymmetry(even, STATE, ACTION, x) < 1e-6


@pytest.mark.parametrize("method", SYMMETRIZED)
def test_the_tie_at_rest(method):
    q = symmetrized(method)
    values, orbit = q(torch.zeros(1, 4), return_orbit=True)
    assert values[0, 0] == values[0, 1]
    torch.testing.assert_close(orbit.weights, torch.full((2, 1), 0.5))


def test_equizero_follows_the_view_of_greatest_q():
    model = rl.load_q_network(seed=1)
    q = rl.symmetrize(model, STATE, ACTION, "equizero")
    x = states()[:-1]
    plain, mirrored = model(x), model(-x).flip(-1)
    first = plain.amax(-1) > mirrored.amax(-1)
    clear = (plain.amax(-1) - mirrored.amax(-1)).abs() > 0.01
    expected = torch.where(first[:, None], plain, mirrored)
    torch.testing.assert_close(q(x)[clear], expected[clear])
    assert clear.float().mean() > 0.9


def test_unknown_method():
    with pytest.raises(ValueError, match="must be one of pretrained, equitune"):
        rl.symmetrize(rl.load_q_network(), STATE, ACTION, "equiplus")


# The shipped agents.


@EACH_TASK
def test_shipped_networks_have_the_stated_width(task):
    for seed in rl.SEEDS:
        net = rl.load_q_network(task.environment, seed)
        widths = [layer.out_features for layer in net if hasattr(layer, "out_features")]
        assert widths == [task.ours.width, task.ours.width, task.action.size]
        assert rl.load_lambda(task.environment, seed)(visited(task)).shape[1:] == (1,)


def test_loading_needs_no_stable_baselines3():
    code = (
        "import sys; sys.modules['stable_baselines3'] = None\n"
        "from equinb.apps import rl\n"
        "print(rl.evaluate(rl.load_q_network(), episodes=2).min() > 0)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.parametrize(
    ("environment", "seed", "says"),
    [
        (
            "CartPole-v0",
            0,
            "no agents for 'CartPole-v0'; there are some for CartPole-v1",
        ),
        (rl.CARTPOLE, 5, "no agent of seed 5; the seeds are"),
    ],
)
def test_unknown_agents(environment, seed, says):
    with pytest.raises(ValueError, match=says):
        rl.load_q_network(environment, seed)


# Evaluation.


def test_same_seed_same_returns():
    q = rl.load_q_network()
    first = rl.evaluate(q, episodes=20, seed=3)
    np.testing.assert_array_equal(first, rl.evaluate(q, episodes=20, seed=3))
    assert (first != rl.evaluate(q, episodes=20, seed=4)).any()


def test_all_methods_start_alike():
    seen = []

    def watched(q):
        def call(x):
            seen.append(x.clone())
            return q(x)

        return call

    starts = []
    for method in rl.METHODS:
        seen.clear()
        rl.evaluate(watched(symmetrized(method)), episodes=8)
        starts.append(seen[0])
    for start in starts[1:]:
        assert torch.equal(starts[0], start)


def test_a_return_is_the_length_of_the_first_episode_alone():
    """Vectorised returns against one plain episode at a time."""
    q = rl.load_q_network(seed=2)
    starts = []

    def watched(x):
        starts.append(x.numpy().copy())
        return q(x)

    returns = rl.evaluate(watched, episodes=4)
    env = gymnasium.make(rl.CARTPOLE)
    for start, expected in zip(starts[0], returns, strict=True):
        env.reset(seed=0)
        env.unwrapped.state = start.astype(np.float64)
        state, total, done = start, 0.0, False
        while not done:
            action = int(q(torch.as_tensor(state)[None]).argmax())
            state, reward, ended, cut, _ = env.step(action)
            total, done = total + reward, ended or cut
        # The start state was rounded to float32 on its way here.
        assert total == pytest.approx(expected, rel=0.05)


def test_mirrored_starts_give_mirrored_episodes():
    q = rl.symmetrize(rl.load_q_network(), STATE, ACTION, "equizero")
    one = rl.evaluate(q, episodes=50, start={"low": 0.1, "high": 0.1})
    other = rl.evaluate(q, episodes=50, start={"low": -0.1, "high": -0.1})
    np.testing.assert_array_equal(one, other)


def test_other_environments_can_be_evaluated():
    right = torch.eye(3)[2:]
    returns = rl.evaluate(lambda x: right.expand(len(x), 3), "MountainCar-v0", 3)
    np.testing.assert_array_equal(returns, [-200, -200, -200])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"episodes": 0}, "at least one episode; got 0"),
        ({"environment": "Pendulum-v1"}, "need a finite set of actions; Pendulum-v1"),
        ({"environment": "MountainCar-v0"}, "linear|shape"),
    ],
)
def test_evaluate_refuses(arguments, says):
    with pytest.raises((ValueError, RuntimeError), match=says):
        rl.evaluate(rl.load_q_network(), **arguments)


def test_evaluate_refuses_other_q_values():
    with pytest.raises(
        ValueError, match=r"shape \(2, 2\) in CartPole-v1; got \(2, 3\)"
    ):
        rl.evaluate(lambda x: torch.zeros(len(x), 3), episodes=2)


def test_a_rollout_keeps_every_step():
    played = rl.rollout(rl.load_q_network(seed=1), episodes=6)
    steps, episodes = played.actions.shape
    assert played.states.shape == (steps + 1, episodes, 4)
    assert steps == played.lengths.max()
    np.testing.assert_array_equal(played.returns, played.lengths)
    assert len(played.visited) == played.lengths.sum()
    assert (abs(played.visited[:, 0]) <= 2.4).all()
    outside = (abs(played.ends[:, 0]) > 2.4) | (abs(played.ends[:, 2]) > np.pi / 15)
    np.testing.assert_array_equal(outside, played.lengths < 500)


def test_frames_of_cartpole_show_the_state():
    left, right = rl.frames(np.array([[-1, 0, 0, 0], [1, 0, 0, 0]]))
    assert left.shape == right.shape
    mirrored = right[:, ::-1].astype(int)
    # The axle is a pixel off the middle, and lines are smoothed.
    assert (abs(left - mirrored).max(-1) > 60).mean() < 0.01
    assert (left != right).any()


def test_frames_of_acrobot_show_the_state():
    up = np.array([-1, 0, 1, 0, 0, 0], dtype=np.float32)
    down = np.array([1, 0, 1, 0, 0, 0], dtype=np.float32)
    above, below = rl.frames(np.stack([up, down]), rl.ACROBOT)
    ink = [(frame < 200).any(-1).nonzero()[0].mean() for frame in (above, below)]
    assert ink[0] < ink[1]


def test_frames_of_gridworld_show_the_state():
    env = gymnasium.make(rl.GRIDWORLD, render_mode="rgb_array")
    seen, _ = env.reset(seed=0)
    np.testing.assert_array_equal(rl.frames(seen[None], rl.GRIDWORLD)[0], env.render())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", rl.METHODS)
def test_cuda_agrees_with_cpu(method):
    here = symmetrized(method)
    there = copy.deepcopy(here).cuda()
    torch.testing.assert_close(here(states()), there(states().cuda()).cpu())
    cpu = rl.evaluate(here, episodes=200).mean()
    assert rl.evaluate(there, episodes=200, device="cuda").mean() == pytest.approx(
        cpu, rel=0.1
    )


# The wrapper for stable-baselines3.


@pytest.mark.parametrize("method", SYMMETRIZED[:2])
def test_evaluate_policy_takes_the_wrapper(trained, method):
    before = copy.deepcopy(trained.policy.state_dict())
    was_training = trained.policy.training
    agent = wrapper.symmetrize_dqn(trained, STATE, ACTION, method)
    envs = make_vec_env(rl.CARTPOLE, n_envs=2, seed=0)
    mean, std = evaluate_policy(agent, envs, n_eval_episodes=6)
    assert mean >= 8
    assert np.isfinite(std)
    assert trained.policy.training == was_training
    for name, tensor in trained.policy.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_wrapper_without_a_method_is_the_model(trained):
    agent = wrapper.symmetrize_dqn(trained, STATE, ACTION, "pretrained")
    x = states().numpy()
    np.testing.assert_array_equal(
        agent.predict(x)[0], trained.predict(x, deterministic=True)[0]
    )
    one, memory = agent.predict(x[0])
    alone, _ = trained.predict(x[0], deterministic=True)
    assert (one.shape, one, memory) == (alone.shape, alone, None)


def test_the_policy_mirrors(trained):
    agent = wrapper.symmetrize_dqn(trained, STATE, ACTION)
    x = states().numpy()[:-1]
    np.testing.assert_array_equal(agent.predict(-x)[0], 1 - agent.predict(x)[0])


def test_the_copy_does_not_follow_training():
    model = DQN("MlpPolicy", rl.CARTPOLE, buffer_size=1, device="cpu")
    agent = wrapper.symmetrize_dqn(model, STATE, ACTION)
    x = states()
    before = agent.q(x)
    with torch.no_grad():
        for p in model.q_net.parameters():
            p.zero_()
    assert torch.equal(agent.q(x), before)


def test_exploration_happens_when_asked_for(trained):
    agent = wrapper.symmetrize_dqn(trained, STATE, ACTION)
    x = states().numpy()
    greedy = agent.predict(x)[0]
    always = copy.copy(trained)
    always.exploration_rate = 1.0
    explorer = wrapper.symmetrize_dqn(always, STATE, ACTION)
    drawn = explorer.predict(x, deterministic=False)[0]
    assert drawn.shape == greedy.shape
    assert (drawn != greedy).any()
    np.testing.assert_array_equal(explorer.predict(x)[0], greedy)


def test_other_models_are_refused():
    model = A2C("MlpPolicy", rl.CARTPOLE, device="cpu")
    with pytest.raises(TypeError, match="takes a DQN of stable-baselines3; got A2C"):
        wrapper.symmetrize_dqn(model, STATE, ACTION)


def test_actions_that_do_not_fit_are_refused():
    model = DQN("MlpPolicy", "MountainCar-v0", buffer_size=1, device="cpu")
    with pytest.raises(ValueError, match=r"do not fit this DQN.*4 entries.*got 2"):
        wrapper.symmetrize_dqn(model, STATE, ACTION)
    state = eq.SignedPermutation(eq.cyclic(2), None, [[1, 1], [-1, -1]])
    with pytest.raises(ValueError, match=r"do not fit this DQN.*2 entries.*got 3"):
        wrapper.symmetrize_dqn(model, state, ACTION)
    with pytest.raises(ValueError, match="of one group"):
        wrapper.symmetrize_dqn(model, state, eq.Trivial(eq.cyclic(3)))


@EACH_TASK
@pytest.mark.parametrize("method", rl.METHODS)
def test_greedy_is_the_argmax_of_the_average(task, method):
    q = symmetrized(method, 1, task.environment)
    for x in visited(task)[:200].split(1):
        np.testing.assert_array_equal(wrapper.greedy(q, x), q(x).argmax(-1).numpy())


@pytest.mark.parametrize(
    ("pair", "x"),
    [
        ((STATE, ACTION), torch.zeros(1, 4)),
        (rl.acrobot_actions(), torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.0, 0.0]])),
        (rl.gridworld_actions(), torch.zeros(1, 7, 7)),
    ],
)
def test_greedy_averages_where_views_tie(pair, x):
    """On states that are their own mirror image; a lopsided Q prefers one action."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(x[0].numel(), pair[1].size)
    ).requires_grad_(False)
    q = rl.symmetrize(net, *pair, "equizero")
    assert wrapper.greedy(q, x) == q(x).argmax(-1).numpy()
    assert int(wrapper.greedy(q, x)[0]) == int(eq.Equitune(net, *pair)(x).argmax())


@EACH_TASK
def test_one_state_and_a_batch_get_the_same_actions(task):
    """The short way of a single state, by one gather, against the operator."""
    net = {"net_arch": [task.ours.width] * 2}
    model = DQN("MlpPolicy", task.environment, policy_kwargs=net, buffer_size=1)
    shipped = rl.load_q_network(task.environment, 2).parameters()
    for old, new in zip(model.q_net.parameters(), shipped, strict=True):
        old.data.copy_(new)
    agent = wrapper.symmetrize_dqn(model, task.state, task.action)
    assert agent._moves is not None
    x = visited(task).numpy()
    one_by_one = np.array([agent.predict(state)[0] for state in x])
    np.testing.assert_array_equal(one_by_one, agent.predict(x)[0])
    assert agent.predict(x[0].tolist())[0] == one_by_one[0]
    assert agent.predict(x[0].astype(np.float64))[0] == one_by_one[0]


def test_a_group_that_mixes_entries_takes_the_long_way():
    """A third of a turn of the plane: no entry of a view is an entry of the state."""
    c, s = np.cos(2 * np.pi / 3), np.sin(2 * np.pi / 3)
    turn = np.array([[c, -s], [s, c]])
    G = eq.cyclic(3)
    powers = [np.linalg.matrix_power(turn, k) for k in range(3)]
    plane = eq.Matrix(G, [np.kron(np.eye(2), R) for R in powers])
    three = eq.Permutation(G, [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    q = rl.symmetrize(torch.nn.Linear(4, 3), plane, three, "equizero")
    assert wrapper._moves(q, (4,)) is None


@pytest.mark.parametrize("place", [0, 1])
def test_greedy_refuses_what_the_operator_refuses(place):
    def q(s):
        nan = torch.zeros(2)
        nan[place] = float("nan")
        return s[:, :2] + nan

    q = rl.symmetrize(q, STATE, ACTION, "equizero")
    with pytest.raises(ValueError, match="gave NaN or infinity"):
        wrapper.greedy(q, torch.ones(1, 4))


def test_greedy_leaves_a_head_and_other_losses_to_the_operator():
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 2).requires_grad_(False)
    loss = eq.losses.neg_max_q
    others = [
        eq.Equizero(net, STATE, ACTION, loss=loss, head=lambda y: -y),
        eq.Equizero(net, STATE, ACTION, loss=lambda y: y.amax(-1)),
        eq.Equizero(net, STATE, ACTION, loss=lambda s: s[:, 0], of="inputs"),
    ]
    for x in torch.randn(50, 4).split(1):
        for q in others:
            np.testing.assert_array_equal(wrapper.greedy(q, x), q(x).argmax(-1).numpy())


def test_states_that_are_numbers_can_be_wrapped():
    """FrozenLake: 16 places, renamed by the transpose of the map."""
    model = DQN("MlpPolicy", "FrozenLake-v1", buffer_size=1, device="cpu")
    G = eq.cyclic(2)
    transposed = np.arange(16).reshape(4, 4).T.flatten()
    place = eq.Relabel(G, [np.arange(16), transposed])
    push = eq.Permutation(G, [[0, 1, 2, 3], [3, 2, 1, 0]])
    agent = wrapper.symmetrize_dqn(model, place, push)
    for s in range(16):
        if transposed[s] != s:
            here, there = agent.predict(s)[0], agent.predict(transposed[s])[0]
            assert here == 3 - there


# Lambda for Q-values.


def one_sided(n=4000, seed=0):
    """A Q function that is right where x > 0 and random elsewhere, and its steps."""
    random = torch.Generator().manual_seed(seed)
    s = torch.randn(n, 4, generator=random)
    a = torch.randint(2, (n,), generator=random)

    def truth(s):
        return s[:, :1] * torch.tensor([1.0, -1.0])

    def q(s):
        noise = torch.sin(37 * s.sum(-1, keepdim=True)) * torch.tensor([3.0, -3.0])
        return torch.where(s[:, :1] > 0, truth(s), noise)

    # Rewards are the true values, and every step ends its episode.
    r = truth(s).gather(1, a[:, None])[:, 0]
    return q, truth, rl.Transitions(s, a, r, s, torch.ones(n))


def test_lambda_finds_the_view_to_be_trusted():
    q, _, seen = one_sided()
    lam = rl.fit_lambda(q, q, STATE, ACTION, seen)
    x = torch.randn(1000, 4, generator=torch.Generator().manual_seed(1))
    clear = x[:, 0].abs() > 0.3
    trusted = (lam(x) > lam(-x))[:, 0]
    assert (trusted == (x[:, 0] > 0))[clear].float().mean() > 0.97
    errors = {
        method: rl.td_error(
            rl.symmetrize(q, STATE, ACTION, method, lam), seen.rewards, seen
        )
        for method in rl.METHODS
    }
    assert errors["lambda-equitune"] < errors["equitune"] / 5
    assert errors["lambda-equitune"] < errors["pretrained"] / 5
    f = rl.symmetrize(q, STATE, ACTION, "lambda-equitune", lam)
    assert rl.effective_views(f, x[clear]) < 1.5


def test_training_lambda_touches_nothing_else():
    q = rl.load_q_network()
    before = copy.deepcopy(q.state_dict())
    _, _, seen = one_sided(100)
    random = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002 - global
    rl.fit_lambda(q, q, STATE, ACTION, seen, steps=3)
    assert torch.equal(random[0], torch.get_rng_state())
    np.testing.assert_array_equal(random[1], np.random.get_state()[1])  # noqa: NPY002
    for name, tensor in q.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_seed_decides_lambda():
    q, _, seen = one_sided(200)
    first, same, other = (
        rl.fit_lambda(q, q, STATE, ACTION, seen, steps=5, seed=seed)[1].weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_targets_stop_at_the_end_of_an_episode():
    s = torch.zeros(2, 4)
    seen = rl.Transitions(
        s, torch.tensor([0, 0]), torch.ones(2), s, torch.tensor([0, 1])
    )
    goal = rl.targets(lambda s: torch.tensor([[1.0, 2.0]]).expand(len(s), 2), seen)
    torch.testing.assert_close(goal, torch.tensor([1 + 0.99 * 2, 1.0]))


def test_lambda_equitune_asks_for_lambda():
    with pytest.raises(ValueError, match="needs lam, a net from views to log lambda"):
        rl.symmetrize(rl.load_q_network(), STATE, ACTION, "lambda-equitune")
