"""The map as a HoloViews object: the store's overview that fits the screen, rasterised by Datashader, coloured last."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.layer_image import SHARP_PX, WHOLE_PX, LayerImage, LayerStyle, Viewport, format_date
from fluxlens.app.plots.elements import column_name, format_unit, lonlat_hover, make_title, map_dimensions
from fluxlens.app.plots.map_raster import pick_viewport, rasterize
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.embeddings.geometry import Grid
from fluxlens.models.errors import InputError

FRAME_WIDTH_PX = 480
"""Width of the map's frame; its height follows from the scene's aspect."""
COMPOSITES_REMEMBERED = 8
"""Composites whose values the hover can still look up: those of the plots that one object is shown in."""


def embedding_map(
    data: Any,
    layer: str = "pca",
    day: Any = None,
    feature: int = 0,
    clusters: int = 5,
    pixel: tuple[int, int] | None = None,
    area: Any = None,
    threshold: float = 0.0,
    labels: tuple = (),
    palette: Any = None,
) -> Any:
    """A layer of the map on one day, to compose with ``*`` and ``+``.

    Panning and zooming read the store's overview for what is on screen. Single numbers are rasterised by Datashader and
    coloured in the browser, so that another palette reads and aggregates nothing.

    Parameters
    ----------
    data : ExplorerData, MapLayers or xarray.DataArray
        A store as the explorer holds it, its layers alone, or one image (y, x) with coordinates in metres and
        ``spatial_ref``, for instance ``gpp.sel(time=day)``.
    layer : str
        A key of ``LAYERS``; ignored for a DataArray.
    day : date-like or param.Parameter, optional
        Day of the image, UTC; a parameter (``explorer.state.param.day``) redraws the map when it changes. None: the
        middle of the period.
    feature : int
        Index of the embedding feature, for "feature".
    clusters : int
        Number of clusters, for "clusters".
    pixel : tuple of int, optional
        (row, col) of the reference pixel, for "similar"; None: the middle of the scene.
    area : shapely.MultiPolygon, optional
        Area in lon, lat whose mean vector is the reference in place of a pixel, for "similar".
    threshold : float
        Cosine similarity (-1 to 1) below which pixels are drawn pale, for "similar".
    labels : tuple of Label
        Labelled pixels, for "labels".
    palette : str or param.Parameter, optional
        Name of a colorcet palette in place of the layer's own, for layers of one number.

    Returns
    -------
    holoviews.DynamicMap
        Of Image (numbers and classes) or RGB (composites), x and y in metres of the scene's CRS.

    Raises
    ------
    InputError
        A layer or a day that the store does not have.
    """
    if isinstance(data, xr.DataArray):
        grid, read, simulated, days = *_array_source(data), bool(int(data.attrs.get("simulated", 0))), None
    else:
        # The facade and its layers are both taken, so that a notebook needs only one of them.
        layers = getattr(data, "map_layers", data)
        if isinstance(layers, xr.Dataset | xr.DataTree) or not hasattr(layers, "scene"):
            raise InputError(
                f"Got a {type(layers).__name__}, need `explorer.data` or one image (y, x), such as"
                " `cube.sigma.sel(time=day)`; choose one variable and day."
            )
        scene = layers.scene
        grid, simulated, days = scene.grid, scene.simulated, scene.days
        if layer not in layers.keys:
            raise InputError(f"Got the layer {layer!r}, need one of {', '.join(layers.keys)}; choose one.")
        # Similarity needs a reference pixel; the middle of the scene is as good as any.
        middle = (grid.ny // 2, grid.nx // 2)
        choices = {
            "feature": {"feature": feature},
            "similar": {"pixel": pixel or middle, "area": area, "threshold": threshold},
            "clusters": {"clusters": clusters},
            "labels": {"labels": tuple(labels)},
        }.get(layer, {})

        def read(viewport: Viewport | None, when: dt.date) -> LayerImage:
            return layers.image(LayerKey(layer, when, **choices), viewport)

    return _Map(grid, read, simulated, days, day, palette).make()


def _array_source(array: xr.DataArray) -> tuple[Grid, Callable]:
    """Grid of an image (y, x) and a function that reads a viewport of it."""
    array = array.squeeze(drop=True)
    if set(array.dims) != {"y", "x"}:
        raise InputError(f"Got an array of {array.dims}, need one image (y, x); select one day.")
    array = array.transpose("y", "x")
    grid, values = Grid.from_cube(array), np.asarray(array.values, "float32")
    # One stretch for the whole image: panning and zooming must not change colours.
    low, high = np.nanpercentile(values, [1, 99]) if np.isfinite(values).any() else (0.0, 1.0)
    name = str(array.attrs.get("long_name") or array.name or "value")
    unit = format_unit(str(array.attrs.get("units", ""))) or ""
    ends = (float(low),), (float(max(high, low + 1e-6)),)
    style = LayerStyle(name, unit, (str(array.name or "value"),), *ends, palette="CET_CBL2")
    caption = format_date(array.time.values) if "time" in array.coords and not array.time.ndim else ""

    def read(viewport: Viewport | None, when: Any) -> LayerImage:
        if viewport is None:
            return LayerImage(values[..., None], style, caption)
        level = viewport.level
        block = values[viewport.top * level : viewport.bottom * level, viewport.left * level :]
        block = block[:, : (viewport.right - viewport.left) * level]
        # the last block of a side may be cut by the edge of the image
        # Repeated edges change the mean of the last block by less than leaving them out would.
        pad = [(0, -n % level) for n in block.shape]
        block = np.pad(block, pad, mode="edge")
        blocks = block.reshape(block.shape[0] // level, level, block.shape[1] // level, level)
        return LayerImage(blocks.mean((1, 3))[..., None], style, caption)

    return grid, read


class _Map:
    """Reads, rasterises and colours one layer; what ``embedding_map`` and its callbacks share."""

    def __init__(self, grid, read, simulated, days, day, palette):
        self.grid, self.read, self.simulated, self.days = grid, read, simulated, days
        self.day, self.palette = day, palette
        self.dimensions = map_dimensions(grid.crs)
        self.composites: OrderedDict = OrderedDict()
        self.origin: list[tuple[str, str]] = []
        """Lines of the hover that depend on what was read last: the date, and scene pixels in one pixel."""

    def _pick_day(self, day: Any) -> dt.date | None:
        """The day to show, checked against the store's period."""
        if self.days is None:
            return None
        when = self.days[len(self.days) // 2] if day is None else pd.Timestamp(day).normalize()
        if when not in self.days:
            raise InputError(
                f"Got the day {when.date()}, need one from {self.days[0].date()} to {self.days[-1].date()}; "
                "choose one."
            )
        return when.date()

    def viewport(self, x_range, y_range, width, height) -> Viewport | None:
        """What is on screen; None: the whole of a scene that is small enough to be sent whole."""
        # Small scenes are read once; Datashader resamples them to the screen.
        if max(self.grid.shape) <= WHOLE_PX:
            return None
        left, bottom, right, top = self.grid.extent
        # No more pixels than the screen has, at least 64 while the plot has no size yet.
        max_px = int(min(SHARP_PX, max(width or 0, height or 0, 64)))
        return pick_viewport(self.grid, x_range or (left, right), y_range or (bottom, top), max_px)

    def element(self, x_range=None, y_range=None, width=None, height=None, day=None) -> Any:
        """The image on screen as an RGB or an Image of the layer's numbers."""
        import holoviews as hv

        viewport = self.viewport(x_range, y_range, width, height)
        image = self.read(viewport, self._pick_day(day))
        raster = rasterize(self.grid, viewport, image, self._screen_px_m(x_range, y_range, width, height))
        style, cell, bounds = image.style, raster.describe_cell(), raster.extent
        self.origin = [("date", image.date), *([("mean of", cell)] if cell else [])]
        # Also an option of the element, which a plot takes from its parts: composed with a user's own points the
        # overlay has no label, and the title with its day and "simulated" would be lost.
        title = make_title(", ".join(filter(None, (style.label, image.caption))), self.simulated)
        if len(style.channels) > 1:
            rgba = raster.shade()
            # The numbers behind the colours, for the hover: RGB elements carry colours alone.
            self.composites[bounds, rgba.shape[:2]] = raster.image
            # Bounded: each one is an image of the screen's size.
            while len(self.composites) > COMPOSITES_REMEMBERED:
                self.composites.popitem(last=False)
            vdims = [hv.Dimension(name, range=(0, 255)) for name in "RGBA"]
            return hv.RGB(rgba, self.dimensions, vdims, bounds=bounds, label=title).opts(title=title)
        value = hv.Dimension(column_name(style.channels[0]), label=style.label, unit=style.unit or None)
        values = np.asarray(raster.image.values[..., 0], "float32")
        return hv.Image(values, self.dimensions, value, bounds=bounds, label=title).opts(title=title)

    def _screen_px_m(self, x_range, y_range, width, height) -> float:
        """Side of a screen pixel, metres; 0 while the plot has no size."""
        if not width or not height:
            return 0.0
        left, bottom, right, top = self.grid.extent
        (x0, x1), (y0, y1) = x_range or (left, right), y_range or (bottom, top)
        return min(abs(x1 - x0) / width, abs(y1 - y0) / height)

    def make(self) -> Any:
        """A DynamicMap that reads and aggregates at each move, and options that colour what it made."""
        import holoviews as hv
        import param

        view, size = hv.streams.RangeXY(), hv.streams.PlotSize(width=FRAME_WIDTH_PX, height=FRAME_WIDTH_PX)
        streams: list = [view, size]
        fixed_day = self.day
        # A parameter makes the map follow the dashboard's day without being made anew.
        if isinstance(self.day, param.Parameter):
            streams.append(hv.streams.Params(self.day.owner, [self.day.name], rename={self.day.name: "day"}))
            fixed_day = getattr(self.day.owner, self.day.name)
        first = self.read(
            self.viewport(None, None, FRAME_WIDTH_PX, FRAME_WIDTH_PX), self._pick_day(fixed_day)
        )

        def read_on_screen(x_range=None, y_range=None, width=None, height=None, scale=1.0, day=None):
            return self.element(x_range, y_range, width, height, fixed_day if day is None else day)

        source = hv.DynamicMap(read_on_screen, streams=streams)
        left, bottom, right, top = self.grid.extent
        options = {
            "frame_width": FRAME_WIDTH_PX,
            "data_aspect": 1,
            "xlim": (left, right),
            "ylim": (bottom, top),
            "show_legend": False,  # composed with points of the user, the title would stand in a legend too
            "xformatter": "%d",  # UTM northings have seven digits; Bokeh would write 5.6e+6
            "yformatter": "%d",
        }
        hover = _make_hover(self.grid, first)
        if len(first.style.channels) > 1:
            return source.opts(
                hv.opts.RGB(**options, tools=[hover], hooks=[self._add_composite_values, self._update_hover])
            )
        # Colours are options beside the aggregated numbers: a change of colours aggregates nothing again.
        numbers = source.opts(
            hv.opts.Image(**options, tools=[hover], hooks=[self._update_hover], colorbar=True)
        )
        if first.style.classes:
            return numbers.apply.opts(**_class_options(first.style))
        limits = (first.style.low[0], first.style.high[0])
        return numbers.apply.opts(cmap=_palette_of(self.palette, first.style), clim=limits)

    def _update_hover(self, plot, element) -> None:
        """Write date and number of pixels of the image on screen into the hover."""
        hover = plot.handles.get("hover")
        if hover is not None:
            # Lines of the last view are replaced, those of the layer stay.
            fixed = [line for line in hover.tooltips if line[0] not in ("date", "mean of")]
            hover.tooltips = [*fixed, *self.origin]

    def _add_composite_values(self, plot, element) -> None:
        """Put the numbers behind a composite into the plot's source, for the hover."""
        shape = element.interface.shape(element, gridded=True)[:2]
        image = self.composites.get((element.bounds.lbrt(), shape))
        if image is None:
            return
        source = plot.handles["source"]
        for i, name in enumerate(image.style.channels):
            # Bokeh draws the first row of an image lowest
            source.data[column_name(name)] = [np.ascontiguousarray(image.values[::-1, :, i])]


def _palette_of(palette: Any, style: LayerStyle) -> Any:
    """Colours of a palette by name, or a reference that follows a parameter."""
    import colorcet
    import param

    if isinstance(palette, param.Parameter):
        return param.bind(lambda name: list(colorcet.palette[name]), palette)
    name = palette or style.palette
    if name not in colorcet.palette:
        raise InputError(f"Got the palette {name!r}, need a name of colorcet such as CET_CBL2; choose one.")
    return list(colorcet.palette[name])


def _class_options(style: LayerStyle) -> dict:
    """Colours and names of classes: one colour each, and their names beside the colour bar."""
    from bokeh.models import FixedTicker

    count = len(style.classes)
    return {
        "cmap": list(style.classes),
        # class i lies in the middle of the i-th colour
        "clim": (-0.5, count - 0.5),
        "colorbar_opts": {
            "ticker": FixedTicker(ticks=list(range(count))),
            "major_label_overrides": {i: style.class_label(i) for i in range(count)},
        },
    }


def _make_hover(grid: Grid, image: LayerImage) -> Any:
    """Value, place, date: what the pointer is over."""
    from bokeh.models import CustomJSHover, HoverTool

    style = image.style
    formatters: dict = {"$x": lonlat_hover(grid)}
    if len(style.channels) > 1:
        values = [(name, f"@{column_name(name)}{{0.000}}") for name in style.channels]
    elif style.classes:
        names = [style.class_label(i) for i in range(len(style.classes))]
        formatters["@image"] = CustomJSHover(args={"names": names}, code="return names[value] ?? 'unknown';")
        values = [(style.value_names[0], "@image{custom}")]
    else:
        values = [(style.value_names[0], f"@image{{0.000}} {style.unit}".strip())]
    tooltips = [*values, ("x, y", "$snap_x{0} m, $snap_y{0} m"), ("lat, lon", "$x{custom}")]
    return HoverTool(tooltips=tooltips, formatters=formatters)
