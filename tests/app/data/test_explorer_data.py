"""Answers: fixed stretches, real dates, few reads, honest gaps."""

import datetime as dt
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.layer_image import Viewport
from fluxlens.app.data.series import find_gaps
from fluxlens.app.data.towers.observations import other_years_climatology
from fluxlens.app.state import LayerKey, Place
from fluxlens.models.errors import InputError

JUNE, OCTOBER = dt.date(2020, 6, 14), dt.date(2020, 10, 20)


def test_the_stretch_is_the_same_on_two_days(data):
    for layer in set(data.layers) - {"similar", "clusters"}:
        assert (
            data.layer_image(LayerKey(layer, JUNE)).style == data.layer_image(LayerKey(layer, OCTOBER)).style
        )


def test_another_component_redraws_but_does_not_reload(data, store):
    data.layer_style("feature", 0)
    data.layer_image(LayerKey("feature", JUNE, feature=0))
    before = store.reads["map"]
    first, second = (data.layer_image(LayerKey("feature", JUNE, feature=n)).values for n in (0, 1))
    data.layer_image(LayerKey("pca", JUNE))
    data.layer_image(LayerKey("sigma", JUNE))
    assert store.reads["map"] == before
    assert not np.array_equal(first, second)


def test_a_feature_is_the_stored_integer_times_its_scale(data, store):
    shown = data.layer_image(LayerKey("feature", JUNE, feature=5)).values[..., 0]
    stored = store.cube().embedding.sel(time=pd.Timestamp(JUNE), feature="e05").values / 64
    np.testing.assert_allclose(shown, stored, rtol=1e-6)


def test_components_keep_their_signs(store):
    (one, _), (two, _) = ExplorerData(store).components, ExplorerData(store).components
    np.testing.assert_array_equal(one, two)
    assert (one[np.abs(one).argmax(0), range(3)] > 0).all()


def test_true_colour_tells_its_real_date(data):
    picture = data.layer_image(LayerKey("true", JUNE))
    shares = data.store.scene()["s2"].clear.mean(("y", "x"))
    clear_days = pd.DatetimeIndex(shares.time.values[shares.values >= 0.9]).normalize()
    nearest = clear_days[np.abs(clear_days - pd.Timestamp(JUNE)).argmin()]
    assert f"{nearest.day} {nearest:%b %Y}" in picture.caption
    assert picture.values.shape == (48, 60, 3)


def test_a_look_at_true_colour_copies_one_date_of_what_is_in_memory(data):
    data.load_images()
    images, _ = data.imagery._images
    tracemalloc.start()
    data.imagery._read_true_colour(0, Viewport(2, 0, 24, 0, 30))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Three of four bands of all dates were copied for each frame: 65 of 84 ms of a scene of 1000 px.
    assert peak < images.nbytes / 4


def test_a_coarse_look_at_true_colour_reads_the_coarse_images(store, monkeypatch):
    dates = store.scene()["s2"].sizes["time"]
    coarse = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), np.full((dates, 3, 24, 30), 0.125)),
            "clear": (("time", "y", "x"), np.ones((dates, 24, 30))),
        }
    )
    monkeypatch.setattr(store, "true_colour_overviews", lambda: {2: coarse}, raising=False)
    image = ExplorerData(store).layer_image(LayerKey("true", JUNE), viewport=Viewport(2, 4, 24, 8, 30))
    np.testing.assert_array_equal(image.values, np.full((20, 22, 3), 0.125, "float32"))
    assert not image.masked.any()
    fine = ExplorerData(store).layer_image(LayerKey("true", JUNE), viewport=Viewport(1, 4, 24, 8, 30))
    assert len(np.unique(fine.values)) > 10


def test_a_store_without_weather_has_no_gpp_layer(store):
    from app_world import predict

    del store._scene["weather"]
    found = ExplorerData(store, predict)
    assert "gpp" not in found.layers
    assert "gpp" not in found.pixel_series(3, 3)


def test_a_store_without_a_scene_still_shows_its_embeddings(store):
    store._scene = None
    found = ExplorerData(store)
    assert found.layers == ["pca", "feature", "similar", "clusters", "labels", "sigma", "gap"]
    assert [text[:7] for text in found.missing_reasons] == ["No true", "No NDVI", "No GPP:"]
    assert "ndvi" not in found.pixel_series(3, 3)


def test_ndvi_of_a_pixel_is_the_scene_s(data):
    pixel = data.pixel_series(10, 30)
    reflectance = data.store.scene()["s2"].reflectance.isel(y=10, x=30)
    red, nir = reflectance.sel(band="B04").values, reflectance.sel(band="B08").values
    np.testing.assert_allclose(pixel.ndvi.values, (nir - red) / (nir + red), rtol=1e-4)


def test_ndvi_of_every_day_is_read_off_the_embedding_where_its_model_is_known(store):
    from fluxlens.embeddings.inference import reconstruct
    from fluxlens.models import checkpoints

    model = checkpoints.load("default", "cpu")
    assert "ndvi_decoded" not in ExplorerData(store).pixel_series(10, 30)
    store._cube = store._cube.assign_attrs(model=model.name, model_digest=model.digest)
    found = ExplorerData(store)
    pixel = found.pixel_series(10, 30)
    red, nir = reconstruct.decode_reflectance(store.series(10, 30), model, ("B04", "B08")).values.T
    np.testing.assert_allclose(pixel.ndvi_decoded, (nir - red) / np.maximum(nir + red, 0.01), rtol=1e-5)
    assert pixel.ndvi_decoded.sizes == {"time": len(found.days)}
    # an area of one pixel tells the same
    x, y = found.centre(10, 30)
    corners = ((-4, -4), (4, -4), (4, 4), (-4, 4), (-4, -4))
    ring = tuple(tuple(map(float, found.grid.lonlat(x + dx, y + dy))) for dx, dy in corners)
    np.testing.assert_allclose(
        found.area_series(shapely.MultiPolygon([shapely.Polygon(ring)])).ndvi_decoded,
        pixel.ndvi_decoded,
        rtol=1e-5,
    )


def test_a_long_stretch_without_a_clear_view_is_a_gap():
    days = pd.to_datetime(["2020-03-05", "2020-03-10", "2020-04-10"])
    first, last = pd.Timestamp("2020-03-01"), pd.Timestamp("2020-04-12")
    assert find_gaps(days, first, last, min_days=10) == [(days[1], days[2])]
    assert find_gaps(days[:0], first, last) == [(first, last)]


def test_a_place_outside_the_scene_is_refused_with_its_extent(data):
    with pytest.raises(InputError, match="inside lon"):
        data.locate(0.0, 0.0)


def test_a_pixel_is_found_where_its_centre_is(data):
    assert data.locate(*data.centre(7, 41)) == (7, 41)
    assert data.start_pixel == (20, 28)


def test_the_climatology_of_a_tower_leaves_out_the_year_it_is_compared_with():
    days = pd.date_range("2019-01-01", "2020-12-31")
    gpp = np.where(days.year == 2019, 3.0, 7.0)
    tower = xr.Dataset({"gpp_nt": ("time", gpp)}, {"time": days})
    found = other_years_climatology(tower)["gpp_usual"]
    assert set(found.sel(time="2019").values) == {7.0}
    assert set(found.sel(time="2020").values) == {3.0}
    assert other_years_climatology(tower.sel(time="2020")) == {}


def test_a_scene_without_red_says_which_bands_it_has(store):
    store._scene["s2"] = store._scene["s2"].to_dataset().isel(band=[3])
    found = ExplorerData(store).missing_reasons
    assert any("true colour" in text and "has B08" in text for text in found)
    assert any("NDVI" in text and "has B08" in text for text in found)


def test_radar_of_a_pixel_is_the_scene_s(data):
    pixel = data.pixel_series(10, 30)
    backscatter = data.store.scene()["s1"].backscatter.isel(y=10, x=30)
    np.testing.assert_array_equal(pixel.VH.values, backscatter.sel(band="VH").values)


def test_a_sight_shows_the_numbers_of_the_whole_and_an_overview_their_means(tmp_path, monkeypatch):
    from app_world import predict, write_store
    from fluxlens.app.data.layer_image import Viewport
    from fluxlens.embeddings import store as embeddings_store
    from fluxlens.embeddings.store import layout

    monkeypatch.setattr(layout, "MAP_PX", 16)
    write_store(tmp_path / "store")
    data = ExplorerData(embeddings_store.Store.open(tmp_path / "store"), predict)
    near, wide = Viewport(1, 8, 24, 20, 36), Viewport(2, 4, 12, 10, 18)
    keys = [LayerKey(layer, JUNE) for layer in data.layers if layer not in ("feature", "similar", "clusters")]
    for key in [
        *keys,
        LayerKey("feature", JUNE, feature=3),
        LayerKey("similar", JUNE, pixel=(20, 28), threshold=0.8),
        LayerKey("clusters", JUNE, clusters=3),
    ]:
        whole, part = data.layer_image(key), data.layer_image(key, viewport=near)
        np.testing.assert_allclose(part.values, whole.values[8:24, 20:36], atol=1e-5, err_msg=key.layer)
        assert data.layer_image(key, viewport=wide).values.shape[:2] == (8, 8)
    mean = (
        data.layer_image(LayerKey("feature", JUNE, feature=3))
        .values[8:24, 20:36]
        .reshape(8, 2, 8, 2)
        .mean((1, 3))
    )
    found = data.layer_image(LayerKey("feature", JUNE, feature=3), viewport=wide).values[..., 0]
    np.testing.assert_allclose(found, mean, atol=float(data.scale[3]))
    photo = data.layer_image(LayerKey("true", JUNE)).values[8:24, 20:36].reshape(8, 2, 8, 2, 3).mean((1, 3))
    np.testing.assert_allclose(
        data.layer_image(LayerKey("true", JUNE), viewport=wide).values, photo, atol=1e-5
    )


def test_cleared_caches_read_the_store_again(data, store):
    data.layer_image(LayerKey("pca", JUNE))
    before = store.reads["map"]
    data.layer_image(LayerKey("sigma", JUNE))
    assert store.reads["map"] == before
    data.clear_caches()
    data.layer_image(LayerKey("sigma", JUNE))
    assert store.reads["map"] == before + 1


def test_pixels_without_any_acquisition_do_not_lower_the_days_of_an_area(store):
    west, south = store.grid.lonlat(float(store.grid.x[10]) - 1, float(store.grid.y[20]) - 1)
    east, north = store.grid.lonlat(float(store.grid.x[11]) + 1, float(store.grid.y[19]) + 1)
    area = shapely.MultiPolygon([shapely.box(west, south, east, north)])
    cube = store._cube.copy(deep=True)
    cube["days_from_s2"][:, 19:21, 10:12] = 8
    cube["days_from_s2"][:, 19:21, 10] = -1  # the code of "none", in two of the four pixels
    cube["days_from_s1"][:, 19:21, 10:12] = -1
    store._cube = cube
    data = ExplorerData(store)
    series = data.place_series(Place(0, 20, 10, area=area))
    assert series.attrs["pixels"] == 4
    assert (series.days_from_s2 == 8).all()
    assert (series.days_from_s1 == -1).all()
