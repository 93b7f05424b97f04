"""GPP of series from their embeddings, weather and latitude."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from fluxlens.embeddings import gpp
from fluxlens.embeddings.readers.series_table import SeriesTable
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import DataWarning, InputError

LAT_STEP_DEG = 0.1
"""Latitudes are rounded for day length and clear-sky light (0.1 degree: 40 s of day length at 50 N)."""


class SeriesGpp:
    """GPP of series with their weather and latitude.

    Parameters
    ----------
    table : SeriesTable
        Series with ``lat`` in degrees.
    weather : dict of str or None to xarray.Dataset
        Daily weather (time) of all series under None, or of each id; units as of ``read_weather``.
    model : Embedder
        What the embeddings are of.
    """

    def __init__(self, table: SeriesTable, weather: dict[str | None, xr.Dataset], model: Embedder) -> None:
        self.table, self.weather, self.model = table, weather, model
        self.digest = gpp.load_for({"model_digest": model.digest}).digest

    def predict(
        self, members: np.ndarray, size: np.ndarray, day: np.ndarray, joined: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """GPP of some series, their days one after the other.

        Parameters
        ----------
        members, size : numpy.ndarray
            (member,) positions (index) in the table's ids, and number of days of each.
        day : numpy.ndarray
            (row,) days since 1970-01-01.
        joined : dict of str to numpy.ndarray
            ``embedding`` (row, feature) int8, ``sigma`` (row) reflectance, ``days_from_s2`` (row) days.

        Returns
        -------
        dict of str to numpy.ndarray
            ``gpp``, ``gpp_lo``, ``gpp_hi`` (row) gC m-2 d-1; NaN for a series that has no weather.
        """
        out = {name: np.full(len(day), np.nan, np.float32) for name in ("gpp", "gpp_lo", "gpp_hi")}
        stop = np.cumsum(size)
        scale = self.model.scale.cpu().numpy()
        for member, begin, end in zip(members, stop - size, stop, strict=True):
            node = self.weather.get(None, self.weather.get(str(self.table.ids[member])))
            if node is None:
                continue
            rows = slice(begin, end)
            cube = xr.Dataset(
                {
                    "embedding": (("time", "feature"), joined["embedding"][rows]),
                    "sigma": ("time", joined["sigma"][rows]),
                    "days_from_s2": ("time", joined["days_from_s2"][rows]),
                },
                {"time": from_epoch_day(day[rows]), "scale": ("feature", scale)},
                {
                    "lat": round(float(self.table.lat[member]) / LAT_STEP_DEG) * LAT_STEP_DEG,
                    "model_digest": self.model.digest,
                },
            )
            predicted = gpp.predict(cube, node)
            for name in out:
                out[name][rows] = predicted[name].values
        return out


def gpp_of_series(
    table: SeriesTable, weather: dict[str | None, xr.Dataset] | None, model: Embedder
) -> SeriesGpp | None:
    """What predicts GPP of a table, checked before anything is embedded.

    Parameters
    ----------
    table : SeriesTable
        Series with ``lat`` in degrees.
    weather : dict of str or None to xarray.Dataset, or None
        Daily weather (time), units as of ``read_weather``.
    model : Embedder
        What the embeddings will be of.

    Returns
    -------
    SeriesGpp or None
        None without weather, and with a ``DataWarning`` where the head was trained with another model.

    Raises
    ------
    InputError
        Where a series has no place, or no id has weather.
    """
    if weather is None:
        return None
    if not gpp.is_compatible({"model_digest": model.digest}):
        warnings.warn(
            f"GPP is not given: its head was taught with another model than {model.name}.",
            DataWarning,
            stacklevel=4,
        )
        return None
    if np.isnan(table.lat).any():
        lost = table.ids[np.isnan(table.lat)]
        raise InputError(
            f"Got weather and {len(lost)} series without a place, the first {lost[0]}, need columns lon, lat in a"
            " series table for GPP; add them or leave the weather out."
        )
    if None not in weather:
        alone = [one for one in table.ids if str(one) not in weather]
        if len(alone) == len(table.ids):
            raise InputError(
                f"Got weather of {next(iter(weather))} and others, need the ids of the series such as {table.ids[0]};"
                " rename them."
            )
        if alone:
            warnings.warn(
                f"{len(alone)} series have no weather and get no GPP ({', '.join(map(str, alone[:5]))}).",
                DataWarning,
                stacklevel=4,
            )
    return SeriesGpp(table, weather, model)
