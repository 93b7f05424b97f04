"""Scenes from wherever they lie: the one door through which data come in."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from models.errors import InputError


def open_scene(path: str | Path) -> xr.DataTree:
    """The validated scene at a path or URL, its format found by looking.

    Known are our own Zarr, a folder of NetCDF files per sensor, and a DeepFeatures ScienceCube.
    """
    if "://" in str(path):
        from embeddings.readers import zarr

        return zarr.open(str(path))
    folder = Path(path).expanduser()
    if not folder.exists():
        raise InputError(f"Got {path}, which does not exist, need a scene; check the spelling of the path.")
    if (folder / "s2l2a").exists() or (folder / ".zgroup").exists() or (folder / ".zmetadata").exists():
        from embeddings.readers import science_cube

        return science_cube.open(folder)
    if (folder / "zarr.json").exists():
        from embeddings.readers import zarr

        return zarr.open(folder)
    if folder.is_dir() and any(folder.glob("*.nc")):
        from embeddings.readers import netcdf_folder

        return netcdf_folder.open(folder)
    kind = "an empty folder" if folder.is_dir() and not any(folder.iterdir()) else _kind(folder)
    raise InputError(
        f"Got {path}, {kind}, need a Zarr scene or a folder of NetCDF files; "
        "give the folder that holds zarr.json or the *.nc files."
    )


def _kind(path: Path) -> str:
    if path.is_file():
        return "a single file"
    if (path / "refs").exists() or (path / "repo").exists():
        return "a store of embeddings and not a scene"
    return "a folder without zarr.json or *.nc"
