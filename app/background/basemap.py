"""A basemap around a scene: web map tiles warped to its CRS; none where no tile can be had."""

import io
import itertools
import math
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
from fluxlens.embeddings import __version__
from fluxlens.embeddings.geometry import Grid

OPENSTREETMAP = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
CREDIT = '© <a href="https://www.openstreetmap.org/copyright" target="_blank">OpenStreetMap</a> contributors'
TILE_PX, MAX_ZOOM = 256, 18
MAX_TILES = 25
"""Tiles of one scene, fetched once in a process by two connections, as the OpenStreetMap tile policy asks."""
MAX_TILE_BYTES = 2**20
TILE_TIMEOUT_S, TOTAL_TIMEOUT_S = 4, 20
"""For one tile, for all tiles of a scene."""
MARGIN = 1.0
"""Widths of the scene that are shown beyond each of its edges."""
IMAGE_PX = 1024
"""Longest side of the basemap."""
WORLD_M = 2 * math.pi * 6378137.0
"""Circumference of the web Mercator sphere."""


@dataclass(frozen=True)
class Basemap:
    """An image (y, x, 4) uint8, its extent (left, bottom, right, top) in metres of the scene's CRS, and its credit."""

    rgba: np.ndarray
    extent: tuple[float, float, float, float]
    credit: str


def tile_url() -> str:
    """URL template with {z}, {x}, {y} from FLUXLENS_TILES; empty: no basemap."""
    return os.environ.get("FLUXLENS_TILES", OPENSTREETMAP).strip()


class BasemapCache:
    """One fetch for each scene of this process; one that failed is tried again when next asked for."""

    def __init__(self):
        self._fetches: dict[tuple, Future] = {}
        self._lock, self._pool = Lock(), ThreadPoolExecutor(2, thread_name_prefix="basemap")

    def get(self, grid: Grid) -> Future | None:
        """The basemap of a scene, fetched in a thread.

        Parameters
        ----------
        grid : Grid
            Grid of the scene.

        Returns
        -------
        concurrent.futures.Future or None
            Its result is the Basemap, or None where no tile came; None itself where basemaps are switched off.
        """
        url = tile_url()
        if not url:
            return None
        key = url, grid
        # Locked: sessions of one scene that open together must not fetch its tiles twice.
        with self._lock:
            fetching = self._fetches.get(key)
            if fetching is None or (fetching.done() and fetching.result() is None):
                fetching = self._fetches[key] = self._pool.submit(_fetch_or_none, url, grid)
            return fetching


BASEMAPS = BasemapCache()


def _fetch_or_none(url: str, grid: Grid) -> Basemap | None:
    try:
        return fetch(url, grid)
    except Exception:  # no network, a proxy's page instead of a tile, a wrong address: there is no basemap
        return None


def fetch(url: str, grid: Grid) -> Basemap:
    """The tiles around a grid, warped to its CRS; any error is raised.

    Parameters
    ----------
    url : str
        Template with {z}, {x}, {y}.
    grid : Grid
        Grid of the scene.
    """
    from affine import Affine
    from rasterio.warp import Resampling, reproject, transform_bounds

    left, bottom, right, top = grid.extent
    wide, high = (right - left) * MARGIN, (top - bottom) * MARGIN
    extent = (left - wide, bottom - high, right + wide, top + high)
    # Bounds of the warped rectangle: its corners alone would miss edges that bend in the other projection.
    zoom, cols, rows = _find_tiles(transform_bounds(grid.crs, "EPSG:3857", *extent))
    mosaic = np.zeros((3, len(rows) * TILE_PX, len(cols) * TILE_PX), "uint8")
    # A bound on all tiles together: each may stay just below its own timeout.
    deadline = time.monotonic() + TOTAL_TIMEOUT_S
    for (j, y), (i, x) in itertools.product(enumerate(rows), enumerate(cols)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{TOTAL_TIMEOUT_S} s")
        down, across = (slice(n * TILE_PX, (n + 1) * TILE_PX) for n in (j, i))
        mosaic[:, down, across] = _fetch_tile(url, zoom, x, y)
    size = WORLD_M / 2**zoom
    mosaic_transform = Affine(
        size / TILE_PX, 0, cols[0] * size - WORLD_M / 2, 0, -size / TILE_PX, WORLD_M / 2 - rows[0] * size
    )
    # Pixels of one size both ways, the longer side of IMAGE_PX pixels.
    step = max(extent[2] - extent[0], extent[3] - extent[1]) / IMAGE_PX
    shape = round((extent[3] - extent[1]) / step), round((extent[2] - extent[0]) / step)
    out = np.zeros((3, *shape), "uint8")
    transform = Affine(step, 0, extent[0], 0, -step, extent[3])
    crs = {"src_crs": "EPSG:3857", "dst_crs": grid.crs}
    reproject(
        mosaic,
        out,
        src_transform=mosaic_transform,
        dst_transform=transform,
        resampling=Resampling.bilinear,
        **crs,
    )
    # Opaque, since the layer lies over it and nothing below.
    rgba = np.concatenate([out, np.full((1, *shape), 255, "uint8")]).transpose(1, 2, 0)
    credit = CREDIT if url == OPENSTREETMAP else os.environ.get("FLUXLENS_TILES_CREDIT", "")
    return Basemap(np.ascontiguousarray(rgba), extent, credit)


def _find_tiles(bounds: tuple[float, float, float, float]) -> tuple[int, range, range]:
    """The highest zoom at which few enough tiles cover bounds in web Mercator metres, with their columns and rows."""
    left, bottom, right, top = bounds
    # From the finest down: the first that is few enough is the sharpest that the tile policy allows.
    for zoom in range(MAX_ZOOM, -1, -1):
        size = WORLD_M / 2**zoom
        cols = range(int((left + WORLD_M / 2) // size), int((right + WORLD_M / 2) // size) + 1)
        rows = range(int((WORLD_M / 2 - top) // size), int((WORLD_M / 2 - bottom) // size) + 1)
        if len(cols) * len(rows) <= MAX_TILES:
            break
    return zoom, cols, rows


def _fetch_tile(url: str, z: int, x: int, y: int) -> np.ndarray:
    """(3, y, x) uint8 of one tile."""
    import requests
    from PIL import Image

    agent = {"User-Agent": f"fluxlens/{__version__}"}
    with requests.get(
        url.format(z=z, x=x, y=y), headers=agent, timeout=TILE_TIMEOUT_S, stream=True
    ) as response:
        response.raise_for_status()
        # Bounded: a tile server is not trusted to send only tiles.
        content = response.raw.read(MAX_TILE_BYTES, decode_content=True)
    with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP"]) as tile:
        if max(tile.size) > 4 * TILE_PX:
            raise ValueError(f"a tile of {tile.size}")
        return np.asarray(tile.convert("RGB").resize((TILE_PX, TILE_PX))).transpose(2, 0, 1)
