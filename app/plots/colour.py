"""Values become colours: palettes, classes and labels as RGBA images, swatches and CSS gradients."""

from collections.abc import Sequence
from functools import cache

import colorcet
import numpy as np
from fluxlens.app.data.label_map import NUMBER_PALETTE
from fluxlens.app.data.layer_image import LayerStyle
from fluxlens.app.palette import CLASS_COLOURS
from fluxlens.app.state.labels import Label, as_numbers, class_names, is_fittable

MASKED_ALPHA = 90
"""Opacity (of 255) of masked pixels; unknown pixels are fully transparent."""


def paint(values: np.ndarray, style: LayerStyle, masked: np.ndarray | None = None) -> np.ndarray:
    """Colour the values of a layer.

    Parameters
    ----------
    values : numpy.ndarray
        (y, x, channel), NaN where unknown.
    style : LayerStyle
        Stretch and palette.
    masked : numpy.ndarray, optional
        (y, x) bool, True where the pixel is drawn pale.

    Returns
    -------
    numpy.ndarray
        (y, x, 4) uint8 RGBA, transparent where a channel is unknown.
    """
    low, high = np.asarray(style.low, "float32"), np.asarray(style.high, "float32")
    # One pass in float32 and in place: an image has a million pixels, and this runs at each step of the day.
    share = values.astype("float32")
    share -= low
    share *= 255 / (high - low)
    np.clip(share, 0, 255, out=share)
    # A sum is unknown where a part is; three additions take a sixth of ``all`` over an axis of three.
    total = share[..., 0] if share.shape[-1] == 1 else sum(share[..., i] for i in range(share.shape[-1]))
    known = np.isfinite(total)
    if not known.all():
        np.nan_to_num(share, copy=False)  # NaN has no uint8
    if style.gamma != 1:
        share /= 255
        np.power(share, np.float32(style.gamma), out=share)
        share *= 255
    # Half added and cut, which rounds: a cast to uint8 alone would darken every level.
    share += 0.5
    level = share.astype("uint8")
    rgba = np.empty((*values.shape[:2], 4), "uint8")
    if style.classes:
        rgba[..., :3] = rgb(style.classes)[np.nan_to_num(values[..., 0]).astype("uint8")]
    elif style.palette is None:
        rgba[..., :3] = level
    else:
        rgba[..., :3] = swatches(style.palette)[level[..., 0]]
    rgba[..., 3] = np.where(known, 255, 0)
    if masked is not None:
        rgba[masked & known, 3] = MASKED_ALPHA
    return rgba


@cache
def swatches(palette: str) -> np.ndarray:
    """(256, 3) uint8 of a colorcet palette, by its name."""
    return rgb(colorcet.palette[palette])


def rgb(colours: Sequence[str]) -> np.ndarray:
    """(n, 3) uint8 of #rrggbb."""
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], dtype="uint8")


def gradient(palette: str, stops: int = 16) -> str:
    """A colorcet palette as a CSS gradient of ``stops`` colours, for the colour bar."""
    colours = colorcet.palette[palette]
    picks = np.linspace(0, len(colours) - 1, stops).round().astype(int)
    return f"linear-gradient(90deg, {', '.join(colours[i] for i in picks)})"


def label_colours(labels: tuple[Label, ...]) -> list[str]:
    """Colour #rrggbb of each label, as on the map that is fitted to them.

    Parameters
    ----------
    labels : tuple of Label
        Classes, or numbers.
    """
    values = as_numbers(labels)
    # One number alone has no range: it is coloured as a class.
    if values is None or not is_fittable(labels):
        order = class_names(labels)
        return [CLASS_COLOURS[order.index(label.name)] for label in labels]
    level = (values - values.min()) / np.ptp(values) * 255
    return [colorcet.palette[NUMBER_PALETTE][int(i)] for i in level]
