"""What a sensor would have measured in series on days that are not shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference.device_queue import QUEUES
from fluxlens.embeddings.inference.residuals import RESIDUAL_DAYS, TARGETS_AT_ONCE, correct_by_residuals
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.readers.series_table import SeriesTable, read_hidden, read_series
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.embeddings.series.batches import Batch, batches
from fluxlens.embeddings.series.loading import attributes, check_sensors, load_model
from fluxlens.embeddings.series.tokens import encode_batch
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError

QUERY_DAYS = 32
"""Days reconstructed together, as the engine's groups."""


def reconstruct_series(
    s2: str | Path | pd.DataFrame | None,
    hide: str | Path | pd.DataFrame,
    s1: str | Path | pd.DataFrame | None = None,
    model: str | Path | Embedder = "default",
    device: str = "auto",
    sensor: str = "s2",
) -> pd.DataFrame:
    """What a sensor would have measured at rows that are not shown.

    Parameters
    ----------
    s2, s1 : path, pandas.DataFrame or None
        Series tables, see ``embeddings.readers.series_table.read_series``.
    hide : path or pandas.DataFrame
        ``id``, ``date`` of the acquisitions of ``sensor`` to hide; all are hidden together.
    model, device
        As of ``embed_series``.
    sensor : str
        ``s2`` or ``s1``.

    Returns
    -------
    pandas.DataFrame
        A row per row of ``hide``: ``id``, ``date``, the sensor's bands (reflectance or dB) and ``<band>_sigma``, the
        expected error as a standard deviation.

    Raises
    ------
    InputError
        If a table cannot be used, or a hidden row is not in it.
    """
    return progress.run(reconstruct_series_steps(s2, hide, s1, model, device, sensor))


def reconstruct_series_steps(
    s2: str | Path | pd.DataFrame | None,
    hide: str | Path | pd.DataFrame,
    s1: str | Path | pd.DataFrame | None = None,
    model: str | Path | Embedder = "default",
    device: str = "auto",
    sensor: str = "s2",
) -> Steps[pd.DataFrame]:
    """As ``reconstruct_series``; yields progress and returns the table.

    Parameters
    ----------
    s2, hide, s1, model, device, sensor
        As of ``reconstruct_series``.
    """
    yield "reading the tables", 0.0
    table = read_series(s2, s1)
    rows = read_hidden(hide, table, sensor)
    net = load_model(model, device)
    if sensor not in net.config.sensors:
        raise InputError(
            f"Got {sensor} to hide, need one of {', '.join(net.config.sensors)}, which {net.name} knows; choose one."
        )
    observations = table.sensors[sensor]
    gone = pd.MultiIndex.from_arrays([observations.series, observations.day]).isin(
        pd.MultiIndex.from_arrays([rows["series"], rows["day"]])
    )
    left = SeriesTable(table.ids, table.sensors | {sensor: observations.at(~gone)}, table.lon, table.lat)
    check_sensors(left, net)
    mean, sigma = yield from reconstruct(left, rows["series"].to_numpy(), rows["day"].to_numpy(), net, sensor)
    bands = net.config.specs[sensor].bands
    out = pd.DataFrame({"id": rows["id"].astype(str), "date": from_epoch_day(rows["day"].to_numpy())})
    out[list(bands)] = mean
    out[[f"{band}_sigma" for band in bands]] = sigma
    # A file that leaves this project says what its numbers are: bands in their unit, not embeddings.
    out.attrs = attributes(net, "hidden rows of a series table, as the model predicts them") | {
        "hidden_sensor": sensor,
        "band_unit": net.config.specs[sensor].unit,
        "sigma": "<band>_sigma: expected error of the band, a standard deviation in its unit",
    }
    return out


def reconstruct(
    table: SeriesTable, series: np.ndarray, days: np.ndarray, model: Embedder, sensor: str = "s2"
) -> Steps[tuple[np.ndarray, np.ndarray]]:
    """Measurements of a sensor for pairs of series and day, as the embeddings and what is shown say; yields progress.

    Of Sentinel-2 the decoded values are corrected by the residuals of the acquisitions shown nearby, see
    ``correct_by_residuals``; radar is not, whose residuals are speckle.

    Parameters
    ----------
    table : SeriesTable
        What is shown.
    series, days : numpy.ndarray
        (n,) positions in ``table.ids`` and days since 1970-01-01.
    model : Embedder
        Loaded model.
    sensor : str
        Which decoder reads the embeddings.

    Returns
    -------
    mean, sigma : numpy.ndarray
        (n, band) float32 in the sensor's unit; ``sigma`` is the expected error.
    """
    observed = table.sensors.get(sensor)
    if sensor != "s2" or observed is None or not len(observed.day):
        return (yield from decode(table, series, days, model, sensor))
    edge = np.searchsorted(observed.series, np.arange(len(table.ids) + 1))
    near = []  # by target: rows of the acquisitions within ``RESIDUAL_DAYS``
    for one, day in zip(series, days, strict=True):
        # Sorted by day within a series.
        bounds = (day - RESIDUAL_DAYS, day + RESIDUAL_DAYS + 1)
        begin, stop = edge[one] + np.searchsorted(observed.day[edge[one] : edge[one + 1]], bounds)
        near.append(np.arange(begin, stop))
    # Each acquisition is decoded once, however many targets are near to it.
    shown = np.unique(np.concatenate([*near, np.empty(0, np.int64)]))
    both = np.concatenate([series, observed.series[shown]]), np.concatenate([days, observed.day[shown]])
    mean, sigma = yield from decode(table, *both, model, sensor)
    # (acquisition, band) measured less decoded; those that no target is near to stay NaN.
    residual = np.full_like(observed.values, np.nan)
    residual[shown] = observed.values[shown] - mean[len(series) :]
    out = mean[: len(series)]
    # Targets with about as many acquisitions nearby are solved together, so that little is padding.
    count = np.array([len(rows) for rows in near], np.int64)
    order = np.argsort(count, kind="stable")
    for first in range(0, len(order), TARGETS_AT_ONCE):
        some = order[first : first + TARGETS_AT_ONCE]
        offset_days = np.zeros((len(some), count[some].max()), np.int64)  # (target, m)
        # (target, m, band); NaN counts as not measured, so that padding at distance 0 has no weight.
        padded = np.full((*offset_days.shape, out.shape[1]), np.nan, np.float32)
        for k, i in enumerate(some):
            offset_days[k, : count[i]] = observed.day[near[i]] - days[i]
            padded[k, : count[i]] = residual[near[i]]
        out[some] = correct_by_residuals(out[some], offset_days, padded)
    return out, sigma[: len(series)]


def decode(
    table: SeriesTable, series: np.ndarray, days: np.ndarray, model: Embedder, sensor: str = "s2"
) -> Steps[tuple[np.ndarray, np.ndarray]]:
    """Decoded embeddings of pairs of series and day, without a look at measurements; yields progress.

    Parameters
    ----------
    table, series, days, model, sensor
        As of ``reconstruct``.

    Returns
    -------
    mean, sigma : numpy.ndarray
        (n, band) float32 in the sensor's unit (reflectance or dB); ``sigma`` is the expected error.
    """
    bands = len(model.config.specs[sensor].bands)
    # Filled row by row by the batches, in the caller's order.
    mean, sigma = (np.empty((len(series), bands), np.float32) for _ in range(2))
    # Rows grouped by series, so that those of a batch's members are slices; `row` maps back to the caller's order.
    order = np.argsort(series, kind="stable")
    edge = np.searchsorted(series[order], np.arange(len(table.ids) + 1))
    done = [0]

    def work(batch: Batch) -> Iterator[None]:
        rows = [order[edge[member] : edge[member + 1]] for member in batch.members]
        pixel = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
        row = np.concatenate(rows)
        tokens = encode_batch(model, batch)
        with torch.inference_mode():
            context = model.contextualise(tokens)
        # Kernels depend on days alone: each day is queried once for all pixels, in groups that bound memory.
        queries = np.unique(days[row])
        for first in range(0, len(queries), QUERY_DAYS):
            some = queries[first : first + QUERY_DAYS]
            with torch.inference_mode():
                fusion_output = model.query(context, torch.from_numpy(some)[None])
                in_batch = np.isin(days[row], some)
                at = (0, np.searchsorted(some, days[row[in_batch]]), pixel[in_batch])
                # (area, day, pixel, ...) -> (row, ...)
                z = fusion_output.z[at]
                log_sigma = fusion_output.log_sigma[sensor][at]
                mean[row[in_batch]] = model.decoders[sensor](z).cpu().numpy()
                sigma[row[in_batch]] = model.decoders[sensor].sigma(log_sigma).cpu().numpy()
            yield
        # A list, since the queue runs `work` in its own threads and a generator cannot return a running count.
        done[0] += len(row)

    # Series without a hidden row are not computed at all.
    queue = list(batches(table, np.unique(series), model))
    for _ in QUEUES[model.scale.device.type].map(work, queue):
        yield f"reconstructing {len(series):,} rows", done[0] / len(series)
    return mean, sigma
