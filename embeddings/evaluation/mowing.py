"""Mowing dates found by one simple detector on several daily series: interpolated NDVI, and what the model makes of it.

Protocol: a detector gives every day of the season a score, takes the days of highest score that lie
``LEAST_SEPARATION_DAYS`` apart, and calls those above a threshold mown. Everything that is fitted (weights of changes,
lag, penalty, threshold) is fitted on plots elsewhere: plots are divided into blocks by place, each fold of blocks is
detected by the others, and the threshold is chosen by leaving out each of those in turn. A detected day within
``TOLERANCE_DAYS`` of a mowing that no better day has taken is right. Years of a plot without any reported event are
left out, since nobody may have looked.

Long on purpose: reading events, detectors and scores are one protocol.

The drop of NDVI as a sign of mowing: Kolecka et al. 2018, doi:10.3390/rs10081221.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.evaluation.series_tables import without_bright
from fluxlens.embeddings.place_columns import read_places
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.readers import series_columns
from fluxlens.embeddings.readers.series_sets import find_tables
from fluxlens.embeddings.readers.series_table import SeriesTable
from fluxlens.embeddings.scenes.acquisitions import from_epoch_day
from fluxlens.embeddings.series.embed import embed_series_steps
from fluxlens.embeddings.series.loading import load_model
from fluxlens.embeddings.text_cells import plain_name
from fluxlens.embeddings.text_table import read_table
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SENSORS

SEASON = ("04-15", "10-31")
"""First and last day (month-day) in which mowing is looked for."""
LAGS_DAYS = (-20, -10, -5, 5, 10, 20)
"""A learned detector sees the change from a day to these, and the value of the day."""
DROP_DAYS = (3, 5, 8, 10, 15)
"""Half-widths of a drop, of which training plots choose one."""
NEAR_DAYS = 4
"""Days this near to a mowing teach a learned detector what mowing looks like."""
TOLERANCE_DAYS = 12
"""A detected day this near to a reported one is right: reports and revisits are days to a week off."""
LEAST_SEPARATION_DAYS = 20
FOLDS = 5
BLOCKS = 25
"""Places that stay together in one fold, by k-means of the coordinates."""
INVERSE_PENALTIES = (0.003, 0.03)
"""Of the logistic regression on standardised changes; training plots choose one."""
TRAINING_STRIDE = 2
"""Every second day teaches: neighbouring days are nearly the same row."""


@dataclass(frozen=True)
class PlotYear:
    """One season of one plot.

    Parameters
    ----------
    name
        Of the set of the plot.
    block
        Place, left out as one.
    day
        (t,) days since 1970-01-01 of the season.
    inputs
        Per input (t + 2 margin, variable) daily values; the margin is the largest lag on either side.
    mown
        (event,) reported days, sorted.
    """

    name: str
    block: int
    day: np.ndarray
    inputs: dict[str, np.ndarray]
    mown: np.ndarray


MARGIN = max(*DROP_DAYS, *(abs(lag) for lag in LAGS_DAYS))


def evaluate(
    folder: str | Path,
    events: str | Path | None = None,
    model: str | Path | Embedder = "default",
    device: str = "auto",
    max_blue: float | None = None,
) -> Steps[tuple[dict[str, float], str]]:
    """Detect mowing on interpolated NDVI, on NDVI of the daily answer and on the embedding; yields progress.

    Parameters
    ----------
    folder : str or Path
        Series tables, as ``find_tables`` finds them.
    events : str, Path or None
        Table of a series' id, ``type`` (``mowing`` and others), ``date`` and, to keep neighbours together, ``lon`` and
        ``lat``; ``events.parquet`` or ``.csv`` in the folder where not given.
    model, device
        As of ``embeddings.series.embed.embed_series``.
    max_blue : float or None
        Rows of higher B02 (reflectance) are left out as snow or cloud.

    Returns
    -------
    numbers : dict of str to float
        Flat: per set and for ``all`` the ``<set>_<input>_<detector>_<score>``, score being ``f1``, ``precision``,
        ``recall`` or ``days_off`` (median distance of right days, d); ``gain_<input>_<detector>_f1`` is the F1 less
        that of the same detector on interpolated NDVI.
    text : str
        The same as a table.

    Raises
    ------
    InputError
        Where no events are found, or too few to leave some out.
    """
    net = load_model(model, device)
    yield "reading the tables", 0.0
    sets = find_tables(folder)
    reported = _read_events(folder, events, np.concatenate([table.ids for table in sets.values()]))
    units: list[PlotYear] = []
    for at, (name, table) in enumerate(sets.items()):
        yield f"{name}: daily answers", 0.3 * at / len(sets)
        units += yield from _plot_years(name, without_bright(table, max_blue), reported, net)
    numbers: dict[str, float] = {
        "plot_years": len(units),
        "mowings": int(sum(len(unit.mown) for unit in units)),
    }
    names = [*sets, "all"] if len(sets) > 1 else ["all"]
    scores, table = yield from _score_detectors(units, names)
    numbers |= scores
    gains = {}
    # Against interpolated NDVI, which is what practice does without embeddings.
    for source, kind in (("ndvi_daily", "drop"), ("ndvi_daily", "learned"), ("embedding", "learned")):
        gains[f"{source}_{kind}"] = numbers[f"all_{source}_{kind}_f1"] - numbers[f"all_ndvi_linear_{kind}_f1"]
    numbers |= {f"gain_{key}_f1": value for key, value in gains.items()}
    protocol = Protocol(
        data=f"{folder}: {numbers['mowings']} mowings in {len(units)} seasons of {', '.join(sets)}",
        split=f"{FOLDS} folds of whole places: each place by detectors fitted at the others",
        baselines="the same detectors on NDVI and on bands, interpolated linearly in time",
        weights=describe_weights(net),
    )
    return protocol.attach(
        numbers,
        f"Mowing dates: {numbers['mowings']} in {len(units)} seasons, each place by detectors fitted elsewhere;"
        f" right within {TOLERANCE_DAYS} d\n"
        f"{table.to_string(index=False, float_format='{:.3f}'.format)}\n"
        "F1 less that of interpolated NDVI, same detector: "
        + ", ".join(f"{key.replace('_', ' ')} {value:+.3f}" for key, value in gains.items()),
    )


def _score_detectors(units: list[PlotYear], names: list[str]) -> Steps[tuple[dict[str, float], pd.DataFrame]]:
    """Scores of every detector on every series, ``<set>_<input>_<detector>_<score>``, and their table.

    Parameters
    ----------
    units
        Seasons of all sets.
    names
        Sets that get scores of their own; ``all`` for the seasons of all.
    """
    folds = _folds(units)
    # The same two detectors on each series: what differs in the score then is the series and not the detector.
    detectors = {
        ("ndvi_linear", "drop"): (_drop_detector, "linear"),
        ("ndvi_daily", "drop"): (_drop_detector, "daily"),
        ("ndvi_linear", "learned"): (_learned_detector, "linear"),
        ("ndvi_daily", "learned"): (_learned_detector, "daily"),
        ("bands_linear", "learned"): (_learned_detector, "bands"),
        ("embedding", "learned"): (_learned_detector, "embedding"),
    }
    numbers: dict[str, float] = {}
    rows = []
    for at, ((source, kind), (detector, key)) in enumerate(detectors.items()):
        yield f"detecting on {source}, {kind}", 0.3 + 0.7 * at / len(detectors)
        detected = detector(units, folds, key)
        for name in names:
            chosen = [i for i, unit in enumerate(units) if name in (unit.name, "all")]
            # A set whose series have no event has nothing to find.
            if not any(len(units[i].mown) for i in chosen):
                continue
            scores = _scores([units[i] for i in chosen], [detected[i] for i in chosen])
            numbers |= {f"{name}_{source}_{kind}_{score}": value for score, value in scores.items()}
            rows.append({"set": name, "series": source.replace("_", " "), "detector": kind, **scores})
    return numbers, pd.DataFrame(rows).sort_values(["set", "detector"], kind="stable")


def _read_events(folder: str | Path, events: str | Path | None, ids: np.ndarray) -> pd.DataFrame:
    """Events of known series: ``id``, ``day``, ``type``, ``lon``, ``lat`` (NaN where not given)."""
    path = Path(events) if events else None
    if path is None:
        # Beside the tables, as data sets are packed.
        near = [Path(folder) / f"events{ending}" for ending in (".parquet", ".csv")]
        path = next((one for one in near if one.is_file()), None)
    if path is None or not path.is_file():
        raise InputError(
            f"Got {folder} without a table of events, need dated mowing; give it as --events FILE."
        )
    table = read_table(path)
    kind = next((column for column in table.columns if plain_name(str(column)) in ("type", "event")), None)
    # A table may hold the id of the plot and that of its site: the column that names most series counts.
    known = {
        column: np.isin(table[column].astype(str).str.strip(), ids).sum()
        for column in table.columns
        if plain_name(str(column)) in series_columns.ID_NAMES
    }
    if kind is None or not known or max(known.values()) == 0:
        raise InputError(
            f"Got {path.name} with the columns {', '.join(map(str, table.columns))[:80]}, need the id of a series, date"
            " and type; correct it."
        )
    place = read_places(table, path.name) or (np.nan, np.nan)
    out = pd.DataFrame(
        {
            # The column that names the most series of this folder.
            "id": table[max(known, key=known.__getitem__)].astype(str).str.strip(),
            "day": series_columns.to_epoch_days(table, path.name),
            "type": table[kind].astype(str).str.strip().str.lower(),
            "lon": place[0],
            "lat": place[1],
        }
    )
    # Events of plots without a series can be neither found nor missed.
    return out[out["id"].isin(ids)]


def _plot_years(
    name: str, table: SeriesTable, reported: pd.DataFrame, model: Embedder
) -> Steps[list[PlotYear]]:
    """The reported seasons of a set, with their daily inputs."""
    observed = table.sensors["s2"]
    # Rows are sorted by series: ``edge`` has the first row of each, and the end.
    edge = np.searchsorted(observed.series, np.arange(len(table.ids) + 1))
    frames = []
    yield from embed_series_steps(*tables_of(table), None, model, sink=frames.append)
    daily = pd.concat(frames)
    features = [f"e{i:02d}" for i in range(model.features)]
    rows = dict(list(daily.groupby("id", sort=False)))
    blocks = _blocks(reported)
    units = []
    for own, (a, b) in enumerate(pairwise(edge)):
        one = str(table.ids[own])
        events = reported[reported["id"] == one]
        if one not in rows or not len(events):
            continue
        day = rows[one]["time"].to_numpy().astype("datetime64[D]").astype(np.int64)
        z = rows[one][features].to_numpy(np.float32)
        with torch.inference_mode():
            # A copy: the columns of a frame are not writable, of which PyTorch warns.
            decoded = model.decoders["s2"](torch.from_numpy(z.copy()).to(model.scale.device)).cpu().numpy()
        ndvi = ndvi_of(observed.values[a:b])
        clear = np.isfinite(ndvi)
        if not clear.any():
            continue
        inputs = {
            # The baseline of practice: NDVI through clear dates, a straight line between them.
            "linear": np.interp(day, observed.day[a:b][clear], ndvi[clear])[:, None],
            "daily": ndvi_of(decoded)[:, None],
            "bands": np.stack(
                [np.interp(day, observed.day[a:b][clear], band[clear]) for band in observed.values[a:b].T], 1
            ),
            "embedding": z,
        }
        for year, of_year in events.groupby(from_epoch_day(events["day"].to_numpy()).astype("datetime64[Y]")):
            first, last = (int(np.datetime64(f"{str(year)[:4]}-{end}", "D").astype(int)) for end in SEASON)
            begin, stop = np.searchsorted(day, (first - MARGIN, last + 1 + MARGIN))
            # A season that the series covers in part only would count as one without mowing.
            if stop - begin < last - first + 1 + 2 * MARGIN:
                continue
            # Grazing and other events of the report are no cuts, and do not count as missed ones.
            mown = np.sort(of_year.loc[of_year["type"] == "mowing", "day"].to_numpy())
            units.append(
                PlotYear(
                    name,
                    blocks[one],
                    np.arange(first, last + 1),
                    {key: values[begin:stop] for key, values in inputs.items()},
                    mown[(mown >= first) & (mown <= last)],
                )
            )
    return units


def tables_of(table: SeriesTable) -> list[pd.DataFrame | None]:
    """Tables of a series table as ``embed_series`` reads them.

    Parameters
    ----------
    table : SeriesTable
        One set of series.

    Returns
    -------
    list of pandas.DataFrame or None
        Of Sentinel-2 (reflectance 0-1) and of Sentinel-1 (dB), in this order.
    """
    frames = []
    for sensor in ("s2", "s1"):
        one = table.sensors.get(sensor)
        if one is None:
            frames.append(None)
            continue
        values = pd.DataFrame(one.values, columns=list(SENSORS[sensor].bands)).dropna(axis=1, how="all")
        frame = pd.DataFrame({"id": table.ids[one.series], "date": from_epoch_day(one.day)})
        frames.append(pd.concat([frame, values], axis=1))
    return frames


def ndvi_of(values: np.ndarray) -> np.ndarray:
    """NDVI of spectra of Sentinel-2 (Rouse et al. 1974).

    Parameters
    ----------
    values : numpy.ndarray
        (..., band) reflectance 0-1 in the order of ``SENSORS["s2"]``.

    Returns
    -------
    numpy.ndarray
        (...), -1 to 1; NaN where not measured.
    """
    bands = SENSORS["s2"].bands
    # Tables have one of the two near infrared bands or both; B08 is the one of 10 m.
    nir = np.where(
        np.isfinite(values[..., bands.index("B08")]),
        values[..., bands.index("B08")],
        values[..., bands.index("B8A")],
    )
    red = values[..., bands.index("B04")]
    with np.errstate(all="ignore"):
        return (nir - red) / (nir + red)


def _blocks(reported: pd.DataFrame) -> dict[str, int]:
    """The block of each id: by place where coordinates are given, else each id by itself."""
    from sklearn.cluster import KMeans

    places = reported.groupby("id")[["lon", "lat"]].first()
    known = places.notna().all(axis=1)
    # Numbers from ``BLOCKS`` on, which no cluster below has.
    block = dict(zip(places.index, range(BLOCKS, BLOCKS + len(places)), strict=True))
    if known.sum() > 1:
        # Degrees of longitude are shorter by the cosine of the latitude.
        xy = places[known].to_numpy(float, copy=True)
        xy[:, 0] *= np.cos(np.radians(xy[:, 1].mean()))
        count = min(BLOCKS, len(np.unique(xy, axis=0)))
        labels = KMeans(count, n_init=4, random_state=0).fit_predict(xy)
        block |= dict(zip(places.index[known], labels.tolist(), strict=True))
    return block


def _folds(units: list[PlotYear]) -> np.ndarray:
    """(unit,) the fold of each season; blocks are dealt so that folds are alike in size."""
    blocks = np.array([unit.block for unit in units])
    names, count = np.unique(blocks, return_counts=True)
    if len(names) < 3 or sum(len(unit.mown) for unit in units) < 3:
        raise InputError(
            f"Got {len(names)} places with reported seasons, need three with mowing to leave one out; add plots."
        )
    size = np.zeros(min(FOLDS, len(names)))
    fold_of = {}
    # Largest first into the smallest fold: a greedy division that keeps folds within one block of each other.
    for at in np.argsort(-count, kind="stable"):
        fold_of[names[at]] = int(size.argmin())
        size[fold_of[names[at]]] += count[at]
    return np.array([fold_of[block] for block in blocks])


def _drop_detector(units: list[PlotYear], folds: np.ndarray, key: str) -> list[np.ndarray]:
    """Days found per season by the drop of a series over some days, see ``DROP_DAYS``."""
    scores = {}
    for half in DROP_DAYS:
        scores[half] = []
        for unit in units:
            x = unit.inputs[key][:, 0]
            n = len(unit.day)
            # Value ``half`` days before less that ``half`` days after: high where NDVI drops around the day.
            scores[half].append(x[MARGIN - half :][:n] - x[MARGIN + half :][:n])
    detected: list[np.ndarray] = [np.empty(0)] * len(units)
    for fold in np.unique(folds):
        training = np.flatnonzero(folds != fold)
        some = [units[i] for i in training]
        best = [(*_best_threshold(some, [scores[half][i] for i in training]), half) for half in DROP_DAYS]
        # By F1, then by threshold and half-width, so that ties are broken the same way on every machine.
        _, threshold, half = max(best)
        for i in np.flatnonzero(folds == fold):
            detected[i] = _peaks(scores[half][i], units[i].day, threshold)
    return detected


def _learned_detector(units: list[PlotYear], folds: np.ndarray, key: str) -> list[np.ndarray]:
    """Days found per season by logistic regression on the changes of a series."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler

    # A band that some table lacks is no input.
    common = np.all([np.isfinite(unit.inputs[key]).all(0) for unit in units], 0)
    inputs, mown = [], []
    for unit in units:
        x, n = unit.inputs[key][:, common], len(unit.day)
        on_day = x[MARGIN:][:n]
        changes = [x[MARGIN + lag :][:n] - on_day for lag in LAGS_DAYS]
        inputs.append(np.concatenate([on_day, *changes], 1))  # (day, variable * (1 + lag))
        # Farther than near where a season has no event at all.
        distance_days = np.abs(unit.day[:, None] - unit.mown)  # (day, event)
        mown.append(distance_days.min(1, initial=NEAR_DAYS + 1) <= NEAR_DAYS)

    def fit(members: np.ndarray, inverse_penalty: float) -> Pipeline:
        x = np.concatenate([inputs[i][::TRAINING_STRIDE] for i in members])
        y = np.concatenate([mown[i][::TRAINING_STRIDE] for i in members])
        return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=300)).fit(x, y)

    detected: list[np.ndarray] = [np.empty(0)] * len(units)
    for fold in np.unique(folds):
        training = np.flatnonzero(folds != fold)
        best = []
        for inverse_penalty in INVERSE_PENALTIES:
            # The threshold must suit scores of places that a detector has not seen, so it is chosen on such.
            scores: dict[int, np.ndarray] = {}
            for inner in np.unique(folds[training]):
                detector = fit(training[folds[training] != inner], inverse_penalty)
                for i in training[folds[training] == inner]:
                    scores[i] = detector.decision_function(inputs[i])
            chosen = _best_threshold([units[i] for i in training], [scores[i] for i in training])
            best.append((*chosen, inverse_penalty))
        _, threshold, inverse_penalty = max(best)
        detector = fit(training, inverse_penalty)
        for i in np.flatnonzero(folds == fold):
            detected[i] = _peaks(detector.decision_function(inputs[i]), units[i].day, threshold)
    return detected


def _best_threshold(units: list[PlotYear], scores: list[np.ndarray]) -> tuple[float, float]:
    """The best F1 of these seasons, and the threshold that gives it."""
    # Peaks are cut off one by one from the lowest season's maximum on: 30 steps are finer than the noise of F1.
    grid = np.quantile([one.max() for one in scores], np.linspace(0.02, 0.98, 30))
    return max(
        (_scores(units, [_peaks(s, u.day, level) for u, s in zip(units, scores, strict=True)])["f1"], level)
        for level in grid
    )


def _peaks(score: np.ndarray, day: np.ndarray, threshold: float) -> np.ndarray:
    """Days of highest score (day,) above the threshold, ``LEAST_SEPARATION_DAYS`` apart."""
    peaks: list[int] = []
    # From the highest score down, so that of two near days the better one is kept.
    for at in np.argsort(-score, kind="stable"):
        if score[at] < threshold:
            break
        if all(abs(int(day[at]) - other) >= LEAST_SEPARATION_DAYS for other in peaks):
            peaks.append(int(day[at]))
    return np.array(peaks, np.int64)


def _matches(detected: np.ndarray, mown: np.ndarray) -> Iterator[int]:
    """Distances (d) of found days to the mowing each is matched with, the best found first."""
    left = list(mown)
    for day in detected:
        # A mowing is matched once: two detections around it are one right and one false.
        near = min(left, key=lambda one: abs(one - day), default=None)
        if near is not None and abs(near - day) <= TOLERANCE_DAYS:
            left.remove(near)
            yield abs(int(near - day))


def _scores(units: list[PlotYear], detected: list[np.ndarray]) -> dict[str, float]:
    """F1, precision and recall of found days, and the median distance of right ones, d."""
    off = [d for unit, days in zip(units, detected, strict=True) for d in _matches(days, unit.mown)]
    right, detections = len(off), sum(len(days) for days in detected)
    true = sum(len(unit.mown) for unit in units)
    return {
        "f1": 2 * right / max(detections + true, 1),
        "precision": right / max(detections, 1),
        "recall": right / max(true, 1),
        "days_off": float(np.median(off)) if off else float("nan"),
    }
