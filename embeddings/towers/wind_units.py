"""Wind and turbulence in our units, by what the file says of its own, and held against what air can do."""

from __future__ import annotations

import warnings

import pandas as pd
from fluxlens.embeddings.units import is_stated, parse_unit
from fluxlens.models.errors import DataWarning, InputError

WIND_UNITS = {
    "wind": "m s-1",
    "direction": "degrees",
    "ustar": "m s-1",
    "heat": "W m-2",
    "tair": "degC or K",
    "pressure": "kPa, hPa or Pa",
    "sigma_v": "m s-1",
    "variance_v": "m2 s-2",
    "length": "m",
}
"""What errors ask for, written as people write it."""
RANGES = {"wind": (0.0, 75.0), "ustar": (0.0, 10.0), "sigma_v": (0.0, 20.0), "direction": (-360.0, 720.0)}
"""Means of half-hours outside of these, m s-1 and degrees, are codes such as 999 or faults of a sensor."""
ROWS_TO_JUDGE = 48
"""A day of half-hours."""
MOST_USTAR = 2.5
"""m s-1: the median of half-hours stays below 1 at any tower, and is 10 to 80 in cm s-1."""
MOST_WIND_TO_USTAR = 45.0
"""Above water the ratio reaches 30; km h-1 make it 3.6 times larger than it is over land (4 to 15)."""


class WindUnitError(InputError):
    """Wind or turbulence that is there, in a unit that it cannot be converted from."""


def to_our_wind(name: str, frame: pd.DataFrame, stated: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Wind and turbulence in our units.

    Parameters
    ----------
    name : str
        Of the file, for errors.
    frame : pandas.DataFrame
        (row, variable), some of ``WIND_UNITS``, in the units of the file.
    stated : dict of str to tuple of str
        Column of the file, and its units as text, by ours; empty where the file tells none.

    Returns
    -------
    pandas.DataFrame
        (row, variable) in m s-1, degrees, W m-2, degC, kPa and m; what the file does not tell stays as it is.

    Raises
    ------
    InputError
        For units that are not understood.
    """
    frame = frame.copy()
    for ours, (column, text) in stated.items():
        if ours not in frame or not is_stated(text):
            continue
        unit = parse_unit(ours, text)
        if unit is None:
            raise WindUnitError(
                f"Got {name} with {column} in {text.strip('[] ')!r}, need {WIND_UNITS[ours]}; convert it."
            )
        frame[ours] = unit.convert(frame[ours])
    return frame


def check_wind(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Wind and turbulence without numbers that air cannot have.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    frame : pandas.DataFrame
        (row, variable) in our units; directions of any turn.

    Returns
    -------
    pandas.DataFrame
        (row, variable) with directions 0 to 360 degrees, NaN for numbers outside of ``RANGES``.

    Raises
    ------
    InputError
        Where u* or the direction is of other units throughout.

    Warns
    -----
    DataWarning
        With the count of numbers left out, and for a wind that looks like km h-1.
    """
    frame = frame.copy()
    if len(frame) >= ROWS_TO_JUDGE:
        _check_units(name, frame)
    for ours in [ours for ours in RANGES if ours in frame]:
        low, high = RANGES[ours]
        outside = (frame[ours] < low) | (frame[ours] > high)
        if outside.any():
            warnings.warn(
                f"{int(outside.sum())} of {int(frame[ours].notna().sum())} numbers of {ours} of {name}, such as"
                f" {frame[ours][outside].iloc[0]:g}, are not {low:g} to {high:g} {WIND_UNITS[ours]} and left out",
                DataWarning,
                stacklevel=4,
            )
            frame[ours] = frame[ours].mask(outside)
    turned = (frame["direction"] < 0) | (frame["direction"] > 360)
    frame["direction"] = frame["direction"].where(~turned, frame["direction"] % 360)
    return frame


def _check_units(name: str, frame: pd.DataFrame) -> None:
    """InputError for units that a day or more of numbers rules out."""
    ustar, direction = frame["ustar"].median(), frame["direction"].dropna()
    if ustar > MOST_USTAR:
        raise WindUnitError(
            f"Got {name} with u* of {ustar:.3g} at the median, need m s-1; it looks like cm s-1: convert it, or write"
            " the units in a row below the header."
        )
    # Degrees of a day and more go round farther than two pi.
    if direction.nunique() >= ROWS_TO_JUDGE / 2 and direction.abs().max() < 6.3:
        raise WindUnitError(
            f"Got {name} with wind directions up to {direction.abs().max():.3g}, need degrees; it looks like radians:"
            " convert them, or write the units in a row below the header."
        )
    ratio = (frame["wind"] / frame["ustar"].where(frame["ustar"] > 0)).median()
    if ratio > MOST_WIND_TO_USTAR:
        warnings.warn(
            f"the wind of {name} is {ratio:.0f} times its u* at the median: it looks like km h-1, not m s-1",
            DataWarning,
            stacklevel=5,
        )
