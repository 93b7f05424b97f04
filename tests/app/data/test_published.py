"""Published embeddings next to ours: laid over the scene by place and day, their gaps kept."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from app_world import DAYS, GRID, published_cube, write_store
from fluxlens.app.background import catalog_loader
from fluxlens.app.data.layer_image import Viewport
from fluxlens.app.plots import map_sheet
from fluxlens.app.state import LayerKey, Place, State
from fluxlens.embeddings import catalog as catalogs
from fluxlens.embeddings.geometry import Grid


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("published")
    write_store(made / "store")
    return made


def opened(folder, made: xr.Dataset | None):
    """The data of the store in a catalog next to a published cube; None: a broken one."""
    if made is None:
        (folder / "theirs.zarr").mkdir()
    else:
        made.to_zarr(folder / "theirs.zarr", mode="w", zarr_format=2)
    (folder / "c.yaml").write_text(
        "sources:\n  ours: {driver: fluxlens_embeddings, args: {store: store}}\n"
        "  theirs: {driver: fluxlens_embeddings, args: {features: theirs.zarr}}\n"
    )
    *_, data = catalog_loader.open_entry(catalogs.open(folder / "c.yaml"), "ours")
    return data


@pytest.fixture
def inside(folder, tmp_path):
    (tmp_path / "store").symlink_to(folder / "store")
    return tmp_path


def test_the_clear_image_nearest_to_the_day_is_shown_with_its_gaps(inside):
    data = opened(inside, published_cube())
    assert data.layers.index("published") == data.layers.index("feature") + 1
    first = data.layer_image(LayerKey("published", pd.Timestamp("2020-05-06").date()))
    assert first.caption == "DeepFeatures, simulated, image of 3 May 2020, 3 d earlier"
    assert np.isnan(first.values[:10]).all()
    assert np.isfinite(first.values[10:]).all()
    last = data.layer_image(LayerKey("published", DAYS[-1].date()))
    assert last.caption.startswith("DeepFeatures, simulated, image of 18 May 2020")
    assert last.style == first.style
    weights = np.linalg.lstsq(
        published_cube().features.values[:, 0, 10:].reshape(5, -1).T
        - published_cube().features.values[:, 0, 20, 20],
        first.values[10:].reshape(-1, 3) - first.values[20, 20],
    )[0]
    vectors = published_cube().features.values[:, 2].transpose(1, 2, 0)
    np.testing.assert_allclose(
        last.values - last.values[20, 20], (vectors - vectors[20, 20]) @ weights, atol=2e-3
    )


def test_a_sight_shows_the_same_vectors(inside):
    data = opened(inside, published_cube())
    day = DAYS[-1].date()
    whole = data.layer_image(LayerKey("published", day)).values
    part = data.layer_image(LayerKey("published", day), viewport=Viewport(2, 4, 12, 8, 20)).values
    np.testing.assert_array_equal(part, whole[9:25:2, 17:41:2])


def test_an_exported_map_says_whose_it_is(inside):
    data = opened(inside, published_cube())
    state = State(day=DAYS[-1].date(), places=[Place(0, 1, 1)], layer="published")
    found = map_sheet.layer_dataset(state, data)
    np.testing.assert_array_equal(
        found.PC2, data.layer_image(LayerKey("published", state.day)).values[..., 1]
    )
    assert found.attrs["published"] == "Feature cube 000123, model DeepFeatures, scene 000123"
    assert found.attrs["shown"].startswith("DeepFeatures, simulated, image of 18 May 2020")
    assert "published" not in map_sheet.layer_dataset(State(day=state.day, places=state.places), data).attrs
    assert map_sheet.render_png(state, data).startswith(b"\x89PNG")


def test_a_cube_of_another_zone_is_laid_over_by_place(inside):
    lon, lat = GRID.lonlat(GRID.x.mean(), GRID.y.mean())
    zone = "EPSG:32633" if GRID.crs != "EPSG:32633" else "EPSG:32632"
    x, y = Grid(zone, 0, 0, 10, 1, 1).xy(lon, lat)
    grid = Grid(zone, round(x, -1) - 600, round(y, -1) + 600, 10, 120, 120)
    made = published_cube(zone, grid).assign_attrs(simulated=0)
    lons, lats = grid.lonlat(*np.meshgrid(grid.x, grid.y))
    made["features"][:3] = (
        np.stack([lons, lats, lons * lats])[:, None] * 1000
    )  # vectors that tell their place
    made["features"][3:] = 0
    data = opened(inside, made)
    picture = data.layer_image(LayerKey("published", DAYS[-1].date()))
    assert picture.caption.startswith("DeepFeatures, image of 18 May 2020")
    row, col = 7, 51
    at = np.unravel_index(
        ((lons - GRID.lonlat(GRID.x[col], GRID.y[row])[0]) ** 2 * np.cos(np.radians(lat)) ** 2
         + (lats - GRID.lonlat(GRID.x[col], GRID.y[row])[1]) ** 2).argmin(),
        lons.shape,
    )  # fmt: skip
    weights, mean = data.published._components
    expected = (made["features"].values[:, 2, *at] - mean) @ weights
    np.testing.assert_allclose(picture.values[row, col], expected, rtol=1e-2, atol=5e-2)


def test_one_elsewhere_is_not_there_and_a_broken_one_is_told(inside):
    away = Grid(GRID.crs, GRID.left_m + 50_000, GRID.top_m, 10, 60, 48)
    data = opened(inside, published_cube(grid=away))
    assert data.published is None
    assert not any("published" in sentence for sentence in data.missing_reasons)
    (inside / "theirs.zarr").rename(inside / "old.zarr")
    data = opened(inside, None)
    assert "published" not in data.layers
    assert any("No published embedding of 'theirs': Got" in sentence for sentence in data.missing_reasons)


def test_a_cube_of_clouds_is_an_empty_picture(inside):
    made = published_cube()
    made["features"][:] = np.nan
    picture = opened(inside, made).layer_image(LayerKey("published", DAYS[0].date()))
    assert np.isnan(picture.values).all()
