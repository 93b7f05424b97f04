"""Which days of a cube new acquisitions change: the window of the kernels, twice, and the groups of days.

The fusion looks ``WINDOW_DAYS`` either way in each of its two rounds. An acquisition changes the context of those
within its window (round one), and these change the days within theirs (round two): up to 400 days away. Products are
made for aligned groups of days whose acquisitions are cut at the window of the whole group, and a product with one row
more may round differently, so that the bound is that of the groups: at most 558 days back, 479 on average.
"""

from __future__ import annotations

import numpy as np
from fluxlens.embeddings.inference.batched_forward import CONTEXT_DAYS, GROUP_DAYS
from fluxlens.models.fusion import WINDOW_DAYS


def changed_days(
    days: np.ndarray, changed: np.ndarray, acquired: np.ndarray, causal: bool = False
) -> np.ndarray:
    """Days whose numbers may differ, in any bit, from those without the changed acquisitions.

    Parameters
    ----------
    days
        (day) of the cube, whole days since 1970-01-01.
    changed
        (n) days of acquisitions that came, or whose values changed, of any sensor.
    acquired
        (m) days of all acquisitions of all sensors, the changed ones among them.
    causal
        Whether each day uses acquisitions of the past and the day itself only.

    Returns
    -------
    numpy.ndarray
        bool (day).
    """
    # Round one: acquisitions of groups that see a changed one have another context; changed ones are new themselves.
    context = acquired[_is_in_reach(acquired, changed, CONTEXT_DAYS, causal)]
    return _is_in_reach(days, np.union1d(context, changed), GROUP_DAYS, causal)


def needed_acquisitions(days: np.ndarray, causal: bool = False) -> tuple[int, int]:
    """Between which days acquisitions bear on a cube's days, in both rounds.

    Parameters
    ----------
    days
        (day) increasing, whole days since 1970-01-01.
    causal
        As of :func:`changed_days`.

    Returns
    -------
    tuple of int
        First and last day, both included; without those outside, the days have the same bits.
    """
    first, last = int(days[0]), int(days[-1])
    ahead = 0 if causal else WINDOW_DAYS
    # Groups of round two, the acquisitions these see, the groups of round one these are in, and what those see.
    first = _floor(_floor(first, GROUP_DAYS) - WINDOW_DAYS, CONTEXT_DAYS) - WINDOW_DAYS
    last = _floor(_floor(last, GROUP_DAYS) + GROUP_DAYS - 1 + ahead, CONTEXT_DAYS) + CONTEXT_DAYS - 1 + ahead
    return first, last


def runs(which: np.ndarray) -> tuple[slice, ...]:
    """Stretches of days in a row.

    Parameters
    ----------
    which
        bool (day).

    Returns
    -------
    tuple of slice
        Indices along ``day`` of those that are true.
    """
    # Zeros at both ends, so that every stretch has a beginning and an end; they alternate.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], which.astype(np.int8), [0]])))
    return tuple(slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _floor(day: int, size: int) -> int:
    return day // size * size


def _is_in_reach(days: np.ndarray, changed: np.ndarray, size: int, causal: bool) -> np.ndarray:
    """Of which days the aligned group has one of the changed days in its window; bool (day)."""
    first = days // size * size - WINDOW_DAYS
    last = days // size * size + size - 1 + (0 if causal else WINDOW_DAYS)
    # Sorted for the binary search: one look-up per day instead of all pairs of days.
    changed = np.unique(changed)
    # The first changed day that is not before the window lies in it, or none does.
    at = np.searchsorted(changed, first)
    # A sentinel past all days stands for "none follows".
    following = np.append(changed, np.iinfo(np.int64).max)[at]
    return following <= last
