"""Marks of a chart: each is one HoloViews element, drawn once, whose source is then replaced by its plot's handles.

A chart is described once, as a list of marks that read columns of tables. ``make_element`` makes the HoloViews element
of a mark, for whoever composes charts. ``RenderedChart`` draws the same elements with HoloViews and then only replaces
the data of their sources: a new element for each mark at each tap costs HoloViews 1 to 2 ms, a new source 0.02 ms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from fluxlens.app.palette import FONT, THEMES
from fluxlens.app.plots.elements import load_holoviews

Tables = Mapping[str, Mapping[str, Any]]
"""By table: its columns by name, each of the same length."""


IMAGE_COLUMNS = ("image", "x", "y", "dw", "dh")
"""Columns of the source of an RGB, as HoloViews names them."""
NO_IMAGE = {"rgba": np.zeros((1, 1, 4), "uint8"), "extent": (0.0, 0.0, 1.0, 1.0)}
"""An image of one transparent pixel: HoloViews cannot draw an RGB without one."""


@dataclass(frozen=True)
class Mark:
    """One element of a chart.

    Parameters
    ----------
    label : str
        What it shows; unique in its chart.
    kind : str
        A HoloViews element: "Curve", "Scatter", "Area", "VSpans" or "Points"; "Path" for one line for each row of a
        table; "RGB" for the one image of a table with "rgba" (y, x, 4) uint8 and "extent" (left, bottom, right, top).
    table : str
        Table of its columns.
    columns : tuple of str
        x and y; of an area x, lower and upper end; of spans start and end. Further ones are read by the hover.
    options : dict
        HoloViews options of the element.
    place : tuple of str
        Options that take the colour of the current place.
    axis : holoviews.Dimension, optional
        The y axis where it is not that of the chart.
    """

    label: str
    kind: str
    table: str
    columns: tuple[str, ...]
    options: dict = field(default_factory=dict)
    place: tuple[str, ...] = ()
    axis: Any = None


def area_outline(x: Any, low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """The outline of a band as HoloViews draws it: there along the lower end, back along the upper, one for each run.

    Parameters
    ----------
    x, low, high : array-like
        (row,); rows that are not finite interrupt the band.

    Returns
    -------
    x, y : numpy.ndarray
        Corners, runs separated by NaN.
    """
    x, low, high = np.asarray(x), np.asarray(low, float), np.asarray(high, float)
    missing = np.nan if x.dtype.kind == "f" else np.datetime64("NaT")
    known = np.concatenate([[False], np.isfinite(low) & np.isfinite(high), [False]])  # (row + 2,)
    # A run begins where "known" turns on and ends where it turns off.
    starts, ends = np.flatnonzero(known[1:] & ~known[:-1]), np.flatnonzero(~known[1:] & known[:-1])
    xs, ys = [], []
    for start, end in zip(starts, ends, strict=True):
        run = slice(start, end)
        xs += [x[run], x[run][::-1], [missing]]
        ys += [low[run], high[run][::-1], [np.nan]]
    if not xs:
        return x[:0], low[:0]
    return np.concatenate([np.asarray(segment, x.dtype) for segment in xs[:-1]]), np.concatenate(ys[:-1])


def source_columns(mark: Mark, tables: Tables) -> list:
    """The columns of the Bokeh source of a mark's element, in HoloViews' order."""
    table = tables[mark.table]
    if mark.kind == "Area":
        return list(area_outline(*(np.asarray(table[name]) for name in mark.columns[:3])))
    if mark.kind == "RGB":
        (left, bottom, right, top), rgba = table["extent"], np.ascontiguousarray(table["rgba"])
        if isinstance(left, np.datetime64):
            # The browser's times are milliseconds since 1970, and of an image it takes no others.
            left, right = (end.astype("datetime64[ns]").astype("int64") / 1e6 for end in (left, right))
        # Bokeh takes one 32-bit number for each pixel, rows from south to north.
        return [[rgba.view("uint32")[..., 0][::-1]], [left], [bottom], [right - left], [top - bottom]]
    # Lines of a path differ in length, and the browser refuses an empty array of numbers as colours: both stay lists.
    as_lists = mark.kind in ("Path", "Points")
    return [list(table[name]) if as_lists else np.asarray(table[name]) for name in mark.columns]


def is_empty(mark: Mark, tables: Tables) -> bool:
    """Whether a mark has nothing to draw."""
    if mark.kind == "RGB":
        return not tables[mark.table]["rgba"][..., 3].any()
    values = tables[mark.table][mark.columns[1]]
    if mark.kind in ("Path", "VSpans"):
        return not len(values)
    return not np.isfinite(np.asarray(values, float)).any()


def make_element(mark: Mark, tables: Tables, x: Any, y: Any, colour: str) -> Any:
    """The HoloViews element of a mark.

    Parameters
    ----------
    mark : Mark
        What to draw.
    tables : Tables
        Its data.
    x, y : holoviews.Dimension
        The chart's axes; the first column of the mark is on x and the second on y.
    colour : str
        Colour #rrggbb of the current place.

    Returns
    -------
    holoviews.Element
    """
    hv = load_holoviews()
    table, axis = tables[mark.table], mark.axis or y
    options = mark.options | dict.fromkeys(mark.place, colour)
    if mark.kind == "VSpans":
        ends = [x, hv.Dimension(f"{x.name}_end", label="End")]
        element = hv.VSpans(tuple(table[name] for name in mark.columns), ends, label=mark.label)
        return element.opts(**options)
    if mark.kind == "Path":
        # HoloViews cannot draw a Path without a line: one without a point stands in until there is one.
        nowhere = ([np.datetime64("NaT", "ns")], [np.nan], "#000000")
        lines = list(zip(table["xs"], table["ys"], table["colour"], strict=True)) or [nowhere]
        paths = [{x.name: xs, axis.name: ys, "colour": ink} for xs, ys, ink in lines]
        return hv.Path(paths, [x, axis], "colour", label=mark.label).opts(
            **({"color": hv.dim("colour")} | options)
        )
    if mark.kind == "RGB":
        vdims = [hv.Dimension(name, range=(0, 255)) for name in "RGBA"]
        rgba, extent = table["rgba"], table["extent"]
        if isinstance(extent[0], np.datetime64):
            # HoloViews takes the extent of an image over time from the centres of its pixels alone.
            centres = (
                _centres(extent[0], extent[2], rgba.shape[1]),
                _centres(extent[3], extent[1], rgba.shape[0]),
            )
            data = (*centres, *np.moveaxis(rgba, -1, 0))
            return hv.RGB(data, [x, axis], vdims, label=mark.label).opts(**options)
        return hv.RGB(rgba, [x, axis], vdims, bounds=extent, label=mark.label).opts(**options)
    if mark.kind == "Points":
        # Without a row HoloViews would take the colours for numbers and map them, with one for the colour of all.
        nowhere = ([np.nan] * 2, [np.nan] * 2, ["#000000", "#ffffff"])
        columns = tuple(table[name] for name in mark.columns) if table["colour"] else nowhere
        element = hv.Points(columns, [x, axis], list(mark.columns[2:]), label=mark.label)
        return element.opts(**({"color": hv.dim("colour")} | options))
    # Columns keep their names in the source, where the hover finds them; the second one is on the chart's axis.
    first = axis.clone(mark.columns[1], label=axis.label) if mark.kind != "Area" else axis
    extra = [hv.Dimension(name) for name in mark.columns[2:]]
    columns = tuple(np.asarray(table[name]) for name in mark.columns)
    return getattr(hv, mark.kind)(columns, x, [first, *extra], label=mark.label).opts(**options)


def _centres(first: Any, last: Any, count: int) -> np.ndarray:
    """Centres of ``count`` equal parts from ``first`` to ``last``, numbers or datetime64."""
    share = (np.arange(count) + 0.5) / count
    if isinstance(first, np.datetime64):
        return first + ((last - first).astype("timedelta64[ns]").astype("int64") * share).astype(
            "timedelta64[ns]"
        )
    return first + (last - first) * share


class RenderedChart:
    """A chart drawn once by HoloViews; ``update`` replaces the data of its sources and nothing else.

    Parameters
    ----------
    marks : sequence of Mark
        From the lowest to the highest.
    x, y : holoviews.Dimension
        Axes.
    empty : Tables
        Tables without rows, with which the chart is drawn.
    options : dict
        HoloViews options of the overlay.
    """

    def __init__(self, marks: Sequence[Mark], x: Any, y: Any, empty: Tables, options: dict):
        from bokeh.models import DataRange1d

        hv = load_holoviews()
        self.marks = list(marks)
        elements = [make_element(mark, empty, x, y, "#000000") for mark in self.marks]
        self.overlay = hv.Overlay(elements).opts(show_legend=False, toolbar=None, default_tools=[], **options)
        self.plot = hv.renderer("bokeh").get_plot(self.overlay)
        self.figure = self.plot.state
        self.figure.toolbar_location = None
        # HoloViews draws with WebGL: a few thousand points gain nothing, and a browser without a graphics card waits
        # 1.4 s for the first page's seven figures, each of which is copied out of WebGL's one canvas.
        self.figure.output_backend = "canvas"
        self._remove_unused_models()
        self.handles = {
            mark.label: plot.handles
            for mark, plot in zip(self.marks, self.plot.subplots.values(), strict=True)
        }
        self.sources = {label: handles["source"] for label, handles in self.handles.items()}
        for handles in self.handles.values():
            # Looks of selected and muted marks, which nobody selects or mutes here: a third of the chart's models.
            renderer = handles["glyph_renderer"]
            renderer.nonselection_glyph = renderer.selection_glyph = renderer.muted_glyph = None
        for mark in self.marks:
            if mark.kind == "Points":
                # Lines may leave the frame and are clipped there; markers are drawn whole, above it.
                self.handles[mark.label]["glyph_renderer"].level = "overlay"
        # HoloViews would set the range anew at each of its updates; here the browser follows the data.
        self.figure.y_range = DataRange1d(renderers=self._renderers_on_main_axis())
        self._colour = ""

    @classmethod
    def from_models(cls, marks: Sequence[Mark], figure: Any, handles: dict[str, dict]) -> "RenderedChart":
        """A chart of models that are copies of those of another one: see ``chart_template``.

        Parameters
        ----------
        marks : sequence of Mark
            As the other chart has them.
        figure : bokeh.plotting.figure
            The copied figure.
        handles : dict
            By label of a mark: its "source", "glyph_renderer" and "glyph".
        """
        chart = cls.__new__(cls)
        chart.marks, chart.figure, chart.handles = list(marks), figure, handles
        chart.sources = {label: models["source"] for label, models in handles.items()}
        chart._colour = ""
        return chart

    def _remove_unused_models(self) -> None:
        """Take off what HoloViews adds to every figure and the dashboard has elsewhere or not at all."""
        from bokeh.models import Grid, HoverTool, Legend

        figure = self.figure
        # Title and legend stand above the figure, in HTML; saving and zooming are the page's.
        figure.title = None
        figure.toolbar.tools = [tool for tool in figure.toolbar.tools if isinstance(tool, HoverTool)]
        for side in ("left", "right", "above", "below", "center"):
            models = getattr(figure, side)
            unused = [
                model
                for model in models
                if isinstance(model, Legend) or (isinstance(model, Grid) and model.dimension == 0)
            ]
            setattr(figure, side, [model for model in models if model not in unused])

    def _renderers_on_main_axis(self) -> list:
        """Renderers that the range of the y axis must hold: not those of a second axis, nor the shading."""
        return [
            self.handles[mark.label]["glyph_renderer"]
            for mark in self.marks
            if mark.axis is None and mark.kind != "VSpans" and mark.label != "1:1"
        ]

    def update(self, tables: Tables, only: Sequence[str] = ()) -> None:
        """Show other data.

        Parameters
        ----------
        tables : Tables
            Its data.
        only : sequence of str
            Names of the tables that changed; empty for all.
        """
        for mark in self.marks:
            if mark.table in tables and (not only or mark.table in only):
                source = self.sources[mark.label]
                # HoloViews names the columns; they stay the same from the first drawing on.
                names = IMAGE_COLUMNS if mark.kind == "RGB" else list(source.data)[: len(mark.columns)]
                source.data = dict(zip(names, source_columns(mark, tables), strict=False))

    def recolour(self, colour: str) -> None:
        """Give the marks of the current place another colour."""
        if colour == self._colour:
            return
        self._colour = colour
        for mark in self.marks:
            glyph = self.handles[mark.label]["glyph"]
            for option in mark.place:
                # HoloViews' "color" stands for both the line and the fill of a glyph, unless one is set by itself.
                sides = ("line_color", "fill_color") if option == "color" else (option,)
                for side in sides:
                    if side not in mark.options and side in glyph.properties():
                        setattr(glyph, side, colour)

    def show_marks(self, shown: Mapping[str, bool]) -> None:
        """Show or hide marks by label."""
        for label, visible in shown.items():
            self.handles[label]["glyph_renderer"].visible = visible


def style_figure(figure: Any) -> None:
    """The dashboard's fonts and margins on a figure that HoloViews made."""
    figure.update(
        sizing_mode="stretch_both",
        min_border_right=8,
        min_border_top=6,
        min_border_bottom=4,
        outline_line_color=None,
        background_fill_alpha=0,
        border_fill_alpha=0,
    )
    for axis in figure.axis:
        axis.update(
            axis_line_color=None,
            minor_tick_line_color=None,
            major_tick_in=0,
            major_tick_out=3,
            axis_label_standoff=4,
        )
        _style_words(axis)
    figure.yaxis.ticker.desired_num_ticks = 4


def _style_words(axis: Any) -> None:
    """The dashboard's fonts on an axis."""
    axis.update(
        major_label_text_font=FONT,
        major_label_text_font_size="11px",
        axis_label_text_font=FONT,
        axis_label_text_font_size="11px",
        axis_label_text_font_style="normal",
    )


def apply_theme(figure: Any, theme: str) -> None:
    """Colour the axes of a figure for the theme "light" or "dark"."""
    colours = THEMES[theme]
    for axis in figure.axis:
        axis.update(
            major_label_text_color=colours["text"],
            axis_label_text_color=colours["text"],
            major_tick_line_color=colours["grid"],
        )
    figure.ygrid.grid_line_color = colours["grid"]


def paint_page(figure: Any, theme: str) -> None:
    """Let the page show through a figure, its legend and its colour bar, and colour all words for the theme."""
    # Imported here because an import of the plots' package is to load no Bokeh.
    from bokeh.models import ColorBar

    colours = THEMES[theme]
    apply_theme(figure, theme)
    figure.update(background_fill_alpha=0, border_fill_alpha=0, outline_line_color=colours["grid"])
    for axis in figure.axis:
        # Fonts too: Panel's dark theme has larger ones than HoloViews has on paper.
        _style_words(axis)
        axis.update(axis_line_color=None, minor_tick_line_color=None)
    figure.title.text_color = colours["text"]
    figure.xgrid.grid_line_color = colours["grid"]
    for legend in figure.legend:
        legend.update(background_fill_alpha=0, border_line_alpha=0, label_text_color=colours["text"])
    # HoloViews lays colour bars beside the frame, where the figure has no name for them.
    for bar in figure.select({"type": ColorBar}):
        bar.update(
            background_fill_alpha=0,
            bar_line_color=None,
            major_label_text_color=colours["text"],
            major_label_text_font=FONT,
            major_label_text_font_size="11px",
            title_text_color=colours["text"],
            title_text_font=FONT,
            title_text_font_size="11px",
            title_text_font_style="normal",
        )


def as_days(times: Any) -> np.ndarray:
    """Times as datetime64, which both HoloViews and Bokeh take without a copy."""
    return pd.DatetimeIndex(times).values.astype("datetime64[ns]")
