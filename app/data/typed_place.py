"""Coordinates that a user types on the page: latitude first, as maps show and copy them."""

from fluxlens.embeddings.export.geometries import Point, parse_latlon
from fluxlens.embeddings.geometry import Grid
from fluxlens.models.errors import InputError


def parse_typed_place(grid: Grid, text: str) -> Point:
    """The point of ``LAT, LON`` inside a scene.

    Every field of the page reads coordinates by this one function, so that one order holds on screen; the command line
    has ``--at LON,LAT``.

    Parameters
    ----------
    grid : Grid
        Grid of the scene.
    text : str
        Latitude and longitude (degrees, WGS 84), as ``geometries.parse_latlon`` reads them.

    Raises
    ------
    InputError
        The text is no coordinates, or those of a point outside the scene.
    """
    point = parse_latlon(text)
    try:
        grid.pixel(point.lon, point.lat)
    except InputError as error:  # whose words have longitude first, as the command line takes it
        west, south, east, north = grid.lonlat_extent()
        is_swapped = west <= point.lat <= east and south <= point.lon <= north
        raise InputError(
            f"Got {point.lat:.5f}, {point.lon:.5f}, which is outside the scene; need latitude {south:.5f} to "
            f"{north:.5f}, longitude {west:.5f} to {east:.5f}"
            + ("; type the latitude first." if is_swapped else ".")
        ) from error
    return point
