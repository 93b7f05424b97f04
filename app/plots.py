"""The map as one Bokeh figure: numbers become colours once a day, panning and zooming stay in the browser."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import colorcet
import numpy as np
from bokeh.events import RangesUpdate, SelectionGeometry, Tap
from bokeh.io import curdoc
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    CrosshairTool,
    CustomJSHover,
    HoverTool,
    ImageRGBA,
    LassoSelectTool,
    MetricLength,
    MultiLine,
    PanTool,
    Quad,
    Range1d,
    ResetTool,
    ScaleBar,
    Scatter,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from app.labels import Label, colours
from app.pictures import QUICK_PX, SHARP_PX, WHOLE_PX, Look, Picture, Sight, seen
from app.state import COLOURS, Place
from embeddings.geometry import Grid

HALO = "#ffffff"
TOWER = "#d55e00"
FADED = 90
"""Opacity (of 255) of pixels seen but masked; nothing known is fully transparent."""
PALE = 0.35
"""Opacity of the picture under a box that is being computed."""
NEAR_MARKER = 0.018
"""A tap this close, of the map's width, means the tower."""
REST_S = 0.5
"""A view that rests that long becomes sharp."""


def _modest() -> None:
    """This thread alone yields to the others, where the system can tell threads apart."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


SHARPENING = ThreadPoolExecutor(1, "sharpen", _modest)
"""Beside the server's loop, one view at a time: whoever waits for a first view comes first."""


def paint(values: np.ndarray, look: Look, faded: np.ndarray | None = None) -> np.ndarray:
    """(y, x, 4) uint8 of values (y, x, plane) in the layer's one stretch; transparent where nothing is known."""
    low, high = np.asarray(look.low, "float32"), np.asarray(look.high, "float32")
    share = np.clip((values - low) * (255 / (high - low)), 0, 255)
    if look.gamma != 1:
        share = 255 * (share / 255) ** look.gamma
    known = np.isfinite(share[..., 0]) if share.shape[-1] == 1 else np.isfinite(share).all(-1)
    level = (np.nan_to_num(share) + 0.5).astype("uint8")
    rgba = np.empty((*values.shape[:2], 4), "uint8")
    if look.classes:
        rgba[..., :3] = _rgb(look.classes)[np.nan_to_num(values[..., 0]).astype("uint8")]
    else:
        rgba[..., :3] = level if look.palette is None else swatches(look.palette)[level[..., 0]]
    rgba[..., 3] = np.where(known, 255, 0)
    if faded is not None:
        rgba[faded & known, 3] = FADED
    return rgba


@cache
def swatches(palette: str) -> np.ndarray:
    """(256, 3) uint8 of a colorcet palette."""
    return _rgb(colorcet.palette[palette])


def _rgb(colours) -> np.ndarray:
    """(n, 3) uint8 of #rrggbb."""
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
        const told = (v, ends) => Math.abs(v).toFixed(5) + "° " + ends[v < 0 ? 1 : 0];
        return told(at(lat), "NS") + ", " + told(at(lon), "EW");
    """,
    )


class MapPlot:
    """The picture in the middle, the tower, the places and the outlines on top; made once, only sources change.

    ``answer(sight)`` gives the Picture to draw, of the whole scene (None) where it is small: the browser pans and zooms
    it without asking. Of a larger one what is in sight is asked for when the view moves, coarsely at once and sharply
    when it rests. One ``beside`` another moves with it, and each shows where the other is pointed at.
    """

    def __init__(
        self,
        grid: Grid,
        answer: Callable[[Sight | None], Picture],
        tower_xy: tuple[float, float] | None = None,
        on_tap: Callable[..., None] | None = None,
        on_area: Callable[[list[float], list[float]], None] | None = None,
        on_box: Callable[[tuple[float, float], tuple[float, float]], None] | None = None,
        beside: "MapPlot | None" = None,
    ):
        self.grid, self.answer, self.tower_xy = grid, answer, tower_xy
        self.picture: Picture | None = None
        self.sight: Sight | None = None
        self._turn = 0
        left, bottom, right, top = grid.extent
        self.image = ColumnDataSource(data=self._empty())
        self.pins = ColumnDataSource(data={"x": [], "y": [], "colour": []})
        self.outlines = ColumnDataSource(data={"xs": [], "ys": [], "colour": []})
        self.labels = ColumnDataSource(data={"x": [], "y": [], "colour": []})
        self.ground = ColumnDataSource(data={"xs": [], "ys": []})
        self.figure = figure(
            x_range=beside.figure.x_range if beside else Range1d(left, right),
            y_range=beside.figure.y_range if beside else Range1d(bottom, top),
            tools=[],
            toolbar_location=None,
            sizing_mode="stretch_both",
            min_border=0,
            outline_line_color=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
        )
        self.figure.axis.visible = False
        self.figure.grid.visible = False
        self.under = ColumnDataSource(data={name: [] for name in ("rgba", "x", "y", "dw", "dh")})
        self.figure.add_glyph(self.under, _image())
        self._glyph = self.figure.add_glyph(self.image, _image())
        self.fresh, self.box = ColumnDataSource(), ColumnDataSource()
        self.fill(None)
        self.frame(None)
        self._marks(tower_xy)
        self._tools(on_tap, on_area, on_box)
        self.figure.add_layout(_scale_bar())
        self.cross = beside.cross if beside else _cross()
        self.figure.add_tools(CrosshairTool(overlay=self.cross))
        for span in self.cross:
            span.visible = beside is not None
        if self._large:
            self.figure.on_event(RangesUpdate, lambda event: self.look())
        self.draw()

    def draw(self) -> None:
        """Asks for another picture and shows it."""
        self.sight = None
        self.look()

    def look(self) -> None:
        """Shows what is in sight, unless it is there already."""
        if not self._large:
            self._take(*self._made(None))
            return
        self._turn += 1
        quick, sharp = (self._seen(px) for px in (QUICK_PX, SHARP_PX))
        if not self._covers(self._seen(QUICK_PX, 0)):
            self._take(*self._made(quick))
        if not self._covers(self._seen(SHARP_PX, 0)):
            self.later(sharp)

    def later(self, sight: Sight) -> None:
        """Shows a sharper sight when nothing else was asked for meanwhile; at once where no server waits."""
        document, turn = self.figure.document or curdoc(), self._turn
        if document.session_context is None:
            self._take(*self._made(sight))
            return

        def rested() -> None:
            if turn == self._turn:
                SHARPENING.submit(
                    lambda: self._made(sight) if turn == self._turn else None
                ).add_done_callback(made)

        def made(done: Future) -> None:
            if done.exception() is None and done.result() and self.figure.document is document:
                document.add_next_tick_callback(lambda: turn == self._turn and self._take(*done.result()))

        document.add_timeout_callback(rested, int(1000 * REST_S))

    def _covers(self, sight: Sight) -> bool:
        return self.sight is not None and self.sight.covers(sight)

    def mark(self, places: list[Place]) -> None:
        """Rings the chosen pixels, outlines the chosen areas, each in its colour."""
        pixels = [place for place in places if not place.area]
        self.pins.data = {
            "x": [self.grid.x[place.col] for place in pixels],
            "y": [self.grid.y[place.row] for place in pixels],
            "colour": [COLOURS[place.slot] for place in pixels],
        }
        xs, ys, colours = [], [], []
        for place in places:
            for polygon in place.area:
                ring = np.asarray(polygon[0])
                x, y = self.grid.xy(ring[:, 0], ring[:, 1])
                xs.append(np.asarray(x).tolist())
                ys.append(np.asarray(y).tolist())
                colours.append(COLOURS[place.slot])
        self.outlines.data = {"xs": xs, "ys": ys, "colour": colours}

    def see(self, lines: tuple[tuple[list[float], list[float]], ...]) -> None:
        """Outlines what a tower sees, metres; nothing clears it."""
        left, bottom, right, top = self._inside()
        cut = []
        for line in lines:
            xs, ys = np.array(line, float)
            out = (xs < left) | (xs > right) | (ys < bottom) | (ys > top)
            cut.append(np.where(out, np.nan, [xs, ys]))
        self.ground.data = {"xs": [xs for xs, _ in cut], "ys": [ys for _, ys in cut]}

    def label(self, labels: tuple[Label, ...]) -> None:
        """Squares on the labelled pixels, in the colours of the map they make."""
        self.labels.data = {
            "x": [self.grid.x[label.col] for label in labels],
            "y": [self.grid.y[label.row] for label in labels],
            "colour": colours(labels),
        }

    def on_tower(self, x: float, y: float) -> bool:
        """Whether a tap meant the tower's marker: within about its size on screen, or on its pixel."""
        if self.tower_xy is None:
            return False
        span = abs(float(self.figure.x_range.end) - float(self.figure.x_range.start))
        away = np.hypot(x - self.tower_xy[0], y - self.tower_xy[1])
        return bool(away <= max(NEAR_MARKER * span, self.grid.size_m / 2))

    def drawing(self, on: bool) -> None:
        """Dragging outlines an area instead of moving the map."""
        self.figure.toolbar.active_drag = self._lasso if on else self._pan

    def boxing(self, on: bool) -> None:
        """Dragging draws a box instead of moving the map."""
        self.figure.toolbar.active_drag = self._rectangle if on else self._pan

    def frame(self, part: Grid | None) -> None:
        """Outlines a box of the grid, or none."""
        names = ("left", "bottom", "right", "top")
        ends = self._inside(part) if part else ()
        self.box.data = dict(zip(names, [[end] for end in ends] or [[]] * 4, strict=True))

    def _inside(self, part: Grid | None = None) -> np.ndarray:
        """An extent less a line's width: lines stay inside the frame, which alone is cleared."""
        inset = self.grid.size_m * self.grid.nx / 300
        return np.add((part or self.grid).extent, [inset, inset, -inset, -inset])

    def surround(self, rgba: np.ndarray, extent: tuple[float, float, float, float]) -> None:
        """A picture (y, x, 4) uint8 of what lies around and beneath, metres."""
        self.under.data = _placed(rgba, extent)

    def fill(self, part: Grid | None, values: np.ndarray | None = None, look: Look | None = None) -> None:
        """What is computed of a box so far, over the paler picture; None: the picture alone."""
        self._glyph.glyph.global_alpha = 1.0 if part is None else PALE
        if part is None:
            self.fresh.data = {name: [] for name in ("rgba", "x", "y", "dw", "dh")}
            return
        self.fresh.data = _placed(paint(values, look), part.extent)

    # --- the picture ---

    @staticmethod
    def _empty() -> dict:
        nothing = np.zeros((1, 1), "float32")
        return {name: [nothing] for name in ("rgba", "v0", "v1", "v2")} | {
            name: [0.0] for name in ("x", "y", "dw", "dh")
        }

    @property
    def _large(self) -> bool:
        return max(self.grid.shape) > WHOLE_PX

    def _seen(self, most_px: int, around: float = 0.125) -> Sight:
        """The part of the scene in the figure's ranges."""
        left, _, _, top = self.grid.extent
        across, down = self.figure.x_range, self.figure.y_range
        cols = sorted((float(end) - left) / self.grid.size_m for end in (across.start, across.end))
        rows = sorted((top - float(end)) / self.grid.size_m for end in (down.start, down.end))
        return seen(self.grid.shape, tuple(rows), tuple(cols), most_px, around)

    def _made(self, sight: Sight | None) -> tuple[Sight | None, Picture, dict]:
        """A picture and the columns that draw it."""
        picture = self.answer(sight)
        values, look = picture.values, picture.look
        ny, nx, planes = values.shape
        size = self.grid.size_m * (sight.level if sight else 1)
        west, _, _, north = self.grid.extent
        left = west + (sight.left if sight else 0) * size
        top = north - (sight.top if sight else 0) * size
        extent = left, top - ny * size, left + nx * size, top
        data = self._empty() | _placed(paint(values, look, picture.faded), extent)
        shown = values + 1 if look.classes else values
        data |= {f"v{i}": [np.ascontiguousarray(shown[::-1, :, i])] for i in range(planes)}
        return sight, picture, data

    def _take(self, sight: Sight | None, picture: Picture, data: dict) -> None:
        """Puts it on screen."""
        self.sight, self.picture = sight, picture
        self.image.data = data
        look = picture.look
        unit = f" {look.unit}" if look.unit and len(look.planes) == 1 else ""
        digits = "{0}" if look.classes else "{0.000}"
        level = sight.level if sight else 1
        tips = [
            *((name, f"@v{i}{digits}{unit}") for i, name in enumerate(look.planes)),
            *([("of", f"{level} × {level} pixels")] if level > 1 else []),
            ("on", picture.note),
            ("at", "$x{custom}"),
        ]
        if self.hover.tooltips != tips:
            self.hover.tooltips = tips

    # --- what lies upon it ---

    def _marks(self, tower_xy: tuple[float, float] | None) -> None:
        fig = self.figure
        fig.add_glyph(self.fresh, _image())
        ends = {name: name for name in ("left", "right", "bottom", "top")}
        for colour, dash in (("#16202c", "solid"), (HALO, [5, 4])):
            edge = Quad(**ends, line_color=colour, line_width=2, line_dash=dash, fill_color=None)
            fig.add_glyph(self.box, edge)
        for colour, width in ((HALO, 4), ("colour", 2)):
            fig.add_glyph(self.outlines, MultiLine(xs="xs", ys="ys", line_color=colour, line_width=width))
        for colour, width, dash in ((HALO, 4, "solid"), (TOWER, 2, [6, 3])):
            line = {"line_color": colour, "line_width": width, "line_dash": dash}
            fig.add_glyph(self.ground, MultiLine(xs="xs", ys="ys", **line))
        if tower_xy is not None:
            at = ColumnDataSource(data={"x": [tower_xy[0]], "y": [tower_xy[1]]})
            edge = {"line_color": HALO, "line_width": 1.5}
            fig.add_glyph(at, Scatter(x="x", y="y", marker="triangle", size=13, fill_color=TOWER, **edge))
        square = {"marker": "square", "size": 11, "line_color": HALO, "line_width": 2}
        fig.add_glyph(self.labels, Scatter(x="x", y="y", fill_color="colour", **square))
        for colour, width in ((HALO, 6), ("colour", 3)):
            ring = {"size": 20, "fill_alpha": 0, "line_color": colour, "line_width": width}
            fig.add_glyph(self.pins, Scatter(x="x", y="y", **ring))
        for mark in fig.renderers[2:]:  # lines may leave the picture and are cut there, the others are whole
            mark.level = "glyph" if isinstance(mark.glyph, MultiLine) else "overlay"

    def _tools(self, on_tap, on_area, on_box) -> None:
        self.hover = HoverTool(
            renderers=[self._glyph], attachment="above", formatters={"$x": _lonlat_hover(self.grid)}
        )
        self._pan, self._lasso = PanTool(), LassoSelectTool(renderers=[])
        self._rectangle = BoxSelectTool(renderers=[])
        wheel = WheelZoomTool()
        self.figure.add_tools(self._pan, self._lasso, self._rectangle, wheel, ResetTool(), self.hover)
        self.figure.toolbar.active_drag, self.figure.toolbar.active_scroll = self._pan, wheel
        if on_tap:
            self.figure.on_event(
                Tap, lambda event: on_tap(event.x, event.y, bool((event.modifiers or {}).get("shift")))
            )
        if on_area or on_box:

            def outlined(event) -> None:
                shape = event.geometry
                if event.final and shape.get("type") == "poly" and on_area:
                    on_area(list(shape["x"]), list(shape["y"]))
                if event.final and shape.get("type") == "rect" and on_box:
                    on_box((shape["x0"], shape["x1"]), (shape["y0"], shape["y1"]))

            self.figure.on_event(SelectionGeometry, outlined)


def _image() -> ImageRGBA:
    """Draws what ``_placed`` puts into a source."""
    return ImageRGBA(image="rgba", x="x", y="y", dw="dw", dh="dh")


def _placed(rgba: np.ndarray, extent: tuple[float, float, float, float]) -> dict:
    """A picture (y, x, 4) uint8 as the one row of an image's source; images are given from south to north."""
    left, bottom, right, top = extent
    image = np.ascontiguousarray(rgba).view("uint32")[..., 0][::-1]
    return {"rgba": [image], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}


def _cross() -> list[Span]:
    """Two lines through the pointer, shared by maps beside each other."""
    return [Span(dimension=d, line_width=1, line_color=HALO, line_alpha=0.8) for d in ("width", "height")]


def _scale_bar() -> ScaleBar:
    return ScaleBar(
        unit="m",
        location="bottom_right",
        dimensional=MetricLength(include=["m", "km"]),
        background_fill_alpha=0.8,
        border_line_color=None,
        label_text_font_size="11px",
        bar_line_width=2,
        bar_length=0.22,
        margin=8,
        padding=6,
    )
