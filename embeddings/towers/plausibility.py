"""Whether a tower's numbers are in the units they are taken for."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from fluxlens.models.errors import DataWarning, InputError

# Below this many days of a variable a season cannot be told from weather.
DAYS_TO_JUDGE = 60
# gC m-2 d-1: 99 of 100 days of maize, the most productive crop, stay below 35; artefacts of partitioning reach 40.
MAX_GPP = 60.0
# gC m-2 d-1 that a growing season passes even in tundra and desert shrubs.
MIN_PEAK_GPP = 0.02
# Days, and gC m-2 d-1 below zero in their mean, from which GPP is counted as a loss of the air and not as noise.
DAYS_OF_SIGN, MAX_NOISE_GPP = 10, 0.5
# A day's radiation in MJ m-2 never exceeds 41; a season with warm days has days above 45 W m-2 at any latitude.
MAX_MJ = 45.0
WARM_DEGC = 15.0


def check(name: str, tower: xr.Dataset) -> None:
    """Compares a tower with what its units allow over a season.

    Parameters
    ----------
    name : str
        Of the file.
    tower : xr.Dataset
        With ``gpp_nt`` or ``gpp_dt`` in gC m-2 d-1, and ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa, ``precip``
        mm d-1 where known, on ``time``.

    Raises
    ------
    InputError
        For a GPP that no vegetation reaches.

    Warns
    -----
    DataWarning
        Names each variable that looks like another unit; the numbers are left as they are.
    """
    values = {str(key): tower[key].values[tower[key].notnull().values] for key in tower.data_vars}
    for flux in ("gpp_nt", "gpp_dt"):
        gpp = values.get(flux)
        if gpp is None or not len(gpp):
            continue
        check_gpp(
            name,
            gpp,
            tower[flux].attrs.get("source_column", flux),
            tower.attrs.get("gpp_source_units", "gC m-2 d-1"),
            tower.attrs.get("resolution") == "daily",
        )
    _check_weather(name, values)


def check_gpp(name: str, gpp: np.ndarray, column: str, units: str, are_days: bool = True) -> None:
    """Compares GPP with what vegetation reaches over a season.

    Parameters
    ----------
    name : str
        Of the file.
    gpp : numpy.ndarray
        (day,) gC m-2 d-1 without NaN.
    column, units : str
        Of the file, and what it was taken for.
    are_days : bool
        Whether they are of days, not of weeks or months.

    Raises
    ------
    InputError
        For a GPP that no vegetation reaches, and one counted as a loss.

    Warns
    -----
    DataWarning
        For a GPP that stays below that of deserts.
    """
    if not len(gpp):
        return
    # The 99th percentile of absolute values: single artefacts do not decide.
    high = float(sorted(abs(gpp))[int(0.99 * (len(gpp) - 1))])
    if high > MAX_GPP:
        raise InputError(
            f"Got {name} with {column} up to {high:.4g} gC m-2 d-1, need less than {MAX_GPP:g}, which"
            f" no vegetation passes: it was taken as {units}; convert its units."
        )
    # Noise of partitioning is negative now and then, in winter for weeks, and small.
    if len(gpp) >= DAYS_OF_SIGN and gpp.mean() < -MAX_NOISE_GPP and (gpp < 0).mean() > 0.8:
        raise InputError(
            f"Got {name} with {column} below 0 on {int((gpp < 0).sum())} of {len(gpp)} days, need GPP counted"
            " positive; change its sign."
        )
    if len(gpp) >= DAYS_TO_JUDGE and 0 < high < MIN_PEAK_GPP and are_days:
        _warn(f"{column} of {name} stays below {high:.2g} gC m-2 d-1: it looks like kg or mol")


def _check_weather(name: str, values: dict) -> None:
    """Warns of weather that looks like another unit over sixty days or more."""

    def long_enough(key: str) -> bool:
        return key in values and len(values[key]) >= DAYS_TO_JUDGE

    is_warm = long_enough("tair") and WARM_DEGC < values["tair"].max() < 100
    if long_enough("tair") and values["tair"].mean() > 150:
        _warn(
            f"the air temperature of {name} is {values['tair'].mean():.0f} on average: it looks like K, not degC"
        )
    if long_enough("sw_in") and is_warm and 0 < values["sw_in"].max() < MAX_MJ:
        _warn(
            f"the radiation of {name} stays below {values['sw_in'].max():.3g}: it looks like MJ m-2 d-1, not W m-2"
        )
    if long_enough("vpd"):
        high = float(values["vpd"].max())
        # Saturated air holds 17 hPa at 15 degC, 123 hPa at 50 degC: a day's mean deficit above 100 is no hPa, and a
        # season with warm days has one above 2.5.
        if high > 100:
            _warn(f"the VPD of {name} reaches {high:.0f}: it looks like Pa, not hPa")
        elif is_warm and 0 < high < 2.5:
            _warn(f"the VPD of {name} stays below {high:.2g}: it looks like kPa, not hPa")
    if long_enough("precip"):
        wet = values["precip"][values["precip"] > 0]
        # Twenty wet days without 0.5 mm on one of them are metres, or kg m-2 s-1.
        if len(wet) >= 20 and wet.max() < 0.5:
            _warn(
                f"the rain of {name} stays below {wet.max():.2g} mm on {len(wet)} wet days: it looks like m or mm s-1"
            )


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=5)
