"""A summary is one vector per pixel of any window, whatever form it is written in and however it is read."""

import numpy as np
import pytest
import rasterio
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings.export import summary
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import Store, write
from fluxlens.embeddings.store.quantise import FEATURE_MISSING, dequantise
from fluxlens.models.errors import InputError
from tiny_cube import blocks_of, random_cube

import fluxlens

WINDOW = ("2020-01-11", "2020-04-10")
"""91 days, divided into three parts."""


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return random_cube(days=120, ny=20, nx=24)


@pytest.fixture(scope="module")
def store(tmp_path_factory, cube) -> Store:
    path = tmp_path_factory.mktemp("summary") / "store"
    write(path, cube, blocks_of(cube))
    return Store.open(path)


def test_mean_deviation_and_amplitude_are_those_of_the_daily_features(cube):
    found = fluxlens.summarise(cube, *WINDOW)
    days = dequantise(cube).sel(time=slice(*WINDOW))
    assert days.sizes["time"] == 91
    month = np.arange(91) * 3 // 91
    means = np.stack([days.values[month == i].mean(0) for i in range(3)])
    for i, name in enumerate(cube["feature"].values):
        one = days.sel(feature=name).values.astype(np.float64)
        np.testing.assert_allclose(found[f"{name}_mean"], one.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[f"{name}_std"], one.std(0), rtol=1e-5, atol=1e-6)
        half = (means.max(0) - means.min(0))[..., i] / 2
        np.testing.assert_allclose(found[f"{name}_amplitude"], half, rtol=1e-4, atol=1e-6)
    sigma = cube["sigma"].sel(time=slice(*WINDOW))
    np.testing.assert_allclose(found["sigma_mean"], sigma.mean("time"), rtol=1e-5)
    assert (found["days_known"] == 91).all()
    assert found.to_dataarray("feature").sizes["feature"] == 3 * cube.sizes["feature"] + 2


def test_a_sine_over_a_year_has_its_own_amplitude():
    cube = random_cube(days=365, ny=2, nx=3, features=1)
    sine = np.round(100 * np.sin(2 * np.pi * np.arange(365) / 365))[:, None, None, None]
    cube["embedding"] = cube["embedding"].copy(
        data=np.broadcast_to(sine, cube["embedding"].shape).astype(np.int8)
    )
    found = fluxlens.summarise(cube, "2020-01-01", "2020-12-30")
    # The mean of 30 days around the crest is a little below it.
    ratio = found["e00_amplitude"] / (100 * cube["scale"].values[0])
    assert ((ratio > 0.95) & (ratio < 1)).all()


def test_neither_the_size_of_squares_nor_the_days_read_together_changes_a_bit(store, cube, monkeypatch):
    whole = fluxlens.summarise(store, *WINDOW)
    xr.testing.assert_equal(whole, fluxlens.summarise(cube, *WINDOW))
    xr.testing.assert_identical(whole.drop_attrs(), fluxlens.summarise(store.path, *WINDOW).drop_attrs())
    monkeypatch.setattr(summary, "BLOCK_PX", 7)
    monkeypatch.setattr(summary, "READ_DAYS", 5)
    xr.testing.assert_equal(whole, fluxlens.summarise(store, *WINDOW))


def test_missing_days_count_for_nothing_and_a_pixel_without_days_is_missing(cube):
    gaps = cube.copy(deep=True)
    gaps["embedding"][30:50, 3, 4] = FEATURE_MISSING
    gaps["embedding"][:, 5, 6] = FEATURE_MISSING
    found = fluxlens.summarise(gaps, *WINDOW)
    kept = np.r_[10:30, 50:101]
    expected = dequantise(cube).values[kept, 3, 4].mean(0)
    mean = found[[f"{name}_mean" for name in cube["feature"].values]].to_dataarray()
    np.testing.assert_allclose(mean[:, 3, 4], expected, rtol=1e-4, atol=1e-6)
    assert found["days_known"][3, 4] == 71
    assert found["days_known"][5, 6] == 0
    assert mean[:, 5, 6].isnull().all()
    assert found["e00_amplitude"][5, 6].isnull()
    floats = gaps.assign(embedding=gaps["embedding"].astype(np.float32).where(gaps["embedding"] > -128))
    xr.testing.assert_equal(found, fluxlens.summarise(floats, *WINDOW))


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_a_file_holds_the_vectors_with_names_place_and_model(store, cube, tmp_path, capsys, suffix):
    out = tmp_path / f"a{suffix}"
    assert main(["export", str(store.path), "--summary", ":".join(WINDOW), "--out", str(out)]) == 0
    assert "14 numbers of 20 x 24 pixels, 2020-01-11 to 2020-04-10" in capsys.readouterr().out
    expected = fluxlens.summarise(store, *WINDOW)
    if suffix == ".tif":
        with rasterio.open(out) as file:
            assert file.descriptions == tuple(expected.data_vars)
            np.testing.assert_array_equal(file.read(), expected.to_dataarray().values)
            assert file.bounds.left == Grid.from_cube(cube).extent[0]
            attrs = file.tags()
    else:
        opener = xr.open_zarr if suffix == ".zarr" else xr.open_dataset
        with opener(out) as file:
            for name, values in expected.items():
                np.testing.assert_array_equal(file[name], values)
                assert file[name].attrs["units"] == values.attrs["units"]
            assert file["e00_amplitude"].attrs["long_name"] == "feature e00, half the range of 30-day means"
            attrs = file.attrs
    assert attrs["store_snapshot"] == store.snapshot
    assert attrs["days"] == "2020-01-11 to 2020-04-10"
    assert attrs["title"] == "summary of tiny"


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--summary", "2020-01-01"], "START:END"),
        (["--summary", "2020-01-01:"], "START:END"),
        (["--summary", "then:2020-02-01"], "date such as"),
        (["--summary", "2020-02-01:2020-01-01"], "before the start"),
        (["--summary", "2019-12-31:2020-01-31"], "inside 2020-01-01 to 2020-04-29"),
        (["--summary", "2020-04-01:2020-05-01"], "inside 2020-01-01 to 2020-04-29"),
        (["--summary", "2020-01-01:2020-02-01", "--start", "2020-01-01"], "--start"),
        (["--summary", "2020-01-01:2020-02-01", "--replay", "r.json"], "--replay"),
        (["--summary", "2020-01-01:2020-02-01", "--snapshot", "X"], "snapshot"),
        (["--summary", "2020-01-01:2020-02-01", "--out", "a.csv"], "need one of .nc, .tif, .zarr"),
    ],
)
def test_a_wrong_summary_is_one_sentence_and_no_file(store, tmp_path, capsys, monkeypatch, words, match):
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in words else ["--out", "a.tif"]
    assert main(["export", str(store.path), *words, *out]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert match in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_window_that_is_not_whole_is_refused_in_python_too(cube):
    with pytest.raises(InputError, match="embed more days"):
        fluxlens.summarise(cube, "2020-04-01", "2021-03-31")
