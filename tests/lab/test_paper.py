"""The paper's own numbers."""

import pandas as pd
import pytest

from equinb.lab import paper_values
from equinb.lab.paper import PAPER_VALUES

ITEMS = sorted(pd.read_csv(PAPER_VALUES)["item"].unique())


@pytest.mark.parametrize("item", ITEMS)
def test_every_value_has_a_place_and_a_source(item):
    values = paper_values(item)
    assert not values[["metric", "value", "source"]].isna().any().any()
    places = values.drop(columns=["value", "std", "note"], errors="ignore")
    assert not places.duplicated().any()


def test_a_table_is_as_printed():
    table = paper_values("table2").set_index(["transform", "method", "metric"])
    assert table.loc[("add_jump", "EquizeroLSTM", "test_acc"), "value"] == 75.2
    assert table.loc[("around_right", "EquiLSTM", "test_acc"), "std"] == 12.9
    assert len(table) == 12


def test_an_unknown_item_is_refused():
    with pytest.raises(ValueError, match="No value of 'table99' is known; there are"):
        paper_values("table99")
