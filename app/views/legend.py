"""Legends and captions: colour bars, keys of lines, and the frame of a map."""

from collections.abc import Callable
from html import escape

import panel as pn
from fluxlens.app.data.layer_image import LayerImage
from fluxlens.app.plots.map import MapPlot
from fluxlens.app.plots.map_frame import colour_scale_bar
from fluxlens.app.state.selection import State
from fluxlens.app.views.colour_bar import ColourBar
from fluxlens.app.views.map_buttons import MapButtons
from fluxlens.app.views.page_behaviour import mark_as_map, set_text_alternative
from fluxlens.embeddings.geometry import Grid

CAPTION_CSS = """
.caption { display: flex; align-items: center; justify-content: space-between; gap: 4px 14px;
  flex-wrap: wrap; min-height: 34px; line-height: 1.3; }
.what b { font-weight: 600; } .what span { color: var(--muted); }
.absent { color: var(--muted); font-size: 12px; line-height: 1.4; padding-top: 4px; } .absent a { color: inherit; }
.rgb { display: flex; flex-wrap: wrap; gap: 2px 10px; font-size: 11px; color: var(--muted); white-space: nowrap; }
.rgb i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 4px; }
"""
MAP_KEYS = "Map: arrow keys move the chosen pixel, plus and minus zoom, 0 shows the whole scene"
_FRAME_CSS = """
:host { position: relative; aspect-ratio: NX / NY; width: 100%; min-width: 120px;
  /* not so small that its buttons cover it: of two maps below each other the second one may need a scroll */
  max-width: max(calc(max(100vh - var(--around-map, 312px), 260px) / var(--map-rows, 1) * NX / NY),
    min(250px, 250px * NX / NY));
  container-type: inline-size;
  min-height: 0 !important; height: auto !important; flex: none !important; align-self: center !important;
  border-radius: 4px; overflow: hidden; background: var(--hover); }
/* in one column the page scrolls anyway, and the map may be most of a screen */
@media (max-width: 780px) { :host { max-width: calc(max(100vh - var(--around-map, 312px), 62vh, 260px) * NX / NY); } }
"""
_MAP_CSS = """
:host { position: absolute !important; inset: 0; width: 100% !important; height: 100% !important; }
"""
CAPTION_ROW_CSS = """
:host { gap: 4px 14px; align-items: center; margin: 6px 0 !important; min-height: 40px; flex-wrap: wrap; }
.bk-panel-models-markup-HTML { flex: 1 1 140px !important; width: auto !important; min-width: 0; }
"""
_HALF_CSS = """
:host { flex: 1 1 max(150px, calc(var(--most) * NX / NY / 2 - 6px)) !important; min-width: 0;
  align-self: flex-end !important; }
"""
MAPS_CSS = """
:host { gap: 10px; flex-wrap: wrap; --most: max(100vh - var(--around-maps, 352px), 260px); }
@media (max-width: 780px) { :host { --most: 62vh; } }
"""
"""Two maps, side by side or one below the other: see ``half_css``."""
LEGEND_CSS = """
.head { display: flex; align-items: baseline; gap: 4px 14px; flex-wrap: wrap; line-height: 1.35;
  font-size: 12px;
  color: var(--muted); font-variant-numeric: tabular-nums; }
.head b { color: var(--ink); font-weight: 600; font-size: 13px; }
/* in the corner, however many lines the keys take */
.head.saved { position: relative; padding-right: 82px; min-height: 21px; }
.save { position: absolute; top: 0; right: 0; display: inline-flex; gap: 4px; }
@media (max-width: 520px) { .head.saved { padding-right: 0; } .save { position: static; margin-left: auto; } }
.save button { font: 500 11px/1 var(--font); color: var(--muted); background: none; border: 1px solid var(--line);
  border-radius: 4px; padding: 3px 6px; cursor: pointer; } .save button:hover { background: var(--hover); }
.save button:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.key { white-space: nowrap; } .key em { font-style: normal; color: var(--ink); }
.dot, .ring, .line, .dash, .area, .diamond { display: inline-block; margin-right: 5px; vertical-align: middle;
  box-sizing: border-box; }
.dot { width: 8px; height: 8px; border-radius: 4px; } .ring { width: 8px; height: 8px;
  border-radius: 4px; border: 1px solid; }
.diamond { width: 7px; height: 7px; transform: rotate(45deg); }
.line { width: 14px; height: 2px; }
.dash { width: 14px; border-top: 2px dashed; } .area { width: 14px; height: 9px; opacity: .3; }
"""


def half_css(grid: Grid) -> str:
    """Style sheet of one of two maps, side by side where they are larger so, else one below the other.

    The window leaves maps a height H, at which each is H * nx / ny wide. In a card of at least that width two maps are
    larger side by side, in a narrower one (of a wide scene) one below the other. Each asks for half of that width, so
    that the row wraps just there.
    """
    ny, nx = grid.shape
    return _HALF_CSS.replace("NX", str(nx)).replace("NY", str(ny))


def format_tick(value: float, form: str = ".3g") -> str:
    """``value`` with a typographic minus: 0, 0.05, 12, −1.2; ``form`` is its format specification."""
    return f"{value:{form}}".replace("-", "−")


def colour_key(image: LayerImage) -> str:
    """HTML of the colours of channels, or of classes with their shares of the image; nothing for a palette."""
    style = image.style
    if style.classes:
        # Names of classes are typed by the user: they are escaped, as everything that ends in HTML.
        classes = zip(style.classes, image.shares, strict=True)
        dots = (
            f'<span><i style="background:{c}"></i>{escape(style.class_label(n))}: {p:.0%}</span>'
            for n, (c, p) in enumerate(classes)
        )
        return f'<div class="rgb">{"".join(dots)}</div>'
    if style.palette is None:
        # Three channels: which of the image's primary colours shows which, as on the screen red, green and blue.
        dots = zip(("#e05252", "#3fa45b", "#4a7fd6"), style.channels, strict=True)
        return (
            '<div class="rgb">'
            + "".join(f'<span><i style="background:{c}"></i>{n}</span>' for c, n in dots)
            + "</div>"
        )
    return ""


def ramp_ticks(image: LayerImage) -> list[str]:
    """Lowest, middle and highest value of a layer with a palette, the last one with its unit."""
    style = image.style
    low, high = style.low[0], style.high[0]
    return [format_tick(low), format_tick((low + high) / 2), f"{format_tick(high)} {style.unit}".strip()]


def map_caption(image: LayerImage, extra: str = "") -> str:
    """HTML of the name of an ``image``, its caption with ``extra``, its score and, without a palette, its colours."""
    score = f"; {image.score}" if image.score else ""
    return (
        f'<div class="caption"><div class="what"><b role="heading" aria-level="2">{escape(image.style.label)}</b><br>'
        f"<span>{escape(image.caption + score + extra)}</span></div>{colour_key(image)}</div>"
    )


def map_pane(plot: MapPlot, state: State, on_move: Callable[[int, int], None] | None = None) -> pn.Column:
    """The figure of a map in the shape of its grid, with its buttons, in the theme on screen.

    Parameters
    ----------
    plot : MapPlot
        The map.
    state : State
        ``dark``.
    on_move : callable, optional
        As ``MapButtons`` takes it.
    """
    ny, nx = plot.grid.shape
    mark_as_map(plot.figure)
    set_text_alternative(plot.figure, MAP_KEYS)
    colour_scale_bar(plot.figure, "dark" if state.dark else "light")
    state.watch(lambda event: colour_scale_bar(plot.figure, "dark" if event.new else "light"), "dark")
    # on the figure itself: style sheets of the pane do not reach into it
    plot.figure.stylesheets = [_MAP_CSS]
    return pn.Column(
        pn.pane.Bokeh(plot.figure, sizing_mode="stretch_width"),
        MapButtons(on_move),
        sizing_mode="stretch_width",
        # The grid's shape by CSS, which also knows the height of the window that the map must not exceed.
        stylesheets=[_FRAME_CSS.replace("NX", str(nx)).replace("NY", str(ny))],
    )


def legend_key(shape: str, colour: str, text: str, value: str = "") -> str:
    """HTML of one key of a legend.

    Parameters
    ----------
    shape : str
        A CSS class: dot, ring, line, dash, area or diamond.
    colour : str
        CSS colour.
    text, value : str
        Name of the line, and its value on the day.
    """
    # Rings and dashes are drawn by their border, all other shapes by their fill.
    paint = f"border-color:{colour}" if shape in ("ring", "dash") else f"background:{colour}"
    number = f" <em>{value}</em>" if value else ""
    return f'<span class="key"><i class="{shape}" style="{paint}"></i>{text}{number}</span>'


def caption_row(caption: pn.pane.HTML, bar: ColourBar) -> pn.Row:
    """The caption of a map with its colour bar beside it."""
    return pn.Row(caption, bar, sizing_mode="stretch_width", stylesheets=[CAPTION_ROW_CSS])
