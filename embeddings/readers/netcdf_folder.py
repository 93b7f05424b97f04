"""A folder of NetCDF files, one per sensor and resolution, as a scene.

Files are known by how their names begin:

- ``S2_L2A_10m*``: B02 B03 B04 B08, digital numbers = reflectance x 10000, 0 = no data; optional.
- ``S2_L2A_20m*``: B05 B06 B07 B8A B11 B12 and the scene classification SCL; without the 10 m file the node
  stays on the 20 m grid, with it the 20 m bands are repeated 2 x 2.
- ``S1_GRD-ASCENDING_20m*``, ``S1_GRD-DESCENDING_20m*``: VV VH, dB x 10000, 0 = no data.
- ``L8_SR*``: Landsat 8 surface reflectance, Collection 1, B02 ... B07 and pixel_qa.
- ``AgERA5*``: daily weather (Copernicus Climate Change Service), one or a few pixels, averaged; or the daily files of
  one variable as the Climate Data Store names them.

Numbers are unpacked as each variable's own attributes say; the above is what holds where they say nothing. The images
of the two resolutions are joined by time within half an hour. Times become UTC days. Tiles of the same day are merged:
clear values win, several of a kind are averaged. Only where an ascending and a descending pass share a day do both keep
their hour.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import agera5, cube, optical, radar, raster_file
from fluxlens.embeddings.readers.band_names import find_bands
from fluxlens.embeddings.readers.probe import check_readable
from fluxlens.embeddings.scenes import compositing, packing, schema
from fluxlens.models.errors import InputError

KINDS = ("S2_L2A_20m", "S2_L2A_10m", "S1_GRD-ASCENDING", "S1_GRD-DESCENDING", "L8_SR", "AgERA5")
"""How the names of files begin, capitals or not."""

UNUSED = ("L8_L2-ST",)
"""Kinds of files of this layout that no sensor of ours reads: Landsat's surface temperature."""


def open(folder: str | Path, offset: int | None = None, notes: list[str] | None = None) -> xr.DataTree:
    """The validated scene of a folder.

    Parameters
    ----------
    folder
        Holds the files.
    offset
        Added to the digital numbers of Sentinel-2 before scaling: -1000 for processing baseline 04.00 and later where
        the provider has not applied it; None: each file's attribute ``offset``, or what it says of its baseline.
    notes
        Sentences that are told in the same ``DataWarning`` as what is found here.

    Returns
    -------
    xarray.DataTree
        Nodes ``/s2``, ``/s1``, ``/landsat8`` and ``/weather`` as far as there are files.

    Raises
    ------
    InputError
        A file is damaged or lacks a variable, or the folder has neither Sentinel-1 nor Sentinel-2.

    Warns
    -----
    DataWarning
        Files, images and pixels that were left out, and what was assumed.
    """
    folder = Path(folder).resolve()
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    files = [path for path in inside if path.suffix.lower() in (".nc", ".nc4") and path.is_file()]
    check_readable(files)
    notes = list(notes or ())
    kinds = {prefix: _of_kind(files, prefix) for prefix in KINDS}
    # The Climate Data Store's own names do not begin with AgERA5.
    cds = agera5.daily_files(files)
    optical_node = _sentinel2(folder, kinds, offset, notes)
    radar_node = _sentinel1(kinds, notes)
    nodes = {"s2": optical_node, "s1": radar_node, "landsat8": _landsat8(kinds["L8_SR"], notes)}
    nodes = {name: node for name, node in nodes.items() if node is not None}
    if not {"s2", "s1"} & set(nodes):
        raise InputError(
            f"Got {folder} without Sentinel files, need S2_L2A_20m*.nc or S1_GRD-*.nc; check the folder."
        )
    # Of the weather's cells, the one nearest to the images counts.
    grid = Grid.from_cube(nodes.get("s2", nodes.get("s1")))
    weather = agera5.combined(kinds["AgERA5"], notes) if kinds["AgERA5"] else agera5.of_days(cds, grid, notes)
    if weather is not None:
        nodes["weather"] = weather
    known = {path for paths in kinds.values() for path in paths} | set(cds)
    stores = [path for path in inside if path.suffix.lower() == ".zarr" and path.is_dir()]
    unknown = [
        path.name for path in (*files, *stores) if path not in known and not path.name.startswith(UNUSED)
    ]
    if unknown:
        notes.append(
            f"{len(unknown)} of {len(files) + len(stores)} files are of no known kind and left out "
            f"({', '.join(unknown[:3])}{', ...' if len(unknown) > 3 else ''})"
        )
    return cube.finish(nodes, folder.name, notes)


def _of_kind(files: list[Path], prefix: str) -> list[Path]:
    return [path for path in files if path.name.lower().startswith(prefix.lower())]


def _sentinel2(
    folder: Path, kinds: dict[str, list[Path]], offset: int | None, notes: list[str]
) -> xr.Dataset | None:
    """Images in both resolutions joined by time; bands of 20 m repeated 2 x 2."""
    coarse = [_read(path, (*schema.S2_BANDS_20M, "SCL"), notes) for path in kinds["S2_L2A_20m"]]
    fine = [_read(path, schema.S2_BANDS_10M, notes) for path in kinds["S2_L2A_10m"]]
    if fine and not coarse:
        raise InputError(
            f"Got {folder} with S2_L2A_10m but no S2_L2A_20m, need its SCL for clear pixels; add the file."
        )
    if not coarse:
        return None
    rasters = [
        optical.OpticalRaster(data, find_bands(map(str, data.data_vars)), path.name)
        for data, path in zip([*coarse, *fine], [*kinds["S2_L2A_20m"], *kinds["S2_L2A_10m"]], strict=True)
    ]
    # the two resolutions share bands in no file of this layout; extra ones (B02 at 20 m) give way to the finer grid
    rasters = cube.joined_in_time(rasters, notes, offset, floats_are_reflectance=True)
    return optical.optical_node(rasters, notes, offset, floats_are_reflectance=True)


def _sentinel1(kinds: dict[str, list[Path]], notes: list[str]) -> xr.Dataset | None:
    passes = [
        radar.Pass(
            _read(path, schema.S1_BANDS, notes), {band: band for band in schema.S1_BANDS}, path.name, orbit
        )
        for orbit in schema.ORBITS
        for path in kinds[f"S1_GRD-{orbit.upper()}"]
    ]
    return radar.radar_node(passes, notes, scaled=True) if passes else None


def _read(path: Path, names: tuple[str, ...], notes: list[str]) -> xr.Dataset:
    """One file with all the variables its kind has; further ones (angles) are passed over."""
    data = raster_file.load(path)
    missing = [name for name in names if name not in data]
    if missing:
        raise InputError(
            f"Got {path.name} without {', '.join(missing)}, need {', '.join(names)}; fetch it again in full."
        )
    raster = raster_file.standardise(data, path.name, notes)
    # Further variables (angles, AOT) would keep files of two versions of the layout from being joined.
    return raster[list(names)].assign_attrs(raster.attrs)


def _landsat8(paths: list[Path], notes: list[str]) -> xr.Dataset | None:
    if not paths:
        return None
    names = tuple(f"B0{number}" for number in range(2, 8))
    files = [_read(path, (*names, "pixel_qa"), notes) for path in paths]
    grid = Grid.from_cube(files[0])
    if any(Grid.from_cube(file) != grid for file in files[1:]):
        raise InputError(
            f"Got L8_SR files on different grids in {paths[0].parent}, need one; split the folder."
        )
    images, clear = [], []
    for file in files:
        # LaSRC gives int16, -2000 to 16000, -9999 = no data; cast to uint16 somewhere, so that -1 became 65535.
        signed = {name: file[name].astype("int16", copy=False) for name in names}
        known = [image.where(image > packing.NO_DATA_AT_MOST, 0) for image in signed.values()]
        bands = [compositing.to_reflectance(image, 0) for image in known]
        image = xr.concat(bands, dim="band").transpose(*schema.CUBE)
        images.append(image.drop_vars(set(image.coords) - {"time", "y", "x", "spatial_ref"}))
        clear.append(
            _landsat_clear(file["pixel_qa"]).drop_vars(set(file.coords) - {"time", "y", "x", "spatial_ref"})
        )
    reflectance = xr.concat(images, dim="time").sortby("time")
    return compositing.optical_node(
        reflectance, schema.L8_BANDS, xr.concat(clear, dim="time").sortby("time"), grid
    )


def _landsat_clear(pixel_qa: xr.DataArray) -> xr.DataArray:
    """Clear by Collection 1 pixel_qa: bit 1 clear or 2 water, confidence of cloud (6-7) and cirrus (8-9) low.

    USGS, Landsat 8 Collection 1 Land Surface Reflectance Code (LaSRC) Product Guide, table 7.
    """
    # Confidence 0 none, 1 low, 2 medium, 3 high: medium is cloud often enough to be left out.
    land_or_water = (pixel_qa & 0b110) > 0  # bit 0 is fill
    return land_or_water & (((pixel_qa >> 6) & 3) < 2) & (((pixel_qa >> 8) & 3) < 2)
