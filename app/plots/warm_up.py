"""Compiling of Datashader's loops before somebody waits for them: Numba takes seconds for each kind of picture."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.plots.area_lines import density_image
from fluxlens.app.plots.later import WORKER


def load_own_kernels() -> None:
    """Load the kernels of similarity, which no first page needs; those of series and GPP are loaded by then.

    Before Datashader's: Numba has one lock for all that it compiles or loads, and a page that needs a kernel for the
    first time would wait until Datashader's are compiled.
    """
    from fluxlens.embeddings.analysis import similarity

    ones, zeros = np.ones(3, "float32"), np.zeros(3, "float32")
    for dtype in ("int8", "float32"):  # of stored cubes, and of vectors made by others
        pixels = np.ones((2, 3), dtype)
        dot, length = similarity.agreement(pixels, ones, zeros, ones)
        similarity.cosine(dot, length, 1.0)
        similarity.project(pixels, np.ones((3, 3), "float32"), zeros)


def compile_area_lines() -> None:
    """Compile what counts the lines of an area's pixels."""
    days = pd.date_range("2020-01-01", periods=2)
    # float32, as GPP and decoded NDVI are: Numba compiles for each dtype.
    lines = xr.DataArray(np.eye(2, dtype="float32"), dims=("time", "pixel"), coords={"time": days})
    density_image(lines, 2, 2)


def compile_feature_space() -> None:
    """Compile what counts the points of feature space, in each colouring."""
    from fluxlens.app.plots.pixel_cloud import rasterize_points

    # Two points will do: a loop depends on names and dtypes of columns, not on their length.
    ends = np.array([0, 1], "float32")
    points = pd.DataFrame({"a": ends, "b": ends, "gpp_color": ends, "pixel": ends.astype("int32")})
    for color in ("density", "gpp"):  # classes are counted as the density is
        rasterize_points(points, "a", "b", color)[()]


@cache
def compile_soon(step: Callable[[], None]) -> None:
    """Compile something once in a process, in the thread of pictures that are drawn later.

    Parameters
    ----------
    step : callable
        One of the functions above.
    """
    WORKER.submit(step)


def compile_in_background() -> None:
    """Compile everything that is not compiled yet.

    Each step is a task of its own, so that a picture that somebody waits for is drawn between two of them.
    """
    for step in (load_own_kernels, compile_area_lines, compile_feature_space):
        compile_soon(step)
