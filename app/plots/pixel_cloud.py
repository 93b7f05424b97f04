"""Feature space: all pixels of a view in two axes, datashaded, linked to the map by selections.

Long on purpose: the cloud, its path, its marks and its colour bar share one pair of axes.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from fluxlens.app.data.layer_image import Viewport, format_date
from fluxlens.app.data.series import SeriesReader
from fluxlens.app.data.similarity import PERIOD_DAYS
from fluxlens.app.palette import CLASS_COLOURS, MARK_COLOUR, PATH_COLOUR
from fluxlens.app.plots.colour import rgb
from fluxlens.app.plots.elements import load_holoviews, make_title, map_dimensions
from fluxlens.app.plots.map_raster import image_extent
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.app.units import GPP_UNIT
from fluxlens.models.errors import InputError

MONTH_COLOURS = ("#ffffff", "#566373")
"""Ink and ground of the months' names, readable on points of any colour."""
FRAME_PX = 400
"""Sides of the frame."""
LEAST_FRAME_PX = 150
"""A frame of fewer pixels is one that the browser has not laid out yet: on a phone it is about 300."""
FEW_POINTS = 200_000
"""So few points are counted in squares of two screen pixels a side: dots of one are hardly seen."""
LABEL_SHARE = 0.08
"""Room for the name of a month (30 px), as a share of the frame; half of it in height."""
PATH_DAYS = 365
"""The path shows at most that many days, around the day: a second year would lie on the first."""
MARKED_POINTS = 20_000
"""Of more pixels marked on the map that many are drawn in feature space, evenly spread."""
MARK_RGBA = (*rgb([MARK_COLOUR])[0].tolist(), 210)
"""``MARK_COLOUR`` on the map, a little transparent."""


@dataclass(frozen=True)
class FeatureSpace:
    """The plot and the streams that link it to a map."""

    plot: Any
    """HoloViews object: the datashaded pixels, the path of the chosen pixel, the pixels of the area on the map."""
    selection: Any
    """holoviews.streams.Lasso of the plot: ``geometry`` (corner, 2) in the plot's axes, or None."""
    marked: Any
    """holoviews.DynamicMap of an RGB on the map's axes: opaque where a pixel is inside the selection."""
    pixel: Any
    """Stream of the chosen pixel: ``space.pixel.event(pixel=(row, col))`` draws its path; None removes it."""
    area: Any
    """Stream of an area on the map: ``space.area.event(geometry=corners)``, (corner, 2) in metres, marks its pixels."""
    mark: Any
    """``space.mark(inside)``: the RGB of the map's axes that is opaque where (pixel,) bool ``inside`` is True."""
    title: str
    """How many pixels of which days, and whether they are simulated."""
    points: pd.DataFrame
    """The pixels: the two axes, the colour's column, ``pixel`` (flat index in the view)."""

    def select(self, geometry: np.ndarray | None) -> np.ndarray:
        """Whether each pixel of the view is inside a line.

        Parameters
        ----------
        geometry : numpy.ndarray or None
            (corner, 2) in the plot's axes.

        Returns
        -------
        numpy.ndarray
            (pixel,) bool; over a period, whether it is inside on any day.
        """
        x, y = (self.points.iloc[:, i].to_numpy() for i in (0, 1))
        pixel = self.points["pixel"].to_numpy()
        # A pixel may stand in the cloud on several days; it is selected where one of them is.
        inside = np.zeros(int(pixel.max()) + 1, bool)
        inside[pixel[_contains(geometry, x, y)]] = True
        return inside


def feature_space(
    data: Any,
    x: str = "PC1",
    y: str = "PC2",
    color: str = "density",
    day: Any = None,
    viewport: Viewport | None = None,
    pixel: tuple[int, int] | None = None,
    clusters: int = 5,
    palette: str = "CET_L17",
    dark: bool = False,
) -> FeatureSpace:
    """All pixels of a view in any two axes.

    Parameters
    ----------
    data : ExplorerData
        One store as the explorer holds it.
    x, y : str
        "PC1", "PC2", "PC3", a feature ("e00", ...), "ndvi" (decoded) or "gpp" (gC m-2 d-1).
    color : str
        "density" (number of pixels), "gpp" (their mean) or "class" (k-means clusters, by name).
    day : date-like or "period", optional
        Day, UTC; "period" takes ``PERIOD_DAYS`` days evenly spread. None: the middle of the period.
    viewport : Viewport, optional
        Part and resolution of the scene; None: the whole, at the overview's resolution where it is large.
    pixel : tuple of int, optional
        (row, col) of the pixel whose path through the period is drawn.
    clusters : int
        Number of classes.
    palette : str
        A colorcet palette for density and GPP.
    dark : bool
        Whether the page is dark: the palette then runs from dark to bright.

    Returns
    -------
    FeatureSpace
        ``.plot`` to show, ``embedding_map(data) * space.marked`` to see a lasso's pixels on the map.

    Raises
    ------
    InputError
        An axis, a colour or a day that the store does not have.
    """
    hv = load_holoviews()
    if color not in ("density", "gpp", "class"):
        raise InputError(f"Got the colour {color!r}, need density, gpp or class; choose one.")
    # Of a large scene the overview: its points are means of blocks.
    reader = _AxisReader(data, viewport or data.overview, clusters)
    reader.check(x, y, color)
    days = _pick_days(data.days, day)
    points = reader.read_points(x, y, color, days)
    xdim, ydim = reader.dimension(x), reader.dimension(y)
    when = f"{len(days)} days of the period" if len(days) > 1 else format_date(days[0])
    title = make_title(f"{points['pixel'].nunique():,} pixels, {when}", data.simulated)
    cloud = rasterize_points(points, xdim, ydim, color, palette, dark).opts(title=title)
    # The outline comes in units of the axes, so it holds at any zoom.
    selection = hv.streams.Lasso(source=cloud)
    pixels, areas = _make_streams(pixel)

    # Of the whole period the path takes the year around its middle.
    around = days[len(days) // 2]

    def draw_path(pixel=None):
        return reader.path(pixel, around, points, xdim, ydim)

    def draw_area(geometry=None):
        return reader.area_marks(geometry, points, xdim, ydim)

    path = hv.DynamicMap(draw_path, streams=[pixels])
    area = hv.DynamicMap(draw_area, streams=[areas])
    frame = {"frame_width": FRAME_PX, "frame_height": FRAME_PX, "title": title, "show_grid": True}
    frame |= {"fontsize": {"title": "10pt"}}
    plot = (cloud * area * path).opts(hv.opts.Overlay(**frame, legend_position="bottom"))

    def draw_marked(geometry=None):
        return reader.mark(space.select(geometry))

    marked = hv.DynamicMap(draw_marked, streams=[selection])
    space = FeatureSpace(plot, selection, marked, pixels, areas, reader.mark, title, points)
    return space


def axis_names(data: Any) -> list[str]:
    """Axes of feature space that a store (ExplorerData) has: components, GPP, decoded NDVI, features."""
    return _AxisReader(data, None, 1).names()


def _make_streams(pixel: tuple[int, int] | None) -> tuple:
    """Streams of the chosen pixel and of an area on the map."""
    import holoviews as hv

    Pixel = hv.streams.Stream.define("Pixel", pixel=None)
    Area = hv.streams.Stream.define("Area", geometry=None)
    chosen = Pixel()
    chosen.update(pixel=pixel)
    return chosen, Area()


@cache
def _frame_streams() -> list[type]:
    """The streams of what is counted on the screen's pixels: the axes' ranges and the size of the frame.

    A pane that is shown for the first time tells sizes from before its layout is done, such as 70 px. Where the machine
    is busy, what is counted for the last of them can come after it, and the cloud is drawn in bars; such sizes count as
    ``FRAME_PX``.
    """
    import holoviews as hv
    from holoviews.plotting.bokeh.callbacks import PlotSizeCallback

    class FrameSize(hv.streams.PlotSize):
        def transform(self) -> dict[str, int | None]:
            sizes = super().transform()
            return {name: FRAME_PX if px and px < LEAST_FRAME_PX else px for name, px in sizes.items()}

    # HoloViews looks for the callback of a stream by its class, not by its bases.
    hv.streams.Stream._callbacks["bokeh"][FrameSize] = PlotSizeCallback
    return [FrameSize, hv.streams.RangeXY]


def rasterize_points(
    points: pd.DataFrame, xdim: Any, ydim: Any, color: str, palette: str = "CET_L17", dark: bool = False
) -> Any:
    """Points aggregated to the screen; colours are applied after that.

    Parameters
    ----------
    points : pandas.DataFrame
        Columns of the two axes, and "gpp_color" (float32) or "class" (categorical) where ``color`` needs it.
    xdim, ydim : holoviews.Dimension or str
        The axes.
    color : str
        "density", "gpp" or "class".
    palette : str
        A colorcet palette for density and GPP.
    dark : bool
        Whether the page is dark.

    Returns
    -------
    holoviews.DynamicMap
        Of an Image, or of an RGB for classes.
    """
    hv = load_holoviews()
    import colorcet
    import datashader as ds
    from holoviews.operation.datashader import rasterize

    xdim, ydim = hv.Dimension(xdim), hv.Dimension(ydim)
    ratio = 0.5 if len(points) < FEW_POINTS else 1
    if color == "class":
        from fluxlens.app.plots.class_counts import shade_classes

        source = hv.Points(points, [xdim, ydim], "class")
        colours = list(CLASS_COLOURS)
        shaded = shade_classes(
            source, column="class", colours=colours, pixel_ratio=ratio, streams=_frame_streams()
        )
        return shaded.opts(hv.opts.RGB(tools=["lasso_select"]))
    gpp = hv.Dimension("gpp_color", label="Mean GPP", unit=GPP_UNIT)
    # Datashader compiles a loop for each pair of names of columns, 0.5 s each: all axes go by the same names until
    # they are counted. Columns are handed on as they are: five million points are not copied.
    columns = {"x": xdim.name, "y": ydim.name} | ({gpp.name: gpp.name} if color == "gpp" else {})
    same = pd.DataFrame({name: points[column].to_numpy() for name, column in columns.items()}, copy=False)
    source = hv.Points(same, ["x", "y"], [gpp] if color == "gpp" else [])
    aggregator = ds.count() if color == "density" else ds.mean(gpp.name)
    # precompute: the columns are converted once, not at each zoom
    counted = rasterize(
        source, aggregator=aggregator, precompute=True, pixel_ratio=ratio, streams=_frame_streams()
    )
    numbers = counted.redim(x=xdim, y=ydim)
    # A few pixels are alike by the thousand, most are not: a logarithm shows both, and unlike ranks (eq_hist) its
    # colour bar can be read.
    scaling = (
        {"cnorm": "log", "clabel": "pixels", "hooks": [_scale_counts]}
        if color == "density"
        else {"clabel": str(gpp.pprint_label)}
    )
    # What stands out from the page is much: without the palest quarter, in which a single point could not be seen on
    # paper, and on a dark page backwards without the darkest.
    colours = list(colorcet.palette[palette])
    colours = colours[184:16:-1] if dark else colours[64:]
    bar = {"height": 10, "bar_line_color": None, "major_tick_line_color": None, "title_standoff": 4}
    options = {"cmap": colours, "colorbar": True, "colorbar_opts": bar, "tools": ["hover", "lasso_select"]}
    return numbers.opts(hv.opts.Image(**options, **scaling))


def _pad_words(plot: Any, element: Any) -> None:
    """Room between the names of months and the edges of their grounds; HoloViews has no option for it."""
    plot.handles["glyph"].padding = 2


def _scale_counts(plot: Any, element: Any) -> None:
    """Begin the colours at one pixel, and write round counts at the colour bar."""
    from bokeh.models import FixedTicker, NumeralTickFormatter

    mapper, bar = plot.handles["color_mapper"], plot.handles["colorbar"]
    # At least a decade: where each point stands alone, a range from 1 to 1 has no logarithm.
    highest = max(10, int(np.nanmax(element.dimension_values(2), initial=1)))
    mapper.low, mapper.high = 1, highest
    # Bokeh's own ticks of a logarithm are 7, 8, 9, 10, 11 where the range is about a decade. Models of their own for
    # each figure: one that two documents share can be drawn in neither.
    decades = range(len(str(highest)))
    bar.ticker = FixedTicker(
        ticks=[n * 10**power for power in decades for n in (1, 2, 5) if n * 10**power <= highest]
    )
    bar.formatter = NumeralTickFormatter(format="0,0")


def _pick_days(days: pd.DatetimeIndex, day: Any) -> list[dt.date]:
    """The days whose pixels are drawn."""
    if isinstance(day, str) and day == "period":
        picks = np.unique(np.linspace(0, len(days) - 1, PERIOD_DAYS).round().astype(int))
        return [days[i].date() for i in picks]
    when = days[len(days) // 2] if day is None else pd.Timestamp(day).normalize()
    if when not in days:
        raise InputError(
            f"Got the day {when.date()}, need one from {days[0].date()} to {days[-1].date()}, or 'period'; "
            "choose one."
        )
    return [when.date()]


def _year_around(days: pd.DatetimeIndex, day: dt.date) -> slice:
    """At most ``PATH_DAYS`` days with ``day`` in their middle, or as near to it as the period allows."""
    middle = int(days.get_indexer([pd.Timestamp(day)], method="nearest")[0])
    # Near an end of the period the year is moved inside, so that it stays a whole one.
    first = min(max(0, middle - PATH_DAYS // 2), max(0, len(days) - PATH_DAYS))
    return slice(first, first + PATH_DAYS)


def spread_apart(
    x: np.ndarray, y: np.ndarray, picks: np.ndarray, frame: tuple[float, float] | None = None
) -> np.ndarray:
    """Of some points of a path those that labels can stand at without covering each other.

    Parameters
    ----------
    x, y : numpy.ndarray
        (time,) the path.
    picks : numpy.ndarray
        (label,) indices of the points, the first of which is always kept.
    frame : tuple of float, optional
        Extents in x and y of what is drawn with the path; None: those of the path.

    Returns
    -------
    numpy.ndarray
        Some of ``picks``, apart by at least ``LABEL_SHARE`` of the frame in x, or half of that in y.
    """
    selected: list[int] = []
    if not len(picks):
        return picks
    # Words are wider than they are high; a path along one axis alone has no extent in the other.
    extents = frame or (float(np.ptp(x)), float(np.ptp(y)))
    wide, high = (max(extent, 1e-9) * LABEL_SHARE for extent in extents)
    for pick in picks:
        if all(abs(x[pick] - x[k]) >= wide or abs(y[pick] - y[k]) >= high / 2 for k in selected):
            selected.append(int(pick))
    return np.array(selected, int)


def _contains(geometry: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points are inside a closed line (corner, 2); all False for None or fewer than three corners."""
    if geometry is None or len(geometry) < 3:
        return np.zeros(len(x), bool)
    import shapely

    outline = shapely.Polygon(geometry)
    # Prepared once: each test then looks only at the edges near the point.
    shapely.prepare(outline)
    left, bottom, right, top = outline.bounds
    # exact tests only inside the bounding box: of five million points most are outside
    inside = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    inside[inside] = shapely.contains_xy(outline, x[inside], y[inside])
    return inside


class _AxisReader:
    """Numbers of the axes for all pixels of one view."""

    def __init__(self, data: Any, viewport: Viewport | None, clusters: int):
        self.data, self.viewport, self.clusters = data, viewport, clusters
        self.series = SeriesReader(data.scene, data.imagery)
        grid, level = data.grid, viewport.level if viewport else 1
        self.shape = data.scene.shape(viewport)
        self.bounds = image_extent(grid, viewport, self.shape)
        self.size_m = grid.size_m * level

    def names(self) -> list[str]:
        """Axes that this store has."""
        components = [f"PC{i + 1}" for i in range(self.data.components[0].shape[1])]
        gpp = ["gpp"] if self.data.predict else []
        ndvi = ["ndvi"] if "ndvi_decoded" in self.data.pixel_series(0, 0) else []
        return [*components, *gpp, *ndvi, *self.data.features]

    def check(self, x: str, y: str, color: str) -> None:
        """InputError for an axis or a colour that this store does not have, or the same axis twice."""
        for name in (x, y, *(["gpp"] if color == "gpp" else [])):
            if name not in self.names():
                raise InputError(f"Got the axis {name!r}, need one of {', '.join(self.names())}; choose one.")
        if x == y:
            raise InputError(f"Got {x!r} on both axes, need two different ones; change one.")

    def dimension(self, name: str) -> Any:
        """An axis with its label and unit."""
        import holoviews as hv

        if name == "gpp":
            return hv.Dimension("gpp", label="GPP", unit=GPP_UNIT)
        if name.startswith("PC"):
            return hv.Dimension(name, label=f"{name}, component score")
        return hv.Dimension(name, label="NDVI, decoded" if name == "ndvi" else f"Feature {name}")

    def _project(self, name: str, cube: Any) -> np.ndarray:
        """A component, a feature or NDVI of a cube with dims (..., feature): an array of its dims less ``feature``."""
        data = self.data
        if name == "ndvi":
            return self.series.decode_ndvi(cube)
        steps = cube.embedding.transpose(..., "feature").values  # (..., feature) int8
        # A single feature needs one multiplication, no projection.
        if not name.startswith("PC"):
            i = data.features.index(name)
            return steps[..., i] * data.scale[i]
        weights, mean = data.components
        i = int(name[2:]) - 1
        # dequantisation is folded into the weights: no float copy of all features
        return steps @ (weights[:, i] * data.scale).astype("float32") - np.float32(mean @ weights[:, i])

    def _read_axis(self, name: str, day: dt.date) -> np.ndarray:
        """(pixel,) float32 of one day."""
        if name == "gpp":
            values = self.data.map_layers.gpp_cache(day, self.viewport).gpp.transpose("y", "x").values
        else:
            # Quality is not needed here and would be a third of the bytes.
            cube = self.data.cube(day, self.viewport, quality=False)
            if name == "ndvi":
                cube = cube.stack(pixel=("y", "x"), create_index=False).transpose("pixel", ...)
            values = self._project(name, cube)
        return np.asarray(values, "float32").reshape(-1)

    def read_points(self, x: str, y: str, color: str, days: list[dt.date]) -> pd.DataFrame:
        """One row for each pixel and day with both axes known."""
        count = self.shape[0] * self.shape[1]
        columns = {x: [self._read_axis(x, day) for day in days], y: [self._read_axis(y, day) for day in days]}
        if color == "gpp":
            columns["gpp_color"] = [self._read_axis("gpp", day) for day in days]
        if color == "class":
            keys = [LayerKey("clusters", day, clusters=self.clusters) for day in days]
            images = [self.data.layer_image(key, self.viewport) for key in keys]
            columns["class"] = [image.values[..., 0].astype("int16").reshape(-1) for image in images]
        table = pd.DataFrame({name: np.concatenate(blocks) for name, blocks in columns.items()})
        # int32: the number of pixels of a view stays far below two thousand million.
        table["pixel"] = np.tile(np.arange(count, dtype="int32"), len(days))
        if color == "class":
            # Counted from 1, as in the map's legend.
            names = [f"cluster {i + 1}" for i in range(self.clusters)]
            table["class"] = pd.Categorical.from_codes(table["class"].to_numpy(), names)
        # Datashader skips NaN, but the lasso and the counts would not.
        known = np.isfinite(table[x].to_numpy()) & np.isfinite(table[y].to_numpy())
        return table if known.all() else table[known]

    def path(
        self, pixel: tuple[int, int] | None, around: dt.date, points: pd.DataFrame, xdim: Any, ydim: Any
    ) -> Any:
        """The path of one pixel through the year around a day, with the months' names at their first days."""
        import holoviews as hv

        axes = (xdim.name, ydim.name)
        days, values = self.data.days[:0], {name: np.empty(0, "float32") for name in axes}
        if pixel is not None:
            year = _year_around(self.data.days, around)
            days = self.data.days[year]
            series = self.data.pixel_series(*pixel).isel(time=year)
            cube = self.data.store.series(*pixel).isel(time=year).load()
            values = {
                name: series.gpp.values if name == "gpp" else np.asarray(self._project(name, cube))
                for name in axes
            }
        # (time,) along each axis of the plot
        x, y = (values[name] for name in axes)
        # The frame holds the cloud and the path; labels are apart in it, however small the path is.
        frame = tuple(
            float(np.ptp(np.concatenate([points[name].to_numpy()[:: max(1, len(points) // 10_000)], along])))
            for name, along in ((axes[0], x), (axes[1], y))
        )
        # Labels on the first of each month show the direction of the path.
        months = spread_apart(x, y, np.flatnonzero(days.day == 1), frame)
        # Bright below dark: of one colour alone it would be lost in the densest parts of the cloud.
        halo = hv.Curve((x, y), xdim, ydim).opts(
            color=MONTH_COLOURS[0], line_width=4, alpha=0.7, padding=0.08
        )
        line = hv.Curve((x, y), xdim, ydim, label="path of the pixel").opts(color=PATH_COLOUR, line_width=1.8)
        today = days == pd.Timestamp(around)
        dot = hv.Points((x[today], y[today]), [xdim, ydim], label="the pixel on the day").opts(
            color=MONTH_COLOURS[1], line_color=MONTH_COLOURS[0], size=9
        )
        at = (x[months], y[months], [f"{days[i]:%b}" for i in months])
        ink, ground = MONTH_COLOURS
        text = hv.Labels(at, [xdim, ydim], "month").opts(
            text_font_size="8pt",
            text_color=ink,
            text_baseline="bottom",  # above the point, which stays visible
            background_fill_color=ground,
            border_radius=3,
            padding=0.08,
            hooks=[_pad_words],
        )
        return halo * line * dot * text

    def area_marks(self, geometry: Any, points: pd.DataFrame, xdim: Any, ydim: Any) -> Any:
        """The pixels inside a line (corner, 2) on the map, metres, as marks in feature space."""
        import holoviews as hv

        inside = self.select_on_map(geometry)
        chosen = np.flatnonzero(inside[points["pixel"].to_numpy()])
        # A sample: marks are drawn one by one in the browser.
        chosen = chosen[:: max(1, -(-len(chosen) // MARKED_POINTS))]
        marks = hv.Points(points.iloc[chosen, :2], [xdim, ydim], label="area on the map")
        return marks.opts(color=MARK_COLOUR, size=2.5, alpha=0.7)

    def select_on_map(self, geometry: Any) -> np.ndarray:
        """(pixel,) bool: centres inside a line (corner, 2) in metres."""
        left, _, _, top = self.bounds
        ny, nx = self.shape
        x, y = np.meshgrid(
            left + (np.arange(nx) + 0.5) * self.size_m, top - (np.arange(ny) + 0.5) * self.size_m
        )
        return _contains(geometry, x.ravel(), y.ravel())

    def mark(self, inside: np.ndarray) -> Any:
        """Pixels of the view on the map, opaque where ``inside`` (pixel,) bool, else transparent."""
        import holoviews as hv

        # As colours, not numbers: HoloViews looks for the range of numbers, and where nothing is marked there is none.
        rgba = np.zeros((self.shape[0] * self.shape[1], 4), "uint8")
        rgba[: len(inside)][inside] = MARK_RGBA
        return hv.RGB(rgba.reshape(*self.shape, 4), map_dimensions(self.data.grid.crs), bounds=self.bounds)
