"""Columns of dates as text: cells that are empty are told, wherever they stand."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import text_cells
from fluxlens.models.errors import InputError


@pytest.mark.parametrize("dtype", ["object", "string", "str"])
@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_date_is_told_and_never_another_rows_date(dtype, empty):
    column = pd.Series(["2020-05-01", empty, "2020-05-03"], name="date", dtype=dtype)
    with pytest.raises(InputError, match="1 rows of the table without a date, the first row 2"):
        text_cells.to_times(column, "the table")


@pytest.mark.parametrize("dtype", ["object", "string", "str"])
def test_a_column_without_any_date_is_one_sentence(dtype):
    with pytest.raises(InputError, match="2 rows of the table without a date, the first row 1"):
        text_cells.to_times(pd.Series([None, None], name="date", dtype=dtype), "the table")


def test_a_column_without_rows_has_no_times():
    assert len(text_cells.to_times(pd.Series([], name="date", dtype="str"), "the table")) == 0


def test_repeated_dates_keep_their_rows():
    column = pd.Series(["2020-05-03", "2020-05-01", "2020-05-03"], name="date")
    expected = np.array(["2020-05-03", "2020-05-01", "2020-05-03"], "datetime64[s]")
    assert (text_cells.to_times(column, "the table") == expected).all()
