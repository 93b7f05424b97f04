"""The cube most people have: Sentinel-2 (and Sentinel-1) in one NetCDF file or Zarr store, or in several side by side.

Read is what odc-stac, stackstac, cubo, openEO, xee and sentinelhub write: bands as variables or along a dimension,
under any usual name, reflectance or digital numbers, SCL or another cloud mask. Several files may hold other dates of
the same bands (joined along time) or other bands of the same images (joined by time).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import optical, radar, raster_file
from fluxlens.embeddings.readers.band_names import LANDSAT, find_bands, like_backscatter
from fluxlens.embeddings.readers.optical import OpticalRaster
from fluxlens.embeddings.readers.probe import check_readable
from fluxlens.embeddings.scenes import schema, validation
from fluxlens.embeddings.scenes.packing import is_chunked
from fluxlens.models.errors import DataWarning, InputError

LICENCE = "Copernicus Sentinel data and Copernicus Climate Change Service: free and open, with attribution"
NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf", ".netcdf", ".h5", ".hdf5")


def open(path: str | Path) -> xr.DataTree:
    """The scene of one cube.

    Parameters
    ----------
    path
        A NetCDF file or a Zarr store (v2 or v3).

    Returns
    -------
    xarray.DataTree
        Nodes ``/s2`` and ``/s1`` as far as the cube has them; lazy where it is larger than 512 MiB.

    Raises
    ------
    InputError
        The file cannot be read, has no known band, no dates, no projected CRS, or values in unknown units.

    Warns
    -----
    DataWarning
        What was left out or assumed.
    """
    return open_files([Path(path)], Path(path).stem)


def open_files(paths: list[Path], name: str, notes: list[str] | None = None) -> xr.DataTree:
    """The scene of several cubes of one place.

    Parameters
    ----------
    paths
        NetCDF files and Zarr stores with dims time, y, x (and band); y and x in metres or degrees.
    name
        The scene's id.
    notes
        Sentences that are told in the same ``DataWarning`` as what is found here.

    Returns
    -------
    xarray.DataTree
        As ``open``.
    """
    check_readable(path for path in paths if path.is_file())
    notes = list(notes or ())
    rasters, unknown = [], []
    for path in paths:
        raw = raster_file.load(path)
        # Landsat shares names (red, nir, swir16) with Sentinel-2: read as such, its numbers would be wrong in silence.
        landsat = [one for one in LANDSAT if one in raw.variables]
        if landsat:
            raise InputError(
                f"Got {path.name} with {landsat[0]}, which is Landsat, need Sentinel-2 or "
                f"Sentinel-1; choose another cube."
            )
        if len(paths) > 1 and not _has_bands(raw):
            unknown.append(path.name)
            continue
        rasters.append((raster_file.standardise(raw, path.name, notes), path.name))
    if unknown and rasters:
        notes.append(
            f"{len(unknown)} of {len(paths)} files hold no known band and are left out ({_some(unknown)})"
        )
    return scene_of(rasters, name, notes)


def _has_bands(raw: xr.Dataset) -> bool:
    labels = [str(one) for one in raw.data_vars]
    for dim in raw.dims:
        if str(dim).lower() in raster_file.BAND_NAMES and dim in raw.variables:
            labels += [str(value) for value in raw[dim].values]
    return bool(find_bands(labels)) or any(str(dim).lower() in raster_file.BAND_NAMES for dim in raw.dims)


def scene_of(rasters: list[tuple[xr.Dataset, str]], name: str, notes: list[str]) -> xr.DataTree:
    """The scene of rasters with known bands.

    Parameters
    ----------
    rasters
        Each (time, y, x) with y and x in metres, as ``raster_file.standardise`` gives it, and its name in messages.
    name
        The scene's id.
    notes
        Sentences that are told in one ``DataWarning``, with those that are found here.

    Returns
    -------
    xarray.DataTree
        Validated.
    """
    rasters_s2: list[OpticalRaster] = []
    passes: list[radar.Pass] = []
    names: list[str] = []
    for data, source in rasters:
        bands = find_bands(map(str, data.data_vars))
        names += [str(one) for one in data.data_vars]
        optic = {key: one for key, one in bands.items() if key in schema.S2_BANDS or key.startswith("mask:")}
        # By pass: bands of both directions in one raster are acquisitions of their own.
        radio: dict[str, dict[str, str]] = {}
        for key, one in bands.items():
            polarisation, _, one_pass = key.partition(":")
            if polarisation in schema.S1_BANDS:
                radio.setdefault(one_pass, {})[polarisation] = one
        if unread := like_backscatter(map(str, data.data_vars)):
            notes.append(f"{', '.join(unread[:4])} of {source} look like backscatter and are not read")
        # A cube of both sensors has the union of their dates: each sensor's own are those with values.
        both = bool(radio) and any(key in schema.S2_BANDS for key in optic)
        # A raster with a mask alone joins the optical files, which may lack one; beside radar bands it is no mask of
        # Sentinel-2.
        if any(key in schema.S2_BANDS for key in optic) or (optic and not radio):
            rasters_s2.append(OpticalRaster(_dates_with_data(data, optic) if both else data, optic, source))
        for one_pass, by_band in radio.items():
            dated = _dates_with_data(data, by_band, len(radio) > 1) if both or len(radio) > 1 else data
            # An image of one pass has bands of the other without a value.
            if dated.sizes["time"]:
                passes.append(radar.Pass(dated, by_band, source, one_pass.partition(":")[0] or None))
    if not passes and not any(raster.reflectance_bands for raster in rasters_s2):
        raise InputError(
            f"Got {name} with {', '.join(names)[:80] or 'no raster'}, need bands of Sentinel-2 (B02 or blue ...) or "
            "Sentinel-1 (VV, VH); rename them."
        )
    nodes: dict[str, xr.Dataset] = {}
    if any(raster.reflectance_bands for raster in rasters_s2):
        nodes["s2"] = optical.optical_node(joined_in_time(rasters_s2, notes), notes)
    if passes:
        nodes["s1"] = radar.radar_node(passes, notes)
    return finish(nodes, name, notes)


def _dates_with_data(data: xr.Dataset, bands: Mapping[str, str], may_be_none: bool = False) -> xr.Dataset:
    """Dates of one sensor in a cube of both: the other's dates hold nothing but missing values."""
    used = data[[bands[key] for key in bands if not key.startswith("mask:")]]
    if is_chunked(used):
        # lazily, looking would mean reading all of it: every date is kept, and an empty one is merely never clear
        return data
    some = xr.zeros_like(data["time"], dtype=bool)
    for one in used:
        fills = [
            value for key in ("_FillValue", "nodata") for value in np.ravel(used[one].attrs.get(key, ()))
        ]
        valid = used[one].notnull()
        if used[one].dtype.kind in "iu":
            valid &= ~used[one].isin(fills or [0])
        some = some | valid.any(("y", "x"))
    keep = some.values
    return data.isel(time=keep) if keep.any() or may_be_none else data


def joined_in_time(
    rasters: list[OpticalRaster],
    notes: list[str],
    offset: int | None = None,
    floats_are_reflectance: bool = False,
) -> list[OpticalRaster]:
    """Rasters of the same bands and grid as one each, in order of time.

    Each file is brought to reflectance by its own attributes first: those of one never reach the files beside it.

    Parameters
    ----------
    rasters
        Rasters with bands of Sentinel-2.
    notes
        Sentences on what was assumed are appended.
    offset
        As in ``optical.optical_node``.
    floats_are_reflectance
        As in ``optical.optical_node``.

    Returns
    -------
    list of OpticalRaster
        One per set of bands.
    """
    # Files with the same bands are other dates of one series; files with other bands are joined by time later.
    groups: dict[tuple, list[OpticalRaster]] = {}
    for raster in rasters:
        groups.setdefault(tuple(sorted(raster.bands)), []).append(raster)
    out = []
    for group in groups.values():
        if len(group) == 1:
            out.append(group[0])
            continue
        # No resampling: which grid is the right one nobody has said.
        grids = [Grid.from_cube(raster.data) for raster in group]
        if len(set(grids)) > 1:
            other = next(raster for raster, grid in zip(group, grids, strict=True) if grid != grids[0])
            raise InputError(
                f"Got {group[0].name} and {other.name} on different grids, need one for the same "
                f"bands; split the folder "
                "or resample them."
            )
        pieces = []
        for raster in group:
            # Scaled file by file: scale, offset and baseline may change from one year's file to the next.
            images = optical.reflectance(
                raster, raster.reflectance_bands, offset, floats_are_reflectance, notes
            )
            piece = xr.Dataset({band: image.drop_attrs(deep=False) for band, image in images.items()})
            clear = optical.clear_pixels([raster], grids[0], notes)
            piece = piece if clear is None else piece.assign({"mask:clear": clear.astype("uint8")})
            pieces.append(piece.drop_vars(set(piece.coords) - {"time", "y", "x", "spatial_ref"}))
        # Grids were found equal above: the first file's coordinates are taken without comparing them.
        whole = xr.concat(pieces, dim="time", coords="minimal", compat="override").sortby("time")
        # From here on the bands have the contract's names.
        bands = {str(one): str(one) for one in whole.data_vars}
        out.append(OpticalRaster(whole, bands, f"{group[0].name} and {len(group) - 1} more"))
    return out


def finish(nodes: dict[str, xr.Dataset], name: str, notes: list[str], licence: str = LICENCE) -> xr.DataTree:
    """The validated scene of its nodes; what was noted is told in one warning.

    Parameters
    ----------
    nodes
        ``s2``, ``s1``, ``landsat8`` (time, band, y, x; reflectance 0-1 and dB) and ``weather`` (time).
    name
        The scene's id.
    notes
        Sentences without a full stop.
    licence
        Of the data.

    Returns
    -------
    xarray.DataTree
        With ``id``, ``title``, ``source`` and ``licence``.
    """
    # Weather covers whole years: only the images say when the scene is.
    times = np.concatenate([node["time"].values for key, node in nodes.items() if key in schema.SENSORS])
    years = sorted({str(times.min())[:4], str(times.max())[:4]})
    attrs = {
        "id": name,
        "title": f"{name}, {str(times.min())[:10]} to {str(times.max())[:10]}",
        "simulated": 0,
        "source": f"Contains modified Copernicus Sentinel data {'-'.join(years)}"
        + (" and AgERA5 (Copernicus C3S)" if "weather" in nodes else "")
        + (" and Landsat 8 (USGS)" if "landsat8" in nodes else ""),
        "licence": licence,
    }
    if len(nodes) > 1 and {"s1", "s2"} <= set(nodes):
        # Sentinel-1 is regridded to Sentinel-2's grid by metres, which two CRS do not share.
        crs = {key: Grid.from_cube(nodes[key]).crs for key in ("s1", "s2")}
        if crs["s1"] != crs["s2"]:
            raise InputError(
                f"Got {name} with Sentinel-1 in {crs['s1']} and Sentinel-2 in {crs['s2']}, need one CRS; reproject."
            )
    datasets = {"/": xr.Dataset(attrs=attrs), **{f"/{key}": node for key, node in nodes.items()}}
    scene = validation.validate(xr.DataTree.from_dict(datasets, name=name))
    if notes:
        warnings.warn(f"{name}: {'; '.join(dict.fromkeys(notes))}.", DataWarning, stacklevel=2)
    return scene


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
