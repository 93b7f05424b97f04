"""Series in batches of pixels, cut so that a batch's series are observed on the same days.

The fusion's kernels depend on dates alone, and pixels of a batch may each lack some of its dates (masks). So a batch is
a row of pixels, one per series, over the union of their dates. Its cost grows with the length of that union: series of
one orbit share most dates, each further orbit adds a whole calendar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from fluxlens.embeddings.inference import batched_forward, request
from fluxlens.embeddings.readers.series_table import Observations, SeriesTable
from fluxlens.models.embedder import Embedder

CHUNK_PIXEL_DAYS = 4_000_000
"""Pixel-days whose series are put in order of their orbits together: 0.2 GB of results. With 30 orbit phases and two
years, 180 series of each are in one chunk, enough for a full batch."""

S2_ORBIT_DAYS, S1_ORBIT_DAYS = 10, 12
"""Repeat cycle of one satellite: series whose dates fall on the same remainders are seen from the same orbits."""

ORBIT_SHARE = 0.05
"""Of a series' dates that a remainder needs to count as an orbit of its own."""

SPAN_DAYS = 60
"""Series that begin and end within the same so many days are sorted together."""

FIXED_SHARE = 0.19
"""What a date costs whatever the number of series (its kernel, starting the products), as a share of what it costs a
full batch: fitted to times of 8 to 128 series over 270 to 1200 dates on one core, 0.15 + 0.0066 us per series."""

CUT_CANDIDATES = 128
"""Places in a full batch at which it may be cut. On a CPU each series; on a GPU each eighth."""


@dataclass(frozen=True)
class Batch:
    """Some series, as pixels of one row."""

    members: np.ndarray
    """(pixel,) positions in the table's ids."""
    sensors: dict[str, Observations]
    """Acquisitions, whose ``series`` are positions in ``members``."""


def chunks(days: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive series whose days together stay within ``CHUNK_PIXEL_DAYS``.

    Parameters
    ----------
    days : numpy.ndarray
        (series,) number of days wanted of each; series of none are left out.

    Yields
    ------
    numpy.ndarray
        (member,) positions (index) of series, at least one.
    """
    number = np.cumsum(days) // CHUNK_PIXEL_DAYS
    for one in np.unique(number):
        chunk = np.flatnonzero((number == one) & (days > 0))
        if len(chunk):
            yield chunk


def batches(table: SeriesTable, chosen: np.ndarray, model: Embedder) -> Iterator[Batch]:
    """The chosen series in batches, those observed on the same days together.

    Parameters
    ----------
    table : SeriesTable
        All series.
    chosen : numpy.ndarray
        (member,) positions (index) of series in ``table.ids``.
    model : Embedder
        Its device decides how many series a batch has at most.
    """
    # On a CPU what stays in its cache, on a GPU as many as a block of a scene has pixels.
    widest = batched_forward.STRIP_PX if model.scale.device.type == "cpu" else request.BLOCK_PX**2
    sensors = {name: rows for name, rows in table.sensors.items() if name in model.config.sensors}
    order = chosen[_by_orbit(table, chosen)]
    for batch_rows in cut(_day_bits(sensors, order), widest):
        members = order[batch_rows]
        by_sensor = {}
        for name, observed in sensors.items():
            rows, count = _rows_of(observed, members)
            if len(rows):
                pixel = np.repeat(np.arange(len(members)), count)
                by_sensor[name] = Observations(pixel, observed.day[rows], observed.values[rows])
        yield Batch(members, by_sensor)


def cut(days: np.ndarray, widest: int) -> list[slice]:
    """Cut a row of series into the batches that cost least in total.

    A batch of p series over a union of t dates costs (p + f) t, with f = ``FIXED_SHARE`` x ``widest``: a further date
    is computed for each of its series, and there is a fixed price per date. The cheapest cut of all up to series j
    follows from those up to i < j (dynamic programming), so that it is found among all cuts. A greedy one fails: the
    union of series thinned by clouds grows for a while even if they are of one orbit.

    Parameters
    ----------
    days : numpy.ndarray
        (series, word) uint64, a bit (mask) per sensor and day with an acquisition.
    widest : int
        Series of a batch at most.

    Returns
    -------
    list of slice
        Consecutive, of all series.
    """
    count = len(days)
    # Between two candidates series stay together; the bits of such a group are joined first.
    stride = max(1, widest // CUT_CANDIDATES)
    edge = np.append(np.arange(0, count, stride), count)
    groups = np.bitwise_or.reduceat(days, edge[:-1], axis=0)
    per_batch = widest // stride
    fixed = FIXED_SHARE * widest
    # Dynamic programming from left to right: the least cost of the first groups, by their number, and where the last
    # batch of the cheapest cut of them begins.
    least = np.append(0.0, np.full(len(groups), np.inf))
    previous = np.zeros(len(groups) + 1, np.int64)
    for first in range(len(groups)):
        # (stop, word): the union of groups first ... stop
        union = np.bitwise_or.accumulate(groups[first : first + per_batch], axis=0)
        dates = np.bitwise_count(union).sum(1)
        stops = np.arange(first + 1, first + 1 + len(union))
        cost = least[first] + (edge[stops] - edge[first] + fixed) * dates
        better = cost < least[stops]
        least[stops[better]] = cost[better]
        previous[stops[better]] = first
    # Back along the cheapest cuts.
    slices, stop = [], len(groups)
    while stop:
        slices.append(slice(int(edge[previous[stop]]), int(edge[stop])))
        stop = int(previous[stop])
    return slices[::-1]


def _day_bits(sensors: dict[str, Observations], order: np.ndarray) -> np.ndarray:
    """(series, word) uint64: which days each series of ``order`` is observed on, the sensors side by side."""
    bits = []
    for observed in sensors.values():
        rows, count = _rows_of(observed, order)
        days, day = np.unique(observed.day[rows], return_inverse=True)
        is_observed = np.zeros((len(order), len(days)), bool)
        is_observed[np.repeat(np.arange(len(order)), count), day] = True
        bits.append(np.packbits(is_observed, axis=1))
    packed = np.concatenate(bits, axis=1)
    # Whole words of 8 bytes, since unions and counts by words are eight times faster.
    packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(packed).view(np.uint64)


def _rows_of(observed: Observations, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the acquisitions of some series, one series after the other, and how many each has."""
    # Acquisitions are sorted by series: those of one are a slice.
    begin, stop = (np.searchsorted(observed.series, members, side) for side in ("left", "right"))
    count = stop - begin
    # Positions within each slice, from a running count less that of the slices before.
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(begin, count) + within, count


def _by_orbit(table: SeriesTable, chosen: np.ndarray) -> np.ndarray:
    """Order of the chosen series by span and by the orbits that see them."""
    first, last = table.spans()
    # The last key of lexsort is the primary one: orbits first, then the span of days.
    keys = [last[chosen] // SPAN_DAYS, first[chosen] // SPAN_DAYS]
    for name, cycle in (("s2", S2_ORBIT_DAYS), ("s1", S1_ORBIT_DAYS)):
        if name not in table.sensors:
            continue
        observations = table.sensors[name]
        count = np.bincount(
            observations.series * cycle + observations.day % cycle, minlength=len(table.ids) * cycle
        )
        count = count.reshape(-1, cycle)[chosen]
        # Single acquisitions of a neighbouring orbit at the edge of a swath must not make a key of their own.
        orbits = count > ORBIT_SHARE * count.sum(1, keepdims=True)
        keys.insert(0, orbits @ (1 << np.arange(cycle)))
    return np.lexsort(keys)
