"""Legends and captions: colour bars, keys of lines, and the frame of a map."""

from html import escape

import panel as pn
from fluxlens.app.data.layer_image import LayerImage
from fluxlens.app.plots.colour import gradient
from fluxlens.app.plots.map import MapPlot

CAPTION_CSS = """
.caption { display: flex; align-items: center; justify-content: space-between; gap: 4px 14px;
  flex-wrap: wrap; min-height: 34px; line-height: 1.3; }
.what b { font-weight: 600; } .what span { color: var(--muted); }
.absent { color: var(--muted); font-size: 12px; line-height: 1.4; padding-top: 4px; } .absent a { color: inherit; }
.bar { flex: 0 1 190px; min-width: 0; font-size: 11px; color: var(--muted); font-variant-numeric: tabular-nums; }
.bar .ramp { height: 8px; border-radius: 2px; }
.bar .ticks { display: flex; justify-content: space-between; margin-top: 2px; }
.rgb { display: flex; flex-wrap: wrap; gap: 2px 10px; font-size: 11px; color: var(--muted); white-space: nowrap; }
.rgb i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 4px; }
"""
_MAP_CSS = """
:host { aspect-ratio: NX / NY; width: 100%; max-width: calc((100vh - 290px) * NX / NY); min-width: 120px;
  min-height: 0 !important; height: auto !important; flex: none !important; align-self: center !important;
  border-radius: 4px; overflow: hidden; background: var(--hover); }
"""
HALF_CSS = ":host { flex: 1 1 0 !important; min-width: 0; align-self: flex-end !important; }"
LEGEND_CSS = """
.head { display: flex; align-items: baseline; gap: 4px 14px; flex-wrap: wrap; line-height: 1.35;
  font-size: 12px;
  color: var(--muted); font-variant-numeric: tabular-nums; }
.head b { color: var(--ink); font-weight: 600; font-size: 13px; }
.key { white-space: nowrap; } .key em { font-style: normal; color: var(--ink); }
.dot, .ring, .line, .area, .diamond { display: inline-block; margin-right: 5px; vertical-align: middle;
  box-sizing: border-box; }
.dot { width: 8px; height: 8px; border-radius: 4px; } .ring { width: 8px; height: 8px;
  border-radius: 4px; border: 1px solid; }
.diamond { width: 7px; height: 7px; transform: rotate(45deg); }
.line { width: 14px; height: 2px; } .area { width: 14px; height: 9px; opacity: .3; }
"""


def format_tick(value: float, form: str = ".3g") -> str:
    """``value`` with a typographic minus: 0, 0.05, 12, −1.2; ``form`` is its format specification."""
    return f"{value:{form}}".replace("-", "−")


def colour_bar(image: LayerImage) -> str:
    """HTML of the colour scale; of classes their colours with their shares of the image."""
    style = image.style
    if style.classes:
        parts = zip(style.classes, image.shares, strict=True)
        dots = (
            f'<span><i style="background:{c}"></i>{escape(style.class_label(n))}: {p:.0%}</span>'
            for n, (c, p) in enumerate(parts)
        )
        return f'<div class="rgb">{"".join(dots)}</div>'
    if style.palette is None:
        dots = zip(("#e05252", "#3fa45b", "#4a7fd6"), style.channels, strict=True)
        return (
            '<div class="rgb">'
            + "".join(f'<span><i style="background:{c}"></i>{n}</span>' for c, n in dots)
            + "</div>"
        )
    low, high = style.low[0], style.high[0]
    ticks = [format_tick(low), format_tick((low + high) / 2), f"{format_tick(high)} {style.unit}".strip()]
    return (
        f'<div class="bar"><div class="ramp" style="background:{gradient(style.palette)}"></div>'
        f'<div class="ticks">{"".join(f"<span>{escape(t)}</span>" for t in ticks)}</div></div>'
    )


def map_caption(image: LayerImage, extra: str = "") -> str:
    """HTML of the name of an ``image``, its caption with ``extra``, its score and its colour scale."""
    score = f"; {image.score}" if image.score else ""
    return (
        f'<div class="caption"><div class="what"><b>{escape(image.style.label)}</b><br>'
        f"<span>{escape(image.caption + score + extra)}</span></div>{colour_bar(image)}</div>"
    )


def map_pane(plot: MapPlot) -> pn.pane.Bokeh:
    """The figure of a ``plot`` in the shape of its grid."""
    ny, nx = plot.grid.shape
    # on the figure itself: style sheets of the pane do not reach into it
    plot.figure.stylesheets = [_MAP_CSS.replace("NX", str(nx)).replace("NY", str(ny))]
    return pn.pane.Bokeh(plot.figure, sizing_mode="stretch_width")


def legend_key(shape: str, colour: str, text: str, value: str = "") -> str:
    """HTML of one key of a legend.

    Parameters
    ----------
    shape : str
        A CSS class: dot, ring, line, area or diamond.
    colour : str
        CSS colour.
    text, value : str
        Name of the line, and its value on the day.
    """
    paint = f"border-color:{colour}" if shape == "ring" else f"background:{colour}"
    number = f" <em>{value}</em>" if value else ""
    return f'<span class="key"><i class="{shape}" style="{paint}"></i>{text}{number}</span>'
