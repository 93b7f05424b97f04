"""A chosen place: a pixel or an area."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A pixel, or an area with the pixel nearest to its middle."""

    slot: int
    """Index into ``palette.PLACE_COLOURS``, kept for as long as the place stays."""
    row: int
    col: int
    area: tuple = ()
    """Polygons, each a tuple of rings of (lon, lat) in degrees, the outline and then the holes; empty for a pixel."""
