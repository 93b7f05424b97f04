"""The map on screen as a file: a PNG with legend, scale bar and origin, or a GeoTIFF of its numbers."""

from __future__ import annotations

import io
import unicodedata
from typing import Any

import numpy as np
import xarray as xr
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from app import export
from app.data import Data
from app.labels import colours
from app.pictures import Look, Picture, seen
from app.plots import HALO, TOWER, paint, swatches
from app.state import COLOURS, State
from embeddings.geometry import Grid
from embeddings.store import QUALITY
from models.errors import InputError

WIDE_PX = 1000
"""Least width of the picture on the sheet; small scenes are enlarged by whole pixels."""
MOST_PX = 2000
"""A larger scene is averaged to at most that many pixels a side."""
NUMBERS_AT_MOST = 25_000_000
"""Pixels times bands of a GeoTIFF made for a browser."""
ABOVE, BELOW, EDGE = 74, 132, 20
PAPER, INK, MUTED, UNKNOWN, WARN = "#ffffff", "#1a2430", "#55626f", "#e0e5ea", "#8a4b00"


def told(state: State, data: Data, picture: Picture) -> dict[str, Any]:
    """What both files say of themselves."""
    out = export.metadata(data.store, state.day, state.day)
    layer = {"layer": picture.look.label, "unit": picture.look.unit, "shown": picture.note}
    layer |= {"score": picture.score} if picture.score else {}
    layer |= {"published": data.published.source} if state.layer == "published" else {}
    return {name: value for name, value in (out | layer).items() if name not in ("features", "gpp")}


def bands(state: State, data: Data) -> xr.Dataset:
    """The layer's values (y, x), then sigma and the distances in days of the day on screen."""
    look = data.picture(*state.question, sight=data.overview).look
    if data.grid.ny * data.grid.nx * (len(look.planes) + len(QUALITY) + 1) > NUMBERS_AT_MOST:
        raise InputError(
            f"Got a map of {data.grid.ny} x {data.grid.nx} pixels, need at most {NUMBERS_AT_MOST:,} numbers; "
            "use `fluxlens export` with --polygon."
        )
    picture, cube = data.picture(*state.question), data.cube(state.day)
    quality = [name for name in QUALITY if name in cube]
    shift = 1 if look.classes else 0  # classes are counted from 1, as in the legend
    out = {
        plain(name): (("y", "x"), picture.values[..., i] + shift, {"units": plain(look.unit) or "1"})
        for i, name in enumerate(look.planes)
    }
    out |= {name: (("y", "x"), cube[name].transpose("y", "x").values) for name in quality}
    out["observed"] = (("y", "x"), cube["days_from_s2"].transpose("y", "x").values == 0)
    found = xr.Dataset(out, data.grid.coords(), told(state, data, picture))
    kinds = ", ".join(look.legend(n) for n in range(len(look.names))) or len(look.classes)
    return found.assign_attrs(classes=kinds) if look.classes else found


def plain(text: str) -> str:
    """Superscripts and typographic signs as the letters every font has: gC m-2 d-1."""
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-")


def png(state: State, data: Data, sight: tuple[float, float, float, float] | None = None) -> bytes:
    """The sheet; ``sight`` (left, bottom, right, top in metres) is what of the map is on screen."""
    grid = data.grid
    rows, cols = _seen(grid, sight)
    if data.overview is None:
        times, picture = 1, data.picture(*state.question)
        values, faded = (
            picture.values[rows, cols],
            None if picture.faded is None else picture.faded[rows, cols],
        )
    else:
        asked = seen(grid.shape, (rows.start, rows.stop), (cols.start, cols.stop), MOST_PX, 0)
        times, picture = asked.level, data.picture(*state.question, sight=asked)
        values, faded = picture.values, picture.faded
        rows, cols = (slice(part.start * times, part.stop * times) for part in (asked.rows, asked.cols))
    left, top = grid.left_m + cols.start * grid.size_m, grid.top_m - rows.start * grid.size_m
    cut = Grid(grid.crs, left, top, grid.size_m * times, values.shape[1], values.shape[0])
    painted = Image.fromarray(paint(values, picture.look, faded), "RGBA")
    zoom = -(-WIDE_PX // painted.width) if painted.width < WIDE_PX else 1
    painted = painted.resize((painted.width * zoom, painted.height * zoom), Image.Resampling.NEAREST)
    px_per_m = zoom / (times * grid.size_m)
    ground = Image.new("RGB", painted.size, UNKNOWN)
    ground.paste(painted, mask=painted.getchannel("A"))
    _marks(ImageDraw.Draw(ground), state, data, cut, px_per_m)
    sheet = Image.new("RGB", (ground.width + 2 * EDGE, ground.height + ABOVE + BELOW), PAPER)
    sheet.paste(ground, (EDGE, ABOVE))
    facts = told(state, data, picture)
    _words(ImageDraw.Draw(sheet), sheet.size, picture, facts, cut)
    _legend(sheet, picture)
    _scale_bar(ImageDraw.Draw(sheet), sheet.size, px_per_m)
    notes, out = PngInfo(), io.BytesIO()
    for name, value in facts.items():
        notes.add_itxt(name, str(value))
    sheet.save(out, "PNG", pnginfo=notes)
    return out.getvalue()


def _seen(grid: Any, sight: tuple[float, float, float, float] | None) -> tuple[slice, slice]:
    """Rows and columns of what is on screen; at least one pixel."""
    left, bottom, right, top = sight or grid.extent
    west, _, _, north = grid.extent
    ends = []
    for low, high, size in (
        ((north - top) / grid.size_m, (north - bottom) / grid.size_m, grid.ny),
        ((left - west) / grid.size_m, (right - west) / grid.size_m, grid.nx),
    ):
        start = int(np.clip(np.floor(low + 1e-6), 0, size - 1))
        ends.append(slice(start, int(np.clip(np.ceil(high - 1e-6), start + 1, size))))
    return ends[0], ends[1]


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _marks(draw: ImageDraw.ImageDraw, state: State, data: Data, cut: Any, px_per_m: float) -> None:
    """Tower, rings and outlines, as on the map."""

    def at(x: Any, y: Any) -> np.ndarray:
        return np.stack([(np.asarray(x) - cut.left_m), (cut.top_m - np.asarray(y))], -1) * px_per_m

    if data.tower_xy is not None:
        x, y = at(*data.tower_xy)
        draw.polygon([(x, y - 11), (x - 10, y + 8), (x + 10, y + 8)], fill=TOWER, outline=HALO)
    if state.layer == "labels":
        for label, colour in zip(state.labels, colours(tuple(state.labels)), strict=True):
            x, y = at(*data.centre(label.row, label.col))
            draw.rectangle([x - 8, y - 8, x + 8, y + 8], fill=colour, outline=HALO, width=3)
    for place in state.places:
        for polygon in place.area:
            ring = np.asarray(polygon[0])
            line = [tuple(corner) for corner in at(*data.grid.xy(ring[:, 0], ring[:, 1])).tolist()]
            for colour, width in ((HALO, 6), (COLOURS[place.slot], 3)):
                draw.line(line, fill=colour, width=width)
        if not place.area:
            x, y = at(*data.centre(place.row, place.col))
            for colour, width, r in ((HALO, 7, 15), (COLOURS[place.slot], 3, 13)):
                draw.ellipse([x - r, y - r, x + r, y + r], outline=colour, width=width)


def _words(draw: ImageDraw.ImageDraw, size: tuple[int, int], picture: Picture, facts: dict, cut: Any) -> None:
    """Layer and day above; place, data and model below."""
    unit = f", {plain(picture.look.unit)}" if picture.look.unit else ""
    draw.text((EDGE, 14), plain(picture.look.label) + unit, INK, _font(24))
    draw.text((EDGE, 45), plain(picture.note), MUTED, _font(17))
    if facts.get("simulated"):
        draw.text((size[0] - EDGE, 16), "SIMULATED", WARN, _font(20), anchor="ra")
    draw.text((EDGE, size[1] - 76), plain(picture.score), MUTED, _font(14))
    west, south, east, north = cut.lonlat_extent()
    lines = [
        f"{facts['title']} - lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}, {facts['crs']}, north is up",
        f"model {facts.get('model', '?')} {facts.get('model_digest', '')[:12]}, snapshot "
        f"{facts.get('store_snapshot', '?')}, {facts['software']}, made {facts['created']}",
    ]
    for line, top in zip(lines, (size[1] - 52, size[1] - 30), strict=True):
        draw.text((EDGE, top), plain(line), MUTED, _font(14))


def _legend(sheet: Image.Image, picture: Picture) -> None:
    """A colour bar with its ends, or a square for each class or plane."""
    draw, look, top = ImageDraw.Draw(sheet), picture.look, sheet.height - BELOW + 16
    if look.palette is not None:
        bar = Image.fromarray(np.broadcast_to(swatches(look.palette)[None], (14, 256, 3)).copy())
        sheet.paste(bar.resize((320, 14)), (EDGE, top))
        for share, anchor in ((0, "la"), (0.5, "ma"), (1, "ra")):
            value = look.low[0] + share * (look.high[0] - look.low[0])
            draw.text((EDGE + 320 * share, top + 18), f"{value:.3g}", MUTED, _font(14), anchor=anchor)
        return
    left = EDGE
    for colour, name in _squares(look, picture):
        draw.rectangle([left, top, left + 14, top + 14], fill=colour)
        draw.text((left + 20, top - 2), name, MUTED, _font(14))
        left += 36 + int(draw.textlength(name, _font(14)))


def _squares(look: Look, picture: Picture) -> list[tuple[str, str]]:
    if look.classes:
        parts = zip(look.classes, picture.shares, strict=True)
        return [(colour, f"{look.legend(n)}: {share:.0%}") for n, (colour, share) in enumerate(parts)]
    return list(zip(("#e05252", "#3fa45b", "#4a7fd6"), look.planes, strict=False))


def _scale_bar(draw: ImageDraw.ImageDraw, size: tuple[int, int], px_per_m: float) -> None:
    """A round length of at most a quarter of the width, bottom right."""
    most = (size[0] - 2 * EDGE) / 4 / px_per_m
    unit = 10 ** np.floor(np.log10(most))
    length = unit * max(n for n in (1, 2, 5) if n * unit <= most)
    right, top = size[0] - EDGE, size[1] - BELOW + 16
    left = right - length * px_per_m
    draw.line([(left, top), (left, top + 12), (right, top + 12), (right, top)], fill=INK, width=2)
    words = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    draw.text(((left + right) / 2, top + 18), words, INK, _font(14), anchor="ma")
