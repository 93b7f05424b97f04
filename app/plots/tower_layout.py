"""A tower's GPP beside the prediction and the baselines, as HoloViews charts."""

from typing import Any

import numpy as np
import pandas as pd
from fluxlens.app.data.towers.comparison import LINES, TowerComparison
from fluxlens.app.palette import CLIMATOLOGY_COLOUR, GPP_DT_COLOUR, GPP_NT_COLOUR, PLACE_COLOURS
from fluxlens.app.plots.elements import CHART_WIDTH_PX, load_holoviews, make_title, time_dimension
from fluxlens.models.errors import InputError

LINE_COLOURS = {
    "model": PLACE_COLOURS[0],
    "day_of_year": CLIMATOLOGY_COLOUR,
    "nirv": PLACE_COLOURS[1],
    "p_model": PLACE_COLOURS[3],
}
FLUX_COLOURS = {"gpp_nt": GPP_NT_COLOUR, "gpp_dt": GPP_DT_COLOUR}
GPP_UNIT = "gC m⁻² d⁻¹"
LEAP_YEAR = pd.date_range("2020-01-01", "2020-12-31")
"""Days of the mean cycle's axis."""
SQUARE_PX = 260
"""Sides of the scatter's frame."""


def tower_charts(
    comparison: TowerComparison,
    flux: str = "gpp_nt",
    shown: tuple[str, ...] = tuple(LINES),
    simulated: bool = False,
) -> Any:
    """Series, scatter with the 1:1 line, mean cycle and anomalies; baselines stand beside the prediction as equals.

    Parameters
    ----------
    comparison : TowerComparison
        As ``ExplorerData.compare_tower`` gives it.
    flux : str
        "gpp_nt" or "gpp_dt": colour of the measurements.
    shown : tuple of str
        Names of ``LINES`` that are drawn, where the comparison has them.
    simulated : bool
        Whether the numbers were made by a simulator; the titles say so.

    Returns
    -------
    holoviews.Layout
        Four charts in two columns.

    Raises
    ------
    InputError
        A flux or a line of another name.
    """
    hv = load_holoviews()
    if flux not in FLUX_COLOURS:
        raise InputError(f"Got the flux {flux!r}, need gpp_nt or gpp_dt; choose one.")
    unknown = set(shown) - set(LINES)
    if unknown:
        raise InputError(f"Got the lines {sorted(unknown)}, need some of {list(LINES)}; choose those.")
    names = [name for name in LINES if name in shown and name in comparison.lines]
    colour = FLUX_COLOURS[flux]
    time, gpp = time_dimension(), hv.Dimension("gpp", label="GPP", unit=GPP_UNIT)
    known = np.isfinite(comparison.measured)

    def measured(days, values, axis, height):
        dots = hv.Scatter((days, values), axis, height, label="measured")
        return dots.opts(color=colour, size=4, alpha=0.6, tools=["hover"])

    def line(name, days, values, axis, height):
        curve = hv.Curve((days, values), axis, height, label=LINES[name])
        return curve.opts(color=LINE_COLOURS[name], line_width=1.5)

    def drawn(order):
        # the prediction is drawn last: baselines must not cover it
        return [name for name in order if name != "model"] + [name for name in order if name == "model"]

    parts: list = []
    if "model" in names:
        ends = (comparison.time, comparison.low, comparison.high)
        band = hv.Area(
            ends, time, [gpp, hv.Dimension("gpp_hi", label="upper end", unit=GPP_UNIT)], label="90 % band"
        )
        parts.append(band.opts(color=LINE_COLOURS["model"], alpha=0.2, line_alpha=0))
    parts.append(measured(comparison.time[known], comparison.measured[known], time, gpp))
    parts += [line(name, comparison.time, comparison.lines[name], time, gpp) for name in drawn(names)]
    series = hv.Overlay(parts).opts(title=make_title("Daily GPP", simulated))

    day = hv.Dimension("day_of_year", label="Day of the year")
    mean = hv.Dimension("gpp_mean", label="Mean GPP", unit=GPP_UNIT)
    parts = [measured(LEAP_YEAR, comparison.climatology(comparison.measured), day, mean)]
    for name in drawn(names):
        # of the days that are measured: else seasons of different years would be compared
        parts.append(line(name, LEAP_YEAR, comparison.climatology(comparison.pair(name)[1]), day, mean))
    cycle = hv.Overlay(parts).opts(title=make_title("Mean cycle", simulated))

    departure = hv.Dimension("anomaly", label="GPP less mean cycle", unit=GPP_UNIT)
    parts = [measured(comparison.time, comparison.anomaly(comparison.measured), time, departure)]
    for name in drawn(names):
        anomaly = comparison.anomaly(comparison.pair(name)[1])
        parts.append(line(name, comparison.time, anomaly, time, departure))
    anomalies = hv.Overlay(parts).opts(title=make_title("Anomalies", simulated))

    scatter = _make_scatter(comparison, drawn(names)).opts(
        title=make_title("Predicted and measured", simulated)
    )
    wide = {"frame_width": CHART_WIDTH_PX, "frame_height": SQUARE_PX, "show_grid": True}
    legend = {"legend_position": "bottom", "legend_cols": 3}
    for chart in (series, cycle, anomalies):
        chart.opts(**wide, **legend)
    cycle.opts(hv.opts.Curve(xformatter=_month_names()), hv.opts.Scatter(xformatter=_month_names()))
    scatter.opts(frame_width=SQUARE_PX, frame_height=SQUARE_PX, show_grid=True, **legend)
    return hv.Layout([series, scatter, anomalies, cycle]).cols(2)


def _make_scatter(comparison: TowerComparison, names: list[str]) -> Any:
    """Predicted over measured GPP on equal axes with the 1:1 line."""
    import holoviews as hv

    everything = np.concatenate([comparison.measured, *comparison.lines.values(), [0.0, 1.0]])
    low, high = float(min(0, np.nanmin(everything))), float(np.nanmax(everything) * 1.05)
    x = hv.Dimension("measured", label="Measured GPP", unit=GPP_UNIT)
    y = hv.Dimension("predicted", label="Predicted GPP", unit=GPP_UNIT)
    parts = [
        hv.Curve([(low, low), (high, high)], x, y, label="1:1").opts(color="#7d8a98", line_dash="dashed")
    ]
    for name in names:
        measured, line = comparison.pair(name)
        known = np.isfinite(line)
        columns = (measured[known], line[known], comparison.time[known])
        day = hv.Dimension("day", label="Date, UTC")
        dots = hv.Scatter(columns, x, [y, day], label=LINES[name])
        parts.append(dots.opts(color=LINE_COLOURS[name], size=4, alpha=0.45, tools=["hover"]))
    return hv.Overlay(parts).opts(xlim=(low, high), ylim=(low, high))


def _month_names() -> Any:
    """Ticks of the mean cycle: months without the year, since it is the mean of several."""
    from bokeh.models import DatetimeTickFormatter

    return DatetimeTickFormatter(days="%e %b", months="%b", years="%b")
