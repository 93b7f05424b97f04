"""Points of several classes rasterised to the screen: Datashader counts each class, the counts mix the colours.

Not ``rasterize`` with ``ds.by`` and ``shade``: for five million points in five classes that takes 90 ms a view on two
idle cores and 250 on busy ones, this 33 and 40. ``ds.by`` writes to a cube (y, x, class) at a random place for each
point; points that are sorted by their classes are counted class by class into arrays that stay in the cache.
"""

from itertools import pairwise
from typing import Any

import datashader as ds
import holoviews as hv
import numpy as np
import pandas as pd
import param
from fluxlens.app.plots.colour import rgb
from holoviews.operation.resample import ResampleOperation2D

MIN_ALPHA = 180
"""Opacity (of 255) of a single point: seen on a light and on a dark page."""


class shade_classes(ResampleOperation2D):
    """Counts the points of each class on the pixels of the screen and mixes the colours of the classes.

    The element has two axes and a categorical column. The result is a holoviews.RGB.
    """

    column = param.String(default="class", doc="Categorical column of the points.")
    colours = param.List(default=[], item_type=str, doc="#rrggbb of each category, in the categories' order.")

    def _process(self, element: Any, key: Any = None) -> Any:
        xdim, ydim = element.kdims
        # Sorted once, then counted at each zoom; the points of an element do not change.
        if element._plot_id not in self._precomputed:
            self._precomputed = {
                element._plot_id: split_by_class(element.data, xdim.name, ydim.name, self.p.column)
            }
        (x_range, y_range), _, (width, height), _ = self._get_sampling(element, xdim.name, ydim.name)
        # Points that share one value have no extent along its axis; a canvas needs one.
        x_range, y_range = (
            ends if ends[0] < ends[1] else (ends[0] - 0.5, ends[1] + 0.5) for ends in (x_range, y_range)
        )
        canvas = ds.Canvas(max(1, width), max(1, height), x_range, y_range)
        counts = np.stack(
            [
                canvas.points(block, "x", "y", agg=ds.count()).values
                for block in self._precomputed[element._plot_id]
            ]
        )  # (class, y, x), the lowest y first
        bounds = (x_range[0], y_range[0], x_range[1], y_range[1])
        return hv.RGB(mix_colours(counts, self.p.colours)[::-1], [xdim, ydim], bounds=bounds)


def split_by_class(points: pd.DataFrame, x: str, y: str, column: str) -> list[pd.DataFrame]:
    """Points in one table for each class.

    Parameters
    ----------
    points : pandas.DataFrame
        Columns ``x``, ``y`` (numbers) and ``column`` (categorical).
    x, y, column : str
        Names of the columns.

    Returns
    -------
    list of pandas.DataFrame
        Columns "x" and "y" of the points of each category, in the categories' order; those without a class in none.
    """
    kinds = points[column].cat
    # A stable sort of small integers is a radix sort: 90 ms for five million.
    codes = kinds.codes.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(kinds.categories) + 1))
    # The same names for all axes: Datashader compiles its loop anew for each pair of them.
    columns = {name: points[column].to_numpy()[order] for name, column in (("x", x), ("y", y))}
    return [
        pd.DataFrame({name: values[first:end] for name, values in columns.items()})
        for first, end in pairwise(ends)
    ]


def mix_colours(counts: np.ndarray, colours: list[str]) -> np.ndarray:
    """Colours of the screen's pixels: the mean of the classes' colours, the more opaque the more points.

    Parameters
    ----------
    counts : numpy.ndarray
        (class, y, x) number of points.
    colours : list of str
        #rrggbb of each class; at least as many as there are classes.

    Returns
    -------
    numpy.ndarray
        (y, x, 4) uint8 red, green, blue and opacity; all 0 where no point is.
    """
    inks = rgb(colours[: len(counts)]).astype("float32")  # (class, 3)
    flat = counts.reshape(len(counts), -1).astype("float32")  # (class, screen pixel)
    total = flat.sum(0)
    rgba = np.zeros((flat.shape[1], 4), "uint8")
    # The half rounds; where there is no point, 0 / 1.
    rgba[:, :3] = ((inks.T @ flat) / np.maximum(total, 1) + 0.5).T
    # By the logarithm, as the density: a few pixels are alike by the thousand, most are not. At least a decade, so that
    # single points do not become opaque where each stands alone.
    share = np.log(np.maximum(total, 1)) / np.log(max(10, total.max(initial=1)))
    rgba[:, 3] = np.where(total > 0, MIN_ALPHA + share * (255 - MIN_ALPHA), 0)
    # Transparent pixels are black, as in every other picture of the page.
    rgba[total == 0] = 0
    return rgba.reshape(*counts.shape[1:], 4)
