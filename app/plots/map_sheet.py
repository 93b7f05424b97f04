"""The map on screen as a file: a PNG with legend, scale bar and origin, or the values for a GeoTIFF."""

from __future__ import annotations

import io
import unicodedata
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.layer_image import LayerImage, LayerStyle, Viewport
from fluxlens.app.palette import HALO, PLACE_COLOURS, TOWER_COLOUR
from fluxlens.app.plots.chosen_colours import with_chosen_colours
from fluxlens.app.plots.colour import label_colours, paint, swatches
from fluxlens.app.state.selection import State
from fluxlens.embeddings.export import selection
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import QUALITY
from fluxlens.models.errors import InputError
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

MIN_WIDTH_PX = 1000
"""Least width of the map on the sheet; small scenes are enlarged by whole pixels."""
MAX_SIDE_PX = 2000
"""A larger scene is averaged to at most that many pixels a side."""
MAX_VALUES = 25_000_000
"""Pixels x bands of a GeoTIFF made for a browser, which holds it in memory."""
ABOVE, BELOW, EDGE = 74, 132, 20
"""Margins of the map on the sheet, pixels."""
PAPER, TEXT, MUTED, UNKNOWN, WARNING = "#ffffff", "#1a2430", "#55626f", "#e0e5ea", "#8a4b00"


def metadata(state: State, data: ExplorerData, image: LayerImage) -> dict[str, Any]:
    """Metadata of both files: that of every export of ``data``, and what ``state`` and ``image`` show."""
    out = selection.metadata(data.store, state.day, state.day)
    layer = {"layer": image.style.label, "unit": image.style.unit, "shown": image.caption}
    layer |= {"score": image.score} if image.score else {}
    layer |= {"published": data.published.source} if state.layer == "published" else {}
    return {name: value for name, value in (out | layer).items() if name not in ("features", "gpp")}


def layer_dataset(state: State, data: ExplorerData) -> xr.Dataset:
    """The layer on screen as numbers, with the quality of its day.

    Parameters
    ----------
    state : State
        Layer, day and the choices they depend on.
    data : ExplorerData
        The store on screen.

    Returns
    -------
    xarray.Dataset
        The layer's channels (y, x), then sigma, the days from acquisitions, and ``observed``.
    """
    # the overview is enough to know the style before a large scene is read
    style = data.layer_image(state.layer_key, data.overview).style
    if data.grid.ny * data.grid.nx * (len(style.channels) + len(QUALITY) + 1) > MAX_VALUES:
        raise InputError(
            f"Got a map of {data.grid.ny} x {data.grid.nx} pixels, need at most {MAX_VALUES:,} numbers; "
            "use `fluxlens export` with --polygon."
        )
    image, cube = data.layer_image(state.layer_key), data.cube(state.day)
    quality = [name for name in QUALITY if name in cube]
    shift = 1 if style.classes else 0  # classes are counted from 1, as in the legend
    out = {
        to_plain_text(name): (
            ("y", "x"),
            image.values[..., i] + shift,
            {"units": to_plain_text(style.unit) or "1"},
        )
        for i, name in enumerate(style.channels)
    }
    out |= {name: (("y", "x"), cube[name].transpose("y", "x").values) for name in quality}
    out["observed"] = (("y", "x"), cube["days_from_s2"].transpose("y", "x").values == 0)
    dataset = xr.Dataset(out, data.grid.coords(), metadata(state, data, image))
    labels = ", ".join(style.class_label(n) for n in range(len(style.names))) or len(style.classes)
    return dataset.assign_attrs(classes=labels) if style.classes else dataset


def to_plain_text(text: str) -> str:
    """``text`` with superscripts and typographic signs as letters that every font has: gC m-2 d-1."""
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-")


def render_png(
    state: State, data: ExplorerData, extent: tuple[float, float, float, float] | None = None
) -> bytes:
    """The sheet as a PNG file.

    Parameters
    ----------
    state : State
        Layer, day, places and labels.
    data : ExplorerData
        The store on screen.
    extent : tuple of float, optional
        (left, bottom, right, top) of the map on screen, metres; None: the whole scene.
    """
    grid = data.grid
    # What is exported is the view: whole pixels that it touches.
    rows, cols = _pixels_inside(grid, extent)
    if data.overview is None:
        level, image = 1, with_chosen_colours(data.layer_image(state.layer_key), state)
        values = image.values[rows, cols]
        masked = None if image.masked is None else image.masked[rows, cols]
    else:
        viewport = Viewport.covering(
            grid.shape, (rows.start, rows.stop), (cols.start, cols.stop), MAX_SIDE_PX, 0
        )
        # Of a large scene the sheet takes the overview that fits its size, as the screen does.
        level = viewport.level
        image = with_chosen_colours(data.layer_image(state.layer_key, viewport), state)
        values, masked = image.values, image.masked
        rows, cols = (slice(span.start * level, span.stop * level) for span in (viewport.rows, viewport.cols))
    left, top = grid.left_m + cols.start * grid.size_m, grid.top_m - rows.start * grid.size_m
    window = Grid(grid.crs, left, top, grid.size_m * level, values.shape[1], values.shape[0])
    painted = Image.fromarray(paint(values, image.style, masked), "RGBA")
    # Small scenes are enlarged by whole pixels, so that every one keeps its square and its exact colour.
    zoom = -(-MIN_WIDTH_PX // painted.width) if painted.width < MIN_WIDTH_PX else 1
    painted = painted.resize((painted.width * zoom, painted.height * zoom), Image.Resampling.NEAREST)
    px_per_m = zoom / (level * grid.size_m)
    # Grey below the image: pixels without a value are told apart from white ones.
    picture = Image.new("RGB", painted.size, UNKNOWN)
    picture.paste(painted, mask=painted.getchannel("A"))
    draw_overlays(ImageDraw.Draw(picture), state, data, window, px_per_m)
    sheet = Image.new("RGB", (picture.width + 2 * EDGE, picture.height + ABOVE + BELOW), PAPER)
    sheet.paste(picture, (EDGE, ABOVE))
    facts = metadata(state, data, image)
    draw_text(ImageDraw.Draw(sheet), sheet.size, image, facts, window)
    draw_legend(sheet, image)
    draw_scale_bar(ImageDraw.Draw(sheet), sheet.size, px_per_m)
    # The facts travel inside the file too: a picture is soon cut off from its caption.
    notes, out = PngInfo(), io.BytesIO()
    for name, value in facts.items():
        notes.add_itxt(name, str(value))
    sheet.save(out, "PNG", pnginfo=notes)
    return out.getvalue()


def _pixels_inside(grid: Grid, extent: tuple[float, float, float, float] | None) -> tuple[slice, slice]:
    """Rows and columns of an extent (left, bottom, right, top in metres); at least one pixel."""
    left, bottom, right, top = extent or grid.extent
    west, _, _, north = grid.extent
    ends = []
    for low, high, size in (
        ((north - top) / grid.size_m, (north - bottom) / grid.size_m, grid.ny),
        ((left - west) / grid.size_m, (right - west) / grid.size_m, grid.nx),
    ):
        # A millionth of a pixel of rounding must not add a row of pixels.
        start = int(np.clip(np.floor(low + 1e-6), 0, size - 1))
        ends.append(slice(start, int(np.clip(np.ceil(high - 1e-6), start + 1, size))))
    return ends[0], ends[1]


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def draw_overlays(
    draw: ImageDraw.ImageDraw, state: State, data: ExplorerData, window: Grid, px_per_m: float
) -> None:
    """Draw tower, labels, rings and outlines as on the map.

    Parameters
    ----------
    draw : ImageDraw
        Of the picture.
    state : State
        Places and labels.
    data : ExplorerData
        The store on screen.
    window : Grid
        What the picture shows.
    px_per_m : float
        Scale of the picture.
    """

    def at(x: Any, y: Any) -> np.ndarray:
        return np.stack([(np.asarray(x) - window.left_m), (window.top_m - np.asarray(y))], -1) * px_per_m

    if data.observations.xy is not None:
        x, y = at(*data.observations.xy)
        draw.polygon([(x, y - 11), (x - 10, y + 8), (x + 10, y + 8)], fill=TOWER_COLOUR, outline=HALO)
    if state.layer == "labels":
        for label, colour in zip(state.labels, label_colours(tuple(state.labels)), strict=True):
            x, y = at(*data.centre(label.row, label.col))
            draw.rectangle([x - 8, y - 8, x + 8, y + 8], fill=colour, outline=HALO, width=3)
    for place in state.places:
        for ring in place.outlines:
            line = [tuple(corner) for corner in at(*data.grid.xy(ring[:, 0], ring[:, 1])).tolist()]
            # A light line under each coloured one, so that it is visible on any background.
            for colour, width in ((HALO, 6), (PLACE_COLOURS[place.slot], 3)):
                draw.line(line, fill=colour, width=width)
        if not place.area:
            x, y = at(*data.centre(place.row, place.col))
            for colour, width, r in ((HALO, 7, 15), (PLACE_COLOURS[place.slot], 3, 13)):
                draw.ellipse([x - r, y - r, x + r, y + r], outline=colour, width=width)


def draw_text(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], image: LayerImage, facts: dict, window: Grid
) -> None:
    """Write layer and day above the picture; location, data and model below.

    Parameters
    ----------
    draw : ImageDraw
        Of the sheet.
    size : tuple of int
        Width and height of the sheet, pixels.
    image : LayerImage
        What the picture shows.
    facts : dict
        As ``metadata`` gives them.
    window : Grid
        What of the scene the picture shows.
    """
    unit = f", {to_plain_text(image.style.unit)}" if image.style.unit else ""
    draw.text((EDGE, 14), to_plain_text(image.style.label) + unit, TEXT, _font(24))
    draw.text((EDGE, 45), to_plain_text(image.caption), MUTED, _font(17))
    # Simulated data say so on every picture that leaves the page.
    if facts.get("simulated"):
        draw.text((size[0] - EDGE, 16), "SIMULATED", WARNING, _font(20), anchor="ra")
    draw.text((EDGE, size[1] - 76), to_plain_text(image.score), MUTED, _font(14))
    west, south, east, north = window.lonlat_extent()
    lines = [
        f"{facts['title']} - lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}, {facts['crs']}, north is up",
        f"model {facts.get('model', '?')} {facts.get('model_digest', '')[:12]}, snapshot "
        f"{facts.get('store_snapshot', '?')}, {facts['software']}, made {facts['created']}",
    ]
    for line, top in zip(lines, (size[1] - 52, size[1] - 30), strict=True):
        draw.text((EDGE, top), to_plain_text(line), MUTED, _font(14))


def draw_legend(sheet: Image.Image, image: LayerImage) -> None:
    """Draw a colour bar with ticks, or a square for each class or channel of ``image``, below the picture."""
    draw, style, top = ImageDraw.Draw(sheet), image.style, sheet.height - BELOW + 16
    if style.palette is not None:
        bar = Image.fromarray(np.broadcast_to(swatches(style.palette)[None], (14, 256, 3)).copy())
        sheet.paste(bar.resize((320, 14)), (EDGE, top))
        for share, anchor in ((0, "la"), (0.5, "ma"), (1, "ra")):
            value = style.low[0] + share * (style.high[0] - style.low[0])
            draw.text((EDGE + 320 * share, top + 18), f"{value:.3g}", MUTED, _font(14), anchor=anchor)
        return
    left = EDGE
    for colour, name in _squares(style, image):
        draw.rectangle([left, top, left + 14, top + 14], fill=colour)
        draw.text((left + 20, top - 2), name, MUTED, _font(14))
        left += 36 + int(draw.textlength(name, _font(14)))


def _squares(style: LayerStyle, image: LayerImage) -> list[tuple[str, str]]:
    """Colour and name of each class or channel."""
    if style.classes:
        classes = zip(style.classes, image.shares, strict=True)
        return [(colour, f"{style.class_label(n)}: {share:.0%}") for n, (colour, share) in enumerate(classes)]
    return list(zip(("#e05252", "#3fa45b", "#4a7fd6"), style.channels, strict=False))


def draw_scale_bar(draw: ImageDraw.ImageDraw, size: tuple[int, int], px_per_m: float) -> None:
    """Draw a round length of at most a quarter of the sheet's ``size``, bottom right; ``px_per_m`` is its scale."""
    max_m = (size[0] - 2 * EDGE) / 4 / px_per_m
    # Lengths of 1, 2 or 5 times a power of ten, at most a quarter of the width.
    unit = 10 ** np.floor(np.log10(max_m))
    length = unit * max(n for n in (1, 2, 5) if n * unit <= max_m)
    right, top = size[0] - EDGE, size[1] - BELOW + 16
    left = right - length * px_per_m
    draw.line([(left, top), (left, top + 12), (right, top + 12), (right, top)], fill=TEXT, width=2)
    label = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    draw.text(((left + right) / 2, top + 18), label, TEXT, _font(14), anchor="ma")
