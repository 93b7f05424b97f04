"""What a map shows of a scene, in three steps: the overview that fits the screen, aggregated to the screen, coloured.

The dashboard's map and ``embedding_map`` go through the same steps. Colours come last, so that another palette or range
reads and aggregates nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from fluxlens.app.data.layer_image import LayerImage, LayerStyle, Viewport
from fluxlens.app.plots.colour import paint
from fluxlens.embeddings.geometry import Grid

MIN_SHRINK = 1.1
"""An image whose pixels are smaller than those of the screen by less than this factor is shown as it is."""


@dataclass(frozen=True)
class MapRaster:
    """One layer on the grid of the screen."""

    image: LayerImage
    """Values and mask on that grid, style and caption."""
    viewport: Viewport | None
    """The part and the resolution that were read; None: the whole scene."""
    extent: tuple[float, float, float, float]
    """Left, bottom, right, top, metres."""
    cell_px: float
    """Side of a cell of the grid, in pixels of the scene."""

    def shade(self, style: LayerStyle | None = None) -> np.ndarray:
        """(y, x, 4) uint8 RGBA, in the colours of another ``style`` than the image's where one is given."""
        return paint(self.image.values, style or self.image.style, self.image.masked)

    def describe_cell(self) -> str:
        """How many scene pixels one cell is the mean of, for the hover; empty where it is one of them."""
        if self.cell_px == 1:
            return ""
        count = self.cell_px**2
        return f"{count:{'.0f' if count >= 10 else '.2g'}} pixels ({self.cell_px:.3g} × {self.cell_px:.3g})"


def pick_viewport(
    grid: Grid,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    max_px: int,
    margin: float = 0.125,
) -> Viewport:
    """The part of a scene in a view, at its finest overview of at most ``max_px`` pixels a side.

    Parameters
    ----------
    grid : Grid
        Grid of the scene.
    x_range, y_range : tuple of float
        Ends of the view in any order, metres.
    max_px : int
        Longest side of the view, in pixels of the overview.
    margin : float
        Share of the view that is added at each edge.
    """
    left, _, _, top = grid.extent
    cols = sorted((float(end) - left) / grid.size_m for end in x_range)
    # Rows count from the north, while northings grow towards it.
    rows = sorted((top - float(end)) / grid.size_m for end in y_range)
    return Viewport.covering(grid.shape, tuple(rows), tuple(cols), max_px, margin)


def image_extent(
    grid: Grid, viewport: Viewport | None, shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    """Left, bottom, right, top in metres of an image of ``shape`` (y, x) read of a ``viewport`` of a ``grid``."""
    size = grid.size_m * (viewport.level if viewport else 1)
    west, _, _, north = grid.extent
    left = west + (viewport.left if viewport else 0) * size
    top = north - (viewport.top if viewport else 0) * size
    return left, top - shape[0] * size, left + shape[1] * size, top


def rasterize(
    grid: Grid, viewport: Viewport | None, image: LayerImage, screen_px_m: float = 0.0
) -> MapRaster:
    """Aggregate an image to the grid of the screen with Datashader.

    Numbers become means of what is known, classes the most frequent one. The grid is never finer than the image: the
    browser magnifies pixels itself, and sending each of them many times would show nothing more.

    Parameters
    ----------
    grid : Grid
        Grid of the scene.
    viewport : Viewport or None
        What was read; None: the whole scene.
    image : LayerImage
        (y, x, channel) values.
    screen_px_m : float
        Side of a screen pixel, metres; 0 where it is not known.

    Returns
    -------
    MapRaster
    """
    ny, nx, channels = image.values.shape
    left, bottom, right, top = extent = image_extent(grid, viewport, (ny, nx))
    size_m = grid.size_m * (viewport.level if viewport else 1)
    if screen_px_m < MIN_SHRINK * size_m:
        return MapRaster(image, viewport, extent, size_m / grid.size_m)
    # Imported late: with Numba it takes seconds, and small scenes never need it.
    import datashader as ds

    width, height = (max(1, round(side / screen_px_m)) for side in (right - left, top - bottom))
    canvas = ds.Canvas(width, height, (left, right), (bottom, top))
    y, x = top - (np.arange(ny) + 0.5) * size_m, left + (np.arange(nx) + 0.5) * size_m

    def aggregate(values: np.ndarray, how: str) -> np.ndarray:
        """(y, x) on the screen's grid, first row in the north as in the image."""
        array = xr.DataArray(np.asarray(values, "float32"), {"y": y, "x": x}, ("y", "x"))
        return canvas.raster(array, agg=how).values

    # Numbers of classes have no mean.
    how = "mode" if image.style.classes else "mean"
    values = np.stack([aggregate(image.values[..., i], how) for i in range(channels)], axis=-1)
    # A cell is pale where most of its pixels are.
    masked = None if image.masked is None else aggregate(image.masked, "mean") >= 0.5
    on_screen = replace(image, values=values.astype("float32"), masked=masked)
    return MapRaster(on_screen, viewport, extent, (right - left) / width / grid.size_m)
