"""The map of the dashboard: one HoloViews overlay, drawn once; then only the data of its sources change.

Long, since all that changes on the map goes through the handles of one figure.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.events import RangesUpdate, SelectionGeometry, Tap
from bokeh.models import (
    BoxSelectTool,
    CrosshairTool,
    CustomJSHover,
    HoverTool,
    LassoSelectTool,
    PanTool,
    Range1d,
    ResetTool,
    WheelZoomTool,
)
from fluxlens.app.data.layer_image import QUICK_PX, SHARP_PX, WHOLE_PX, LayerImage, LayerStyle, Viewport
from fluxlens.app.palette import HALO, TOWER_COLOUR
from fluxlens.app.plots.chart_template import copy_charts
from fluxlens.app.plots.colour import paint
from fluxlens.app.plots.elements import lonlat_hover, map_dimensions
from fluxlens.app.plots.later import draw_later
from fluxlens.app.plots.map_frame import limit_view, make_cross, make_scale_bar
from fluxlens.app.plots.map_marks import (
    empty_map_tables,
    label_points,
    map_marks,
    no_lines,
    place_tables,
    tower_point,
)
from fluxlens.app.plots.map_raster import MIN_SHRINK, MapRaster, pick_viewport, rasterize
from fluxlens.app.plots.marks import IMAGE_COLUMNS, NO_IMAGE, RenderedChart, source_columns
from fluxlens.app.state.labels import Label
from fluxlens.app.state.place import Place
from fluxlens.embeddings.geometry import Grid

UNDER_BOX_ALPHA = 0.35
"""Opacity of the image under a box that is being computed."""
WIDE_RANGE = 5.0
"""Layers whose colours span at least that much of their unit are read with two digits, others with three."""
MARKER_REACH = 0.018
"""A tap within this share of the map's width from the tower means the tower."""
READ_PER_SCREEN_PX = 1.5
"""Overviews come in powers of two: one of up to that many pixels for each pixel of the screen is averaged to it."""
REST_S = 0.5
"""Seconds without a move after which a view becomes sharp."""


def draw_map() -> dict[str, RenderedChart]:
    """The map under the name "map", drawn by HoloViews without data; its axes are hidden, whatever their CRS."""
    chart = RenderedChart(map_marks(), *map_dimensions(""), empty_map_tables(), {"responsive": True})
    chart.figure.update(
        sizing_mode="stretch_both",
        min_border=0,
        min_border_left=0,
        min_border_right=0,
        min_border_top=0,
        min_border_bottom=0,
        outline_line_color=None,
        background_fill_alpha=0,
        border_fill_alpha=0,
        # Neither axes nor grid lines: places are told by the scale bar and the hover.
        left=[],
        below=[],
        center=[],
    )
    return {"map": chart}


class MapPlot:
    """The layer image, with tower, places and outlines on top; made once, only the data of its sources change.

    A small scene is sent whole. Of a larger one the part on screen is sent when the view moves: coarse at once, sharp
    when it rests, aggregated to the pixels of the screen by Datashader (``map_raster``). Numbers on screen are kept, so
    that other colours aggregate nothing.

    Parameters
    ----------
    grid : Grid
        Grid of the scene.
    make_image : callable
        ``make_image(viewport)`` returns the LayerImage to draw; the viewport is None for the whole scene.
    tower_xy : tuple of float, optional
        (x, y) of the tower, metres.
    on_tap : callable, optional
        ``on_tap(x, y, add)``: metres, and whether Shift was held.
    on_area : callable, optional
        ``on_area(xs, ys)``: corners of a drawn outline, metres.
    on_box : callable, optional
        ``on_box((x0, x1), (y0, y1))``: corners of a drawn box, metres.
    linked_to : MapPlot, optional
        A map with which this one pans and zooms, and shares the cross at the pointer.
    colour : callable, optional
        ``colour(image)`` gives an image the style that the user chose for it; see ``recolour``.
    """

    def __init__(
        self,
        grid: Grid,
        make_image: Callable[[Viewport | None], LayerImage],
        tower_xy: tuple[float, float] | None = None,
        on_tap: Callable[..., None] | None = None,
        on_area: Callable[[list[float], list[float]], None] | None = None,
        on_box: Callable[[tuple[float, float], tuple[float, float]], None] | None = None,
        linked_to: "MapPlot | None" = None,
        colour: Callable[[LayerImage], LayerImage] = lambda image: image,
    ):
        self.grid, self.make_image, self.tower_xy, self.colour = grid, make_image, tower_xy, colour
        self.raster: MapRaster | None = None
        # Whether the image on screen is one of other choices, and covers nothing of the new one.
        self._stale = True
        # Counts movements of the view, so that a sharper image that comes late is dropped.
        self._moves = 0
        self._class_names: CustomJSHover | None = None
        left, bottom, right, top = grid.extent
        # What explorer.map composes are the same marks.
        self.chart = copy_charts("map", draw_map)["map"]
        self.figure, sources = self.chart.figure, self.chart.sources
        self.under, self.image, self.fresh = (sources[n] for n in ("basemap", "layer", "computed box"))
        self.pins, self.outlines, self.labels, self.footprint, self.box = (
            sources[n] for n in ("pixels", "areas", "labels", "footprint", "frame of the box")
        )
        # The same range objects, so that two maps pan and zoom together in the browser, without the server.
        self.figure.x_range = linked_to.figure.x_range if linked_to else Range1d(left, right)
        self.figure.y_range = linked_to.figure.y_range if linked_to else Range1d(bottom, top)
        self._glyph = self.chart.handles["layer"]["glyph_renderer"]
        self.chart.update({"tower": tower_point(tower_xy)})
        self.chart.update({name: NO_IMAGE for name in ("basemap", "fresh", "marked")})
        self.fill(None)
        self.frame(None)
        self._add_tools(on_tap, on_area, on_box)
        self.figure.add_layout(make_scale_bar())
        limit_view(self.figure, grid)
        self.cross = linked_to.cross if linked_to else make_cross()
        self.figure.add_tools(CrosshairTool(overlay=self.cross))
        for span in self.cross:
            span.visible = linked_to is not None
        # Small scenes are in the browser whole; only of large ones must the server know the view.
        if self._large:
            self.figure.on_event(RangesUpdate, lambda event: self.update_view())
        self.draw()

    def close(self) -> None:
        """Drop images that are still being made; for a map that leaves the screen."""
        self._moves += 1

    def draw(self) -> None:
        """Make the image anew and show it."""
        self._stale = True
        self.update_view()

    @property
    def viewport(self) -> Viewport | None:
        """The part on screen and its resolution; None: the whole scene, or nothing yet."""
        return self.raster.viewport if self.raster else None

    @property
    def image_shown(self) -> LayerImage | None:
        """The image on screen, in the colours that it has there."""
        return self.colour(self.raster.image) if self.raster else None

    def update_view(self) -> None:
        """Show the part of the scene in the figure's ranges, unless the image shown has it already."""
        if not self._large:
            self._show(*self._render(None))
            return
        self._moves += 1
        # Two resolutions: a coarse view now, within a frame's time, and a sharp one once the view rests.
        quick, sharp = (self._viewport_on_screen(px) for px in (QUICK_PX, SHARP_PX))
        if not self._covers(quick):
            self._show(*self._render(quick))
        if not self._covers(sharp):
            self.sharpen_later(sharp)

    def sharpen_later(self, viewport: Viewport) -> None:
        """Show a sharper viewport once the view has rested; at once where there is no server.

        Parameters
        ----------
        viewport : Viewport
            Dropped where the view moves again before it is drawn.
        """
        move = self._moves
        draw_later(
            self.figure,
            lambda: self._render(viewport),
            lambda rendered: self._show(*rendered),
            lambda: move == self._moves,
            REST_S,
        )

    def _covers(self, wanted: Viewport) -> bool:
        """Whether what is shown has the view in cells no coarser than the pixels of ``wanted``, or the screen's."""
        # Without the margin, which is there to be used up.
        view = self._viewport_on_screen(SHARP_PX, 0)
        if self._stale or self.viewport is None or not self.viewport.covers(view, wanted.level):
            return False
        finest = max(wanted.level, self._screen_px_m / self.grid.size_m)
        # Rounding to whole cells changes their size a little.
        return self.raster.cell_px <= MIN_SHRINK * finest

    def show_pixel(self, row: int, col: int) -> None:
        """Move the view, at the same zoom, until the pixel (row, col) is in it; not at all where it is in view."""
        x, y = float(self.grid.x[col]), float(self.grid.y[row])
        for axis, at in ((self.figure.x_range, x), (self.figure.y_range, y)):
            start, end = float(axis.start), float(axis.end)
            if not start <= at <= end:
                axis.update(start=at - (end - start) / 2, end=at + (end - start) / 2)
        if self._large:
            self.update_view()

    def draw_places(self, places: list[Place]) -> None:
        """Ring the chosen pixels and outline the chosen areas, each in its colour."""
        self.chart.update(place_tables(places, self.grid))

    def draw_footprint(self, lines: tuple[tuple[list[float], list[float]], ...]) -> None:
        """Draw the outlines of a tower's footprint: (xs, ys) of each in metres; () removes them."""
        left, bottom, right, top = self._inside()
        clipped = []
        for line in lines:
            xs, ys = np.array(line, float)
            # Bokeh would draw a line that leaves the frame across the page; NaN interrupts it at the frame.
            out = (xs < left) | (xs > right) | (ys < bottom) | (ys > top)
            clipped.append(np.where(out, np.nan, [xs, ys]))
        xs, ys = [xs for xs, _ in clipped], [ys for _, ys in clipped]
        self.chart.update({"footprint": {"xs": xs, "ys": ys, "colour": [TOWER_COLOUR] * len(xs)}})

    def draw_labels(self, labels: tuple[Label, ...]) -> None:
        """Squares on the labelled pixels, in the colours of the map that is fitted to them."""
        self.chart.update({"labels": label_points(labels, self.grid)})

    def draw_marked(self, marked: Any | None) -> None:
        """Lay an RGB on the map's axes over the layer, such as the pixels of a lasso; None removes it."""
        if marked is None:
            self.chart.update({"marked": NO_IMAGE})
            return
        rgba = np.dstack([marked.dimension_values(name, flat=False) for name in "RGBA"]).astype("uint8")
        # HoloViews gives rows from south to north, an image starts in the north.
        self.chart.update({"marked": {"rgba": rgba[::-1], "extent": marked.bounds.lbrt()}})

    def on_tower(self, x: float, y: float) -> bool:
        """Whether a tap (metres) meant the tower's marker: within about its size on screen, or on its pixel."""
        if self.tower_xy is None:
            return False
        # The marker keeps its size on screen, so the reach of a tap grows with the extent on view.
        span = abs(float(self.figure.x_range.end) - float(self.figure.x_range.start))
        distance_m = np.hypot(x - self.tower_xy[0], y - self.tower_xy[1])
        return bool(distance_m <= max(MARKER_REACH * span, self.grid.size_m / 2))

    def frame(self, window: Grid | None) -> None:
        """Outline a part of the grid, or remove the outline (None)."""
        table = no_lines()
        if window is not None:
            left, bottom, right, top = self._inside(window)
            table["xs"] = [[left, right, right, left, left]]
            table["ys"] = [[bottom, bottom, top, top, bottom]]
            table["colour"] = [HALO]
        self.chart.update({"box": table})

    def _inside(self, window: Grid | None = None) -> np.ndarray:
        """An extent less a line's width: Bokeh clears only the frame, lines outside it would stay on screen."""
        # Half a line's width inwards, so that a frame on the edge of the scene is visible whole.
        inset = self.grid.size_m * self.grid.nx / 300
        return np.add((window or self.grid).extent, [inset, inset, -inset, -inset])

    def draw_basemap(self, rgba: np.ndarray, extent: tuple[float, float, float, float]) -> None:
        """Draw a basemap (y, x, 4) uint8 under everything; ``extent`` is left, bottom, right, top in metres."""
        self.chart.update({"basemap": {"rgba": rgba, "extent": extent}})

    def fill(
        self, window: Grid | None, values: np.ndarray | None = None, style: LayerStyle | None = None
    ) -> None:
        """Draw what is computed of a box so far, over the paler image.

        Parameters
        ----------
        window : Grid or None
            The box; None removes it.
        values : numpy.ndarray
            (y, x, channel) of the box, NaN where not computed yet.
        style : LayerStyle
            Its colours.
        """
        self._glyph.glyph.global_alpha = 1.0 if window is None else UNDER_BOX_ALPHA
        if window is None:
            self.chart.update({"fresh": NO_IMAGE})
            return
        self.chart.update({"fresh": {"rgba": paint(values, style), "extent": window.extent}})

    # --- the image ---

    @property
    def _large(self) -> bool:
        return max(self.grid.shape) > WHOLE_PX

    @property
    def _screen_px(self) -> tuple[int, int] | None:
        """Width and height of the frame, screen pixels; None before the browser has told."""
        try:
            width, height = self.figure.inner_width, self.figure.inner_height
        except UnsetValueError:
            return None
        return (width, height) if width and height else None

    @property
    def _screen_px_m(self) -> float:
        """Side of a screen pixel, metres; 0 before the browser has told."""
        if self._screen_px is None:
            return 0.0
        ranges = (self.figure.x_range, self.figure.y_range)
        # The finer one, where the frame's shape is not that of the view.
        return min(
            abs(float(axis.end) - float(axis.start)) / px
            for axis, px in zip(ranges, self._screen_px, strict=True)
        )

    def _viewport_on_screen(self, max_px: int, margin: float = 0.125) -> Viewport:
        """The part of the scene in the figure's ranges, with no more pixels than the screen has use for."""
        if self._screen_px is not None:
            max_px = min(max_px, max(QUICK_PX, round(READ_PER_SCREEN_PX * max(self._screen_px))))
        across, down = self.figure.x_range, self.figure.y_range
        return pick_viewport(self.grid, (across.start, across.end), (down.start, down.end), max_px, margin)

    def _render(self, viewport: Viewport | None) -> tuple[MapRaster, dict]:
        """A viewport on the grid of the screen, and the columns of the source that draws it."""
        image = self.make_image(viewport)
        # A scene that is sent whole keeps its own pixels: the browser zooms into them without the server.
        raster = rasterize(self.grid, viewport, image, self._screen_px_m if viewport else 0.0)
        values = raster.image.values
        layer = {"layer": {"rgba": raster.shade(self.colour(raster.image).style), "extent": raster.extent}}
        data = dict(zip(IMAGE_COLUMNS, source_columns(self.chart.marks[1], layer), strict=True))
        blank = np.zeros((1, 1), "float32")
        data |= {f"v{i}": [blank] for i in range(3)}
        # Values travel with the colours, for the hover: the browser needs no question to the server.
        # Bokeh's first row is the southern one, the grid's the northern one.
        data |= {f"v{i}": [np.ascontiguousarray(values[::-1, :, i])] for i in range(values.shape[-1])}
        return raster, data

    def _show(self, raster: MapRaster, data: dict) -> None:
        """Put a rendered image on screen."""
        self.raster, self.image.data, self._stale = raster, data, False
        style = self.image_shown.style
        unit = f" {style.unit}" if style.unit and len(style.channels) == 1 else ""
        # As many digits as the colours can tell apart: 4.85 of 16 gC m-2 d-1, 0.031 of 0.08.
        digits = "0.[00]" if style.high[0] - style.low[0] >= WIDE_RANGE else "0.000"
        form = "custom" if style.classes else digits
        cell = raster.describe_cell()
        tips = [
            *((name, f"@v{i}{{{form}}}{unit}") for i, name in enumerate(style.value_names)),
            ("date", self.image_shown.date),
            ("place", "$x{custom}"),
            ("most frequent of" if style.classes else "mean of", cell)
            if cell
            else ("of", f"one pixel of {self.grid.size_m:g} m"),
        ]
        self._format_classes(style)
        # Setting tooltips anew closes an open one; it is done only when their text changes.
        if self.hover.tooltips != tips:
            self.hover.tooltips = tips

    def _format_classes(self, style: LayerStyle) -> None:
        """Have the hover write the names of classes, as the legend does, in place of their numbers."""
        formatters = {name: made for name, made in self.hover.formatters.items() if name != "@v0"}
        if style.classes:
            names = [style.class_label(i) for i in range(len(style.classes))]
            # Made with the first layer of classes: pages that show none have one model less.
            if self._class_names is None:
                self._class_names = CustomJSHover(code="return names[value] ?? 'no data';")
            if self._class_names.args != {"names": names}:
                self._class_names.args = {"names": names}
            formatters["@v0"] = self._class_names
        if self.hover.formatters != formatters:
            self.hover.formatters = formatters

    def recolour(self) -> None:
        """Show the numbers on screen in other colours: nothing is read or aggregated, and only colours are sent."""
        # A sharper image that is under way would come in the old colours.
        self._moves += 1
        layer = {"layer": {"rgba": self.raster.shade(self.image_shown.style), "extent": self.raster.extent}}
        # One column set by itself is sent by itself.
        self.image.data["image"] = source_columns(self.chart.marks[1], layer)[0]
        if self._large:
            self.update_view()

    # --- tools ---

    def _add_tools(self, on_tap, on_area, on_box) -> None:
        self.hover = HoverTool(
            renderers=[self._glyph], attachment="above", formatters={"$x": lonlat_hover(self.grid)}
        )
        # What a drag can do; the browser switches between them (``views.drag_tools``).
        self.drag_tools = {
            "pan": PanTool(),
            "area": LassoSelectTool(renderers=[]),
            "box": BoxSelectTool(renderers=[]),
        }
        wheel = WheelZoomTool()
        self.figure.add_tools(*self.drag_tools.values(), wheel, ResetTool(), self.hover)
        self.figure.toolbar.active_drag, self.figure.toolbar.active_scroll = self.drag_tools["pan"], wheel
        if on_tap:
            self.figure.on_event(
                Tap, lambda event: on_tap(event.x, event.y, bool((event.modifiers or {}).get("shift")))
            )
        if on_area or on_box:

            def outlined(event) -> None:
                shape = event.geometry
                # Events come while the pointer moves, too; only the last one is a choice.
                if event.final and shape.get("type") == "poly" and on_area:
                    on_area(list(shape["x"]), list(shape["y"]))
                if event.final and shape.get("type") == "rect" and on_box:
                    on_box((shape["x0"], shape["x1"]), (shape["y0"], shape["y1"]))

            self.figure.on_event(SelectionGeometry, outlined)
