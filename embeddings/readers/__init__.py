"""Scenes from wherever they lie: the one function through which all data come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr
from fluxlens.models.errors import InputError


def open_scene(path: str | Path, storage_options: dict[str, Any] | None = None) -> xr.DataTree:
    """The validated scene at a path or URL, its format recognised by its content.

    Parameters
    ----------
    path
        Our own Zarr (also a URL); a folder of NetCDF files per sensor; a DeepFeatures ScienceCube; one NetCDF file or
        Zarr store as odc-stac, stackstac, cubo and openEO write it, or a folder of such files; a folder of GeoTIFFs,
        one per date, or one GeoTIFF or VRT. Cubes on longitude and latitude are resampled to their UTM zone.
    storage_options
        Of a URL of an object store: ``anonymous``, ``endpoint_url`` ...

    Returns
    -------
    xarray.DataTree
        One node per sensor, as ``embeddings.scenes.schema`` describes it: ``/s2`` (time, band, y, x) reflectance 0-1,
        ``/s1`` (time, band, y, x) dB, ``/weather`` (time).

    Raises
    ------
    InputError
        Nothing of these, or a file that is damaged or lacks what is needed.

    Warns
    -----
    DataWarning
        Files, dates or pixels that were left out, and units that were assumed; one warning per scene.
    """
    if "://" in str(path):
        from fluxlens.embeddings.readers import remote

        return remote.open_scene(str(path), storage_options)
    if storage_options:
        raise InputError(f"Got storage options with the path {path}, need them for a URL; remove them.")
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError(f"Got {path}, which does not exist, need a scene; check the spelling of the path.")
    if place.is_file():
        return _open_file(place, path)
    marks = [name for name in ("zarr.json", ".zgroup", ".zmetadata", ".zattrs") if (place / name).exists()]
    # Before all other Zarr: a ScienceCube is a Zarr with arrays at the top as well.
    if (place / "s2l2a").exists():
        from fluxlens.embeddings.readers import science_cube

        return science_cube.open(place)
    if marks:
        if (place / "features").is_dir():
            raise InputError(
                f"Got {path}, a cube of published features and not a scene, need images; choose another."
            )
        # our own scenes are groups of sensors; arrays at the top are somebody else's cube
        groups = [one for one in ("s2", "s1") if (place / one).is_dir() and not _is_array(place / one)]
        arrays = any(_is_array(one) for one in place.iterdir() if one.is_dir())
        nested = [one for one in place.iterdir() if one.is_dir() and any(map(_is_array, one.glob("*")))]
        nodes = {"s2", "s1", "landsat8", "weather", "tower", "truth"}
        if not groups and not arrays and len(nested) == 1 and nested[0].name not in nodes:
            from fluxlens.embeddings.readers import cube

            return cube.open_files(nested, place.stem)
        if groups or not arrays:
            from fluxlens.embeddings.readers import zarr

            return zarr.open(place)
        from fluxlens.embeddings.readers import cube

        return cube.open(place)
    return _open_folder(place, path)


def _is_array(folder: Path) -> bool:
    """Whether a folder of a Zarr store is an array, of version 2 or 3."""
    if (folder / ".zarray").exists():
        return True
    described = folder / "zarr.json"
    return (
        described.exists() and '"array"' in described.read_text(encoding="utf-8", errors="replace")[:100_000]
    )


def _open_file(place: Path, path: str | Path) -> xr.DataTree:
    """A single file: NetCDF by its first bytes, GeoTIFF by its name."""
    # The first bytes and not the name: downloads lose their suffix.
    with place.open("rb") as file:
        head = file.read(8)
    if head[:4] == b"\x89HDF" or head[:3] == b"CDF" or place.suffix.lower() in (".nc", ".nc4"):
        from fluxlens.embeddings.readers import cube

        return cube.open(place)
    if place.suffix.lower() in (".tif", ".tiff", ".vrt"):
        from fluxlens.embeddings.readers import geotiff_folder

        return geotiff_folder.open(place)
    if head[:2] in (b"PK", b"\x1f\x8b"):
        raise InputError(
            f"Got {path}, a packed file, need a Zarr scene, a NetCDF cube or a folder of files; unpack it."
        )
    raise InputError(
        f"Got {path}, a single file of an unknown kind, need a Zarr scene, a NetCDF cube or a "
        f"folder of files; give one "
        "of these."
    )


def _open_folder(place: Path, path: str | Path) -> xr.DataTree:
    """A folder of files: by the names this project gives them, else cubes side by side, else GeoTIFFs."""
    from fluxlens.embeddings.readers import cube, geotiff_folder, netcdf_folder

    files = sorted(one for one in place.iterdir() if not one.name.startswith("."))
    netcdf = [one for one in files if one.suffix.lower() in (".nc", ".nc4") and one.is_file()]
    tiffs = [one for one in files if one.suffix.lower() in geotiff_folder.SUFFIXES]
    named = ", ".join(one.name for one in tiffs[:3]) + (", ..." if tiffs[3:] else "")
    notes = [f"{len(tiffs)} GeoTIFF files beside the cubes are not read ({named})"] if tiffs else []
    # Folders of the DeepFeatures and WorldCereal exports, told by the names of their files, before files of any name.
    if any(
        one.name.lower().startswith(tuple(kind.lower() for kind in netcdf_folder.KINDS)) for one in netcdf
    ):
        return netcdf_folder.open(place, notes=notes)
    # NetCDF and Zarr side by side are parts of one cube, GeoTIFFs beside them (a DEM) are not.
    stores = [one for one in files if one.suffix.lower() == ".zarr" and one.is_dir()]
    if netcdf or stores:
        return cube.open_files([*netcdf, *stores], place.resolve().name, notes)
    if tiffs:
        return geotiff_folder.open(place)
    # Nothing to read. What it is instead is named, since the next step differs: a table, a store, or nothing.
    kind = "a folder without zarr.json, *.nc or *.tif" if files else "an empty folder"
    _refuse_products(place, files)
    tables = [one.name for one in files if one.suffix.lower() in (".csv", ".parquet")]
    if tables:
        raise InputError(
            f"Got {place}, a folder of tables ({', '.join(tables[:3])}), need a scene; give a table itself, such as"
            f" {place / tables[0]}."
        )
    if (place / "refs").exists() or (place / "repo").exists():
        kind = "a store of embeddings and not a scene"
    raise InputError(
        f"Got {path}, {kind}, need a Zarr scene or a folder of NetCDF files; "
        "give the folder that holds zarr.json or the *.nc files."
    )


def _refuse_products(place: Path, files: list[Path]) -> None:
    """InputError for products as ESA hands them out, and for folders whose images lie one level deeper."""
    jp2 = [one.name for one in files if one.suffix.lower() == ".jp2"]
    safe = [
        one.name for one in (place, *files) if one.suffix.upper() == ".SAFE" or one.name.endswith(".SAFE.zip")
    ]
    if safe or jp2:
        raise InputError(
            f"Got {(safe or jp2)[0]}, a product of ESA in JPEG 2000, need the bands and SCL of your area as one cube or"
            " as GeoTIFFs, one file per date; fetch them with fluxlens scene stac, or cut them out with gdal_translate."
        )
    inner = [one for one in files if one.is_dir() and any(one.glob("*.tif*"))]
    if inner:
        raise InputError(
            f"Got {place.name} with {len(inner)} folders of GeoTIFFs ({inner[0].name}, ...), need the files of all"
            " dates in one folder; move them together."
        )
