"""What all HoloViews figures share: the backend, dimensions with units, titles that say "simulated", the hover."""

import re
from typing import Any

import numpy as np
import pandas as pd
from fluxlens.app.units import UNIT_SIGNS
from fluxlens.embeddings.geometry import Grid

CHART_WIDTH_PX = 620
"""Width of a chart's frame where the caller sets none."""


def load_holoviews() -> Any:
    """HoloViews with its Bokeh backend, imported at the first figure: the import costs seconds.

    Returns
    -------
    module
        ``holoviews``.
    """
    import holoviews as hv

    # hv.renderer loads a backend without the JavaScript that hv.extension puts into a notebook's cell.
    previous = hv.Store.current_backend
    hv.renderer("bokeh")
    # In a notebook Panel names the backend without what ``hv.opts`` gets by this call.
    if previous not in hv.Store.renderers or (previous == "bokeh" and "Image" not in vars(hv.opts)):
        hv.Store.set_current_backend("bokeh")
    return hv


def format_unit(units: str) -> str | None:
    """CF ``units`` as an axis prints them; None for a bare number."""
    return UNIT_SIGNS.get(units, units) or None


def map_dimensions(crs: str) -> list:
    """The map's axes, x and y in metres.

    Parameters
    ----------
    crs : str
        CRS of the scene, such as "EPSG:32632"; named on the axes.

    Returns
    -------
    list of holoviews.Dimension
        x (easting) and y (northing).
    """
    hv = load_holoviews()
    return [
        hv.Dimension("x", label=f"Easting, {crs}", unit="m"),
        hv.Dimension("y", label=f"Northing, {crs}", unit="m"),
    ]


def time_dimension() -> Any:
    """The one time axis of all charts: equal dimensions are what links their ranges."""
    return load_holoviews().Dimension("time", label="Date, UTC")


def make_title(text: str, simulated: bool) -> str:
    """A figure's title: ``text``, and whether its numbers are ``simulated``."""
    return f"{text}, simulated" if simulated and "simulated" not in text else text


def lonlat_terms(grid: Grid) -> tuple[list[float], list[float], tuple[float, float, float, float]]:
    """Longitude and latitude as quadratics of x and y, so that the browser's hover needs no projection library.

    Parameters
    ----------
    grid : Grid
        Grid of the scene.

    Returns
    -------
    lon, lat : list of float
        Coefficients of 1, u, v, u2, uv, v2 with u, v the location scaled to -1 .. 1 over the extent; least squares on
        49 points, within centimetres over 10 km.
    place : tuple of float
        x and y of the centre, and half the width and height, metres.
    """
    left, bottom, right, top = grid.extent
    cx, cy, hx, hy = (left + right) / 2, (bottom + top) / 2, (right - left) / 2, (top - bottom) / 2
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 7)))
    # Scaled to -1 .. 1 before squares are taken: metres of UTM squared would leave least squares without digits.
    design = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)  # (point, term)
    lon, lat = grid.lonlat(cx + u * hx, cy + v * hy)
    terms = [np.linalg.lstsq(design, np.asarray(values), rcond=None)[0].tolist() for values in (lon, lat)]
    return terms[0], terms[1], (cx, cy, hx, hy)


def lonlat_hover(grid: Grid) -> Any:
    """A formatter of the hover that writes the pointer's latitude and longitude on a ``grid``.

    Returns
    -------
    bokeh.models.CustomJSHover
        For ``$x{custom}``.
    """
    from bokeh.models import CustomJSHover

    lon, lat, place = lonlat_terms(grid)
    return CustomJSHover(
        args={"lon": lon, "lat": lat, "place": list(place)},
        code="""
        const u = (special_vars.x - place[0]) / place[2], v = (special_vars.y - place[1]) / place[3];
        const at = (c) => c[0] + c[1]*u + c[2]*v + c[3]*u*u + c[4]*u*v + c[5]*v*v;
        const degrees = (v, ends) => Math.abs(v).toFixed(5) + "° " + ends[v < 0 ? 1 : 0];
        return degrees(at(lat), "NS") + ", " + degrees(at(lon), "EW");
    """,
    )


def break_at_gaps(time: pd.DatetimeIndex, *columns: np.ndarray, min_days: float = 1.5) -> tuple:
    """Insert a NaN into every long gap, so that lines are interrupted there.

    Parameters
    ----------
    time : pandas.DatetimeIndex
        Rising.
    *columns : numpy.ndarray
        (time,) each.
    min_days : float
        Neighbours farther apart than this get a NaN between them.

    Returns
    -------
    tuple
        Times and columns, longer by one for each gap.
    """
    holes = np.flatnonzero(np.diff(time) > pd.Timedelta(days=min_days)) + 1
    if not len(holes):
        return time, *columns
    # Half a day behind the last value: between two neighbours, wherever the next one is.
    middle = time[holes - 1] + pd.Timedelta(hours=12)
    return pd.DatetimeIndex(np.insert(time.values, holes, middle.values)), *(
        np.insert(np.asarray(c, "float32"), holes, np.nan) for c in columns
    )


def column_name(name: str) -> str:
    """``name`` as a column of a Bokeh source that a tooltip can refer to: letters, digits and underscores."""
    return re.sub(r"\W", "_", name)
