"""GPP of series from their embeddings, weather and latitude."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import xarray as xr
from fluxlens.embeddings import gpp
from fluxlens.embeddings.gpp.cubes import CHUNK
from fluxlens.embeddings.gpp.drivers import daily_drivers, pixel_drivers
from fluxlens.embeddings.readers.series_table import SeriesTable
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import DataWarning, InputError
from fluxlens.models.gpp.drivers import NORMAL_90

LAT_STEP_DEG = 0.1
"""Latitudes are rounded for day length and clear-sky light (0.1 degree: 40 s of day length at 50 N)."""


ROWS_TOGETHER = 65_536
"""Pixel-days of some series that are predicted together: their day terms take 40 MB where each has its own weather."""

CACHED_PLACES = 256
"""Places whose drivers are kept for the next part of the table; a part's series come in the order of the table."""


@dataclass(frozen=True)
class PlaceDrivers:
    """What series of one weather and latitude share, by day."""

    first: int
    """First day, days since 1970-01-01."""
    sw: np.ndarray
    """(day,) float32, daily mean shortwave radiation, W m-2."""
    drivers: np.ndarray
    """(day, driver) float32, scaled, as of ``gpp.drivers.daily_drivers``."""


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
        self.head = gpp.load_for({"model_digest": model.digest})
        self.digest = self.head.digest
        self.first, self.last = table.spans()
        self._position = {str(one): at for at, one in enumerate(table.ids)}
        self._places: dict[tuple[str | None, int], PlaceDrivers] = {}

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
        out = {name: np.full(len(day), np.nan, np.float32) for name in GPP_COLUMNS}
        stop = np.cumsum(size)  # (member,) end of each series' rows
        # Weather and latitude decide what series share: by them, not by series, drivers are computed.
        keys = []
        for member in members:
            key = None if None in self.weather else str(self.table.ids[member])
            # Latitude as a whole number of steps: floats that differ in their last digit would be different places.
            keys.append((key, round(float(self.table.lat[member]) / LAT_STEP_DEG)))
        known = [at for at, (key, _) in enumerate(keys) if key in self.weather]
        # Series of one place side by side, so that a group has few places and their day terms are computed once.
        order: dict[tuple[str | None, int], list[int]] = {}
        for at in known:
            order.setdefault(keys[at], []).append(at)
        ordered = np.array([at for group in order.values() for at in group], dtype=np.int64)
        group_of = np.cumsum(size[ordered]) // ROWS_TOGETHER  # (series,)
        for group in np.unique(group_of):
            some = ordered[group_of == group]
            rows = np.concatenate([np.arange(stop[at] - size[at], stop[at]) for at in some])
            predicted = self._predict_rows([keys[at] for at in some], size[some], day[rows], rows, joined)
            for name, values in predicted.items():
                out[name][rows] = values
        return out

    def _predict_rows(
        self,
        keys: list[tuple[str | None, int]],
        size: np.ndarray,
        day: np.ndarray,
        rows: np.ndarray,
        joined: dict[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """GPP (row,) of series of these places, ``size`` rows each, by the head's own terms per day and per pixel.

        The head takes what depends on the day alone as a table of days. Here it is one of days of all places, and each
        row names its line: a cube and a call per series cost 10 ms, as much as 800 of its pixel-days.
        """
        places = {key: self._place(key) for key in dict.fromkeys(keys)}
        # Where each place's days begin in the table; less its first day, a row's day alone leads to its line.
        begin = np.cumsum([0, *(len(place.sw) for place in places.values())])[:-1]
        line_of = {key: int(at) - place.first for (key, place), at in zip(places.items(), begin, strict=True)}
        line = torch.from_numpy(np.repeat([line_of[key] for key in keys], size) + day)  # (row,)
        with torch.inference_mode():
            predict_block = self.head.net.for_days(
                self.model.scale.cpu().float(),
                torch.from_numpy(np.concatenate([place.sw for place in places.values()])),
                torch.from_numpy(np.concatenate([place.drivers for place in places.values()])),
            )
            chunks: list[tuple[np.ndarray, ...]] = []
            for start in range(0, len(rows), CHUNK):
                of = rows[start : start + CHUNK]
                # (row, 1, feature): a day per row, of one pixel
                steps = torch.from_numpy(joined["embedding"][of].astype(np.float32))[:, None]
                pixel = pixel_drivers(joined["days_from_s2"][of], joined["sigma"][of], (len(of),))
                mean, spread, _ = predict_block(
                    line[start : start + CHUNK], steps, torch.from_numpy(pixel)[:, None]
                )
                # From the standard deviation to half of the 90 % band, as maps have it.
                half = NORMAL_90 * self.head.net.interval_scale * spread
                chunks.append(tuple(block[:, 0].numpy() for block in (mean, mean - half, mean + half)))
        return {
            name: np.concatenate(blocks)
            for name, blocks in zip(GPP_COLUMNS, zip(*chunks, strict=True), strict=True)
        }

    def _place(self, key: tuple[str | None, int]) -> PlaceDrivers:
        """Drivers of a weather and a latitude over the days of its series, kept for the next part."""
        if key not in self._places:
            name, lat = key
            # All series where they share the weather: their spans are those of the table.
            at = slice(None) if name is None else [self._position[name]]
            first, last = int(self.first[at].min()), int(self.last[at].max())
            days = pd.DatetimeIndex(from_epoch_day(np.arange(first, last + 1)))
            # The oldest first: dicts keep the order in which keys came.
            while len(self._places) >= CACHED_PLACES:
                self._places.pop(next(iter(self._places)))
            self._places[key] = PlaceDrivers(
                first, *daily_drivers(self.weather[name], days, lat * LAT_STEP_DEG)
            )
        return self._places[key]


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
            # Days of weather inside the series, of which each counts once: ``time`` is sorted and without repeats.
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
