"""A tower's GPP beside the prediction and the baselines, as HoloViews charts.

The charts are described once, by ``tower_marks`` and ``tower_tables``; ``tower_charts`` composes them, and
the dashboard draws them with ``TowerFigures``.
"""

from typing import Any

import numpy as np
import pandas as pd
from fluxlens.app.data.towers.comparison import LINES, TowerComparison
from fluxlens.app.palette import CLIMATOLOGY_COLOUR, GPP_DT_COLOUR, GPP_NT_COLOUR, PREDICTION_COLOUR
from fluxlens.app.plots.elements import CHART_WIDTH_PX, load_holoviews, make_title, time_dimension
from fluxlens.app.plots.marks import Mark, as_days, is_empty, make_element
from fluxlens.app.units import GPP_UNIT
from fluxlens.models.errors import InputError

LINE_COLOURS = {
    "model": PREDICTION_COLOUR,
    "day_of_year": CLIMATOLOGY_COLOUR,
    "nirv": "#0072b2",
    "p_model": "#b8860b",
}
FLUX_COLOURS = {"gpp_nt": GPP_NT_COLOUR, "gpp_dt": GPP_DT_COLOUR}
LEAP_YEAR = pd.date_range("2020-01-01", "2020-12-31")
"""Days of the mean cycle's axis: a leap year, so that 29 February has its place."""
SQUARE_PX = 260
"""Sides of the scatter's frame."""
TITLES = {
    "series": "Daily GPP",
    "scatter": "Predicted and measured",
    "anomaly": "Anomalies",
    "cycle": "Mean cycle",
}
DRAWING_ORDER = (*(name for name in LINES if name != "model"), "model")
"""The prediction is drawn last: baselines must not cover it."""
BEYOND_ANY_GPP = 100.0
"""Ends of the 1:1 line, gC m-2 d-1, so that it crosses the whole figure at every range."""


def tower_dimensions() -> dict[str, tuple]:
    """By chart: its x and y axes with labels and units."""
    hv = load_holoviews()
    time = time_dimension()
    return {
        "series": (time, hv.Dimension("gpp", label="GPP", unit=GPP_UNIT)),
        "scatter": (
            hv.Dimension("measured", label="Measured GPP", unit=GPP_UNIT),
            hv.Dimension("predicted", label="Predicted GPP", unit=GPP_UNIT),
        ),
        "cycle": (
            hv.Dimension("day_of_year", label="Day of the year"),
            hv.Dimension("gpp_mean", label="Mean GPP", unit=GPP_UNIT),
        ),
        "anomaly": (time, hv.Dimension("anomaly", label="GPP minus mean cycle", unit=GPP_UNIT)),
    }


def tower_marks(flux: str = "gpp_nt") -> dict[str, list[Mark]]:
    """By chart: its marks, from the lowest to the highest; ``flux`` gives the colour of the measurements."""
    dots = {"color": FLUX_COLOURS[flux], "size": 4, "alpha": 0.6, "line_color": None, "tools": ["hover"]}
    formatters = {"hover_formatters": {"@time": "datetime"}}
    model = {"color": LINE_COLOURS["model"], "alpha": 0.2, "line_alpha": 0}
    charts: dict[str, list[Mark]] = {
        "series": [Mark("90 % band", "Area", "band", ("time", "low", "high"), model)],
        "scatter": [
            Mark(
                "1:1",
                "Curve",
                "diagonal",
                ("x", "y"),
                {"color": "#7d8a98", "line_dash": "dashed", "line_width": 1},
            )
        ],
        "cycle": [],
        "anomaly": [],
    }
    for chart, column in (("series", "gpp"), ("cycle", "gpp"), ("anomaly", "anomaly")):
        # The seasonal cycle is of no single year.
        days = "%e %b" if chart == "cycle" else "%e %b %Y"
        tips = {"hover_tooltips": f"<b>@time{{{days}}}</b> @{column}{{0.0}} {GPP_UNIT}"}
        table = "cycle_measured" if chart == "cycle" else "measured"
        charts[chart].append(Mark("measured", "Scatter", table, ("time", column), dots | tips | formatters))
        for name in DRAWING_ORDER:
            line = {"color": LINE_COLOURS[name], "line_width": 1.5}
            charts[chart].append(Mark(LINES[name], "Curve", f"{chart}_{name}", ("time", "gpp"), line))
    for name in DRAWING_ORDER:
        tips = f"<b>@time{{%e %b %Y}}</b> measured @measured{{0.0}}, {LINES[name]} @predicted{{0.0}}"
        options = dots | formatters | {"color": LINE_COLOURS[name], "alpha": 0.45, "hover_tooltips": tips}
        charts["scatter"].append(
            Mark(LINES[name], "Scatter", f"scatter_{name}", ("measured", "predicted", "time"), options)
        )
    return charts


def tower_tables(comparison: TowerComparison | None) -> dict[str, dict]:
    """The tables that the marks of a comparison draw; without rows for None."""
    # Longer than any range: the figure cuts the line at its frame.
    ends = np.array([-BEYOND_ANY_GPP, BEYOND_ANY_GPP])
    tables: dict[str, dict] = {"diagonal": {"x": ends, "y": ends}}
    if comparison is None:
        nothing, no_days = np.empty(0), np.empty(0, "datetime64[ns]")
        tables |= {
            name: {"time": no_days, "gpp": nothing, "anomaly": nothing}
            for name in ("measured", "cycle_measured")
        }
        tables["band"] = {"time": no_days, "low": nothing, "high": nothing}
        for name in LINES:
            for chart in ("series", "cycle", "anomaly", "scatter"):
                tables[f"{chart}_{name}"] = {
                    "time": no_days,
                    "gpp": nothing,
                    "measured": nothing,
                    "predicted": nothing,
                }
        return tables
    time, cycle = as_days(comparison.time), as_days(LEAP_YEAR)
    tables["measured"] = {
        "time": time,
        "gpp": comparison.measured,
        "anomaly": comparison.anomaly(comparison.measured),
    }
    tables["cycle_measured"] = {"time": cycle, "gpp": comparison.climatology(comparison.measured)}
    # A band without its line would look like one of the baselines'.
    is_banded = "model" in comparison.lines
    tables["band"] = {
        "time": time,
        "low": comparison.low if is_banded else comparison.low * np.nan,
        "high": comparison.high if is_banded else comparison.high * np.nan,
    }
    for name in LINES:
        # A baseline that could not be made keeps its place in the charts, empty.
        known = name in comparison.lines
        measured, line = comparison.pair(name) if known else (comparison.measured * np.nan,) * 2
        tables[f"series_{name}"] = {"time": time, "gpp": comparison.lines.get(name, line)}
        # Of the days that are measured: else seasons of different years would be compared.
        tables[f"cycle_{name}"] = {"time": cycle, "gpp": comparison.climatology(line)}
        tables[f"anomaly_{name}"] = {"time": time, "gpp": comparison.anomaly(line)}
        # Points need both; Bokeh would send rows with NaN to the browser for nothing.
        is_pair = np.isfinite(line) & np.isfinite(measured)
        tables[f"scatter_{name}"] = {
            "measured": measured[is_pair],
            "predicted": line[is_pair],
            "time": time[is_pair],
        }
    return tables


def scatter_range(comparison: TowerComparison) -> tuple[float, float]:
    """One range for both axes of the scatter, so that the 1:1 line is a diagonal; gC m-2 d-1."""
    # Zero and one are always inside: a tower in winter must not blow up noise.
    everything = np.concatenate([comparison.measured, *comparison.lines.values(), [0.0, 1.0]])
    return float(min(0, np.nanmin(everything))), float(np.nanmax(everything) * 1.05)


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
    tables, marks, axes = tower_tables(comparison), tower_marks(flux), tower_dimensions()
    low, high = scatter_range(comparison)
    absent = {LINES[name] for name in LINES if name not in shown or name not in comparison.lines}
    if "model" not in shown or "model" not in comparison.lines:
        # A band without its line would look like one of the baselines'.
        absent.add("90 % band")
    charts = []
    for name, title in TITLES.items():
        # The scatter alone is square: its 1:1 line must be a diagonal.
        options = {
            "frame_width": SQUARE_PX if name == "scatter" else CHART_WIDTH_PX,
            "frame_height": SQUARE_PX,
            "show_grid": True,
            "legend_position": "bottom",
            "legend_cols": 3,
            "title": make_title(title, simulated),
        }
        if name == "scatter":
            options |= {"xlim": (low, high), "ylim": (low, high)}
        x, y = axes[name]
        # A chart whose marks are all empty keeps them: an overlay needs an element.
        drawn = [mark for mark in marks[name] if mark.label not in absent]
        drawn = [mark for mark in drawn if not is_empty(mark, tables)] or drawn
        overlay = hv.Overlay([make_element(mark, tables, x, y, LINE_COLOURS["model"]) for mark in drawn])
        overlay = overlay.opts(hv.opts.Overlay(**options))
        if name == "cycle":
            overlay.opts(hv.opts.Curve(xformatter=month_names()), hv.opts.Scatter(xformatter=month_names()))
        charts.append(overlay)
    return hv.Layout(charts).cols(2)


def month_names() -> Any:
    """Ticks of the mean cycle: months without the year, since it is the mean of several."""
    from bokeh.models import DatetimeTickFormatter

    return DatetimeTickFormatter(days="%e %b", months="%b", years="%b")
