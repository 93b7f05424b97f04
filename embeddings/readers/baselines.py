"""Processing baseline of Sentinel-2 images, and whether its offset has been taken off, as files tell it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.readers.georeference import decoded_text

OFFSET = -1000
"""Of digital numbers since baseline 04.00 (ESA, Sentinel-2 Products Specification, BOA_ADD_OFFSET)."""
OFFSET_BASELINE = 4.0
"""First baseline whose digital numbers carry the offset, as a number: "04.00"."""
OFFSET_SINCE = np.datetime64("2022-01-25")
"""First day of baseline 04.00 in ESA's processing; reprocessed older images carry it as well."""
BASELINES = (
    "s2:processing_baseline", "processing_baseline", "processing:version", "processing_version", "PROCESSING_BASELINE",
    "baseline", "s2_processing_baseline",
)  # fmt: skip
APPLIED = (
    "earthsearch:boa_offset_applied", "sentinel:boa_offset_applied", "s2:boa_offset_applied", "boa_offset_applied",
    "offset_applied", "harmonized", "harmonised",
)  # fmt: skip
PRODUCTS = (
    "s2:product_uri",
    "product_uri",
    "id",
    "productid",
    "product_id",
    "PRODUCT_ID",
    "item_id",
    "granule_id",
    "title",
)


def baselines(data: xr.Dataset) -> np.ndarray:
    """Processing baseline of each image.

    Parameters
    ----------
    data
        A raster (time, y, x); the baseline stands in a coordinate or attribute (``s2:processing_baseline``,
        ``processing:version``),
        or in the names of products (``..._N0500_...``).

    Returns
    -------
    numpy.ndarray
        (time,) float without unit, 4.0 for "04.00", "N0400", 4.0 and 400; NaN where it is not told.
    """
    for key in BASELINES:
        values = per_date(data, key)
        if values is not None:
            return np.array([parse_baseline(text) for text in values])
    # Names of ESA's products carry it: S2A_MSIL2A_20220125T105031_N0400_R051_T31UES_...
    for key in PRODUCTS:
        values = per_date(data, key)
        if values is not None:
            parsed = np.array([baseline_of_product(text) for text in values])
            if np.isfinite(parsed).any():
                return parsed
    return np.full(data.sizes["time"], np.nan)


def parse_baseline(text: str) -> float:
    """A processing baseline as a number without unit.

    Parameters
    ----------
    text
        ``04.00``, ``N0400``, ``4.0`` or ``400``.

    Returns
    -------
    float
        4.0 for each of them; NaN for other text.
    """
    match = re.fullmatch(r"[Nn]?(\d\d)\.?(\d\d)", text) or re.fullmatch(r"(\d{1,2})\.(\d{1,2})0*", text)
    if match:
        return float(f"{match[1]}.{match[2]}")
    # Numbers that a table has read as such have lost their zeros: 400 is "0400", 4.0 is "04.00".
    number = pd.to_numeric(text, errors="coerce")
    return float(number / 100 if number >= 100 else number)


def baseline_of_product(name: str) -> float:
    """The baseline in the name of one of ESA's products; NaN where there is none.

    Parameters
    ----------
    name
        Such as ``S2A_MSIL2A_20220125T105031_N0400_R051_T31UES_...``.
    """
    match = re.search(r"_N(\d\d)(\d\d)_", name)
    return float(f"{match[1]}.{match[2]}") if match else np.nan


def is_applied(text: str) -> bool:
    """Whether a word says that the offset is off already.

    Parameters
    ----------
    text
        Of one of the keys ``APPLIED``.
    """
    return text.strip().lower() in ("true", "1", "1.0", "yes")


def offset_applied(data: xr.Dataset) -> np.ndarray:
    """Whether each image has the offset off already, as STAC providers and Earth Engine's harmonised collection say.

    Parameters
    ----------
    data
        A raster.

    Returns
    -------
    numpy.ndarray
        (time,) bool.
    """
    for key in APPLIED:
        values = per_date(data, key)
        if values is not None:
            return np.array([is_applied(text) for text in values])
    # Earth Engine's COPERNICUS/S2_SR_HARMONIZED has the offset off on all dates and says so by its name alone.
    names = " ".join(
        str(data.attrs.get(key, ""))
        for key in ("collection", "system:id", "id", "source", "title", "history")
    )
    return np.full(data.sizes["time"], "harmoni" in names.lower() and "unharmoni" not in names.lower())


def per_date(data: xr.Dataset, key: str) -> list[str] | None:
    """A fact of each image as text, from a coordinate along time, a scalar one, or an attribute.

    Parameters
    ----------
    data
        A raster (time, y, x), its bands as stored numbers.
    key
        Name of the coordinate or attribute.

    Returns
    -------
    list of str or None
        One text per image (time), without unit; None where the file has no such fact.
    """
    count = data.sizes["time"]
    if key in data.variables and data[key].dims in ((), ("time",)):
        values = [decoded_text(value) for value in np.ravel(data[key].values)]
        # A scalar holds for all images.
        return values if len(values) == count else values * count
    # Attributes of the first band too: a DataArray's own are saved there.
    bands = [data[one].attrs for one in data.data_vars]
    for attrs in (data.attrs, *bands[:1]):
        if key in attrs:
            values = np.ravel(attrs[key])
            texts = [decoded_text(value) for value in values]
            # A list of another length is of other images: it says nothing, unless all in it are the same.
            return texts if len(texts) == count else texts[:1] * count if len(set(texts)) == 1 else None
    return None
