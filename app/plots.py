"""The map as HoloViews elements: aggregated to the screen once, coloured after, marked on top."""

from collections.abc import Callable

import colorcet
import holoviews as hv
import numpy as np
import param
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, CustomJSHover, HoverTool, MetricLength, ScaleBar
from holoviews.operation.datashader import regrid

from app.data import Look, Picture
from embeddings.geometry import Grid

ACCENT = "#0b7a75"
HALO = "#ffffff"
TOWER = "#d55e00"
FADED = 90
"""Opacity (of 255) of pixels seen but masked; nothing known is fully transparent."""


def image(picture: Picture, grid: Grid) -> hv.Image:
    """The picture's values as an element in metres, one value dimension per plane, one for the mask."""
    left, bottom, right, top = grid.extent
    planes = [np.ascontiguousarray(picture.values[..., i]) for i in range(picture.values.shape[-1])]
    names = list(picture.look.planes)
    if picture.faded is not None:
        planes.append(picture.faded.astype("float32"))
        names.append("masked")
    return hv.Image((grid.x, grid.y, *planes), ["x", "y"], names, bounds=(left, bottom, right, top))


def paint(element: hv.Image, look: Look) -> hv.RGB:
    """Colours an aggregated element with the layer's one stretch; transparent where nothing is known."""
    names = look.planes
    planes = np.stack([element.dimension_values(name, flat=False) for name in names], axis=-1)
    low, high = np.asarray(look.low), np.asarray(look.high)
    share = ((planes - low) / (high - low)).clip(0, 1) ** look.gamma
    known = np.isfinite(share).all(-1)
    level = (np.nan_to_num(share) * 255).round().astype("uint8")
    colour = level if look.palette is None else swatches(look.palette)[level[..., 0]]
    alpha = np.where(known, 255, 0).astype("uint8")
    if "masked" in {dim.name for dim in element.vdims}:
        alpha[(element.dimension_values("masked", flat=False) > 0.5) & known] = FADED
    left, bottom, right, top = element.bounds.lbrt()
    # dimension_values runs south to north; an element made of arrays without coordinates runs north to south.
    rgba = np.dstack([colour, alpha])[::-1]
    return hv.RGB(
        rgba,
        ["x", "y"],
        vdims=[*hv.RGB.vdims, hv.Dimension("A", range=(0, 1))],
        bounds=(left, bottom, right, top),
    )


def swatches(palette: str) -> np.ndarray:
    """(256, 3) uint8 of a colorcet palette."""
    colours = colorcet.palette[palette]
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], dtype="uint8")


def gradient(palette: str, stops: int = 16) -> str:
    """The palette as a CSS gradient, for the colour bar."""
    colours = colorcet.palette[palette]
    picks = np.linspace(0, len(colours) - 1, stops).round().astype(int)
    return f"linear-gradient(90deg, {', '.join(colours[i] for i in picks)})"


def lonlat_terms(grid: Grid) -> tuple[list[float], list[float], tuple[float, float, float, float]]:
    """Longitude and latitude as quadratics of x and y: the browser's hover needs no projection library.

    Coefficients of 1, u, v, u2, uv, v2 with u, v the place scaled to -1..1 over the extent (its centre and
    half sides last); within centimetres over 10 km.
    """
    left, bottom, right, top = grid.extent
    cx, cy, hx, hy = (left + right) / 2, (bottom + top) / 2, (right - left) / 2, (top - bottom) / 2
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 7)))
    design = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
    lon, lat = grid.lonlat(cx + u * hx, cy + v * hy)
    terms = [np.linalg.lstsq(design, np.asarray(values), rcond=None)[0].tolist() for values in (lon, lat)]
    return terms[0], terms[1], (cx, cy, hx, hy)


def _lonlat_hover(grid: Grid) -> CustomJSHover:
    lon, lat, place = lonlat_terms(grid)
    return CustomJSHover(
        args={"lon": lon, "lat": lat, "place": list(place)},
        code="""
        const u = (special_vars.x - place[0]) / place[2], v = (special_vars.y - place[1]) / place[3];
        const at = (c) => c[0] + c[1]*u + c[2]*v + c[3]*u*u + c[4]*u*v + c[5]*v*v;
        return at(lat).toFixed(5) + "° N, " + at(lon).toFixed(5) + "° E";
    """,
    )


class MapPlot:
    """The map of one store: DynamicMap -> regrid -> paint -> opts, the tapped pixel and the tower on top.

    ``answer(layer, day, feature)`` gives a Picture; ``state`` tells which. Panning and zooming aggregate what
    was read; marks are glyphs of their own, so that a tap redraws a ring and not the map.
    """

    def __init__(
        self,
        state: param.Parameterized,
        grid: Grid,
        answer: Callable[..., Picture],
        tower_xy: tuple[float, float] | None = None,
        on_tap: Callable[[float, float], None] | None = None,
    ):
        self.grid, self.answer, self.on_tap = grid, answer, on_tap
        self.pins = ColumnDataSource(data={"x": [], "y": []})
        self.towers = ColumnDataSource(
            data={"x": [tower_xy[0]], "y": [tower_xy[1]]} if tower_xy else self.pins.data
        )
        self._look: Look | None = None
        self._aggregated: hv.Image | None = None
        self._hover: HoverTool | None = None
        chosen = hv.streams.Params(state, ["layer", "day", "feature"])
        # rasterize() comes down to regrid() for images, after a search for other elements at each frame.
        seen = regrid(
            hv.DynamicMap(self._image, streams=[chosen]), aggregator="mean", interpolation="nearest"
        )
        left, bottom, right, top = grid.extent
        self.element = seen.apply(self._paint).apply.opts(
            xlim=(left, right),
            ylim=(bottom, top),
            responsive=True,
            xaxis=None,
            yaxis=None,
            padding=0,
            border=0,
            toolbar=None,
            default_tools=["pan", "wheel_zoom", "reset"],
            active_tools=["pan", "wheel_zoom"],
            scalebar=True,
            scalebar_unit=("m", "m"),
            scalebar_location="bottom_right",
            hooks=[self._dress],
        )
        self.mark(state.pins)
        state.param.watch(lambda event: self.mark(event.new), "pins")

    def mark(self, pins: list[tuple[int, int]]) -> None:
        """Rings the chosen pixels."""
        self.pins.data = {
            "x": [self.grid.x[col] for _, col in pins],
            "y": [self.grid.y[row] for row, _ in pins],
        }

    def _image(self, layer: str, day, feature: int) -> hv.Image:
        picture = self.answer(layer, day, feature)
        self._look = picture.look
        return image(picture, self.grid)

    def _paint(self, element: hv.Image) -> hv.RGB:
        self._aggregated = element
        return paint(element, self._look)

    def _dress(self, plot, element) -> None:
        """Frame and marks once; at every frame the hover's values, which ride along with the colours."""
        if self._hover is None or self._hover not in plot.state.tools:
            self._frame(plot.state)
            self._marks(plot.state)
            if self.on_tap:
                plot.state.on_event(Tap, lambda event: self.on_tap(event.x, event.y))
            self._hover = HoverTool(
                renderers=[plot.handles["glyph_renderer"]],
                attachment="above",
                formatters={"$x": _lonlat_hover(self.grid)},
            )
            plot.state.add_tools(self._hover)
        source, planes = plot.handles["source"], self._look.planes
        values = {
            f"v{i}": [self._aggregated.dimension_values(name, flat=False).astype("float32")]
            for i, name in enumerate(planes)
        }
        source.data.update(values)
        unit = f" {self._look.unit}" if self._look.unit and len(planes) == 1 else ""
        tips = [*((name, f"@v{i}{{0.000}}{unit}") for i, name in enumerate(planes)), ("at", "$x{custom}")]
        if self._hover.tooltips != tips:
            self._hover.tooltips = tips

    def _marks(self, figure) -> None:
        tower = figure.scatter(
            "x",
            "y",
            source=self.towers,
            marker="triangle",
            size=13,
            color=TOWER,
            line_color=HALO,
            line_width=1.5,
        )
        halo = figure.scatter(
            "x", "y", source=self.pins, size=20, fill_alpha=0, line_color=HALO, line_width=6
        )
        ring = figure.scatter(
            "x", "y", source=self.pins, size=20, fill_alpha=0, line_color=ACCENT, line_width=3
        )
        for mark in (tower, halo, ring):
            mark.level = "overlay"

    @staticmethod
    def _frame(figure) -> None:
        """A quiet frame: the picture is the chart, its edges are the scene's."""
        figure.min_border = 0
        figure.outline_line_color = None
        figure.background_fill_alpha = 0
        figure.border_fill_alpha = 0
        for bar in figure.select({"type": ScaleBar}):
            bar.update(
                dimensional=MetricLength(include=["m", "km"]),
                background_fill_alpha=0.8,
                border_line_color=None,
                label_text_font_size="11px",
                bar_line_width=2,
                bar_length=0.22,
                margin=8,
                padding=6,
            )
