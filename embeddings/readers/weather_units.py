"""Units of daily weather: what a file or column name says is converted, and what it does not say must be plausible.

The four variables of the scene contract are ``sw_in`` W m-2 (daily mean), ``tair`` degC, ``vpd`` hPa and ``precip``
mm d-1. A wrong unit that stays within physical bounds (radiation in MJ m-2 d-1, VPD in kPa, rain in metres) changes GPP
several-fold without an error further on, so values without a unit are held against what a season can be.
"""

from __future__ import annotations

import pandas as pd
from fluxlens.embeddings.meteorology import saturation_vapour_pressure_hpa
from fluxlens.embeddings.scenes import schema
from fluxlens.models.errors import InputError

RELATIVE_HUMIDITY, NET_RADIATION = "relative humidity in %", "net radiation"
RUNNING_TOTAL = "a running total"
OTHER_QUANTITIES = {
    RELATIVE_HUMIDITY: "compute the deficit from it and the temperature",
    RUNNING_TOTAL: "take the differences of neighbouring rows",
    NET_RADIATION: "give the incoming shortwave radiation",
}
"""What a variable may be mistaken for, and what to do: no factor converts them."""


def check_season(variable: str, values: pd.Series, tair: pd.Series | None = None) -> tuple[str, bool] | None:
    """What daily values without a stated unit look like where they cannot be in the unit of the contract.

    Parameters
    ----------
    variable
        One of ``sw_in``, ``tair``, ``vpd``, ``precip``.
    values
        Daily values with a DatetimeIndex, taken to be W m-2, degC, hPa or mm d-1.
    tair
        Air temperature of the same days, degC, where known: VPD is held against the saturation pressure.

    Returns
    -------
    tuple of str and bool, or None
        The unit the values look like and whether that is certain; None where the values are plausible.
    """
    values = values.dropna()
    if values.empty:
        return None
    months = values.index.month
    high, median = float(values.quantile(0.95)), float(values.median())
    if variable == "sw_in":
        return _check_radiation(values, months, high)
    if variable == "tair":
        if median > 150:
            return "K", True
        # no place on land has a median day above 40 degC over a season
        return ("degF", True) if median > 40 and values.size >= 5 else None
    if variable == "vpd":
        return _check_vpd(values, months, high, tair)
    wet = values[values > 0]
    # Rain of a year that only ever grows is counted from its beginning.
    if values.size >= 20 and values.nunique() > 5 and values.sort_index().is_monotonic_increasing:
        return RUNNING_TOTAL, True
    if values.size < 20 or wet.size < 3:
        return None
    # Of wet days the median is 1-5 mm everywhere: 0.001-0.005 m, or 1e-5 to 6e-5 kg m-2 s-1.
    if wet.max() < 0.2:
        return ("kg m-2 s-1" if float(wet.median()) < 2e-4 else "m (as ERA5 writes it)"), True
    # a fifth of the days wet and none above 2.5 mm: an hourly mean rate, or inches
    # (a made-up constant rain says nothing of its unit)
    if values.size >= 60 and wet.size > values.size / 5 and wet.max() < 2.5 and wet.nunique() > 5:
        return "mm h-1 or inch d-1", False
    return None


def _check_radiation(values: pd.Series, months: pd.Index, high: float) -> tuple[str, bool] | None:
    """The daily mean at the ground is 100-350 W m-2 in the growing season and never above about 450."""
    top = float(values.max())
    if high > 500:
        if top > 1e5:
            return "J m-2 d-1", True
        return ("kJ m-2 d-1 or J cm-2 d-1" if high > 1000 else "umol m-2 s-1 of PPFD"), True
    # MJ m-2 d-1 never exceeds 45 (top of the atmosphere at midsummer); 45 W m-2 is a dark winter day.
    if top >= 45:
        return None
    unit = "kWh m-2 d-1" if top < 9.5 else "MJ m-2 d-1"
    light = (months >= 4) & (months <= 8)
    if top <= 0:
        # zeros are polar nights, radiation below zero loses heat
        return (NET_RADIATION, True) if high < 0 else None
    # A whole series this dark is possible only in a winter at high latitude; there it is only pointed out.
    return (unit, True) if light.sum() >= 3 else (unit, False) if values.size >= 20 and top < 30 else None


def _check_vpd(
    values: pd.Series, months: pd.Index, high: float, tair: pd.Series | None
) -> tuple[str, bool] | None:
    """VPD in kPa is a tenth of what it should be: a daily relative humidity above 93 % on every warm day."""
    if high > 100:
        return "Pa", True
    if tair is not None:
        known = tair.reindex(values.index).dropna()
        # Air cannot lack more vapour than it holds when saturated.
        most = saturation_vapour_pressure_hpa(known)
        if known.size >= 10 and float((values[known.index] / most).median()) > 1.05:
            return RELATIVE_HUMIDITY, True
        warm = known[known > 10]
        if warm.size >= 10:
            deficit = values[warm.index] / saturation_vapour_pressure_hpa(warm)
            return (
                ("kPa", True)
                if float(deficit.quantile(0.75)) < 0.12 and float(deficit.median()) < 0.07
                else None
            )
        return None
    # The mean deficit of the hottest deserts' summers.
    if values.size >= 10 and float(values.median()) > 55:
        return RELATIVE_HUMIDITY, True
    summer = (months >= 5) & (months <= 8)
    if values.size >= 10 and summer.mean() > 0.5 and float(values.max()) < 4:
        return "kPa", True
    return None


def unit_error(variable: str, unit: str, name: str, values: pd.Series, need: str) -> InputError:
    """The error for values that look like another unit.

    Parameters
    ----------
    variable
        Name of the variable in the contract.
    unit
        The unit the values look like.
    name
        File or column the values came from.
    values
        Daily values.
    need
        The unit of the contract.

    Returns
    -------
    InputError
        To be raised by the caller.
    """
    low, high = float(values.min()), float(values.max())
    suffix = unit.split(" (")[0].split(" or ")[0].replace(" ", "_")
    extra = ", subtract 273.15" if unit == "K" else ""
    if unit in OTHER_QUANTITIES:
        return InputError(
            f"Got {name} with {variable} from {low:.4g} to {high:.4g} over {values.count()} days, need {need}; it looks"
            f" like {unit}: {OTHER_QUANTITIES[unit]}."
        )
    return InputError(
        f"Got {name} with {variable} from {low:.4g} to {high:.4g} over {values.count()} days, "
        f"need {need}; it looks like {unit}{extra}: convert it, or name the column {variable}_{suffix}."
    )


def check_units(daily: pd.DataFrame, columns: dict, name: str, notes: list[str]) -> None:
    """Check that values over the season fit the unit they are taken to be in.

    Parameters
    ----------
    daily
        (day, variable) in the units of the contract: W m-2, degC, hPa, mm d-1.
    columns
        Column and stated unit (None where the file states none) by variable, as of ``weather_table.find_columns``.
    name
        What messages call the table.
    notes
        Gets a note for each variable in doubt whose unit the file states, or that is believed as it is.

    Raises
    ------
    InputError
        Where the unit is certainly another one and the file states none.
    """
    for one in daily:
        likely = check_season(one, daily[one], daily.get("tair"))
        if likely is None:
            continue
        unit, is_certain = likely
        # Only where the file is silent about its unit; else it is believed, and named in a warning.
        if is_certain and columns[one][1] is None:
            raise unit_error(one, unit, name, daily[one], schema.units("weather", one))
        belief = "although the file says otherwise" if columns[one][1] is not None else "read as it is"
        notes.append(f"{one} looks like {unit}, {belief}")
