"""The paper's own numbers, tidy, each with where it was read."""

from __future__ import annotations

import pandas as pd

from equinb.lab.files import ASSETS

PAPER_VALUES = ASSETS / "paper-values.csv"


def paper_values(item: str) -> pd.DataFrame:
    """The values of a table or figure of the paper (Basu et al., NeurIPS 2023).

    Args:
        item: such as "table2" or "fig5a".

    Returns:
        A row a value: dataset, transform, model, method, step, metric, value, std (of
        the paper's seeds), source and note. Columns that are empty here are left out.

    Raises:
        ValueError: if no value of that item is known.

    Example:
        >>> table = paper_values("table2").query("metric == 'test_acc'")
        >>> table[["method", "value", "std"]].to_dict("records")[-1]
        {'method': 'EquizeroLSTM', 'value': 81.7, 'std': 2.4}
    """
    values = pd.read_csv(PAPER_VALUES)
    mine = values[values["item"] == item].drop(columns="item")
    if mine.empty:
        known = ", ".join(sorted(values["item"].unique()))
        raise ValueError(f"No value of {item!r} is known; there are: {known}.")
    return mine.dropna(axis=1, how="all").reset_index(drop=True)
