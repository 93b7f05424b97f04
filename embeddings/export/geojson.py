"""Files of places as people have them: features, their names, and their coordinates as lon, lat.

GeoJSON is read here, files of GIS programs by ``vector_files``.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from fluxlens.embeddings.export.vector_files import find_format, read_vector_file
from fluxlens.embeddings.text_cells import plain_name
from fluxlens.embeddings.text_encoding import decode_text
from fluxlens.models.errors import InputError

MAX_FILE_BYTES = 512 * 2**20
"""Of a file of points or polygons."""

NAME_COLUMNS = (
    "name", "site", "id", "plot", "siteid", "sitename", "plotid", "plotname", "pointid", "fieldid", "fieldname",
    "field", "parcel", "parcelid", "station", "stationid", "label", "title", "fid", "objectid",
)  # fmt: skip
"""Columns and properties that name a place, by ``text_cells.plain_name``; the first that is there counts."""


def check_file(path: str | Path, what: str) -> Path:
    """The path of a file that is there and not too large to read at once.

    Parameters
    ----------
    path : str or Path
        Of the file.
    what : str
        Such as ``points``, for the error.

    Raises
    ------
    InputError
        If it is no file or has more than ``MAX_FILE_BYTES``.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"Got the {what} file {path}, which is a folder, need a file; name one in it.")
    if not path.is_file():
        raise InputError(f"Got the {what} file {path}, which is not there, need a file; check the path.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"Got the {what} file {path} of over {MAX_FILE_BYTES:,} bytes, need less; split it.")
    return path


def has_features(path: Path) -> bool:
    """Whether a file is one that :func:`read_features` reads, by its first bytes, whatever its name.

    Parameters
    ----------
    path : Path
        A file; JSON with or without a mark of byte order, or one feature a line with record separators (RFC 8142).
    """
    with path.open("rb") as stream:
        head = stream.read(256)
    # The zeros are those of UTF-16.
    is_json = head.strip(b"\xef\xbb\xbf\xff\xfe\x00\x1e \t\r\n")[:1] in (b"{", b"[")
    return is_json or bool(find_format(path))


def read_features(path: Path) -> tuple[list[dict], Callable[[np.ndarray], np.ndarray]]:
    """Features of a GeoJSON, of a file with one feature a line, or of a file of a GIS program.

    Parameters
    ----------
    path : Path
        Text in UTF-8 or UTF-16, with or without a mark of byte order; KML, KMZ, GPX, GeoPackage, shapefile.

    Returns
    -------
    list of dict
        GeoJSON features, ``geometry`` may be None.
    callable
        Takes corners (corner, 2) of the file's coordinate system to lon, lat in degrees.

    Raises
    ------
    InputError
        If it is none of these, or its ``crs`` is unknown.
    """
    # By content: users rename files, and a Shapefile called .geojson is read all the same.
    kind = find_format(path)
    if kind:
        features, crs = read_vector_file(path, kind)
        return features, transform_of(crs)
    text, _ = decode_text(path.read_bytes(), str(path))
    try:
        with paused_collector():
            data = json.loads(text)
    except (ValueError, RecursionError) as error:
        # newline-delimited GeoJSON, with or without record separators (RFC 8142)
        lines = [line.strip("\x1e \t") for line in text.splitlines()]
        lines = [line for line in lines if line]
        try:
            data = {"type": "FeatureCollection", "features": [json.loads(line) for line in lines]}
        except (ValueError, RecursionError):
            data = None
        # One line that does not parse is broken JSON and no sequence: the first error tells more.
        if data is None or len(lines) < 2:
            raise InputError(f"Got {path}, which is not JSON, need GeoJSON; correct it.") from error
    if not isinstance(data, dict):
        raise InputError(f"Got {path}, which is JSON but not GeoJSON, need a FeatureCollection; correct it.")
    # Both parse as JSON and have features of their own; read as GeoJSON they would be empty.
    if data.get("type") == "Topology" or "geometryType" in data:
        kind = "TopoJSON" if data.get("type") == "Topology" else "Esri JSON"
        raise InputError(f"Got {path}, which is {kind}, need GeoJSON; convert it.")
    if data.get("type") == "FeatureCollection" and isinstance(data.get("features"), list):
        listed = data["features"]
    elif data.get("type") == "GeometryCollection":
        raise InputError(f"Got a GeometryCollection in {path}, need features; write each geometry as one.")
    else:
        listed = [data if data.get("type") == "Feature" else {"geometry": data}]
    if not all(map(_is_feature, listed)):
        raise InputError(f"Got {path} with features that are none, need GeoJSON features; correct it.")
    return listed, _to_lonlat(data.get("crs"), path)


@contextmanager
def paused_collector() -> Iterator[None]:
    """The collector of garbage paused: it walks all lists again and again while millions are made, none in a cycle."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _to_lonlat(member: Any, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """From the coordinate system of a ``crs`` member, which GeoJSON of before RFC 7946 may carry, to lon, lat."""
    if not member:
        return transform_of(None)
    try:
        name = str(member)
        if isinstance(member, dict):
            properties = member["properties"]
            # the form of before 2008 has the bare code
            name = properties["name"] if "name" in properties else f"EPSG:{properties['code']}"
        crs = pyproj.CRS.from_user_input(name)
    except (KeyError, TypeError, pyproj.exceptions.CRSError) as error:
        raise InputError(
            f"Got the crs {str(member)[:80]} in {path}, need one that PROJ knows such as urn:ogc:def:crs:EPSG::32631;"
            " correct or remove it."
        ) from error
    return transform_of(crs)


def transform_of(crs: pyproj.CRS | None) -> Callable[[np.ndarray], np.ndarray]:
    """The way from a coordinate system to lon, lat.

    Parameters
    ----------
    crs : pyproj.CRS or None
        None where the coordinates are lon, lat.

    Returns
    -------
    callable
        Takes corners (corner, 2) in the units of the CRS to degrees.
    """
    # written as [lon, lat] whatever the order of axes of the code
    if crs is None or crs.is_geographic:
        return lambda corners: corners
    transformer = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    return lambda corners: np.column_stack(transformer.transform(corners[:, 0], corners[:, 1]))


def _is_feature(candidate: Any) -> bool:
    members = ("geometry", "properties")
    return isinstance(candidate, dict) and all(isinstance(candidate.get(key), dict | None) for key in members)


def feature_name(feature: dict) -> str:
    """What a feature is called.

    Parameters
    ----------
    feature : dict
        Of GeoJSON.

    Returns
    -------
    str
        The property ``name``, else the feature's id, else a property of ``NAME_COLUMNS``; empty where there is none.
    """
    properties = {plain_name(key): value for key, value in (feature.get("properties") or {}).items()}
    columns = map(properties.get, NAME_COLUMNS)
    # What GeoJSON itself has for a name comes first; other columns are guessed from how people call them.
    for value in chain((properties.get("name"), feature.get("id")), columns):
        if isinstance(value, str | int | float) and str(value).strip():
            return str(value).strip()
    return ""
