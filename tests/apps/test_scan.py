"""The experiments `scan-pretraining` and `scan`, and the models that ship."""

from dataclasses import replace

import pytest
import torch
from scan_cases import some, trained, untrained

from equinb import lab
from equinb.apps import load_experiment, scan
from equinb.apps.scan import experiment, pretraining
from equinb.apps.scan.pretrained import pack, restore, weights_name
from equinb.apps.scan.training import Look, Sets
from equinb.lab.files import ASSETS

PRETRAINING, SCAN = pretraining.EXPERIMENT, experiment.EXPERIMENT
FOLDER = ASSETS / "scan"
ONE_BY_ONE = sorted(path.name for path in FOLDER.glob("*-one-by-one.safetensors"))
#: What a job of the preset "paper" judges: groups and sets.
PARTS = {
    "add_jump": [
        ("Verb", "validation"),
        ("Verb", "test"),
        ("Verbs", "test"),
        ("Verb x Direction", "test"),
    ],
    "around_right": [("Direction", "validation"), ("Direction", "test")],
}
EACH_CELL = pytest.mark.parametrize("kind", scan.CELLS)
EACH_TASK = pytest.mark.parametrize("task", scan.TASKS)
EACH_SEED = pytest.mark.parametrize("seed", scan.SEEDS)


def few_sets(task="add_jump", seed=0, device="cpu"):
    data = some(6, most=8)
    return Sets(data, scan.Data(*(part[:20] for part in data)), data)


# Pretraining.


def test_a_short_run_makes_rows_and_no_weights(monkeypatch, tmp_path):
    def cut(*which):
        parts = scan.load_sets(*which)
        return Sets(*(scan.Data(*(ids[:500] for ids in part)) for part in parts))

    monkeypatch.setattr(pretraining, "load_sets", cut)
    recipe = scan.Recipe(batch=32, pairs=64, learning_rate=1e-3, looks=2)
    config = replace(
        PRETRAINING.config("quick"), recipe=recipe, cells=("GRU",), tasks=("add_jump",)
    )
    options = {"config": config, "folder": tmp_path, "progress": False}
    rows, made = lab.run(PRETRAINING, seeds=[1], **options)
    assert made.weights == {}
    assert not list(tmp_path.rglob("*.safetensors"))
    assert rows[["pairs", "set"]].values.tolist() == [
        [32, "validation"],
        [64, "validation"],
        [rows["pairs"].iloc[-1], "validation, shipped"],
        [rows["pairs"].iloc[-1], "test, shipped"],
    ]
    assert set(zip(rows["task"], rows["cell"], strict=True)) == {("add_jump", "GRU")}
    assert rows["accuracy"].between(0, 0.1).all()
    assert {"apps/scan/training.py", "apps/scan/grammar.py"} <= set(made.sources)


@pytest.mark.parametrize(
    ("recipe", "cell", "seed", "name"),
    [
        (scan.BATCHED, "LSTM", 0, "scan/add_jump-lstm-seed0.safetensors"),
        (scan.BATCHED, "GRU", 2, "scan/add_jump-gru-seed2.safetensors"),
        (scan.PUBLISHED, "LSTM", 1, "scan/add_jump-lstm-seed1-one-by-one.safetensors"),
        (scan.PUBLISHED, "RNN", 1, None),
        (scan.BATCHED, "LSTM", 3, None),
        (replace(scan.BATCHED, pairs=299_999), "LSTM", 0, None),
    ],
)
def test_what_ships(monkeypatch, recipe, cell, seed, name):
    """The best look, the model in half precision, and its card."""
    model = trained(cell)

    def pretrain(kind, sets, seed, recipe, visit):
        for pairs, accuracy in ((100, 0.2), (200, 0.8), (300, 0.8)):
            visit(Look(pairs, accuracy))
        return model

    monkeypatch.setattr(pretraining, "pretrain", pretrain)
    monkeypatch.setattr(pretraining, "load_sets", few_sets)
    options = replace(PRETRAINING.config("quick"), recipe=recipe)
    job, done = lab.Job(seed, {"task": "add_jump", "cell": cell}), []
    made = pretraining.work(options, job, "cpu", done.append)
    assert done == [100, 200, 300]
    assert [row["pairs"] for row in made.rows] == [100, 200, 300, 200, 200]
    assert list(made.weights) == ([name] if name else [])
    for tensors, card in made.weights.values():
        assert {t.dtype for t in tensors.values()} == {torch.float16}
        shipped = restore(cell, tensors)
        for part, data in (("validation", few_sets()[1]), ("test", few_sets()[2])):
            found = scan.accuracy(shipped, data)
            assert card["accuracy"][f"{part}, shipped"] == found
        wanted = {"task": "add_jump", "cell": cell, "seed": seed, "licence": "MIT"}
        wanted |= {"batch": recipe.batch, "pairs": recipe.pairs}
        assert wanted.items() <= card.items()


def test_the_model_is_judged_as_it_ships(monkeypatch):
    judged = []

    def accuracy(model, data):
        judged.append((model.out.bias.clone(), len(data.commands)))
        return 0.5

    def pretrain(kind, sets, seed, recipe, visit):
        visit(Look(100, 0.5))
        return trained(kind)

    monkeypatch.setattr(pretraining, "accuracy", accuracy)
    monkeypatch.setattr(pretraining, "pretrain", pretrain)
    monkeypatch.setattr(pretraining, "load_sets", few_sets)
    job = lab.Job(0, {"task": "add_jump", "cell": "GRU"})
    pretraining.work(PRETRAINING.config("small"), job, "cpu", [].append)
    half = trained("GRU").out.bias.half().float()
    assert [size for _, size in judged] == [20, len(few_sets().test.commands)]
    assert all(torch.equal(bias, half) for bias, _ in judged)
    assert not torch.equal(half, trained("GRU").out.bias)


def test_the_presets_of_pretraining():
    presets = PRETRAINING.presets
    assert presets["small"].recipe == scan.BATCHED
    assert presets["paper"].recipe == scan.PUBLISHED
    assert presets["quick"].recipe.pairs < scan.BATCHED.pairs / 10
    assert [len(pretraining.jobs(presets[p], scan.SEEDS)) for p in presets] == [
        6,
        18,
        6,
    ]
    jobs = pretraining.jobs(presets["small"], scan.SEEDS)
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.steps for job in jobs} == {scan.BATCHED.pairs}
    assert load_experiment("scan-pretraining") is PRETRAINING


@EACH_CELL
def test_packing_halves_the_precision_alone(kind):
    model = untrained(kind)
    packed = pack(model)
    again = restore(kind, packed)
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())
    for name, t in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], t.half().float())
    assert all(torch.equal(t, packed[name]) for name, t in pack(again).items())


# The experiment.


@pytest.mark.parametrize(
    ("seeds", "says"),
    [([3], "No model add_jump-LSTM-batched-seed3 ships"), ([0, 7, 1], "seed7 ships")],
)
def test_seeds_that_do_not_ship(tmp_path, seeds, says):
    with pytest.raises(ValueError, match=f"{says}; `equinb run scan-pretraining`"):
        lab.run(SCAN, seeds=seeds, folder=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_only_lstms_were_trained_one_by_one():
    options = experiment.ScanOptions(("GRU",), recipe="published")
    with pytest.raises(ValueError, match="No model add_jump-GRU-published-seed0 ships"):
        experiment.jobs(options, [0])


def test_the_presets():
    for preset, cells in (("quick", ["LSTM"]), ("paper", scan.CELLS)):
        found = experiment.jobs(SCAN.config(preset), scan.SEEDS)
        assert [tuple(job.settings.values()) for job in found] == [
            (task, cell, "batched")
            for cell in cells
            for task in scan.TASKS
            for _ in scan.SEEDS
        ]
        assert len({job.name for job in found}) == len(found)
    assert SCAN.config("small").recipe == "published"
    assert load_experiment("scan") is SCAN


def test_every_model_that_ships_is_judged():
    read = experiment.reads(SCAN.config("paper"), scan.SEEDS)
    batched = {p.name for p in FOLDER.glob("*.safetensors")} - set(ONE_BY_ONE)
    assert sorted(read) == sorted(f"assets/scan/{name}" for name in batched)
    assert len(read) == 18


@pytest.mark.parametrize("preset", ["quick", "paper"])
@EACH_TASK
def test_a_job_judges_every_part(monkeypatch, task, preset):
    asked = []

    def load_model(*which):
        asked.append(which)
        return trained("LSTM")

    monkeypatch.setattr(experiment, "load_model", load_model)
    monkeypatch.setattr(experiment, "load_sets", few_sets)
    options, done = SCAN.config(preset), []
    jobs = experiment.jobs(options, [2])
    job = next(j for j in jobs if j.settings["task"] == task)
    made = experiment.work(options, job, "cpu", done.append)
    assert asked == [(task, "LSTM", 2, True)]
    assert done == list(range(1, job.steps + 1))
    expected = []
    for group, name in PARTS[task] if preset == "paper" else PARTS[task][1:2]:
        rules = None if group == scan.SYMMETRY[task] else experiment.LARGER_RULES
        data = getattr(few_sets(), name)
        right = scan.judge(trained("LSTM"), data, scan.symmetry(group), rules)
        expected += [
            {"group": group, "set": name, "rule": rule, "accuracy": value}
            for rule, value in right.mean().items()
        ]
    assert made.rows == expected


# The models that ship.


def test_unknown_models():
    with pytest.raises(FileNotFoundError, match="scan/add_jump-lstm-seed9"):
        scan.load_model("add_jump", seed=9)


@EACH_SEED
@EACH_CELL
@EACH_TASK
def test_shipped_models_have_learnt_what_they_were_shown(task, kind, seed):
    _, card = lab.load_weights(weights_name(task, kind, seed))
    model = scan.load_model(task, kind, seed)
    assert (card["task"], card["cell"], card["seed"]) == (task, kind, seed)
    assert card["pairs"] == scan.BATCHED.pairs
    assert model.kind == kind
    assert not model.training
    least = {"LSTM": 0.99, "GRU": 0.99, "RNN": 0.95}
    assert card["accuracy"]["validation, shipped"] >= least[kind]
    held = scan.load_sets(task, seed).validation
    few = scan.Data(*(part[:200] for part in held))
    assert scan.accuracy(model, few) >= least[kind] - 0.03


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_shipped_models_trained_one_by_one(name):
    _, card = lab.load_weights(f"scan/{name}")
    task, seed = card["task"], card["seed"]
    assert weights_name(task, card["cell"], seed, batched=False) == f"scan/{name}"
    assert card["batch"] == 1
    model = scan.load_model(task, card["cell"], seed, batched=False)
    few = scan.Data(*(part[:200] for part in scan.load_sets(task, seed).validation))
    found = scan.accuracy(model, few)
    assert found == pytest.approx(card["accuracy"]["validation, shipped"], abs=0.05)


@EACH_TASK
def test_no_two_models_are_alike(task):
    loaded = [scan.load_model(task, "LSTM", seed) for seed in scan.SEEDS]
    biases = {tuple(model.out.bias.tolist()) for model in loaded}
    assert len(biases) == len(scan.SEEDS)


@EACH_TASK
def test_symmetry_helps_without_training(task):
    """Some commands of the test set: where the answer is within reach, it is found."""
    model, by = scan.load_model(task), scan.symmetry(scan.SYMMETRY[task])
    data = scan.every(scan.load_sets(task, 0).test, 25)
    right = scan.judge(model, data, by)
    means = right.mean()
    assert means["any view"] >= means["equizero"] > means["pretrained"] + 0.3
    within = scan.reachable(task, by, data.commands).numpy()
    assert right["any view"][within].mean() > 0.95


# The stored results.


def test_stored_courses_of_training_are_complete():
    rows, made = lab.load_result("scan-pretraining-small")
    assert made.seeds == list(scan.SEEDS)
    courses = rows.groupby(["task", "cell", "seed"])
    assert len(courses) == 18
    for (task, cell, seed), course in courses:
        looks = course[course["set"] == "validation"]
        assert len(looks) == scan.BATCHED.looks == len(course) - 2
        assert looks["pairs"].is_monotonic_increasing
        assert looks["pairs"].max() == scan.BATCHED.pairs
        _, card = lab.load_weights(weights_name(task, cell, seed))
        shipped = course.set_index("set")["accuracy"]
        for name, value in card["accuracy"].items():
            assert shipped[name] == pytest.approx(value)


def test_stored_rows_are_complete():
    rows, made = lab.load_result("scan-paper")
    assert made.seeds == list(scan.SEEDS)
    assert rows["accuracy"].between(0, 1).all()
    assert not rows.duplicated([*SCAN.keys, "seed"]).any()
    for task, parts in PARTS.items():
        mine = rows[rows["task"] == task]
        assert set(zip(mine["group"], mine["set"], strict=True)) == set(parts)
        for (group, _), part in mine.groupby(["group", "set"]):
            usual = group == scan.SYMMETRY[task]
            rules = [*scan.RULES] if usual else [*experiment.LARGER_RULES]
            assert len(part) == (len(rules) + len(scan.BOUNDS)) * 9
            assert set(part["rule"]) == {*rules, *scan.BOUNDS}


def test_shipped_weights_give_the_stored_rows():
    rows, _ = lab.load_result("scan-paper")
    query = "task == 'around_right' & cell == 'LSTM' & seed == 2 & set == 'test'"
    stored = rows.query(query).set_index("rule")["accuracy"]
    model = scan.load_model("around_right", seed=2)
    data = scan.load_sets("around_right", seed=2).test
    rules = ["pretrained", "equizero", "equitune, published", "equizero, published"]
    found = scan.judge(model, data, scan.symmetry("Direction"), rules).mean()
    for rule, value in found.items():
        assert value == pytest.approx(stored[rule], abs=0.002)
