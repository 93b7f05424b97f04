"""Daily series of towers as people write them: the numbers of the plain table, or one sentence."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings.gpp import daily_table
from fluxlens.embeddings.gpp.daily_table import DAILY_COLUMNS, DAILY_WEATHER
from fluxlens.models.errors import InputError

DAYS = 40


def plain() -> pd.DataFrame:
    steps = np.linspace(0, 1, DAYS)
    return pd.DataFrame(
        {
            "site": "CZ-BK1", "date": pd.date_range("2020-05-01", periods=DAYS),
            **{band: (0.03 + 0.3 * steps).round(4) for band in DAILY_COLUMNS},
            "temp": 8 + 12 * steps, "vpd": 300 + 900 * steps, "ppfd": 3e-4 * (1 + steps), "prec": 2e-5, "lat": 49.5,
            "gpp": 5.0,
        }
    )  # fmt: skip


def dates(style: str):
    return lambda table: table.assign(date=table["date"].dt.strftime(style))


SAME = {
    "digits": dates("%Y%m%d"), "year and day": dates("%Y%j"), "full stops": dates("%d.%m.%Y"),
    "day first": dates("%d/%m/%Y"), "month first": dates("%m/%d/%Y"), "T": dates("%Y%m%dT%H%M%S"),
    "minutes": dates("%Y%m%d%H%M"), "names": lambda table: table.rename(columns={"site": "SITE_ID", "date": "Date"}),
    "latitude": lambda table: table.rename(columns={"lat": "Latitude"}),
    "minutes of arc": lambda table: table.assign(lat="49°30'N"),
}  # fmt: skip


@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
@pytest.mark.parametrize("options", [{}, {"sep": ";", "decimal": ","}, {"sep": "\t", "encoding": "utf-16"}])
def test_each_spelling_has_the_numbers_of_the_plain_table(tmp_path, make, options):
    path = tmp_path / "towers.csv"
    make(plain()).to_csv(path, index=False, **options)
    assert daily_table.is_daily_file(path)
    found = daily_table.read(path, need_gpp=True)
    np.testing.assert_array_equal(found["date"], plain()["date"])
    assert set(found["site"]) == {"CZ-BK1"}
    for name in (*DAILY_COLUMNS, *DAILY_WEATHER, "lat", "gpp"):
        np.testing.assert_allclose(found[name], plain()[name], rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda table: table.set_index(["site", "date"]),
        lambda table: table.set_index("date").rename_axis(None),
        lambda table: table.assign(date=table["date"].dt.strftime("%Y%m%d").astype(int)),
    ],
    ids=["index", "index of dates without a name", "digits as numbers"],
)
def test_parquet_of_pandas_has_the_days_of_the_plain_table(tmp_path, make):
    make(plain()).to_parquet(tmp_path / "towers.parquet")
    found = daily_table.read(tmp_path / "towers.parquet")
    np.testing.assert_array_equal(found["date"], plain()["date"])
    np.testing.assert_allclose(found["blue"], plain()["blue"])


def test_codes_for_missing_are_missing(tmp_path):
    table = plain()
    table.loc[3, ["temp", "blue"]] = -9999.0
    table.to_csv(tmp_path / "towers.csv", index=False)
    found = daily_table.read(tmp_path / "towers.csv")
    assert list(np.flatnonzero(found["temp"].isna())) == [3]
    assert list(np.flatnonzero(found["blue"].isna())) == [3]


def scaled(factor: float, *names: str, plus: float = 0.0):
    return lambda table: table.assign(**{name: table[name] * factor + plus for name in names})


REFUSED = {
    "months": (dates("%Y-%m"), "Got months such as 2020-05"),
    "weeks": (dates("%G-W%V"), "Got weeks such as 2020-W18"),
    "day or month": (
        lambda table: table.iloc[:3].assign(date=["01/05/2020", "02/05/2020", "03/05/2020"]),
        "whose day and month cannot be told apart",
    ),
    "text": (lambda table: table.assign(temp="warm"), "Got 'warm' in the column temp"),
    "kelvin": (scaled(1, "temp", plus=273.15), "need degC; subtract 273.15"),
    "hPa": (scaled(0.01, "vpd"), "need Pa; multiply hPa by 100"),
    "kPa": (scaled(0.001, "vpd"), "need Pa; multiply hPa by 100, kPa by 1000"),
    "drier than dry": (scaled(10, "vpd"), "with vpd of 7.5e\\+03 at the median, need Pa; check"),
    "umol": (scaled(1e6, "ppfd"), "need mol m-2 s-1; divide by 1e6"),
    "mol per day": (scaled(86400, "ppfd"), "need mol m-2 s-1; divide by 86400"),
    "mm per day": (scaled(86400, "prec"), "need mm s-1; divide mm d-1 by 86400"),
    "digital numbers": (scaled(1e4, *DAILY_COLUMNS), "divide by 10000"),
    "percent": (scaled(100, *DAILY_COLUMNS), r"divide by 100\."),
    "divided twice": (scaled(1e-4, *DAILY_COLUMNS), "multiply by 10000"),
    "metres": (lambda table: table.assign(lat=5_500_000.0), "beyond 90 degrees"),
    "no site": (lambda table: table.assign(site=None), "without site"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_give_wrong_gpp_is_refused_with_its_cause(tmp_path, make, message):
    make(plain()).to_csv(tmp_path / "towers.csv", index=False)
    with pytest.raises(InputError, match=message):
        daily_table.read(tmp_path / "towers.csv")


def test_cold_and_humid_towers_are_plausible(tmp_path):
    table = plain().assign(temp=-15.0, vpd=np.linspace(5, 60, DAYS), ppfd=1e-5, prec=0.0)
    table.to_csv(tmp_path / "towers.csv", index=False)
    np.testing.assert_allclose(daily_table.read(tmp_path / "towers.csv")["vpd"], table["vpd"])
