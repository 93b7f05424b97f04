"""Meteorology of FAO-56 (Allen et al. 1998): vapour pressure, radiation above the air and under a clear sky, demand.

The scene simulator has constants of its own (its landscapes are fixed to the byte) and does not use these.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

Values = TypeVar("Values", np.ndarray, pd.Series, xr.DataArray)

Radiation = np.ndarray | np.floating | pd.Series

SOLAR_CONSTANT = 1367
"""W m-2 (Allen et al. 1998, equation 21: 0.0820 MJ m-2 min-1)."""

CLEAR_SKY_TRANSMISSIVITY = 0.75
"""Share of extraterrestrial radiation that reaches the ground under a clear sky at sea level (equation 37)."""

POLAR_LATITUDE = 89
"""Degrees: nearer to a pole the tangent of the latitude overflows, and day length is that of this circle anyway."""


class DayRadiation(NamedTuple):
    """Length of a day and radiation of that day.

    Parameters
    ----------
    day_length_h
        Hours between sunrise and sunset.
    radiation_w_m2
        Daily mean, W m-2.
    """

    day_length_h: Radiation
    radiation_w_m2: Radiation


def saturation_vapour_pressure_hpa(tair: Values) -> Values:
    """Saturation vapour pressure over water; at the dew point it is the actual vapour pressure.

    Allen et al. (1998), equation 11. ``pyrealm.core.hygro.calc_vp_sat`` with the constants ``Allen1998`` gives the
    same within rounding (tested), but not the same bits, which stored scenes and GPP of tables depend on.

    Parameters
    ----------
    tair
        Air or dew-point temperature, degC, any shape.

    Returns
    -------
    array
        hPa, the same shape and type.
    """
    return 6.108 * np.exp(17.27 * tair / (tair + 237.3))


def vapour_pressure_deficit_hpa(tmax: xr.DataArray, tmin: xr.DataArray, actual: xr.DataArray) -> xr.DataArray:
    """Daily vapour pressure deficit from extreme temperatures (Allen et al. 1998, equation 12).

    Saturation is the mean of that at both extremes: it is convex in temperature, so that the mean temperature gives
    too little.

    Parameters
    ----------
    tmax, tmin
        Daily highest and lowest air temperature, degC, any shape.
    actual
        Actual vapour pressure, hPa, same shape.

    Returns
    -------
    DataArray
        hPa, not below 0.
    """
    saturation = (saturation_vapour_pressure_hpa(tmax) + saturation_vapour_pressure_hpa(tmin)) / 2
    return (saturation - actual).clip(min=0)


def extraterrestrial_radiation(lat: Radiation | float, day_of_year: Radiation) -> DayRadiation:
    """Day length and radiation on a horizontal plane above the air (Allen et al. 1998, equations 21 to 34).

    ``pyrealm.core.solar`` computes the orbit instead (Berger 1978), which gives other numbers than the trained heads
    know.

    Parameters
    ----------
    lat
        Latitude, degrees north; scalar or of the shape of the days.
    day_of_year
        1 to 366.

    Returns
    -------
    DayRadiation
        Hours; W m-2, daily mean (0, up to a rounding error, in the polar night).
    """
    # 365 in leap years too, as FAO-56 has it: day 366 is then the first day again, within a degree.
    angle = 2 * np.pi * day_of_year / 365
    phi, declination = np.radians(np.clip(lat, -POLAR_LATITUDE, POLAR_LATITUDE)), 0.409 * np.sin(angle - 1.39)
    # Clipped: no sunset in the polar day (pi), no sunrise in the polar night (0).
    sunset = np.arccos(np.clip(-np.tan(phi) * np.tan(declination), -1, 1))  # rad
    # The integral of the sun's height above the horizon from sunrise to sunset, equation 21 without its constant.
    height = sunset * np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.sin(sunset)
    distance = 1 + 0.033 * np.cos(angle)  # inverse relative distance of the sun
    return DayRadiation(24 / np.pi * sunset, SOLAR_CONSTANT / np.pi * distance * height)


def clear_sky_radiation(lat: float, day_of_year: np.ndarray) -> DayRadiation:
    """Day length and shortwave radiation at the ground under a clear sky (Allen et al. 1998, equation 37).

    Parameters
    ----------
    lat
        Latitude, degrees north.
    day_of_year
        1 to 366, (day,).

    Returns
    -------
    DayRadiation
        Hours; W m-2, daily mean at sea level, not negative.
    """
    above = extraterrestrial_radiation(np.float64(lat), np.asarray(day_of_year))
    # Rounding may leave the polar night just below zero.
    return DayRadiation(above.day_length_h, CLEAR_SKY_TRANSMISSIVITY * np.maximum(above.radiation_w_m2, 0))


def reference_evapotranspiration_mm_d(tair: Values, sw_in: Values) -> Values:
    """Evaporative demand from temperature and radiation (Hargreaves and Samani 1985).

    Parameters
    ----------
    tair
        Daily mean air temperature, degC.
    sw_in
        Daily mean shortwave radiation, W m-2.

    Returns
    -------
    array
        mm d-1; negative below -17.8 degC.
    """
    # 0.0864 MJ m-2 d-1 per W m-2 over the latent heat of 2.45 MJ kg-1 is radiation as mm d-1 of evaporation.
    return 0.0135 * (tair + 17.8) * sw_in * 0.0864 / 2.45
