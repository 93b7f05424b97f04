"""What the public functions return carries names and units: hvPlot labels axes without a word of the user."""

from pathlib import Path

import hvplot.xarray  # noqa: F401
import intake
import pytest
import torch
import xarray as xr
import yaml
from app_world import GRID, TinyStore, predict, weather, write_store
from fluxlens.app.data import ExplorerData
from fluxlens.app.plots import elements
from fluxlens.app.session.explorer import Explorer
from fluxlens.embeddings import gpp
from fluxlens.embeddings.export import extract
from fluxlens.embeddings.export.geometries import Point
from fluxlens.embeddings.store import Store
from fluxlens.models.gpp.daily_head import Config, DailyHead

hv = elements.load_holoviews()
DAY = "2020-07-01"
GPP = "gross primary production (gC m-2 d-1)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With a store."""
    folder = tmp_path_factory.mktemp("hvplot")
    write_store(folder / "store")
    return folder


@pytest.fixture(scope="module")
def cube(folder) -> xr.Dataset:
    """A stored cube as a catalog reads it."""
    entry = {"driver": "fluxlens_embeddings", "args": {"store": str(folder / "store")}}
    (folder / "catalog.yaml").write_text(yaml.safe_dump({"sources": {"mine": entry}}))
    return intake.open_catalog(str(folder / "catalog.yaml"))["mine"].read()


@pytest.fixture(scope="module")
def maps(cube) -> xr.Dataset:
    """GPP of a few days of that cube."""
    torch.manual_seed(3)
    net = DailyHead(Config(cube.sizes["feature"])).eval().requires_grad_(False)
    head = gpp.DailyGppHead(net, "0" * 8, "abc", {})
    some = cube.sel(time=slice("2020-06-28", "2020-07-03")).load()
    return gpp.predict(some, weather(), head)


def axes_of(element) -> tuple[str, str]:
    """Labels of the rendered plot's axes."""
    handles = hv.renderer("bokeh").get_plot(element).handles
    return handles["xaxis"].axis_label, handles["yaxis"].axis_label


def bar_of(element) -> str:
    """Label of the rendered plot's colour bar."""
    return hv.renderer("bokeh").get_plot(element).handles["colorbar"].title


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("sigma", "expected root-mean-square error of the reflectance this embedding reconstructs (1)"),
        ("days_from_s2", "days to the nearest clear Sentinel-2 acquisition, -1 = none (d)"),
        ("embedding", "daily embedding, int8 steps of `scale` (1)"),
    ],
)
def test_a_cube_of_a_catalog_is_labelled_as_series_and_as_map(cube, name, label):
    part = cube[name].isel(feature=0) if "feature" in cube[name].dims else cube[name]
    line = part.isel(y=3, x=5).hvplot.line(x="time")
    assert axes_of(line) == ("UTC day", label)
    image = part.sel(time=DAY).hvplot.image(x="x", y="y")
    assert axes_of(image) == ("x (m)", "y (m)")


def test_predicted_gpp_is_a_labelled_map_with_a_labelled_colour_bar(maps):
    image = maps["gpp"].sel(time=DAY).hvplot.image(x="x", y="y")
    assert axes_of(image) == ("x (m)", "y (m)")
    assert bar_of(image) == GPP
    _, label = axes_of(maps["gpp_hi"].isel(y=3, x=5).hvplot.line())
    assert label == "upper end of the 90 % band of what a tower would measure (gC m-2 d-1)"


def test_an_exported_series_is_labelled(folder):
    lon, lat = (float(degrees) for degrees in GRID.lonlat(GRID.x[28], GRID.y[20]))
    series = extract.cube_of(Store.open(folder / "store"), points=[Point(lon, lat)]).isel(point=0)
    for name, label in (
        ("gpp", GPP),
        ("days_from_s2", "days to the nearest clear Sentinel-2 acquisition, -1 = none (d)"),
    ):
        assert axes_of(series[name].hvplot.line(x="time")) == ("UTC day", label)


def test_what_a_tap_selects_is_labelled():
    explorer = Explorer(data=ExplorerData(TinyStore(), predict))
    explorer.tap(*explorer.data.centre(20, 28))
    label = axes_of(explorer.selection["sigma"].hvplot.line(x="time"))[1]
    assert label == "expected root-mean-square error of the reflectance this embedding reconstructs (1)"
