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
    "scl": "scl", "sceneclassification": "scl", "qualitysceneclassification": "scl",
    "sceneclassificationlayer": "scl", "sclclassification": "scl",
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
    r"^(?:sentinel[-_ ]?[12](?:[-_ ]?(?:l[12][ac]|grd))?|s2(?:[-_ ]?(?:l2a|msi|sr))?|s1(?:[-_ ]?grd)?|nbart?|sr|boa|fre"
    r"|sre)[-_ :./]+",
    re.I,
)
# Reducers, and words for reflectance at the surface: B04_mean, mean_B04, B04_surf.
_AROUND = re.compile(r"(?i)^(mean|median|avg)[_ .-]|[_ .-](mean|median|avg|first|p50|surf|refl|reflectance)$")
RADAR = {"vv": "VV", "vh": "VH"}
_DIRECTION = r"(?:(?P<asc>asc(?:end(?:ing)?)?)|(?P<desc>d(?:e?sc|es)(?:end(?:ing)?)?))"
_LETTER = r"(?:(?P<asc>a)|(?P<desc>d))"
# One letter is a direction beside or behind a polarisation alone: VV_A, VHD.
_DIRECTIONS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"(?P<before>.*?)(?<![a-z]){_DIRECTION}(?![a-z])(?P<after>.*)",
        rf"(?P<before>.*?(?<![a-z])v[vh]){_DIRECTION}(?![a-z])(?P<after>.*)",
        rf"(?P<before>.*?)(?<![a-z]){_DIRECTION}(?P<after>v[vh](?![a-z]).*)",
        rf"(?P<before>.*?(?<![a-z])v[vh])[\s_.-]*{_LETTER}(?![a-z])(?P<after>.*)",
        rf"(?P<before>(?:.*[\s_.-])?){_LETTER}(?P<after>[\s_.-]*v[vh](?![a-z]).*)",
    )
)
_RELATIVE_ORBIT = re.compile(r"(?i)(?:^|[\s_.-])(?:orbit|orb|ro|r)?[\s_.-]*(\d{1,3})(?=$|[\s_.-])")
_RADAR_LIKE = re.compile(r"(?i)(?<![a-z])v[vh](?![a-z])")
_NO_BACKSCATTER = re.compile(
    r"(?i)ratio|diff|std|stdev|var(?![a-z])|count|min(?![a-z])|max(?![a-z])|angle|coh|entropy|contrast|[/+*]|div|over"
)


def find_bands(names: Iterable[str]) -> dict[str, str]:
    """Which variable or band label is which band of the contract, or which cloud mask.

    Parameters
    ----------
    names
        Names of variables or labels of a band dimension, as a file has them.

    Returns
    -------
    dict
        From ``B02`` ... ``B12``, ``VV``, ``VH``, ``VV:PASS`` (see ``split_pass``) and ``mask:KIND`` (a value of
        ``MASKS``) to the name in the file. Of a band in several resolutions (``B02_10m``, ``B02_20m``) the finest is
        taken.
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


def split_pass(name: str) -> tuple[str, str]:
    """The name of a polarisation without its pass, and the pass.

    Parameters
    ----------
    name
        Such as ``VV_asc``, ``VHD``, ``descending.VV`` or ``VV_A_88``.

    Returns
    -------
    tuple of str
        ``VV`` and ``ascending``, ``descending`` or ``ascending:88`` with the relative orbit; the name as it is and an
        empty text where it says no direction, or is no polarisation.
    """
    for pattern in _DIRECTIONS:
        # Without the 1 of Sentinel-1, which is no relative orbit.
        match = pattern.fullmatch(PREFIX.sub("", name))
        if match is None:
            continue
        # The words before and behind, without the marks between them.
        rest = "_".join(part for one in (match["before"], match["after"]) if (part := one.strip(" \t_.-")))
        if not _RADAR_LIKE.search(rest):
            continue
        orbit = _RELATIVE_ORBIT.search(rest)
        if orbit and 1 <= int(orbit[1]) <= 175:
            rest = rest[: orbit.start()] + rest[orbit.end() :]
        direction = "ascending" if match["asc"] else "descending"
        return rest.strip(" _.-"), direction + (f":{int(orbit[1])}" if orbit else "")
    return name, ""


def like_backscatter(names: Iterable[str]) -> list[str]:
    """Names that have a polarisation of Sentinel-1 in them and are neither read nor of another quantity.

    Parameters
    ----------
    names
        As a file has them.
    """
    names = [str(name) for name in names]
    known = set(find_bands(names).values())
    return [
        name
        for name in names
        if name not in known
        and len({one.lower() for one in _RADAR_LIKE.findall(name)}) == 1
        and not _NO_BACKSCATTER.search(name)
    ]


def _one(name: str, common: dict[str, str]) -> tuple[str, float] | None:
    """Contract name and pixel size in the name (infinite where it tells none) of one label."""
    bare = _AROUND.sub("", PREFIX.sub("", name.strip()))
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
    bare, one_pass = split_pass(bare)
    radar = re.fullmatch(
        r"(?:sigma0?|gamma0?|s0|g0)?(vv|vh)(?:sigma0?|gamma0?|s0|g0|db|rtc|lin(?:ear)?|power)*", _plain(bare)
    )
    key = f"{RADAR[radar[1]]}:{one_pass}" if radar and one_pass else RADAR[radar[1]] if radar else ""
    return (key, size_m) if radar else None


def _plain(name: str) -> str:
    return re.sub(r"[-_ .]", "", PREFIX.sub("", name.strip())).lower()
