"""Sentinel-2 of one or several raster files as a node: reflectance, offset of the processing baseline, clear pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid, regrid_nearest
from fluxlens.embeddings.readers.baselines import (
    OFFSET,
    OFFSET_BASELINE,
    OFFSET_SINCE,
    baselines,
    offset_applied,
)
from fluxlens.embeddings.readers.cf_packing import STEP, is_packed, unpack
from fluxlens.embeddings.readers.cloud_masks import MASK_KINDS, clear_of
from fluxlens.embeddings.readers.georeference import note_shifts
from fluxlens.embeddings.readers.reflectance_units import (
    DARKEST,
    find_empty_pixels,
    find_unit_of_floats,
    refuse_pictures,
    sample_values,
)
from fluxlens.embeddings.scenes import compositing, packing, schema
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import VISIBLE_BANDS

SAME_IMAGE = np.timedelta64(30, "m")
"""Images of two files this close are one: granules of a datatake are seconds apart, start and centre of sensing some
minutes, and two overpasses of a place at least 90 minutes."""
MIN_CLOUD_REFLECTANCE = 0.2
"""In the visible; land but snow, salt and bright sand is darker."""


@dataclass(frozen=True)
class OpticalRaster:
    """One raster with bands of Sentinel-2."""

    data: xr.Dataset
    """As ``raster_file.standardise`` gives it."""
    bands: dict[str, str]
    """``B02`` ... ``B12`` and ``mask:KIND`` to the names of variables in ``data``."""
    name: str
    """What messages call it."""

    @property
    def reflectance_bands(self) -> list[str]:
        """Bands of the contract in its order."""
        return [band for band in schema.S2_BANDS if band in self.bands]


def optical_node(
    rasters: list[OpticalRaster],
    notes: list[str],
    offset: int | None = None,
    floats_are_reflectance: bool = False,
) -> xr.Dataset:
    """The node ``/s2`` of rasters that hold different bands of the same images.

    Parameters
    ----------
    rasters
        At least one; a band that several hold is taken from the finest grid.
    notes
        Sentences on what was left out or assumed are appended.
    offset
        Added to digital numbers before scaling; None: what the files say of their baseline.
    floats_are_reflectance
        Floats are never taken for digital numbers.

    Returns
    -------
    xarray.Dataset
        ``reflectance`` (time, band, y, x) float32 and ``clear`` (time, y, x), one image per UTC day.

    Raises
    ------
    InputError
        The files share no date or no CRS, or their values cannot be reflectance.
    """
    # The finest first: its grid becomes the scene's, and its bands win over the same bands of coarser files.
    rasters = sorted(rasters, key=lambda raster: Grid.from_cube(raster.data).size_m)
    rasters = _joined(rasters, notes)
    grid = Grid.from_cube(rasters[0].data)
    note_shifts([(raster.name, Grid.from_cube(raster.data)) for raster in rasters], notes)
    images: dict[str, xr.DataArray] = {}
    for raster in rasters:
        mine = [band for band in raster.reflectance_bands if band not in images]
        for band, image in reflectance(raster, mine, offset, floats_are_reflectance, notes).items():
            images[band] = regrid_nearest(image, grid)
    bands = tuple(band for band in schema.S2_BANDS if band in images)
    values = xr.concat([images[band] for band in bands], dim="band", coords="minimal", compat="override")
    values = values.transpose(*schema.CUBE).drop_attrs(deep=False)
    clear = clear_pixels(rasters, grid, notes)
    if clear is None:
        clear = values.notnull().any("band")
        notes.append("it has no SCL or cloud mask, so every pixel with data counts as clear")
    else:
        _note_inverted_mask(images, clear, rasters, notes)
    return compositing.optical_node(values, bands, clear, grid)


def _joined(rasters: list[OpticalRaster], notes: list[str]) -> list[OpticalRaster]:
    """All parts at the images they share: the nearest within ``SAME_IMAGE``, or by day where no time agrees."""
    if len(rasters) == 1:
        return rasters
    times = rasters[0].data["time"].values
    index = [np.arange(times.size)]
    for raster in rasters[1:]:
        index.append(_nearest(times, raster.data["time"].values, SAME_IMAGE))
    # An image counts only where every file has it: a scene has all bands on each of its dates.
    shared = np.all([one >= 0 for one in index], axis=0)
    # Some exports keep the day alone in one of the files: then the day joins them.
    if not shared.any():
        by_day = [_by_day(raster, notes) for raster in rasters]
        days = [raster.data["time"].values for raster in by_day]
        common = days[0]
        for other in days[1:]:
            common = np.intersect1d(common, other)
        if not common.size:
            names = " and ".join(raster.name for raster in rasters)
            raise InputError(
                f"Got {names}, whose Sentinel-2 images share no date, need the same images in each; "
                "fetch them for the same period."
            )
        # ``index`` has, for each date of the first file, its position in each of the others, or -1.
        rasters, times = by_day, days[0]
        index = [
            np.array([np.flatnonzero(one == day)[0] if day in one else -1 for day in times]) for one in days
        ]
        shared = np.isin(times, common)
    out = []
    for raster, one in zip(rasters, index, strict=True):
        # What has no partner is named: a user who fetched two periods sees it here.
        lost = np.setdiff1d(np.arange(raster.data.sizes["time"]), one[shared])
        if lost.size:
            dates = ", ".join(str(raster.data["time"].values[at])[:10] for at in lost[:3]) + (
                " ..." if lost.size > 3 else ""
            )
            notes.append(
                f"{lost.size} of {raster.data.sizes['time']} images of {raster.name} are left out ({dates}): no partner"
            )
        out.append(
            OpticalRaster(
                raster.data.isel(time=one[shared]).assign_coords(time=times[shared]),
                raster.bands,
                raster.name,
            )
        )
    return out


def _nearest(times: np.ndarray, partners: np.ndarray, within: np.timedelta64) -> np.ndarray:
    """Index into ``partners`` of the partner of each time, -1 where there is none; no image is used twice.

    Exact partners first, then the closest pairs: two granules of a day 7 s apart must not be crossed.
    """
    # (times, others); the number of images of a place is some hundreds, so the full matrix is small.
    out = np.full(times.size, -1)
    gap = np.abs(times[:, None] - partners[None, :])
    rows, cols = np.nonzero(gap <= within)
    taken: set[int] = set()
    for pair in np.argsort(gap[rows, cols], kind="stable"):
        row, col = int(rows[pair]), int(cols[pair])
        if out[row] < 0 and col not in taken:
            out[row] = col
            taken.add(col)
    return out


def _by_day(raster: OpticalRaster, notes: list[str]) -> OpticalRaster:
    data = raster.data.assign_coords(time=raster.data["time"].dt.floor("D"))
    once = data.drop_duplicates("time")
    if once.sizes["time"] < data.sizes["time"]:
        notes.append(
            f"{data.sizes['time'] - once.sizes['time']} further images of the same day in {raster.name} are left out"
        )
    return OpticalRaster(once, raster.bands, raster.name)


def reflectance(
    raster: OpticalRaster,
    bands: list[str],
    offset: int | None,
    floats_are_reflectance: bool,
    notes: list[str],
) -> dict[str, xr.DataArray]:
    """Reflectance of bands of one raster, each as its own attributes say.

    Parameters
    ----------
    raster
        The raster.
    bands
        Of the contract, all in ``part.bands``.
    offset
        Added to digital numbers before scaling; None: what the file says of its baseline.
    floats_are_reflectance
        Floats are never taken for digital numbers.
    notes
        Sentences on what was assumed are appended.

    Returns
    -------
    dict of str to xarray.DataArray
        (time, y, x) float32 0-1 per band.

    Raises
    ------
    InputError
        The values cannot be reflectance.
    """
    arrays = {band: raster.data[raster.bands[band]].transpose("time", "y", "x") for band in bands}
    if not arrays:
        return {}
    percent = all(str(array.attrs.get("units", "")).strip() in ("%", "percent") for array in arrays.values())
    # Attributes of the file win over all guesses below.
    is_declared = all(is_packed(array) for array in arrays.values())
    sample = np.concatenate([sample_values(unpack(array)).ravel() for array in arrays.values()])
    # Without zeros: borders of a footprint are filled with them and would pull the median down.
    sample = sample[np.isfinite(sample) & (sample != 0)]
    floats = any(array.dtype.kind == "f" for array in arrays.values())
    numbers_in_floats = False
    # Exports from Earth Engine and from spreadsheets hold digital numbers or percent as floats without saying so.
    if floats and not is_declared and not percent and not floats_are_reflectance:
        unit = find_unit_of_floats(arrays, raster.name)
        percent, numbers_in_floats = unit == "percent", unit == "numbers"
        if percent:
            notes.append(f"its floats (median {np.median(sample):.0f}) are taken for reflectance in percent")
        if numbers_in_floats:
            notes.append(f"its floats (median {np.median(sample):.0f}) are taken for reflectance x 10000")
    refuse_pictures(arrays, percent, raster.name)
    empty = find_empty_pixels(arrays) if floats else None
    if all(array.dtype.kind == "f" for array in arrays.values()) and not numbers_in_floats:
        step, added = None, 0
    else:
        step = STEP
        added = _offsets(raster, arrays, offset, notes)
    if percent:
        step, added = 0.01, 0
    out = {}
    for band, array in arrays.items():
        # an add_offset of the file already takes the baseline's offset off
        mine = 0 if is_packed(array) and float(np.ravel(array.attrs.get("add_offset", 0))[0]) != 0 else added
        # 0 is no data of digital numbers, as integers or not; reflectance in floats may be 0 in a dark band
        digital = array.dtype.kind in "iu" or numbers_in_floats
        values = unpack(array, step if digital or percent else None, 0.0 if digital else None, mine)
        values = values if empty is None or digital else values.where(~empty)
        out[band] = packing.clip_saturated(values)
    scaled = sample if step is None or is_declared else sample * step
    if scaled.size and float(np.quantile(scaled, 0.99)) < DARKEST:
        why = "it looks scaled twice, remove the attribute scale_factor" if is_declared else "check its units"
        raise InputError(
            f"Got {raster.name} with reflectance of {scaled.max():.2g} at most, need 0 to 1; {why}."
        )
    return out


def _offsets(
    raster: OpticalRaster, arrays: dict[str, xr.DataArray], offset: int | None, notes: list[str]
) -> xr.DataArray | np.float32:
    """What is added to the digital numbers of each date: -1000 from baseline 04.00 on unless "
    "it is taken off already."""
    data = raster.data
    if offset is None and "offset" in data.attrs:
        offset = int(data.attrs["offset"])
    if offset is not None:
        return np.float32(offset)
    # What the file says of each date wins; the date alone decides nothing, as reprocessed images are older.
    baseline = baselines(data)
    applied = offset_applied(data)
    due = (baseline >= OFFSET_BASELINE) & ~applied
    days = data["time"].values.astype("datetime64[D]")
    unknown = np.isnan(baseline) & ~applied & (days >= OFFSET_SINCE)
    unpacked = [array for array in arrays.values() if not is_packed(array)]
    visible = [arrays[band] for band in VISIBLE_BANDS if band in arrays and not is_packed(arrays[band])]
    _warn_bright_older(raster, visible, np.isnan(baseline) & ~applied & (days < OFFSET_SINCE), notes)
    if not (due.any() or unknown.any()) or not unpacked:
        return np.float32(0) if not due.any() else _along(data, due)
    # Of numbers that still carry the offset nearly none is below 1000; of those that do not, most of dark land is.
    dark = np.stack(
        [unpack(array, 1.0, 0.0).isel(y=slice(None, 64), x=slice(None, 64)).values for array in unpacked]
    )
    dark = np.where(dark > 0, dark, np.nan)
    is_known = np.isfinite(dark)
    # A tenth: with the offset in, clear land has less than a hundredth of its numbers below 1000.
    below = float((dark[:, due] < -OFFSET).sum() / max(is_known[:, due].sum(), 1))
    if below > 0.1:
        notes.append(
            f"{int(due.sum())} dates of baseline 04.00 or later in {raster.name} have {below:.0%} "
            f"of their numbers below 1000: the "
            "offset of 1000 is taken to be off already"
        )
        due = np.zeros_like(due)
    if unknown.any() and is_known[:, unknown].any():
        lowest = float(np.nanquantile(dark[:, unknown], 0.005))
        if lowest >= -OFFSET:
            notes.append(
                f"{int(unknown.sum())} dates since {OFFSET_SINCE} in {raster.name} tell no "
                f"processing baseline and have no number below "
                f"{lowest:.0f}: if the offset of 1000 is still in them, set the attribute offset = -1000"
            )
    return _along(data, due)


def _warn_bright_older(
    raster: OpticalRaster, arrays: list[xr.DataArray], older: np.ndarray, notes: list[str]
) -> None:
    """A note where visible bands before 2022 seem to carry the offset; they stay as they are."""
    if not older.any() or not arrays:
        return
    # A sample of dates, since most cubes are older and only a look decides.
    rows = np.flatnonzero(older)[:: max(1, int(older.sum()) // 10)]
    values = np.stack([sample_values(unpack(array.isel(time=rows), 1.0, 0.0)) for array in arrays])
    values = values[np.isfinite(values) & (values > 0)]
    if values.size and (lowest := float(np.quantile(values, 0.005))) > -OFFSET:
        notes.append(
            f"{int(older.sum())} dates before {OFFSET_SINCE} in {raster.name} tell no processing baseline and have no"
            f" number below {lowest:.0f}: if the offset of 1000 is in them, set the attribute offset = -1000"
        )


def _along(data: xr.Dataset, due: np.ndarray) -> xr.DataArray:
    return xr.DataArray(
        np.where(due, np.float32(OFFSET), np.float32(0)), dims="time", coords={"time": data["time"]}
    )


def _note_inverted_mask(
    images: dict[str, xr.DataArray], clear: xr.DataArray, rasters: list[OpticalRaster], notes: list[str]
) -> None:
    """A note where what a mask of 0 and 1 calls clear (time, y, x) is brighter in the visible than its clouds."""
    masks = {key.removeprefix("mask:"): name for raster in rasters for key, name in raster.bands.items()}
    kind = next(one for one in MASK_KINDS if one in masks)
    visible = [band for band in VISIBLE_BANDS if band in images]
    if kind not in ("cloud", "clear") or not visible:
        return
    # A corner of some dates, as for the units: it reads few chunks of a lazy cube.
    corner = {"time": slice(None, None, max(1, clear.sizes["time"] // 40)), "y": slice(64), "x": slice(64)}
    sample, is_clear = (
        one.isel(corner).transpose(*schema.MAPS).values for one in (images[visible[0]], clear)
    )
    called = [sample[mask & np.isfinite(sample)] for mask in (is_clear, ~is_clear)]
    if min(map(len, called)) < 0.02 * sample.size:
        return
    bright, dark = (float(np.median(one)) for one in called)
    if bright > MIN_CLOUD_REFLECTANCE and bright > 2 * dark:
        notes.append(
            f"what {masks[kind]} calls clear is brighter ({bright:.2f} in {visible[0]}) than what it calls cloud"
            f" ({dark:.2f}): if it has 1 for clear, call it clear, else cloud"
        )


def clear_pixels(rasters: list[OpticalRaster], grid: Grid, notes: list[str]) -> xr.DataArray | None:
    """Clear pixels of the best mask there is, on a grid.

    Parameters
    ----------
    rasters
        Rasters at the same times.
    grid
        Where the result lies.
    notes
        Sentences on what was assumed are appended.

    Returns
    -------
    xarray.DataArray or None
        (time, y, x) bool; None where no raster has a mask.
    """
    for kind in MASK_KINDS:
        holders = [raster for raster in rasters if f"mask:{kind}" in raster.bands]
        if not holders:
            continue
        name = holders[0].bands[f"mask:{kind}"]
        array = holders[0].data[name]
        if "time" not in array.dims:
            notes.append(f"its {name} has no dates and is not used")
            continue
        array = array.transpose("time", "y", "x")
        return regrid_nearest(clear_of(kind, array, name, notes), grid)
    return None
