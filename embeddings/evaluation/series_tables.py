"""Hidden dates of series tables: the model beside linear interpolation in time, set by set.

Protocol: of each series' dates the inner ones, every third is hidden and predicted from the rest. Then each of them is
hidden alone with everything within some days of it. Errors are root-mean-squares over dates per band,
then the mean over bands; only dates that have a visible date on either side are scored, so that both interpolate.

Long on purpose: finding tables, hiding dates, the baseline and the scores are one protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.readers.series_sets import find_tables
from fluxlens.embeddings.readers.series_table import Observations, SeriesTable
from fluxlens.embeddings.series.loading import load_model
from fluxlens.embeddings.series.reconstruct import reconstruct
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.fusion import WINDOW_DAYS
from fluxlens.models.gpp.drivers import NORMAL_90
from fluxlens.models.sensors import SENSORS, VISIBLE_BANDS

EVERY = 3

HIDDEN_WITHIN_DAYS = (0, 15, 30, 60)
"""Everything this near to a target is hidden with it: gaps of 30, 60 and 120 days; 0 hides every third date."""

COLUMNS = f"{'targets':>8}{'fluxlens':>10}{'linear':>9}{'ratio':>8}{'by date':>9}{'clean':>8}{'in 90 %':>9}"
"""Head of the columns that ``_row`` fills."""

NEIGHBOUR_DAYS = 45
"""A target brighter in the visible than every clear date this near is taken for undetected cloud or snow."""


@dataclass(frozen=True)
class Targets:
    """Hidden acquisitions of one set with what both methods say of them."""

    truth: np.ndarray
    """(target, band) reflectance, NaN where not measured."""
    ours: np.ndarray
    sigma: np.ndarray
    """(target, band) expected error of ``ours``, a standard deviation."""
    linear: np.ndarray
    contaminated: np.ndarray
    """(target,) bool, see ``NEIGHBOUR_DAYS``."""

    def scores(self) -> dict[str, float]:
        """Errors, ratios and coverage.

        Returns
        -------
        dict of str to float
            ``targets``; ``rmse`` and ``linear`` (reflectance, mean over bands), ``ratio``; ``ratio_geometric``, the
            geometric mean over dates of the ratio of their errors; ``ratio_clean`` and ``targets_clean`` without
            contaminated targets; ``coverage90``, the share of values inside the 90 % band.
        """
        error, other = self.ours - self.truth, self.linear - self.truth
        pooled = [_rmse(values) for values in (error, other)]
        clean = [_rmse(values[~self.contaminated]) for values in (error, other)]
        # One number per target date, so that a few very wrong targets do not decide the geometric mean.
        dates = [np.sqrt(_mean(values**2, 1)) for values in (error, other)]
        both = np.isfinite(dates[0]) & np.isfinite(dates[1]) & (dates[0] > 0) & (dates[1] > 0)
        known = np.isfinite(error)
        # sigma is one standard deviation: 1.645 of them on either side hold 90 % of a normal error.
        inside = np.abs(error[known]) <= NORMAL_90 * self.sigma[known]
        return {
            "targets": len(self.truth),
            "rmse": pooled[0],
            "linear": pooled[1],
            "ratio": _ratio(*pooled),
            "ratio_geometric": float(np.exp(np.log(dates[0][both] / dates[1][both]).mean()))
            if both.any()
            else np.nan,
            "ratio_clean": _ratio(*clean),
            "targets_clean": int((~self.contaminated).sum()),
            "coverage90": float(inside.mean()),
        }


def evaluate_reconstruction_tables(
    folder: str | Path,
    model: str | Path | Embedder = "default",
    device: str = "auto",
    within_days: tuple[int, ...] = HIDDEN_WITHIN_DAYS,
    max_blue: float | None = None,
) -> Steps[tuple[dict[str, float], str]]:
    """Score all series tables of a folder; yields progress.

    Parameters
    ----------
    folder : str or Path
        Tables as ``find_tables`` finds them.
    model, device
        As of ``embeddings.series.embed.embed_series``.
    within_days : tuple of int
        What is hidden around each target, days on either side; 0 hides every third date at once.
    max_blue : float or None
        Rows of higher B02 are left out altogether, as snow or cloud the table's own filter missed; none by default.

    Returns
    -------
    numbers : dict of str to float
        Flat: ``<set>_<case>_<score>``, see ``Targets.scores``; ``all`` is the mean over sets.
    text : str
        The same as a table.
    """
    net = load_model(model, device)
    yield "reading the tables", 0.0
    sets = find_tables(folder)
    numbers: dict[str, float] = {}
    lines = [
        "Hidden dates of series tables, RMSE of reflectance, mean over bands; ratio to linear interpolation pooled, as"
        " geometric mean over dates, and without targets brighter than all dates within 45 d"
    ]
    for at, (name, table) in enumerate(sets.items()):
        lines += ["", f"{name + f' ({len(table.ids)} series)':40}{COLUMNS}"]
        # Snow and cloud that a mask has missed: both methods are scored without them, and their number is printed.
        before = len(table.sensors["s2"].day)
        table = without_bright(table, max_blue)
        if max_blue is not None:
            left_out = before - len(table.sensors["s2"].day)
            lines.append(f"{left_out:,} of {before:,} rows above {max_blue:g} in B02 are left out")
        shown = _with_and_without_radar(table, net)
        # Zero hides the date alone; more days hide its neighbours too, as a longer gap would.
        for step, days in enumerate(within_days):
            for suffix, visible in shown.items():
                yield f"{name}: {_label(days)}", (at + step / len(within_days)) / len(sets)
                targets = yield from hide_and_reconstruct(visible, net, days)
                # Series too sparse for this gap have no target left in it.
                if not len(targets.truth):
                    continue
                scores = targets.scores()
                numbers |= {f"{name}_{_key(days)}{suffix}_{score}": value for score, value in scores.items()}
                lines.append(_row(_label(days) + (", without s1" if suffix else ""), scores))
    if not numbers:
        raise InputError(
            f"Got {folder} without a series of three dates, need one to hide a date; add tables."
        )
    # Sets count alike, whatever their number of series: the largest would otherwise decide.
    numbers |= _mean_of_sets(numbers, list(sets))
    if len(sets) > 1:
        lines += ["", f"{f'mean of {len(sets)} sets':40}{COLUMNS}", *_rows_of_mean(numbers, within_days)]
    is_trained_on = Path(folder).resolve().name in net.identity.card.get("measured_folders", [])
    protocol = Protocol(
        data=f"{folder}: {', '.join(sets)}",
        split="dates hidden from the model, from the other dates of the same series; the weights were"
        f" {'' if is_trained_on else 'not '}trained on a folder of that name",
        baselines="linear interpolation between the neighbouring dates",
        weights=describe_weights(net),
    )
    return protocol.attach(numbers, "\n".join(lines))


def _with_and_without_radar(table: SeriesTable, model: Embedder) -> dict[str, SeriesTable]:
    """The table and, where the model reads its Sentinel-1, the table without it, by ending of their keys."""
    shown = {"": table}
    if "s1" in table.sensors and "s1" in model.config.sensors:
        only = {"s2": table.sensors["s2"]}
        # The same targets without Sentinel-1: what radar adds or costs.
        shown["_without_s1"] = SeriesTable(table.ids, only, table.lon, table.lat)
    return shown


def hide_and_reconstruct(table: SeriesTable, model: Embedder, within_days: int = 0) -> Steps[Targets]:
    """Hide every third inner date of each series and predict it; yields progress.

    Parameters
    ----------
    table : SeriesTable
        Series with Sentinel-2.
    model : Embedder
        Loaded model.
    within_days : int
        0 hides all targets at once; else each alone, with all Sentinel-2 this near to it.
    """
    observations = table.sensors["s2"]
    edge = np.searchsorted(observations.series, np.arange(len(table.ids) + 1))
    # Every third inner date: first and last have no neighbour on one side to interpolate from.
    targets = [np.arange(a + 1, b - 1)[::EVERY] for a, b in pairwise(edge)]
    hidden = np.zeros(len(observations.day), bool)
    hidden[np.concatenate([*targets, np.empty(0, np.int64)])] = True
    # rows of all targets, which are shown to each, and what linear interpolation makes of them
    used, shown, guesses, bright = [], [], [], []
    for own, (a, b) in zip(targets, pairwise(edge), strict=True):
        day, values = observations.day[a:b], observations.values[a:b]
        # Contamination by cloud shows in the visible; the rule must not look at our prediction.
        light = values[:, [SENSORS["s2"].bands.index(band) for band in VISIBLE_BANDS]].mean(1)
        for row in own:
            offset_days = day - observations.day[row]
            visible = ~hidden[a:b] if within_days == 0 else np.abs(offset_days) > within_days
            # Interpolation needs a date on both sides; a target without is left out for both methods.
            if not ((offset_days[visible] < 0).any() and (offset_days[visible] > 0).any()):
                continue
            used.append(row)
            # Dates beyond the fusion's window have no weight, and would only make the batch larger.
            shown.append(a + np.flatnonzero(visible & (np.abs(offset_days) <= WINDOW_DAYS)))
            guesses.append(_linear(day[visible], values[visible], int(observations.day[row])))
            near = (np.abs(offset_days) <= NEIGHBOUR_DAYS) & (offset_days != 0)
            bright.append(bool(near.any() and light[row - a] > np.nanmax(light[near], initial=-np.inf)))
    rows = np.array(used, np.int64)
    bands = observations.values.shape[1]
    if not len(rows):
        none = np.empty((0, bands), np.float32)
        return Targets(none, none, none, none, np.empty(0, bool))
    if within_days == 0:
        left = SeriesTable(table.ids, table.sensors | {"s2": observations.at(~hidden)}, table.lon, table.lat)
        series = observations.series[rows]
    else:
        # Each target becomes a series of its own, which lacks what is hidden around it.
        left = _series_per_target(table, rows, shown)
        series = np.arange(len(rows))
    mean, sigma = yield from reconstruct(left, series, observations.day[rows], model)
    return Targets(observations.values[rows], mean, sigma, np.array(guesses), np.array(bright))


def without_bright(table: SeriesTable, max_blue: float | None) -> SeriesTable:
    """Leave out rows of Sentinel-2 that are bright in blue: snow or cloud that the table's own filter missed.

    Parameters
    ----------
    table : SeriesTable
        Series with Sentinel-2.
    max_blue : float or None
        Highest reflectance in B02 that is kept; None keeps all.

    Returns
    -------
    SeriesTable
        The same series; other sensors are kept whole.
    """
    if max_blue is None:
        return table
    observations = table.sensors["s2"]
    # Written so that rows without blue stay: a comparison with NaN is False.
    dark = ~(observations.values[:, SENSORS["s2"].bands.index("B02")] > max_blue)
    return SeriesTable(table.ids, table.sensors | {"s2": observations.at(dark)}, table.lon, table.lat)


def _series_per_target(table: SeriesTable, rows: np.ndarray, shown: list[np.ndarray]) -> SeriesTable:
    """A series for each target: its visible Sentinel-2, and all else of its series within the model's window."""
    observations = table.sensors["s2"]
    of, day = observations.series[rows], observations.day[rows]
    rows_of = {
        "s2": (
            np.repeat(np.arange(len(rows)), [len(of_target) for of_target in shown]),
            np.concatenate(shown),
        )
    }
    for name, other in table.sensors.items():
        if name == "s2":
            continue
        # First row of each series, and the end; rows are sorted by series.
        edge = np.searchsorted(other.series, np.arange(len(table.ids) + 1))
        near = []
        for one, at in zip(of, day, strict=True):
            a, b = edge[one], edge[one + 1]
            # Sorted by day within a series, so the window around a target is found by bisection.
            begin, stop = np.searchsorted(other.day[a:b], (at - WINDOW_DAYS, at + WINDOW_DAYS + 1))
            near.append(np.arange(a + begin, a + stop))
        rows_of[name] = (
            np.repeat(np.arange(len(rows)), [len(of_target) for of_target in near]),
            np.concatenate(near),
        )
    # A series per target, so that each has its own hidden date.
    sensors = {
        name: Observations(target, table.sensors[name].day[at], table.sensors[name].values[at])
        for name, (target, at) in rows_of.items()
    }
    return SeriesTable(table.ids[of], sensors, table.lon[of], table.lat[of])


def _linear(day: np.ndarray, values: np.ndarray, at: int) -> np.ndarray:
    """(band,) between the nearest measured values before and after the day."""
    out = np.full(values.shape[1], np.nan)
    for band in range(values.shape[1]):
        known = np.isfinite(values[:, band])
        if known.any():
            # Bands may be missing on different dates.
            out[band] = np.interp(at, day[known], values[known, band])
    return out


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is finite, NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis)
    return np.where(known.any(axis), total / np.maximum(known.sum(axis), 1), np.nan)


def _ratio(ours: float, linear: float) -> float:
    """Ratio of two errors; NaN where interpolation makes none, as of values that never change."""
    return ours / linear if linear > 0 else float("nan")


def _rmse(error: np.ndarray) -> float:
    """Root-mean-square over targets per band, mean over the measured bands."""
    bands = np.sqrt(_mean(error**2, 0))
    known = np.isfinite(bands)
    return float(bands[known].mean()) if known.any() else float("nan")


def _key(days: int) -> str:
    """The case in keys of numbers, as ``_label`` names it for people."""
    return "hidden" if days == 0 else f"within_{days}d"


def _label(days: int) -> str:
    return "every third date" if days == 0 else f"a gap of {2 * days} d (all within {days} d)"


def _row(label: str, scores: dict[str, float]) -> str:
    return (
        f"  {label:38}{scores['targets']:8.0f}{scores['rmse']:10.4f}{scores['linear']:9.4f}{scores['ratio']:8.3f}"
        f"{scores['ratio_geometric']:9.3f}{scores['ratio_clean']:8.3f}{scores['coverage90']:9.1%}"
    )


def _mean_of_sets(numbers: dict[str, float], sets: list[str]) -> dict[str, float]:
    """``all_...``: mean over the sets that have a number, targets summed."""
    by_key: dict[str, list[float]] = {}
    for name in sets:
        for key, value in numbers.items():
            if key.startswith(f"{name}_hidden") or key.startswith(f"{name}_within"):
                by_key.setdefault(f"all{key.removeprefix(name)}", []).append(value)
    return {
        key: float(np.sum(values) if "_targets" in key else np.mean(values)) for key, values in by_key.items()
    }


def _rows_of_mean(numbers: dict[str, float], within_days: tuple[int, ...]) -> list[str]:
    """A line of each case that has a mean over sets; without those that leave Sentinel-1 out."""
    rows = []
    for days in within_days:
        prefix = f"all_{_key(days)}_"
        scores = {k.removeprefix(prefix): v for k, v in numbers.items() if k.startswith(prefix)}
        # A gap longer than all series leaves no target in any set.
        if "rmse" in scores:
            rows.append(_row(_label(days), scores))
    return rows
