"""Names under which people keep the bands of Sentinel-2 and Sentinel-1, and their cloud masks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fluxlens.embeddings.scenes import schema

COMMON: dict[str, str] = {
    "blue": "B02", "green": "B03", "red": "B04",
    "rededge1": "B05", "rededge2": "B06", "rededge3": "B07", "rededge": "B05",
    "re1": "B05", "re2": "B06", "re3": "B07",
    "rededge705": "B05", "rededge740": "B06", "rededge783": "B07", "rededge4": "B8A", "re4": "B8A",
    "vre1": "B05", "vre2": "B06", "vre3": "B07",
    "nir": "B08", "nir1": "B08", "nirbroad": "B08", "broadnir": "B08", "widenir": "B08", "bnir": "B08", "nir10m": "B08",
    "nir08": "B8A", "nir2": "B8A", "nirnarrow": "B8A", "narrownir": "B8A", "nirnar": "B8A", "nir8a": "B8A",
    "nirn": "B8A",
    "swir16": "B11", "swir1": "B11", "swir1610": "B11", "swir11": "B11",
    "swir22": "B12", "swir2": "B12", "swir2190": "B12", "swir12": "B12",
}  # fmt: skip
"""Common names (STAC ``eo`` extension, Earth Search, Earth Engine, Digital Earth, FORCE), without ``_`` and case."""

BROAD_NIR = {"bnir", "nirbroad", "broadnir", "widenir"}
"""Names of B08 beside which a plain ``nir`` is the narrow band: FORCE writes ``BNIR`` and ``NIR``."""

MASKS: dict[str, str] = {
    "scl": "scl", "sceneclassification": "scl", "sceneclassificationlayer": "scl", "sclclassification": "scl",
    "qa60": "qa60",
    "clm": "cloud", "cloudmask": "cloud", "cloud": "cloud", "clouds": "cloud", "cldmask": "cloud", "mask": "cloud",
    "clear": "clear", "clearmask": "clear", "valid": "clear", "validmask": "clear",
    "clearsky": "clear", "clearskymask": "clear", "cloudfree": "clear",
    "mskcldprb": "probability", "cldprb": "probability", "cloudprobability": "probability", "cldprob": "probability",
    "probability": "probability", "s2cloudless": "probability", "cloudprobs": "probability",
    "clp": "probability255",
    "iscloud": "cloud", "iscloudy": "cloud", "cloudy": "cloud", "cloudflag": "cloud",
    "fmask": "fmask", "oafmask": "fmask",
    "oas2cloudlessmask": "cloudless", "s2cloudlessmask": "cloudless",
    "qai": "force", "qualityassuranceinformation": "force",
    "cs": "score", "cscdf": "score",
}  # fmt: skip
"""Kind of cloud mask by name, without ``_`` and case."""

OTHER_BANDS = re.compile(
    r"^(B0?1|B0?9|B10|coastal|coastalaerosol|aerosol|cirrus|watervapou?r|wvp|aot|visual|tci)$", re.I
)
# Names that no product of Sentinel-2 has, so that one of them is enough to tell.
LANDSAT = ("qa_pixel", "QA_PIXEL", "pixel_qa", "SR_B4", "lwir11", "qa_radsat")
LANDSAT_FILE = re.compile(r"(?<![A-Za-z0-9])(?:L[COTEM]0[4-9]|LND0[4-9]|ga_ls[4-9]c?)_|^HLS\.L30\.", re.I)
"""Files of Landsat (USGS, FORCE, Digital Earth) and of harmonised Landsat, whose B5 is near infrared."""
# What tools put before the name of a band: sensor, level, or kind of correction (Digital Earth, FORCE, MAJA).
PREFIX = re.compile(
    r"^(?:sentinel[-_ ]?2(?:[-_ ]?l[12][ac])?|s2(?:[-_ ]?(?:l2a|msi|sr))?|s1(?:[-_ ]?grd)?|nbart?|sr|boa|fre|sre)"
    r"[-_ :./]+",
    re.I,
)
RADAR = {"vv": "VV", "vh": "VH"}


def find_bands(names: Iterable[str]) -> dict[str, str]:
    """Which variable or band label is which band of the contract, or which cloud mask.

    Parameters
    ----------
    names
        Names of variables or labels of a band dimension, as a file has them.

    Returns
    -------
    dict
        From ``B02`` ... ``B12``, ``VV``, ``VH`` and ``mask:KIND`` (a value of ``MASKS``) to the name in the file. Of
        a band in several resolutions (``B02_10m``, ``B02_20m``) the finest is taken.
    """
    names = [str(name) for name in names]
    common = common_names(names)
    out: dict[str, tuple[float, str]] = {}
    for name in names:
        match = _one(name, common)
        if match is None:
            continue
        key, size_m = match
        # B02_10m, B02_20m and B02_60m of one product: a name without a size is the file's only one and wins.
        if key not in out or size_m < out[key][0]:
            out[key] = (size_m, name)
    return {key: name for key, (_, name) in out.items()}


def common_names(names: Iterable[str]) -> dict[str, str]:
    """Common names of bands as one file uses them, whose meaning may depend on the names beside.

    Parameters
    ----------
    names
        All names of the file.

    Returns
    -------
    dict
        Name without ``_`` and case to band, as ``COMMON``.
    """
    plain = {_plain(str(name)) for name in names}
    # Digital Earth Australia counts its two shortwave-infrared bands 2 and 3, everyone else 1 and 2.
    shifted = {"swir2": "B11", "swir3": "B12"} if "swir3" in plain else {}
    narrow = {"nir": "B8A"} if plain & BROAD_NIR else {}
    return COMMON | shifted | narrow


def _one(name: str, common: dict[str, str]) -> tuple[str, float] | None:
    """Contract name and pixel size in the name (infinite where it tells none) of one label."""
    bare = PREFIX.sub("", name.strip())
    sized = re.search(r"[-_ ](\d\d)m$", bare, re.I)
    size_m = float(sized[1]) if sized else 0.0
    bare = bare[: sized.start()] if sized else bare
    # Only 8A has a letter: b4a is no band.
    number = re.fullmatch(r"(?:band[-_ ]?|b)0?(\d{1,2})(a?)", bare, re.I)
    if number:
        label = "B8A" if number[2] else f"B{int(number[1]):02d}"
        known = label in schema.S2_BANDS and not (number[2] and number[1] != "8")
        return (label, size_m) if known else None
    plain = _plain(bare)
    if plain in common:
        return common[plain], size_m
    if plain in MASKS:
        return f"mask:{MASKS[plain]}", size_m
    radar = re.fullmatch(
        r"(?:sigma0|gamma0|sigma|gamma|s0|g0)?(vv|vh)(?:sigma0|gamma0|db|gamma0rtc|rtc)?", plain
    )
    return (RADAR[radar[1]], size_m) if radar else None


def _plain(name: str) -> str:
    return re.sub(r"[-_ .]", "", PREFIX.sub("", name.strip())).lower()
