"""What the cloud masks of providers call clear."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr
from fluxlens.embeddings.readers.cf_packing import unpack
from fluxlens.embeddings.scenes import compositing

MASK_KINDS = (
    "scl",
    "score",
    "fmask",
    "force",
    "cloudless",
    "probability",
    "probability255",
    "cloud",
    "clear",
    "qa60",
)
"""Best first: scene classifications and scores before probabilities, plain masks and QA60."""
CLEAR_PROBABILITY = 40
"""Cloud probability (0-100) below which a pixel is clear, Sen2Cor's and s2cloudless's usual threshold."""
CLEAR_SCORE = 0.6
"""Cloud Score+ (0-1) from which a pixel is clear, as its documentation proposes."""
FMASK_CLEAR = ("clear", "valid", "land", "clear_land", "water", "clear_water")
SCL_LABELS = 11
"""Highest label of the scene classification."""


CLEAR_WORDS = re.compile(r"\b(valid|clear|usable|cloud[- ]?free)\b")
CLOUD_WORDS = re.compile(r"\b(clouds?|cloudy|shadows?|invalid|masked)\b(?![- ]?free)")


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
        labels = array
        if raw.size and np.isin(raw, range(SCL_LABELS + 1)).mean() <= 0.5:
            labels = unpack(array).round()
            if 0 < float(raw.max()) <= 1.01e-4 * SCL_LABELS:
                # scaled together with the reflectance, by a step of 0.0001
                labels = (array * 10_000).round()
        known = _corner(labels)
        if known.size and not np.isin(known[np.isfinite(known)], range(SCL_LABELS + 1)).any():
            notes.append(f"{name} holds no label of the scene classification (0 to 11), so no pixel is clear")
        return labels.isin(compositing.CLEAR_SCL)
    values = unpack(array)
    if kind == "score":
        high = float(np.nanmax(_corner(values), initial=0.0))
        return values >= CLEAR_SCORE * (1 if high <= 1 else 100 if high <= 100 else 255)
    if kind == "fmask":
        return _clear_of_fmask(array, values, name, notes)
    if kind == "force":
        # FORCE level 2: bit 0 no data, bits 1 and 2 state of clouds, 3 shadow, 4 snow.
        bits = values.fillna(1).astype("int64")
        return (bits & 0b11111) == 0
    # Digital Earth Australia's oa_s2cloudless_mask: 0 no data, 1 clear, 2 cloud.
    if kind == "cloudless":
        return values == 1
    if kind.startswith("probability"):
        # s2cloudless in Python gives 0 to 1, Sentinel Hub and Sen2Cor 0 to 255 and 0 to 100
        if (
            values.dtype.kind == "f"
            and array.dtype.kind == "f"
            and np.nanmax(_corner(values), initial=0.0) <= 1
        ):
            return values < CLEAR_PROBABILITY / 100
        return values < CLEAR_PROBABILITY * (2.55 if kind == "probability255" else 1)
    # Pixels without QA60 count as cloud: it is empty from January 2022 to February 2024.
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
    words = " ".join(str(array.attrs.get(key, "")) for key in ("long_name", "description", "comment")).lower()
    if CLEAR_WORDS.search(words) and not CLOUD_WORDS.search(words):
        notes.append(f"1 in {name} is taken to mean clear, as its attributes call it '{words.strip()[:40]}'")
        return values > 0
    if not meanings and not str(array.attrs.get("flag_values", "")).startswith("0 clear"):
        notes.append(f"0 in {name} is taken to mean clear")
    return values == 0


def _clear_of_fmask(array: xr.DataArray, values: xr.DataArray, name: str, notes: list[str]) -> xr.DataArray:
    """Clear by one of the three encodings of Fmask, told apart by flags, name and values.

    HLS (user guide, table 9) packs bits: 1 cloud, 2 beside cloud, 3 shadow, 4 snow, 255 no data. Digital Earth
    Australia's ``oa_fmask`` has classes 1 valid, 2 cloud, 3 shadow, 4 snow, 5 water. Fmask itself 0 land, 1 water, 2
    shadow, 3 snow, 4 cloud, 255 no data.
    """
    words = str(array.attrs.get("flag_meanings", "")).lower().split()
    flags = np.ravel(array.attrs.get("flag_values", ()))
    if words and len(words) == flags.size:
        clear = [flag for flag, word in zip(flags, words, strict=True) if word in FMASK_CLEAR]
        return values.isin([float(flag) for flag in clear])
    # Names before values: classes 0 to 5 look alike in two of the three encodings.
    if name.lower().startswith(("oa", "nbart")):
        return values.isin([1, 5])
    sample = _corner(values)
    if np.any((sample > 5) & (sample < 255)):
        bits = values.fillna(255).astype("int64")
        return ((bits >> 1) & 0b1111) == 0
    notes.append(f"0 (land) and 1 (water) in {name} are taken to mean clear, as Fmask has it")
    return values.isin([0, 1])


def _corner(array: xr.DataArray) -> np.ndarray:
    """Values of some dates and 64 x 64 pixels: enough to tell how labels are scaled."""
    step = max(1, array.sizes["time"] // 40)
    return array.isel(time=slice(None, None, step), y=slice(None, 64), x=slice(None, 64)).values
