"""Excel's workbooks: the only sheet is read as the CSV of the same table, else refused with what to do."""

import datetime as dt
import sys
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pytest
from fluxlens.embeddings import text_table, towers
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.readers.series_table import read_series, read_weather
from fluxlens.models.errors import DataWarning, InputError
from openpyxl.utils.datetime import CALENDAR_MAC_1904, to_excel

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
    with pytest.raises(
        InputError, match=r"Got two.xlsx, a workbook with 2 filled sheets \(Sheet1, Other\), need one"
    ):
        towers.read(two)
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
    for read in (read_series, towers.read):
        with pytest.raises(
            InputError, match="need openpyxl to read it; install it, or save the sheet as CSV"
        ):
            read(book)


NOTES = pd.DataFrame({"Variable": ["GPP_NT_VUT_REF", "TA_F"], "Meaning": ["gross production", "air"]})
STARTS = pd.date_range("2019-06-01", periods=3 * 48, freq="30min")
GPP = 6 + 4 * np.sin(np.arange(len(STARTS)) / 20)


def flux(stamps) -> pd.DataFrame:
    weather = {"TA_F": 12.5, "WS_F": 3.0, "WD": 200.0, "USTAR": 0.4, "H_F_MDS": 50.0}
    return pd.DataFrame({"TIMESTAMP_START": stamps, "GPP_NT_VUT_REF": GPP, "NEE_VUT_REF_QC": 0} | weather)


@pytest.mark.parametrize("kind", ["dates", "numbers", "text"])
def test_a_tower_in_a_workbook_is_that_of_the_csv(tmp_path, kind):
    digits = STARTS.strftime("%Y%m%d%H%M")
    stamps = {"dates": STARTS, "numbers": digits.astype("int64"), "text": digits}[kind]
    book = as_workbook(tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_HH_2019-2019_1-4.xlsx", flux(stamps))
    found = towers.read(book)
    np.testing.assert_array_equal(found["time"], STARTS[::48])
    np.testing.assert_allclose(found["gpp_nt"], GPP.reshape(3, 48).mean(axis=1) * 1.0377, rtol=1e-6)
    np.testing.assert_allclose(found["tair"], 12.5)
    assert list(towers.turbulence(book).index) == list(STARTS)


def test_the_one_sheet_with_a_table_is_read_and_the_others_are_named(tmp_path):
    book = as_workbook(
        tmp_path / "XX-Abc_HH.xlsx", NOTES, Data=flux(STARTS), Contact=pd.DataFrame({"PI": ["A. B."]})
    )
    with pytest.warns(
        DataWarning, match=r"the sheet Data is read, 2 without a table .* are not \(Sheet1, Contact\)"
    ):
        found = towers.read(book)
    assert dict(found.sizes) == {"time": 3}
    plots = as_workbook(tmp_path / "plots.xlsx", SERIES, About=NOTES)
    with pytest.warns(DataWarning, match=r"the sheet Sheet1 is read, 1 without a table .*\(About\)"):
        assert list(read_series(plots).ids) == ["1", "2"]


def as_of_1904(path, table: pd.DataFrame, is_formatted: bool):
    """A workbook whose days count from 1904, as those of old Macs; days with a format of dates, or as numbers."""
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    sheet.append(list(table))
    for row in table.itertuples(index=False):
        day = row[0].to_pydatetime()
        sheet.append([day if is_formatted else to_excel(day, CALENDAR_MAC_1904), *row[1:]])
    book.save(path)
    return path


@pytest.mark.filterwarnings("ignore:.*as a spreadsheet counts them")
@pytest.mark.parametrize("is_formatted", [True, False])
def test_days_of_a_workbook_that_counts_from_1904_are_those_of_its_own(tmp_path, is_formatted):
    days = pd.date_range("2019-06-01", periods=30)
    air = pd.DataFrame({"date": days, "tair": np.linspace(10, 20, 30)})
    found = read_weather(as_of_1904(tmp_path / "weather.xlsx", air, is_formatted))[None]
    np.testing.assert_array_equal(found["time"], days)
    np.testing.assert_allclose(found["tair"], air["tair"])
    fluxes = pd.DataFrame({"TIMESTAMP": days, "GPP_NT_VUT_REF": np.linspace(3, 9, 30), "NEE_VUT_REF_QC": 1})
    tower = towers.read(as_of_1904(tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD.xlsx", fluxes, is_formatted))
    np.testing.assert_array_equal(tower["time"], days)
    series = pd.DataFrame({"date": days, "id": "A", "B03": 0.1, "B04": 0.1, "B08": 0.3})
    found = read_series(as_of_1904(tmp_path / "plots.xlsx", series, is_formatted)).sensors["s2"]
    np.testing.assert_array_equal(found.day.astype("datetime64[D]"), days)
