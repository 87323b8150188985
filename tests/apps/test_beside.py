"""The paper's values beside ours: all of them, and as the chapters read the rows."""

import pandas as pd
import pytest

from equinb.apps import beside as module
from equinb.apps.beside import Rows, answer, beside, seeds_of
from equinb.lab import load_result
from equinb.lab.paper import PAPER_VALUES

PAPER = pd.read_csv(PAPER_VALUES)
ITEMS = sorted(PAPER["item"].unique())


@pytest.fixture(scope="module")
def table():
    return beside()


def of(table, *items):
    return table[table["item"].isin(items)]


def test_every_value_has_an_answer_or_a_reason(table):
    pd.testing.assert_frame_equal(table[list(PAPER)], PAPER)
    answered = table["result"].notna()
    assert (table["mean"].notna() == answered).all()
    assert (table.loc[answered, "seeds"] >= 1).all()
    reasons = table.loc[~answered, "apart"]
    assert len(reasons) == 8
    assert reasons.str.len().gt(10).all()


def test_items_are_those_of_the_paper_and_no_other():
    assert sorted(module.ITEMS) == ITEMS
    with pytest.raises(ValueError, match="Nothing is known to answer to 'table99'"):
        answer({"item": "table99"})


def test_rows_that_are_not_there_are_no_answer():
    with pytest.raises(LookupError, match="costs-paper has no rows"):
        seeds_of("costs-paper", Rows("time_s", {"model": "RN5"}))


@pytest.mark.parametrize("item", ITEMS)
def test_a_number_is_the_mean_of_one_row_a_seed(item):
    """A condition left out would average over settings and go unseen.

    Times are of several rounds.
    """
    for value in PAPER[PAPER["item"] == item].to_dict("records"):
        found = answer(value)
        if isinstance(found, str):
            continue
        rows, record = load_result(found.result)
        for part in filter(None, (found.defined, found.published)):
            mine, several = rows, 1
            for column, wanted in part.where.items():
                wanted = wanted if isinstance(wanted, tuple) else (wanted,)
                mine, several = mine[mine[column].isin(wanted)], several * len(wanted)
            several *= mine["round"].nunique() if "round" in mine else 1
            assert mine.groupby("seed").size().eq(several).all()
            assert sorted(mine["seed"].unique()) == record.seeds


def test_an_interval_holds_its_mean_and_one_seed_has_none(table):
    several = table[table["seeds"] > 1]
    assert (several["low"] <= several["mean"]).all()
    assert (several["mean"] <= several["high"]).all()
    assert table.loc[table["seeds"] == 1, ["low", "high"]].isna().all(axis=None)


def test_what_differs_says_so(table):
    """Where our model has another name than the paper's, the mark says "model"."""
    there = table.dropna(subset="result")
    other = there["model"] != there["model here"]
    assert (there["apart"].str.contains("model") == other).all()
    assert set(there.loc[there["apart"] == "", "item"]) == {"table2"}


# What the chapters compute from the same rows, in their own words.


def test_table_2_is_that_of_its_chapter(table):
    rows = load_result("scan-paper").rows
    rows = rows[(rows["cell"] == "LSTM") & rows["group"].isin(["Verb", "Direction"])]
    mean = rows.groupby(["rule", "task", "set"])["accuracy"].mean()
    rules = {"LSTM": "pretrained", "EquiLSTM": "equitune", "EquizeroLSTM": "equizero"}
    for _, row in of(table, "table2").iterrows():
        task = row["transform"]
        if task == "add_jump":  # larger groups stand in the same rows
            part = rows[rows["group"] == "Verb"]
            mean_here = part.groupby(["rule", "task", "set"])["accuracy"].mean()
        else:
            mean_here = mean
        where = row["metric"].replace("_acc", "").replace("val", "validation")
        rule = rules[row["method"]]
        assert row["mean"] == pytest.approx(100 * mean_here[rule, task, where])
        if rule != "pretrained":
            known = 100 * mean_here[f"{rule}, published", task, where]
            assert row["mean, published"] == pytest.approx(known)


def test_costs_are_those_of_their_chapter(table):
    cost = load_result("costs-paper").rows
    cost = cost[(cost["way"] == "float32") & (cost["batch"] == 32)]
    cost = cost.groupby(["model", "method"])[["time_s", "memory_mb"]].mean()
    for _, row in of(table, "table1").iterrows():
        mine = cost.loc[(row["model"].replace("/", "-"), row["method"])]
        assert row["mean"] == pytest.approx(mine[row["metric"]])


def test_zero_shot_values_are_those_of_their_chapter(table):
    rows = load_result("clip-small").rows
    own = rows["scale"] == "CLIP's"
    mine = rows[own & (rows["cut"].isna() | (rows["cut"] == "features"))]
    mean = 100 * mine.groupby(["model", "group", "method"])["top1"].mean()
    turns = {"flip": "half turn", "rot90": "rot90"}
    several = of(table, "fig4a", "fig4b", "fig4c", "fig7", "fig8")
    assert len(several) == 56
    for _, row in several.iterrows():
        model = "tiny-resnet" if row["model"].startswith("RN") else "tiny-vit"
        if row["transform"] == "none":
            known = mean[model, "rot90", "pretrained, upright"]
        else:
            known = mean[model, turns[row["transform"]], row["method"]]
        assert row["mean"] == pytest.approx(known)


def test_courses_of_finetuning_are_those_of_their_chapter(table):
    rows = load_result("clip-finetuning-small").rows
    curve = rows[(rows["rule"] == rows["method"]) & (rows["set"] == "test")]
    mean = 100 * curve.groupby(["model", "method", "steps"])["top1"].mean()
    for _, row in of(table, "fig5a", "fig11a").iterrows():
        model = "tiny-resnet" if row["model"].startswith("RN") else "tiny-vit"
        assert row["mean"] == pytest.approx(mean[model, row["method"], row["step"]])


def test_courses_of_probing_are_those_of_their_chapter(table):
    rows = load_result("cnn-small").rows
    probes = rows[(rows["setting"] == "probe") & (rows["set"] == "test")]
    probes = probes[probes["method"] == probes["rule"]]
    by = ["mode", "model", "method", "epoch"]
    mean = 100 * probes.groupby(by)["top1"].mean()
    swapped = {
        "equizero (labelled entropy)": "equizero, sign turned",
        "equizero (labelled max prob)": "equizero, entropy",
    }
    modes = {"tiny-resnet": "train", "tiny-alexnet": "eval"}
    for _, row in of(table, "fig5b", "fig11b").iterrows():
        model = {"ResNet18": "tiny-resnet", "AlexNet": "tiny-alexnet"}[row["model"]]
        method = swapped.get(row["method"], row["method"])
        known = mean[modes[model], model, method, row["step"] + 1]
        assert row["mean, published"] == pytest.approx(known)
        if row["method"] == "equizero (labelled entropy)":
            method = "equizero"  # with its sign as it is defined
        known = mean["eval", model, method, row["step"] + 1]
        assert row["mean"] == pytest.approx(known)


def test_regard_is_that_of_its_chapter(table):
    rows = load_result("text-small").rows
    rows = rows[(rows["pair"] == "race") & (rows["task"] == "respect")]
    bars = rows.pivot_table("value", ["decoder", "word"], "measure")
    for _, row in of(table, "fig3-race-respect").dropna(subset="mean").iterrows():
        decoder = row["method"].replace("GPT2", "LM")
        decoder = "pretrained" if decoder == "LM" else decoder
        words = ["white", "black"]
        if row["transform"] != "White=Black":
            words = [row["transform"].lower()]
        known = bars.loc[decoder].loc[words, row["metric"]].mean()
        assert row["mean"] == pytest.approx(known)
