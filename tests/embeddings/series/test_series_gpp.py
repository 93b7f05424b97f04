"""GPP of many series at once is that of each alone, days without weather are told, and CSV keeps every number."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings import gpp
from fluxlens.embeddings.gpp import drivers
from fluxlens.embeddings.readers import series_table
from fluxlens.embeddings.series import gpp as series_gpp
from fluxlens.embeddings.series import writers
from fluxlens.embeddings.series.embed import embed_series
from fluxlens.models import checkpoints
from fluxlens.models.errors import DataWarning
from test_series import optical, radar

GPP = ["gpp", "gpp_lo", "gpp_hi"]


@pytest.fixture(scope="module")
def model():
    return checkpoints.load("default", "cpu")


def weather(start="2021-01-01", end="2021-12-31", **columns) -> pd.DataFrame:
    time = pd.date_range(start, end)
    season = np.sin(np.arange(len(time)) / 58)
    table = pd.DataFrame({"time": time, "sw_in": 160 + 90 * season, "tair": 12 + 8 * season})
    return table.assign(vpd=6 + 3 * season, precip=2.0, **columns)


def test_series_predicted_together_have_the_gpp_of_each_alone(model):
    ids = tuple("abcdefgh")
    s2, s1 = optical(ids), radar(ids)
    # three latitudes, a series of another span, and weather of its own for each of two
    s2["lat"] = s2["id"].map({one: 40 + 10 * (number % 3) for number, one in enumerate(ids)})
    s2 = s2[~((s2["id"] == "d") & (s2["date"] > "2021-04-20"))]
    per_id = pd.concat([weather(id=one).assign(tair=5.0 + number) for number, one in enumerate(ids)])
    for given in (weather(), per_id):
        together = embed_series(s2, s1, given, model=model).set_index(["id", "time"])
        for one in ids:
            alone = given if "id" not in given else given[given["id"] == one]
            rows = embed_series(s2[s2["id"] == one], s1[s1["id"] == one], alone, model=model).set_index(
                ["id", "time"]
            )
            # Embeddings of another batch may differ by one quantised step.
            np.testing.assert_allclose(together.loc[rows.index, GPP], rows[GPP], atol=0.05)
    assert together["gpp"].groupby("id").mean().nunique() == len(ids)


def test_series_have_the_gpp_that_a_cube_of_their_embeddings_has(model):
    """The two ways to the head: rows of series, and pixels of a cube on the same days."""
    ids = ("a", "b")
    s2 = optical(ids).assign(lat=50.0)
    node = series_table.read_weather(weather())[None]
    rows = embed_series(s2, radar(ids), weather(), model=model)
    scale = model.scale.cpu().numpy()
    features = [name for name in rows if name.startswith("e") and name[1:].isdigit()]
    for _, one in rows.groupby("id"):
        cube = xr.Dataset(
            {
                "embedding": (
                    ("time", "feature"),
                    np.round(one[features].to_numpy() / scale).astype(np.int8),
                ),
                "sigma": ("time", one["sigma"]),
                "days_from_s2": ("time", one["days_from_s2"]),
            },
            {"time": one["time"].to_numpy("datetime64[ns]"), "scale": ("feature", scale)},
            {"lat": 50.0, "model_digest": model.digest},
        )
        expected = gpp.predict(cube, node)
        for name in GPP:
            np.testing.assert_allclose(one[name], expected[name], atol=1e-4)


def test_terms_of_a_day_are_computed_once_for_series_of_one_place(model, monkeypatch):
    calls = []
    net = gpp.load_for({"model_digest": model.digest}).net
    for_days = net.for_days
    monkeypatch.setattr(net, "for_days", lambda *terms: calls.append(len(terms[1])) or for_days(*terms))
    ids = tuple(f"p{number}" for number in range(20))
    rows = embed_series(optical(ids), radar(ids), weather(), model=model)
    assert calls == [rows.groupby("id").size().max()]


def test_many_places_are_predicted_in_groups_with_the_same_result(model, monkeypatch):
    ids = tuple("abcdef")
    s2 = optical(ids)
    s2["lat"] = s2["id"].map({one: 40 + 3 * number for number, one in enumerate(ids)})
    whole = embed_series(s2, radar(ids), weather(), model=model)
    monkeypatch.setattr(series_gpp, "ROWS_TOGETHER", 150)
    monkeypatch.setattr(series_gpp, "CACHED_PLACES", 2)
    monkeypatch.setattr(series_gpp, "CHUNK", 64)
    parts = embed_series(s2, radar(ids), weather(), model=model)
    np.testing.assert_allclose(parts[GPP], whole[GPP], atol=1e-4)


def test_days_without_weather_are_told_with_their_count(model):
    with pytest.warns(
        DataWarning, match=r"from 2021-06-01 to 2021-06-10 and lacks [\d,]+ of the [\d,]+ days"
    ):
        embed_series(optical(), radar(), weather("2021-06-01", "2021-06-10"), model=model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed_series(optical(), radar(), weather(), model=model)


def test_a_table_as_csv_has_every_number_empty_cells_and_harmless_text(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": ["=1+1", 'a,"b"', "plain", "Höhe"],
            "time": pd.date_range("2021-01-01", periods=4),
            "e00": rng.normal(0, 1e-3, 4).astype(np.float32),
            "gpp": np.array([1.5, np.nan, -2e-9, 3e7], np.float32),
            "days_from_s2": np.array([-1, 0, 5, 30000], np.int16),
        }
    )
    with writers.open_table(tmp_path / "out.csv", {"model": "fusion"}) as writer:
        writer(table.head(2))
        writer(table.tail(2))
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert text.startswith("# model: fusion\nid,time,e00,gpp,days_from_s2\n")
    found = pd.read_csv(tmp_path / "out.csv", comment="#", parse_dates=["time"])
    assert found["id"].tolist() == ["'=1+1", 'a,"b"', "plain", "Höhe"]
    assert "plain,2021-01-03," in text
    for name in ("e00", "gpp", "days_from_s2"):
        np.testing.assert_array_equal(found[name].to_numpy(table[name].dtype), table[name])
    assert (found["time"].values == table["time"].values).all()


def test_an_empty_cell_of_text_stays_empty_in_a_csv(tmp_path):
    days = pd.date_range("2021-01-01", periods=3)
    table = pd.DataFrame({"id": ["a", "b", "c"], "time": days, "note": ["=first", None, "last"]})
    writers.write_table(table, tmp_path / "out.csv")
    found = pd.read_csv(tmp_path / "out.csv", comment="#")["note"]
    assert found.tolist()[::2] == ["'=first", "last"]
    assert np.isnan(found[1])


def test_drivers_of_weather_with_holes_repeats_and_no_order_are_those_by_pandas():
    time = np.array(
        ["2020-02-27", "2020-03-05", "2020-02-29", "2020-03-05", "2020-03-01T12"], "datetime64[ns]"
    )
    tair = np.array([1.0, 5.0, 3.0, 99.0, 4.0])
    days = pd.date_range("2020-02-26", "2020-03-07")
    found = drivers._weather_of(xr.Dataset({"tair": ("time", tair)}, {"time": time}), days)
    every = pd.Series(tair, pd.DatetimeIndex(time).normalize()).groupby(level=0).first().asfreq("D")
    recent = every.ewm(alpha=1 / drivers.RECENT_DAYS).mean().where(every.notna())
    np.testing.assert_array_equal(found["tair"], every.reindex(days))
    np.testing.assert_array_equal(found["tair_recent"], recent.reindex(days))
    assert np.isnan(found["precip"]).all()
