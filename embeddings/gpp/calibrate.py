"""Calibrations from tables of measured rows, and from a tower beside the daily prediction for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import metrics
from fluxlens.embeddings.gpp import calibration as engine
from fluxlens.embeddings.gpp import cubes, table_days, tables
from fluxlens.embeddings.gpp.calibration import PRIORS, DayTerms, SiteRows
from fluxlens.embeddings.gpp.calibration_file import Calibration, HeadAdjustment
from fluxlens.embeddings.gpp.drivers import daily_drivers
from fluxlens.embeddings.gpp.table_resolution import is_fine
from fluxlens.embeddings.scenes.acquisitions import parse_day, to_epoch_day
from fluxlens.embeddings.towers import periods
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import NORMAL_90

BLOCKS = 5
"""Runs of days left out in turn, to tell what a calibration does on days it has not seen."""
LEAST_BLOCK_DAYS = 10
"""Measured days below which no block is left out: what remains would calibrate nothing."""
LEAST_QC = 0.75
"""Share of good net exchange below which a tower's day does not count."""


def calibrate_table(
    path: str | Path,
    start: Any = None,
    end: Any = None,
    model: str = "default",
    resolution_m: float | None = None,
) -> Calibration:
    """Calibrate the head to measured rows of a table.

    Parameters
    ----------
    path
        CSV as ``tables.read`` takes it, with GPP (gC m-2 d-1) of one tower or several.
    start, end
        First and last day that count, ISO dates; None: of the table.
    model
        Name or path of the embedder.
    resolution_m
        Metres of land a row shows, as ``predict_table.predict`` takes it.

    Returns
    -------
    Calibration
        With an adjustment for each tower, and one for further places.

    Raises
    ------
    InputError
        Where the table is not as needed, or fewer than three measured days remain.
    """
    from fluxlens.models import checkpoints

    every = tables.read(path, need_gpp=True, resolution_m=resolution_m)
    wanted = np.isfinite(every["gpp"].values) & _within(every["date"], start, end)
    if not wanted.any():
        raise InputError(
            f"Got {Path(path).name} without measured GPP from {start or 'its start'} to {end or 'its end'}, need"
            f" {engine.LEAST_DAYS} days or more; give more days."
        )
    fine = is_fine(every)
    head = cubes.load("default")
    embedder = checkpoints.load(model, "cpu")
    rows: dict[str, SiteRows] = {}
    # Rows without GPP stay: their spectra are acquisitions.
    for name, at in every.groupby("site", sort=False).indices.items():
        measured = wanted[at]
        if not measured.any():
            continue
        one = every.iloc[at].reset_index(drop=True)
        z, sw, drivers = table_days.embed_rows(one, embedder)  # (row, feature), (row,), (row, driver)
        # Without the calibration of any cube: what is fitted below is the departure from the head itself.
        mean, spread, _ = head.predict_rows(z, sw, drivers, fine[at])
        day, gpp = to_epoch_day(one["date"].values), one["gpp"].values
        rows[str(name)] = SiteRows(day, gpp, mean, spread, DayTerms.from_drivers(sw, drivers)).take(measured)
    dates = every["date"][wanted]
    names = list(rows)
    # A day of two towers is two measured days; two rows of a tower's day are one.
    days = pd.DataFrame({"site": every["site"][wanted], "day": to_epoch_day(dates.values)}).drop_duplicates()
    facts = _facts(Path(path).name, "GPP", dates, len(days), names)
    return Calibration(
        names[0] if len(names) == 1 else f"{len(names)} towers of {Path(path).stem}",
        facts,
        (_head("daily", head.digest, rows),),
    )


def calibrate_series(
    predicted: xr.Dataset,
    tower: xr.Dataset,
    weather: xr.Dataset | None,
    lat: float,
    weights: str,
    start: Any = None,
    end: Any = None,
    least_qc: float = LEAST_QC,
    flux: str | None = None,
) -> Calibration:
    """Calibrate the daily head to a tower.

    Parameters
    ----------
    predicted
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (time), gC m-2 d-1, uncalibrated, where the tower stands.
    tower
        Of ``towers.read``: ``gpp_nt`` or ``gpp_dt`` (time), gC m-2 d-1, daily; ``qc`` (time) 0-1 where known.
    weather
        Daily (time), as the prediction had it; units of the scene contract.
    lat
        Degrees north.
    weights
        Digest of the head that predicted.
    start, end
        First and last day that count, ISO dates; None: all in common.
    least_qc
        Days of lower quality do not count.
    flux
        ``gpp_nt`` or ``gpp_dt``; None: as ``periods.pair`` chooses.

    Returns
    -------
    Calibration
        For one tower.

    Raises
    ------
    InputError
        Where fewer than three measured days are in common, or the tower gives weeks or months.
    """
    if (resolution := str(tower.attrs.get("resolution", "daily"))) in periods.SCALES:
        raise InputError(f"Got {resolution} GPP, need days to calibrate; give a daily or half-hourly file.")
    # The other partitioning is taken away, so that ``pair`` has nothing left to choose.
    if flux is not None:
        tower = tower.drop_vars([name for name in ("gpp_nt", "gpp_dt") if name in tower and name != flux])
    # Cut before ``pair``, which chooses a partitioning by how many days it has.
    inside = _within(pd.Series(tower.indexes["time"]), start, end)
    pairs = periods.pair(predicted, tower.isel(time=np.flatnonzero(inside)), least_qc)
    days = pd.DatetimeIndex(pairs.both)
    at = {name: pairs.predicted[name].sel(time=days).values.astype(float) for name in GPP_COLUMNS}
    # The weather as the prediction had it: with other weather the terms would explain what the weather differs by.
    terms = DayTerms.from_drivers(*daily_drivers(weather, days.normalize(), lat))
    rows = SiteRows(
        to_epoch_day(days.values),
        pairs.observed.sel(time=days).values.astype(float),
        at["gpp"],
        # From the width of the 90 % band back to a standard deviation; a band of no width would weigh without bound.
        np.maximum(at["gpp_hi"] - at["gpp_lo"], 1e-3) / (2 * NORMAL_90),
        terms,
    )
    name = str(tower.attrs.get("site", "")) or "tower"
    variable = str(tower[pairs.flux].attrs.get("source_column", "") or pairs.flux)
    facts = _facts(str(tower.attrs.get("source", name)), variable, pd.Series(days), len(days), [name])
    return Calibration(name, facts, (_head("daily", weights, {name: rows}),))


def check_on_blocks(sites: dict[str, SiteRows], prior: engine.Prior) -> dict[str, float]:
    """Scores before and after calibration, on runs of days left out of it.

    Parameters
    ----------
    sites
        Measured days by tower.
    prior
        Of the head that predicted them.

    Returns
    -------
    dict
        ``days``, ``nse_before``, ``nse_after``, ``rmse_before``, ``rmse_after`` (gC m-2 d-1), ``coverage_after`` of the
        90 % band; empty with fewer than ``LEAST_BLOCK_DAYS`` days.
    """
    if sum(len(rows.day) for rows in sites.values()) < LEAST_BLOCK_DAYS:
        return {}
    # Runs and not random days: neighbours of a day left out would tell it.
    # The rank of each day, twice argsorted, cut into ``BLOCKS`` runs of equal length.
    block = {name: np.argsort(np.argsort(rows.day)) * BLOCKS // len(rows.day) for name, rows in sites.items()}
    observed, before, after, inside = [], [], [], []
    for left in range(BLOCKS):
        known = {name: rows.take(block[name] != left) for name, rows in sites.items()}
        known = {name: rows for name, rows in known.items() if len(rows.day)}
        # Too few days left: no check, rather than one of another kind of calibration.
        if sum(len(np.unique(rows.day)) for rows in known.values()) < engine.LEAST_DAYS:
            return {}
        # Fitted anew without the block: the prior is of other towers and has seen none of these days.
        pooled, own = engine.fit(known, prior)
        for name, rows in sites.items():
            held_out = rows.take(block[name] == left)
            # A site of which no day is left is predicted by the pooled calibration, as a new tower would be.
            mean, is_inside = own.get(name, pooled).check(held_out)
            observed.append(held_out.gpp)
            before.append(held_out.predicted)
            after.append(mean)
            inside.append(is_inside)
    truth, old, new = (np.concatenate(blocks) for blocks in (observed, before, after))
    return {
        "days": float(len(truth)),
        "nse_before": metrics.nse(truth, old),
        "nse_after": metrics.nse(truth, new),
        "rmse_before": metrics.rmse(truth, old),
        "rmse_after": metrics.rmse(truth, new),
        "coverage_after": float(np.concatenate(inside).mean()),
    }


def report(made: Calibration) -> str:
    """How far a calibration moved the prediction and how sure it is, as text.

    Parameters
    ----------
    made
        The calibration.
    """
    m = made.measured
    lines = [
        f"{made.name}: {m['days']} measured days at {len(m['sites'])} tower(s), {m['start']} to {m['end']},"
        f" {m['variable']}"
    ]
    for head in made.heads:
        one = head.pooled
        sd = np.sqrt(np.diag(one.covariance))
        moved = ", ".join(
            f"{name} {mean:+.2f} ± {width:.2f}"
            for name, mean, width in zip(engine.TERMS, one.mean, sd, strict=True)
        )
        lines.append(f"{head.kind} head {head.weights}: {moved}; {one.effective_days:.1f} effective days")
        if head.checked:
            c = head.checked
            lines.append(
                f"  on days left out in blocks: RMSE {c['rmse_before']:.2f} before, {c['rmse_after']:.2f} after"
                f" gC m-2 d-1; NSE {c['nse_before']:.2f}, {c['nse_after']:.2f}; the band holds"
                f" {c['coverage_after']:.0%}"
            )
    return "\n".join(lines)


def _head(kind: str, weights: str, rows: dict[str, SiteRows]) -> HeadAdjustment:
    prior = PRIORS[kind]
    pooled, own = engine.fit(rows, prior)
    # An NSE of a constant series is not a number, which JSON has no word for.
    checked = check_on_blocks(rows, prior)
    is_known = np.isfinite(list(checked.values())).all()
    return HeadAdjustment(kind, weights, pooled, own, checked if is_known else {})


def _within(dates: pd.Series, start: Any, end: Any) -> np.ndarray:
    """Which dates lie from ``start`` to ``end``, both included."""
    days = to_epoch_day(dates.values)
    first, last = parse_day(start, None, "start"), parse_day(end, None, "end")
    inside = np.ones(len(days), bool)
    if first is not None:
        inside &= days >= first
    if last is not None:
        inside &= days <= last
    return inside


def _facts(source: str, variable: str, dates: pd.Series, days: int, sites: list[str]) -> dict[str, Any]:
    return {
        "source": source,
        "variable": variable,
        "start": str(dates.min().date()),
        "end": str(dates.max().date()),
        "days": int(days),
        "sites": sites,
    }
