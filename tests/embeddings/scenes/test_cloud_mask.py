"""What is clear: haze that passes is taken out, land that changes is not, detectors of others are asked and checked."""

import sys

import numpy as np
import pytest
import xarray as xr
from fluxlens.app import cli
from fluxlens.embeddings.readers import open_scene, zarr
from fluxlens.embeddings.scenes import cloud_mask, digest, schema
from fluxlens.embeddings.simulate import random_scene
from fluxlens.models.errors import InputError

DAYS = np.arange("2020-06-01", "2020-08-30", 5, dtype="datetime64[D]")
HAZY, HAZY_TOO, CLOUDY, PLOUGHED = 4, 5, 9, 12


@pytest.fixture(scope="module")
def simulated():
    return random_scene(71, 16, start="2020-01-01", end="2020-12-31", truth=True)


@pytest.fixture
def s2():
    """Bare land, on two dates in a row under haze, on one under cloud, ploughed red and bright in the end."""
    values = np.full((len(DAYS), 2, 4, 4), [[[0.05]], [[0.06]]], np.float32)
    values[[HAZY, HAZY_TOO]] += np.array([0.08, 0.06], np.float32)[:, None, None]
    values[CLOUDY] += 0.5
    values[PLOUGHED:, :, :2] += np.array([0.04, 0.08], np.float32)[:, None, None]
    flags = np.ones((len(DAYS), 4, 4), bool)
    flags[CLOUDY] = False
    return xr.Dataset(
        {"reflectance": (schema.CUBE, values), "clear": (schema.MAPS, flags)},
        {"time": DAYS.astype("datetime64[ns]"), "band": ["B02", "B04"]},
    )


def test_haze_that_passes_is_not_clear_and_a_ploughed_field_is(s2):
    clear = cloud_mask.haze(s2)
    assert clear.dims == schema.MAPS
    hidden = np.flatnonzero(~clear.any(("y", "x")).values)
    assert hidden.tolist() == [HAZY, HAZY_TOO, CLOUDY]
    assert bool(clear.isel(time=[i for i in range(len(DAYS)) if i not in hidden]).all())


def test_soil_laid_bare_on_the_last_day_is_redder_than_haze(s2):
    assert bool(cloud_mask.haze(s2.isel(time=slice(CLOUDY + 1, PLOUGHED + 1))).all())


def test_a_scene_in_pieces_gets_the_same_answer(s2):
    in_pieces = cloud_mask.haze(s2.chunk(time=3, y=2, x=4))
    assert in_pieces.chunks is not None
    xr.testing.assert_identical(in_pieces.compute(), cloud_mask.haze(s2))


def test_reflectance_and_mask_may_be_cut_differently(s2):
    apart = s2.assign(reflectance=s2["reflectance"].chunk(time=3), clear=s2["clear"].chunk(time=5))
    xr.testing.assert_identical(cloud_mask.haze(apart).compute(), cloud_mask.haze(s2))


def test_the_first_day_may_be_hazy_and_a_day_alone_stays(s2):
    assert not cloud_mask.haze(s2.isel(time=slice(HAZY_TOO, None)))[0].any()
    assert bool(cloud_mask.haze(s2.isel(time=[HAZY])).all())


@pytest.mark.slow
def test_what_it_takes_out_of_simulated_land_is_nearly_always_haze_cloud_or_shadow(simulated):
    before = simulated["s2/clear"].values
    after = cloud_mask.apply_cloud_mask(simulated, "haze")["s2/clear"].values
    wrong = simulated["s2/cloud_truth"].values
    taken = before & ~after
    assert not (after & ~before).any()
    assert taken[wrong].sum() > 0.1 * (before & wrong).sum()
    assert taken[~wrong].sum() < 0.2 * taken.sum()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of somebody else's detectors, installed."""
    (tmp_path / "theirs.py").write_text(
        "def never(s2): return s2['clear'] & False\n"
        "def first(s2): return s2['clear'][0]\n"
        "def broken(s2): return 1 / 0\n"
        "def open_everywhere(s2): return s2['clear'] | True\n"
    )
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    names = ("never", "first", "broken", "open_everywhere")
    lines = "\n".join(f"{name} = theirs:{name}" for name in names)
    (info / "entry_points.txt").write_text(f"[{cloud_mask.GROUP}]\n{lines}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("theirs", None)


def test_an_installed_detector_is_asked_by_name(package, simulated):
    marked = cloud_mask.apply_cloud_mask(simulated, "never")
    assert not marked["s2/clear"].any()
    assert marked["s2/clear"].attrs["detector"] == "never"
    # clear is only what has a value
    everywhere = cloud_mask.apply_cloud_mask(simulated, "open_everywhere")["s2/clear"]
    assert not bool((everywhere & simulated["s2/reflectance"].isnull().all("band")).any())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("first", "gave bool of .*need bool of .*'time'"),
        ("broken", "which failed .division by zero."),
        ("os:system", "need one of scl, haze, broken, first, never, open_everywhere"),
    ],
)
def test_a_detector_that_is_none_is_told(package, simulated, name, message):
    with pytest.raises(InputError, match=message):
        cloud_mask.apply_cloud_mask(simulated, name)


def test_a_scene_without_blue_says_what_is_missing(simulated):
    blind = simulated.copy()
    blind["s2"] = xr.DataTree(simulated["s2"].to_dataset(inherit=False).isel(band=slice(3, None)))
    with pytest.raises(InputError, match="without B02, B04, need blue and red"):
        cloud_mask.apply_cloud_mask(blind, "haze")


def test_the_command_writes_the_scene_anew_and_the_old_one_stays(simulated, tmp_path, capsys):
    zarr.write(simulated, tmp_path / "old.zarr")

    def cleared(by: str, name: str) -> int:
        return cli.main(
            f"scene clear {tmp_path / 'old.zarr'} --by {by} --out {tmp_path / name}.zarr".split(),
        )

    assert cleared("haze", "new") == 0
    assert "of Sentinel-2's pixels are clear" in capsys.readouterr().out
    old, new = (open_scene(tmp_path / f"{name}.zarr") for name in ("old", "new"))
    assert int(new["s2/clear"].sum()) < int(old["s2/clear"].sum())
    np.testing.assert_array_equal(new["s2/reflectance"], old["s2/reflectance"])
    assert new.attrs["simulated"] == 1
    assert digest.digest(new) != digest.digest(old)
    assert cleared("nobody", "no") == 2
    assert "need one of scl, haze" in capsys.readouterr().err
    assert not (tmp_path / "no.zarr").exists()
