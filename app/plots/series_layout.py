"""The series of a place as HoloViews charts on one time axis: NDVI, embedding, radar, GPP, weather.

The charts are described once, by ``chart_marks`` and ``series_tables``; ``series_charts`` composes them, and
the dashboard draws them with ``SeriesFigures``.

Long on purpose: the tables of a series and the marks that read their columns stand side by side.
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.series import GAP_DAYS, find_gaps
from fluxlens.app.palette import (
    CLIMATOLOGY_COLOUR,
    COMPONENT_COLOURS,
    GPP_DT_COLOUR,
    GPP_NT_COLOUR,
    PLACE_COLOURS,
    RADAR_COLOURS,
    THEMES,
    WEATHER_COLOURS,
)
from fluxlens.app.plots.area_lines import PIXEL_LINES, density_tables, empty_density
from fluxlens.app.plots.elements import (
    CHART_WIDTH_PX,
    break_at_gaps,
    load_holoviews,
    make_title,
    time_dimension,
)
from fluxlens.app.plots.marks import Mark, as_days, is_empty, make_element
from fluxlens.app.units import GPP_UNIT
from fluxlens.models.errors import InputError

CHART_HEIGHT_PX = 130
PASSAGE_GAP_DAYS = 25
"""Radar lines are interrupted where passages are further apart: two repeat cycles of one satellite."""
TITLES = {"ndvi": "NDVI", "pc": "Embedding", "radar": "Radar", "gpp": "GPP", "weather": "Weather"}
TOWER_COLUMNS = ("gpp_nt", "gpp_nt_05", "gpp_nt_95", "gpp_dt", "gpp_usual")
"""Columns of a tower that are drawn; the percentiles bound the uncertainty of its night-time partitioning."""
COMPONENT_ENDS = [f"{name}{end}" for name in COMPONENT_COLOURS for end in ("", "_lo", "_hi", "_s2")]
_COLUMNS = {
    "gaps": ("left", "right"),
    "clear": ("time", "ndvi"),
    "season": ("time", "ndvi", "ndvi_lo", "ndvi_hi"),
    "masked": ("time", "ndvi"),
    "daily": ("time", "days", *COMPONENT_ENDS, "ndvi_decoded", "gpp", "gpp_lo", "gpp_hi"),
    "radar": ("time", *RADAR_COLOURS, *(f"{band}_line" for band in RADAR_COLOURS)),
    "tower": ("time", *TOWER_COLUMNS),
    "weather": ("time", *WEATHER_COLOURS),
} | {f"others_{name}": ("xs", "ys", "colour") for name in TITLES if name != "weather"}
AREA_LINES = "all pixels of the area"
"""Label of the lines of an area's pixels, in marks and legends."""
_TIMES = ("time", "left", "right")


def empty_tables() -> dict[str, dict]:
    """Tables of a series without rows."""
    nowhere = empty_density(np.array(["1970-01-01", "1970-01-02"], "datetime64[ns]"))
    return {
        table: {name: np.empty(0, "datetime64[ns]" if name in _TIMES else float) for name in names}
        for table, names in _COLUMNS.items()
    } | {f"lines_{chart}": nowhere for chart in PIXEL_LINES}


def chart_dimensions() -> dict[str, Any]:
    """By chart: its y axis with label and unit."""
    hv = load_holoviews()
    return {
        "ndvi": hv.Dimension("ndvi", label="NDVI"),
        "pc": hv.Dimension("pc", label="Component score"),
        "radar": hv.Dimension("backscatter", label="Backscatter", unit="dB"),
        "gpp": hv.Dimension("gpp", label="GPP", unit=GPP_UNIT),
        "weather": hv.Dimension("sw_in", label="Shortwave radiation", unit="W m⁻²"),
        "tair": hv.Dimension("tair", label="Air temperature", unit="°C"),
    }


def _hover(text: str, mode: str = "mouse") -> dict:
    """Options of an element whose hover shows the date and ``text``."""
    return {
        "tools": ["hover"],
        "hover_tooltips": f"<b>@time{{%e %b %Y}}</b> {text}",
        "hover_formatters": {"@time": "datetime"},
        "hover_mode": mode,
    }


BAND = {"alpha": 0.2, "line_alpha": 0}
"""Of the area between two ends."""

DOT = {"line_color": None}


def chart_marks(spread: str = "90 % band") -> dict[str, list[Mark]]:
    """By chart: its marks, from the lowest to the highest.

    Full dots are observed (clear acquisitions, radar passages, tower days), hollow dots are masked acquisitions, lines
    are filled by the model.

    Parameters
    ----------
    spread : str
        What the ends of GPP are: the band of a pixel's prediction, or the spread of an area's pixels.
    """
    shade = {"color": THEMES["light"]["shade"], "alpha": 0.22, "line_alpha": 0, "level": "underlay"}
    gaps = Mark(f"no clear view for {GAP_DAYS} days", "VSpans", "gaps", ("left", "right"), shade)
    charts = {
        "ndvi": _ndvi_marks(),
        "pc": _component_marks(),
        "radar": _radar_marks(),
        "gpp": _gpp_marks(spread),
        "weather": _weather_marks(),
    }
    for name, marks in charts.items():
        if name != "weather":
            # One path for all other places: their number changes, the number of elements does not.
            marks.append(
                Mark("other places", "Path", f"others_{name}", ("xs", "ys", "colour"), {"line_width": 1.6})
            )
        # Last, since HoloViews takes the labels of the axes from the first element; drawn under all by its level.
        marks.append(gaps)
    return charts


def _area_lines(chart: str) -> Mark:
    """Lines of an area's pixels, under all that is read off: they are many, and the mean is one of them."""
    return Mark(AREA_LINES, "RGB", f"lines_{chart}", ())


def _ndvi_marks() -> list[Mark]:
    return [
        _area_lines("ndvi"),
        Mark("5 to 95 % of the area", "Area", "season", ("time", "ndvi_lo", "ndvi_hi"), BAND, ("color",)),
        Mark("through clear dates", "Curve", "season", ("time", "ndvi"), {"alpha": 0.5}, ("color",)),
        Mark(
            "filled, decoded from the embedding",
            "Curve",
            "daily",
            ("time", "ndvi_decoded"),
            {"line_width": 1.4},
            ("color",),
        ),
        # Hollow: measured under cloud, shown so that the reader sees what was set aside.
        Mark(
            "observed, masked",
            "Scatter",
            "masked",
            ("time", "ndvi"),
            {"size": 5, "fill_alpha": 0, "line_alpha": 0.6} | _hover("NDVI @ndvi{0.00}, masked"),
            ("line_color",),
        ),
        Mark(
            "observed, clear",
            "Scatter",
            "clear",
            ("time", "ndvi"),
            {"size": 6} | DOT | _hover("NDVI @ndvi{0.00}, clear"),
            ("color",),
        ),
    ]


def _component_marks() -> list[Mark]:
    marks: list[Mark] = []
    names = list(COMPONENT_COLOURS)
    together = ", ".join(f"{name} @{name}{{0.00}}" for name in names)
    for name, colour in COMPONENT_COLOURS.items():
        ends = (f"{name}_lo", f"{name}_hi")
        marks.append(
            Mark(
                f"{name} 5 to 95 %", "Area", "daily", ("time", *ends), BAND | {"alpha": 0.15, "color": colour}
            )
        )
    for name, colour in COMPONENT_COLOURS.items():
        # One hover for all three components: the vertical line reads them together.
        tips = f"{together}<br>nearest clear Sentinel-2 view @days d away"
        hover = _hover(tips, "vline") if name == names[0] else {}
        extra = (*names[1:], "days") if name == names[0] else ()
        marks += [
            Mark(
                f"{name}, filled",
                "Curve",
                "daily",
                ("time", name, *extra),
                {"color": colour, "line_width": 1.6} | hover,
            ),
            Mark(
                f"{name}, S2 that day",
                "Scatter",
                "daily",
                ("time", f"{name}_s2"),
                {"color": colour, "size": 3.5} | DOT,
            ),
        ]
    return marks


def _radar_marks() -> list[Mark]:
    marks: list[Mark] = []
    # Passages are dots; the thin line between them only guides the eye.
    bands = list(RADAR_COLOURS)
    both = ", ".join(f"{band} @{band}{{0.0}}" for band in bands) + " dB"
    for name, colour in RADAR_COLOURS.items():
        # Both bands share their times: the hover of one shows both.
        hover, extra = (_hover(both, "vline"), bands[1:]) if name == bands[0] else ({}, ())
        marks += [
            Mark(
                f"{name} ",
                "Curve",
                "radar",
                ("time", f"{name}_line"),
                {"color": colour, "line_width": 1, "alpha": 0.6},
            ),
            Mark(
                f"{name}, observed",
                "Scatter",
                "radar",
                ("time", name, *extra),
                {"color": colour, "size": 4} | DOT | hover,
            ),
        ]
    return marks


def _gpp_marks(spread: str) -> list[Mark]:
    # Measurements under the prediction, so that the line stays visible among hundreds of days.
    tower = {"size": 4.5, "alpha": 0.75} | DOT
    at = "GPP @gpp{0.0} (@gpp_lo{0.0} to @gpp_hi{0.0}) " + GPP_UNIT
    # From back to front: the prediction's band, measurements, the tower's climatology, the prediction.
    return [
        _area_lines("gpp"),
        Mark(spread, "Area", "daily", ("time", "gpp_lo", "gpp_hi"), BAND, ("color",)),
        Mark(
            "tower, night-time, 5 to 95 %",
            "Area",
            "tower",
            ("time", "gpp_nt_05", "gpp_nt_95"),
            BAND | {"color": GPP_NT_COLOUR},
        ),
        Mark("tower, night-time", "Scatter", "tower", ("time", "gpp_nt"), tower | {"color": GPP_NT_COLOUR}),
        Mark(
            "tower, day-time",
            "Scatter",
            "tower",
            ("time", "gpp_dt"),
            tower | {"color": GPP_DT_COLOUR, "marker": "diamond"},
        ),
        Mark(
            "tower, its other years",
            "Curve",
            "tower",
            ("time", "gpp_usual"),
            {"color": CLIMATOLOGY_COLOUR, "line_width": 1.6, "line_dash": "dashed"},
        ),
        Mark(
            "predicted",
            "Curve",
            "daily",
            ("time", "gpp", "gpp_lo", "gpp_hi"),
            {"line_width": 2} | _hover(at, "vline"),
            ("color",),
        ),
    ]


def _weather_marks() -> list[Mark]:
    axes = chart_dimensions()
    return [
        Mark(
            "shortwave",
            "Curve",
            "weather",
            ("time", "sw_in", "tair"),
            {"color": WEATHER_COLOURS["sw_in"]} | _hover("@sw_in{0} W m⁻², @tair{0.0} °C", "vline"),
        ),
        Mark(
            "air temperature",
            "Curve",
            "weather",
            ("time", "tair"),
            {"color": WEATHER_COLOURS["tair"]},
            axis=axes["tair"],
        ),
    ]


def clear_times(series: xr.Dataset) -> pd.DatetimeIndex:
    """Times of the clear acquisitions in a ``series``, or of the days whose nearest one is 0 days away."""
    if "ndvi" in series:
        clear = series.clear.values.astype(bool) & np.isfinite(series.ndvi.values)
        return pd.DatetimeIndex(series.acquisition.values[clear])
    return pd.DatetimeIndex(series.time.values[series.days_from_s2.values == 0])


def series_tables(series: xr.Dataset) -> dict[str, dict]:
    """The tables of a place: what the marks of its charts draw.

    Parameters
    ----------
    series : xarray.Dataset
        As ``ExplorerData.place_series``.

    Returns
    -------
    dict
        Tables "gaps", "clear", "season", "masked", "daily", "radar", and "lines_ndvi" and "lines_gpp" without a line.
    """
    tables = empty_tables()
    tables = {name: tables[name] for name in ("gaps", "clear", "season", "masked", "daily", "radar")}
    # Without an area's lines, which are drawn later (``area_lines.density_tables``); at the level of the series, so
    # that the axis does not stretch for nothing.
    for chart in PIXEL_LINES:
        level = series.gpp.values if chart == "gpp" and "gpp" in series else np.zeros(1)
        known = level[np.isfinite(level)]
        tables[f"lines_{chart}"] = empty_density(
            series.time.values, float(known.mean()) if len(known) else 0.0
        )
    tables["daily"] = _daily_table(series)
    times = clear_times(series) if "ndvi" in series or "days_from_s2" in series else pd.DatetimeIndex([])
    if "ndvi" in series:
        tables |= _acquisition_tables(series, times)
    if "ndvi" in series or "days_from_s2" in series:
        first, last = pd.DatetimeIndex(series.time.values[[0, -1]])
        spans = find_gaps(times, first, last)
        tables["gaps"] = {"left": as_days([a for a, _ in spans]), "right": as_days([b for _, b in spans])}
    # In the order of the colours and not of the file.
    bands = [band for band in RADAR_COLOURS if band in series]
    if bands:
        tables["radar"] = _radar_table(series, bands)
    return tables


def _daily_table(series: xr.Dataset) -> dict[str, np.ndarray]:
    """Daily lines, and dots on those of the components where a clear image is of that very day."""
    columns = {n: series[n].values for n in ("ndvi_decoded", "gpp", "gpp_lo", "gpp_hi") if n in series}
    days_from_s2 = (
        series.days_from_s2.values if "days_from_s2" in series else np.full(series.sizes["time"], np.nan)
    )
    for end in ("", "_lo", "_hi"):
        if f"pc{end}" in series:
            for i, name in enumerate(str(name) for name in series.component.values):
                columns[f"{name}{end}"] = series[f"pc{end}"].values[:, i]
    for name in COMPONENT_COLOURS:
        if name in columns:
            # Dots on the line where a clear Sentinel-2 image is of that very day: the rest of it is filled.
            columns[f"{name}_s2"] = np.where(days_from_s2 == 0, columns[name], np.nan)
    # A gap in the days is a gap in the line, never a straight bridge.
    time, days, *values = break_at_gaps(pd.DatetimeIndex(series.time.values), days_from_s2, *columns.values())
    blank = np.full(len(time), np.nan, "float32")
    daily = dict.fromkeys(_COLUMNS["daily"], blank) | dict(zip(columns, values, strict=True))
    return daily | {"time": as_days(time), "days": days}


def _acquisition_tables(series: xr.Dataset, times: pd.DatetimeIndex) -> dict[str, dict[str, np.ndarray]]:
    """Tables "clear", "masked" and "season": NDVI of acquisitions, clear at ``times``, and the line through them."""
    at, known = as_days(series.acquisition.values), np.isfinite(series.ndvi.values)
    clear = series.clear.values.astype(bool) & known
    tables = {
        name: {"time": at[pick], "ndvi": series.ndvi.values[pick]}
        for name, pick in (("clear", clear), ("masked", ~clear & known))
    }
    blank = np.full(len(times), np.nan)
    # A pixel has no spread; an area has that of its pixels.
    ends = [series[n].values[clear] if n in series else blank for n in ("ndvi", "ndvi_lo", "ndvi_hi")]
    time, ndvi, low, high = break_at_gaps(times, *ends, min_days=GAP_DAYS)
    if "ndvi_decoded" in series:  # the decoded line is drawn instead of one through the clear dates
        ndvi = np.full(len(time), np.nan)
    return tables | {"season": {"time": as_days(time), "ndvi": ndvi, "ndvi_lo": low, "ndvi_hi": high}}


def _radar_table(series: xr.Dataset, bands: list[str]) -> dict[str, np.ndarray]:
    """Backscatter of the passages, dB; the bands that the series lacks are blank."""
    passages = pd.DatetimeIndex(series.passage.values)
    # Passes come every 6 or 12 days; only longer holes are gaps.
    time, *lines = break_at_gaps(passages, *(series[b].values for b in bands), min_days=PASSAGE_GAP_DAYS)
    blank = np.full(len(time), np.nan)
    lines = dict(zip(bands, lines, strict=True))
    table = {"time": as_days(time)}
    for band in RADAR_COLOURS:
        table |= dict.fromkeys((band, f"{band}_line"), lines.get(band, blank))
    return table


def tower_table(tower: xr.Dataset | None, first: Any, last: Any) -> dict[str, np.ndarray]:
    """The table of a tower between two days; without rows for None."""
    if tower is None:
        return empty_tables()["tower"]
    # A tower may have twenty years; the charts show those of the store.
    inside = tower.sel(time=slice(first, last))
    blank = np.full(inside.sizes["time"], np.nan)
    columns = {name: inside[name].values if name in inside else blank for name in TOWER_COLUMNS}
    return {"time": as_days(inside.time.values)} | columns


def weather_table(weather: xr.Dataset | None, first: Any, last: Any) -> dict[str, np.ndarray]:
    """The table of daily weather between two days; without rows for None."""
    if weather is None:
        return empty_tables()["weather"]
    inside = weather.sel(time=slice(first, last))
    # Weather files may lack a variable; its column must still exist.
    blank = np.full(inside.sizes["time"], np.nan)
    values = [inside[name].values if name in inside else blank for name in WEATHER_COLOURS]
    time, *values = break_at_gaps(pd.DatetimeIndex(inside.time.values), *values)
    return {"time": as_days(time)} | dict(zip(WEATHER_COLOURS, values, strict=True))


def other_lines(chart: str, series: xr.Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and values of the one line that stands for another place in a chart, or None."""
    # The first component alone: three lines of five places could not be told apart.
    if chart == "pc":
        return as_days(series.time.values), series.pc.values[:, 0]
    if chart == "ndvi" and "ndvi_decoded" in series:
        return as_days(series.time.values), series.ndvi_decoded.values
    if chart == "ndvi" and "ndvi" in series:
        clear = series.clear.values.astype(bool) & np.isfinite(series.ndvi.values)
        times = pd.DatetimeIndex(series.acquisition.values[clear])
        # A line across months without a view would look like a measurement.
        time, ndvi = break_at_gaps(times, series.ndvi.values[clear], min_days=GAP_DAYS)
        return as_days(time), ndvi
    if chart == "radar" and "VV" in series:
        return as_days(series.passage.values), series.VV.values
    if chart == "gpp" and "gpp" in series:
        return as_days(series.time.values), series.gpp.values
    return None


def other_places_tables(other_places: list[tuple[str, xr.Dataset]]) -> dict[str, dict]:
    """By ``others_`` and the chart: one line for each other place, given as (colour, series)."""
    tables = {}
    for name in TITLES:
        if name != "weather":
            lines = [(colour, other_lines(name, series)) for colour, series in other_places]
            lines = [(colour, line) for colour, line in lines if line is not None]
            tables[f"others_{name}"] = {
                "xs": [line[0] for _, line in lines],
                "ys": [line[1] for _, line in lines],
                "colour": [colour for colour, _ in lines],
            }
    return tables


def series_charts(
    series: Any,
    weather: xr.Dataset | None = None,
    tower: xr.Dataset | None = None,
    simulated: bool = False,
    colour: str = PLACE_COLOURS[0],
    width: int = CHART_WIDTH_PX,
    other_places: list[tuple[str, xr.Dataset]] = (),
) -> Any:
    """Charts of one place under one another; pan and zoom of one moves all.

    Full dots are observed (clear acquisitions, radar passages, tower days), hollow dots are masked acquisitions, lines
    are filled by the model. Lines are interrupted and the background is grey where nothing clear was seen for
    ``GAP_DAYS`` days.

    Parameters
    ----------
    series : xarray.Dataset or holoviews.streams.Pipe
        As ``ExplorerData.place_series`` gives it, of a pixel or an area. A pipe draws what is sent into it; all its
        series must have the same variables.
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
    other_places : list of (str, xarray.Dataset)
        Colour and series of other places: one line each.

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
    first, last = current.time.values[[0, -1]]
    spread = "5 to 95 % of the area" if "pixels" in current.attrs else "90 % band"
    marks, axes, time = chart_marks(spread), chart_dimensions(), time_dimension()
    fixed = {"tower": tower_table(tower, first, last), "weather": weather_table(weather, first, last)}
    fixed |= other_places_tables(list(other_places))
    tables = series_tables(current) | density_tables(current, width, CHART_HEIGHT_PX) | fixed
    options = {"frame_width": width, "frame_height": CHART_HEIGHT_PX, "show_grid": True}
    options |= {"legend_position": "right", "show_legend": True}
    charts = []
    for name, title in TITLES.items():
        # Decided once, so that a pipe redraws the same elements. A chart without data would only be an empty frame.
        drawn = [mark for mark in marks[name] if not is_empty(mark, tables)]
        if all(mark.kind in ("VSpans", "Path") for mark in drawn):
            continue
        heading = make_title({"radar": "Radar backscatter"}.get(name, title), simulated)
        # Light and air temperature differ in unit: each has an axis of its own.
        if name == "weather":
            options = options | {"multi_y": True}

        def draw(data, name=name, drawn=drawn, heading=heading, options=options):
            tables = series_tables(data) | density_tables(data, width, CHART_HEIGHT_PX) | fixed
            elements = [make_element(mark, tables, time, axes[name], colour) for mark in drawn]
            return hv.Overlay(elements).opts(hv.opts.Overlay(title=heading, **options))

        charts.append(draw(current) if pipe is None else hv.DynamicMap(draw, streams=[pipe]))
    if not charts:
        raise InputError(
            "Got a series without NDVI, pc, VV, VH or gpp, need one of them; take ExplorerData.place_series."
        )
    # shared_axes links equal dimensions: time is one dimension, the y dimensions differ from chart to chart
    return hv.Layout(charts).cols(1).opts(hv.opts.Layout(shared_axes=True))
