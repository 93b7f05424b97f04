"""Gross primary production from absorbed light and the light-use efficiency of the P-model (Stocker et al. 2020)."""

import warnings

import numpy as np
from fluxlens.embeddings.simulate.weather import Weather

PAR_MOL_PER_J = 2.04e-6
"""Photosynthetic photons per joule of shortwave, mol J-1 (Meek et al. 1984)."""
ACCLIMATION_DAYS = 15
"""Leaves follow the weather of about two weeks (Mengoli et al. 2022, doi:10.1029/2021MS002767)."""
CO2_PPM = 415.0
CANOPY_OVER_LEAF = 0.82
"""Canopy over leaf efficiency: shaded leaves, age and nutrients;
tuned to GPP of 8-14 gC m-2 d-1 in temperate summer."""


def smooth(series: np.ndarray, days: int) -> np.ndarray:
    """Trailing exponential mean.

    Parameters
    ----------
    series
        (day,) values.
    days
        Memory of the mean.

    Returns
    -------
    (day,), starting from the first value.
    """
    out = np.empty_like(series)
    level = series[0]
    for i, value in enumerate(series):
        level += (value - level) / days
        out[i] = level
    return out


def efficiency(weather: Weather, c4: bool = False) -> np.ndarray:
    """Light-use efficiency of each day by the P-model (Stocker et al. 2020, doi:10.5194/gmd-13-1545-2020).

    Parameters
    ----------
    weather
        Daily weather; air temperature and vapour pressure deficit are smoothed, since leaves acclimate slowly.
    c4
        Whether the plants use the C4 pathway.

    Returns
    -------
    (day,) gC per mol of absorbed photons.
    """
    from pyrealm.pmodel import PModel, PModelEnvironment

    tair = smooth(weather.tair, ACCLIMATION_DAYS)
    # hPa to Pa; the P-model divides by a root of VPD, so that it is kept off zero.
    vpd_pa = np.clip(smooth(weather.vpd, ACCLIMATION_DAYS) * 100, 50, 6000)
    with warnings.catch_warnings():
        # pyrealm announces its new default quantum yield, and warns of ``where`` without ``out`` inside itself.
        warnings.simplefilter("ignore")
        env = PModelEnvironment(
            tc=np.clip(tair, 0.5, 45),
            vpd=vpd_pa,
            co2=np.full(tair.shape, CO2_PPM),
            patm=np.full(tair.shape, weather.pressure_pa),
            # One mol of absorbed photons: light and fAPAR are multiplied by the caller.
            fapar=np.ones(tair.shape),
            ppfd=np.ones(tair.shape),
        )
        model = PModel(env, method_optchi="c4" if c4 else "prentice14")
    # NaN where the P-model has no solution: nothing grows there.
    lue = np.nan_to_num(np.asarray(model.lue, dtype=float), nan=0.0)
    # Two factors: leaves harden with the recent past, and stop on a day of frost.
    frost_factor = np.clip((tair + 1.5) / 7.0, 0, 1) * np.clip((weather.tair + 6) / 8.0, 0, 1)
    diffuse = 0.88 + 0.25 * np.clip(weather.cloud, 0, 1)  # soft light reaches more leaves (Gu et al. 2002)
    return CANOPY_OVER_LEAF * lue * frost_factor * diffuse


def par_mol(weather: Weather) -> np.ndarray:
    """Photosynthetic photons of each day.

    Parameters
    ----------
    weather
        Daily weather; ``sw_in`` is used.

    Returns
    -------
    (day,) mol m-2 d-1.
    """
    return weather.sw_in * 86400 * PAR_MOL_PER_J
