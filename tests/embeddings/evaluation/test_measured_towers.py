"""Scores at towers left out: time scales, climates and the P-model, on tables whose scores are known."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings.evaluation import gpp_measured_towers
from fluxlens.embeddings.gpp import baselines
from fluxlens.embeddings.training import gpp_towers
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import DRIVERS, NORMALISATIONS, PAR_MOL_PER_J

DAYS = pd.date_range("2018-01-01", "2020-12-31")
CLIMATE_OF = {"A-One": "Cold", "B-Two": "Arid"}


@pytest.fixture
def frame() -> pd.DataFrame:
    """Three years of two towers; each line errs in a way of its own."""
    rng = np.random.default_rng(3)
    angle = 2 * np.pi * DAYS.day_of_year.values / 365.25
    parts = []
    for site, climate in CLIMATE_OF.items():
        season, anomaly = 6 - 5 * np.cos(angle), rng.normal(0, 1, len(DAYS))
        # Plus and minus within each week from the first day on, the seventh day 0: their mean over a week is 0.
        within_week = np.array([1, -1, 1, -1, 1, -1, 0])[np.arange(len(DAYS)) % 7]
        gpp = season + anomaly
        columns = {
            "site": site,
            "date": DAYS,
            "type": "GRA",
            "climate": climate,
            "gpp": gpp,
            "predicted": gpp + 3 + 2 * np.sin(angle),
            "nirv x sw": gpp + within_week,
            "p-model": season,
            "day_of_year": season,
            "plant_type": season,
            # At the first tower the band holds every error of the model, which is at most 5, at the second none.
            "spread": 5.0 if climate == "Cold" else 0.1,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def test_a_prediction_that_errs_by_the_season_alone_has_perfect_anomalies(frame):
    days = gpp_measured_towers.group_scores(frame)
    found = gpp_measured_towers.time_scale_scores(frame, "anomaly")
    assert (found["rows"], found["sites"]) == (len(frame), 2)
    assert days["model.nse"] < 0.4
    # The bias is a sine and the cycle a mean over 15 days: 0.5 % of the bias stays.
    assert found["model.nse"] > 0.999
    assert found["model.median_site_nse"] > 0.999
    assert found["p-model.nse"] == pytest.approx(0, abs=0.08)
    assert found["p-model.nse"] < found["nirv_x_sw.nse"] < 0.5


def test_errors_that_cancel_within_a_week_do_not_count_in_weekly_means(frame):
    found = gpp_measured_towers.time_scale_scores(frame, "weekly")
    # 1096 days are 156 whole weeks and four days, which are left out.
    assert (found["rows"], found["sites"]) == (312, 2)
    assert found["nirv_x_sw.rmse"] == pytest.approx(0, abs=1e-9)
    assert found["nirv_x_sw.nse"] == pytest.approx(1)
    assert gpp_measured_towers.group_scores(frame)["nirv_x_sw.rmse"] == pytest.approx(
        (6 / 7) ** 0.5, abs=1e-3
    )


def test_towers_with_one_year_have_no_anomalies(frame):
    one_year = frame[frame["date"].dt.year == 2018]
    assert gpp_measured_towers.time_scale_scores(one_year, "anomaly") == {}
    both = pd.concat([one_year[one_year["site"] == "A-One"], frame[frame["site"] == "B-Two"]])
    assert gpp_measured_towers.time_scale_scores(both, "anomaly")["sites"] == 1


def test_the_band_is_counted_by_climate(frame):
    found = gpp_measured_towers.group_scores(frame)
    assert found["model.climate_coverage_Cold"] == 1
    assert found["model.climate_coverage_Arid"] < 0.05
    assert found["model.coverage_GRA"] == pytest.approx(0.5, abs=0.03)
    # A climate that nobody knows is no climate.
    unknown = gpp_measured_towers.group_scores(frame.assign(climate="unknown"))
    assert not [key for key in unknown if "climate" in key]


def test_the_report_names_scales_climates_and_every_line(frame):
    result = {"split": "leave-site-out", "rows": len(frame), "sites": 2, "simulated_landscapes": 0}
    result |= {f"daily.{key}": value for key, value in gpp_measured_towers.group_scores(frame).items()}
    for scale in gpp_measured_towers.TIME_SCALES:
        found = gpp_measured_towers.time_scale_scores(frame, scale)
        result |= {f"daily_{scale}.{key}": value for key, value in found.items()}
    lines = gpp_measured_towers.report(result).splitlines()
    starts = [line[:18].strip() for line in lines if line[18:].startswith("model")]
    assert starts == ["daily", "daily_weekly", "daily_anomaly"]
    assert sum(line[18:].startswith("p-model") for line in lines) == 3
    cold = next(line for line in lines if "climate Cold" in line)
    assert cold.endswith("band 100%")


def drivers_of(tair: np.ndarray, vpd: np.ndarray) -> np.ndarray:
    """Weather that has lasted, as drivers."""
    out = np.zeros((len(tair), len(DRIVERS)), np.float32)
    for name, values in (("tair", tair), ("tair_recent", tair), ("vpd", vpd), ("vpd_recent", vpd)):
        out[:, DRIVERS.index(name)] = NORMALISATIONS[name].normalise(values)
    return out


def test_in_lasting_weather_the_p_model_is_that_of_pyrealm():
    tair, vpd = np.array([-5.0, 5.0, 15.0, 30.0]), np.array([1.0, 3.0, 8.0, 20.0])
    ndvi, sw = np.array([0.5, 0.3, 0.8, 0.6]), np.array([80.0, 100.0, 250.0, 300.0])
    found = gpp_towers.p_model(ndvi, sw, drivers_of(tair, vpd))
    expected = baselines.p_model(baselines.fapar_from_ndvi(ndvi), sw, tair, vpd)
    assert found[0] == expected[0] == 0
    np.testing.assert_allclose(found, expected, rtol=3e-3)


@pytest.mark.parametrize(
    ("value", "climate"),
    [
        ("Cfb", "Temperate"),
        ("BWh", "Arid"),
        ("ET", "Polar"),
        ("Aw", "Tropical"),
        ("Cold", "Cold"),
        ("polar", "Polar"),
        (None, "unknown"),
        (np.nan, "unknown"),
        ("Desert", "unknown"),
    ],
)
def test_a_climate_is_known_by_its_code_or_the_name_of_its_class(value, climate):
    assert gpp_towers.main_climate(value) == climate


def test_tables_give_the_climate_and_the_p_model_of_their_rows(tmp_path):
    spectra = {"b2": 0.03, "b3": 0.06, "b4": 0.05, "b5": 0.35, "b6": 0.18, "b7": 0.09}
    rows = {
        "SITE_ID": "A-One",
        "date": DAYS[150:152].astype(str),
        "koppen": "Cold",
        "GPP": 5.0,
        "SWLAND": 200.0,
    }
    pd.DataFrame(rows | {"T2MEAN": [288.0, 265.0], "TSMDEWMEAN": 263.0} | spectra).to_csv(
        tmp_path / "table.csv", index=False
    )
    modis = dict(zip(gpp_towers.DAILY_COLUMNS, spectra.values(), strict=True))
    weather = {"temp": 15.0, "vpd": 600.0, "ppfd": 200 * PAR_MOL_PER_J, "prec": 0.0}
    pd.DataFrame({"site": "B-Two", "date": DAYS[140:160], "gpp": 5.0} | modis | weather).to_parquet(
        tmp_path / "days.parquet"
    )
    pd.DataFrame({"site": ["B-Two"], "lat": [40.0], "koeppen_code": ["BSk"], "igbp": ["GRA"]}).to_parquet(
        tmp_path / "sites.parquet"
    )
    paths = (str(tmp_path / "table.csv"), str(tmp_path / "days.parquet"))
    towers = gpp_towers.read(paths, checkpoints.load("default", "cpu")).frame
    assert towers.groupby("site")["climate"].unique().str[0].to_dict() == CLIMATE_OF
    table, daily = (towers[towers["kind"] == kind] for kind in (gpp_towers.TABLE, gpp_towers.DAILY))
    # The second day of the table is frozen.
    assert table["p_model"].iloc[0] > 3
    assert table["p_model"].iloc[1] == 0
    fapar = baselines.fapar_from_ndvi(0.3 / 0.4)
    expected = baselines.p_model(np.full(20, fapar), np.full(20, 200.0), np.full(20, 15.0), np.full(20, 6.0))
    np.testing.assert_allclose(daily["p_model"], expected, rtol=3e-3)


def test_a_scale_that_is_none_is_refused(frame):
    with pytest.raises(InputError, match="Got the scale 'hourly'"):
        gpp_measured_towers.time_scale_scores(frame, "hourly")


def test_a_table_that_is_not_there_is_told_before_any_landscape_is_simulated(tmp_path):
    steps = gpp_measured_towers.evaluate((str(tmp_path / "nowhere.csv"),))
    assert next(steps)[0] == "reading towers"
    with pytest.raises(InputError, match="nowhere"):
        next(steps)
