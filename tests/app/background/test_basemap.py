"""The surroundings of a scene: tiles of a server of the tests' own, in the right place or not there at all."""

import math
import threading
from http.server import ThreadingHTTPServer

import numpy as np
import pytest
from app_world import GRID, TinyStore, predict
from fluxlens.app.background import basemap
from fluxlens.app.data import ExplorerData
from fluxlens.app.state import Place, State
from fluxlens.app.views.map import MapView
from fluxlens.embeddings.geometry import Grid
from pyproj import Transformer
from tile_world import Tiles


@pytest.fixture
def tiles(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tiles)
    server.requests, server.answer = [], None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("FLUXLENS_TILES", f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png")
    monkeypatch.setenv("FLUXLENS_TILES_CREDIT", "© the tests")
    monkeypatch.setattr(basemap, "BASEMAPS", basemap.BasemapCache())
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "grid", [GRID, Grid("EPSG:32733", 300_000.0, 8_000_000.0, 10.0, 10980, 10980)], ids=["480 m", "110 km"]
)
def test_each_place_shows_the_tile_it_lies_in(tiles, grid):
    found = basemap.BASEMAPS.get(grid).result()
    assert len(tiles.requests) <= basemap.MAX_TILES
    assert all(agent.startswith("fluxlens/") for _, agent in tiles.requests)
    left, bottom, right, top = found.extent
    ny, nx = found.rgba.shape[:2]
    z = int(found.rgba[0, 0, 2])
    to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    rows, cols = (i.ravel() for i in np.mgrid[8 : ny : ny // 9, 8 : nx : nx // 9])
    lon, lat = to_lonlat.transform(
        left + (cols + 0.5) / nx * (right - left), top - (rows + 0.5) / ny * (top - bottom)
    )
    x = (lon + 180) / 360 * 2**z  # the slippy map's own formulas
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / math.pi) / 2 * 2**z
    inside = (abs(x % 1 - 0.5) < 0.48) & (abs(y % 1 - 0.5) < 0.48)
    assert inside.sum() > 20
    assert len(set(zip(x[inside] // 1, y[inside] // 1, strict=True))) > 3
    np.testing.assert_array_equal(found.rgba[rows, cols, 0][inside], x[inside].astype(int) % 256)
    np.testing.assert_array_equal(found.rgba[rows, cols, 1][inside], y[inside].astype(int) % 256)


def test_a_scene_s_tiles_are_fetched_once(tiles):
    basemap.BASEMAPS.get(GRID).result()
    before = len(tiles.requests)
    assert basemap.BASEMAPS.get(Grid(GRID.crs, *(GRID.left_m, GRID.top_m), 10.0, GRID.nx, GRID.ny)).result()
    assert len(tiles.requests) == before


@pytest.mark.parametrize("answer", [b"<html>please log in</html>", b"", b"\x89PNG\r\n"])
def test_what_is_no_tile_leaves_the_map_bare_and_is_tried_again(tiles, answer):
    tiles.answer = answer
    assert basemap.BASEMAPS.get(GRID).result() is None
    tiles.answer = None
    assert basemap.BASEMAPS.get(GRID).result() is not None


def test_no_network_and_no_address_are_quiet(tiles, monkeypatch):
    tiles.shutdown()
    tiles.server_close()
    assert basemap.BASEMAPS.get(GRID).result() is None
    monkeypatch.setenv("FLUXLENS_TILES", "http://127.0.0.1:9/{nothing}")
    assert basemap.BASEMAPS.get(GRID).result() is None
    monkeypatch.setenv("FLUXLENS_TILES", "")
    assert basemap.BASEMAPS.get(GRID) is None


@pytest.fixture
def measured():
    store = TinyStore()
    store._cube = store._cube.assign_attrs(simulated=0)
    return ExplorerData(store, predict)


def test_the_map_shows_it_around_the_scene_with_its_credit(tiles, measured, data):
    state = State(day=measured.first, places=[Place(0, 1, 1)])
    basemap.BASEMAPS.get(GRID).result()
    shown = MapView(state, measured)
    left, bottom, right, top = GRID.extent
    under = {name: values[0] for name, values in shown.plot.under.data.items()}
    assert (under["x"], under["dw"]) == (left - (right - left), 3 * (right - left))
    assert under["dh"] == 3 * (top - bottom)
    assert "© the tests" in shown._credit.object
    assert shown.plot.figure.renderers[0].data_source is shown.plot.under
    bare = MapView(State(day=data.first, places=[Place(0, 1, 1)]), data)
    assert bare.plot.under.data["image"][0].shape == (1, 1)  # a simulated landscape is nowhere
    assert bare._credit.object == ""


def test_a_page_does_not_wait_for_tiles(tiles, measured, monkeypatch):
    arrived = threading.Event()
    monkeypatch.setattr(basemap, "fetch", lambda *_: arrived.wait(30) and None)
    MapView(State(day=measured.first, places=[Place(0, 1, 1)]), measured)
    assert not basemap.BASEMAPS.get(GRID).done()
    arrived.set()
    assert basemap.BASEMAPS.get(GRID).result() is None
