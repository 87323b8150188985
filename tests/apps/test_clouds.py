"""Clouds of points: what is drawn, what a scanner spoils, and every way to turn."""

import math
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from equinb import canonical as can
from equinb import frames as fr
from equinb.apps.clouds import data, experiment, methods, network, pretraining
from equinb.apps.clouds.data import SPOILS, TASKS, Spoil, draw, turned
from equinb.apps.clouds.methods import Learning, Way, operator, spread
from equinb.lab import Job

EACH_TASK = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@EACH_TASK
@pytest.mark.parametrize("spoil", [*SPOILS.values(), None])
def test_clouds_are_about_their_mean_at_radius_one(task, spoil):
    clouds = draw(task, 40, seeded(), spoil)
    assert clouds.x.shape == (40, data.POINTS, task.n)
    assert clouds.x.mean(1).abs().max() < 1e-5
    radius = clouds.x.square().sum(-1).mean(1)
    torch.testing.assert_close(radius, torch.ones(40))
    assert clouds.target.shape == ((40, 3) if task.vector else (40,))
    again = draw(task, 40, seeded(), spoil)
    assert torch.equal(clouds.x, again.x)
    assert torch.equal(clouds.target, again.target)


@EACH_TASK
def test_all_shapes_are_drawn_and_differ(task):
    clouds = draw(task, 300, seeded(), Spoil())
    if not task.vector:
        assert set(clouds.target.tolist()) == set(range(len(task.shapes)))
    assert len(torch.unique(clouds.x.flatten(1), dim=0)) == 300


def test_a_tip_lies_at_the_end_of_its_cloud():
    clouds = draw(TASKS["thorns"], 200, seeded(), Spoil())
    nearest = (clouds.x - clouds.target[:, None]).norm(dim=-1).amin(1)
    assert nearest.max() < 0.8
    assert nearest.mean() < 0.2
    assert (clouds.target.norm(dim=1) > 1).double().mean() > 0.9
    # Upright, a tip is seldom below the middle.
    assert (clouds.target[:, 2] > 0).double().mean() > 0.99


def test_hidden_points_are_on_one_side_and_others_are_seen_twice():
    clouds = draw(TASKS["solids"], 50, seeded(), Spoil(missing=0.5))
    twice = [data.POINTS - len(torch.unique(x, dim=0)) for x in clouds.x]
    assert all(n > data.POINTS // 4 for n in twice)
    whole = draw(TASKS["solids"], 50, seeded(), Spoil())
    assert all(len(torch.unique(x, dim=0)) == data.POINTS for x in whole.x)


@pytest.mark.parametrize("field", ["noise", "outliers"])
def test_more_damage_moves_more_points(field):
    clean = draw(TASKS["solids"], 100, seeded(), Spoil()).x
    far = [
        (draw(TASKS["solids"], 100, seeded(), Spoil(**{field: level})).x - clean)
        .abs()
        .mean()
        for level in (0.05, 0.2)
    ]
    assert 0 < far[0] < far[1]


@EACH_TASK
def test_turning_keeps_distances_and_carries_vectors_along(task):
    upright = draw(task, 30, seeded(), Spoil())
    around = turned(upright, task, seeded(1))
    a, b = torch.cdist(upright.x, upright.x), torch.cdist(around.x, around.x)
    torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
    assert (around.x - upright.x).abs().amax((1, 2)).min() > 1e-3
    if task.vector:
        a = (upright.x - upright.target[:, None]).norm(dim=-1)
        b = (around.x - around.target[:, None]).norm(dim=-1)
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    else:
        assert torch.equal(upright.target, around.target)


def test_scores():
    v = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    assert TASKS["thorns"].score(v, v) == 1
    assert TASKS["thorns"].score(0 * v, v) == 0
    assert TASKS["thorns"].score(-v, v) == -3
    y = torch.eye(12)[[3, 4, 5, 5]]
    assert TASKS["solids"].score(y, torch.tensor([3, 4, 5, 6])) == 0.75


# The networks that ship.


@EACH_TASK
def test_a_network_knows_upright_clouds_and_not_turned_ones(task):
    net = network.load_network(task.name)
    upright = draw(task, 500, seeded(11), Spoil())
    assert pretraining.score(net, task, upright) >= 0.95
    assert pretraining.score(net, task, turned(upright, task, seeded(12))) <= 0.6


def test_pretraining_is_the_same_again_and_learns():
    task, recipe = TASKS["planar"], replace(pretraining.RECIPES["planar"], steps=60)
    a = pretraining.pretrain(task, recipe, 0)
    b = pretraining.pretrain(task, recipe, 0)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
        assert not p.requires_grad
    clouds = draw(task, 300, seeded(5), Spoil())
    assert pretraining.score(a, task, clouds) > 2 / len(task.shapes)


# Offsets and groups.


@pytest.mark.parametrize("n", [2, 3])
def test_spread_offsets_begin_with_the_identity_and_are_new_poses(n):
    offsets = spread(16, n)
    eye = torch.eye(n, dtype=torch.float64)
    torch.testing.assert_close(offsets[0], eye)
    torch.testing.assert_close(offsets @ offsets.mT, eye.expand_as(offsets))
    assert (offsets.det() > 0).all()
    for i, one in enumerate(offsets):
        likeness = methods._likeness(offsets, one)
        assert likeness[i] == pytest.approx(n)
        others = torch.cat([likeness[:i], likeness[i + 1 :]])
        assert others.max() < n - 1e-2
    torch.testing.assert_close(spread(4, n), offsets[:4])


def test_six_offsets_and_four_signs_are_the_rotations_of_a_cube():
    signs = fr.pca_frame(torch.randn(1, 50, 3, generator=seeded()))
    axes = signs[0, 0]
    signs = axes.mT @ signs[:, 0]
    made = (spread(6)[:, None] @ signs).flatten(0, 1)
    cube = can.cube_rotations()
    gaps = (made[:, None] - cube).abs().amax((-2, -1))
    assert gaps.amin(0).max() < 1e-9
    assert gaps.amin(1).max() < 1e-9


@pytest.mark.parametrize(("n", "order"), [(2, 8), (3, 24)])
def test_finite_groups_of_rotations(n, order):
    act = methods.finite_action(n)
    assert act.group.order == order
    x = torch.randn(3, 10, n, generator=seeded())
    assert act.orbit(x).shape == (order, 3, 10, n)


def test_other_offsets_are_refused():
    with pytest.raises(ValueError, match="there are none that are 'clever'"):
        methods.offsets("clever", 3, 3, 0)


# Ways.

WAYS = [
    Way("canonical"),
    Way("canonical", "learned"),
    Way("canonical-lambda", k=4),
    Way("canonical-lambda", offsets="random", k=2),
    Way("canonical-lambda", offsets="learned", k=2),
    Way("canonical-lambda", "learned", k=2),
    Way("canonical-lambda", k=2, undo=False),
]


@EACH_TASK
@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_equivariant_before_and_after_learning(task, way):
    net = network.load_network(task.name)
    f = operator(net, task, way, 0)
    train = draw(task, 100, seeded(), Spoil())
    mine = [p for p in f.parameters() if p.requires_grad]
    start = [p.clone() for p in mine]
    act_out = can.rotate if task.vector else can.keep
    x = draw(task, 60, seeded(2), Spoil()).x.double()
    x = x[fr.eigengap(x) > 0.05][:3]
    for steps in (0, 5):
        if steps:
            methods.learn(f, mine, task, train, 0, Learning(steps))
        double = deepcopy(f).double()
        turns = can.random_rotations(20, task.n, seeded(3))
        report = can.check_continuous(double, can.rotate, act_out, x, turns)
        assert report.error < 1e-10
    assert all(not torch.equal(a, b) for a, b in zip(start, mine, strict=True))


def test_learning_leaves_a_frozen_network_and_moves_a_free_one():
    task = TASKS["planar"]
    train = draw(task, 100, seeded(), Spoil())
    net = network.load_network("planar")
    before = [p.clone() for p in net.parameters()]
    f = operator(net, task, Way("canonical-lambda", k=2), 0)
    mine = [p for p in f.parameters() if p.requires_grad]
    methods.learn(f, mine, task, train, 0, Learning(3))
    assert all(map(torch.equal, before, net.parameters()))
    net.requires_grad_(True)
    methods.learn(f, list(net.parameters()), task, train, 0, Learning(3))
    assert not any(map(torch.equal, before, net.parameters()))


def test_the_most_confident_pose_decides_where_it_is_clear():
    task = TASKS["planar"]
    net = network.load_network("planar")
    x = turned(draw(task, 50, seeded(8), Spoil()), task, seeded(9)).x
    f = operator(net, task, Way("canonical-equizero", k=4), 0)
    y, made = f(x, return_poses=True)
    confidence = made.features.softmax(-1).amax(-1)
    first, second = confidence.topk(2, 0).values
    clear = first - second > 0.1
    assert clear.any()
    best = made.features.gather(0, confidence.argmax(0)[None, :, None].expand(1, -1, 9))
    assert torch.allclose(y[clear], best[0][clear], atol=0.01)
    turns = can.random_rotations(20, 2, seeded(3))
    double = deepcopy(f).double()
    report = can.check_continuous(double, can.rotate, can.keep, x[:5].double(), turns)
    assert report.error < 1e-10


def test_lambda_wins_back_what_turning_costs():
    task = TASKS["planar"]
    net = network.load_network("planar")
    around = turned(draw(task, 300, seeded(8), Spoil()), task, seeded(9))
    f = operator(net, task, Way("canonical-lambda", k=4), 0)
    mine = [p for p in f.parameters() if p.requires_grad]
    methods.learn(f, mine, task, draw(task, 500, seeded()), 0, Learning(150))
    plain = task.score(methods.answer(net, around.x), around.target)
    mended = task.score(methods.answer(f, around.x), around.target)
    assert mended > plain + 0.2


# The experiment.

FEW = Learning(2)
SHORT = experiment.CloudsOptions(("thorns",), (1, 2), 40, 20, FEW, FEW)


def test_the_experiment_tries_every_way_and_repeats_itself():
    (job,) = experiment.jobs(SHORT, [0])
    steps = []
    rows = experiment.work(SHORT, job, "cpu", steps.append).rows
    assert steps == list(range(1, job.steps + 1))
    keys = [
        tuple(row.get(key) for key in experiment.EXPERIMENT.keys if key != "task")
        for row in rows
    ]
    assert len(set(keys)) == len(keys)
    assert {row["undo"] for row in rows if "undo" in row} == {"True", "False"}
    assert all(math.isfinite(row["score"]) for row in rows)
    for part in ("frozen", "finetuned"):
        clean = [r for r in rows if r["setting"] == part and r["spoil"] == "clean"]
        assert {row["quarter"] for row in clean} == {"all", 1, 2, 3, 4}
    assert experiment.work(SHORT, job, "cpu", steps.append).rows == rows


def test_an_unknown_task_is_refused():
    options = replace(SHORT, tasks=("cubes",))
    with pytest.raises(ValueError, match="There is no task 'cubes'"):
        experiment.jobs(options, [0])
    assert isinstance(experiment.jobs(SHORT, [0])[0], Job)


def test_quarters_go_from_the_least_eigengap_to_the_greatest():
    x = draw(TASKS["solids"], 40, seeded(), Spoil()).x
    parts = [fr.eigengap(x[part]) for part in experiment.quarters(x)]
    assert sum(map(len, parts)) == 40
    assert all(a.max() <= b.min() for a, b in pairwise(parts))
