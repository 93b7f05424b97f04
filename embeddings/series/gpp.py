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


SPAN_DAYS = 60
"""Series of one weather and latitude that begin and end within the same so many days are predicted together."""

GPP_NAMES = ("gpp", "gpp_lo", "gpp_hi")

CUBE_DIMS = {
    "embedding": ("time", "pixel", "feature"),
    "sigma": ("time", "pixel"),
    "days_from_s2": ("time", "pixel"),
}


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
        # Read once here: tables and files name the head that made them.
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
            ``gpp``, ``gpp_lo``, ``gpp_hi`` (row) gC m-2 d-1; NaN for a series that has no weather. Series with the
            same weather and latitude are one cube: drivers are computed once for all, and the head's products are of
            many pixels.
        """
        out = {name: np.full(len(day), np.nan, np.float32) for name in GPP_NAMES}
        stop = np.cumsum(size)
        first, last = day[stop - size], day[stop - 1]
        groups: dict[tuple, list[int]] = {}
        for at, member in enumerate(members):
            key = None if None in self.weather else str(self.table.ids[member])
            if key in self.weather:
                lat = round(float(self.table.lat[member]) / LAT_STEP_DEG)
                alike = (key, lat, first[at] // SPAN_DAYS, last[at] // SPAN_DAYS)
                groups.setdefault(alike, []).append(at)
        for (key, lat, *_), group in groups.items():
            begin, end = min(first[at] for at in group), max(last[at] for at in group)
            rows = np.concatenate([np.arange(stop[at] - size[at], stop[at]) for at in group])
            # a pixel per series over the days of all; what a series lacks of them stays 0 and is not looked at
            at_cell = day[rows] - begin, np.repeat(np.arange(len(group)), size[group])
            parts = {}
            for name, dims in CUBE_DIMS.items():
                values = joined[name][rows]
                parts[name] = dims, np.zeros((end - begin + 1, len(group), *values.shape[1:]), values.dtype)
                parts[name][1][at_cell] = values
            cube = xr.Dataset(
                parts,
                {
                    "time": from_epoch_day(np.arange(begin, end + 1)),
                    "scale": ("feature", self.model.scale.cpu().numpy()),
                },
                {"lat": lat * LAT_STEP_DEG, "model_digest": self.model.digest},
            )
            predicted = gpp.predict(cube, self.weather[key])
            for name in out:
                out[name][rows] = predicted[name].transpose("time", "pixel").values[at_cell]
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
    # Embeddings of another model have other features: the head would give plausible, wrong numbers.
    if not gpp.is_compatible({"model_digest": model.digest}):
        warnings.warn(
            f"GPP is not given: its head was trained on embeddings of another model than {model.name}.",
            DataWarning,
            stacklevel=4,
        )
        return None
    # Latitude gives day length and clear-sky light; a guess of it would go unnoticed.
    if np.isnan(table.lat).any():
        lost = table.ids[np.isnan(table.lat)]
        raise InputError(
            f"Got weather and {len(lost)} series without a place, the first {lost[0]}, need columns lon, lat in a"
            " series table for GPP; add them or leave the weather out."
        )
    if None not in weather:
        # All of them without weather is a mistake in the ids; some of them is a gap in the data.
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
    _warn_uncovered_days(table, weather)
    return SeriesGpp(table, weather, model)


def _warn_uncovered_days(table: SeriesTable, weather: dict[str | None, xr.Dataset]) -> None:
    """One warning with the count of days whose GPP has no weather to go by."""
    first, last = table.spans()
    days = covered = 0
    known = {
        key: np.unique(node["time"].values.astype("datetime64[D]").astype(np.int64))
        for key, node in weather.items()
    }
    for at, one in enumerate(table.ids):
        time = known.get(None, known.get(str(one)))
        if time is not None:
            days += int(last[at] - first[at] + 1)
            covered += int(np.searchsorted(time, last[at], "right") - np.searchsorted(time, first[at]))
    if covered < days:
        begin = from_epoch_day(np.array([min(time[0] for time in known.values())]))[0]
        end = from_epoch_day(np.array([max(time[-1] for time in known.values())]))[0]
        warnings.warn(
            f"The weather reaches from {str(begin)[:10]} to {str(end)[:10]} and lacks {days - covered:,} of the"
            f" {days:,} days of the series: GPP of those goes by day length and clear-sky light alone, with a wider"
            " band.",
            DataWarning,
            stacklevel=5,
        )
