"""Columns of AmeriFlux BASE and EddyPro's ``_fluxnet_``, whose names carry who made them and where a sensor stands."""

from __future__ import annotations

import re

# GPP as a site's team hands it in to AmeriFlux; FLUXNET's own names say the method of partitioning beside it.
GPP_NAMES = ("GPP_PI", "GPP")
# Names in BASE of the variables that FLUXNET fills gaps of, the filled ones first; its units are the same.
WEATHER_NAMES = {"sw_in": ("SW_IN",), "tair": ("TA",), "vpd": ("VPD",), "precip": ("P",)}

# Columns of wind by what they are, the preferred first: FLUXNET, AmeriFlux BASE and EddyPro's `_fluxnet_`; then
# EddyPro's full output, the input of the footprint model of Kljun et al. online, and loggers of Campbell. Any of them
# may carry the position of a sensor (`_1_1_1`).
TURBULENCE = {
    "wind": ("WS_F", "WS", "WIND_SPEED", "U_MEAN", "UMEAN", "WND_SPD"),
    "direction": ("WD", "WD_F", "WIND_DIR", "WIND_DIRECTION", "WINDDIR", "WND_DIR_COMPASS", "WND_DIR"),
    "ustar": ("USTAR", "USTAR_F", "U*", "U_STAR"),
    "heat": ("H_F_MDS", "H", "H_F"),
    "tair": ("TA_F", "TA", "TA_EP", "AIR_TEMPERATURE", "T_SONIC"),
    "pressure": ("PA_F", "PA", "PA_EP", "AIR_PRESSURE"),
    "sigma_v": ("V_SIGMA", "SIGMA_V", "SIGMAV", "V_SD"),
    "variance_v": ("V_VAR",),
    "length": ("MO_LENGTH", "L", "OL", "OBUKHOV_LENGTH"),
}


def has_wind(header: list[str]) -> bool:
    """Whether a header has columns of wind, its direction and u*.

    Parameters
    ----------
    header : list of str
        In capitals.
    """
    return all(sensor_columns(header, TURBULENCE[ours]) for ours in ("wind", "direction", "ustar"))


def sensor_columns(header: list[str], names: tuple[str, ...]) -> list[str]:
    """Columns of a header by the names they may have, then those of single sensors from the topmost down.

    Parameters
    ----------
    header : list of str
        In capitals.
    names : tuple of str
        The preferred first, such as ``WS``; found as well with AmeriFlux's marks behind: ``_PI`` and ``_F`` of who
        reviewed or filled it, ``_1_2_1`` of horizontal, vertical and replicate position.

    Returns
    -------
    list of str
        Of ``header``, the preferred first.
    """
    exact = [name for name in names if name in header]
    placed = []
    for rank, name in enumerate(names):
        pattern = re.compile(rf"{re.escape(name)}(_PI)?(_F)?(_\d+_\d+_(?:\d+|A)|_\d+)?")
        for column in header:
            match = pattern.fullmatch(column)
            if match and column not in exact:
                digits = [int(number) for number in re.findall(r"\d+", match[3] or "")]
                placed.append((rank, bool(match[1]), digits, column))
    return exact + [column for *_, column in sorted(placed)]


def team_gpp_columns(header: list[str]) -> list[str]:
    """Columns of GPP as a site's team gives it: ``GPP_PI_F``, ``GPP_PI``, ``GPP_PI_1_1_1``, ``GPP``.

    Parameters
    ----------
    header : list of str
        In capitals.

    Returns
    -------
    list of str
        Gap-filled ones first, since a day's mean needs all of its parts; then by position.
    """
    columns = list(dict.fromkeys(sensor_columns(header, GPP_NAMES)))
    return sorted(columns, key=lambda column: not re.search(r"_F(_|$)", column))
