"""A stochastic generator of daily weather whose radiation, temperature, humidity and rain are consistent."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from fluxlens.embeddings.simulate.noise import autoregressive
from fluxlens.models.errors import InputError

SOLAR_CONSTANT_W_M2 = 1367
MAGNUS_HPA, MAGNUS_SLOPE, MAGNUS_OFFSET_DEGC = 6.112, 17.62, 243.12
"""Coefficients of the Magnus form (Alduchov & Eskridge 1996)."""
COLDEST_DAY = 28
"""Days from the winter solstice to the coldest day of an average year."""


@dataclass(frozen=True)
class Climate:
    """A preset, in the spirit of the Köppen classes of Beck et al. 2018, doi:10.1038/sdata.2018.214."""

    lon: float
    lat: float
    tair_mean_degc: float
    tair_swing_k: float
    """Half the difference of warmest and coldest month."""
    tair_spread_k: float
    """Standard deviation of weather around the season."""
    cloud_mean: float
    """Typical daily cloud cover, 0-1."""
    cloud_season: float
    """Added in the winter half-year, taken away in the summer half-year."""
    rain_mm_a: float
    humidity: float
    """Mean relative humidity, 0-1."""
    pressure_pa: float = 100_000.0


CLIMATES = {
    "temperate": Climate(4.2, 50.75, 10.8, 7.8, 3.4, 0.60, 0.10, 820, 0.76),
    "boreal": Climate(24.3, 61.85, 4.2, 13.0, 4.3, 0.62, 0.08, 640, 0.76),
    "mediterranean": Climate(-4.6, 38.6, 16.0, 9.2, 3.0, 0.36, 0.16, 480, 0.60),
    "semi-arid": Climate(-15.4, 15.4, 28.0, 4.0, 2.2, 0.33, -0.14, 420, 0.42),
    "southern": Climate(175.6, -40.3, 12.8, 5.2, 2.6, 0.57, 0.06, 950, 0.77),
}


def climate_of(name: str) -> Climate:
    """The preset of that name.

    Parameters
    ----------
    name
        A key of ``CLIMATES``.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    if name not in CLIMATES:
        raise InputError(f"climate is {name!r}, not one of {', '.join(CLIMATES)}; name one of these.")
    return CLIMATES[name]


@dataclass(frozen=True)
class Weather:
    """Daily means, all (day,)."""

    days: pd.DatetimeIndex
    lat: float
    sw_in: np.ndarray
    """Incoming shortwave radiation, W m-2."""
    tair: np.ndarray
    """Air temperature, degC."""
    vpd: np.ndarray
    """Vapour pressure deficit, hPa."""
    precip: np.ndarray
    """Precipitation, mm d-1."""
    cloud: np.ndarray
    """Cloud cover of the region, 0-1."""
    daylength_h: np.ndarray
    pressure_pa: float
    season_day: np.ndarray
    """Days since the last winter solstice of this hemisphere, 0-365: the season's own calendar."""

    def from_day(self, start: int) -> "Weather":
        """The weather without its first ``start`` days."""
        series = {
            name: value[start:]
            for name, value in self.__dict__.items()
            if isinstance(value, (np.ndarray, pd.Index))
        }
        return Weather(**{**self.__dict__, **series})


def declination_rad(doy: np.ndarray) -> np.ndarray:
    """The sun's declination, radians, on day of year ``doy``, any shape (FAO-56, Allen et al. 1998, eq. 24)."""
    return 0.409 * np.sin(2 * np.pi * doy / 365 - 1.39)


def sun_zenith_deg(lat: float, doy: float, hour: float) -> float:
    """The sun's angle from the vertical.

    Parameters
    ----------
    lat
        Latitude, degrees.
    doy
        Day of the year.
    hour
        Local solar time, hours.

    Returns
    -------
    Solar zenith angle, degrees; above 90 at night.
    """
    delta, phi = declination_rad(np.asarray(doy)), np.radians(lat)
    hour_angle = np.radians(15 * (hour - 12))
    return float(
        np.degrees(np.arccos(np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.cos(hour_angle)))
    )


def _extraterrestrial(lat: float, doy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radiation at the top of the atmosphere, W m-2, and day length, h (FAO-56, eqs 21-34), both (day,)."""
    delta, phi = declination_rad(doy), np.radians(lat)
    # Clipped for the polar day and night, as in ``meteorology``.
    sunset = np.arccos(np.clip(-np.tan(phi) * np.tan(delta), -1, 1))
    inverse_distance = 1 + 0.033 * np.cos(2 * np.pi * doy / 365)
    height = sunset * np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.sin(sunset)
    return SOLAR_CONSTANT_W_M2 / np.pi * inverse_distance * height, 24 / np.pi * sunset


def mean_season_tair(climate: Climate, season_day: np.ndarray) -> np.ndarray:
    """Mean air temperature of the climate's average year.

    Parameters
    ----------
    climate
        Preset of the place.
    season_day
        Days since the winter solstice.

    Returns
    -------
    degC, of the shape of ``season_day``; the coldest day is ``COLDEST_DAY``.
    """
    return climate.tair_mean_degc - climate.tair_swing_k * np.cos(
        2 * np.pi * (season_day - COLDEST_DAY) / 365.25
    )


def magnus_saturation_hpa(tair: np.ndarray) -> np.ndarray:
    """Saturation vapour pressure over water in the Magnus form (Alduchov & Eskridge 1996).

    Apart from ``embeddings``' own formula on purpose: its coefficients are part of every simulated scene's bytes.

    Parameters
    ----------
    tair
        Air temperature, degC.

    Returns
    -------
    hPa.
    """
    return MAGNUS_HPA * np.exp(MAGNUS_SLOPE * tair / (MAGNUS_OFFSET_DEGC + tair))


def generate(rng: np.random.Generator, climate: Climate, lat: float, days: pd.DatetimeIndex) -> Weather:
    """Daily weather by a stochastic generator after Richardson (1981, doi:10.1029/WR017i001p00182), cloud first.

    Cloud follows the passing of weather systems (memory about three days); dark days are the rainy ones; clear days
    are warm in summer and cold in winter.

    Parameters
    ----------
    rng
        Random stream of the weather.
    climate
        Preset of the place.
    lat
        Latitude, degrees; it decides sun and season.
    days
        Days to generate.
    """
    n, doy = len(days), days.day_of_year.to_numpy().astype(float)
    top, daylength_h = _extraterrestrial(lat, doy)
    # The solstices are 10 days before the turn of the year and, in the south, 193.
    season_day = (doy + (10 if lat >= 0 else 193)) % 365.25
    winter = np.cos(2 * np.pi * season_day / 365.25)  # 1 at the winter solstice, -1 at the summer one
    mean = np.clip(climate.cloud_mean + climate.cloud_season * winter, 0.05, 0.95)
    # Weather systems of two days and spells of two weeks.
    slow = 0.85 * autoregressive(rng, n, 2.2) + 0.53 * autoregressive(rng, n, 14)
    # Logistic in a wandering index: most days are either mostly clear or mostly overcast.
    cloud = 1 / (1 + np.exp(-(np.log(mean / (1 - mean)) * 1.3 + 1.9 * slow)))
    # Clean air lets 0.74 of the light at the top through, a closed cover of clouds a fifth of that.
    clearness = 0.74 * (1 - 0.80 * cloud**1.5) * np.exp(0.05 * rng.standard_normal(n))
    # Clearness index between overcast 0.05 and clean air 0.8.
    sw_in = top * np.clip(clearness, 0.05, 0.8)

    warm_year = 0.6 * rng.standard_normal()
    season = -climate.tair_swing_k * np.cos(2 * np.pi * (season_day - COLDEST_DAY) / 365.25)
    anomaly = climate.tair_spread_k * (0.85 * autoregressive(rng, n, 5) + 0.5 * autoregressive(rng, n, 20))
    # The mean of the year is that of ``warm_year`` alone.
    anomaly -= anomaly.mean()
    # Clear days are warm in summer and cold in winter.
    clear_effect = -(cloud - mean) * np.where(winter > 0, -1, 1) * np.abs(winter) * 5
    tair = climate.tair_mean_degc + warm_year + season + anomaly + clear_effect

    humidity = np.clip(
        climate.humidity + 0.30 * (cloud - mean) + 0.10 * winter + 0.05 * autoregressive(rng, n, 4),
        0.15,
        0.99,
    )
    # Saturation is convex in temperature: the deficit of daylight hours outweighs that of the mean temperature.
    day_warmer = 1 + 0.5 * (1 - cloud)
    vpd = magnus_saturation_hpa(tair) * (1 - humidity) * day_warmer

    wet = rng.random(n) < np.clip(1.25 * cloud**2.2, 0, 0.95)
    # Summer rain falls in heavier showers.
    amount = rng.gamma(0.75, 1.0, n) * cloud**1.5 * wet * (1 - 0.35 * winter)
    # Where clouds come in summer (monsoon), so does nearly all of the rain.
    rainy = np.clip((climate.cloud_season < 0) * (1 - winter) ** 2 + (climate.cloud_season >= 0), 0, 4)
    amount *= rainy
    # Scaled to the climate's yearly sum, which a wet or dry year then misses by an eighth.
    precip = (
        amount / max(amount.mean(), 1e-6) * climate.rain_mm_a / 365.25 * np.exp(0.12 * rng.standard_normal())
    )
    # Gauges do not register less.
    precip = np.where(precip < 0.1, 0, precip)
    return Weather(days, lat, sw_in, tair, vpd, precip, cloud, daylength_h, climate.pressure_pa, season_day)
