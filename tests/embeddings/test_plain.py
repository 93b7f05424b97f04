"""A store written for others: xarray alone gives back the numbers, whatever it knows of this project."""

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from tiny_cube import DAYS, NX, NY, blocks_of, random_cube

from app.cli import main
from embeddings import plain
from embeddings.quantise import dequantise
from embeddings.store import Store, write

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
    monkeypatch.setattr(plain, "BOX", (4, 24, 24))
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
    asked = cube.sel(time=slice("2020-01-03", "2020-01-07"))
    for i, name in enumerate(cube["feature"].values):
        np.testing.assert_allclose(back[name], dequantise(asked).isel(feature=i), rtol=1e-6)
    np.testing.assert_allclose(back["sigma"], asked["sigma"], rtol=1e-6)
    for name in ("days_from_s2", "days_from_s1"):
        np.testing.assert_array_equal(back[name], asked[name].where(asked[name] >= 0))
    xr.testing.assert_equal(back["time"].drop_vars("spatial_ref"), asked["time"].drop_vars("spatial_ref"))
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
