"""Baselines that a model of GPP has to beat: vegetation index times light, and the P-model.

The climatologies, which are baselines too, are in ``climatology``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.climatology import Training, training_mask
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import PAR_MOL_PER_J

CO2_PPM = 415.0
"""Ambient CO2 of the P-model, as in ``models.gpp.pmodel``."""


def nirv(reflectance: xr.DataArray) -> xr.DataArray:
    """Near-infrared reflectance of vegetation, NDVI x NIR (Badgley et al. 2017, doi:10.1126/sciadv.1602244).

    Parameters
    ----------
    reflectance
        Reflectance 0-1 with a dim ``band``; NIR is B8A or, without it, B08.

    Returns
    -------
    DataArray
        Without ``band``, 1; NaN where red and NIR are not positive together.

    Raises
    ------
    InputError
        When a band is missing.
    """
    bands = [str(name) for name in reflectance["band"].values]
    near_infrared = next((name for name in ("B8A", "B08") if name in bands), None)
    if near_infrared is None or "B04" not in bands:
        raise InputError(f"Got bands {', '.join(bands)}, need B04 and B8A or B08 for NIRv; add them.")
    red, nir = (reflectance.sel(band=name, drop=True) for name in ("B04", near_infrared))
    # A sum at or below zero, as of deep shadow, would turn the sign of NDVI.
    out = (nir - red) / (nir + red).where(nir + red > 0) * nir
    return out.rename("nirv").assign_attrs(units="1", long_name="near-infrared reflectance of vegetation")


def fit_light_use(nirv: xr.DataArray, sw_in: xr.DataArray, gpp: xr.DataArray, train: Training) -> float:
    """Fit k of GPP = k x NIRv x SW by least squares through the origin.

    Parameters
    ----------
    nirv
        (time,) daily, 1.
    sw_in
        (time,) daily mean shortwave radiation, W m-2.
    gpp
        (time,) gC m-2 d-1.
    train
        Years, or a mask over time.

    Returns
    -------
    float
        k, gC m-2 d-1 per W m-2.

    Raises
    ------
    InputError
        When no training day has all three.
    """
    # Through the origin: no light, no GPP.
    light, observed = (nirv * sw_in).values, gpp.values
    learn = (
        training_mask(pd.DatetimeIndex(gpp["time"].values), train)
        & np.isfinite(light)
        & np.isfinite(observed)
    )
    if not learn.any() or not (light[learn] ** 2).sum() > 0:
        raise InputError("Got no training day with NIRv, light and GPP, need some; name other years.")
    return slope_through_origin(light[learn], observed[learn])


def slope_through_origin(light: np.ndarray, gpp: np.ndarray) -> float:
    """k of GPP = k x light by least squares.

    Parameters
    ----------
    light
        (row,) NIRv x shortwave radiation, W m-2, not all 0.
    gpp
        (row,) gC m-2 d-1.

    Returns
    -------
    float
        k, gC m-2 d-1 per W m-2.
    """
    # The closed form: one parameter and no intercept, so that no solver is needed.
    return float((light * gpp).sum() / (light**2).sum())


def nirv_par(nirv: xr.DataArray, sw_in: xr.DataArray, gpp: xr.DataArray, train: Training) -> xr.DataArray:
    """GPP as k x NIRv x shortwave radiation, k fitted on the training days.

    Parameters
    ----------
    nirv
        (time,) daily (``climatology.interpolate_daily`` makes it so), 1.
    sw_in
        (time,) daily mean shortwave radiation, W m-2.
    gpp
        (time,) gC m-2 d-1.
    train
        Years, or a mask over time.

    Returns
    -------
    DataArray
        (time,) on the days of ``gpp``, gC m-2 d-1.

    Raises
    ------
    InputError
        When no training day has all three.
    """
    # On the days of GPP, so that the product is not cut in silence to the days that all three have: xarray aligns by
    # intersection.
    nirv, sw_in = (series.reindex(time=gpp["time"]) for series in (nirv, sw_in))
    out = fit_light_use(nirv, sw_in, gpp, train) * nirv * sw_in
    return out.rename("gpp").assign_attrs(units="gC m-2 d-1", long_name="k x NIRv x shortwave radiation")


def p_model(
    fapar: np.ndarray, sw_in: np.ndarray, tair: np.ndarray, vpd: np.ndarray, pressure_pa: float = 101_325.0
) -> np.ndarray:
    """GPP of the P-model for C3 plants (Wang et al. 2017; Stocker et al. 2020, doi:10.5194/gmd-13-1545-2020).

    Computed by pyrealm, with the method of optimal chi of Prentice et al. (2014) and no water stress.

    Parameters
    ----------
    fapar
        Absorbed share of PAR, 0-1; all arrays have one shape.
    sw_in
        Daily mean shortwave radiation, W m-2.
    tair
        Air temperature, degC.
    vpd
        Vapour pressure deficit, hPa.
    pressure_pa
        Air pressure, Pa.

    Returns
    -------
    ndarray
        gC m-2 d-1; 0 at or below 0 degC.
    """
    import warnings

    from pyrealm.pmodel import PModel, PModelEnvironment

    fapar, sw_in, tair, vpd = (np.asarray(series, dtype="float64") for series in (fapar, sw_in, tair, vpd))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyrealm announces its new default quantum yield
        # The bounds are those within which pyrealm's optimum is finite.
        env = PModelEnvironment(
            tc=np.clip(tair, 0.5, 45.0),
            vpd=np.clip(vpd * 100, 50, 6000),
            co2=np.full(tair.shape, CO2_PPM),
            patm=np.full(tair.shape, pressure_pa),
            fapar=np.ones(tair.shape),
            ppfd=np.ones(tair.shape),
        )
        # Of one mol of absorbed photons: absorbed light is multiplied below, so that fAPAR and PPFD are 1 here.
        lue = np.nan_to_num(np.asarray(PModel(env, method_optchi="prentice14").lue, dtype="float64"))
    photons = sw_in * 86400 * PAR_MOL_PER_J  # mol m-2 d-1
    # By the temperature as given: the clipped one never reaches frost.
    return np.where(tair > 0, fapar * photons * lue, 0.0)


def fapar_from_ndvi(ndvi: np.ndarray | pd.Series | xr.DataArray) -> np.ndarray:
    """Absorbed share of PAR, linear in NDVI: 1.24 x NDVI - 0.168 (Sims et al. 2006).

    Parameters
    ----------
    ndvi
        -1 to 1, any shape.

    Returns
    -------
    ndarray
        0 to 1, the same shape.
    """
    return np.clip(1.24 * np.asarray(ndvi, dtype="float64") - 0.168, 0, 1)
