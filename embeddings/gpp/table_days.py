"""Rows of a table of spectra as the daily head takes them: embeddings, radiation and drivers of each row's day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import xarray as xr
from fluxlens.embeddings.gpp.drivers import daily_drivers, pixel_drivers
from fluxlens.embeddings.gpp.table_features import BANDS, KELVIN, is_clear
from fluxlens.embeddings.meteorology import saturation_vapour_pressure_hpa
from fluxlens.embeddings.scenes.acquisitions import to_epoch_day
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import encode_isolated
from fluxlens.models.gpp.drivers import PIXEL
from fluxlens.models.sensors import HLS_BANDS

UNKNOWN_LATITUDE = 45.0
"""Degrees north, of a site without a place: day length and clear-sky light need some latitude."""


def embed_rows(rows: pd.DataFrame, model: Embedder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embed the rows of one site and give them drivers; its other dates are acquisitions too, GPP never is an input.

    Parameters
    ----------
    rows
        Of one site, as ``tables.read`` returns them; weather may be missing.
    model
        The embedder.

    Returns
    -------
    z
        (row, feature) embedding, dequantised.
    sw
        (row,) daily mean shortwave radiation, W m-2.
    drivers
        (row, driver) scaled, in the order of ``models.gpp.drivers.DRIVERS``.
    """
    # Two satellites may pass on one day: their spectra are averaged, their rows kept.
    day, of = np.unique(to_epoch_day(rows["date"].values), return_inverse=True)
    spectra = rows[list(BANDS)].groupby(of).mean()
    clear = is_clear(*(spectra[name] for name in ("b2", "b3", "b6"))).values
    # A site with cloud alone is still predicted, from what there is.
    known = spectra.notna().any(axis=1).values
    use = clear & known if (clear & known).any() else known
    if not use.any():
        use = np.ones(len(day), bool)
    z, sigma = embed_series(model, day[use], spectra.values[use], day)
    gap = np.abs(day[:, None] - day[use]).min(1)  # (day,)
    sw, drivers = row_drivers(rows)
    drivers[:, PIXEL] = pixel_drivers(gap[of], sigma[of], (len(rows),))
    return z[of], sw, drivers


def row_drivers(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Radiation (W m-2) and drivers of rows of one site from the table's weather.

    Parameters
    ----------
    rows
        Of one site, as ``tables.read`` returns them; without a place, of ``UNKNOWN_LATITUDE``.

    Returns
    -------
    sw
        (row,) daily mean shortwave radiation, W m-2.
    drivers
        (row, driver) scaled, as ``drivers.daily_drivers`` returns them.
    """
    blank = pd.Series(np.nan, rows.index)
    # The blank series takes the index of the rows: columns that a table lacks are missing in each.
    tair = rows.get("T2MEAN", blank) - KELVIN
    dew = saturation_vapour_pressure_hpa(rows.get("TSMDEWMEAN", blank) - KELVIN)
    vpd = (saturation_vapour_pressure_hpa(tair) - dew).clip(lower=0)
    # Rows of one day have the weather of one day: their mean, so that the order of rows cannot count.
    columns = {"sw_in": rows.get("SWLAND", blank), "tair": tair, "vpd": vpd}
    dates, of = np.unique(rows["date"].values, return_inverse=True)
    by_day = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()}).groupby(of).mean()
    weather = xr.Dataset({name: ("time", by_day[name].values) for name in by_day}, {"time": dates})
    # One place per site: rows whose latitude is mistyped do not move its sun.
    lat = rows["lat"].median()
    lat = float(lat) if np.isfinite(lat) else UNKNOWN_LATITUDE
    sw, drivers = daily_drivers(weather, pd.DatetimeIndex(dates), lat)
    return sw[of], drivers[of]


def embed_series(
    model: Embedder, acquired: np.ndarray, spectra: np.ndarray, days: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Embed one pixel without neighbours from spectra of ``HLS_BANDS``.

    Parameters
    ----------
    model
        The embedder.
    acquired
        (acquisition,) days since 1970-01-01.
    spectra
        (acquisition, band) reflectance 0-1 in the order of ``HLS_BANDS``.
    days
        (day,) wanted, days since 1970-01-01.

    Returns
    -------
    z, sigma
        (day, feature) embedding, dequantised, and (day,) its expected error, reflectance.
    """
    bands = model.config.specs["s2"].bands
    # (acquisition, band of Sentinel-2).
    values = np.full((len(spectra), len(bands)), np.nan, np.float32)
    values[:, [bands.index(name) for name in HLS_BANDS]] = spectra
    with torch.inference_mode():
        # (1, time, 1, token): one area of one pixel; bands that HLS lacks are missing to the encoder.
        token = encode_isolated(model.encoders["s2"], torch.from_numpy(values))[None, :, None]
        valid = torch.ones(token.shape[:3], dtype=torch.bool)
        output = model.embed(
            {"s2": Tokens(token, valid, torch.from_numpy(acquired)[None])}, torch.from_numpy(days)[None]
        )
        return output.z[0, :, 0].numpy(), model.sigma(output)[0, :, 0].numpy()
