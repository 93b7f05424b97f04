"""Polygons of exports: regions in lon, lat and the pixel centres of a grid inside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from fluxlens.embeddings.geometry import Grid
from fluxlens.models.errors import InputError

CENTRES_TOGETHER = 4_000_000
"""Pixel centres that are tested against a polygon at once: 64 MB of coordinates."""

MENDED_AT_MOST = 20_000
"""Invalid parts of polygons; mending takes 0.1 ms each."""

SMALL_RING = 200
"""Corners of a part that is mended whatever it looks like."""

CROSSINGS_AT_MOST = 200_000
"""In one part: mending takes about 10 us for each."""

SAMPLED_EDGES = 200
"""Edges of a part whose boxes tell how many of them may cross."""


MAX_VERTICES = 10_000_000
"""Corners of all polygons of a file; they take 16 bytes each several times over."""


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

    polygons = shapely.get_parts([region.geometry for region in regions_of(polygon)])
    return [
        [shapely.get_coordinates(ring) for ring in (one.exterior, *one.interiors)]
        for one in polygons
        if not one.is_empty
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
    projected = shapely.get_parts(project_regions(grid, regions_of(polygons)))
    for shape in projected[boxes_with_centres(xs, ys, projected)]:
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


def boxes_with_centres(xs: np.ndarray, ys: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Which geometries have a pixel centre in their bounding box: of 100,000 small ones most have none.

    Parameters
    ----------
    xs, ys : numpy.ndarray
        As of ``centres_inside``.
    shapes : numpy.ndarray
        (shape,) of geometries with corners in m of the same projection.

    Returns
    -------
    numpy.ndarray
        (shape,) bool.
    """
    import shapely

    left, bottom, right, top = shapely.bounds(shapes).T  # NaN where empty
    # An interval holds a centre where the counts of centres before its two ends differ.
    inside = np.searchsorted(xs, left) < np.searchsorted(xs, right)
    return inside & (np.searchsorted(-ys, -top) < np.searchsorted(-ys, -bottom)) & np.isfinite(left)


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
    # An index over the edges, made once for all rows of centres.
    shapely.prepare(shape)
    # In blocks of rows: the mask of a large scene at once would take more memory than the answer.
    step = max(1, CENTRES_TOGETHER // (cols.stop - cols.start))
    indices = []
    for start in range(rows.start, rows.stop, step):
        block = slice(start, min(start + step, rows.stop))
        row, col = np.nonzero(shapely.contains_xy(shape, xs[cols][None], ys[block][:, None]))
        indices.append((row + block.start, col + cols.start))
    return np.concatenate([row for row, _ in indices]), np.concatenate([col for _, col in indices])


def polygon_from_rings(polygons: Any) -> Any:
    """A polygon of nested rings; see ``polygons_from_rings``.

    Parameters
    ----------
    polygons : nested lists
        Of each polygon the outline, then the holes.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        As it is, valid or not.
    """
    return polygons_from_rings([polygons])[0]


def polygons_from_rings(features: Sequence[Any]) -> np.ndarray:
    """Polygons of nested rings, all features in one call of each step: a call per ring takes 10 s for 100,000.

    Parameters
    ----------
    features : sequence of nested lists
        Of each feature its polygons: the outline, then the holes; a ring is (corner, 2 or more) lon, lat in degrees, of
        which the first two numbers count.

    Returns
    -------
    numpy.ndarray
        (feature,) of shapely.Polygon, or shapely.MultiPolygon where there are several, valid or not.

    Raises
    ------
    ValueError
        For a ring of less than four corners or without a number, and a feature without a ring.
    """
    import shapely

    polygons = [rings for feature in features for rings in feature]
    rings = [ring for polygon in polygons for ring in polygon]
    size = np.array([len(ring) for ring in rings], dtype=np.int64)
    if not (len(size) and size.min() and all(map(len, features)) and all(map(len, polygons))):
        raise ValueError("no ring")
    # Without a list per corner: for half a million of them those cost more than all of shapely's work.
    widths = set(map(len, chain.from_iterable(rings)))
    if min(widths) < 2:
        raise ValueError("a corner of less than two numbers")
    if len(widths) == 1:
        numbers = chain.from_iterable(chain.from_iterable(rings))
        corners = np.fromiter(map(float, numbers), float).reshape(-1, widths.pop())[:, :2]
    else:
        corners = np.array([corner[:2] for ring in rings for corner in ring], dtype=float)
    # further numbers of a corner are heights
    if size.min() < 4 or not np.isfinite(corners).all():
        raise ValueError("a ring of less than four corners")
    lines = shapely.linearrings(corners, indices=np.repeat(np.arange(len(size)), size))
    # of each polygon the first ring is its outline, the others are holes
    single = shapely.polygons(lines, indices=np.repeat(np.arange(len(polygons)), [*map(len, polygons)]))
    count = np.array([len(feature) for feature in features])
    shapes = shapely.multipolygons(single, indices=np.repeat(np.arange(len(features)), count))
    alone = count == 1
    # A feature of one polygon stays a Polygon, not a MultiPolygon of one.
    shapes[alone] = single[(np.cumsum(count) - count)[alone]]
    return shapes


def valid_shapes(
    rings: list[list], to_lonlat: Callable[[np.ndarray], np.ndarray], path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Geometries of a file's rings, crossing ones mended; InputError for broken or more than ``MAX_VERTICES`` corners.

    Parameters
    ----------
    rings : list
        Per feature the rings of its polygons, nested as in a GeoJSON MultiPolygon, in the coordinates of the file.
    to_lonlat : function
        From corners (corner, 2) in these coordinates to lon, lat in degrees.
    path : Path
        Of the file, for messages.

    Returns
    -------
    shapes : numpy.ndarray
        (feature,) of ``shapely.Polygon`` or ``shapely.MultiPolygon`` in lon, lat.
    mended : numpy.ndarray
        Indices of the features that had rings that cross.
    """
    import shapely

    try:
        shapes = polygons_from_rings(rings)
    except (TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
        raise InputError(
            f"Got a broken polygon in {path}, need rings of four or more [lon, lat]; correct it."
        ) from error
    # Before anything is transformed or mended: each makes copies of all corners.
    if shapely.get_num_coordinates(shapes).sum() > MAX_VERTICES:
        raise InputError(
            f"Got {path} of more than {MAX_VERTICES:,} corners, need fewer; simplify the polygons."
        )
    # To longitude and latitude first: a file may be in any CRS that it declares.
    shapes = shapely.transform(shapes, to_lonlat)
    # Rings that cross have no defined inside; the repair is reported.
    polygons, feature_of = shapely.get_parts(shapes, return_index=True)
    crossing = np.unique(feature_of[~shapely.is_valid(polygons)])
    if len(crossing):
        shapes[crossing] = make_valid(shapes[crossing])
    return shapes, crossing


def make_valid(shape: Any) -> Any:
    """The polygons that one with crossing rings stands for, part by part; lines and points are dropped.

    Parts may overlap: a pixel centre is in any of them, and their union would take minutes for 100,000.

    Parameters
    ----------
    shape : shapely.Polygon or shapely.MultiPolygon, or an array of them
        As of ``polygons_from_rings``.

    Returns
    -------
    shapely.MultiPolygon or numpy.ndarray of them
        Of valid parts.

    Raises
    ------
    InputError
        Where mending would take minutes: more than ``MENDED_AT_MOST`` parts that are invalid, or more than
        ``CROSSINGS_AT_MOST`` crossings in one.
    """
    import shapely

    shapes = np.atleast_1d(np.asarray(shape, dtype=object))
    polygons, feature = shapely.get_parts(shapes, return_index=True)
    wrong = np.flatnonzero(~shapely.is_valid(polygons))
    if len(wrong) > MENDED_AT_MOST:
        raise InputError(
            f"Got {len(wrong):,} polygons whose rings cross, need at most {MENDED_AT_MOST:,} to mend; repair them"
            " with a GIS."
        )
    # The fewer than 20,000 pairs of edges that a smaller ring has are below the bound in any case.
    for at in wrong[shapely.get_num_coordinates(polygons[wrong]) > SMALL_RING]:
        crossings = _crossings_at_most(polygons[at])
        if crossings > CROSSINGS_AT_MOST:
            raise InputError(
                f"Got a polygon of {shapely.get_num_coordinates(polygons[at]):,} corners whose rings cross in about"
                f" {crossings:,.0f} places, need at most {CROSSINGS_AT_MOST:,} to mend; repair it with a GIS."
            )
    mended, of = shapely.get_parts(shapely.make_valid(polygons), return_index=True)
    # a collection of polygons, lines and points holds its polygons in a MultiPolygon
    mended, within = shapely.get_parts(mended, return_index=True)
    of = feature[of[within]]
    is_area = shapely.get_type_id(mended) == shapely.GeometryType.POLYGON
    # Shapes of which mending leaves no area stay empty, so that each feature keeps its place.
    out = np.full(len(shapes), shapely.MultiPolygon(), dtype=object)
    if is_area.any():
        shapely.multipolygons(mended[is_area], indices=of[is_area], out=out)
    return out if np.ndim(shape) else out[0]


def _crossings_at_most(polygon: Any) -> float:
    """How many pairs of edges of a polygon may cross, from the boxes of some of them."""
    import shapely

    ends, ring = shapely.get_coordinates(shapely.get_rings(polygon), return_index=True)
    together = ring[1:] == ring[:-1]
    edges = shapely.linestrings(np.stack([ends[:-1][together], ends[1:][together]], axis=1))
    # Of a sample, since all pairs would take as long as the mending that this bounds; always the same one, so that a
    # file is accepted or refused for good.
    some = edges[np.random.default_rng(0).integers(0, len(edges), SAMPLED_EDGES)]
    pairs = shapely.STRtree(edges).query(some).shape[1] / SAMPLED_EDGES
    # an edge meets itself and its two neighbours
    # Each pair is found from both of its edges, hence the half.
    return max(pairs - 3, 0) * len(edges) / 2
