"""A chosen place: a pixel or an area."""

from dataclasses import dataclass

import numpy as np
import shapely

MAX_NAME_LENGTH = 40
"""Letters of a name, so that a row of places stays a row."""


@dataclass(frozen=True)
class Place:
    """A pixel, or an area with the pixel nearest to its middle.

    Equal places have equal hashes: shapely compares and hashes geometries by their corners, in order.
    """

    slot: int
    """Index into ``palette.PLACE_COLOURS``, kept for as long as the place stays."""
    row: int
    col: int
    area: shapely.MultiPolygon | None = None
    """In lon, lat (degrees, WGS 84), as drawn, so valid or not; None for a pixel."""
    name: str = ""
    """Given by the user or by a file; empty: see ``label``."""

    def __post_init__(self) -> None:
        if len(self.name) > MAX_NAME_LENGTH:
            object.__setattr__(self, "name", self.name[:MAX_NAME_LENGTH])
        # One type, and so one nesting of rings in permalinks and GeoJSON, whether an area has one part or several.
        if isinstance(self.area, shapely.Polygon):
            object.__setattr__(self, "area", shapely.MultiPolygon([self.area]))

    @property
    def label(self) -> str:
        """Name of the place on screen, in links and in files."""
        return self.name or f"{self.kind} {self.slot + 1}"

    @property
    def kind(self) -> str:
        """ "Pixel" or "Area"."""
        return "Area" if self.area else "Pixel"

    @property
    def outlines(self) -> list[np.ndarray]:
        """Outer ring of each part of the area, (corner, 2) of lon, lat in degrees; none for a pixel."""
        polygons = self.area.geoms if self.area else ()
        return [shapely.get_coordinates(polygon.exterior) for polygon in polygons]
