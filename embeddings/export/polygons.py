"""Polygons of exports: regions in lon, lat and the pixel centres of a grid inside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from fluxlens.embeddings.geometry import Grid
from fluxlens.models.errors import InputError

CENTRES_TOGETHER = 4_000_000
"""Pixel centres that are tested against a polygon at once: 64 MB of coordinates."""


@dataclass(frozen=True)
class Region:
    """Polygons of one feature, to take the pixels of."""

    geometry: Any
    """``shapely.Polygon`` or ``shapely.MultiPolygon`` in lon, lat (degrees, WGS 84), valid."""
    name: str = ""
    """The feature's name or id; empty where it has none."""


def regions_of(polygon: list) -> list[Region]:
    """Regions of what is given for a polygon.

    Parameters
    ----------
    polygon : list
        Of ``Region`` or shapely geometries in lon, lat; or of polygons as nested lists of rings (n, 2), the outline and
        then the holes, which together are one region without a name.
    """
    import shapely

    if all(isinstance(one, Region) for one in polygon):
        return list(polygon)
    if all(isinstance(one, shapely.Geometry) for one in polygon):
        # GEOS fails on NaN or infinity with an error of its own, or loops.
        if not np.isfinite(shapely.get_coordinates(polygon)).all():
            raise InputError("Got a polygon with a corner that is no number, need lon, lat; correct it.")
        return [Region(one if _is_valid(one) else make_valid(one)) for one in polygon]
    try:
        shape = polygon_from_rings(polygon)
    except (TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
        raise InputError("Got a broken polygon, need rings of four or more lon, lat; correct it.") from error
    return [Region(shape if _is_valid(shape) else make_valid(shape))]


def _is_valid(shape: Any) -> bool:
    """Whether each part is valid by itself; parts may overlap, for a pixel centre is in any of them."""
    import shapely

    return bool(shapely.is_valid(shapely.get_parts(shape)).all())


def rings_of(polygon: list) -> list[list[np.ndarray]]:
    """Rings of each polygon.

    Parameters
    ----------
    polygon : list
        As of ``regions_of``.

    Returns
    -------
    list of list of numpy.ndarray
        Of each polygon the outline, then the holes: (corner, 2) lon, lat in degrees, the first corner repeated at the
        end.
    """
    import shapely

    parts = shapely.get_parts([region.geometry for region in regions_of(polygon)])
    return [
        [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
        for part in parts
        if not part.is_empty
    ]


def pixels_inside(grid: Grid, polygons: list) -> np.ndarray:
    """Pixels whose centres lie in a polygon.

    Parameters
    ----------
    grid : Grid
        Pixels.
    polygons : list
        As of ``regions_of``.

    Returns
    -------
    numpy.ndarray
        (row, col) bool.

    Raises
    ------
    InputError
        If a corner lies where the grid's map projection is not defined.
    """
    import shapely

    mask, xs, ys = np.zeros(grid.shape, bool), grid.x, grid.y
    for shape in shapely.get_parts(project_regions(grid, regions_of(polygons))):
        mask[centres_inside(xs, ys, shape)] = True
    return mask


def project_regions(grid: Grid, regions: list[Region]) -> np.ndarray:
    """The regions in the grid's map projection.

    Parameters
    ----------
    grid : Grid
        Gives the projection.
    regions : list of Region
        In lon, lat.

    Returns
    -------
    numpy.ndarray
        (region,) of shapely geometries with corners in m.

    Raises
    ------
    InputError
        If a corner lies where the projection is not defined.
    """
    import shapely

    # one call of the projection for all corners: a call per ring takes minutes for 100,000 rings
    shapes = shapely.transform(
        np.array([region.geometry for region in regions], dtype=object),
        lambda lonlat: np.column_stack(grid.xy(lonlat[:, 0], lonlat[:, 1])),
    )
    if not np.isfinite(shapely.get_coordinates(shapes)).all():
        raise InputError(
            "Got a polygon outside the scene's map projection, need lon, lat near it; correct it."
        )
    return shapes


def centres_inside(xs: np.ndarray, ys: np.ndarray, shape: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in a geometry; only those in its bounding box are tested.

    Parameters
    ----------
    xs : numpy.ndarray
        (col,) pixel centres in m, increasing.
    ys : numpy.ndarray
        (row,) pixel centres in m, decreasing.
    shape : shapely.Geometry
        Corners in m of the same projection.

    Returns
    -------
    tuple of numpy.ndarray
        Row and column index (pixel,) of the centres inside, row by row.
    """
    import shapely

    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    if shape.is_empty:
        return nothing
    left, bottom, right, top = shape.bounds
    # searchsorted wants increasing values, and ys decreases
    cols = slice(*np.searchsorted(xs, (left, right)))
    rows = slice(*np.searchsorted(-ys, (-top, -bottom)))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return nothing
    shapely.prepare(shape)
    step = max(1, CENTRES_TOGETHER // (cols.stop - cols.start))
    found = []
    for start in range(rows.start, rows.stop, step):
        part = slice(start, min(start + step, rows.stop))
        row, col = np.nonzero(shapely.contains_xy(shape, xs[cols][None], ys[part][:, None]))
        found.append((row + part.start, col + cols.start))
    return np.concatenate([row for row, _ in found]), np.concatenate([col for _, col in found])


def polygon_from_rings(polygons: Any) -> Any:
    """A polygon of nested rings.

    Parameters
    ----------
    polygons : nested lists
        Of each polygon the outline, then the holes; a ring is (corner, 2 or more) lon, lat in degrees, of which the
        first two numbers count.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        As it is, valid or not.

    Raises
    ------
    ValueError
        For a ring of less than four corners or without a number, and where there is no ring.
    """
    import shapely

    outlines, holes, shell_of_hole = [], [], []
    for rings in polygons:
        for at, ring in enumerate(rings):
            corners = np.asarray(ring, dtype=float)[:, :2]
            if len(corners) < 4 or not np.isfinite(corners).all():
                raise ValueError("a ring of less than four corners")
            if at == 0:
                outlines.append(corners)
            else:
                holes.append(corners)
                shell_of_hole.append(len(outlines) - 1)
    if not outlines:
        raise ValueError("no ring")
    # all rings in one call, for files of 100,000
    corners = np.concatenate(outlines)
    shells = shapely.linearrings(corners, indices=np.repeat(np.arange(len(outlines)), [*map(len, outlines)]))
    if holes:
        count = np.repeat(np.arange(len(holes)), [*map(len, holes)])
        inner = shapely.linearrings(np.concatenate(holes), indices=count)
        cut: list[list] = [[] for _ in outlines]
        for ring, shell in zip(inner, shell_of_hole, strict=True):
            cut[shell].append(ring)
        parts = [shapely.polygons(shell, own or None) for shell, own in zip(shells, cut, strict=True)]
    else:
        parts = list(shapely.polygons(shells))
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)


def make_valid(shape: Any) -> Any:
    """The polygons that one with crossing rings stands for, part by part; lines and points are dropped.

    Parts may overlap: a pixel centre is in any of them, and their union would take minutes for 100,000.

    Parameters
    ----------
    shape : shapely.Polygon or shapely.MultiPolygon
        As of ``polygon_from_rings``.

    Returns
    -------
    shapely.MultiPolygon
        Of valid parts.
    """
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shapely.get_parts(shape))))
    return shapely.multipolygons([part for part in parts if part.geom_type == "Polygon"])
