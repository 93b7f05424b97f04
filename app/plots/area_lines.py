"""The series of all pixels of an area as a density of lines, under their mean and spread."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.areas import PERCENTILES
from fluxlens.app.palette import AREA_LINES_COLOUR, PLACE_COLOURS
from fluxlens.app.plots.colour import rgb
from fluxlens.app.plots.elements import (
    CHART_WIDTH_PX,
    format_unit,
    load_holoviews,
    make_title,
    time_dimension,
)
from fluxlens.models.errors import InputError

FRAME_HEIGHT_PX = 240
PIXEL_LINES = {"ndvi": "ndvi_decoded_pixels", "gpp": "gpp_pixels"}
"""By chart: the variable (time, pixel) whose lines it shows of an area."""
MIN_ALPHA, MAX_ALPHA = 40, 190
"""Opacity (of 255) where one line runs and where most run: a single line is seen, and the mean over all of them."""


def joined_lines(values: np.ndarray, days: pd.DatetimeIndex) -> pd.DataFrame:
    """The lines of all pixels as one, interrupted after each pixel.

    One line of 4.7 million points takes Datashader a fraction of what 6,400 elements take HoloViews.

    Parameters
    ----------
    values : numpy.ndarray
        (pixel, time); NaN interrupts a line.
    days : pandas.DatetimeIndex
        (time,).

    Returns
    -------
    pandas.DataFrame
        Columns "time" (datetime64[ns]) and "value" (float32).
    """
    count = len(values)
    # Each pixel gets one row more, whose NaN ends its line before the next pixel's.
    stamps = np.tile(np.append(days.values, days.values[-1]), count)
    broken = np.column_stack([values.astype("float32"), np.full(count, np.nan, "float32")]).ravel()
    return pd.DataFrame({"time": stamps.astype("datetime64[ns]"), "value": broken})


def density_image(series: xr.DataArray, width: int, height: int, time_range: tuple | None = None) -> dict:
    """The lines of all pixels of an area as an image for a chart: the more lines run through, the less transparent.

    Parameters
    ----------
    series : xarray.DataArray
        (time, pixel) in any order.
    width, height : int
        Size of the chart's frame, screen pixels.
    time_range : tuple of datetime-like, optional
        Ends of the part that is drawn; None: the whole period.

    Returns
    -------
    dict
        "rgba" (y, x, 4) uint8 with the highest values first, and "extent": first time, lowest value, last time, highest
        value. Without rows to draw, one transparent pixel.
    """
    values, days = series.transpose("pixel", "time").values, pd.DatetimeIndex(series.time.values)
    first, last = (pd.Timestamp(end) for end in (time_range or (days[0], days[-1])))
    if not np.isfinite(values).any() or first >= last:
        return empty_density(series.time.values)
    import datashader as ds

    lines = joined_lines(values, days)
    # Datashader counts along numbers; as HoloViews does, nanoseconds stand for times.
    lines["time"] = lines["time"].astype("int64")
    # The values' range does not depend on the part shown, so that the image does not jump while the user zooms.
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    # A line that is level all the time has no height; a frame needs one.
    high = max(high, low + 1e-3)
    canvas = ds.Canvas(max(1, int(width)), max(1, int(height)), (first.value, last.value), (low, high))
    counts = canvas.line(lines, "time", "value", agg=ds.count()).values[::-1]  # (y, x), highest first
    rgba = np.zeros((*counts.shape, 4), "uint8")
    rgba[..., :3] = rgb([AREA_LINES_COLOUR])
    # By the square root: most lines run together for most of the year, and single ones are what the image adds. By the
    # logarithm all of a narrow chart would be as dark as its mean.
    share = np.sqrt(np.maximum(counts.astype(float) - 1, 0) / max(1, counts.max() - 1))
    rgba[..., 3] = np.where(counts > 0, MIN_ALPHA + share * (MAX_ALPHA - MIN_ALPHA), 0)
    return {"rgba": rgba, "extent": (first.to_datetime64(), low, last.to_datetime64(), high)}


def empty_density(times: np.ndarray, level: float = 0.0) -> dict:
    """A transparent image at a ``level`` of the y axis, over all ``times`` (datetime64)."""
    # Two pixels a side, from which HoloViews can tell their size; inside the frame, since the browser fits the axis to
    # whatever is drawn.
    ends = (np.datetime64(times[0], "ns"), level, np.datetime64(times[-1], "ns"), level + 1e-6)
    return {"rgba": np.zeros((2, 2, 4), "uint8"), "extent": ends}


def density_tables(series: xr.Dataset, width: int, height: int, time_range: tuple | None = None) -> dict:
    """By table of the charts: the density of an area's lines, transparent where ``series`` is that of a pixel.

    Parameters
    ----------
    series : xarray.Dataset
        As ``ExplorerData.place_series``.
    width, height : int
        Size of the charts' frames, screen pixels.
    time_range : tuple of datetime-like, optional
        Ends of the part that is drawn; None: the whole period.
    """
    return {
        f"lines_{chart}": density_image(series[name], width, height, time_range)
        for chart, name in PIXEL_LINES.items()
        if name in series
    }


def area_density(
    series: xr.DataArray,
    simulated: bool = False,
    colour: str = PLACE_COLOURS[0],
    palette: str = "CET_L1",
    width: int = CHART_WIDTH_PX,
) -> Any:
    """One line for each pixel, datashaded: darker where more lines run, under the mean and 5 and 95 %.

    Parameters
    ----------
    series : xarray.DataArray
        (time, pixel) in any order, such as ``gpp.predict(areas.read_pixels(...), weather).gpp``; NaN interrupts a line.
        Its ``long_name`` and ``units`` label the axis.
    simulated : bool
        Whether the numbers were made by a simulator; the title says so.
    colour : str
        Colour #rrggbb of mean and spread.
    palette : str
        A colorcet palette, from few to many lines.
    width : int
        Width of the frame, screen pixels.

    Returns
    -------
    holoviews.Overlay
        The rasterised lines (number of line segments at each screen pixel), mean and ends of the spread.

    Raises
    ------
    InputError
        An array with other dims.
    """
    if set(series.dims) != {"time", "pixel"}:
        raise InputError(f"Got a series of {series.dims}, need (time, pixel); stack the pixels.")
    hv = load_holoviews()
    import colorcet
    from holoviews.operation.datashader import rasterize

    values = series.transpose("pixel", "time").values
    days = pd.DatetimeIndex(series.time.values)
    name = str(series.attrs.get("long_name") or series.name or "value")
    unit = format_unit(str(series.attrs.get("units", "")))
    time, height = time_dimension(), hv.Dimension(str(series.name or "value"), label=name, unit=unit)
    count, joined = len(values), joined_lines(values, days)
    lines = hv.Curve(joined.rename(columns={"value": height.name}), time, height)
    density = rasterize(lines, aggregator="count", precompute=True)
    # Without the lightest colours, and by the logarithm of the count: single lines would else vanish.
    shade = {"cmap": list(reversed(colorcet.palette[palette]))[20:], "cnorm": "log", "colorbar": True}
    density = density.opts(hv.opts.Image(**shade, clabel="line segments", tools=["hover"]))
    low, high = np.nanpercentile(values, PERCENTILES, axis=0)
    ends = [
        hv.Curve((days, end), time, height, label=f"{share} %").opts(
            color=colour, line_width=1, line_dash="dashed"
        )
        for share, end in zip(PERCENTILES, (low, high), strict=True)
    ]
    mean = hv.Curve((days, np.nanmean(values, axis=0)), time, height, label=f"mean of {count} pixels")
    title = make_title(f"{name}, {count} pixels", simulated)
    overlay = density * hv.Overlay([*ends, mean.opts(color=colour, line_width=2)])
    options = {
        "frame_width": width,
        "frame_height": FRAME_HEIGHT_PX,
        "title": title,
        "legend_position": "bottom",
    }
    return overlay.opts(hv.opts.Overlay(**options))
