"""What the golden files record, and how: used by golden/make_golden.py once and by test_golden.py ever after."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
import torch
import xarray as xr
from shapely.geometry import mapping

GOLDEN = Path(__file__).parent / "golden"
RELEASE = GOLDEN / "release_45e744a"
"""Files written by that release: a catalog, a store (as an archive), an export, its replay file, permalinks."""
DEMO_ARRAYS = ("embedding", "scale", "sigma", "days_from_s2", "days_from_s1")
GPP_ARRAYS = ("gpp", "gpp_lo", "gpp_hi")
ORDER = ("time", "y", "x", "feature")
"""Dims of an array before it is digested."""
SAMPLE = {"time": slice(0, None, 30), "y": slice(8, None, 16), "x": slice(8, None, 16)}
"""Of the demo: 25 days x 5 x 5 pixels are stored as numbers, for machines with other last bits."""


def machine_class() -> dict[str, str]:
    """What decides the last bits of a float32 sum: processor, its vector unit as PyTorch sees it, and libraries.

    Returns
    -------
    dict of str
        Two machines with equal answers are expected to compute equal bits.
    """
    cpu = platform.machine()
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        parts = [
            re.search(rf"^{name}\s*: (.*)$", text, re.M) for name in ("vendor_id", "cpu family", "model")
        ]
        cpu = " ".join([cpu, *(part.group(1) for part in parts if part)])
    return {
        "cpu": cpu,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def digest(values: xr.DataArray) -> str:
    """SHA-256 of an array's dtype, shape and little-endian C-order bytes, with dims in the order of ``ORDER``."""
    array = values.transpose(*(dim for dim in ORDER if dim in values.dims)).values
    out = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    out.update(np.ascontiguousarray(array).tobytes())
    return out.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unpack_release(folder: Path) -> Path:
    """The files of the release in a folder of their own, the store out of its archive; returns that folder."""
    for path in RELEASE.iterdir():
        if path.suffix == ".xz":
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        else:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def commands(folder: Path) -> dict[str, list[str]]:
    """Small commands of the contracts (ARCHITECTURE.md section 4), by the name of the file each one writes.

    Parameters
    ----------
    folder : Path
        Where ``unpack_release`` put its files; the commands write there too.
    """
    catalog = ["--catalog", str(folder / "catalog.yaml")]
    points = ["--points", str(folder / "points.csv"), "--start", "2020-05-10", "--end", "2020-05-12"]
    polygon = ["--polygon", str(folder / "polygon.geojson"), "--start", "2020-05-10", "--end", "2020-05-12"]
    store = str(folder / "store")
    device = ["--device", "cpu"]
    listed = {
        "embedded": ["embed", "golden_scene", *catalog, "--end", "2020-05-09", *device],
        "s2.nc": ["reconstruct", "golden_scene", *catalog, "--hide", "2020-05-13", *device],
        "s1.nc": ["reconstruct", "golden_scene", *catalog, "--hide", "2020-05-16", "--hide-sensor", "s1", *device],
        **{f"points{suffix}": ["export", store, *points] for suffix in (".csv", ".parquet", ".nc", ".zarr")},
        **{f"polygon{suffix}": ["export", store, *polygon] for suffix in (".csv", ".nc", ".tif")},
        "mean.csv": ["export", store, *points, "--radius-m", "20"],
        "whole.zarr": ["export", store, "--start", "2020-05-10", "--end", "2020-05-12"],
        "rows.csv": ["predict", "gpp", "--table", str(folder / "table.csv")],
        "maps.nc": ["predict", "gpp", store, "--start", "2020-05-10", "--end", "2020-05-12"],
        "map.tif": ["predict", "gpp", store, "--start", "2020-05-10", "--end", "2020-05-12"],
    }  # fmt: skip
    out = folder / "out"
    return {name: [*words, "--out", str(out / name)] for name, words in listed.items()}


def schema_of(path: Path) -> dict[str, Any]:
    """The form of a written file: names, dims, dtypes, units and keys of attributes, but no numbers."""
    readers = {".csv": _csv, ".parquet": _parquet, ".nc": _netcdf, ".zarr": _zarr, ".tif": _geotiff}
    return readers.get(path.suffix, _store)(path)


def _csv(path: Path) -> dict[str, Any]:
    comments = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    table = pd.read_csv(path, comment="#")
    return {"comments": [line[2:].split(":")[0] for line in comments], **_table(table)}


def _parquet(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    keys = sorted(key.decode() for key in pq.read_schema(path).metadata)
    return {"metadata": keys, **_table(pd.read_parquet(path))}


def _table(table: pd.DataFrame) -> dict[str, Any]:
    # Text is object or str, by the version of pandas.
    kinds = {name: "text" if dtype.kind in "OTU" else str(dtype) for name, dtype in table.dtypes.items()}
    return {"rows": len(table), "columns": kinds}


def _netcdf(path: Path) -> dict[str, Any]:
    with xr.open_dataset(path, engine="netcdf4", decode_cf=False) as cube:
        return _dataset(cube)


def _zarr(path: Path) -> dict[str, Any]:
    with xr.open_zarr(path, consolidated=False, decode_cf=False) as cube:
        return _dataset(cube)


def _store(path: Path) -> dict[str, Any]:
    from fluxlens.embeddings.store import Store

    store = Store.open(path)
    scene = store.scene()
    return {
        "maps": _dataset(store.cube("maps")),
        "series": _dataset(store.cube("series")),
        "scene": {node.path: _dataset(node.to_dataset()) for node in scene.subtree},
    }


def _dataset(cube: xr.Dataset) -> dict[str, Any]:
    return {
        "sizes": {str(name): size for name, size in sorted(cube.sizes.items())},
        "attrs": sorted(map(str, cube.attrs)),
        "variables": {
            str(name): {
                "dims": list(values.dims),
                "dtype": "text" if values.dtype.kind in "OTU" else str(values.dtype),
                "units": values.attrs.get("units"),
                "attrs": sorted(map(str, values.attrs)),
                "coordinate": name in cube.coords,
            }
            for name, values in sorted(cube.variables.items())
        },
    }


def _geotiff(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as file:
        return {
            "size": [file.count, file.height, file.width],
            "bands": list(file.descriptions),
            "dtypes": sorted(set(file.dtypes)),
            "units": list(file.units),
            "nodata": str(file.nodata),
            "crs": str(file.crs),
            "transform": list(file.transform)[:6],
            "compression": file.compression.name,
            "tags": sorted(file.tags()),
            "band_tags": sorted({key for index in file.indexes for key in file.tags(index)}),
        }


def table_rows() -> pd.DataFrame:
    """Spectra and weather of two sites, with the columns of the measured table that ``predict gpp --table`` reads."""
    rows = []
    for site, greenness in (("XX-One", 0.9), ("XX-Two", 0.4)):
        for date, sun in (("2020-03-01", 90.0), ("2020-06-10", 260.0), ("2020-09-05", 170.0)):
            green = greenness * sun / 260.0
            bands = (0.05 - 0.02 * green, 0.08 - 0.02 * green, 0.12 - 0.09 * green, 0.18 + 0.25 * green,
                     0.28 - 0.10 * green, 0.20 - 0.12 * green)  # fmt: skip
            air = {"T2MIN": 272 + sun / 20, "T2MAX": 280 + sun / 18, "T2MEAN": 276 + sun / 19}
            rows.append(
                {"SITE_ID": site, "date": date}
                | {f"b{i}": round(value, 4) for i, value in enumerate(bands, 2)}
                | air
                | {"TSMDEWMEAN": 271 + sun / 22, "GWETROOT": 0.5, "SWLAND": sun, "PARDFLAND": 0.12 * sun}
                | {"TILE_ID_x": "T31UES", "PFT": "GRA"}
            )
    return pd.DataFrame(rows)


def state_of(state: Any) -> dict[str, Any]:
    """The choices of the screen that a permalink carries, as JSON has them."""
    names = ("entry", "layer", "feature", "charts", "current", "page", "flux", "radius_m")
    chosen = {name: getattr(state, name) for name in names}
    # The release had other names for these; the recorded files and links keep them.
    chosen |= {"year": state.whole_period, "least_qc": state.min_qc, "sight": state.footprint_kind}
    chosen |= {"day": state.day.isoformat()}
    chosen |= {
        "places": [
            [place.slot, place.row, place.col, mapping(place.area)["coordinates"] if place.area else []]
            for place in state.places
        ]
    }
    chosen |= {"labels": [[label.row, label.col, label.name] for label in state.labels]}
    return json.loads(json.dumps(chosen))
