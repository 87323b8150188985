"""The experiments `scan-finetuning`, `scan-rates` and `scan-importance`."""

import copy
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch
from scan_cases import left_alone, some, trained

from equinb import lab
from equinb.apps import load_experiment, scan
from equinb.apps.scan import few_shot, finetuning, labels, rates
from equinb.apps.scan.few_shot import IN_THE_END, ON_THE_WAY
from equinb.apps.scan.training import Sets
from equinb.lab.files import ASSETS
from equinb.lambda_equitune import Learned

FINETUNING, RATES = few_shot.EXPERIMENT, rates.EXPERIMENT
IMPORTANCE = labels.EXPERIMENT
EXPERIMENTS = {e.name: e for e in (FINETUNING, RATES, IMPORTANCE)}
PRESETS = [(name, preset) for name, e in EXPERIMENTS.items() for preset in e.presets]
EACH_TASK = pytest.mark.parametrize("task", scan.TASKS)
#: A finetuning that takes no time, and is looked at three times.
SHORT = replace(FINETUNING.config("quick"), steps=3, batch=4, every=3, whole=True)


def few_sets(task="add_jump", seed=0, device="cpu"):
    data = some(6, most=8)
    return Sets(data, scan.Data(*(part[:20] for part in data)), data)


@pytest.fixture
def quickly(monkeypatch):
    """Small sets and models, lambda in two steps; what was asked for, and learnt."""
    asked = []

    def load_model(*which):
        asked.append(which)
        return trained("GRU")

    def learn(model, data, by, seed):
        learned = scan.learn_importance(model, data, by, seed, steps=2)
        asked.append((data, seed, learned))
        return learned

    for module in (few_shot, labels):
        monkeypatch.setattr(module, "load_model", load_model)
        monkeypatch.setattr(module, "load_sets", few_sets)
        monkeypatch.setattr(module, "learn_importance", learn)
    monkeypatch.setattr(finetuning, "LOOKS", (0, 2, 100))
    monkeypatch.setattr(few_shot, "REPORTED", 2)
    return asked


def on_the_way(method):
    """The rules of a look: those of all methods, and the method's own."""
    return {*ON_THE_WAY, scan.METHODS[method].reads, *scan.BOUNDS}


# What is run.


@pytest.mark.parametrize(
    ("name", "preset", "jobs", "steps"),
    [
        ("scan-finetuning", "quick", 2, 200),
        ("scan-finetuning", "small", 2 * (len(scan.METHODS) - 4), 3200),
        ("scan-finetuning", "paper", 3 * 2 * 4, 10_000),
        ("scan-rates", "quick", 2, 100),
        ("scan-rates", "small", 2 * 2 * 2, 1600),
        ("scan-importance", "quick", 2, 2),
        ("scan-importance", "paper", 3 * 2, 6),
    ],
)
def test_the_presets(name, preset, jobs, steps):
    experiment = load_experiment(name)
    assert experiment is EXPERIMENTS[name]
    found = experiment.jobs(experiment.config(preset), scan.SEEDS)
    assert len({job.name for job in found}) == len(found) == 3 * jobs
    assert {job.steps for job in found} == {steps}
    assert {job.seed for job in found} == set(scan.SEEDS)


def test_the_paper_finetunes_on_one_sentence_a_step():
    paper, small = (FINETUNING.config(preset) for preset in ("paper", "small"))
    assert paper.methods == ("equitune", "equizero", "equizero, identity", scan.LAMBDA)
    assert paper.cells == scan.CELLS
    assert {*paper.methods, *small.methods} == {*scan.METHODS}
    for options in (paper, small, RATES.config("small")):
        assert options.batch == 1
        assert options.tasks == scan.TASKS
    for options in (paper, small):
        assert options.rates == (1.0,)
    assert 1.0 not in RATES.config("small").rates


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_what_is_read_ships(name, preset):
    experiment = EXPERIMENTS[name]
    read = experiment.reads(experiment.config(preset), scan.SEEDS)
    settings = [j.settings for j in experiment.jobs(experiment.config(preset), [0])]
    models = {(s["task"], s["cell"]) for s in settings}
    assert len(set(read)) == len(read) == 3 * len(models)
    assert all((ASSETS.parent / file).is_file() for file in read)


def test_unknown_methods():
    options = replace(SHORT, methods=("equitune", "equiplus"))
    with pytest.raises(ValueError, match="no method 'equiplus'; there are: ") as error:
        few_shot.jobs(options, [0])
    assert all(method in str(error.value) for method in scan.METHODS)
    assert "\n" not in str(error.value)


# One job.


def spied(monkeypatch):
    """The models that are finetuned, and how."""
    calls, real = [], scan.finetune

    def finetune(model, data, seed, tuning, visit, augment):
        calls.append((model, data, seed, tuning, augment))
        real(model, data, seed, tuning, visit, augment)

    monkeypatch.setattr(few_shot, "finetune", finetune)
    return calls


def job_of(task="add_jump", method="equitune", rate=1.0, seed=2):
    settings = {"task": task, "cell": "GRU", "method": method, "rate": rate}
    return lab.Job(seed, settings, SHORT.steps)


@pytest.mark.parametrize("method", ["equizero", scan.LAMBDA, scan.FLOOR, "augmented"])
@EACH_TASK
def test_a_job_looks_on_the_way_and_in_the_end(monkeypatch, quickly, task, method):
    calls, done = spied(monkeypatch), []
    made = few_shot.work(SHORT, job_of(task, method), "cpu", done.append)
    (which, (known, seed, learned)), ((model, data, *_),) = quickly, calls
    assert which == (task, "GRU", 2)
    assert (len(known.commands), seed) == (len(data.commands[::4]), 2)
    assert done == [0, 2]
    found = {(r["steps"], r["set"], r["rule"]): r["accuracy"] for r in made.rows}
    assert len(found) == len(made.rows)
    looks = set(product((0, 2, 3), ["some of test"], on_the_way(method)))
    ends = set(product([3], ["validation", "test"], {*IN_THE_END, *scan.BOUNDS}))
    assert set(found) == looks | ends
    by = scan.symmetry(scan.SYMMETRY[task])
    parts = few_sets()
    for step, name, of, part in (
        (0, "some of test", trained("GRU"), scan.every(parts.test, 3)),
        (3, "some of test", model, scan.every(parts.test, 3)),
        (3, "validation", model, parts.validation),
        (3, "test", model, parts.test),
    ):
        rules = {rule for *key, rule in found if key == [step, name]} - {*scan.BOUNDS}
        read = few_shot.read(of, part, by, learned, rules)
        assert read == {rule: found[step, name, rule] for rule in read}
    assert found[3, "test", "any view"] > 0


def test_nothing_is_read_in_the_end_unless_it_is_wanted(quickly):
    options = replace(SHORT, whole=False)
    made = few_shot.work(options, job_of(), "cpu", [].append)
    assert {row["set"] for row in made.rows} == {"some of test"}
    assert {row["steps"] for row in made.rows} == {0, 2, 3}


@pytest.mark.parametrize("method", ["equitune", "equizero, published", "augmented"])
@pytest.mark.parametrize(
    ("task", "rate", "used"),
    [("add_jump", 1.0, 1e-5), ("around_right", 1.0, 2e-5), ("around_right", 5.0, 1e-4)],
)
def test_how_a_job_finetunes(monkeypatch, quickly, task, rate, used, method):
    """At a multiple of the paper's rate for the task, as the method asks."""
    calls = spied(monkeypatch)
    few_shot.work(SHORT, job_of(task, method, rate), "cpu", [].append)
    ((model, data, seed, tuning, augment),) = calls
    assert tuning.learning_rate == pytest.approx(used)
    assert (tuning.steps, tuning.batch, seed) == (3, 4, 2)
    published = method == "equizero, published"
    assert (tuning.updates, tuning.weight_decay) == ((2, 1e-4) if published else (1, 0))
    by = scan.symmetry(scan.SYMMETRY[task])
    assert augment is (by if method == "augmented" else None)
    assert getattr(model, "by", by) is by
    assert all(map(torch.equal, data, few_sets().train))


@pytest.mark.parametrize("train", [True, False])
def test_reading_goes_by_the_rules_and_leaves_the_mode(train):
    by, data = scan.symmetry("Direction"), some(20, most=8)
    model = copy.deepcopy(trained("LSTM")).train(train)
    torch.manual_seed(0)
    net = scan.Importance(model).requires_grad_(False)
    net.net[-1].weight *= 100
    learned = Learned(net, of="inputs")
    found = few_shot.read(model, data, by, learned, IN_THE_END)
    assert model.training == train
    assert set(found) == {*IN_THE_END, *scan.BOUNDS}
    rules = [rule for rule in IN_THE_END if rule in scan.RULES]
    expected = dict(scan.judge(model.eval(), data, by, rules).mean())
    say = partial(scan.say, model, data.commands, by)
    for rule, weighting in (
        (scan.LAMBDA, learned),
        (scan.FLOOR, scan.Floored(learned)),
    ):
        words = say(scan.weigh(weighting, data.commands, by)).words
        right = scan.exact_match(words, data.actions)
        expected[rule] = right.double().mean().item()
    assert found == pytest.approx(expected)
    assert found[scan.LAMBDA] != found[scan.FLOOR]
    some_rules = few_shot.read(model, data, by, learned, ["equizero", scan.FLOOR])
    assert set(some_rules) == {"equizero", scan.FLOOR, *scan.BOUNDS}


def test_a_short_run(monkeypatch, tmp_path):
    """Through the lab, with a model that ships."""
    monkeypatch.setattr(few_shot, "load_sets", few_sets)
    config = replace(
        RATES.config("quick"), tasks=("add_jump",), cells=("GRU",), steps=2
    )
    options = {"config": config, "folder": tmp_path, "progress": False}
    rows, made = lab.run(RATES, seeds=[1], **options)
    assert set(rows.columns) == {*RATES.keys, "seed", "accuracy"}
    assert not rows.duplicated([*RATES.keys, "seed"]).any()
    assert set(rows["rate"]) == {2.0, 5.0}
    assert set(rows["steps"]) == {0, 2}
    assert {
        "apps/scan/finetuning.py",
        "apps/scan/importance.py",
        "apps/scan/symmetrized.py",
        "assets/scan/add_jump-gru-seed1.safetensors",
    } <= set(made.sources)


# One job of `scan-importance`.

FROM_FEW = labels.LabelOptions(("GRU",), labels=(4, 16), every=2)
EVERY_WEIGHT = ("pretrained", "equitune", "equizero")
SHUFFLED = f"{scan.LAMBDA}, shuffled"


def parts_of(task):
    """The sets that are looked at, as commands and actions."""
    by, sets = scan.symmetry(scan.SYMMETRY[task]), few_sets()
    seen = scan.every(sets.validation, 2)
    alone = left_alone(seen.commands, by)
    return {
        "test": scan.every(sets.test, 2),
        "validation, words to swap": scan.Data(*(part[~alone] for part in seen)),
        "validation, nothing to swap": scan.Data(*(part[alone] for part in seen)),
    }


@EACH_TASK
def test_lambda_from_few_and_from_many(quickly, task):
    done, by, model = [], scan.symmetry(scan.SYMMETRY[task]), trained("GRU")
    (job,) = (j for j in labels.jobs(FROM_FEW, [2]) if j.settings["task"] == task)
    made = labels.work(FROM_FEW, job, "cpu", done.append)
    which, *learnt = quickly
    assert which == (task, "GRU", 2)
    assert [(len(data.commands), seed) for data, seed, _ in learnt] == [(4, 2), (16, 2)]
    assert done == list(range(1, job.steps + 1))
    found = {(r["set"], r["rule"], r["labels"]): r for r in made.rows}
    assert len(found) == len(made.rows)
    cases = [(rule, 0) for rule in EVERY_WEIGHT]
    cases += product((scan.LAMBDA, SHUFFLED), FROM_FEW.labels)
    assert set(found) == {(name, *case) for name in parts_of(task) for case in cases}
    for name, (commands, actions) in parts_of(task).items():
        zero, chosen = scan.equizero(model, scan.speak(model, commands, by))
        said = {
            ("pretrained", 0): scan.say(model, commands).words,
            ("equitune", 0): scan.say(model, commands, by).words,
            ("equizero", 0): zero,
        }
        for data, _, learned in learnt:
            weights = scan.weigh(learned, commands, by)
            case = scan.LAMBDA, len(data.commands)
            said[case] = scan.say(model, commands, by, weights).words
            views = torch.special.entr(weights).sum(0).exp().mean().item()
            assert found[name, *case]["views"] == pytest.approx(views)
            shuffled = found[name, SHUFFLED, case[1]]
            assert shuffled["views"] == pytest.approx(views)
            agrees = chosen.gather(0, weights.argmax(0, keepdim=True)) > 0
            share = agrees.double().mean().item()
            assert found[name, *case]["agrees"] == pytest.approx(share)
        for case, words in said.items():
            row = found[name, *case]
            right = scan.exact_match(words, actions).double().mean().item()
            assert row["accuracy"] == pytest.approx(right)
            assert row["commands"] == len(commands) > 0
        assert found[name, "pretrained", 0]["views"] == 1
        assert found[name, "equitune", 0]["views"] == pytest.approx(2)
        assert found[name, "equizero", 0]["agrees"] == 1


# The stored results.

COURSES = ["scan-finetuning-paper", "scan-finetuning-small", "scan-rates-small"]
EACH_COURSE = pytest.mark.parametrize("name", COURSES)


def stored(name):
    """The rows, and the jobs and options that they are of."""
    experiment, preset = EXPERIMENTS[name.rpartition("-")[0]], name.rpartition("-")[2]
    rows, made = lab.load_result(name)
    options = experiment.config(preset)
    assert made.config == experiment.options(options)
    assert made.seeds == list(scan.SEEDS)
    return rows, experiment, options, experiment.jobs(options, scan.SEEDS)


def keys_of(rows, keys):
    return list(zip(rows["seed"], *(rows[key] for key in keys), strict=True))


@EACH_COURSE
def test_stored_courses_are_complete(name):
    """All models, methods, rates and looks, and no number that is none."""
    rows, experiment, options, jobs = stored(name)
    expected = []
    for job in jobs:
        looks = product(
            scan.looks_of(options.steps),
            ["some of test"],
            on_the_way(job.settings["method"]),
        )
        ends = product(
            [options.steps], ["validation", "test"], {*IN_THE_END, *scan.BOUNDS}
        )
        of_job = [*looks, *(ends if options.whole else ())]
        expected += [(job.seed, *job.settings.values(), *key) for key in of_job]
    assert sorted(keys_of(rows, experiment.keys)) == sorted(expected)
    assert rows["accuracy"].between(0, 1).all()


@EACH_COURSE
def test_before_the_first_step_all_methods_are_one_model(name):
    rows, *_, jobs = stored(name)
    first = rows[rows["steps"] == 0].groupby(["task", "cell", "seed", "rule"])
    spread = first["accuracy"].agg(["nunique", "count"])
    assert (spread["nunique"] == 1).all()
    models = {(j.settings["task"], j.settings["cell"], j.seed) for j in jobs}
    assert spread["count"].max() == len(jobs) / len(models)


@EACH_COURSE
def test_before_the_first_step_are_the_rows_of_the_last_chapter(name):
    """Within what one command of eight can tell."""
    rows, *_, jobs = stored(name)
    before, _ = lab.load_result("scan-paper")
    before = before[(before["set"] == "test") & (before["recipe"] == "batched")]
    before = before[before["group"] == before["task"].map(scan.SYMMETRY)]
    keys = ["task", "cell", "seed", "rule"]
    both = rows[rows["steps"] == 0].merge(before, on=keys, suffixes=("", "_before"))
    assert len(both) >= (len(ON_THE_WAY) + len(scan.BOUNDS)) * len(jobs)
    assert (both["accuracy"] - both["accuracy_before"]).abs().max() < 0.06


def test_stored_lambdas_are_complete():
    rows, experiment, options, jobs = stored("scan-importance-paper")
    cases = [(rule, 0) for rule in EVERY_WEIGHT]
    cases += product((scan.LAMBDA, SHUFFLED), options.labels)
    expected = [
        (job.seed, *job.settings.values(), name, *case)
        for job in jobs
        for name in parts_of("add_jump")
        for case in cases
    ]
    assert sorted(keys_of(rows, experiment.keys)) == sorted(expected)
    assert rows["accuracy"].between(0, 1).all()
    assert rows["agrees"].between(0, 1).all()
    assert rows["views"].between(1 - 1e-6, 2 + 1e-6).all()
    same = rows[rows["set"] == "validation, nothing to swap"]
    even = same[same["rule"].isin([scan.LAMBDA, "equitune", "equizero"])]
    assert even["views"].to_numpy() == pytest.approx(2, abs=1e-6)


def test_without_lambda_are_the_rows_of_the_last_chapter():
    """Within what one command of two can tell."""
    rows, *_ = stored("scan-importance-paper")
    before, _ = lab.load_result("scan-paper")
    before = before[before["group"] == before["task"].map(scan.SYMMETRY)]
    keys = ["task", "cell", "seed", "set", "rule"]
    both = rows.merge(before, on=keys, suffixes=("", "_before"))
    assert len(both) == 18 * len(EVERY_WEIGHT)
    assert (both["accuracy"] - both["accuracy_before"]).abs().max() < 0.03
