"""Subjects whose labels are known, and gains foretold without them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

import equinb as eq
from equinb import lab
from equinb.apps.rl import TASKS, gridworld_actions
from equinb.apps.rl.gridworld import CELLS, GRIDWORLD, observe
from equinb.apps.symmetries import agents, experiment, signs, subjects
from equinb.apps.symmetries.subjects import load_subject
from equinb.apps.views.orbits import GENERATORS, subgroup

SEED = 0
SIZES = {"unlabelled": 200, "labelled": 400}


@pytest.fixture(scope="module")
def small():
    """Small nets with their tasks, each trained in a few seconds."""
    return {name: load_subject(name, SEED, **SIZES) for name in experiment.SMALL_NETS}


def accuracy(subject):
    said = subject.model(subject.inputs)
    said = said if subject.head is None else subject.head(said)
    rows = torch.arange(len(said))
    return float(subject.right[rows, said.argmax(-1)].double().mean())


# --- signs ---------------------------------------------------------------------------


def test_printed_signs():
    x, labels = signs.printed("bd", 300, seed=1)
    assert x.shape == (300, 20, 20)
    assert (x.min(), x.max()) == (0, 1)
    assert labels.bincount().min() > 100
    again, _ = signs.printed("bd", 300, seed=1)
    assert torch.equal(x, again)
    # The stem of a b rises on its left, that of a d on its right.
    left = (x[:, :8, :10] - x[:, :8, 10:]).sum((1, 2))
    assert left[labels == 0].mean() > left[labels == 1].mean() + 1


def test_signs_are_moved_by_whole_pixels():
    x, labels = signs.printed("6", 50, seed=0)
    clean = signs.draw("6")
    for image in x:
        gaps = [
            float((clean.roll((dy, dx), (0, 1)) - image).square().mean())
            for dy in range(-2, 3)
            for dx in range(-2, 3)
        ]
        # Noise of 0.3, clipped on most of the page.
        assert min(gaps) < 0.09
    assert not labels.any()


@pytest.mark.parametrize("name", GENERATORS)
def test_labels_follow_turns(name):
    G = subgroup(name)
    table = signs.carried(signs.SIGNS, G)
    assert torch.equal(table[G.identity], torch.arange(10))
    for row in table:
        # Each element exchanges pairs.
        assert torch.equal(row[row], torch.arange(10))
    if "r^2" in G.elements:
        half = table[G.index("r^2")]
        assert signs.SIGNS[half[signs.SIGNS.index("b")]] == "q"
        assert (half != torch.arange(10)).all()
    digits = signs.carried("0123456789", G)
    moved = {(g, c) for g, c in (digits != torch.arange(10)).nonzero().tolist()}
    turned = [g for g, element in enumerate(G.elements) if element == "r^2"]
    assert moved == {(g, c) for g in turned for c in (6, 9)}


def test_handwritten_digits():
    x, labels = signs.handwritten("validation", "69")
    every, of_all = signs.handwritten("validation")
    assert len(every) == 197
    assert torch.equal(x, every[(of_all == 6) | (of_all == 9)])
    assert set(labels.tolist()) == {0, 1}
    # Ink on an empty page, mostly in the middle.
    assert every[:, :2].mean() < every[:, 8:12].mean()


# --- subjects ------------------------------------------------------------------------


def test_small_nets_know_their_task(small):
    assert all(accuracy(subject) > 0.9 for subject in small.values())


def test_what_a_task_lacks(small):
    lacks = {
        name: {group for group in GENERATORS if subject.lacks(group)}
        for name, subject in small.items()
    }
    turns = {"rot90", "half turn", "D4"}
    assert lacks == {
        "letters": set(),
        "signs": set(GENERATORS),
        "digits": turns,
        "digits 01689": turns,
    }


@pytest.mark.parametrize(
    "name", ["cnn/glyph-alexnet", "probe/glyph-resnet", "clip/glyph-resnet"]
)
def test_shipped_models_know_their_task(name):
    subject = load_subject(name, SEED, unlabelled=20, labelled=100)
    assert accuracy(subject) > 0.8
    assert len(subject.unlabelled) == 20
    assert subject.right.shape == (100, len(subject.classes))
    assert subject.lacks("half turn") == name.startswith("probe")


def test_inputs_without_labels_are_others(small):
    for subject in small.values():
        known = {image.numpy().tobytes() for image in subject.inputs}
        assert not any(x.numpy().tobytes() in known for x in subject.unlabelled)


@pytest.mark.parametrize("name", ["cartpole", "acrobot", "gridworld"])
def test_agents(name):
    subject = load_subject(name, 1, unlabelled=50, labelled=80)
    assert len(subject.inputs) == 80
    assert not subject.lacks("symmetry")
    assert subject.right.any(1).all()
    assert subject.right.double().mean() < 0.8


def test_no_such_subject():
    with pytest.raises(ValueError, match="no subject 'mnist'; there are cnn, clip"):
        load_subject("mnist", 0, 1, 1)


def test_optimal_actions_in_gridworld():
    best = agents.best_actions()
    assert set(best) == set(CELLS)
    # A prey beside the agent is caught; to stay is never best.
    assert best[-1, 0].tolist() == [False, False, True, False, False]
    assert not any(actions[0] for actions in best.values())
    # On the diagonal two moves are as good as each other.
    assert best[2, 2].tolist() == [False, True, False, False, True]
    pictures = torch.stack([torch.as_tensor(observe(cell)) for cell in CELLS])
    right = agents.optimal(pictures)
    turn, move = gridworld_actions()
    for g in range(4):
        turned = agents.optimal(turn(g, pictures))
        assert torch.equal(turned, move(g, right.long()).bool())


def test_votes_are_equivariant():
    task = next(task for task in TASKS.values() if task.short == "acrobot")
    states = agents.play("acrobot", 0, 10, 60).states
    there = agents.vote(task, 0, task.state("r", states))
    back = task.action("r", agents.vote(task, 0, states).long()).bool()
    assert (there == back).all(1).double().mean() > 0.95
    assert GRIDWORLD in TASKS


# --- gains ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "group"), [("letters", "rot90"), ("signs", "D4")])
def test_measured_gains_are_those_of_a_slow_reference(small, name, group):
    subject = small[name]
    act, same = subject.candidates[group]
    found = experiment.measure(subject, group, seed=5)
    random = torch.Generator().manual_seed(5)
    drawn = torch.randint(act.group.order, (len(subject.inputs),), generator=random)
    loss = eq.losses.neg_max_prob
    ways = {
        "pretrained": subject.model,
        "equitune": eq.Equitune(subject.model, act, same),
        "equizero": eq.Equizero(subject.model, act, same, loss=loss),
    }
    hits = dict.fromkeys(ways, 0.0)
    for x, right, g in zip(subject.inputs, subject.right, drawn.tolist(), strict=True):
        label = int(subject.carries[group][g, int(right.nonzero())])
        for method, f in ways.items():
            said = int(f(act(g, x[None])).argmax())
            hits[method] += (said == label) / len(drawn)
    assert found == pytest.approx(hits, abs=0.006)


def test_gains_with_permuted_classes_as_well():
    subject = load_subject("gridworld", 0, 50, 200)
    found = experiment.measure(subject, "symmetry")
    act_in, act_out = subject.candidates["symmetry"]
    f = eq.Equitune(subject.model, act_in, act_out)
    # Equivariant, with labels that are: how states are turned makes no difference.
    right = subject.right[torch.arange(200), f(subject.inputs).argmax(-1)]
    assert found["equitune"] == pytest.approx(float(right.double().mean()), abs=0.01)


@pytest.fixture(scope="module")
def foretold(small):
    """By subject, group and method: expected and measured gain, standard error."""
    rows = {}
    for name, subject in small.items():
        found = eq.diagnose(subject.model, subject.unlabelled, subject.candidates)
        for finding in found.findings:
            measured = experiment.measure(subject, finding.name, SEED)
            for method, gain in finding.gains.items():
                gained = measured[method] - measured["pretrained"]
                rows[name, finding.name, method] = gain.gain, gained, gain.error
    return rows


def test_gains_are_foretold(foretold):
    expected, measured, _ = np.array(list(foretold.values())).T
    assert len(foretold) == 4 * 5 * 2
    assert spearmanr(expected, measured).statistic > 0.9
    assert abs(expected - measured).mean() < 0.06


@pytest.mark.parametrize("method", ["equitune", "equizero"])
def test_where_classes_move_symmetrizing_is_foretold_to_cost(foretold, method):
    for group in ("half turn", "vflip", "hflip"):
        expected, measured, error = foretold["signs", group, method]
        assert expected < -2 * error
        assert measured < 0
    expected, measured, error = foretold["digits 01689", "half turn", method]
    assert expected < -2 * error
    assert measured < 0


def test_false_alarms_are_rare_where_the_task_has_it(small):
    subject = small["letters"]
    found = eq.diagnose(subject.model, subject.unlabelled, subject.candidates)
    for finding in found.findings:
        assert finding.applies
        # At most one pair of letters is taken for another at each element.
        named = [moved.element for moved in finding.moved]
        assert all(named.count(element) <= 2 for element in named)
    assert sum(len(finding.moved) for finding in found.findings) <= 4


# --- the experiment ------------------------------------------------------------------

OPTIONS = experiment.SymmetryOptions(("letters", "cartpole"), 100, 200)


def run(folder, seeds=(0,), config=OPTIONS):
    rows, _ = lab.run(
        experiment.EXPERIMENT, seeds=seeds, config=config, folder=folder, progress=False
    )
    return rows


def test_the_experiment(tmp_path):
    rows = run(tmp_path)
    assert len(rows) == 2 * (5 + 1)
    assert not rows.duplicated([*experiment.EXPERIMENT.keys, "seed"]).any()
    assert set(rows["method"]) == {"equitune", "equizero"}
    assert not rows["lacks"].any()
    assert rows[rows["model"] == "letters"]["applies"].all()
    pairs = experiment.pairs_of(rows)
    assert len(pairs) == len(rows)
    assert pairs["measured"].tolist() == rows["measured"].tolist()


def test_predictions_read_no_label(small, monkeypatch):
    subject = small["letters"]
    wrong = replace(subject, right=subject.right.roll(1, 1))
    job = lab.Job(0, {"model": "letters"})
    made = []
    for one in (subject, wrong):
        monkeypatch.setattr(experiment, "load_subject", lambda *_, one=one: one)
        done = experiment.work(OPTIONS, job, "cpu", lambda step: None)
        made.append(pd.DataFrame(done.rows))
    told = ["expected", "error", "kept", "cost", "pose", "moved"]
    assert made[0][told].equals(made[1][told])
    assert not made[0]["measured"].equals(made[1]["measured"])


def test_pairs_are_means_over_seeds():
    rows = pd.DataFrame(
        {
            "seed": [0, 1],
            "model": "m",
            "group": "g",
            "method": "equitune",
            "pretrained": [0.5, 0.7],
            "expected": [0.1, 0.3],
            "kept": [0.0, 0.0],
            "measured": [0.2, 0.0],
            "pose": [0.7, 0.9],
            "applies": [False, True],
            "lacks": [True, True],
        }
    )
    (pair,) = experiment.pairs_of(rows).to_dict("records")
    assert pair["expected"] == pytest.approx(0.2)
    assert pair["measured"] == pytest.approx(0.1)
    assert (pair["applies"], pair["lacks"]) == (False, True)


def pairs(expected, measured, models=4):
    n = len(expected)
    table = {"expected": expected, "measured": measured, "model": np.arange(n) % models}
    return pd.DataFrame(table)


def test_rank_correlation():
    x = np.arange(20.0)
    assert experiment.rank_correlation(pairs(x, x**3)) == pytest.approx((1, 1, 1))
    assert experiment.rank_correlation(pairs(x, -x)) == pytest.approx((-1, -1, -1))
    random = np.random.default_rng(0)
    noisy = pairs(x, x + 6 * random.standard_normal(20))
    rho, low, high = experiment.rank_correlation(noisy)
    assert rho == pytest.approx(spearmanr(noisy.expected, noisy.measured).statistic)
    assert -1 <= low < rho < high <= 1
    assert experiment.rank_correlation(noisy) == (rho, low, high)
    with pytest.raises(ValueError, match="at least three pairs; got 2"):
        experiment.rank_correlation(noisy[:2])


def test_what_a_run_reads():
    for preset in ("quick", "small"):
        config = experiment.EXPERIMENT.config(preset)
        files = list(experiment.reads(config, [0]))
        assert files == sorted(set(files))
        assert all((lab.files.PACKAGE / name).is_file() for name in files)
    assert len(files) == 4 + 15
    assert set(subjects.MAKERS) >= {name.partition("/")[0] for name in config.subjects}
