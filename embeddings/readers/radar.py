"""Sentinel-1 of one or several raster files as a node: backscatter in dB from dB, scaled dB or linear power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid, regrid_nearest
from fluxlens.embeddings.readers.cf_packing import STEP, is_packed, unpack
from fluxlens.embeddings.readers.georeference import decoded_text, note_shifts
from fluxlens.embeddings.scenes import compositing, schema
from fluxlens.models.errors import InputError

MEDIAN_RANGE_DB = (-40.0, -2.0)
"""The median of VV and VH over land or water lies in between: what tells dB, dB x 100 and dB x 10000 apart."""
AMPLITUDE_LIKE = {"VV": 0.4, "VH": 0.1}
"""Median power beyond -4 dB in VV or -10 dB in VH is met over no landscape; amplitude is the root of power."""
ORBIT_KEYS = ("sat:orbit_state", "orbit_state", "orbit", "orbitProperties_pass", "pass", "orbit_direction")
LINEAR = (
    "linear",
    "1",
    "power",
    "m2 m-2",
    "m2/m2",
    "m2.m-2",
    "sigma0",
    "gamma0",
    "linear power",
    "dimensionless",
    "",
)


@dataclass(frozen=True)
class Pass:
    """One raster with polarisations of Sentinel-1."""

    data: xr.Dataset
    """As ``raster_file.standardise`` gives it."""
    bands: dict[str, str]
    """``VV`` and ``VH`` to names of variables in ``data``."""
    name: str
    """What messages call it."""
    orbit: str | None = None
    """``ascending`` or ``descending`` where the file's name says so."""


def radar_node(passes: list[Pass], notes: list[str], scaled: bool = False) -> xr.Dataset:
    """The node ``/s1``.

    Parameters
    ----------
    passes
        At least one raster; several are joined along time.
    notes
        Sentences on what was left out or assumed are appended.
    scaled
        Integers that say nothing of themselves are dB x 10000 where their values leave a choice.

    Returns
    -------
    xarray.Dataset
        ``backscatter`` (time, band, y, x) dB float32; ``orbit`` (time) where all acquisitions tell it.

    Raises
    ------
    InputError
        Values that are neither dB nor linear power.
    """
    grid = Grid.from_cube(passes[0].data)
    note_shifts([(one_pass.name, Grid.from_cube(one_pass.data)) for one_pass in passes], notes)
    bands = tuple(band for band in schema.S1_BANDS if any(band in one_pass.bands for one_pass in passes))
    pieces: list[xr.DataArray] = []
    for one_pass in passes:
        decibel = _decibel(one_pass, bands, scaled, notes)
        orbits = _orbits(one_pass)
        # Each direction of flight by itself: they see slopes from opposite sides.
        for orbit in sorted(set(orbits)):
            one = decibel.isel(time=np.flatnonzero(orbits == orbit))
            # Nearest neighbour: interpolating decibels would bias them.
            pieces.append(
                regrid_nearest(_one_per_day(one), grid).assign_coords(
                    orbit=("time", [orbit] * len(np.unique(one["time"].dt.floor("D"))))
                )
            )
    both = (
        xr.concat(pieces, dim="time", coords="minimal", compat="override")
        .sortby("time")
        .transpose(*schema.CUBE)
    )
    # passes of one orbit in several files may share a day: merged as those of one file are
    # Ascending and descending passes differ by the side they look from and are never averaged.
    both = _merged_across(both)
    day = both["time"].dt.floor("D")
    alone = ~day.to_index().duplicated(keep=False)
    both = both.assign_coords(time=both["time"].where(~xr.DataArray(alone, dims="time"), day))
    # A cube by days has one stamp for both passes of a day. Descending ones are of the morning (06 h local), ascending
    # ones of the evening: hours by their rank keep them apart and in order.
    stamps, orbits = both["time"].values, both["orbit"].values
    same = both["time"].to_index().duplicated(keep=False)
    hours = np.select([orbits == "descending", orbits == "ascending"], [0, 12], 6).astype("timedelta64[h]")
    stamps = np.where(same, stamps.astype("datetime64[D]") + hours, stamps).astype("datetime64[ns]")
    both = both.assign_coords(time=stamps).sortby("time")
    both.attrs = {"units": "dB", "long_name": "backscatter"}
    out = both.to_dataset(name="backscatter").assign_coords(band=list(bands), **grid.coords())
    return out.drop_vars("orbit") if "" in out["orbit"].values else out


def _orbits(one_pass: Pass) -> np.ndarray:
    """Orbit of each acquisition; an empty text where it is not told."""
    count = one_pass.data.sizes["time"]
    if one_pass.orbit:
        return np.full(count, one_pass.orbit)
    for key in ORBIT_KEYS:
        if key in one_pass.data.variables and one_pass.data[key].dims in ((), ("time",)):
            directions = [decoded_text(value).lower() for value in np.ravel(one_pass.data[key].values)]
        elif key in one_pass.data.attrs:
            directions = [str(one_pass.data.attrs[key]).lower()]
        else:
            continue
        directions = directions if len(directions) == count else directions * count
        names = [
            "ascending" if text.startswith("asc") else "descending" if text.startswith("desc") else ""
            for text in directions
        ]
        # A direction told for some passes only could not be compared with the rest.
        if all(names):
            return np.array(names)
    return np.full(count, "")


def _decibel(one_pass: Pass, bands: tuple[str, ...], scaled: bool, notes: list[str]) -> xr.DataArray:
    """dB (time, band, y, x) of one raster, acquisitions as they are."""
    images = []
    for band in bands:
        if band not in one_pass.bands:
            like = next(one_pass.data[name] for name in one_pass.bands.values())
            images.append(
                xr.full_like(like, np.nan, dtype="float32").transpose(*schema.MAPS).drop_attrs(deep=False)
            )
            continue
        images.append(
            _band_db(
                one_pass.data[one_pass.bands[band]].transpose(*schema.MAPS),
                band,
                one_pass.name,
                scaled,
                notes,
            )
        )
    stacked = xr.concat(images, dim="band", coords="minimal", compat="override").transpose(*schema.CUBE)
    # other facts of the acquisitions differ from file to file and would keep them from being joined
    return stacked.drop_vars(set(stacked.coords) - {"time", "y", "x", "spatial_ref"})


def _band_db(array: xr.DataArray, band: str, name: str, scaled: bool, notes: list[str]) -> xr.DataArray:
    """dB of one polarisation, by its units where it has them, and by its values where they leave no choice."""
    fill = 0.0 if array.dtype.kind in "iu" else None
    # 0 of integers is no data; 0 of floats is power below the noise, or exactly 0 dB, which is never met.
    if array.dtype.kind == "f" and not is_packed(array):
        array = _of_scaled_floats(array, band, name, notes)
    values = unpack(array, None, fill)
    units = str(array.attrs.get("units", "")).strip().lower()
    # A corner is enough to tell the unit, and reads one chunk of a lazy cube.
    sample = values.isel(y=slice(None, 64), x=slice(None, 64)).values
    sample = sample[np.isfinite(sample) & (sample != 0)]
    if not sample.size:
        return values
    median = float(np.median(sample))
    integers = array.dtype.kind in "iu" and not is_packed(array)
    if median < 0:
        # of -123456, -1234 and -12 only one step gives a median between -40 and -2 dB
        for factor, step in ((1, 1.0), (100, 0.01), (10_000, STEP)):
            if MEDIAN_RANGE_DB[0] <= median / factor <= MEDIAN_RANGE_DB[1]:
                if factor > 1 and not integers:
                    notes.append(f"{band} of {name} (median {median:.0f}) is taken for dB x {factor}")
                return values if factor == 1 else unpack(array, step, fill)
        return unpack(array, STEP, fill) if integers and scaled else values
    # Positive decibels over land do not occur; large numbers are uncalibrated counts.
    if integers or units in ("db", "decibel") or median > 10:
        raise InputError(
            f"Got {name} with {band} of median {median:.4g}{' ' + units if units else ''}, need dB or linear power; "
            "it looks like uncalibrated or scaled numbers, calibrate it to sigma or gamma nought."
        )
    negative = float((sample <= 0).mean())
    if negative > 0:
        notes.append(
            f"{negative:.1%} of {band} in {name} is power of 0 or less (noise was subtracted) and has no dB"
        )
    # No floor is put in: a floor would be a measurement of the darkest land there is.
    power = values.where(values > 0)
    if units in ("amplitude", "linear amplitude", "amplitude linear"):
        power = power**2
    elif median > AMPLITUDE_LIKE[band]:
        notes.append(
            f"{band} of {name} (median {median:.2g}) is taken for linear power and looks like amplitude; if it is, "
            "set its attribute units to 'amplitude'"
        )
    return (10 * np.log10(power)).astype("float32").assign_attrs(array.attrs)


def _of_scaled_floats(array: xr.DataArray, band: str, name: str, notes: list[str]) -> xr.DataArray:
    """Decibels of floats that are dB x 10000, among which codes for no data are few; others as they are."""
    sample = array.isel(y=slice(None, 64), x=slice(None, 64)).values
    sample = sample[np.isfinite(sample) & ~np.isin(sample, (0, -9999, -32768)) & (sample > -1e6)]
    median = float(np.median(sample)) if sample.size else 0.0
    low, high = MEDIAN_RANGE_DB
    if low <= median / 10_000 <= high:
        notes.append(f"{band} of {name} (median {median:.0f}) is taken for dB x 10000")
        known = np.isfinite(array) & ~array.isin((-9999, -32768)) & (array > -1e6)
        return (array.where(known) * np.float32(STEP)).assign_attrs(array.attrs)
    if median < 100 * low:
        raise InputError(
            f"Got {name} with {band} of median {median:.0f}, need dB or linear power; it looks like dB times a factor,"
            " divide by it."
        )
    return array


def _one_per_day(decibel: xr.DataArray) -> xr.DataArray:
    """Slices of the same day and orbit averaged as power, not as dB; others as they are."""
    day = decibel["time"].values.astype("datetime64[D]")
    days, first = np.unique(day, return_index=True)
    if days.size == day.size:
        return decibel
    pieces = []
    for index, date in zip(first, days, strict=True):
        same = np.flatnonzero(day == date)
        one = decibel.isel(time=[int(index)])
        if same.size > 1:
            merged = compositing.power_mean(decibel.isel(time=same).values)
            one = one.copy(data=merged[None])
        pieces.append(one)
    return xr.concat(pieces, dim="time", coords="minimal", compat="override")


def _merged_across(both: xr.DataArray) -> xr.DataArray:
    """Passes of one orbit and day from different files as one."""
    orbits, days = both["orbit"].values, both["time"].values.astype("datetime64[D]")
    keys = [f"{orbit} {day}" for orbit, day in zip(orbits, days, strict=True)]
    if len(set(keys)) == len(keys):
        return both
    pieces = [
        _one_per_day(both.isel(time=[index for index, one in enumerate(keys) if one == key]))
        for key in dict.fromkeys(keys)
    ]
    return xr.concat(pieces, dim="time", coords="minimal", compat="override").sortby("time")
