"""The series of all pixels of an area as a density of lines, under their mean and spread."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.areas import PERCENTILES
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.plots.elements import (
    CHART_WIDTH_PX,
    format_unit,
    load_holoviews,
    make_title,
    time_dimension,
)
from fluxlens.models.errors import InputError

FRAME_HEIGHT_PX = 240


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

    values = series.transpose("pixel", "time").values.astype("float32")
    days = pd.DatetimeIndex(series.time.values)
    name = str(series.attrs.get("long_name") or series.name or "value")
    unit = format_unit(str(series.attrs.get("units", "")))
    time, height = time_dimension(), hv.Dimension(str(series.name or "value"), label=name, unit=unit)
    # All lines are one, interrupted by a NaN after each pixel: one glyph of 4.7 million points takes Datashader a
    # fraction of what 6,400 elements take HoloViews.
    count = len(values)
    stamps = np.tile(np.append(days.values, days.values[-1]), count)
    broken = np.column_stack([values, np.full(count, np.nan, "float32")]).ravel()
    lines = hv.Curve(pd.DataFrame({"time": stamps, height.name: broken}), time, height)
    density = rasterize(lines, aggregator="count", precompute=True)
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
