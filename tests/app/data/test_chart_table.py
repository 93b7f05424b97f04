"""The charts as a file: its columns are what the charts show, with units and what was observed."""

import io

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from app_world import DAYS
from fluxlens.app.state import Place, State
from fluxlens.app.views import export as view

COLUMNS = {"ndvi", "clear", "VV", "VH", "gpp", "sw_in", "tair", "vpd", "precip", "tower_gpp_nt", "tower_qc"}


@pytest.fixture
def state():
    return State(day=DAYS[90].date(), places=[Place(0, 20, 28), Place(1, 12, 54)])


def test_the_table_holds_each_line_of_the_charts(state, data):
    text = view.file_content(state, data, ".charts.csv").read().decode()
    table = pd.read_csv(io.StringIO(text), comment="#")
    assert set(table.columns) >= COLUMNS | {"time", "name", "lon", "lat", "x", "y", "observed", "sigma"}
    assert len(table) == 2 * len(DAYS)
    first, pixel = table[table.name == "Pixel 1"], data.pixel_series(20, 28)
    shots = pd.DatetimeIndex(pixel.acquisition.values).normalize()
    np.testing.assert_array_equal(pd.to_datetime(first.time[first.ndvi.notna()]), shots)
    np.testing.assert_allclose(first.ndvi.dropna(), pixel.ndvi, rtol=1e-5)
    np.testing.assert_array_equal(first.clear.dropna(), pixel.clear)
    np.testing.assert_allclose(first.VH.dropna(), pixel.VH, rtol=1e-5)
    np.testing.assert_allclose(first.gpp, pixel.gpp, rtol=1e-5)
    np.testing.assert_array_equal(first.observed, pixel.days_from_s2 == 0)
    np.testing.assert_allclose(first.tair, data.weather.tair, rtol=1e-5)
    np.testing.assert_allclose(first.tower_gpp_nt, data.tower.gpp_nt.sel(time=DAYS), rtol=1e-5)
    for name in COLUMNS:
        assert f"# units {name}: " in text
    assert "# tower: XX-Tst, simulated" in text
    assert "# simulated: 1" in text


def test_the_netcdf_says_the_same_by_the_conventions(state, data, tmp_path):
    (tmp_path / "a.nc").write_bytes(view.file_content(state, data, ".charts.nc").read())
    table = pd.read_csv(view.file_content(state, data, ".charts.csv"), comment="#")
    with xr.open_dataset(tmp_path / "a.nc") as found:
        assert dict(found.sizes) == {"point": 2, "time": len(DAYS)}
        assert found.name.values.tolist() == ["Pixel 1", "Pixel 2"]
        np.testing.assert_allclose(found.VV.values.ravel(), table.VV, rtol=1e-5)
        assert found.tair.attrs["standard_name"] == "air_temperature"
        assert found.VV.attrs["units"] == "dB"
        assert found.clear.attrs["flag_meanings"] == "masked clear"
        assert found.attrs["Conventions"] == "CF-1.11"


def test_an_area_is_a_row_a_day_of_its_means(state, data):
    from fluxlens.app.places import add_outline

    x, y = data.grid.x, data.grid.y
    add_outline(
        state,
        data,
        [x[20] - 1, x[23] + 1, x[23] + 1, x[20] - 1],
        [y[10] + 1, y[10] + 1, y[12] - 1, y[12] - 1],
    )
    table = pd.read_csv(view.file_content(state, data, ".charts.csv"), comment="#")
    assert set(table.name) == {"Area 1"}
    np.testing.assert_allclose(table.gpp, data.place_series(state.place).gpp, rtol=1e-5)
    assert view.file_name(state, data, ".charts.csv").endswith("_simulated.charts.csv")


def test_single_charts_have_the_columns_they_show(state, data):
    from fluxlens.app.data.chart_files import series_chart_table, tower_chart_table

    pc = series_chart_table(data, state.places, "pc")
    assert list(pc.columns[:6]) == ["time", "name", "lon", "lat", "x", "y"]
    second = pc[pc.name == "Pixel 2"]
    np.testing.assert_allclose(second.PC2, data.pixel_series(12, 54).pc.values[:, 1])
    assert "simulated" in pc.attrs
    assert "ndvi" not in pc
    comparison = data.compare_tower("gpp_nt", 0.75)
    daily = tower_chart_table(data, comparison, "series")
    np.testing.assert_allclose(daily.model, comparison.lines["model"])
    np.testing.assert_allclose(daily.measured, comparison.measured)
    assert {"model_lo", "model_hi"} <= set(daily.columns)
    assert len(tower_chart_table(data, comparison, "cycle")) == 366
    scores = tower_chart_table(data, comparison, "scores").set_index(["scale", "line"])
    assert scores.loc[("daily", "Predicted"), "nse"] == comparison.scores["model.daily.nse"]
    assert tower_chart_table(data, comparison, "anomaly").measured.shape == (245,)


def test_a_chart_of_another_name_is_a_message(data):
    from fluxlens.app.session.explorer import Explorer

    explorer = Explorer(data=data)
    name, text = explorer.chart_file("series/radar")
    assert name == "fluxlens_series_radar_simulated.csv"
    assert "# units VV: dB" in text
    for key in ("series/../../etc/passwd", "tower/scores", "nothing"):
        assert explorer.chart_file(key) is None
        assert "need one that is on screen" in explorer.state.message
        explorer.state.message = ""
