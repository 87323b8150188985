"""Every known value of the paper beside the stored rows that answer to it here.

One function an experiment says where the answer to a value lies, as its chapter reads
it; one table is made from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from equinb.lab import load_result, mean_interval
from equinb.lab.paper import PAPER_VALUES

ANSWER = ("mean", "low", "high")


@dataclass(frozen=True)
class Rows:
    """The stored rows that one number is the mean of.

    Attributes:
        value: the column that holds it.
        where: what the other columns hold; several values stand in a tuple.
        scale: what a value is multiplied by, 100 for a share shown in percent.
    """

    value: str
    where: Mapping[str, Any]
    scale: float = 100


@dataclass(frozen=True)
class Answer:
    """What answers here to a value of the paper.

    Attributes:
        result: the stored result.
        model: the model that ours was measured on.
        data: its data.
        apart: in what the two differ, "" if in nothing that is known.
        defined: the rows of the method as the paper's equations define it.
        published: those of the method as the published code has it, if it differs
            and was measured.
    """

    result: str
    model: str
    data: str
    apart: str
    defined: Rows
    published: Rows | None = None


def beside() -> pd.DataFrame:
    """Every known value of the paper (Basu et al., NeurIPS 2023) and ours.

    Returns:
        A row a value. First the columns of the paper's values as
        `equinb.lab.paper_values` has them, and `item`; then `result`, `model here`,
        `data here` and `apart` (in what ours differs, "" for nothing); then `seeds`,
        their `mean` and its 95 % interval, `low` to `high` (missing for a single seed),
        of the method as defined; then the same three of the method as published, their
        names ending in ", published". Where nothing answers to a value, `apart` says
        why, and the rest is missing. Units are the paper's.

    Example:
        >>> table = beside().query("item == 'table2' and metric == 'test_acc'")
        >>> table[["method", "value", "mean", "seeds"]].round(1).to_dict("records")[-1]
        {'method': 'EquizeroLSTM', 'value': 81.7, 'mean': 83.6, 'seeds': 3}
    """
    paper = pd.read_csv(PAPER_VALUES)
    found = pd.DataFrame([_row(value) for value in paper.to_dict("records")])
    return pd.concat([paper, found.astype({"seeds": "Int64"})], axis=1)


def answer(value: Mapping[Any, Any]) -> Answer | str:
    """What answers to a value of the paper, or why nothing does.

    Args:
        value: a row of the paper's values, with its `item`.

    Raises:
        ValueError: for an item that no experiment answers to.

    Example:
        >>> answer({"item": "fig3-race-respect", "metric": "other"})
        "our judge has no label 'other'"
    """
    item = str(value["item"])
    if item not in ITEMS:
        raise ValueError(
            f"Nothing is known to answer to {item!r}; there are: {', '.join(ITEMS)}."
        )
    return ITEMS[item](value)


def seeds_of(result: str, rows: Rows) -> pd.Series[float]:
    """The value of each seed, in the paper's units.

    Args:
        result: the name of a stored result.
        rows: which of its rows; several of one seed are averaged.

    Raises:
        LookupError: if there are no such rows.

    Example:
        >>> rows = Rows("time_s", {"model": "RN50", "method": "equitune"}, 1)
        >>> seeds_of("costs-paper", rows).index.tolist()
        [0]
    """
    found = select(result, rows).groupby("seed")[rows.value]
    mean: pd.Series[float] = rows.scale * found.mean()
    return mean


def select(result: str, rows: Rows) -> pd.DataFrame:
    """The rows themselves, with all their columns.

    Raises:
        LookupError: if there are no such rows.

    Example:
        >>> where = {"model": "RN50", "method": "equitune", "batch": 32}
        >>> select("costs-paper", Rows("time_s", where))["way"].unique().tolist()
        ['float32', 'bfloat16, compiled']
    """
    table = _stored(result)
    for column, wanted in rows.where.items():
        several = wanted if isinstance(wanted, tuple) else (wanted,)
        table = table[table[column].isin(several)]
    if table.empty:
        raise LookupError(f"{result} has no rows with {dict(rows.where)}.")
    return table


@cache
def _stored(result: str) -> pd.DataFrame:
    return load_result(result).rows


def _row(value: Mapping[Any, Any]) -> dict[str, Any]:
    found = answer(value)
    if isinstance(found, str):
        return {"apart": found}
    values = seeds_of(found.result, found.defined)
    row = {
        "result": found.result,
        "model here": found.model,
        "data here": found.data,
        "apart": found.apart,
        "seeds": len(values),
        **_numbers(values),
    }
    if found.published:
        numbers = _numbers(seeds_of(found.result, found.published))
        row |= {f"{name}, published": number for name, number in numbers.items()}
    return row


def _numbers(values: pd.Series[float]) -> dict[str, float]:
    if len(values) == 1:
        return {"mean": values.iloc[0]}
    return dict(zip(ANSWER, mean_interval(values), strict=True))


# --- where each experiment has its answer -------------------------------------------


def _cost(value: Mapping[Any, Any]) -> Answer:
    """Seconds for 10,000 images, as many as CIFAR100 has in its test set."""
    model = {"model": value["model"].replace("/", "-"), "way": "float32", "batch": 32}
    rows = Rows(value["metric"], {**model, "method": value["method"]}, 1)
    second = {**model, "method": f"{value['method']}, a second encoder"}
    return Answer(
        "costs-paper",
        value["model"],
        "images on the device",
        "device",
        rows,
        Rows(value["metric"], second, 1)
        if value["method"] == "lambda-equitune"
        else None,
    )


def _sentences(value: Mapping[Any, Any]) -> Answer:
    method = {"LSTM": "pretrained", "EquiLSTM": "equitune", "EquizeroLSTM": "equizero"}
    rule = method[value["method"]]
    where = {
        "task": value["transform"],
        "cell": value["model"],
        "recipe": "batched",
        "group": {"add_jump": "Verb", "around_right": "Direction"}[value["transform"]],
        "set": {"val_acc": "validation", "test_acc": "test"}[value["metric"]],
    }
    published = Rows("accuracy", {**where, "rule": f"{rule}, published"})
    return Answer(
        "scan-paper",
        value["model"],
        value["dataset"],
        "",
        Rows("accuracy", {**where, "rule": rule}),
        None if rule == "pretrained" else published,
    )


def _tiny(model: str) -> str:
    """Our model of photographs of the same kind."""
    return "tiny-resnet" if model.startswith(("RN", "ResNet")) else "tiny-vit"


def _zero_shot(value: Mapping[Any, Any]) -> Answer:
    """Of features, at the temperature of the CLIP; a "flip" there is a half turn."""
    turns = {"none": "rot90", "rot90": "rot90", "flip": "half turn"}
    where = {"model": _tiny(value["model"]), "group": turns[value["transform"]]}
    method, published = value["method"], None
    if method == "pretrained":
        upright = value["transform"] == "none"
        rows = {**where, "method": "pretrained, upright" if upright else method}
    else:
        rows = {**where, "method": method, "cut": "features", "scale": "CLIP's"}
        published = Rows("top1", {**where, "method": f"{method}, published"})
    return Answer(
        "clip-small",
        where["model"],
        "Tiny-ImageNet",
        "model and data",
        Rows("top1", rows),
        published,
    )


def _finetuned(value: Mapping[Any, Any]) -> Answer:
    where = {
        "model": _tiny(value["model"]),
        "method": value["method"],
        "rule": value["method"],
        "steps": value["step"],
        "set": "test",
    }
    return Answer(
        "clip-finetuning-small",
        where["model"],
        "Tiny-ImageNet",
        "model and data",
        Rows("top1", where),
    )


#: The two equizeros of Fig. 5b and 11b, as they are read here: the legend has probably
#: swapped them, and the lower one has its proxy's sign turned in the published code.
SWAPPED = {
    "equizero (labelled entropy)": ("equizero", "equizero, sign turned"),
    "equizero (labelled max prob)": ("equizero, entropy", "equizero, entropy"),
}


def _probed(value: Mapping[Any, Any]) -> Answer:
    """As published: in training mode, which changes nothing for an AlexNet."""
    alexnet = value["model"] == "AlexNet"
    model = "tiny-alexnet" if alexnet else "tiny-resnet"
    method = value["method"]
    defined, published = SWAPPED.get(method, (method, method))

    def rows(method: str, mode: str) -> Rows:
        where = {"model": model, "setting": "probe", "mode": mode, "set": "test"}
        epoch = value["step"] + 1  # the paper counts from nought
        here = {"method": method, "rule": method, "epoch": epoch}
        return Rows("top1", where | here)

    return Answer(
        "cnn-small",
        model,
        value["dataset"],
        "model",
        rows(defined, "eval"),
        rows(published, "eval" if alexnet else "train"),
    )


def _regard(value: Mapping[Any, Any]) -> Answer | str:
    if value["metric"] == "other":
        return "our judge has no label 'other'"
    decoder = value["method"].replace("GPT2", "LM")
    words = tuple(value["transform"].lower().split("="))
    where = {
        "pair": "race",
        "task": "respect",
        "decoder": "pretrained" if decoder == "LM" else decoder,
        "word": words,
        "measure": value["metric"],
    }
    return Answer(
        "text-small",
        "reviews-small",
        "film reviews",
        "model and judge",
        Rows("value", where, 1),
    )


ITEMS: dict[str, Callable[[Mapping[Any, Any]], Answer | str]] = {
    "table1": _cost,
    "table2": _sentences,
    "fig3-race-respect": _regard,
    "fig4a": _zero_shot,
    "fig4b": _zero_shot,
    "fig4c": _zero_shot,
    "fig5a": _finetuned,
    "fig5b": _probed,
    "fig7": _zero_shot,
    "fig8": _zero_shot,
    "fig11a": _finetuned,
    "fig11b": _probed,
}
