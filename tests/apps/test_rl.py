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
from equinb.apps.rl import __main__, agents, sb3
from equinb.lab import load_result

STATE, ACTION = rl.cartpole_actions()
SYMMETRIZED = rl.METHODS[1:]


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", SYMMETRIZED)
@pytest.mark.parametrize("seed", rl.SEEDS)
def test_symmetrized_agents_are_equivariant(seed, method, dtype):
    q = rl.symmetrize(rl.load_q_network(seed=seed).to(dtype), STATE, ACTION, method)
    assert eq.check_equivariance(q, STATE, ACTION, states(dtype)).passed


@pytest.mark.parametrize("seed", rl.SEEDS)
def test_pretrained_agents_are_not(seed):
    q = rl.load_q_network(seed=seed)
    assert eq.check_equivariance(q, STATE, ACTION, states()).error > 0.01


@pytest.mark.parametrize("method", SYMMETRIZED)
def test_the_tie_at_rest(method):
    q = rl.symmetrize(rl.load_q_network(), STATE, ACTION, method)
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


def test_shipped_networks_are_what_the_page_says():
    sizes = {
        sum(p.numel() for p in rl.load_q_network(seed=seed).parameters())
        for seed in rl.SEEDS
    }
    assert sizes == {67_586}


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
        q = rl.symmetrize(rl.load_q_network(), STATE, ACTION, method)
        rl.evaluate(watched(q), episodes=8)
        starts.append(seen[0])
    assert torch.equal(starts[0], starts[1])
    assert torch.equal(starts[0], starts[2])


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


def test_frames_show_the_state():
    left, right = rl.cartpole_frames(np.array([[-1, 0, 0, 0], [1, 0, 0, 0]]))
    assert left.shape == right.shape
    mirrored = right[:, ::-1].astype(int)
    # The axle is a pixel off the middle, and lines are smoothed.
    assert (abs(left - mirrored).max(-1) > 60).mean() < 0.01
    assert (left != right).any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", rl.METHODS)
def test_cuda_agrees_with_cpu(method):
    model = rl.load_q_network()
    here = rl.symmetrize(model, STATE, ACTION, method)
    there = rl.symmetrize(copy.deepcopy(model).cuda(), STATE, ACTION, method)
    torch.testing.assert_close(here(states()), there(states().cuda()).cpu())
    cpu = rl.evaluate(here, episodes=200).mean()
    assert rl.evaluate(there, episodes=200, device="cuda").mean() == pytest.approx(
        cpu, rel=0.1
    )


# The stored result.


def test_the_stored_result_is_complete():
    rows, provenance = load_result(rl.RESULT)
    assert len(rows) == len(rl.SEEDS) * len(rl.METHODS)
    assert set(rows["method"]) == set(rl.METHODS)
    assert (rows["episodes"] >= 100).all()
    assert provenance.seeds == list(rl.SEEDS)


@pytest.mark.parametrize("seed", [0, 3])
def test_shipped_weights_give_the_stored_rows(seed):
    rows, provenance = load_result(rl.RESULT)
    again = rl.compare(seeds=[seed], episodes=provenance.config["episodes"])
    stored = rows[rows["seed"] == seed].to_dict("records")
    for now, then in zip(again, stored, strict=True):
        assert now["method"] == then["method"]
        assert now["mean_return"] == pytest.approx(then["mean_return"], rel=0.01)


# The wrapper for stable-baselines3.


@pytest.mark.parametrize("method", SYMMETRIZED)
def test_evaluate_policy_takes_the_wrapper(trained, method):
    before = copy.deepcopy(trained.policy.state_dict())
    was_training = trained.policy.training
    agent = sb3.symmetrize_dqn(trained, STATE, ACTION, method)
    envs = make_vec_env(rl.CARTPOLE, n_envs=2, seed=0)
    mean, std = evaluate_policy(agent, envs, n_eval_episodes=6)
    assert mean >= 8
    assert np.isfinite(std)
    assert trained.policy.training == was_training
    for name, tensor in trained.policy.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_wrapper_without_a_method_is_the_model(trained):
    agent = sb3.symmetrize_dqn(trained, STATE, ACTION, "pretrained")
    x = states().numpy()
    np.testing.assert_array_equal(
        agent.predict(x)[0], trained.predict(x, deterministic=True)[0]
    )
    one, memory = agent.predict(x[0])
    alone, _ = trained.predict(x[0], deterministic=True)
    assert (one.shape, one, memory) == (alone.shape, alone, None)


def test_the_policy_mirrors(trained):
    agent = sb3.symmetrize_dqn(trained, STATE, ACTION)
    x = states().numpy()[:-1]
    np.testing.assert_array_equal(agent.predict(-x)[0], 1 - agent.predict(x)[0])


def test_the_copy_does_not_follow_training():
    model = DQN("MlpPolicy", rl.CARTPOLE, buffer_size=1, device="cpu")
    agent = sb3.symmetrize_dqn(model, STATE, ACTION)
    x = states()
    before = agent.q(x)
    with torch.no_grad():
        for p in model.q_net.parameters():
            p.zero_()
    assert torch.equal(agent.q(x), before)


def test_exploration_happens_when_asked_for(trained):
    agent = sb3.symmetrize_dqn(trained, STATE, ACTION)
    x = states().numpy()
    greedy = agent.predict(x)[0]
    always = copy.copy(trained)
    always.exploration_rate = 1.0
    explorer = sb3.symmetrize_dqn(always, STATE, ACTION)
    drawn = explorer.predict(x, deterministic=False)[0]
    assert drawn.shape == greedy.shape
    assert (drawn != greedy).any()
    np.testing.assert_array_equal(explorer.predict(x)[0], greedy)


def test_other_models_are_refused():
    model = A2C("MlpPolicy", rl.CARTPOLE, device="cpu")
    with pytest.raises(TypeError, match="takes a DQN of stable-baselines3; got A2C"):
        sb3.symmetrize_dqn(model, STATE, ACTION)


def test_actions_that_do_not_fit_are_refused():
    model = DQN("MlpPolicy", "MountainCar-v0", buffer_size=1, device="cpu")
    with pytest.raises(ValueError, match=r"do not fit this DQN.*4 entries.*got 2"):
        sb3.symmetrize_dqn(model, STATE, ACTION)
    state = eq.SignedPermutation(eq.cyclic(2), None, [[1, 1], [-1, -1]])
    with pytest.raises(ValueError, match=r"do not fit this DQN.*2 entries.*got 3"):
        sb3.symmetrize_dqn(model, state, ACTION)
    with pytest.raises(ValueError, match="of one group"):
        sb3.symmetrize_dqn(model, state, eq.Trivial(eq.cyclic(3)))


# The commands.


def test_shipping_skips_a_whole_file(capsys):
    __main__.main(["--seeds", "0"])
    assert "is there and whole, skipped" in capsys.readouterr().out


def test_pretraining_is_reproducible(monkeypatch, capsys):
    quick = {"steps": 200, "learning_rate": 1e-3, "width": 8}
    monkeypatch.setitem(agents.PRETRAINING, rl.CARTPOLE, quick)
    (first, card), (second, _) = (sb3.pretrain(rl.CARTPOLE, 7) for _ in range(2))
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(p, q)
    assert card["seed"] == 7
    assert card["steps"] == 200
    assert "seed 7: 200 of 200 steps" in capsys.readouterr().out


def test_an_unknown_seed_is_refused_by_the_command(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["--seeds", "9"])
    assert "invalid choice: 9" in capsys.readouterr().err
