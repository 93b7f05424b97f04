"""Where the pixels of a file are: its CRS, and whether its coordinates are centres or corners."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid, crs_name, spatial_ref
from fluxlens.models.errors import InputError

KILOMETRES = ("km", "kilometer", "kilometers", "kilometre", "kilometres")
FINEST_M = 0.05
"""Pixels below are no satellite's; coordinates in kilometres without a unit give hundredths of a metre."""


def with_centres(data: xr.Dataset, name: str, notes: list[str]) -> xr.Dataset:
    """Coordinates as pixel centres, moved by half a pixel where the file's own transform says they are corners.

    Parameters
    ----------
    data
        Dims y, x and any others; coordinates in metres or degrees, or none beside a ``GeoTransform``.
    name
        What errors call the file.
    notes
        A sentence is appended where transform and coordinates contradict each other.

    Returns
    -------
    xarray.Dataset
        The same with float64 ``y`` (y) and ``x`` (x), in the units they came in.

    Raises
    ------
    InputError
        No coordinates, or missing values in them.
    """
    transform = _transform(data)
    for axis in ("x", "y"):
        # CF allows any unit of length; geostationary and hydrological files have kilometres.
        if axis in data.variables and str(data[axis].attrs.get("units", "")).lower() in KILOMETRES:
            data = data.assign_coords({axis: (axis, data[axis].values * 1000.0, {"units": "m"})})
        if axis not in data.variables and axis in data.dims and transform is not None:
            origin, size = transform[axis]
            centres = origin + (np.arange(data.sizes[axis]) + 0.5) * size
            data = data.assign_coords({axis: centres})
        if axis not in data.variables or data[axis].dims != (axis,):
            raise InputError(f"Got {name} without x and y, need pixel centres in metres; fetch it again.")
    data = data.set_coords(["x", "y"])
    x, y = (np.asarray(data[axis].values, dtype="float64") for axis in ("x", "y"))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError(f"Got {name} with missing coordinates, need pixel centres in metres; mend x and y.")
    if transform is None or x.size < 2 or y.size < 2:
        return data.assign_coords(x=x, y=y)
    fractions = {}
    for axis, values in (("x", x), ("y", y)):
        origin, size = transform[axis]
        step = abs(values[-1] - values[0]) / (values.size - 1)
        # A transform of another pixel size belongs to the product the cube was resampled from.
        if abs(step - abs(size)) > 1e-3 * step:
            return data.assign_coords(x=x, y=y)
        # Where the first coordinate lies between two edges of the transform's grid, in pixels: 0.5 is a centre.
        fractions[axis] = ((values[0] - origin) / size) % 1.0
    if all(min(fraction, 1 - fraction) < 0.02 for fraction in fractions.values()):
        # All within a fiftieth of an edge: the file has corners where xarray expects centres.
        half = {axis: transform[axis][1] / 2 for axis in ("x", "y")}
        return data.assign_coords(x=x + half["x"], y=y + half["y"])
    if any(abs(fraction - 0.5) > 0.02 for fraction in fractions.values()):
        off = {axis: (fraction - 0.5) * abs(transform[axis][1]) for axis, fraction in fractions.items()}
        notes.append(
            f"GeoTransform and coordinates of {name} differ by {off['x']:.1f} m in x and {off['y']:.1f} m in y; the "
            "coordinates are believed"
        )
    return data.assign_coords(x=x, y=y)


def note_shifts(rasters: list[tuple[str, Grid]], notes: list[str]) -> None:
    """Notes where pixels of a raster do not begin on edges of the grid they are laid on, or do not cover it.

    Parameters
    ----------
    rasters
        Names and grids; the first grid, in metres, is the one that all are laid on.
    notes
        Sentences are appended.

    Raises
    ------
    InputError
        The rasters are in several CRS.
    """
    first, grid = rasters[0]
    for name, own in rasters[1:]:
        if own.crs != grid.crs:
            raise InputError(f"Got {name} in {own.crs} and {first} in {grid.crs}, need one CRS; reproject.")
        east, south = own.left_m - grid.left_m, grid.top_m - own.top_m
        # Distance to the nearest edge of the coarser grid, signed.
        off = [(shift + own.size_m / 2) % own.size_m - own.size_m / 2 for shift in (east, south)]
        if max(map(abs, off)) > 0.01 * grid.size_m:
            notes.append(
                f"the {own.size_m:g} m pixels of {name} lie {abs(off[0]):g} m "
                f"{'east' if off[0] > 0 else 'west'} and "
                f"{abs(off[1]):g} m {'south' if off[1] > 0 else 'north'} of the {grid.size_m:g} m grid (corner "
                "coordinates, perhaps); each pixel takes the value it lies in"
            )
        # A micrometre of tolerance: corners read from text or float32 transforms are not exact.
        inside = (own.left_m <= grid.left_m + 1e-6) and (own.top_m >= grid.top_m - 1e-6)
        inside &= own.extent[2] >= grid.extent[2] - 1e-6 and own.extent[1] <= grid.extent[1] + 1e-6
        if not inside:
            rows = np.floor((own.top_m - grid.y) / own.size_m)
            cols = np.floor((grid.x - own.left_m) / own.size_m)
            lost = (
                grid.ny * grid.nx
                - ((rows >= 0) & (rows < own.ny)).sum() * ((cols >= 0) & (cols < own.nx)).sum()
            )
            notes.append(
                f"{int(lost)} of {grid.ny * grid.nx} pixels lie outside {name} and have no value in its bands"
            )


def _transform(data: xr.Dataset) -> dict[str, tuple[float, float]] | None:
    """Edge of the first pixel and signed pixel size per axis, as ``GeoTransform`` or ``transform`` gives them."""
    variables = [
        data[one].attrs for one in data.variables if data[one].ndim == 0 or data[one].dtype.kind == "S"
    ]
    bands = [data[one].attrs for one in data.data_vars]
    for attrs in [*variables, data.attrs, *bands]:
        if "GeoTransform" in attrs:  # GDAL: left, width, skew, top, skew, -height
            numbers = _numbers(attrs["GeoTransform"])
            # A skewed transform has no separate x and y: it is left to the coordinates.
            if len(numbers) == 6 and not (numbers[2] or numbers[4]):
                return {"x": (numbers[0], numbers[1]), "y": (numbers[3], numbers[5])}
        if "transform" in attrs:  # affine: width, skew, left, skew, -height, top
            numbers = _numbers(attrs["transform"])[:6]
            if len(numbers) == 6 and not (numbers[1] or numbers[3]):
                return {"x": (numbers[2], numbers[0]), "y": (numbers[5], numbers[4])}
    return None


def _numbers(value: object) -> list[float]:
    text = value if isinstance(value, str) else " ".join(map(str, np.ravel(value)))
    return [float(one) for one in re.findall(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", text)]


def find_crs(data: xr.Dataset, name: str) -> xr.Variable:
    """The CRS as ``spatial_ref``, from wherever the file tells it.

    Parameters
    ----------
    data
        A file's content, any dims, not decoded.
    name
        What errors call it.

    Returns
    -------
    xarray.Variable
        Scalar ``spatial_ref`` of a CRS whose unit is the metre.

    Raises
    ------
    InputError
        No CRS, one that PROJ does not know, or one that is not projected in metres.

    Notes
    -----
    The attribute ``epsg`` first: some providers write it next to a ``spatial_ref`` of the product they resampled.
    """
    for candidate in _crs_candidates(data):
        return standard_crs(candidate, name)
    zone = re.fullmatch(r"(\d{1,2})([C-X])", str(data.attrs.get("utm_zone", "")))
    if zone:
        return spatial_ref(f"EPSG:{32600 + int(zone[1]) + (100 if zone[2] < 'N' else 0)}")
    raise InputError(f"Got {name} without a CRS, need an attribute 'epsg', crs_wkt or a spatial_ref; add it.")


def is_geographic(data: xr.Dataset) -> bool:
    """Whether the CRS a file names is one of longitude and latitude.

    Parameters
    ----------
    data
        A file's content, any dims, not decoded.

    Returns
    -------
    bool
        Coordinates in degrees; False where it names none, or one that PROJ does not know.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    # The one that ``find_crs`` takes: a less trusted one must not decide between degrees and metres.
    candidate = next(iter(_crs_candidates(data)), None)
    if candidate is None:
        return False
    try:
        return CRS.from_user_input(_plain_crs(candidate)).is_geographic
    except CRSError:
        return False


def note_web_mercator(crs: xr.Variable, y: np.ndarray, name: str, notes: list[str]) -> None:
    """Note that the metres of Web Mercator are none on the ground, of pixels of a satellite and of footprints.

    Parameters
    ----------
    crs
        Scalar ``spatial_ref``.
    y
        (y,) pixel centres in the CRS, metres.
    name
        What the note calls the file.
    notes
        Gets the sentence.
    """
    wkt = str(crs.attrs.get("crs_wkt", ""))
    if not re.search(r"pseudo.mercator|popular visualisation", wkt, re.IGNORECASE):
        return
    # A sphere of WGS 84's radius (EPSG guidance note 7-2, method 1024): lengths are stretched by 1 / cos(latitude).
    shrunk = 1 / np.cosh(float(np.mean(y)) / 6_378_137.0)
    notes.append(
        f"{name} is in Web Mercator, whose 10 m are {10 * shrunk:.1f} m on the ground here: resample it to UTM for"
        " areas, footprints and 10 m pixels"
    )


def _plain_crs(text: str) -> str:
    """``EPSG:32631`` of all spellings with the code, in which PROJ warns of some; WKT and others as they are."""
    wkt = re.match(r"\s*[A-Z]+\s*\[", text)
    code = re.search(r"epsg:+(?:[\d.]*:)?(\d{4,6})", text, re.I) or re.fullmatch(
        r"(\d{4,6})(?:\.0)?", text.strip()
    )
    return f"EPSG:{code[1]}" if code and not wkt else text


def standard_crs(text: str, name: str) -> xr.Variable:
    """``spatial_ref`` of a CRS in any spelling.

    Parameters
    ----------
    text
        WKT, ``EPSG:32631``, ``+init=epsg:32631``, ``32631``, a URN or a PROJ string.
    name
        What errors call the file.

    Returns
    -------
    xarray.Variable
        Scalar, with the attributes that rioxarray and GDAL read.

    Raises
    ------
    InputError
        PROJ does not know it, or it is not projected in metres.
    """
    try:
        variable = spatial_ref(_plain_crs(text))
        crs_name(xr.Dataset(coords={"spatial_ref": variable}))
    except InputError as error:
        raise InputError(f"Got {name} with {str(error).removeprefix('Got ')}") from error
    return variable


def _crs_candidates(data: xr.Dataset) -> list[str]:
    """Texts that name the CRS, the most believed first."""
    # Candidates in order of trust; the caller takes the first that parses. An attribute ``epsg`` is what cubo writes.
    out = [f"EPSG:{data.attrs['epsg']}"] if "epsg" in data.attrs else []
    mappings = []
    # CF first: the variable that ``grid_mapping`` names; the attribute moves to the encoding once xarray has decoded
    # it. Its extended form is "crs: x y", of which the first word counts.
    for variable in data.variables.values():
        named = variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping")
        if named:
            mappings.append(str(named).split(":")[0].split()[0])
    # Then the names that GDAL, rioxarray and openEO use, and any variable that has a WKT.
    holders = [
        *mappings,
        "spatial_ref",
        "crs",
        *(one for one in data.variables if "crs_wkt" in data[one].attrs),
    ]
    for holder in holders:
        if holder not in data.variables:
            continue
        attrs = data[holder].attrs
        out += [
            str(attrs[key])
            for key in ("crs_wkt", "spatial_ref", "epsg_code", "proj4", "proj4text")
            if attrs.get(key)
        ]
        # CF parameters alone are last: they name no datum in many files, and a WKT beside them is exact.
        # ``GeoTransform`` is GDAL's own and confuses the parser.
        if not out and "grid_mapping_name" in attrs:
            from pyproj import CRS

            try:
                out.append(
                    CRS.from_cf(
                        {key: value for key, value in attrs.items() if key != "GeoTransform"}
                    ).to_wkt()
                )
            except Exception:  # pyproj raises KeyError, CRSError and others for incomplete grid mappings
                continue
    for key in ("epsg", "proj:epsg", "proj:code", "crs"):
        if key in data.variables and data[key].size and data[key].dtype.kind in "iufUSO":
            codes = {decoded_text(value) for value in np.ravel(data[key].values)}
            # A code per date is usable only where all of them agree.
            out += [one for one in codes if len(codes) == 1 and re.search(r"\d{4,6}", one)]
    # Last the attributes of the file and of its bands, where exports without a CRS variable put it.
    bands = [data[one].attrs for one in data.data_vars]
    for attrs in (data.attrs, *bands):
        keys = ("crs", "crs_wkt", "spatial_ref", "proj:epsg", "proj:code", "epsg", "projection")
        out += [str(attrs[key]) for key in keys if attrs.get(key)]
    # Empty cells of templates, and the name of the CRS variable in place of a CRS.
    return [one for one in out if one.strip() not in ("", "0", "None", "spatial_ref")]


def decoded_text(value: object) -> str:
    """Text of an attribute or array element, bytes decoded, without padding.

    Parameters
    ----------
    value
        Bytes (UTF-8), text or anything with a text form.

    Returns
    -------
    str
    """
    return (
        value.decode("utf-8", "replace").strip("\0 ") if isinstance(value, bytes) else str(value).strip("\0 ")
    )
