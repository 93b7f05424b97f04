"""From passes to a scene on disk: date by date, kept beside it until it is whole, so that a break costs one date."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.scenes import cloud_mask, schema
from fluxlens.embeddings.stac import pixels
from fluxlens.embeddings.stac.request import Request
from fluxlens.embeddings.stac.search import NAMED, Pass, describe_left_out, find_passes
from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import DataWarning, InputError

LICENCE = "Copernicus Sentinel data: free and open, with attribution"


def fetch(
    request: Request, out: str | Path, weather: xr.Dataset | None = None, update: bool = False
) -> Steps[list[str]]:
    """Fetch a scene and write it as Zarr; dates an earlier, interrupted run of the same request fetched are reused.

    Parameters
    ----------
    request : Request
        Square, days, provider, radar product and cloud detector.
    out : path
        New scene; its folder must exist. With ``update`` a scene that :func:`fetch` wrote.
    weather : xarray.Dataset, optional
        Daily weather to add: ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa, ``precip`` mm d-1 on ``time``.
    update : bool
        Fetch only days of a sensor that the scene at ``out`` does not have, and put the scene with them in its place.

    Yields
    ------
    (str, float)
        Message and fraction 0-1.

    Returns
    -------
    list of str
        A sentence for each image left out.

    Warns
    -----
    DataWarning
        Images that cannot be used or read and dates without a value, with their count; one warning.

    Raises
    ------
    InputError
        Where the path is taken, nothing is found, or a server does not answer. Nothing half-written stays under
        ``out``; fetched dates stay beside it for the next run.
    """
    path = Path(out).expanduser().resolve()
    known = _known_scene(path, request) if update else None
    _check_place(path, update)
    yield f"asking {request.url}", 0.0
    passes, unusable = find_passes(request)
    if known is not None:
        passes = [one for one in passes if (one.sensor, np.datetime64(one.time, "D")) not in _acquired(known)]
        if not passes and weather is None:
            return []
    folder = _dates_folder(path, request)
    folder.mkdir(exist_ok=True)
    for done, one in enumerate(passes):
        yield f"fetching {one.name}, {done + 1} of {len(passes)}", done / len(passes)
        _date(one, request, folder)
    yield f"writing {path.name}", 1.0
    left_out = list(unusable)
    empty: list[str] = []
    nodes = {name: _node(name, passes, folder, left_out, empty) for name in schema.SENSORS}
    nodes = {name: node for name, node in nodes.items() if node is not None}
    if known is not None:
        nodes = _joined(known, nodes)
        weather = (
            weather if weather is None or "weather" not in nodes else weather.combine_first(nodes["weather"])
        )
    # Dates without a value, such as the corner of a swath, are no scene.
    if not nodes:
        raise InputError(
            f"Got {len(passes)} dates without a single value at {request.lon:g},{request.lat:g} from "
            f"{request.url}, need some; {left_out[0] if left_out else 'widen the days'}."
        )
    if weather is not None:
        nodes["weather"] = weather
    root = xr.Dataset(attrs=_attrs(path.stem, request, passes, left_out, known))
    scene = xr.DataTree.from_dict({"/": root, **{f"/{name}": node for name, node in nodes.items()}})
    if "s2" in nodes and request.clear != cloud_mask.SCL:
        scene = cloud_mask.apply_cloud_mask(scene, request.clear)
    if known is None:
        zarr.write(scene, path)
    else:
        # The scene of before is read, date by date, until the new one is whole beside it.
        with atomic_path(path) as temporary:
            zarr.write(scene, temporary)
    shutil.rmtree(folder)
    notes = _notes(passes, unusable, left_out, empty)
    if notes:
        warnings.warn(f"{path.name}: {'; '.join(notes)}.", DataWarning, stacklevel=2)
    return left_out


def _dates_folder(path: Path, request: Request) -> Path:
    """Where fetched dates stay until the scene at ``path`` is whole."""
    # Without --s1 and --clear: fetched dates stay when the user has to choose another radar product or detector.
    same = replace(request, s1="any", clear=cloud_mask.SCL)
    request_digest = hashlib.blake2b(str(same).encode(), digest_size=6).hexdigest()
    # Beside the scene, on the same disk, and named by the request: another request has another folder.
    return path.parent / f".{path.name}.{request_digest}.dates"


def _notes(passes: list[Pass], unusable: list[str], left_out: list[str], empty: list[str]) -> list[str]:
    """What a user must know of images that were left out, and of dates that have no value in the square."""
    notes = []
    if left_out:
        # Those that were found unusable are in no pass.
        images = sum(len(one.items) for one in passes) + len(unusable)
        notes.append(describe_left_out(left_out, images))
    if empty:
        names = ", ".join(empty[:NAMED]) + (", ..." if empty[NAMED:] else "")
        notes.append(
            f"{len(empty)} of {len(passes)} dates have no value in the square and are left out ({names})"
        )
    return notes


def _check_place(path: Path, update: bool) -> None:
    """InputError where a scene cannot be written at a path."""
    if path.exists() and not update:
        raise InputError(f"Got {path}, which exists already, need a new path; choose another or remove it.")
    if not path.parent.is_dir():
        raise InputError(f"Got {path}, need a path in a folder that exists; create {path.parent} first.")


def _known_scene(path: Path, request: Request) -> xr.DataTree:
    """The scene to update; InputError where there is none, or it lies on other pixels than the request."""
    if not path.exists():
        raise InputError(f"Got {path}, which does not exist, need a scene to update; leave --update out.")
    scene = zarr.open(path)
    grid = target_grid(scene)
    if grid != request.grid:
        raise InputError(
            f"Got a square from {request.grid.left_m:.0f}, {request.grid.top_m:.0f} m of {request.grid.crs}, "
            f"{request.size_m} m wide, for {path}, need {grid.left_m:.0f}, {grid.top_m:.0f} m of {grid.crs}, "
            f"{grid.nx * grid.size_m:.0f} m wide; give --at and --size-m as for the scene."
        )
    return scene


def _acquired(scene: xr.DataTree) -> set[tuple[str, np.datetime64]]:
    """Sensor and UTC day of each acquisition of a scene."""
    sensors = [name for name in schema.SENSORS if name in scene.children]
    return {(name, day) for name in sensors for day in scene[name]["time"].values.astype("datetime64[D]")}


def _joined(known: xr.DataTree, new: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Nodes of a scene with new dates of its sensors, in the order of time; other nodes as they are."""
    nodes = {name: node.to_dataset(inherit=False) for name, node in known.children.items()}
    for name, node in new.items():
        pieces = [nodes[name], node] if name in nodes else [node]
        # xarray joins a coordinate only where all pieces have it.
        if not all("orbit" in piece.coords for piece in pieces):
            pieces = [piece.drop_vars("orbit", errors="ignore") for piece in pieces]
        joined = xr.concat(
            pieces, "time", data_vars="minimal", coords="minimal", compat="override", join="override"
        )
        nodes[name] = joined.sortby("time")
    return nodes


def _date(one: Pass, request: Request, folder: Path) -> None:
    """One pass in its file, unless it is there."""
    file = folder / f"{one.name}.nc"
    if file.exists():
        return
    date, left_out = pixels.read(one, request.grid)
    # Kept also when empty, so that the next run does not fetch it again.
    variable = date[next(iter(date.data_vars))]
    date.attrs = {"left_out": json.dumps(left_out), "empty": int(not variable.notnull().any())}
    packed = {str(name): {"zlib": True, "complevel": 1} for name in date.data_vars}
    with atomic_path(file) as temporary:
        date.to_netcdf(temporary, engine="netcdf4", encoding=packed)


def _node(
    name: str, passes: list[Pass], folder: Path, left_out: list[str], empty: list[str]
) -> xr.Dataset | None:
    """All dates of a sensor that hold a value, lazily; None where none does. The others' names go to ``empty``."""
    dates, orbits = [], []
    for one in (one for one in passes if one.sensor == name):
        # Lazily: all dates together may be larger than memory.
        date = xr.open_dataset(folder / f"{one.name}.nc", engine="netcdf4", chunks={"y": 512, "x": 512})
        unread = json.loads(date.attrs["left_out"])
        left_out += unread
        if date.attrs["empty"]:
            # A date of which no image could be read is among those already.
            empty += [one.name] if len(unread) < len(one.items) else []
        else:
            dates.append(date.drop_attrs(deep=False))
            orbits.append(one.orbit)
    if not dates:
        return None
    node = xr.concat(dates, "time", data_vars="minimal", coords="minimal", compat="override", join="override")
    # Only where every pass tells it: a mixture would look like a third kind of orbit.
    return node.assign_coords(orbit=("time", orbits)) if all(orbits) else node


def _attrs(
    name: str, request: Request, passes: list[Pass], left_out: list[str], known: xr.DataTree | None = None
) -> dict[str, object]:
    """Attributes of the scene: title, source with provider and years, licence, what was left out."""
    days = {str(one.time)[:10] for one in passes}
    if known is not None:
        days |= {str(day) for _, day in _acquired(known)}
        start, end = min(request.start, *days), max(request.end, *days)
        # First and last year alone ("2019-2021"), or one year: every (n - 1)th of n; the ``or 1`` is for n = 1.
        years = sorted({day[:4] for day in days})
        # Products and providers of before stay named: the sentence goes on with the new years alone.
        period = "-".join(years[:: len(years) - 1 or 1])
        source = re.sub(r"(?<=Sentinel data )\d{4}(-\d{4})?", period, known.attrs["source"])
        known_left_out = [*known.attrs.get("left_out", []), *left_out]
        facts = {**known.attrs, "title": f"{name}, {start} to {end}", "source": source}
        return facts | ({"left_out": known_left_out} if known_left_out else {})
    years = sorted({day[:4] for day in days})
    products = sorted({str(item.collection_id) for one in passes for item in one.items})
    problems = {"left_out": left_out} if left_out else {}
    return {
        "id": name,
        "title": f"{name}, {request.start} to {request.end}",
        "simulated": 0,
        "source": f"Contains modified Copernicus Sentinel data {'-'.join(years[:: len(years) - 1 or 1])}; "
        f"{', '.join(products)} from {request.url}",
        "licence": LICENCE,
        **problems,
    }
