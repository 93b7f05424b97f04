"""Daily embeddings of series tables, many series in one batch; memory bounded, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference import batched_forward
from fluxlens.embeddings.inference.device_queue import QUEUES
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.readers.series_table import SeriesTable, read_series, read_weather
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day, parse_day
from fluxlens.embeddings.series import writers
from fluxlens.embeddings.series.batches import Batch, batches, chunks
from fluxlens.embeddings.series.gpp import SeriesGpp, gpp_of_series
from fluxlens.embeddings.series.loading import attributes, check_sensors, load_model
from fluxlens.embeddings.series.tokens import encode_batch
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError


def embed_series(
    s2: str | Path | pd.DataFrame | None,
    s1: str | Path | pd.DataFrame | None = None,
    weather: str | Path | pd.DataFrame | xr.Dataset | None = None,
    model: str | Path | Embedder = "default",
    device: str = "auto",
    start: str | None = None,
    end: str | None = None,
) -> pd.DataFrame:
    """Daily embeddings of series tables in memory; for many series see ``embed_series_steps``.

    Parameters
    ----------
    s2, s1 : path, pandas.DataFrame or None
        Tables of Sentinel-2 and Sentinel-1, see ``embeddings.readers.series_table.read_series``.
    weather : path, pandas.DataFrame, xarray.Dataset or None
        Daily weather of all series, or with an id of each; GPP is given with it. Needs ``lat`` in a series table.
    model : str, path or Embedder
        Shipped model, file of weights, or a model that is loaded.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    start, end : str or None
        First and last day, YYYY-MM-DD; from a series' first to its last acquisition where not given.

    Returns
    -------
    pandas.DataFrame
        One row per id and day: ``id``, ``time``, ``e00`` ..., ``sigma`` (reflectance), ``days_from_s2``,
        ``days_from_s1`` (d, -1 = none) and, with weather, ``gpp``, ``gpp_lo``, ``gpp_hi`` (gC m-2 d-1). The model, its
        digest and the software stand in ``attrs``.

    Raises
    ------
    InputError
        If a table cannot be used.
    """
    frames: list[pd.DataFrame] = []
    attrs = progress.run(embed_series_steps(s2, s1, weather, model, device, start, end, sink=frames.append))
    out = pd.concat(frames, ignore_index=True)
    out.attrs = attrs
    return out


def embed_series_steps(
    s2: str | Path | pd.DataFrame | None,
    s1: str | Path | pd.DataFrame | None = None,
    weather: str | Path | pd.DataFrame | xr.Dataset | None = None,
    model: str | Path | Embedder = "default",
    device: str = "auto",
    start: str | None = None,
    end: str | None = None,
    sink: Any = None,
) -> Steps[dict[str, Any]]:
    """As ``embed_series``, part by part: yields progress, hands tables to ``sink`` and returns their attributes.

    Parameters
    ----------
    s2, s1, weather, model, device, start, end
        As of ``embed_series``.
    sink : callable
        Called with a DataFrame of about ``ROW_GROUP_ROWS`` rows at most, whole series in the order of the table; with
        ``None`` nothing is kept.
    """
    yield "reading the tables", 0.0
    # Tables before the model: a wrong file is told before a second is spent on PyTorch.
    table = read_series(s2, s1)
    net = load_model(model, device)
    check_sensors(table, net)
    predict = gpp_of_series(table, read_weather(weather), net)
    first, last = _spans_within(table, start, end)
    total, done = int((last - first + 1).sum()), 0
    for chunk in chunks(last - first + 1):
        arrays: dict[int, dict[str, np.ndarray]] = {}

        def work(batch: Batch, arrays=arrays) -> Iterator[None]:
            yield from _embed_batch(net, batch, first, last, arrays)

        # Where GPP follows, it and the writing take about a third of the time.
        share = 1.0 if predict is None else 0.7
        steps = QUEUES[net.scale.device.type].map(work, list(batches(table, chunk, net)))
        counted = 0
        for _ in steps:
            counted = sum(len(one["sigma"]) for one in list(arrays.values()))
            yield f"embedding {len(table.ids):,} series", (done + share * counted) / total
        # Handed on chunk by chunk, so that memory does not grow with the number of series.
        days_of_chunk, written = int((last - first + 1)[chunk].sum()), 0
        for frame in _tidy(table, chunk, arrays, first, net, predict):
            if sink is not None:
                sink(frame)
            written += len(frame)
            so_far = done + share * days_of_chunk + (1 - share) * written
            yield f"{'writing' if predict is None else 'GPP of'} {len(table.ids):,} series", so_far / total
        done += days_of_chunk
    return _attributes(net) | ({} if predict is None else {"gpp_head_digest": predict.digest})


def write_embedded_series(
    path: str | Path,
    s2: str | Path | pd.DataFrame | None,
    s1: str | Path | pd.DataFrame | None = None,
    weather: str | Path | pd.DataFrame | xr.Dataset | None = None,
    model: str | Path | Embedder = "default",
    device: str = "auto",
    start: str | None = None,
    end: str | None = None,
) -> Steps[str]:
    """Write daily embeddings of series tables, memory bounded; yields progress and returns one line about the file.

    Parameters
    ----------
    path : str or Path
        File to write, ``.parquet`` (row groups written as they are computed) or ``.csv``; in place only when whole.
    s2, s1, weather, model, device, start, end
        As of ``embed_series``.
    """
    # The path first: loading the model takes a second, reading tables a minute.
    writers.check_table_path(path)
    net = load_model(model, device)
    with writers.open_table(path, _attributes(net)) as writer:
        yield from embed_series_steps(s2, s1, weather, net, device, start, end, writer)
        line = f"{writer.rows:,} rows of {writer.series:,} series"
    return line


def _attributes(model: Embedder) -> dict[str, Any]:
    features = {"features": "e00, e01, ...: dimensionless, int8 steps times the model's scale"}
    return attributes(model, "daily embeddings of a series table") | features


def _spans_within(table: SeriesTable, start: str | None, end: str | None) -> tuple[np.ndarray, np.ndarray]:
    """First and last day per series; a series without a day in the window has none (last < first)."""
    # Each series has its own period: from its first to its last acquisition.
    first, last = table.spans()
    bounds = [parse_day(value, None, what) for value, what in ((start, "start"), (end, "end"))]
    if bounds[0] is not None:
        first = np.maximum(first, bounds[0])
    if bounds[1] is not None:
        last = np.minimum(last, bounds[1])
    # At least the day before the first, so that no span has a negative length.
    last = np.maximum(last, first - 1)
    if not (last >= first).any():
        raise InputError(
            f"Got start {start}, end {end}, outside of all series' acquisitions, need days within; ask for others."
        )
    return first, last


def _embed_batch(
    model: Embedder,
    batch: Batch,
    first: np.ndarray,
    last: np.ndarray,
    arrays: dict[int, dict[str, np.ndarray]],
) -> Iterator[None]:
    """Quantised arrays of each series of the batch over its own days, put into ``arrays`` by position."""
    tokens = encode_batch(model, batch)
    yield
    # One run of days for all: those a series lacks at either end are computed and dropped, since spans were sorted.
    begin, stop = int(first[batch.members].min()), int(last[batch.members].max())
    days, pixels = np.arange(begin, stop + 1), len(batch.members)
    steps = np.empty((len(days), pixels, model.features), np.int8)
    sigma = np.empty((len(days), pixels), np.float32)
    for where, fusion_output in batched_forward.predict_days(model, tokens, slice(0, pixels), days):
        steps[where], sigma[where] = batched_forward.quantise_output(model, fusion_output)
        yield
    ages = {
        f"days_from_{name}": batched_forward.days_to_nearest(tokens[name], days)
        if name in tokens
        else np.full((len(days), pixels), -1, np.int16)
        for name in ("s2", "s1")
    }
    for pixel, member in enumerate(batch.members):
        own = slice(int(first[member]) - begin, int(last[member]) - begin + 1)
        computed = {"embedding": steps, "sigma": sigma, **ages}
        # Copies: views would keep the arrays of the whole batch in memory until its last series is written.
        arrays[int(member)] = {name: array[own, pixel].copy() for name, array in computed.items()}


def _tidy(
    table: SeriesTable,
    chunk: np.ndarray,
    arrays: dict[int, dict[str, np.ndarray]],
    first: np.ndarray,
    model: Embedder,
    predict: SeriesGpp | None,
) -> Iterator[pd.DataFrame]:
    """Tables of whole series in the order of ``chunk``; their arrays are dropped as they are handed on."""
    scale = model.scale.cpu().numpy()
    lengths = np.array([len(arrays[int(member)]["sigma"]) for member in chunk])
    number = np.cumsum(lengths) // writers.ROW_GROUP_ROWS
    for one in np.unique(number):
        members = chunk[number == one]
        computed = [arrays.pop(int(member)) for member in members]
        size = lengths[number == one]
        joined = {name: np.concatenate([series[name] for series in computed]) for name in computed[0]}
        day = np.concatenate([first[member] + np.arange(n) for member, n in zip(members, size, strict=True)])
        # (feature, row): each column lies in one piece, which files take without a copy
        features = joined["embedding"].T.astype(np.float32, order="C") * scale[:, None]
        columns: dict[str, Any] = {
            "id": np.repeat(table.ids[members].astype(object), size),
            "time": from_epoch_day(day),
            **{f"e{i:02d}": one for i, one in enumerate(features)},
            **{name: joined[name] for name in ("sigma", "days_from_s2", "days_from_s1")},
        }
        if predict is not None:
            columns |= predict.predict(members, size, day, joined)
        # The columns are this table's own: pandas need not copy them.
        yield pd.DataFrame(columns, copy=False)
