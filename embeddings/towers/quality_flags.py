"""Flags of quality in NetCDF, whichever way they count, as those of FLUXNET: 0 measured, 1 good, 2 medium, 3 poor."""

from __future__ import annotations

import re
import warnings

import numpy as np
from fluxlens.models.errors import DataWarning

# By what a meaning has in it; the first that fits, since "not good" and "bad gap-filling" have words of both.
CLASSES = (
    (3.0, r"bad|poor|low|fail|reject|invalid|missing|suspect|\bno(t|n)?\b(?!.{0,2}gap)|unusable|wrong"),
    (2.0, r"medium|moderate|fair|intermediate"),
    (0.0, r"measured|observed|original|no.?gap|not.?filled|raw"),
    # Filled, as of FluxnetLSM where nothing is said of how well.
    (1.0, r"good|high|best|valid|pass|ok|accept|fill|gap|model"),
)
IN_WORDS = re.compile(r"(?<![\d.])(\d{1,3})\s*(?:=|:|\bis\b|\bmeans\b)\s*([a-z][a-z _-]*)")
PROSE = (
    "long_name",
    "description",
    "comment",
    "comments",
    "note",
    "flag_meanings",
    "flag_meaning",
    "flags",
    "values",
)
"""Attributes in which people write what flags mean."""


def to_fluxnet_flags(name: str, variable: str, flags: np.ndarray, attrs: dict) -> np.ndarray | None:
    """Flags as FLUXNET counts them, by what the variable says of them.

    Parameters
    ----------
    name, variable : str
        Of the file and the variable, for the warning.
    flags : numpy.ndarray
        (time,) as in the file, NaN where missing.
    attrs : dict
        Of the variable; ``flag_values`` and ``flag_meanings`` of CF, or words such as ``1 = good, 0 = bad``.

    Returns
    -------
    numpy.ndarray or None
        (time,) 0 to 3; as they are where nothing is said of them, and None where what is said cannot be told.

    Warns
    -----
    DataWarning
        Flags that cannot be told, and those that count the other way.
    """
    meanings = _meanings(attrs)
    if str(attrs.get("units", "")).strip().lower() in ("%", "percent"):
        _warn(f"{variable} of {name} is in percent, not a flag 0 to 3 of each step: its days have no quality")
        return None
    if not meanings:
        return flags
    classes = {flag: _class_of(text) for flag, text in meanings.items()}
    present = np.unique(flags[np.isfinite(flags)])
    unknown = [flag for flag in present if classes.get(flag) is None]
    if unknown:
        said = meanings.get(unknown[0])
        _warn(
            f"{variable} of {name} has the flag {unknown[0]:g}"
            f"{f' ({said[:30]})' if said else ', of which it says nothing'}: its days have no quality"
        )
        return None
    if classes.get(0.0, 0.0) >= 2 and min(classes.values()) < 2:
        good = ", ".join(f"{flag:g} {meanings[flag]}" for flag, one in classes.items() if one < 2)
        _warn(f"{variable} of {name} counts the other way than FLUXNET's flags ({good}): turned")
    return np.array([classes[flag] if np.isfinite(flag) else np.nan for flag in flags])


def _meanings(attrs: dict) -> dict[float, str]:
    """Words by flag."""
    words = str(attrs.get("flag_meanings", "")).lower().split()
    values = np.atleast_1d(attrs.get("flag_values", [])).ravel()
    if len(values) == 1 and isinstance(values[0], str):
        values = re.findall(r"-?\d+", values[0])
    if len(words) and len(words) == len(values):
        return {float(value): word.replace("_", " ") for value, word in zip(values, words, strict=True)}
    prose = "; ".join(str(attrs.get(key, "")) for key in PROSE).lower()
    return {float(flag): text.strip() for flag, text in IN_WORDS.findall(prose)}


def _class_of(text: str) -> float | None:
    return next((flag for flag, words in CLASSES if re.search(words, text)), None)


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=5)
