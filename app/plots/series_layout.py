"""The series of a place as HoloViews charts on one time axis: NDVI, embedding, radar, GPP, weather."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.series import GAP_DAYS, find_gaps
from fluxlens.app.palette import (
    COMPONENT_COLOURS,
    GPP_DT_COLOUR,
    GPP_NT_COLOUR,
    PLACE_COLOURS,
    RADAR_COLOURS,
    THEMES,
    WEATHER_COLOURS,
)
from fluxlens.app.plots.elements import (
    CHART_WIDTH_PX,
    break_at_gaps,
    load_holoviews,
    make_title,
    time_dimension,
)
from fluxlens.models.errors import InputError

CHART_HEIGHT_PX = 130
GPP_UNIT = "gC m⁻² d⁻¹"
PASSAGE_GAP_DAYS = 25
"""Radar lines are interrupted where passages are further apart: two repeat cycles of one satellite."""
WEATHER_LABELS = {"sw_in": ("Shortwave radiation", "W m⁻²"), "tair": ("Air temperature", "°C")}
FLUXES = {"gpp_nt": ("tower, night-time", GPP_NT_COLOUR), "gpp_dt": ("tower, day-time", GPP_DT_COLOUR)}


def series_charts(
    series: Any,
    weather: xr.Dataset | None = None,
    tower: xr.Dataset | None = None,
    simulated: bool = False,
    colour: str = PLACE_COLOURS[0],
    width: int = CHART_WIDTH_PX,
) -> Any:
    """Charts of one place under one another; pan and zoom of one moves all.

    Full dots are observed (clear acquisitions, radar passages, tower days), hollow dots are masked acquisitions, lines
    are filled by the model. Lines are interrupted and the background is grey where nothing clear was seen for
    ``GAP_DAYS`` days.

    Parameters
    ----------
    series : xarray.Dataset or holoviews.streams.Pipe
        As ``ExplorerData.place_series`` gives it, of a pixel or an area. A pipe draws what is sent into it: charts are
        built once and only their sources change; all its series must have the same variables.
    weather : xarray.Dataset, optional
        Daily ``sw_in`` in W m-2 and ``tair`` in degC (time).
    tower : xarray.Dataset, optional
        Measured ``gpp_nt`` and ``gpp_dt`` in gC m-2 d-1 (time).
    simulated : bool
        Whether the numbers were made by a simulator; the titles say so.
    colour : str
        Colour #rrggbb of the place.
    width : int
        Width of the frames, screen pixels.

    Returns
    -------
    holoviews.Layout
        One column of charts, those of which ``series`` has the numbers.

    Raises
    ------
    InputError
        A series with nothing to draw.
    """
    hv = load_holoviews()
    # With a Pipe the charts follow its data; without one they are plain elements to keep.
    pipe = series if isinstance(series, hv.streams.Pipe) else None
    current = series.data if pipe is not None else series
    period = slice(current.time.values[0], current.time.values[-1])
    if tower is not None:
        tower = tower.sel(time=period)
    makers: dict[str, tuple[bool, Callable]] = {
        "NDVI": ("ndvi" in current or "ndvi_decoded" in current, lambda one: _make_ndvi(one, colour)),
        "Embedding": ("pc" in current, _make_components),
        "Radar backscatter": ("VV" in current or "VH" in current, _make_radar),
        "GPP": ("gpp" in current or tower is not None, lambda one: _make_gpp(one, tower, colour)),
    }
    options = {"frame_width": width, "frame_height": CHART_HEIGHT_PX, "show_grid": True}
    overlay_options = {**options, "legend_position": "right", "show_legend": True}
    charts = []
    for title, (is_known, make) in makers.items():
        # A chart without data would only be an empty frame.
        if not is_known:
            continue
        heading = make_title(title, simulated)

        def draw(data, make=make, heading=heading):
            gaps = _make_gaps(data)
            # last, since HoloViews takes the axes' labels from the first element
            return (make(data) * gaps).opts(hv.opts.Overlay(title=heading, **overlay_options))

        charts.append(draw(current) if pipe is None else hv.DynamicMap(draw, streams=[pipe]))
    for name in WEATHER_LABELS if weather is not None else ():
        if name in weather:
            charts.append(_make_weather(weather.sel(time=period), name, simulated).opts(**options))
    if not charts:
        raise InputError(
            "Got a series without NDVI, pc, VV, VH or gpp, need one of them; take ExplorerData.place_series."
        )
    # shared_axes links equal dimensions: time is one dimension, the y dimensions differ from chart to chart
    return hv.Layout(charts).cols(1).opts(hv.opts.Layout(shared_axes=True))


def clear_times(series: xr.Dataset) -> pd.DatetimeIndex:
    """Times of the clear acquisitions in a ``series``, or of the days whose nearest one is 0 days away."""
    if "ndvi" in series:
        clear = series.clear.values.astype(bool) & np.isfinite(series.ndvi.values)
        return pd.DatetimeIndex(series.acquisition.values[clear])
    return pd.DatetimeIndex(series.time.values[series.days_from_s2.values == 0])


def _make_gaps(series: xr.Dataset) -> Any:
    import holoviews as hv

    first, last = pd.DatetimeIndex(series.time.values[[0, -1]])
    spans = find_gaps(clear_times(series), first, last) if "days_from_s2" in series else []
    label = f"no clear view for {GAP_DAYS} days"
    shade = {"color": THEMES["light"]["shade"], "alpha": 0.22, "line_alpha": 0}
    return hv.VSpans(spans, time_dimension_pair()).relabel(label).opts(**shade)


def time_dimension_pair() -> list:
    """Start and end of a span on the common time axis."""
    hv = load_holoviews()
    return [hv.Dimension("time", label="Date, UTC"), hv.Dimension("time_end", label="End of the gap")]


def _make_ndvi(series: xr.Dataset, colour: str) -> Any:
    import holoviews as hv

    time, ndvi = time_dimension(), hv.Dimension("ndvi", label="NDVI")
    parts = []
    if "ndvi_decoded" in series:
        line = break_at_gaps(pd.DatetimeIndex(series.time.values), series.ndvi_decoded.values)
        parts.append(hv.Curve(line, time, ndvi, label="filled, read off the embedding").opts(color=colour))
    if "ndvi" not in series:
        return hv.Overlay(parts)
    times, values = pd.DatetimeIndex(series.acquisition.values), series.ndvi.values
    clear, known = series.clear.values.astype(bool), np.isfinite(values)
    if "ndvi_lo" in series:
        ends = break_at_gaps(
            times[clear & known],
            *(series[n].values[clear & known] for n in ("ndvi_lo", "ndvi_hi")),
            min_days=GAP_DAYS,
        )
        spread = hv.Area(
            ends, time, [ndvi, hv.Dimension("ndvi_hi", label="95 %")], label="5 to 95 % of the area"
        )
        parts.insert(0, spread.opts(color=colour, alpha=0.2, line_alpha=0))
    dots = {"tools": ["hover"], "size": 6}
    seen = hv.Scatter((times[clear & known], values[clear & known]), time, ndvi, label="observed, clear")
    # Hollow marks: measured under cloud, shown so that the reader sees what was set aside.
    masked = hv.Scatter((times[~clear & known], values[~clear & known]), time, ndvi, label="observed, masked")
    parts.append(seen.opts(color=colour, line_color=None, **dots))
    parts.append(masked.opts(fill_alpha=0, line_color=colour, line_alpha=0.6, **dots))
    return hv.Overlay(parts)


def _make_components(series: xr.Dataset) -> Any:
    import holoviews as hv

    time, score = time_dimension(), hv.Dimension("pc", label="Component score")
    observed = series.days_from_s2.values == 0
    days = pd.DatetimeIndex(series.time.values)
    parts = []
    for i, name in enumerate(str(name) for name in series.component.values):
        values, colour = series.pc.values[:, i], COMPONENT_COLOURS[name]
        if "pc_lo" in series:
            ends = break_at_gaps(days, series.pc_lo.values[:, i], series.pc_hi.values[:, i])
            spread = hv.Area(
                ends, time, [score, hv.Dimension("pc_hi", label="95 %")], label=f"{name} 5 to 95 %"
            )
            parts.append(spread.opts(color=colour, alpha=0.15, line_alpha=0))
        # A gap in the days is a gap in the line, never a straight bridge.
        line = hv.Curve(break_at_gaps(days, values), time, score, label=f"{name}, filled")
        parts.append(line.opts(color=colour, tools=["hover"]))
        dots = hv.Scatter((days[observed], values[observed]), time, score, label=f"{name}, S2 that day")
        parts.append(dots.opts(color=colour, size=4))
    return hv.Overlay(parts)


def _make_radar(series: xr.Dataset) -> Any:
    import holoviews as hv

    time, db = time_dimension(), hv.Dimension("backscatter", label="Backscatter", unit="dB")
    times, parts = pd.DatetimeIndex(series.passage.values), []
    for band, colour in RADAR_COLOURS.items():
        if band not in series:
            continue
        # Passes come every 6 or 12 days; only longer holes are gaps.
        line = break_at_gaps(times, series[band].values, min_days=PASSAGE_GAP_DAYS)
        parts.append(hv.Curve(line, time, db, label=f"{band} ").opts(color=colour, line_width=1, alpha=0.6))
        dots = hv.Scatter((times, series[band].values), time, db, label=f"{band}, observed")
        parts.append(dots.opts(color=colour, size=4, tools=["hover"]))
    return hv.Overlay(parts)


def _make_gpp(series: xr.Dataset, tower: xr.Dataset | None, colour: str) -> Any:
    import holoviews as hv

    time, gpp = time_dimension(), hv.Dimension("gpp", label="GPP", unit=GPP_UNIT)
    days, parts = pd.DatetimeIndex(series.time.values), []
    if "gpp_lo" in series:
        ends = break_at_gaps(days, series.gpp_lo.values, series.gpp_hi.values)
        # the lower end is named like the line, so that both are on one axis
        # a pixel's ends are the 90 % band of the prediction, an area's the spread of its pixels
        label = "5 to 95 % of the area" if "pixels" in series.attrs else "90 % band"
        band = hv.Area(
            ends, time, [gpp, hv.Dimension("gpp_hi", label="upper end", unit=GPP_UNIT)], label=label
        )
        parts.append(band.opts(color=colour, alpha=0.2, line_alpha=0))
    if "gpp" in series:
        line = hv.Curve(break_at_gaps(days, series.gpp.values), time, gpp, label="predicted")
        parts.append(line.opts(color=colour, tools=["hover"]))
    for name, (label, dot_colour) in FLUXES.items() if tower is not None else ():
        if name in tower:
            known = np.isfinite(tower[name].values)
            at = pd.DatetimeIndex(tower.time.values)[known], tower[name].values[known]
            dots = hv.Scatter(at, time, gpp, label=label)
            parts.append(dots.opts(color=dot_colour, size=4, alpha=0.75, tools=["hover"]))
    return hv.Overlay(parts)


def _make_weather(weather: xr.Dataset, name: str, simulated: bool) -> Any:
    import holoviews as hv

    label, unit = WEATHER_LABELS[name]
    line = break_at_gaps(pd.DatetimeIndex(weather.time.values), weather[name].values)
    curve = hv.Curve(line, time_dimension(), hv.Dimension(name, label=label, unit=unit))
    return curve.opts(color=WEATHER_COLOURS[name], tools=["hover"], title=make_title(label, simulated))
