"""Series tables in the shapes that people export: the values of the plain table, or one sentence with the cause."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.cli import main
from fluxlens.embeddings.readers import series_table
from fluxlens.models.errors import DataWarning, InputError

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
DATES = pd.date_range("2020-04-01", periods=12, freq="5D")


def plain() -> pd.DataFrame:
    """Two series of twelve dates, reflectance."""
    draw = np.random.default_rng(0)
    values = draw.uniform(0.02, 0.4, (24, len(BANDS))).round(4)
    ids = np.repeat(["A", "B"], len(DATES))
    return pd.DataFrame({"id": ids, "date": np.tile(DATES, 2), **dict(zip(BANDS, values.T, strict=True))})


def radar() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    ids = np.repeat(["A", "B"], len(DATES))
    vv = draw.uniform(-15, -6, 24).round(3)
    return pd.DataFrame({"id": ids, "date": np.tile(DATES, 2), "VV": vv, "VH": vv - 7})


def without_date(table: pd.DataFrame, **columns) -> pd.DataFrame:
    return table.drop(columns="date").assign(**columns)


def dates(style: str):
    return lambda table: table.assign(date=table["date"].dt.strftime(style))


def epoch(table: pd.DataFrame, step: int) -> pd.DataFrame:
    return table.assign(date=table["date"].astype("datetime64[ns]").astype("int64") // step)


def parts(*names: str):
    facts = {"year": "year", "doy": "day_of_year", "month": "month", "day": "day"}
    return lambda table: without_date(
        table, **{name: getattr(table["date"].dt, facts[name]) for name in names}
    )


def long_form(table: pd.DataFrame) -> pd.DataFrame:
    return table.melt(["id", "date"], var_name="band", value_name="value")


def wide_form(table: pd.DataFrame) -> pd.DataFrame:
    table = table.assign(day=table["date"].dt.strftime("%Y%m%d")).pivot(
        index="id", columns="day", values=list(BANDS)
    )
    return table.set_axis([f"{day}_{band}" for band, day in table.columns], axis=1).reset_index()


SAME = {
    "day first": dates("%d/%m/%Y"), "month first": dates("%m/%d/%Y"), "full stops": dates("%d.%m.%Y"),
    "dashes, day first": dates("%d-%m-%Y"), "month in words": dates("%d-%b-%Y"), "console": dates("%b %d, %Y"),
    "spreadsheet": dates("%d-%b-%y"), "digits": dates("%Y%m%d"), "year and day": dates("%Y%j"),
    "year, day": dates("%Y-%j"), "UTC times": dates("%Y-%m-%dT10:30:00.123Z"), "slashes": dates("%Y/%m/%d"),
    "zone": dates("%Y-%m-%dT10:30:00+02:00"), "seconds": lambda table: epoch(table, 10**9),
    "milliseconds": lambda table: epoch(table, 10**6),
    "columns of year and day of year": parts("year", "doy"),
    "columns of year, month, day": parts("year", "month", "day"),
    "day of month beside day of year": parts("year", "doy", "day"),
    "ids with spaces": lambda table: table.assign(id=table["id"] + " 1 "),
    "leading zeros": lambda table: table.assign(id=table["id"].map({"A": "001", "B": "002"})),
    "digital numbers": lambda table: table.assign(**{one: (table[one] * 1e4).round() for one in BANDS}),
    "short names": lambda table: table.rename(columns=lambda name: name.replace("B0", "B")),
    "sizes": lambda table: table.rename(columns=lambda name: f"{name}_10m" if name in BANDS else name),
    "prefix": lambda table: table.rename(columns=lambda name: f"S2_{name}" if name in BANDS else name),
    "reducers": lambda table: table.rename(columns=lambda name: f"{name}_mean" if name in BANDS else name),
    "other columns": lambda table: table.assign(NDVI=0.5, crop="wheat", cloud=0.1),
    "one row per band": long_form, "one column per band and date": wide_form,
    "cloud of two values": lambda table: table.assign(cloud_mask=0),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Got digital numbers", "ignore:years of .* have two digits")
@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_each_spelling_has_the_values_of_the_plain_table(tmp_path, make):
    table = plain()
    make(table).to_csv(tmp_path / "plots.csv", index=False)
    found = series_table.read_series(tmp_path / "plots.csv")
    observed = found.sensors["s2"]
    np.testing.assert_allclose(observed.values, table[list(BANDS)], atol=1e-6)
    np.testing.assert_array_equal(
        observed.day.astype("datetime64[D]"), table["date"].to_numpy("datetime64[D]")
    )
    assert len(found.ids) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda table: table.astype({"id": "category"}),
        lambda table: table.assign(date=table["date"].dt.date),
        lambda table: table.assign(date=table["date"].dt.tz_localize("Europe/Brussels")),
        lambda table: table.assign(date=table["date"].dt.tz_localize("UTC")),
        lambda table: table.set_index(["id", "date"]),
        lambda table: table.astype(dict.fromkeys(BANDS, "float32")),
    ],
    ids=["categories", "dates", "local midnights", "UTC", "index", "float32"],
)
def test_types_of_parquet_have_the_values_of_the_plain_table(tmp_path, make):
    table = plain()
    make(table).to_parquet(tmp_path / "plots.parquet")
    observed = series_table.read_series(tmp_path / "plots.parquet").sensors["s2"]
    np.testing.assert_allclose(observed.values, table[list(BANDS)], atol=1e-6)
    np.testing.assert_array_equal(
        observed.day.astype("datetime64[D]"), table["date"].to_numpy("datetime64[D]")
    )


REFUSED = {
    "day of year alone": (lambda table: table.assign(date=table["date"].dt.day_of_year), "'92' in date"),
    "years of two digits": (
        dates("%d/%m/%y"),
        r"dates such as '01/04/20' in the column date .* have two digits",
    ),
    "digits of years of two": (dates("%y%m%d"), "dates such as '200401' .* two digits|months such as 200401"),
    "percent": (
        lambda table: table.assign(**{one: table[one] * 100 for one in BANDS}),
        "if they are percent, divide",
    ),
    "no id": (lambda table: table.drop(columns="id"), "need one that names the series"),
    "an id missing": (
        lambda table: table.assign(id=table["id"].where(table.index != 2)),
        "Got row 3 .* without a name",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_its_cause(tmp_path, capsys, make, message):
    make(plain()).to_csv(tmp_path / "plots.csv", index=False)
    with pytest.raises(InputError, match=message):
        series_table.read_series(tmp_path / "plots.csv")
    assert main(["embed", str(tmp_path / "plots.csv"), "--out", str(tmp_path / "out.csv")]) == 2
    lines = [line for line in re.split(r"[\r\n]+", capsys.readouterr().err) if "fluxlens: " in line]
    assert len(lines) == 1
    assert re.search(message, lines[0])


@pytest.mark.parametrize(
    ("column", "clear", "cloudy"),
    [
        ("cloud", 0, 1),
        ("cloud_probability", 5, 95),
        ("cs_cdf", 0.9, 0.1),
        ("clear_sky", 1, 0),
        ("valid", True, False),
    ],
)
def test_a_column_that_says_what_is_cloudy_is_used_and_told(column, clear, cloudy):
    table = plain()
    is_clear = np.arange(len(table)) % 3 != 0
    table[column] = np.where(is_clear, clear, cloudy)
    with pytest.warns(
        DataWarning, match=rf"8 of 24 rows of .* are cloudy by their column {column}: left out"
    ) as caught:
        found = series_table.read_series(table)
    assert len(caught) == 1
    np.testing.assert_allclose(found.sensors["s2"].values, table.loc[is_clear, list(BANDS)], atol=1e-6)


def test_clear_and_scl_come_before_other_masks():
    table = plain().assign(SCL=4, cloud=1)
    assert len(series_table.read_series(table).sensors["s2"].day) == len(table)


def power(table: pd.DataFrame, rows: slice, *bands: str) -> pd.DataFrame:
    table = table.copy()
    for band in bands:
        table.loc[table.index[rows], band] = 10 ** (table[band].iloc[rows] / 10)
    return table


RADAR_REFUSED = {
    "VV in power": (
        lambda table: power(table, slice(None), "VV"),
        "50% of VV and VH above 0, .* need one unit for all",
    ),
    "half the rows in power": (
        lambda table: power(table, slice(12, None), "VV", "VH"),
        "need one unit for all",
    ),
    "dB times 100": (lambda table: table.assign(VV=table["VV"] * 100, VH=table["VH"] * 100), "divide by 100"),
    "counts": (lambda table: table.assign(VV=200.0, VH=90.0), "need dB"),
    "other polarisations": (
        lambda table: table.rename(columns={"VV": "HH", "VH": "HV"}),
        "need VV, VH in dB; rename",
    ),
}


@pytest.mark.parametrize(("make", "message"), RADAR_REFUSED.values(), ids=RADAR_REFUSED)
def test_radar_in_another_unit_is_refused_with_its_cause(make, message):
    with pytest.raises(InputError, match=message):
        series_table.read_series(None, make(radar()))


def test_radar_with_one_row_per_polarisation_is_decibel():
    table = radar()
    found = series_table.read_series(None, long_form(table))
    np.testing.assert_allclose(found.sensors["s1"].values, table[["VV", "VH"]], atol=1e-4)


def test_radar_power_is_converted_and_amplitude_named():
    table = radar()
    with pytest.warns(DataWarning, match="which are linear power: converted to dB"):
        found = series_table.read_series(None, power(table, slice(None), "VV", "VH"))
    np.testing.assert_allclose(found.sensors["s1"].values, table[["VV", "VH"]], atol=1e-4)
    amplitude = table.assign(**{band: 10 ** (table[band] / 20) for band in ("VV", "VH")})
    with pytest.warns(DataWarning, match="look like amplitude; if they are, square them"):
        series_table.read_series(None, amplitude)


def test_zero_decibel_is_no_value():
    table = radar()
    table.loc[::4, "VV"] = 0.0
    with pytest.warns(
        DataWarning, match="6 of 24 rows .* have VV or VH of exactly 0, which is no value in dB"
    ) as caught:
        found = series_table.read_series(None, table)
    assert len(caught) == 1
    np.testing.assert_array_equal(np.isnan(found.sensors["s1"].values[:, 0]), np.arange(24) % 4 == 0)


def test_nothing_is_told_of_a_plain_table():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series_table.read_series(plain(), radar())
