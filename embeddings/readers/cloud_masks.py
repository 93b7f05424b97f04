"""What the cloud masks of providers call clear."""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.readers.cf_packing import unpack
from fluxlens.embeddings.scenes import compositing

MASK_KINDS = ("scl", "score", "probability", "probability255", "cloud", "clear", "qa60")
"""Best first: scene classification and scores before probabilities, plain masks and QA60."""
CLEAR_PROBABILITY = 40
"""Cloud probability (0-100) below which a pixel is clear, Sen2Cor's and s2cloudless's usual threshold."""
CLEAR_SCORE = 0.6
"""Cloud Score+ (0-1) from which a pixel is clear, as its documentation proposes."""
SCL_LABELS = 11


def clear_of(kind: str, array: xr.DataArray, name: str, notes: list[str]) -> xr.DataArray:
    """What one mask calls clear.

    Parameters
    ----------
    kind
        One of ``MASK_KINDS``.
    array
        (time, y, x) with its attributes, numbers as stored.
    name
        What notes call it.
    notes
        Sentences on what was assumed are appended.

    Returns
    -------
    xarray.DataArray
        (time, y, x) bool.
    """
    if kind == "scl":
        # Where bands share one array, its scale_factor of reflectance is no part of the labels.
        raw = _corner(array)
        raw = raw[np.isfinite(raw)] if raw.dtype.kind == "f" else raw
        labels = (
            array
            if not raw.size or np.isin(raw, range(SCL_LABELS + 1)).mean() > 0.5
            else unpack(array).round()
        )
        return labels.isin(compositing.CLEAR_SCL)
    values = unpack(array)
    if kind == "score":
        high = float(np.nanmax(_corner(values), initial=0.0))
        return values >= CLEAR_SCORE * (1 if high <= 1 else 100 if high <= 100 else 255)
    if kind.startswith("probability"):
        return values < CLEAR_PROBABILITY * (2.55 if kind == "probability255" else 1)
    if kind == "qa60":
        bits = values.fillna(1 << 10).astype("int64")
        return ((bits >> 10) & 3) == 0  # bit 10 opaque cloud, bit 11 cirrus
    if kind == "clear":
        return values > 0
    meanings = str(array.attrs.get("flag_meanings", "")).split()
    flags = np.ravel(array.attrs.get("flag_values", ()))
    clear = [
        flag
        for flag, word in zip(flags, meanings, strict=False)
        if "clear" in word.lower() and "un" not in word.lower()
    ]
    if clear:
        return values.isin([float(flag) for flag in clear])
    if not meanings and not str(array.attrs.get("flag_values", "")).startswith("0 clear"):
        notes.append(f"0 in {name} is taken to mean clear")
    return values == 0


def _corner(array: xr.DataArray) -> np.ndarray:
    """Values of some dates and 64 x 64 pixels: enough to tell how labels are scaled."""
    step = max(1, array.sizes["time"] // 40)
    return array.isel(time=slice(None, None, step), y=slice(None, 64), x=slice(None, 64)).values
