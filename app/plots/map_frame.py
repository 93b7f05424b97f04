"""What a map figure is given whatever draws it: limits of its view, its cross, its scale bar and their theme."""

from bokeh.models import MetricLength, ScaleBar, Span
from fluxlens.app.palette import HALO, THEMES
from fluxlens.embeddings.geometry import Grid

BEYOND = 1.0
"""The view may leave the scene by this share of its size on each side."""
CLOSEST_PX = 6
"""Pixels across the view at the closest zoom."""


def limit_view(figure, grid: Grid) -> None:
    """Bound the ranges of a map: no further out than the scene with its surroundings, no closer than a few pixels.

    Parameters
    ----------
    figure : bokeh.models.Plot
        Its ranges are those of the whole ``grid``, where a reset brings them back to.
    grid : Grid
        Grid of the scene.
    """
    left, bottom, right, top = grid.extent
    for axis, low, high in ((figure.x_range, left, right), (figure.y_range, bottom, top)):
        span = high - low
        # As wide as three scenes: a tap beside the scene, and the basemap around it, must remain possible.
        axis.bounds = (low - BEYOND * span, high + BEYOND * span)
        # The same share of both spans, so that both stop at the same zoom and the map keeps its aspect.
        axis.min_interval = min(span, span * CLOSEST_PX / max(grid.shape))


def colour_scale_bar(figure, theme: str) -> None:
    """Colour the scale bar of a map for the ``theme``, "light" or "dark"."""
    colours = THEMES[theme]
    for bar in list(figure.select({"type": ScaleBar})):
        if bar.label_text_color == colours["ink"]:
            continue
        # Another one and not other colours: BokehJS 3.9 draws the bar as an axis, whose colour it copies once.
        other = bar.clone(
            background_fill_color=colours["card"],
            label_text_color=colours["ink"],
            bar_line_color=colours["ink"],
        )
        figure.center = [other if item is bar else item for item in figure.center]


def make_cross() -> list[Span]:
    """Two lines through the pointer, shared by linked maps."""
    return [Span(dimension=d, line_width=1, line_color=HALO, line_alpha=0.8) for d in ("width", "height")]


def make_scale_bar() -> ScaleBar:
    """The scale bar of the map, in m or km."""
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
