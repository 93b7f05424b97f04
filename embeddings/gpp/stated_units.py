"""Units that a table of spectra states: in brackets behind a column's name, or in a row below the header."""

from __future__ import annotations

import re

import pandas as pd
from fluxlens.embeddings.units import Unit, is_stated, parse_carbon_flux, parse_unit
from fluxlens.models.errors import InputError

NEEDED = {
    "GPP": "gC m-2 d-1",
    "T2MIN": "K", "T2MAX": "K", "T2MEAN": "K", "TSMDEWMEAN": "K",
    "SWLAND": "W m-2", "PARDFLAND": "W m-2",
}  # fmt: skip
"""Units of the columns that have any; bands are reflectance 0-1."""


def check(raw: pd.DataFrame) -> pd.DataFrame:
    """A table whose columns have their plain names, and rows of data alone.

    Parameters
    ----------
    raw : pandas.DataFrame
        (row, column) as in the file, with ``date``.

    Returns
    -------
    pandas.DataFrame
        (row, column) without a first row of units; ``GPP (gC m-2 d-1)`` is called ``GPP``.

    Raises
    ------
    InputError
        Where a stated unit is another one than that of ``NEEDED``.
    """
    names = {}
    for column in raw.columns:
        match = re.fullmatch(r"(\w+)\s*[(\[](.+)[)\]]", str(column).strip())
        name = match[1].upper() if match else ""
        if name in NEEDED and name not in raw and name not in names.values():
            _check_unit(name, match[2])
            names[column] = name
    raw = raw.rename(columns=names)
    # A date has digits; a row of units has none there, and no number elsewhere.
    if "date" not in raw or len(raw) < 2 or not pd.api.types.is_string_dtype(raw["date"]):
        return raw
    first = raw.iloc[0]
    is_number = pd.to_numeric(first, errors="coerce").notna() & (first.astype(str) != "1")
    if re.search(r"\d", str(first["date"])) or is_number.any():
        return raw
    for name in [name for name in NEEDED if name in raw and isinstance(first[name], str)]:
        _check_unit(name, first[name])
    return raw.iloc[1:].reset_index(drop=True)


def _check_unit(name: str, text: str) -> None:
    """InputError where a unit is stated and is not the one that is needed."""
    need = NEEDED[name]
    unit: Unit | None
    if need == "K":
        # Of degC the offset is 0, of kelvin it is not.
        unit = parse_unit("tair", text)
        is_right = unit is not None and unit.factor == 1 and unit.offset != 0
    else:
        unit = parse_carbon_flux(text) if name == "GPP" else parse_unit("sw_in", text)
        is_right = unit is not None and unit.factor == 1
    if is_stated(text) and not is_right:
        raise InputError(f"Got a table with {name} in {text.strip()[:30]!r}, need {need}; convert it.")
