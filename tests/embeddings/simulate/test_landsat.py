"""Landsat 8 beside the Sentinels: the same land in its own bands and pixels, and nobody else's chance disturbed."""

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.scenes import schema, validation
from fluxlens.embeddings.simulate import landsat, simulate
from fluxlens.embeddings.simulate.canopy import BANDS
from fluxlens.models.sensors import SENSORS

SMALL = {"seed": 5, "size_px": 24, "start": "2020-04-01", "end": "2020-09-30"}


@pytest.fixture(scope="module")
def scene() -> xr.DataTree:
    return simulate("tiny", landsat=True, **SMALL)


def test_all_else_stays_the_same_to_the_byte(scene):
    bare = simulate("tiny", **SMALL)
    assert set(scene.children) - set(bare.children) == {"landsat8"}
    assert bare.attrs == scene.attrs
    for name in bare.children:
        for key, variable in bare[name].to_dataset().variables.items():
            found = scene[name].to_dataset().variables[key]
            assert found.values.tobytes() == variable.values.tobytes(), f"{name} {key}"
            assert repr(found.attrs) == repr(variable.attrs)


def test_scene_passes_the_contract_and_comes_back_from_its_file(scene, tmp_path):
    zarr.write(scene, tmp_path / "scene.zarr")
    back = validation.validate(zarr.open(tmp_path / "scene.zarr"))
    np.testing.assert_array_equal(back["landsat8/reflectance"].values, scene["landsat8/reflectance"].values)
    np.testing.assert_array_equal(back["landsat8/cloud_truth"].values, scene["landsat8/cloud_truth"].values)


def test_its_pixels_are_30_m_wide_and_lie_on_the_utm_lattice(scene):
    node = scene["landsat8"]
    image = node["reflectance"].values
    x, y = node["x"].values, node["y"].values
    for axis, centres in ((-1, x), (-2, -y)):
        same = (np.diff(image, axis=axis) == 0).all(tuple(i for i in range(4) if i - 4 != axis))
        crossed = np.diff(np.floor((centres - 15) / 30)) > 0
        np.testing.assert_array_equal(same, ~crossed)


def test_a_30_m_pixel_is_the_mean_of_what_it_covers():
    x = 500_000 + 10 * np.arange(24) + 5.0
    share, at = landsat.coverage(x)
    np.testing.assert_allclose(share.sum(1), 1)
    middle = (share @ x)[1:-1]
    np.testing.assert_allclose(middle % 30, 0, atol=1e-6)
    np.testing.assert_array_equal(np.bincount(at)[1:-1], 3)


def test_each_path_is_seen_every_16_days_and_its_neighbour_a_week_later():
    both = landsat.passes(np.random.default_rng(0), 800, lat=66.0)
    days = [{p.day for p in both if p.second is second} for second in (False, True)]
    assert all(len({day % 16 for day in path}) == 1 for path in days)
    assert (min(days[1]) - min(days[0])) % 16 == 7
    assert 0.8 < len(both) / 100 < 1
    few = [landsat.passes(np.random.default_rng(seed), 160, lat=0.0) for seed in range(60)]
    assert np.mean([any(p.second for p in passes) for passes in few]) < 0.25
    assert len(landsat.passes(np.random.default_rng(0), 1, lat=0.0)) == 1


def test_it_sees_what_sentinel_2_sees_on_neighbouring_days(scene):
    s2, l8 = scene["s2"].to_dataset(), scene["landsat8"].to_dataset()
    (rows, row), (cols, col) = landsat.coverage(-s2.y.values), landsat.coverage(s2.x.values)
    like, pairs = list(landsat.BANDPASS), []
    for i, time in enumerate(l8.time.values):
        j = int(np.abs(s2.time.values - time).argmin())
        if abs(s2.time.values[j] - time) < np.timedelta64(60, "h"):
            image, cloud = s2.reflectance.sel(band=like).values[j], s2.cloud_truth.values[j]
            image, cloud = ((rows @ field @ cols.T)[..., row, :][..., col] for field in (image, cloud))
            both = (cloud == 0) & ~l8.cloud_truth.values[i]
            pairs.append((image[:, both], l8.reflectance.values[i][:, both]))
    theirs, ours = (np.concatenate(part, axis=1) for part in zip(*pairs, strict=True))
    assert theirs.shape[1] > 1000
    assert all(np.corrcoef(a, b)[0, 1] > 0.9 for a, b in zip(theirs, ours, strict=True))
    assert np.abs((ours - theirs).mean(1)).max() < 0.03


def test_its_clouds_are_its_own(scene):
    s2, l8 = scene["s2/cloud_truth"], scene["landsat8/cloud_truth"]
    day = np.intersect1d(schema.utc_days(s2), schema.utc_days(l8))[0]
    theirs, ours = (part.values[schema.utc_days(part) == day][0] for part in (s2, l8))
    assert (theirs & ~ours).any()


def test_its_mask_is_imperfect_but_mostly_right(scene):
    clear, cloudy = scene["landsat8/clear"].values, scene["landsat8/cloud_truth"].values
    assert (clear == ~cloudy).mean() > 0.8
    assert (clear & cloudy).any()


def test_its_bands_are_those_of_the_contract_and_of_the_networks():
    for name, spec in SENSORS.items():
        assert spec.bands == schema.NODES[name].bands
        assert spec.variable in {variable.name for variable in schema.NODES[name].variables}
    assert [list(BANDS)[k] for k in landsat.S2_INDEX] == list(landsat.BANDPASS)
