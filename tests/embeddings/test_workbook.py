"""Excel's workbooks: the only sheet is read as the CSV of the same table, else refused with what to do."""

import datetime as dt
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import text_table, towers
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.readers.series_table import read_series, read_weather
from fluxlens.models.errors import InputError

DAYS = pd.date_range("2020-05-01", periods=4, freq="5D")
SERIES = pd.DataFrame(
    {
        "id": [1, 1, 2, 2],
        "date": DAYS,
        "B03": [0.05, 0.06, np.nan, 0.07],
        "B04": 0.04,
        "B08": [0.3, 0.4, 0.5, 0.6],
    }
)


def as_workbook(path, table: pd.DataFrame, **sheets: pd.DataFrame):
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        for name, sheet in {"Sheet1": table, **sheets}.items():
            sheet.to_excel(book, sheet_name=name, index=False)
    return path


@pytest.mark.parametrize("name", ["plots.xlsx", "plots.csv"])
def test_a_series_table_in_a_workbook_is_that_of_the_csv(tmp_path, name):
    SERIES.to_csv(tmp_path / "right.csv", index=False)
    # Dates as Excel's dates, and an empty second sheet, which a new workbook has.
    book = as_workbook(tmp_path / name, SERIES, Sheet2=pd.DataFrame())
    found, right = read_series(book), read_series(tmp_path / "right.csv")
    np.testing.assert_array_equal(found.ids, right.ids)
    np.testing.assert_array_equal(found.sensors["s2"].day, right.sensors["s2"].day)
    np.testing.assert_array_equal(found.sensors["s2"].values, right.sensors["s2"].values)


def test_cells_of_a_workbook_are_what_they_hold(tmp_path):
    cells = pd.DataFrame(
        {
            "text": ["0,05", "NA"], "number": [1234.5, 7], "clock": [dt.datetime(2020, 5, 1, 10, 30), None],
            "empty": [None, None],
        }
    )  # fmt: skip
    table = text_table.read_table(as_workbook(tmp_path / "a.xlsx", cells))
    assert table["text"].tolist() == ["0.05", "NA"]
    assert table["number"].astype(float).tolist() == [1234.5, 7]
    assert table["clock"].tolist() == ["2020-05-01 10:30:00", ""]


def test_weather_and_gpp_tables_in_workbooks_are_read(tmp_path):
    air = pd.DataFrame({"date": pd.date_range("2020-05-01", periods=4), "tair": [10.5, 11.0, 12.5, 13.0]})
    found = read_weather(as_workbook(tmp_path / "weather.xlsx", air))[None]
    np.testing.assert_allclose(found["tair"], air["tair"])
    rows = pd.DataFrame({"SITE_ID": "XX-Abc", "date": DAYS, **dict.fromkeys(BANDS, 0.1)})
    cleaned = tables.read(as_workbook(tmp_path / "gpp.xlsx", rows))
    np.testing.assert_array_equal(cleaned["date"], DAYS)


def test_a_list_of_sites_in_a_workbook_is_read(tmp_path):
    place = pd.DataFrame({"site": ["XX-Abc"], "lat": [51.5], "lon": [-3.25]})
    found = towers.sites(as_workbook(tmp_path / "sites.xlsx", place))
    assert found.loc["XX-Abc", ["lon", "lat"]].tolist() == [-3.25, 51.5]


def test_workbooks_that_are_not_read_are_one_sentence_with_what_to_do(tmp_path, monkeypatch):
    two = as_workbook(tmp_path / "two.xlsx", SERIES, Other=SERIES)
    with pytest.raises(
        InputError, match=r"2 filled sheets \(Sheet1, Other\), need one; save the one you mean as CSV"
    ):
        read_series(two)
    flux = pd.DataFrame({"TIMESTAMP": [20200501], "GPP_NT_VUT_REF": [7.5]})
    tower = as_workbook(tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.xlsx", flux)
    with pytest.raises(InputError, match=r"Got FLX_.*a workbook.*save its sheet as CSV"):
        towers.read(tower)
    with zipfile.ZipFile(tmp_path / "odd.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    for name in ("odd.xlsx", "old.xls"):
        if name == "old.xls":
            (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
        with pytest.raises(InputError, match=r"workbook.*save the sheet as CSV"):
            read_series(tmp_path / name)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    book = tmp_path / "plots.xlsx"
    book.write_bytes(two.read_bytes())
    with pytest.raises(InputError, match="need openpyxl to read it; install it, or save the sheet as CSV"):
        read_series(book)
