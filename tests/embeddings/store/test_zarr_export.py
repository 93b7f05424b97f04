"""A store written for others: xarray alone gives back the numbers, whatever it knows of this project."""

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings import catalog
from fluxlens.embeddings.readers import feature_cube
from fluxlens.embeddings.store import Store, write, zarr_export
from fluxlens.embeddings.store.quantise import dequantise
from fluxlens.models.errors import InputError
from tiny_cube import DAYS, NX, NY, blocks_of, random_cube

READ = """
import json, sys
import xarray as xr
cube = xr.open_zarr("plain.zarr", decode_coords="all").load()
assert not {name.split(".")[0] for name in sys.modules} & {"app", "embeddings", "models", "icechunk"}
cube.e01.to_netcdf("e01.nc")
crs = cube.spatial_ref.attrs["crs_wkt"][:6]
print(json.dumps([dict(cube.sizes), float(cube.sigma.mean()), crs, cube.attrs["title"]]))
"""


@pytest.fixture
def cube(tmp_path, monkeypatch) -> xr.Dataset:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zarr_export, "BOX", (4, 24, 24))
    made = random_cube()
    write(tmp_path / "store", made, blocks_of(made))
    return made


def test_xarray_alone_reads_a_whole_store(cube, tmp_path, capsys):
    assert main(["export", "store", "--out", "plain.zarr"]) == 0
    assert f"{DAYS} days of {NY} x {NX} pixels" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ], cwd=tmp_path, env={}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    sizes, sigma, crs, title = json.loads(done.stdout)
    assert sizes == {"time": DAYS, "y": NY, "x": NX}
    assert sigma == pytest.approx(float(cube["sigma"].mean()))
    assert (crs, title) == ("PROJCR", "tiny")
    with xr.open_dataset("e01.nc") as back:
        np.testing.assert_allclose(back["e01"], dequantise(cube).isel(feature=1), rtol=1e-6)


def test_attributes_decode_every_layer_and_none_is_missing(cube):
    assert main(["export", "store", "--out", "p.zarr", "--start", "2020-01-03", "--end", "2020-01-07"]) == 0
    back = xr.open_zarr("p.zarr", decode_coords="all").load()
    expected = cube.sel(time=slice("2020-01-03", "2020-01-07"))
    for i, name in enumerate(cube["feature"].values):
        np.testing.assert_allclose(back[name], dequantise(expected).isel(feature=i), rtol=1e-6)
    np.testing.assert_allclose(back["sigma"], expected["sigma"], rtol=1e-6)
    for name in ("days_from_s2", "days_from_s1"):
        np.testing.assert_array_equal(back[name], expected[name].where(expected[name] >= 0))
    xr.testing.assert_equal(back["time"].drop_vars("spatial_ref"), expected["time"].drop_vars("spatial_ref"))
    assert back["e00"].encoding["grid_mapping"] == "spatial_ref"
    assert back.attrs["store_snapshot"] == Store.open("store").snapshot


def test_the_layout_of_feature_cubes(cube):
    assert main(["export", "store", "--out", "f.zarr", "--layout", "science-cube"]) == 0
    back = xr.open_zarr("f.zarr", decode_coords="all")
    assert back["features"].dims == ("feature", "time", "y", "x")
    assert back["features"].dtype == np.float32
    assert back["features"].encoding["chunks"] == (cube.sizes["feature"], 1, NY, NX)
    np.testing.assert_array_equal(back["features"].transpose(..., "feature"), dequantise(cube))
    lat, lon = back.attrs["center_wgs84"]
    assert (round(lat), round(lon)) == (51, 4)


def test_a_feature_cube_is_read_back_as_it_was_written(cube):
    assert main(["export", "store", "--out", "f.zarr", "--layout", "science-cube"]) == 0
    back = feature_cube.open("f.zarr")
    np.testing.assert_array_equal(dequantise(back), dequantise(cube))
    for name in ("time", "y", "x", "feature"):
        np.testing.assert_array_equal(back[name], cube[name])
    assert back["spatial_ref"].attrs["crs_wkt"] == cube["spatial_ref"].attrs["crs_wkt"]
    assert back.attrs["simulated"] == 1


def published(path: str) -> None:
    """A cube as DeepFeatures writes them: gaps, times of day, south up, no CRS but a zone."""
    values = np.arange(7 * 3 * 4 * 5, dtype=np.float32).reshape(7, 3, 4, 5)
    values[:, 1] = np.nan
    xr.Dataset(
        {"features": (("feature", "time", "y", "x"), values)},
        coords={
            "time": np.array(["2019-05-03T10:56", "2019-05-08T10:56", "2019-05-01T10:46"], "datetime64[ns]"),
            "y": 5621005.0 + 10 * np.arange(4),
            "x": 600005.0 + 10 * np.arange(5),
        },
        attrs={"utm_zone": "31U", "id": "000123"},
    ).to_zarr(path, zarr_format=2)


def test_a_published_cube_stands_in_a_catalog_and_is_exported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    published("cube.zarr")
    args = "{features: '{{ CATALOG_DIR }}/cube.zarr'}"
    (tmp_path / "c.yaml").write_text(
        f"sources:\n  theirs:\n    driver: fluxlens_embeddings\n    args: {args}\n"
    )
    assert main(["catalog", "check", "--catalog", "c.yaml"]) == 0
    cube = catalog.open("c.yaml")["theirs"].read()
    assert cube["embedding"].dims == ("time", "y", "x", "feature")
    assert list(cube["time"].values.astype("datetime64[D]").astype(str)) == [
        "2019-05-01",
        "2019-05-03",
        "2019-05-08",
    ]
    assert cube["embedding"].isel(time=0, y=0, x=1, feature=2) == 2 * 60 + 2 * 20 + 3 * 5 + 1
    lon, lat = feature_cube.Grid.from_cube(cube).lonlat(600015.0, 5621035.0)
    options = ["--at", f"{lon},{lat}", "--catalog", "c.yaml"]
    for name in ("theirs", "cube.zarr"):
        assert main(["export", name, *options, "--out", f"{name}.nc"]) == 0
        with xr.open_dataset(f"{name}.nc") as found:
            values = found["e02"].squeeze().values
            assert values[0] == 2 * 60 + 2 * 20 + 3 * 5 + 1
            assert np.isnan(values[2])
            assert found.attrs["model"] == "DeepFeatures"
            assert "int8" not in found.attrs["features"]
    assert main(["export", "cube.zarr", "--out", "w.zarr"]) == 2
    assert "need --at" in capsys.readouterr().err
    with pytest.raises(InputError, match="to compare with"):
        catalog.source(catalog.open("c.yaml"), "theirs").store()


@pytest.mark.parametrize("change", ["dims", "crs", "files"])
def test_what_is_no_feature_cube_is_told_so(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    published("good.zarr")
    cube = xr.open_zarr("good.zarr").load().drop_encoding()
    if change == "dims":
        cube = cube.rename(feature="band")
    if change == "crs":
        del cube.attrs["utm_zone"]
    cube.to_zarr("bad.zarr", zarr_format=2)
    if change == "files":
        for file in (tmp_path / "bad.zarr").glob("**/.z*"):
            file.write_text("rubbish")
    with pytest.raises(InputError, match="need"):
        feature_cube.open("bad.zarr")
