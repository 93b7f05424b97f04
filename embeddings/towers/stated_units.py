"""Weather of a tower in our units, by what the file says of its own."""

from __future__ import annotations

import warnings

import pandas as pd
from fluxlens.embeddings.towers.stamps import Step
from fluxlens.embeddings.units import is_stated, parse_unit
from fluxlens.models.errors import DataWarning

NEEDED_UNITS = {"sw_in": "W m-2", "tair": "K or degC", "vpd": "hPa, kPa or Pa", "precip": "mm or kg m-2 s-1"}
"""What warnings ask for, written as people write it."""


def to_our_weather(
    name: str, frame: pd.DataFrame, stated: dict[str, tuple[str, str]], step: Step, must_state: bool = False
) -> pd.DataFrame:
    """A tower's rows with its weather in our units.

    Parameters
    ----------
    name : str
        Of the file, for warnings.
    frame : pandas.DataFrame
        (row, variable) with some of ``sw_in``, ``tair``, ``vpd`` and ``precip`` in the units of the file.
    stated : dict of str to tuple of str
        Column or variable of the file, and its units as text, by ours.
    step : Step
        Of the rows.
    must_state : bool
        Whether weather without units is left out; else it is taken to be in ours, as files of FLUXNET are.

    Returns
    -------
    pandas.DataFrame
        (row, variable) with ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa and ``precip`` mm per step (mm d-1 of days).

    Warns
    -----
    DataWarning
        Weather in other units, which is left out: GPP does not hang on it.
    """
    frame = frame.copy()
    for ours, (column, text) in stated.items():
        if ours not in frame or not (must_state or is_stated(text)):
            continue
        unit = parse_unit(ours, text)
        if unit is None:
            warnings.warn(
                f"{column} of {name} in {text.strip('[] ') or 'no units'} is left out: needs {NEEDED_UNITS[ours]}",
                DataWarning,
                stacklevel=5,
            )
            frame = frame.drop(columns=ours)
            continue
        # Sums over a week or month in files of coarser steps: how many days each has is not known here.
        if unit.amount and not step.is_subdaily and step.code != "DD":
            continue
        # Per day: an amount of each half-hour is a 48th of it.
        frame[ours] = unit.convert(frame[ours]) * (step.per_day if unit.amount else 1)
        if ours == "precip" and step.is_subdaily:
            frame[ours] /= step.per_day  # days are formed of depths
    return frame
