"""Series tables through the command line: what plots exported from Earth Engine become."""

import json

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.cli import main

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Three plots over five months, every fifth day; radar every sixth; weather of all days."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(4)
    days, passes = (
        pd.date_range("2021-04-01", "2021-08-31", freq="5D"),
        pd.date_range("2021-04-02", "2021-08-31", freq="6D"),
    )
    season = np.sin(np.linspace(0, np.pi, len(days)))
    optical, radar = [], []
    for plot, lat in (("north", 51.0), ("middle", 50.5), ("south", 50.0)):
        green = 0.1 + 0.3 * season
        values = {band: 0.05 + 0.01 * draw.random(len(days)) for band in BANDS}
        values |= {band: 0.1 + green for band in ("B06", "B07", "B08", "B8A")}
        optical.append(pd.DataFrame({"id": plot, "date": days, "lon": 4.0, "lat": lat, **values}))
        radar.append(pd.DataFrame({"id": plot, "date": passes, "VV": -11.0, "VH": -17.0}))
    pd.concat(optical).to_csv("s2.csv", index=False)
    pd.concat(radar).to_parquet("s1.parquet")
    every = pd.date_range("2021-03-01", "2021-09-01")
    weather = {"sw_in": 200.0, "tair": 15.0, "vpd": 6.0, "precip": 2.0}
    pd.DataFrame(
        {"time": every} | {name: np.full(len(every), value) for name, value in weather.items()}
    ).to_csv("weather.csv", index=False)
    return tmp_path


def test_tables_become_daily_rows_with_gpp_where_weather_is_given(tables, capsys):
    assert (
        main(["embed", "s2.csv", "--s1", "s1.parquet", "--weather", "weather.csv", "--out", "daily.parquet"])
        == 0
    )
    assert "3 series" in capsys.readouterr().out
    daily = pd.read_parquet("daily.parquet")
    assert list(daily["id"].unique()) == ["north", "middle", "south"]
    assert list(daily.columns[:3]) == ["id", "time", "e00"]
    assert {"sigma", "days_from_s2", "days_from_s1", "gpp", "gpp_lo", "gpp_hi"} <= set(daily)
    assert (daily.groupby("id").size() == 152).all()  # to the last acquisition, of Sentinel-1
    assert daily["gpp"].between(0, 30).all()
    assert (
        main(["embed", "s2.csv", "--out", "daily.csv", "--start", "2021-05-01", "--end", "2021-05-31"]) == 0
    )
    month = pd.read_csv("daily.csv", comment="#")
    assert len(month) == 3 * 31
    assert "gpp" not in month


def test_hidden_rows_are_reconstructed_in_their_order(tables, capsys):
    hide = pd.DataFrame({"id": ["south", "north"], "date": ["2021-06-10", "2021-05-06"]})
    hide.to_csv("hide.csv", index=False)
    assert (
        main(["reconstruct", "s2.csv", "--s1", "s1.parquet", "--hide", "hide.csv", "--out", "rows.csv"]) == 0
    )
    rows = pd.read_csv("rows.csv", comment="#")
    assert list(rows["id"]) == ["south", "north"]
    assert set(BANDS) <= set(rows)
    measured = pd.read_csv("s2.csv").set_index(["id", "date"])
    for row in rows.itertuples():
        assert pytest.approx(measured.loc[(row.id, str(row.date)[:10]), "B08"], abs=0.08) == row.B08


def test_a_folder_of_tables_is_evaluated_beside_linear_interpolation(tables, capsys):
    (tables / "weather.csv").unlink()
    assert main(["evaluate", "reconstruction", "--data", "."]) == 0
    out, err = capsys.readouterr()
    assert "linear" in err
    assert '"' in out
    assert "_hidden_ratio" in out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["embed", "s2.csv", "--out", "daily.nc"], "need .parquet or .csv"),
        (["embed", "s2.csv", "--out", "no/daily.csv"], "folder"),
        (["embed", "s2.csv", "--out", "d.csv", "--workers", "2"], "--workers with a series table"),
        (["embed", "weather.csv", "--out", "d.csv"], "weather.csv"),
        (["reconstruct", "s2.csv", "--hide", "none.csv", "--out", "d.csv"], "none.csv"),
        (["reconstruct", "s2.csv", "--hide", "weather.csv", "--out", "d.nc"], "need .parquet or .csv"),
    ],
)
def test_a_wrong_table_is_one_sentence_and_no_file(tables, capsys, command, message):
    before = sorted(path.name for path in tables.iterdir())
    assert main(command) == 2
    lines = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("fluxlens: ") and "warning" not in line
    ]
    assert len(lines) == 1
    assert message in lines[0]
    assert sorted(path.name for path in tables.iterdir()) == before


def test_a_scene_takes_no_tables_beside_it(tables, capsys):
    assert main(["embed", "demo_scene", "--out", "store", "--s1", "s1.parquet"]) == 2
    assert "series table only" in capsys.readouterr().err


def test_rows_brighter_than_max_blue_are_left_out_and_counted(tables, capsys):
    table = pd.read_csv("s2.csv")
    bright = table.index[::10]
    table.loc[bright, "B02"] = 0.4
    table.to_csv("s2.csv", index=False)
    command = ["evaluate", "reconstruction", "--data", "."]
    assert main([*command, "--json", "all.json"]) == 0
    assert "rows above" not in capsys.readouterr().err
    assert main([*command, "--max-blue", "0.12", "--json", "dark.json"]) == 0
    assert f"{len(bright)} of {len(table)} rows above 0.12 in B02 are left out" in capsys.readouterr().err
    every, dark = (json.loads((tables / name).read_text()) for name in ("all.json", "dark.json"))
    # Targets in cloud cannot be interpolated; without them the error of the same method falls.
    assert dark["all_hidden_linear"] < every["all_hidden_linear"] / 2
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--max-blue", "12"])
    assert main(["evaluate", "reconstruction", "--max-blue", "0.12"]) == 2
    assert "without a folder of series tables" in capsys.readouterr().err
