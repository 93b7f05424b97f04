"""How much land a row of a table shows decides on the correction, alike for prediction, calibration and evaluation."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.cli import main
from fluxlens.embeddings import gpp
from fluxlens.embeddings.gpp import calibrate, predict_table, table_resolution, tables
from fluxlens.embeddings.gpp.daily_table import DAILY_COLUMNS
from fluxlens.embeddings.training import gpp_towers
from fluxlens.models import checkpoints
from fluxlens.models.errors import DataWarning, InputError
from fluxlens.models.gpp.drivers import NORMAL_90, PAR_MOL_PER_J

BANDS = ("b2", "b3", "b4", "b5", "b6", "b7")


def spectra(count: int) -> np.ndarray:
    """Reflectance (row, band) of a meadow over a year."""
    green = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
    low, high = np.array([0.05, 0.08, 0.12, 0.18, 0.28, 0.20]), np.array([0.03, 0.06, 0.03, 0.42, 0.19, 0.09])
    return low + green[:, None] * (high - low)


def rows(site: str = "A", count: int = 12, step: str = "16D", **columns) -> pd.DataFrame:
    """A table of single spectra of one site."""
    weather = {"T2MIN": 281.0, "T2MAX": 294.0, "T2MEAN": 288.0, "TSMDEWMEAN": 281.0, "SWLAND": 210.0}
    out = pd.DataFrame(spectra(count), columns=list(BANDS)).assign(SITE_ID=site, lat=48.0, **weather)
    return out.assign(date=pd.date_range("2020-04-01", periods=count, freq=step).astype(str), **columns)


def daily(site: str = "B", days: int = 366) -> pd.DataFrame:
    """A table of daily series of one site, as that of the MODIS towers."""
    season = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(days) / 366)
    weather = {"temp": 2 + 16 * season, "vpd": 200 + 600 * season, "prec": 2e-5}
    out = pd.DataFrame(spectra(days), columns=list(DAILY_COLUMNS)).assign(site=site, lat=48.0, **weather)
    return out.assign(
        date=pd.date_range("2020-01-01", periods=days),
        ppfd=(60 + 200 * season) * PAR_MOL_PER_J,
        gpp=1 + 8 * season,
    )


def predicted(table: pd.DataFrame, **how) -> pd.DataFrame:
    return predict_table.predict_rows(tables.clean(table, **how))


@pytest.mark.parametrize(
    ("name", "metres"),
    [
        ("Sentinel-2A", 10),
        ("COPERNICUS/S2_SR_HARMONIZED", 10),
        ("S30", 30),
        ("HLS", 30),
        ("LANDSAT/LC08/C02/T1_L2", 30),
        ("LE07", 30),
        ("Landsat 9", 30),
        ("MODIS", 500),
        ("MODIS/061/MCD43A4", 500),
        ("MCD43A4.061", 500),
        ("Terra", 500),
        ("VNP09GA", 500),
        ("Sentinel-3 OLCI", 300),
        ("lidar", None),
        ("", None),
    ],
)
def test_a_sensor_is_known_by_its_names_and_products(name, metres):
    assert table_resolution.sensor_resolution_m(name) == metres


@pytest.mark.parametrize(
    "columns",
    [{"sensor": "MODIS"}, {"resolution_m": 500}, {"footprint_m": 500, "sensor": "S2"}, {"sensor": "mcd43a4"}],
    ids=lambda columns: " ".join(columns),
)
def test_rows_that_say_500_m_go_without_the_correction(columns):
    net, table = gpp.load().net, tables.clean(rows(**columns))
    coarse, fine = predict_table.predict_rows(table), predicted(rows())
    assert (coarse["gpp"] - fine["gpp"]).abs().max() > 0.1
    pd.testing.assert_frame_equal(coarse, predicted(rows(), resolution_m=500))
    z, sw, drivers = predict_table.embed_rows(table, checkpoints.load("default", "cpu"))
    mean, spread, *_ = gpp.cubes.predict_pixel_days(net, z, sw, drivers, np.zeros(len(table), bool))
    np.testing.assert_allclose(coarse["gpp"], mean)
    # The band is that of rows of 500 m, with a factor of their own.
    half = NORMAL_90 * float(net.coarse_interval_scale) * spread
    np.testing.assert_allclose(coarse["gpp_hi"] - coarse["gpp"], half)


@pytest.mark.parametrize("columns", [{}, {"sensor": "L30"}, {"resolution_m": 30}, {"sensor": None}])
def test_rows_of_10_to_30_m_and_rows_that_say_nothing_are_corrected(columns):
    pd.testing.assert_frame_equal(predicted(rows(**columns)), predicted(rows()))


def test_without_weather_the_band_is_as_wide_as_that_of_rows_without_the_correction():
    """The correction is then off; its narrower factor would hold three quarters of measured rows instead of 90 %."""
    bare = rows().drop(columns=["T2MIN", "T2MAX", "T2MEAN", "TSMDEWMEAN", "SWLAND"])
    fine, coarse = predicted(bare), predicted(bare, resolution_m=500)
    pd.testing.assert_frame_equal(fine[["gpp", "gpp_lo", "gpp_hi"]], coarse[["gpp", "gpp_lo", "gpp_hi"]])


def test_each_row_goes_by_its_own_sensor():
    mixed = predicted(rows(sensor=["S30", "MODIS"] * 6))
    fine, coarse = predicted(rows()), predicted(rows(sensor="MODIS"))
    np.testing.assert_allclose(mixed["gpp"][::2], fine["gpp"][::2], rtol=1e-6)
    np.testing.assert_allclose(mixed["gpp"][1::2], coarse["gpp"][1::2], rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sensor": "lidar"}, "Got the sensor 'lidar', need Sentinel-2, Landsat"),
        ({"resolution_m": "wide"}, "Got 'wide' in the column resolution_m, need metres"),
        ({"resolution_m": 0.005}, r"Got 0\.005 in the column resolution_m, need the metres"),
        ({"footprint_m": -30}, "Got -30 in the column footprint_m, need the metres"),
    ],
)
def test_what_cannot_be_metres_or_a_sensor_is_refused_in_one_sentence(columns, message):
    with pytest.raises(InputError, match=message):
        tables.clean(rows(**columns))


def test_a_sensor_that_is_not_known_is_no_matter_where_metres_are_given():
    table = rows(sensor="drone", resolution_m=2)
    pd.testing.assert_frame_equal(predicted(table), predicted(rows()))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (rows(product="MODIS/061/MCD43A4"), "has MODIS/061/MCD43A4 in the column product"),
        (rows(swir1240=0.2), "has the column swir1240"),
        (rows(count=60, step="1D"), "has spectra of consecutive days"),
    ],
    ids=["a product", "a band of MODIS", "daily composites"],
)
def test_a_table_that_looks_coarse_and_says_nothing_is_warned_of_once(table, why):
    both = pd.concat([table, table.assign(SITE_ID="C")], ignore_index=True)
    with pytest.warns(DataWarning, match=why) as caught:
        predicted(both)
    assert len(caught) == 1
    # Whoever says it is not warned.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted(both, resolution_m=500)
        predicted(both.assign(sensor="HLS"))


def test_the_answer_says_how_much_land_each_row_showed(tmp_path):
    table = pd.concat([rows(sensor="MODIS"), rows("C", sensor=None)], ignore_index=True)
    table.to_csv(tmp_path / "in.csv", index=False)
    made = predict_table.predict(tmp_path / "in.csv", tmp_path / "out.csv")
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out["resolution_m"]) == [500] * 12 + [30] * 12
    assert made.attrs["resolution"] == "500 m; 10 to 30 m, assumed"


def test_the_command_takes_the_metres_and_refuses_them_for_a_store(tmp_path, capsys):
    rows().to_csv(tmp_path / "in.csv", index=False)
    command = ["predict", "gpp", "--table", str(tmp_path / "in.csv"), "--out", str(tmp_path / "out.csv")]
    assert main([*command, "--resolution-m", "500"]) == 0
    out = pd.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(out["gpp"], predicted(rows(sensor="MODIS"))["gpp"], atol=1e-4)
    assert (out["resolution_m"] == 500).all()
    assert main([*command, "--resolution-m", "-1"]) == 2
    assert "Got -1 in --resolution-m, need the metres" in capsys.readouterr().err
    assert main(["predict", "gpp", "store", "--out", "x.nc", "--resolution-m", "500"]) == 2
    assert "need --table" in capsys.readouterr().err


def evaluated(paths: list) -> tuple[pd.DataFrame, dict]:
    """Rows of towers, and what the shipped network says of them where evaluation asks it."""
    towers = gpp_towers.read([str(path) for path in paths], checkpoints.load("default", "cpu"))
    found = gpp_towers.predict(gpp.load().net, towers, np.ones(len(towers.frame), bool))
    return towers.frame, found


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_daily_series_get_from_predict_what_evaluation_scores(tmp_path, suffix):
    table, path = daily(), tmp_path / f"days{suffix}"
    table.to_parquet(path) if suffix == ".parquet" else table.to_csv(path, index=False)
    frame, found = evaluated([path])
    out = predict_table.predict(path, tmp_path / "out.csv")
    assert (out["resolution_m"] == 500).all()
    assert len(frame) == len(out)
    np.testing.assert_allclose(out["gpp"], found["predicted"], rtol=1e-6)
    half = NORMAL_90 * float(gpp.load().net.coarse_interval_scale) * found["spread"]
    np.testing.assert_allclose(out["gpp_hi"] - out["gpp"], half, rtol=1e-6)
    # With the correction it would be another number.
    assert np.abs(found["corrected"] - found["predicted"]).max() > 0.1


def test_spectra_of_a_coarse_sensor_get_from_predict_what_evaluation_scores(tmp_path):
    table = pd.concat(
        [rows("A", GPP=5.0, sensor="MODIS"), rows("B", GPP=5.0, sensor="S30")], ignore_index=True
    )
    table.to_csv(tmp_path / "rows.csv", index=False)
    _, found = evaluated([tmp_path / "rows.csv"])
    out = predict_table.predict(tmp_path / "rows.csv", tmp_path / "out.csv")
    np.testing.assert_allclose(out["gpp"], found["predicted"], rtol=1e-5)


def test_rows_of_a_daily_series_keep_their_order_and_need_no_gpp(tmp_path):
    whole = daily().drop(columns="gpp")
    mixed = pd.concat([whole, whole.iloc[[5]]]).sample(frac=1, random_state=0)
    for name, table in (("whole", whole), ("mixed", mixed)):
        table.to_parquet(tmp_path / f"{name}.parquet")
    first, second = (
        predict_table.predict(tmp_path / f"{name}.parquet", tmp_path / "out.csv")
        for name in ("whole", "mixed")
    )
    assert list(second["date"]) == list(mixed["date"].dt.strftime("%Y-%m-%d"))
    expected = first.set_index("date")["gpp"].loc[second["date"]]
    np.testing.assert_allclose(second["gpp"], expected, rtol=1e-6)


def test_a_daily_series_without_spectra_is_flagged_and_has_a_number(tmp_path):
    daily().assign(**dict.fromkeys(DAILY_COLUMNS, np.nan)).to_parquet(tmp_path / "days.parquet")
    out = predict_table.predict(tmp_path / "days.parquet", tmp_path / "out.csv")
    assert out["ood"].all()
    assert np.isfinite(out["gpp"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="temp"), "without temp, need daily series"),
        (lambda t: t.iloc[:0], "without rows"),
        (lambda t: t.assign(nir=3000.0, red=400.0, green=300.0, blue=200.0), "divide by 10000"),
        (lambda t: t.assign(sensor="lidar"), "Got the sensor 'lidar'"),
        (lambda t: t.assign(site=None), "without site"),
    ],
)
def test_a_daily_series_that_is_none_is_refused(tmp_path, change, message):
    change(daily(days=40)).to_parquet(tmp_path / "days.parquet")
    with pytest.raises(InputError, match=message):
        predict_table.predict(tmp_path / "days.parquet", tmp_path / "out.csv")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        predict_table.predict(tmp_path / "bad.parquet", tmp_path / "out.csv")


def test_a_calibration_measures_the_error_of_what_is_predicted(tmp_path):
    """Rows measured as predicted without the correction need no calibration, if they say that they are of 500 m."""
    table = rows(sensor="MODIS")
    table["GPP"] = predicted(table)["gpp"].values
    table.to_csv(tmp_path / "coarse.csv", index=False)
    table.drop(columns="sensor").to_csv(tmp_path / "fine.csv", index=False)
    gains = [
        np.abs(made.heads[0].pooled.mean).max()
        for made in (
            calibrate.calibrate_table(tmp_path / "coarse.csv"),
            calibrate.calibrate_table(tmp_path / "fine.csv", resolution_m=500),
            calibrate.calibrate_table(tmp_path / "fine.csv"),
        )
    ]
    assert gains[0] == pytest.approx(gains[1])
    assert gains[0] < 0.01 < gains[2]
    command = ["calibrate", "gpp", "--table", str(tmp_path / "fine.csv"), "--out", str(tmp_path / "cal.json")]
    assert main([*command, "--resolution-m", "500"]) == 0
    assert json.loads((tmp_path / "cal.json").read_text())


@pytest.mark.real
def test_the_table_of_modis_towers_gets_from_predict_what_evaluation_scores(real_data, tmp_path):
    folder = real_data / "flux_modis_nbar_fluxnet2015"
    table = pd.read_parquet(folder / "site_days_all_year.parquet")
    site = table.loc[table["gpp"].notna() & table["temp"].notna() & table["nir"].notna(), "site"].iloc[0]
    some = table[(table["site"] == site) & (table["date"].dt.year < 2010)]
    some.to_parquet(tmp_path / "days.parquet")
    pd.read_parquet(folder / "sites.parquet").to_parquet(tmp_path / "sites.parquet")
    frame, found = evaluated([tmp_path / "days.parquet"])
    out = predict_table.predict(tmp_path / "days.parquet", tmp_path / "out.csv").set_index("date")
    at = out.loc[frame["date"].dt.strftime("%Y-%m-%d")]
    assert len(frame) > 300
    np.testing.assert_allclose(at["gpp"], found["predicted"], rtol=1e-5, atol=1e-6)
