"""Rows that do not fit the header, and tables that are cut off: told, and never read as something else."""

import warnings

import numpy as np
import pytest
from fluxlens.embeddings import towers
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.readers.series_table import read_series
from fluxlens.embeddings.text_table import read_table
from fluxlens.models.errors import DataWarning, InputError

ROWS = [f"A,2020-05-{day:02d},0.{day:04d},0.{2 * day:04d},0.{3 * day:04d}" for day in range(1, 25)]
TEXT = "id,date,B02,B03,B04\n" + "\n".join(ROWS) + "\n"


@pytest.mark.parametrize(
    ("cut", "rows", "last", "message"),
    [
        (0, 24, "0.0072", ""),
        (1, 24, "0.0072", ""),
        (2, 24, "0.007", "ends without a line end in '0.007', shorter than that cell of all other rows"),
        (6, 24, "0", "ends without a line end in '0', shorter"),
        (7, 24, "", ""),
        (8, 23, "0.0069", "the last row is cut off in the middle and left out"),
        (20, 23, "0.0069", "the last row is cut off in the middle and left out"),
        (34, 23, "0.0069", ""),
    ],
)
def test_a_table_that_is_cut_off_is_told_and_a_row_cut_in_the_middle_left_out(
    tmp_path, cut, rows, last, message
):
    path = tmp_path / "plots.csv"
    path.write_text(TEXT[: len(TEXT) - cut])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_table(path)
    assert (len(table), table["B04"].iloc[-1]) == (rows, last)
    assert [message in str(one.message) for one in caught] == ([True] if message else [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace(",0.0021\n", "\n"),
            "1 of 24 rows have fewer cells than the header (the first row 7)",
        ),
        # Windows' list separator and quotes around thousands do not matter; a bare comma shifts what is behind it.
        (
            lambda text: text.replace("0.0007,", "1,234,"),
            "with 1 of 24 rows of more cells than the header, the first row 7",
        ),
    ],
)
def test_rows_of_fewer_or_more_cells_than_the_header_are_counted(tmp_path, change, message):
    path = tmp_path / "plots.csv"
    path.write_text(change(TEXT))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((InputError, DataWarning)) as caught:
            read_series(path)
    assert message in str(caught.value)


def test_the_unnamed_column_of_row_names_that_r_writes_is_passed_over(tmp_path):
    header, *rows = TEXT.splitlines()
    (tmp_path / "r.csv").write_text(
        "\n".join([header, *(f"{n},{row}" for n, row in enumerate(rows, 1))]) + "\n"
    )
    (tmp_path / "plain.csv").write_text(TEXT)
    assert read_table(tmp_path / "r.csv").equals(read_table(tmp_path / "plain.csv"))


def test_lines_above_a_second_header_are_not_called_short(tmp_path):
    days = "\n".join(f"2020-05-{day:02d},15.5" for day in range(1, 25))
    path = tmp_path / "open-meteo.csv"
    path.write_text(f"latitude,longitude,elevation\n50.7,4.1,30\n\ntime,temperature_2m_mean (°C)\n{days}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert weather_table.open(path).sizes["time"] == 24


def test_a_tower_that_is_cut_off_is_told_and_its_last_row_left_out(tmp_path):
    path = tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv"
    rows = "\n".join(f"201905{day:02d},{day}.25,12.75" for day in range(1, 25))
    text = f"TIMESTAMP,GPP_NT_VUT_REF,TA_F\n{rows}\n"
    for cut, days, message in (
        (3, 24, "ends in '12.' without a line end"),
        (8, 23, "cut off in the middle"),
        (1, 24, ""),
    ):
        path.write_text(text[: len(text) - cut])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tower = towers.read(path)
        np.testing.assert_array_equal(tower["gpp_nt"], np.arange(1, days + 1) + 0.25)
        assert [message in str(one.message) for one in caught] == ([True] if message else [])
