"""Series tables of other shapes and their dates: one row per band, one column per band and date, an index."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import text_cells
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_features import BANDS as TABLE_BANDS
from fluxlens.embeddings.readers.series_table import read_series
from fluxlens.models.errors import DataWarning, InputError

BANDS = ["B02", "B03", "B04", "B08"]
AT = [0, 1, 2, 6]
DAYS = pd.date_range("2020-04-01", periods=5, freq="5D")
VALUES = np.random.default_rng(3).uniform(0.02, 0.4, (10, 4)).round(4)


def plain() -> pd.DataFrame:
    rows = pd.DataFrame({"id": np.repeat(["A", "B"], 5), "date": [*DAYS, *DAYS]})
    return rows.assign(**dict(zip(BANDS, VALUES.T, strict=True)))


def long(value: str = "value", label: str = "band", **columns) -> pd.DataFrame:
    return plain().assign(**columns).melt(["id", "date", *columns], var_name=label, value_name=value)


def wide(name) -> pd.DataFrame:
    table = plain().pivot(index="id", columns="date", values=BANDS)
    return table.set_axis([name(band, day) for band, day in table.columns], axis=1).reset_index()


def check(table: pd.DataFrame, tmp_path, message: str | None = None) -> object:
    """As text, and as it is."""
    table.to_csv(tmp_path / "plots.csv", index=False)
    for source in (tmp_path / "plots.csv", table):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if message is None:
                found = read_series(source)
            else:
                with pytest.warns(DataWarning, match=message):
                    found = read_series(source)
        observed = found.sensors["s2"]
        np.testing.assert_array_equal(
            observed.day.astype("datetime64[D]"), [*DAYS.values.astype("M8[D]")] * 2
        )
        np.testing.assert_allclose(observed.values[:, AT], VALUES, atol=1e-7)
    return found


LONG = {
    "band, value": long(),
    "variable, mean": long("mean", "variable"),
    "common names": long().assign(
        band=lambda table: table["band"].map(dict(zip(BANDS, ["blue", "green", "red", "nir"], strict=True)))
    ),
    "short names": long().assign(band=lambda table: table["band"].str.replace("B0", "B")),
    "shuffled": long().sample(frac=1, random_state=1),
    "an index among them": pd.concat([long(), long().iloc[:10].assign(band="NDVI", value=0.5)]),
    "spread and count of each": long().assign(stdDev=lambda table: table.index / 100, count=9),
    "places": long(lon=4.06, lat=50.75),
}


@pytest.mark.parametrize("table", LONG.values(), ids=LONG)
def test_one_row_per_band_is_read(tmp_path, table):
    found = check(table, tmp_path)
    if "lon" in table:
        np.testing.assert_allclose((found.lon[0], found.lat[0]), (4.06, 50.75))


def test_which_of_several_values_is_read_is_told(tmp_path):
    table = long("mean").assign(median=lambda one: one["mean"] / 2)
    check(table, tmp_path, "columns mean, median for each band: mean is read")


def test_masks_beside_the_bands_or_among_them_are_used(tmp_path):
    scl = np.where(np.arange(10) == 3, 9, 4)
    among = pd.concat([long(), plain()[["id", "date"]].assign(band="SCL", value=scl)])
    for table in (plain().assign(SCL=scl).melt(["id", "date", "SCL"], var_name="band"), among):
        observed = read_series(table).sensors["s2"]
        np.testing.assert_allclose(observed.values[:, AT], np.delete(VALUES, 3, axis=0), atol=1e-7)


def test_two_images_of_a_day_stay_two_rows(tmp_path):
    again = long().iloc[[0]].assign(value=0.5)
    with pytest.warns(DataWarning, match="1 of 11 rows of .* are of a series and day that another row has"):
        found = read_series(pd.concat([long(), again]))
    assert found.sensors["s2"].values[0, 0] == pytest.approx((VALUES[0, 0] + 0.5) / 2)
    np.testing.assert_allclose(found.sensors["s2"].values[1:, AT], VALUES[1:], atol=1e-7)


WIDE = {
    "B04_20200105": lambda band, day: f"{band}_{day:%Y%m%d}",
    "20200105_B04": lambda band, day: f"{day:%Y%m%d}_{band}",
    "B04_2020_01_05": lambda band, day: f"{band}_{day:%Y_%m_%d}",
    "2020-01-05_B04": lambda band, day: f"{day:%Y-%m-%d}_{band}",
    "X2020.01.05.B04": lambda band, day: f"X{day:%Y.%m.%d}.{band}",
    "S2_B4_mean_20200105": lambda band, day: f"S2_{band.replace('B0', 'B')}_mean_{day:%Y%m%d}",
    "names of images": lambda band, day: (
        f"{day:%Y%m%dT103021}_{day:%Y%m%dT103024}_T31UES_{band.replace('B0', 'B')}"
    ),
    "S2A_20200105_B04": lambda band, day: f"S2{'AB'[day.day % 2]}_{day:%Y%m%d}_{band}",
}


@pytest.mark.parametrize("name", WIDE.values(), ids=WIDE)
def test_one_column_per_band_and_date_is_read(tmp_path, name):
    check(wide(name), tmp_path)


def test_plots_without_an_image_of_a_date_have_no_row_of_it(tmp_path):
    table = wide(WIDE["B04_20200105"])
    table.loc[1, [f"{band}_20200406" for band in BANDS]] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observed = read_series(table.assign(lon=4.06, lat=50.75)).sensors["s2"]
    np.testing.assert_allclose(observed.values[:, AT], np.delete(VALUES, 6, axis=0), atol=1e-7)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (wide(lambda band, day: f"NDVI_{band}_{day:%Y_%m_%d}".replace("_B", "_x")), "need bands of Sentinel-2"),
        (wide(lambda band, day: f"{band}_{day.day}"), "need dates; add a column date"),
        (long("x"), "its column band names them, one row per band"),
    ],
)  # fmt: skip
def test_a_shape_that_cannot_be_told_is_refused(table, message):
    with pytest.raises(InputError, match=message):
        read_series(table)


def test_an_index_of_dates_without_a_name_is_the_date(tmp_path):
    table = plain().set_index("date").rename_axis(None)
    table.to_parquet(tmp_path / "plots.parquet")
    for source in (tmp_path / "plots.parquet", table):
        observed = read_series(source).sensors["s2"]
        np.testing.assert_allclose(observed.values[:, AT], VALUES, atol=1e-7)


def test_a_table_of_r_has_its_names_over_its_columns(tmp_path):
    table = plain().set_axis(range(1, 11)).assign(id=lambda rows: "plot " + rows["id"])
    text = table.to_csv(sep=" ", quoting=2, date_format="%Y-%m-%d").removeprefix('"" ')
    (tmp_path / "plots.txt").write_text(text)
    found = read_series(tmp_path / "plots.txt")
    assert list(found.ids) == ["plot A", "plot B"]
    np.testing.assert_allclose(found.sensors["s2"].values[:, AT], VALUES, atol=1e-7)


TIMES = pd.to_datetime(["2020-01-05 10:50:31", "2020-02-29 10:50:31", "2020-12-31 10:50:31"])
DATES = {
    "week and day": "%G-W%V-%u", "week and day, short": "%GW%V%u", "digits of minutes": "%Y%m%d%H%M",
    "digits of seconds": "%Y%m%d%H%M%S", "digits of hours": "%Y%m%d%H", "T": "%Y%m%dT%H%M%S", "blanks": "%d. %m. %Y",
    "full stops": "%d.%m.%Y", "SAS": "%d%b%Y", "R": "X%Y.%m.%d", "text in a spreadsheet": "'%Y-%m-%d",
    "satellite": "S2A_%Y%m%d", "tile": "T31UES_%Y%m%dT%H%M%S", "underscores": "%Y%m%d_%H%M%S", "slashes": "%Y/%m/%d",
}  # fmt: skip


@pytest.mark.parametrize("style", DATES.values(), ids=DATES)
def test_dates_are_the_days(style):
    found = text_cells.to_times(pd.Series(TIMES.strftime(style), name="date"), "the table")
    np.testing.assert_array_equal(found.astype("M8[D]"), TIMES.values.astype("M8[D]"))


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_numbers_of_pandas_and_spark_are_dates(unit):
    column = pd.Series(TIMES.as_unit(unit).astype("int64"), name="date")
    np.testing.assert_array_equal(text_cells.to_times(column, "the table"), TIMES.values.astype("M8[s]"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2020-W12", "Got weeks such as 2020-W12 .* of a composite its middle day"),
        ("2020W12", "Got weeks such as"), ("2020-04", "Got months such as 2020-04"), ("202004", "Got months such as"),
        ("2020/4", "Got months such as"), ("2020", "Got years such as 2020"),
        ("2020.0123", "Got years with decimals such as"), ("03/04/2020", "whose day and month cannot be told apart"),
        ("2020-01-05/2020-01-06", "without a date"), ("5 stycznik 2020", "without a date"),
    ],
)  # fmt: skip
def test_what_is_no_day_is_refused_in_series_and_tables_of_gpp(text, message):
    column = pd.Series([text, text], name="date")
    with pytest.raises(InputError, match=message):
        text_cells.to_times(column, "the table")
    rows = pd.DataFrame({"site": "A", "date": column, **dict.fromkeys(TABLE_BANDS, 0.1)})
    with pytest.raises(InputError, match=message):
        tables.clean(pd.read_csv(io.StringIO(rows.to_csv(index=False))))
