"""What leaves: tidy tables, CF NetCDF and Zarr, GeoTIFF, replay files."""

from fluxlens.embeddings.export.extract import collect, cube_of, map_of, tidy
from fluxlens.embeddings.export.geometries import (
    Point,
    Region,
    parse_at,
    pixels_inside,
    read_points,
    read_polygon,
    rings_of,
)
from fluxlens.embeddings.export.paths import check_path, replacing
from fluxlens.embeddings.export.writers import write

__all__ = [
    "Point",
    "Region",
    "check_path",
    "collect",
    "cube_of",
    "map_of",
    "parse_at",
    "pixels_inside",
    "read_points",
    "read_polygon",
    "replacing",
    "rings_of",
    "tidy",
    "write",
]
