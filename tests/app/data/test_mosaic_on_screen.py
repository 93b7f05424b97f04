"""A scene in four stores is on screen what the uncut store is: layers, taps, areas, feature space, towers."""

import datetime as dt
from pathlib import Path

import mosaic_world
import numpy as np
import pytest
import shapely
import xarray as xr
from app_world import GRID
from fluxlens.app.background.catalog_loader import open_entry
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.layer_image import Viewport
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.embeddings import catalog
from fluxlens.models.errors import InputError

DAY = dt.date(2020, 6, 1)


def opened(world, entry: str, snapshot: str = "") -> ExplorerData:
    *_, data = open_entry(catalog.open(world / "catalog.yaml"), entry, snapshot)
    return data


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return mosaic_world.write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def whole(world) -> ExplorerData:
    return opened(world, "whole")


@pytest.fixture(scope="module")
def quarters(world) -> ExplorerData:
    return opened(world, "quarters")


@pytest.mark.parametrize("viewport", [None, Viewport(1, 16, 24, 24, 32)])
def test_every_layer_has_no_seam(whole, quarters, viewport):
    assert quarters.map_layers.keys == whole.map_layers.keys
    assert quarters.map_layers.missing_reasons == whole.map_layers.missing_reasons
    for layer in whole.map_layers.keys:
        key = LayerKey(layer, DAY, pixel=(19, 27), threshold=0.5, clusters=4)
        mine, theirs = quarters.map_layers.image(key, viewport), whole.map_layers.image(key, viewport)
        np.testing.assert_array_equal(mine.values, theirs.values, err_msg=layer)
        # One stretch over all stores.
        assert mine.style == theirs.style
        assert mine.caption == theirs.caption


@pytest.mark.parametrize("pixel", [(19, 27), (20, 27), (19, 28), (20, 28), (0, 59)])
def test_a_tap_on_either_side_of_an_edge_has_the_same_series(whole, quarters, pixel):
    xr.testing.assert_equal(quarters.pixel_series(*pixel).load(), whole.pixel_series(*pixel).load())


def box(col: int, row: int, width: int, height: int) -> shapely.MultiPolygon:
    corners = [(col, row), (col + width, row), (col + width, row + height), (col, row + height)]
    return shapely.MultiPolygon([shapely.Polygon([GRID.lonlat(GRID.x[x], GRID.y[y]) for x, y in corners])])


def test_an_area_across_all_edges_has_the_same_series(whole, quarters):
    area = box(24, 16, 8, 8)
    xr.testing.assert_equal(quarters.area_series(area).load(), whole.area_series(area).load())


def test_a_link_names_the_snapshots_of_all_stores(world, quarters):
    assert quarters.store.snapshot.count(",") == 3
    again = opened(world, "quarters", quarters.store.snapshot)
    assert again.store.snapshot == quarters.store.snapshot
    with pytest.raises(InputError, match="need one id for each of 4"):
        opened(world, "quarters", quarters.store.stores[0].snapshot)


def test_a_gap_is_blank_and_cannot_be_tapped(world, whole):
    data = opened(world, "gap")
    for layer in data.map_layers.keys:
        key = LayerKey(layer, DAY, pixel=(19, 27), threshold=0.5, clusters=4)
        values = data.map_layers.image(key).values
        assert np.isnan(values[20:, 28:]).all(), layer
        assert np.isfinite(values[:20]).any(), layer
    assert abs(sum(data.map_layers.image(LayerKey("clusters", DAY, clusters=4)).shares) - 1) < 1e-6
    with pytest.raises(InputError, match="need a place that one of the entry's stores holds"):
        data.locate(float(GRID.x[40]), float(GRID.y[30]))
    assert data.locate(float(GRID.x[4]), float(GRID.y[30])) == (30, 4)
    # An area over the gap is the mean of the pixels that are known.
    found = data.area_series(box(20, 24, 20, 4))
    expected = whole.area_series(box(20, 24, 7, 4))
    np.testing.assert_allclose(found["sigma"], expected["sigma"], rtol=1e-6)
