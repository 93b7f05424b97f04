"""Daily embeddings and reconstructions of series tables, many series in one batch.

The fusion's kernels depend on dates alone, and pixels of a batch may each lack some of its dates (masks). So a batch is
a row of pixels, one per series, over the union of their dates. Series are sorted by the orbits that see them before
they are cut into batches: those of one orbit share most dates, and the union stays small.

Long for now: batching, embedding, reconstruction and streamed writing of series are to become files of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference import batched_forward, request
from fluxlens.embeddings.inference.device_queue import QUEUES
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.readers.series_table import (
    Observations,
    SeriesTable,
    read_hidden,
    read_series,
    read_weather,
)
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.embeddings.store import quantise
from fluxlens.models import checkpoints
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import Encoder
from fluxlens.models.errors import DataWarning, InputError

from fluxlens import embeddings

CHUNK_PIXEL_DAYS = 1_000_000
"""Pixel-days computed before they are handed on: about 0.2 GB as tidy rows."""

SMALLEST_BATCH = 64
"""Series; a batch is not cut below this size."""
NEW_DAYS_SHARE = 0.25
"""A series that brings more days than this share of the batch's union belongs to another orbit."""
PART_ROWS = 200_000
"""Rows of one table handed on, and of one row group of a Parquet file."""

QUERY_DAYS = 32
"""Days reconstructed together, as the engine's groups."""

ENCODE_ROWS = 16_384
"""Spectra encoded together: 2 MB of hidden layers each in a core's cache."""

S2_ORBIT_DAYS, S1_ORBIT_DAYS = 10, 12
"""Repeat cycle of one satellite: series whose dates fall on the same remainders are seen from the same orbits."""

ORBIT_SHARE = 0.05
"""Of a series' dates that a remainder needs to count as an orbit of its own."""

SPAN_DAYS = 60
"""AcquisitionSeries that begin and end within the same so many days are sorted together."""

LAT_STEP_DEG = 0.1
"""Latitudes are rounded for day length and clear-sky light (0.1 degree: 40 s of day length at 50 N)."""


@dataclass(frozen=True)
class Batch:
    """Some series, as pixels of one row."""

    members: np.ndarray
    """(pixel,) positions in the table's ids."""
    sensors: dict[str, Observations]
    """Acquisitions, whose ``series`` are positions in ``members``."""


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
    parts: list[pd.DataFrame] = []
    attrs = progress.run(embed_series_steps(s2, s1, weather, model, device, start, end, sink=parts.append))
    out = pd.concat(parts, ignore_index=True)
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
        Called with a DataFrame of about ``PART_ROWS`` rows at most, whole series in the order of the table; with
        ``None`` nothing is kept.
    """
    yield "reading the tables", 0.0
    # Tables before the model: a wrong file is told before a second is spent on PyTorch.
    table = read_series(s2, s1)
    net = load_model(model, device)
    _check_sensors(table, net)
    predict = _gpp_of(table, read_weather(weather), net)
    first, last = _asked_spans(table, start, end)
    total, done = int((last - first + 1).sum()), 0
    for chunk in _chunks(last - first + 1):
        arrays: dict[int, dict[str, np.ndarray]] = {}

        def work(batch: Batch, arrays=arrays) -> Iterator[None]:
            yield from _embed_batch(net, batch, first, last, arrays)

        steps = QUEUES[net.scale.device.type].map(work, list(_batches(table, chunk, net)))
        counted = 0
        for _ in steps:
            counted = sum(len(one["sigma"]) for one in list(arrays.values()))
            yield f"embedding {len(table.ids):,} series", (done + counted) / total
        # Handed on chunk by chunk, so that memory does not grow with the number of series.
        for part in _tidy(table, chunk, arrays, first, net, predict):
            if sink is not None:
                sink(part)
        done += int((last - first + 1)[chunk].sum())
    return attributes(net) | ({} if predict is None else {"gpp_head_digest": predict.digest})


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
    with open_table(path, attributes_of(model, device)) as writer:
        yield from embed_series_steps(s2, s1, weather, model, device, start, end, writer)
        told = f"{writer.rows:,} rows of {writer.series:,} series"
    return told


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
    seen = table.sensors[sensor]
    gone = pd.MultiIndex.from_arrays([seen.series, seen.day]).isin(
        pd.MultiIndex.from_arrays([rows["series"], rows["day"]])
    )
    left = SeriesTable(table.ids, table.sensors | {sensor: seen.at(~gone)}, table.lon, table.lat)
    _check_sensors(left, net)
    mean, sigma = yield from reconstruct(left, rows["series"].to_numpy(), rows["day"].to_numpy(), net, sensor)
    bands = net.config.specs[sensor].bands
    out = pd.DataFrame({"id": rows["id"].astype(str), "date": from_epoch_day(rows["day"].to_numpy())})
    out[list(bands)] = mean
    out[[f"{band}_sigma" for band in bands]] = sigma
    out.attrs = attributes(net) | {"hidden_sensor": sensor}
    return out


def reconstruct(
    table: SeriesTable, series: np.ndarray, days: np.ndarray, model: Embedder, sensor: str = "s2"
) -> Steps[tuple[np.ndarray, np.ndarray]]:
    """Decoded measurements of a sensor for pairs of series and day; yields progress.

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
    bands = len(model.config.specs[sensor].bands)
    # Filled row by row by the batches, in the caller's order.
    mean, sigma = (np.empty((len(series), bands), np.float32) for _ in range(2))
    # Rows grouped by series, so that those of a batch's members are slices; `row` maps back to the caller's order.
    order = np.argsort(series, kind="stable")
    edge = np.searchsorted(series[order], np.arange(len(table.ids) + 1))
    done = [0]

    def work(batch: Batch) -> Iterator[None]:
        rows = [order[edge[member] : edge[member + 1]] for member in batch.members]
        pixel = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        row = np.concatenate(rows)
        tokens = _tokens(model, batch)
        with torch.inference_mode():
            context = model.contextualise(tokens)
        # Kernels depend on days alone: each day is queried once for all pixels, in groups that bound memory.
        asked = np.unique(days[row])
        for first in range(0, len(asked), QUERY_DAYS):
            some = asked[first : first + QUERY_DAYS]
            with torch.inference_mode():
                answer = model.query(context, torch.from_numpy(some)[None])
                here = np.isin(days[row], some)
                at = (0, np.searchsorted(some, days[row[here]]), pixel[here])
                # (area, day, pixel, ...) -> (row, ...)
                z = answer.z[at]
                log_sigma = answer.log_sigma[sensor][at]
                mean[row[here]] = model.decoders[sensor](z).cpu().numpy()
                sigma[row[here]] = model.decoders[sensor].sigma(log_sigma).cpu().numpy()
            yield
        # A list, since the queue runs `work` in its own threads and a generator cannot return a running count.
        done[0] += len(row)

    # Series without a hidden row are not computed at all.
    batches = list(_batches(table, np.unique(series), model))
    for _ in QUEUES[model.scale.device.type].map(work, batches):
        yield f"reconstructing {len(series):,} rows", done[0] / len(series)
    return mean, sigma


def encode_isolated(
    encoder: Encoder, values: torch.Tensor, usable: torch.Tensor | None = None
) -> torch.Tensor:
    """Tokens of spectra without neighbours: what ``encoder`` gives at the centre of 7 x 7 pixels, all others missing.

    Of the constant surroundings only sums of weights remain: the 3 x 3 convolution sees the spectrum at the centre
    alone, and the dilated one, two pixels out, sees it only through its own centre. A fiftieth of the arithmetic.

    Parameters
    ----------
    encoder : models.encoder.Encoder
        Encoder of the sensor.
    values : torch.Tensor
        (n, band) in the sensor's unit, NaN where not measured.
    usable : torch.Tensor or None
        (n,) bool, all where not given.

    Returns
    -------
    torch.Tensor
        (n, token) float32.
    """
    # The same layers as the encoder's own forward pass; a test compares both within 1e-6.
    gelu = torch.nn.functional.gelu
    if usable is None:
        usable = torch.ones(len(values), dtype=torch.bool, device=values.device)
    # (n, channel): a pixel as the encoder scales it
    x = encoder.inputs(values[:, :, None, None], usable[:, None, None])[:, :, 0, 0]
    pixel, near, far = encoder.pixel, encoder.near, encoder.far
    empty = gelu(pixel.bias)  # (width,): a missing pixel, all inputs zero
    around = near.weight.sum((2, 3)) @ empty + near.bias  # (width,): only missing pixels in sight
    centre = near.weight[:, :, 1, 1]
    h = gelu(x @ pixel.weight[:, :, 0, 0].T + pixel.bias)
    h = gelu(around + (h - empty) @ centre.T)
    # depthwise, dilation 2: the eight outer taps lie two pixels away and see missing pixels alone
    outer = far.weight[:, 0].sum((1, 2)) - far.weight[:, 0, 1, 1]
    wide = far.bias + outer * gelu(around) + far.weight[:, 0, 1, 1] * h
    h = h + gelu(wide) @ encoder.mix.weight[:, :, 0, 0].T + encoder.mix.bias
    token = gelu(h) @ encoder.out.weight[:, :, 0, 0].T + encoder.out.bias
    return token + x @ encoder.through.weight[:, :, 0, 0].T + encoder.through.bias


def load_model(model: str | Path | Embedder, device: str = "auto") -> Embedder:
    """The model of a name, a path, or itself.

    Parameters
    ----------
    model : str, path or Embedder
        See ``models.checkpoints.load``.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    """
    return model if isinstance(model, Embedder) else checkpoints.load(model, device)


def attributes(model: Embedder) -> dict[str, Any]:
    """What tables of this model's numbers say of themselves.

    Parameters
    ----------
    model : Embedder
        Loaded model.
    """
    return {
        "title": "daily embeddings of a series table",
        "model": model.name,
        "model_digest": model.digest,
        "features": "e00, e01, ...: dimensionless, int8 steps times the model's scale",
        "software": f"fluxlens {embeddings.__version__}",
    }


def attributes_of(model: str | Path | Embedder, device: str = "auto") -> dict[str, Any]:
    """As ``attributes`` of a model by name or path.

    Parameters
    ----------
    model, device
        As of ``load_model``.
    """
    return attributes(load_model(model, device))


def _check_sensors(table: SeriesTable, model: Embedder) -> None:
    # A table of Sentinel-1 alone cannot be embedded by a model of Sentinel-2 alone.
    known = set(table.sensors) & set(model.config.sensors)
    if not known:
        raise InputError(
            f"Got series of {', '.join(table.sensors)}, need one of {', '.join(model.config.sensors)}, which"
            f" {model.name} knows; choose another model."
        )


def _asked_spans(table: SeriesTable, start: str | None, end: str | None) -> tuple[np.ndarray, np.ndarray]:
    """First and last day per series; a series without a day in the window has none (last < first)."""
    # Each series has its own period: from its first to its last acquisition.
    first, last = table.spans()
    asked = [request.parse_day(value, None, what) for value, what in ((start, "start"), (end, "end"))]
    if asked[0] is not None:
        first = np.maximum(first, asked[0])
    if asked[1] is not None:
        last = np.minimum(last, asked[1])
    last = np.maximum(last, first - 1)
    if not (last >= first).any():
        raise InputError(
            f"Got start {start}, end {end}, outside of all series' acquisitions, need days within; ask for others."
        )
    return first, last


def _chunks(days: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of consecutive series whose days together stay within ``CHUNK_PIXEL_DAYS``."""
    number = np.cumsum(days) // CHUNK_PIXEL_DAYS
    for one in np.unique(number):
        chunk = np.flatnonzero((number == one) & (days > 0))
        if len(chunk):
            yield chunk


def _batches(table: SeriesTable, chosen: np.ndarray, model: Embedder) -> Iterator[Batch]:
    """The chosen series in batches of pixels, those observed on the same days together."""
    wide = batched_forward.STRIP_PX if model.scale.device.type == "cpu" else request.BLOCK_PX**2
    sensors = {name: rows for name, rows in table.sensors.items() if name in model.config.sensors}
    for members in _cut_where_days_change(sensors, chosen[_by_orbit(table, chosen)], wide):
        parts = {}
        for name, observed in sensors.items():
            # Acquisitions are sorted by series: those of one are a slice.
            begin, stop = (np.searchsorted(observed.series, members, side) for side in ("left", "right"))
            rows = np.concatenate([np.arange(a, b) for a, b in zip(begin, stop, strict=True)])
            if len(rows):
                pixel = np.repeat(np.arange(len(members)), stop - begin)
                parts[name] = Observations(pixel, observed.day[rows], observed.values[rows])
        yield Batch(members, parts)


def _cut_where_days_change(
    sensors: dict[str, Observations], order: np.ndarray, wide: int
) -> Iterator[np.ndarray]:
    """Runs of at most ``wide`` series of ``order``, ended where the next series brings many days of its own.

    A batch costs its number of series times the union of their days. Series of one orbit share most of theirs even if
    clouds took out different ones, so that the union stops growing; the first series of another orbit adds its whole
    calendar.
    """
    start, union = 0, {name: set() for name in sensors}
    for at, member in enumerate(order):
        days = {}
        for name, observed in sensors.items():
            begin, stop = (np.searchsorted(observed.series, member, side) for side in ("left", "right"))
            days[name] = set(observed.day[begin:stop].tolist())
        new = sum(len(days[name] - union[name]) for name in sensors)
        is_other_orbit = new > NEW_DAYS_SHARE * sum(map(len, union.values()))
        # Small batches cost more for each series than a union with some days of no use.
        if at - start >= wide or (is_other_orbit and at - start >= SMALLEST_BATCH):
            yield order[start:at]
            start, union = at, {name: set() for name in sensors}
        for name in sensors:
            union[name] |= days[name]
    yield order[start:]


def _by_orbit(table: SeriesTable, chosen: np.ndarray) -> np.ndarray:
    """Order of the chosen series by span and by the orbits that see them."""
    first, last = table.spans()
    # The last key of lexsort is the primary one: orbits first, then the span of days.
    keys = [last[chosen] // SPAN_DAYS, first[chosen] // SPAN_DAYS]
    for name, cycle in (("s2", S2_ORBIT_DAYS), ("s1", S1_ORBIT_DAYS)):
        if name not in table.sensors:
            continue
        seen = table.sensors[name]
        count = np.bincount(seen.series * cycle + seen.day % cycle, minlength=len(table.ids) * cycle)
        count = count.reshape(-1, cycle)[chosen]
        # Single acquisitions of a neighbouring orbit at the edge of a swath must not make a key of their own.
        orbits = count > ORBIT_SHARE * count.sum(1, keepdims=True)
        keys.insert(0, orbits @ (1 << np.arange(cycle)))
    return np.lexsort(keys)


def _tokens(model: Embedder, batch: Batch) -> dict[str, Tokens]:
    """Tokens (1, day, pixel, token) over the union of the batch's days; not usable where a series lacks the day."""
    device = model.scale.device
    out = {}
    for name, seen in batch.sensors.items():
        # The union of the batch's days; a series without an acquisition on one of them is masked there.
        days, at = np.unique(seen.day, return_inverse=True)
        token = torch.zeros(len(days), len(batch.members), model.config.specs[name].token, device=device)
        usable = torch.zeros(len(days), len(batch.members), dtype=torch.bool, device=device)
        with torch.inference_mode():
            # Rows are encoded in pieces that fit the cache of a core: the hidden layers are wider than the input.
            for start in range(0, len(at), ENCODE_ROWS):
                rows = slice(start, start + ENCODE_ROWS)
                values = torch.from_numpy(seen.values[rows]).to(device)
                where = torch.from_numpy(at[rows]), torch.from_numpy(seen.series[rows])
                token[where] = encode_isolated(model.encoders[name], values)
                usable[where] = True
        out[name] = Tokens(token[None], usable[None], torch.from_numpy(days)[None].to(device))
    return out


def _embed_batch(
    model: Embedder,
    batch: Batch,
    first: np.ndarray,
    last: np.ndarray,
    arrays: dict[int, dict[str, np.ndarray]],
) -> Iterator[None]:
    """Quantised arrays of each series of the batch over its own days, put into ``arrays`` by position."""
    tokens = _tokens(model, batch)
    yield
    begin, stop = int(first[batch.members].min()), int(last[batch.members].max())
    days, pixels = np.arange(begin, stop + 1), len(batch.members)
    steps = np.empty((len(days), pixels, model.features), np.int8)
    sigma = np.empty((len(days), pixels), np.float32)
    # the same rounding as of cubes
    for where, answer in batched_forward.predict_days(model, tokens, slice(0, pixels), days):
        with torch.inference_mode():
            z = (answer.z[0] / model.scale).round_().clamp_(-127, 127)
            steps[where] = z.to(torch.int8).cpu().numpy()
            error = (model.sigma(answer)[0] / quantise.SIGMA_STEP).round_().clamp_(0, 254)
            sigma[where] = error.cpu().numpy() * np.float32(quantise.SIGMA_STEP)
        yield
    ages = {
        f"days_from_{name}": batched_forward.days_to_nearest(tokens[name], days)
        if name in tokens
        else np.full((len(days), pixels), -1, np.int16)
        for name in ("s2", "s1")
    }
    for pixel, member in enumerate(batch.members):
        own = slice(int(first[member]) - begin, int(last[member]) - begin + 1)
        found = {"embedding": steps, "sigma": sigma, **ages}
        arrays[int(member)] = {name: array[own, pixel].copy() for name, array in found.items()}


def _tidy(
    table: SeriesTable,
    chunk: np.ndarray,
    arrays: dict[int, dict[str, np.ndarray]],
    first: np.ndarray,
    model: Embedder,
    predict: _Gpp | None,
) -> Iterator[pd.DataFrame]:
    """Tables of whole series in the order of ``chunk``; their arrays are dropped as they are handed on."""
    scale = model.scale.cpu().numpy()
    lengths = np.array([len(arrays[int(member)]["sigma"]) for member in chunk])
    number = np.cumsum(lengths) // PART_ROWS
    for one in np.unique(number):
        members = chunk[number == one]
        parts = [arrays.pop(int(member)) for member in members]
        size = lengths[number == one]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        day = np.concatenate([first[member] + np.arange(n) for member, n in zip(members, size, strict=True)])
        features = joined["embedding"].astype(np.float32) * scale  # (row, feature)
        columns: dict[str, Any] = {
            "id": np.repeat(table.ids[members].astype(object), size),
            "time": from_epoch_day(day),
            **{f"e{i:02d}": features[:, i] for i in range(features.shape[1])},
            **{name: joined[name] for name in ("sigma", "days_from_s2", "days_from_s1")},
        }
        if predict is not None:
            columns |= predict(members, size, day, joined)
        yield pd.DataFrame(columns)


class _Gpp:
    """GPP of series with their weather and latitude."""

    def __init__(self, table: SeriesTable, weather: dict[str | None, xr.Dataset], model: Embedder) -> None:
        from fluxlens.embeddings import gpp

        self.table, self.weather, self.model = table, weather, model
        self.digest = gpp.load().digest

    def __call__(
        self, members: np.ndarray, size: np.ndarray, day: np.ndarray, joined: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Columns ``gpp``, ``gpp_lo``, ``gpp_hi``; NaN for a series that has no weather."""
        from fluxlens.embeddings import gpp

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
            told = gpp.predict(cube, node)
            for name in out:
                out[name][rows] = told[name].values
        return out


def _gpp_of(table: SeriesTable, weather: dict[str | None, xr.Dataset] | None, model: Embedder) -> _Gpp | None:
    """What predicts GPP; None without weather or where the head was taught with another model, which is told."""
    import warnings

    from fluxlens.embeddings import gpp

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
    return _Gpp(table, weather, model)


class TableWriter:
    """Tables with the same columns appended to one file; see ``open_table``."""

    def __init__(self, path: Path, attrs: dict[str, Any]) -> None:
        self.path, self.attrs = path, attrs
        self.rows = self.series = 0
        self._parquet: Any = None

    def __call__(self, table: pd.DataFrame) -> None:
        """Append a table.

        Parameters
        ----------
        table : pandas.DataFrame
            Rows of whole series.
        """
        self.rows += len(table)
        self.series += table["id"].nunique()
        if self.path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            arrow = pa.Table.from_pandas(table, preserve_index=False)
            if self._parquet is None:
                told = {key: str(value) for key, value in self.attrs.items()}
                schema = arrow.schema.with_metadata({**(arrow.schema.metadata or {}), **told})
                self._parquet = pq.ParquetWriter(self.path, schema)
            self._parquet.write_table(arrow.cast(self._parquet.schema), row_group_size=PART_ROWS)
            return
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            if new:
                lines = [" ".join(f"# {key}: {value}".split()) for key, value in self.attrs.items()]
                file.write("".join(f"{line}\n" for line in lines))
            text = table.assign(
                **{
                    name: _harmless(table[name])
                    for name in table.columns
                    if table[name].dtype == object or pd.api.types.is_string_dtype(table[name].dtype)
                }
            )
            text.to_csv(
                file,
                index=False,
                header=new,
                date_format="%Y-%m-%d",
                float_format="%.7g",
                lineterminator="\n",
            )

    def close(self) -> None:
        """Finish the file."""
        if self._parquet is not None:
            self._parquet.close()


def check_table_path(path: str | Path) -> Path:
    """The path of a table to be written, checked before any computing.

    Parameters
    ----------
    path : str or Path
        File to write.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Where it does not end in ``.parquet`` or ``.csv``, or its folder does not exist.
    """
    place = Path(path)
    if place.suffix.lower() not in (".parquet", ".csv"):
        raise InputError(f"Got --out {place.name}, need .parquet or .csv for a series table; rename it.")
    if not place.resolve().parent.is_dir():
        raise InputError(f"Got --out {path}, need a folder that exists; create {place.parent} first.")
    if place.is_dir():
        raise InputError(f"Got --out {path}, which is a folder, need a file; choose another name.")
    return place


class open_table:
    """Context of a ``TableWriter`` beside ``path``, renamed onto it when the block ends well and removed when not.

    Parameters
    ----------
    path : str or Path
        File ending in ``.parquet`` or ``.csv`` in a folder that exists.
    attrs : dict
        Metadata of the file: of Parquet the schema's, of CSV lines that begin with ``#``.
    """

    def __init__(self, path: str | Path, attrs: dict[str, Any]) -> None:
        import uuid

        self.path = check_table_path(path)
        beside = f".{self.path.stem}.{uuid.uuid4().hex[:8]}{self.path.suffix.lower()}"
        self.writer = TableWriter(self.path.resolve().with_name(beside), attrs)

    def __enter__(self) -> TableWriter:
        return self.writer

    def __exit__(self, kind: type | None, *_: object) -> None:
        import os

        self.writer.close()
        if kind is None and self.writer.path.exists():
            os.replace(self.writer.path, self.path)
        else:
            self.writer.path.unlink(missing_ok=True)


def write_table(table: pd.DataFrame, path: str | Path) -> str:
    """Write a table with ``attrs`` as ``.parquet`` or ``.csv``; returns one line about it.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``embed_series`` or ``reconstruct_series`` return it.
    path : str or Path
        File to write.
    """
    with open_table(path, table.attrs) as writer:
        writer(table)
    return f"{len(table):,} rows of {table['id'].nunique():,} series"


def _harmless(column: pd.Series) -> pd.Series:
    """Text that a spreadsheet would run as a formula gets a quote in front (OWASP, CSV injection)."""
    codes, unique = pd.factorize(column)
    safe = np.array(
        [f"'{text}" if str(text)[:1] in "=+-@＝＋－＠" and text else text for text in unique], object
    )
    return pd.Series(safe[codes], column.index)
