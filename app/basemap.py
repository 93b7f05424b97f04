"""The surroundings of a scene from web map tiles, laid on its own grid; quietly absent where no tile comes."""

import io
import itertools
import math
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np

from embeddings import __version__
from embeddings.geometry import Grid

OPENSTREETMAP = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
CREDIT = '© <a href="https://www.openstreetmap.org/copyright" target="_blank">OpenStreetMap</a> contributors'
TILE_PX, DEEPEST = 256, 18
TILES_AT_MOST = 25
"""Of one scene, fetched once in a process by two connections, as the tiles' owners ask."""
TILE_BYTES = 2**20
WAIT_S, ALL_S = 4, 20
"""For one tile, for all of a scene."""
AROUND = 1.0
"""Sides of the scene that are shown beyond each of its edges."""
WIDE_PX = 1024
WORLD_M = 2 * math.pi * 6378137.0


@dataclass(frozen=True)
class Basemap:
    """A picture (y, x, 4) uint8, its extent (left, bottom, right, top) in metres of the scene's CRS, and its credit."""

    rgba: np.ndarray
    extent: tuple[float, float, float, float]
    credit: str


def address() -> str:
    """Of tiles {z}, {x}, {y}, from FLUXLENS_TILES; empty for none."""
    return os.environ.get("FLUXLENS_TILES", OPENSTREETMAP).strip()


class Basemaps:
    """One fetch for each scene of this process; one that failed is tried again when next asked for."""

    def __init__(self):
        self._known: dict[tuple, Future] = {}
        self._lock, self._pool = Lock(), ThreadPoolExecutor(2, thread_name_prefix="basemap")

    def get(self, grid: Grid) -> Future | None:
        """The Basemap to come, or None where there are to be none; its result is None where no tile came."""
        url = address()
        if not url:
            return None
        key = url, grid
        with self._lock:
            held = self._known.get(key)
            if held is None or (held.done() and held.result() is None):
                held = self._known[key] = self._pool.submit(_quiet, url, grid)
            return held


BASEMAPS = Basemaps()


def _quiet(url: str, grid: Grid) -> Basemap | None:
    try:
        return fetch(url, grid)
    except Exception:  # no network, a proxy's page instead of a tile, a wrong address: there is no basemap
        return None


def fetch(url: str, grid: Grid) -> Basemap:
    """The tiles around a grid, laid on its CRS; any error is the caller's."""
    from affine import Affine
    from rasterio.warp import Resampling, reproject, transform_bounds

    left, bottom, right, top = grid.extent
    wide, high = (right - left) * AROUND, (top - bottom) * AROUND
    extent = (left - wide, bottom - high, right + wide, top + high)
    depth, cols, rows = _tiles(transform_bounds(grid.crs, "EPSG:3857", *extent))
    mosaic = np.zeros((3, len(rows) * TILE_PX, len(cols) * TILE_PX), "uint8")
    until = time.monotonic() + ALL_S
    for (j, y), (i, x) in itertools.product(enumerate(rows), enumerate(cols)):
        if time.monotonic() > until:
            raise TimeoutError(f"{ALL_S} s")
        down, across = (slice(n * TILE_PX, (n + 1) * TILE_PX) for n in (j, i))
        mosaic[:, down, across] = _tile(url, depth, x, y)
    size = WORLD_M / 2**depth
    corner = Affine(
        size / TILE_PX, 0, cols[0] * size - WORLD_M / 2, 0, -size / TILE_PX, WORLD_M / 2 - rows[0] * size
    )
    step = max(extent[2] - extent[0], extent[3] - extent[1]) / WIDE_PX
    shape = round((extent[3] - extent[1]) / step), round((extent[2] - extent[0]) / step)
    out = np.zeros((3, *shape), "uint8")
    here = Affine(step, 0, extent[0], 0, -step, extent[3])
    crs = {"src_crs": "EPSG:3857", "dst_crs": grid.crs}
    reproject(mosaic, out, src_transform=corner, dst_transform=here, resampling=Resampling.bilinear, **crs)
    rgba = np.concatenate([out, np.full((1, *shape), 255, "uint8")]).transpose(1, 2, 0)
    credit = CREDIT if url == OPENSTREETMAP else os.environ.get("FLUXLENS_TILES_CREDIT", "")
    return Basemap(np.ascontiguousarray(rgba), extent, credit)


def _tiles(bounds: tuple[float, float, float, float]) -> tuple[int, range, range]:
    """The deepest level at which few enough tiles cover web Mercator metres, with their columns and rows."""
    left, bottom, right, top = bounds
    for depth in range(DEEPEST, -1, -1):
        size = WORLD_M / 2**depth
        cols = range(int((left + WORLD_M / 2) // size), int((right + WORLD_M / 2) // size) + 1)
        rows = range(int((WORLD_M / 2 - top) // size), int((WORLD_M / 2 - bottom) // size) + 1)
        if len(cols) * len(rows) <= TILES_AT_MOST:
            break
    return depth, cols, rows


def _tile(url: str, z: int, x: int, y: int) -> np.ndarray:
    """(3, y, x) uint8 of one tile."""
    import requests
    from PIL import Image

    agent = {"User-Agent": f"fluxlens/{__version__}"}
    with requests.get(url.format(z=z, x=x, y=y), headers=agent, timeout=WAIT_S, stream=True) as answer:
        answer.raise_for_status()
        content = answer.raw.read(TILE_BYTES, decode_content=True)
    with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP"]) as tile:
        if max(tile.size) > 4 * TILE_PX:
            raise ValueError(f"a tile of {tile.size}")
        return np.asarray(tile.convert("RGB").resize((TILE_PX, TILE_PX))).transpose(2, 0, 1)
