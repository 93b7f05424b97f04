"""The GPP head at measured towers they never saw, beside baselines, and calibrated to a few rows or to one year.

Long on purpose: left-out predictions, scores and their report share one flat set of names.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings import climatology, metrics
from fluxlens.embeddings.evaluation import gpp_held_out
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.gpp import calibration as engine
from fluxlens.embeddings.gpp.calibration import DayTerms, SiteRows
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.scenes.acquisitions import to_epoch_day
from fluxlens.embeddings.training import gpp_pixel_days, gpp_towers
from fluxlens.models.gpp.drivers import NORMAL_90

TYPE_ROWS = gpp_held_out.TYPE_ROWS
KNOWN_ROWS = (3, 5, 10)
"""Rows of a tower that calibrate, drawn at random; its other rows are scored."""
DRAWS = 20
"""Times that they are drawn."""
YEAR_DAYS = 150
"""Measured days a year needs to calibrate or to be scored."""
WORSE_NSE = 0.02
"""Loss of NSE from which on a tower counts as worse than uncalibrated."""
LINES = {
    "model": "predicted",
    "nirv x sw": "nirv x sw",
    "p-model": "p-model",
    "day of year": "day_of_year",
    "plant type": "plant_type",
}
"""Columns of the frame by the names of what is scored."""
TIME_SCALES = ("weekly", "anomaly")
"""Of ``metrics.SCALES``, those at which daily series are scored beside their days."""


def evaluate(
    paths: tuple[str, ...], model: str = "default", simulated: int = 48, seed: int = 0
) -> Steps[tuple[dict, str]]:
    """Score the head at towers left out, and calibrated.

    Every tower is predicted by a head that saw neither it nor any other tower of its fold; what calibrates it is its
    own rows and a prior learnt at towers of other folds.

    Parameters
    ----------
    paths
        Tables of measured tower-days, as ``gpp_towers.read`` takes them.
    model
        Name or path of the embedder.
    simulated
        Simulated landscapes that teach beside the towers, as for the shipped head; 0: none.
    seed
        Of folds and weights.

    Yields
    ------
    message, share done

    Returns
    -------
    numbers, table
        Flat, ``GROUP.LINE.SCORE`` and ``calibrated.GROUP.KNOWN.SCORE``; and the same as text.
    """
    from fluxlens.models import checkpoints

    embedder = checkpoints.load(model, "cpu")
    # Before minutes of simulation: a table that cannot be read is told at once.
    yield "reading towers", 0.0
    towers = gpp_towers.read(paths, embedder)
    landscapes = yield from gpp_pixel_days.landscapes(embedder, simulated, 0.3)
    land = gpp_pixel_days.flat(landscapes) if landscapes else None
    frame = yield from gpp_towers.leave_site_out(towers, land, seed)
    frame = add_climatologies(frame.reset_index(drop=True))
    # The band's factor comes from the other folds too: coverage is that of towers left out.
    frame = gpp_towers.with_band(frame)
    result: dict = {
        "split": "leave-site-out",
        "rows": len(frame),
        "sites": int(frame["site"].nunique()),
        "simulated_landscapes": simulated,
    }
    result |= _uncalibrated_scores(frame)
    yield "calibrating", 0.8
    result |= _calibrated_scores(frame, DayTerms.from_drivers(towers.sw, towers.drivers), seed)
    protocol = Protocol(
        data=", ".join(Path(path).name for path in paths),
        split="leave-site-out: each tower by heads trained without it; calibrated, its days that did not calibrate",
        baselines="NIRv x shortwave and the P-model, one factor each of the other towers; climatologies of the other"
        " towers by day of year and by plant type",
        weights=describe_weights(embedder),
    )
    # ``split`` of the numbers stays the name alone, as in files of earlier releases.
    return protocol.attach(result, report(result))


def _uncalibrated_scores(frame: pd.DataFrame) -> dict[str, float]:
    """``GROUP.LINE.SCORE`` of every kind of rows, and of daily series also of clear days and of longer means."""
    out: dict[str, float] = {}
    groups = {str(kind): rows for kind, rows in frame.groupby("kind")}
    daily = groups.get(gpp_towers.DAILY)
    if daily is not None:
        # Days with a clear view apart: how much of the error is due to filled days.
        groups[f"{gpp_towers.DAILY}_observed"] = daily[daily["observed"].astype(bool)]
    for name, rows in groups.items():
        out |= {f"{name}.{key}": value for key, value in group_scores(rows).items()}
    if daily is not None:
        for scale in TIME_SCALES:
            scale_scores = time_scale_scores(daily, scale)
            out |= {f"{gpp_towers.DAILY}_{scale}.{key}": value for key, value in scale_scores.items()}
    return out


def _calibrated_scores(frame: pd.DataFrame, terms: DayTerms, seed: int) -> dict[str, float]:
    """``calibrated.GROUP.KNOWN.SCORE``, and the prior learnt at all towers; ``terms`` are those of the rows."""
    out: dict[str, float] = {}
    sites = site_rows(frame, terms)
    folds = gpp_towers.site_folds(frame, seed)
    kinds = frame.groupby("site")["kind"].agg(set)
    shipped = None
    for kind in (gpp_towers.TABLE, gpp_towers.DAILY):
        some = {name: rows for name, rows in sites.items() if kind in kinds[name]}
        if not some:
            continue
        # Of towers of the same source: what a head gets wrong at 30 m and at 500 m differs.
        priors = fold_priors(some, folds)
        # The shipped one is that of rows seen at 30 m, as users have them.
        shipped = shipped or engine.learn_prior(some)
        # A table has some rows per tower and no whole year; daily series are calibrated by their years.
        scores = few_rows(some, priors, seed) if kind == gpp_towers.TABLE else one_year(some, priors)
        out |= {f"calibrated.{kind}.{key}": value for key, value in scores.items()}
    # The prior that ships, its upper triangle (it is symmetric), so that a release can be checked against it.
    out |= {
        f"prior.{a}.{b}": shipped.covariance[i, j]
        for i, a in enumerate(engine.TERMS)
        for j, b in enumerate(engine.TERMS)
        if j >= i
    }
    return out | {"prior.spread": shipped.spread}


def add_climatologies(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``day_of_year`` and ``plant_type``, climatologies of all other towers and of those of the same type.

    Parameters
    ----------
    frame
        ``site``, ``date``, ``type``, ``gpp`` (gC m-2 d-1).

    Returns
    -------
    DataFrame
        With the two columns, gC m-2 d-1.
    """
    # A constant group stands for "all towers", so that both columns go through one function.
    frame = frame.assign(day_of_year=np.nan, plant_type=np.nan, all="all")
    for site in frame["site"].unique():
        left = (frame["site"] == site).values
        for column, group in (("day_of_year", "all"), ("plant_type", "type")):
            frame.loc[left, column] = climatology.pft_climatology(frame[~left], frame[left], group)
    return frame.drop(columns="all")


def group_scores(rows: pd.DataFrame) -> dict[str, float]:
    """Scores of one kind of rows: all lines pooled, by tower, plant type and climate; of the model also the band.

    Parameters
    ----------
    rows
        Columns of ``LINES``, ``gpp``, ``spread`` (gC m-2 d-1), ``site``, ``type``, ``climate``.

    Returns
    -------
    dict
        ``LINE.SCORE``, of climates ``LINE.climate_SCORE``, and the 90 % interval over towers of the model's NSE less
        that of NIRv x shortwave.
    """
    out: dict[str, float] = {"rows": len(rows), "sites": rows["site"].nunique()}
    half = NORMAL_90 * rows["spread"]  # (row,) gC m-2 d-1
    inside = (rows["gpp"] - rows["predicted"]).abs() <= half
    # Prefix of the scores, then the rows of each part that is large enough for scores of its own.
    rows_of = {
        (prefix, str(kind)): (rows[column] == kind).values
        for prefix, column in (("", "type"), ("climate_", "climate"))
        for kind, count in rows[column].value_counts().sort_index().items()
        if count >= TYPE_ROWS and (column, kind) != ("climate", "unknown")
    }
    for name, column in LINES.items():
        key = name.replace(" ", "_")
        own = [
            metrics.nse(one["gpp"], one[column])
            for _, one in rows.groupby("site")
            if len(one) >= gpp_towers.RICH_ROWS
        ]
        out[f"{key}.nse"] = metrics.nse(rows["gpp"], rows[column])
        out[f"{key}.rmse"] = metrics.rmse(rows["gpp"], rows[column])
        out[f"{key}.median_site_nse"] = float(np.median(own)) if own else np.nan
        for (prefix, kind), of in rows_of.items():
            out[f"{key}.{prefix}nse_{kind}"] = metrics.nse(rows["gpp"][of], rows[column][of])
    out["model.coverage"] = float(inside.mean())
    for (prefix, kind), of in rows_of.items():
        out[f"model.{prefix}coverage_{kind}"] = float(inside[of].mean())
    out["difference_low"], out["difference_high"] = gpp_towers.difference_interval(rows)
    return out


def time_scale_scores(rows: pd.DataFrame, scale: str) -> dict[str, float]:
    """Scores of daily series at one time scale: all lines over all towers, and the median of towers.

    Weeks are whole ones of each tower; anomalies are departures of measured and predicted GPP, each from its own mean
    seasonal cycle at the tower, where two years or more are known.

    Parameters
    ----------
    rows
        Columns of ``LINES``, ``gpp`` (gC m-2 d-1), ``site``, ``date``; days of daily series.
    scale
        One of ``metrics.SCALES``.

    Returns
    -------
    dict
        ``rows`` (weeks, or days with an anomaly), ``sites`` and ``LINE.SCORE``; empty where no tower has any.
    """
    out: dict[str, float] = {}
    sites = [one.set_index("date") for _, one in rows.groupby("site")]
    for name, column in LINES.items():
        pairs = [np.stack(metrics.at_scale(one["gpp"], one[column], scale)) for one in sites]
        pairs = [pair[:, np.isfinite(pair).all(0)] for pair in pairs]  # (observed and predicted, period)
        pairs = [pair for pair in pairs if pair.size]
        if not pairs:
            return {}
        # Every line has a value on every day, so that each line is scored on the same weeks.
        out |= {"rows": sum(pair.shape[1] for pair in pairs), "sites": len(pairs)}
        own = [metrics.nse(*pair) for pair in pairs if pair.shape[1] >= gpp_towers.RICH_ROWS]
        key = name.replace(" ", "_")
        out[f"{key}.nse"] = metrics.nse(*np.concatenate(pairs, 1))
        out[f"{key}.rmse"] = metrics.rmse(*np.concatenate(pairs, 1))
        out[f"{key}.median_site_nse"] = float(np.nanmedian(own)) if own else np.nan
    return out


def site_rows(frame: pd.DataFrame, terms: DayTerms) -> dict[str, SiteRows]:
    """Rows of a frame by tower, as a calibration takes them.

    Parameters
    ----------
    frame
        ``site``, ``date``, ``gpp``, ``predicted``, ``spread`` (gC m-2 d-1); its index counts from 0.
    terms
        Of the same rows.

    Returns
    -------
    dict
        By tower.
    """
    day = to_epoch_day(frame["date"].values)
    columns = [frame[name].values.astype(float) for name in ("gpp", "predicted", "spread")]
    return {
        str(name): SiteRows(day[at], *(column[at] for column in columns), terms.take(at))
        for name, at in frame.groupby("site").indices.items()
    }


def fold_priors(sites: dict[str, SiteRows], folds: list) -> dict[str, engine.Prior]:
    """For each tower, the prior learnt at the towers of other folds.

    Parameters
    ----------
    sites
        By tower.
    folds
        Names of the towers of each.

    Returns
    -------
    dict
        By tower.
    """
    out = {}
    for fold in folds:
        prior = engine.learn_prior({name: rows for name, rows in sites.items() if name not in fold})
        # The factor of the band is the shipped one: ``learn_prior`` leaves it at 1.
        prior = replace(prior, band=engine.PRIORS["daily"].band)
        out |= {name: prior for name in fold if name in sites}
    return out


def few_rows(sites: dict[str, SiteRows], priors: dict[str, engine.Prior], seed: int = 0) -> dict[str, float]:
    """A few rows of each tower known, its other rows scored.

    Parameters
    ----------
    sites, priors
        By tower; those with ``RICH_ROWS`` rows or more are scored.
    seed
        Of the draws.

    Returns
    -------
    dict
        ``N_rows.SCORE``.
    """
    out = {}
    for count in KNOWN_ROWS:
        # The same draws for each count of known rows, so that more rows and not other rows make the difference.
        rng = np.random.default_rng(seed)
        checked: dict[str, list[pd.DataFrame]] = {}
        for name, rows in sites.items():
            # Towers of few rows would give an NSE of their own noise.
            if len(rows.day) < max(gpp_towers.RICH_ROWS, count + 2):
                continue
            for _ in range(DRAWS):
                known = np.zeros(len(rows.day), bool)
                known[rng.choice(len(rows.day), count, replace=False)] = True
                # Two rows of one day are one measured day.
                if len(np.unique(rows.day[known])) >= engine.LEAST_DAYS:
                    checked.setdefault(name, []).append(_apply(rows, known, ~known, priors[name]))
        if checked:
            each = {name: pd.concat(tables) for name, tables in checked.items()}
            out |= {f"{count}_rows.{key}": value for key, value in _before_after(each).items()}
    return out


def one_year(sites: dict[str, SiteRows], priors: dict[str, engine.Prior]) -> dict[str, float]:
    """One year of each tower known, its other years scored.

    Parameters
    ----------
    sites, priors
        By tower; those with two years of ``YEAR_DAYS`` days or more are scored.

    Returns
    -------
    dict
        ``1_year.SCORE``; ``median_year_*`` is over pairs of a known and another year.
    """
    each: dict[str, list[pd.DataFrame]] = {}
    before, after = [], []
    for name, rows in sites.items():
        year = rows.day.astype("datetime64[D]").astype("datetime64[Y]")  # (row,)
        years = [one for one in np.unique(year) if (year == one).sum() >= YEAR_DAYS]
        for known in years:
            for other in years:
                # Both ways round: a good and a bad year to learn from are different tests.
                if other != known:
                    checked = _apply(rows, year == known, year == other, priors[name])
                    before.append(metrics.nse(checked["gpp"], checked["before"]))
                    after.append(metrics.nse(checked["gpp"], checked["after"]))
                    each.setdefault(name, []).append(checked)
    if not each:
        return {}
    scores = _before_after({name: pd.concat(tables) for name, tables in each.items()})
    scores |= {
        "median_year_nse_before": float(np.median(before)),
        "median_year_nse_after": float(np.median(after)),
    }
    return {f"1_year.{key}": value for key, value in scores.items()}


def _apply(rows: SiteRows, known: np.ndarray, other: np.ndarray, prior: engine.Prior) -> pd.DataFrame:
    # One tower alone: the pooled adjustment is then its own.
    adjustment, _ = engine.fit({"": rows.take(known)}, prior)
    held_out = rows.take(other)
    mean, inside = adjustment.check(held_out)
    return pd.DataFrame({"gpp": held_out.gpp, "before": held_out.predicted, "after": mean, "inside": inside})


def _before_after(each: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Pooled scores before and after, coverage after, and the share of towers that got worse."""
    rows = pd.concat(each.values())
    worse = [
        metrics.nse(one["gpp"], one["after"]) < metrics.nse(one["gpp"], one["before"]) - WORSE_NSE
        for one in each.values()
    ]
    return {
        "sites": len(each),
        "nse_before": metrics.nse(rows["gpp"], rows["before"]),
        "nse_after": metrics.nse(rows["gpp"], rows["after"]),
        "rmse_before": metrics.rmse(rows["gpp"], rows["before"]),
        "rmse_after": metrics.rmse(rows["gpp"], rows["after"]),
        "coverage_after": float(rows["inside"].mean()),
        "share_of_sites_worse": float(np.mean(worse)),
    }


def report(result: dict) -> str:
    """The numbers of ``evaluate`` as a table of text.

    Parameters
    ----------
    result
        Flat numbers.
    """
    lines = [
        f"{result['split']}: {result['rows']:,} rows at {result['sites']} towers,"
        f" {result['simulated_landscapes']} simulated landscapes taught beside; RMSE in gC m-2 d-1",
        f"{'':<18}{'':<14}{'NSE':>8}{'RMSE':>8}{'median site':>13}{'90 % band':>11}",
    ]
    # Groups are printed by what they ask: tables, days, means over longer times, and days with a clear view alone.
    scales = [f"{gpp_towers.DAILY}_{scale}" for scale in TIME_SCALES]
    for group in ("table", "daily", *scales, "daily_observed"):
        if f"{group}.rows" not in result:
            continue
        for name in LINES:
            key = f"{group}.{name.replace(' ', '_')}"
            band = result.get(f"{key}.coverage")
            lines.append(
                f"{group if name == 'model' else '':<18}{name:<14}{result[f'{key}.nse']:>8.3f}"
                f"{result[f'{key}.rmse']:>8.2f}{result[f'{key}.median_site_nse']:>13.3f}"
                f"{'' if band is None else format(band, '.1%'):>11}"
            )
        # Longer means have too few rows per tower for an interval or for kinds of land.
        if group in scales:
            continue
        lines.append(
            f"{'':<18}NSE less that of NIRv x SW, 90 % interval over towers:"
            f" {result[f'{group}.difference_low']:+.3f} to {result[f'{group}.difference_high']:+.3f}"
        )
        # Keys are "<group>.model.coverage_<kind>": the kinds are read off them, since data sets differ in theirs.
        for prefix in ("", "climate_"):
            start = f"{group}.model.{prefix}coverage_"
            for kind in [key.removeprefix(start) for key in result if key.startswith(start)]:
                each = {
                    name: result[f"{group}.{name.replace(' ', '_')}.{prefix}nse_{kind}"] for name in LINES
                }
                scores = "".join(f"  {name} {value:.2f}" for name, value in each.items())
                label = f"climate {kind}" if prefix else kind
                lines.append(f"{'':<18}{label:<28}NSE{scores}; band {result[start + kind]:.0%}")
    lines.append("calibrated: NSE before, after; band; share of towers worse by more than 0.02")
    # Each calibration is scored on days that it has not used; the name says how many it had.
    for key in [key for key in result if key.startswith("calibrated.") and key.endswith(".nse_after")]:
        name = key.removesuffix(".nse_after")
        median = ""
        if f"{name}.median_year_nse_after" in result:
            median = (
                f"; median tower-year {result[f'{name}.median_year_nse_before']:.3f},"
                f" {result[f'{name}.median_year_nse_after']:.3f}"
            )
        lines.append(
            f"  {name.removeprefix('calibrated.'):<22}{result[f'{name}.nse_before']:.3f}, {result[key]:.3f}{median};"
            f" {result[f'{name}.coverage_after']:.1%}; {result[f'{name}.share_of_sites_worse']:.0%}"
        )
    return "\n".join(lines)
