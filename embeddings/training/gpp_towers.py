"""Measured tower-days to fit and to test the daily GPP head on, as embeddings with drivers.

Two kinds of tables: spectra at dates with the weather of the day (``embeddings.gpp.tables``), and daily series of
reflectance and weather, a row per site and day. A site that is in several tables has one number, so that a site left
out is left out of all of them.

Long on purpose: reading, folds and scores share the columns of one frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fluxlens.embeddings import metrics
from fluxlens.embeddings.gpp import baselines, cubes, daily_table, tables
from fluxlens.embeddings.gpp.daily_table import DAILY_COLUMNS
from fluxlens.embeddings.gpp.table_days import embed_rows
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.gpp.table_resolution import is_fine
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.scenes.acquisitions import to_epoch_day
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import COVERAGE, DRIVERS, NORMAL_90, NORMALISATIONS, PHOTONS
from fluxlens.models.gpp.pmodel import pmodel_lue

TABLE, DAILY = "table", "daily"
SHARES = {"simulated": 0.1, TABLE: 0.4, DAILY: 0.5}
"""Share of a batch by kind of row. Within a kind a site counts by the root of its days."""
FOLDS = 6
"""Parts into which the towers are dealt; each is predicted by a head fitted on the others."""
RICH_ROWS = 10
"""Rows a site needs for a score of its own."""
CORRECTION = 24
"""Width of the correction: more costs time on maps, fewer lose at towers left out."""
OOD_SHARE = 0.98
"""Share of the rows of towers never seen that is within the out-of-distribution limits."""
LARGE_COVERAGE = 0.95
"""Share of the largest third of the predictions that the band holds; with 0.9 it holds 73 % of deciduous forest."""
LEVELS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3)
"""Growth of the spread with the prediction that is tried, per gC m-2 d-1."""
BASELINES = {"nirv x sw": "nirv_sw", "p-model": "p_model"}
"""Baselines with one factor fitted at other towers, by the column that is multiplied by it."""
CLIMATES = {"A": "Tropical", "B": "Arid", "C": "Temperate", "D": "Cold", "E": "Polar"}
"""Main classes of Koeppen's climates by first letter of a code (Peel et al. 2007, doi:10.5194/hess-11-1633-2007)."""


@dataclass(frozen=True)
class TowerDays:
    """Measured days of towers; all arrays have the same rows.

    Parameters
    ----------
    frame
        ``site``, ``date``, ``kind`` (``table`` or ``daily``), ``type`` (plant functional type), ``gpp`` gC m-2 d-1,
        ``nirv_sw`` (NIRv x shortwave, W m-2), ``p_model`` (gC m-2 d-1), ``observed`` (whether the day has a spectrum),
        ``climate`` (main class of Koeppen, ``unknown`` without one), ``is_fine`` (whether the row shows land at 10 to
        30 m, for which the head is corrected).
    z
        (row, feature) embedding.
    sw
        (row,) daily mean shortwave radiation, W m-2.
    drivers
        (row, driver) scaled, in the order of ``models.gpp.drivers.DRIVERS``.
    """

    frame: pd.DataFrame
    z: np.ndarray
    sw: np.ndarray
    drivers: np.ndarray


def read(paths: tuple[str, ...] | list[str], model: Embedder) -> TowerDays:
    """Read and embed measured tower-days.

    Parameters
    ----------
    paths
        Tables: spectra, as ``tables.read`` takes them, or daily series, as ``daily_table.read`` does.
    model
        The embedder.

    Returns
    -------
    TowerDays
        Of all tables.

    Raises
    ------
    InputError
        If a table is not of either kind.
    """
    by_file = [tower_days for path in paths for tower_days in _read(Path(path), model)]
    if not by_file:
        raise InputError("Got no measured tower-days, need some; give a table with gpp.")
    return TowerDays(
        pd.concat([tower_days.frame for tower_days in by_file], ignore_index=True),
        *(
            np.concatenate([getattr(tower_days, name) for tower_days in by_file])
            for name in ("z", "sw", "drivers")
        ),
    )


def _read(path: Path, model: Embedder) -> list[TowerDays]:
    if path.suffix == ".csv" and not daily_table.is_daily_file(path):
        table = tables.read(path, need_gpp=True)
        # Of the whole table: what is assumed of it is told once.
        table = table.assign(is_fine=is_fine(table))
        table = table[table["gpp"].notna()].reset_index(drop=True)
        climates = _table_climates(path)
        return [
            _of_table(rows, model, climates.get(str(site), "unknown"))
            for site, rows in table.groupby("site", sort=False)
        ]
    table = daily_table.read(path, need_gpp=True)
    out = []
    for site, rows in table.groupby("site"):
        # By date, as the embedding of a series wants it.
        rows = rows.drop_duplicates("date").sort_values("date").reset_index(drop=True)
        has_spectrum = rows[list(DAILY_COLUMNS)].notna().all(axis=1).values
        measured = (rows["gpp"].notna() & rows["temp"].notna()).values
        if measured.any() and has_spectrum.any():
            out += _of_days(str(site), rows, has_spectrum, measured, model)
    return out


def main_climate(value: object) -> str:
    """Main class of a climate of Koeppen.

    Parameters
    ----------
    value
        A code such as ``Cfb``, the name of a main class such as ``Cold``, or a missing value.

    Returns
    -------
    str
        One of ``CLIMATES``, or ``unknown``.
    """
    text = str(value).strip()
    if text.capitalize() in CLIMATES.values():
        return text.capitalize()
    # Codes have two or three letters; a longer word that begins alike (Desert) is no code.
    return CLIMATES.get(text[:1], "unknown") if len(text) <= 3 else "unknown"


def _table_climates(path: Path) -> dict[str, str]:
    """Climates by site, from a column ``koppen`` of a table of spectra; empty without one."""
    # `tables.read` keeps what the heads take; climate only groups scores.
    raw = tables.rename_site_and_date(tables.read_rows(path, ("date", *BANDS)))
    if "koppen" not in raw:
        return {}
    return raw.groupby(raw["site"].astype(str))["koppen"].first().map(main_climate).to_dict()


def p_model(ndvi: np.ndarray, sw: np.ndarray, drivers: np.ndarray) -> np.ndarray:
    """GPP of the P-model alone: light absorbed according to NDVI times the efficiency that the daily head starts from.

    Parameters
    ----------
    ndvi
        (row,) -1 to 1.
    sw
        (row,) daily mean shortwave radiation, W m-2.
    drivers
        (row, driver) scaled, in the order of ``models.gpp.drivers.DRIVERS``.

    Returns
    -------
    ndarray
        (row,) gC m-2 d-1; 0 on days at or below 0 degC, as ``baselines.p_model`` has it.
    """
    lue = pmodel_lue(torch.from_numpy(drivers)).numpy()
    frozen = NORMALISATIONS["tair"].denormalise(drivers[:, DRIVERS.index("tair")]) <= 0
    # Without temperature its driver is that of a mild day: nothing says that it froze.
    frozen &= drivers[:, DRIVERS.index("no_tair")] == 0
    return np.where(frozen, 0.0, baselines.fapar_from_ndvi(ndvi) * sw * PHOTONS * lue)


def _of_table(rows: pd.DataFrame, model: Embedder, climate: str) -> TowerDays:
    """One site of a table of spectra; its other dates are acquisitions too, GPP never is an input."""
    z, sw, drivers = embed_rows(rows, model)
    frame = pd.DataFrame(
        {
            "site": rows["site"].values,
            "date": rows["date"].values,
            "kind": TABLE,
            "type": rows["type"].values,
            "gpp": rows["gpp"].values,
            "nirv_sw": _nirv(rows["b4"].values, rows["b5"].values) * sw,
            "p_model": p_model(_ndvi(rows["b4"].values, rows["b5"].values), sw, drivers),
            "observed": True,
            "climate": climate,
            "is_fine": rows["is_fine"].values,
        }
    )
    return TowerDays(frame, z, sw, drivers)


def _of_days(
    site: str, rows: pd.DataFrame, has_spectrum: np.ndarray, measured: np.ndarray, model: Embedder
) -> list[TowerDays]:
    """One site of daily series, year by year."""
    # The baselines get every day too, interpolated between days with a spectrum.
    red, nir, every = rows["red"].values, rows["nir"].values, to_epoch_day(rows["date"].values)
    nirv, ndvi = (
        np.interp(every, every[has_spectrum], index(red, nir)[has_spectrum]) for index in (_nirv, _ndvi)
    )
    climate, out = main_climate(rows["koeppen"].iloc[0]), []
    for at, (z, sw, drivers), _ in daily_table.embed_site(rows, model, measured):
        frame = pd.DataFrame(
            {
                "site": site,
                "date": rows["date"].values[at],
                "kind": DAILY,
                "type": rows["type"].values[at],
                "gpp": rows["gpp"].values[at],
                "nirv_sw": nirv[at] * sw,
                "p_model": p_model(ndvi[at], sw, drivers),
                "observed": has_spectrum[at],
                "climate": climate,
                "is_fine": is_fine(rows)[at],
            }
        )
        out.append(TowerDays(frame, z, sw, drivers))
    return out


def _ndvi(red: np.ndarray, nir: np.ndarray) -> np.ndarray:
    # The floor keeps water and deep shadow, whose sum is near 0, from indices of any size.
    return (nir - red) / np.maximum(nir + red, 1e-3)


def _nirv(red: np.ndarray, nir: np.ndarray) -> np.ndarray:
    """Near-infrared reflectance of vegetation (Badgley et al. 2017)."""
    return _ndvi(red, nir) * nir


def pixel_days(towers: TowerDays, rows: np.ndarray):
    """Rows of towers as the fit takes them.

    Parameters
    ----------
    towers
        Of ``read``.
    rows
        (row,) bool, those to learn from.

    Returns
    -------
    models.gpp.training.PixelDays
        Sites are numbered from 0; shares add up to one, by ``SHARES``.
    """
    from fluxlens.models.gpp.training import PixelDays

    frame = towers.frame[rows]
    # By name over all tables: a tower in two of them is one site.
    site, _ = pd.factorize(frame["site"])
    share = np.zeros(len(frame))
    for kind in frame["kind"].unique():
        of = (frame["kind"] == kind).values
        # The root: ten thousand days of one tower are no hundred towers, but tell more than one day.
        count = frame[of].groupby("site")["gpp"].transform("size").values
        share[of] = SHARES[kind] * count**-0.5 / (count**-0.5).sum()
    gpp = torch.from_numpy(frame["gpp"].values.astype(np.float32))
    return PixelDays(
        torch.from_numpy(towers.z[rows].astype(np.float32)),
        torch.from_numpy(towers.sw[rows]),
        torch.from_numpy(towers.drivers[rows]),
        gpp,
        gpp,
        torch.from_numpy(site),
        torch.ones(len(frame), dtype=torch.bool),
        torch.from_numpy((share / share.sum()).astype(np.float32)),
    )


def joined(measured, simulated):
    """Measured and simulated rows together, in the shares of ``SHARES``.

    Parameters
    ----------
    measured, simulated
        ``models.gpp.training.PixelDays``, either may be None; sites of the two are kept apart.

    Returns
    -------
    models.gpp.training.PixelDays
        All rows.
    """
    if measured is None or simulated is None:
        return measured if simulated is None else simulated
    share = SHARES["simulated"]
    measured = replace(measured, share=(1 - share) * measured.share)
    # Numbers of sites must not meet: each has an effect of its own in the fit.
    simulated = replace(
        simulated, share=share * simulated.share, site=simulated.site + int(measured.site.max()) + 1
    )
    fields = {
        name: torch.cat([getattr(measured, name), getattr(simulated, name)])
        for name in measured.__dataclass_fields__
    }
    return replace(measured, **fields)


def leave_site_out(towers: TowerDays, simulated=None, seed: int = 0) -> Steps[pd.DataFrame]:
    """Predict each tower by a head that never saw it, nor any other tower of its fold.

    Parameters
    ----------
    towers
        Of ``read``.
    simulated
        ``models.gpp.training.PixelDays`` of landscapes to learn from beside, or None.
    seed
        Of the heads' initial weights and batches, and of the folds.

    Yields
    ------
    message, share done

    Returns
    -------
    DataFrame
        ``towers.frame`` with the columns of ``predict``, and those of ``BASELINES``: one factor each, fitted to the
        same kind of rows at other towers; gC m-2 d-1.
    """
    blank = dict.fromkeys(("fold", "predicted", "spread", "corrected", "distance", "air_distance"), np.nan)
    frame = towers.frame.assign(**blank, **dict.fromkeys(BASELINES, np.nan))
    for i, fold in enumerate(site_folds(frame, seed)):
        yield f"towers left out, part {i + 1} of {FOLDS}", 0.5 + 0.25 * i / FOLDS
        held_out = frame["site"].isin(fold).values
        net = fit_head(towers, ~held_out, simulated, seed)
        frame.loc[held_out, "fold"] = i
        predicted = predict(net, towers, held_out)
        for column, values in predicted.items():
            frame.loc[held_out, column] = values
        for kind in frame["kind"].unique():
            of = (frame["kind"] == kind).values
            y = frame.loc[of & ~held_out, "gpp"].values
            for name, column in BASELINES.items():
                x = frame.loc[of & ~held_out, column].values
                # Least squares through the origin: no light or no leaves, no GPP.
                slope = (x * y).sum() / (x**2).sum()
                frame.loc[of & held_out, name] = slope * frame.loc[of & held_out, column]
    return frame


def fit_head(towers: TowerDays, rows: np.ndarray, simulated=None, seed: int = 0):
    """Fit a head to measured and simulated rows, its correction to the rows seen at 30 m.

    Parameters
    ----------
    towers
        Of ``read``.
    rows
        (row,) bool, those to learn from.
    simulated
        ``models.gpp.training.PixelDays`` of landscapes, or None.
    seed
        Of initial weights and batches.

    Returns
    -------
    models.gpp.daily_head.DailyHead
        In evaluation mode.
    """
    from fluxlens.models.gpp.correction import fit_correction
    from fluxlens.models.gpp.daily_head import Config, DailyHead
    from fluxlens.models.gpp.training import fit

    # The same initial weights every time, so that folds differ by their towers alone.
    torch.manual_seed(seed)
    net = DailyHead(Config(towers.z.shape[1], correction=CORRECTION))
    every = joined(pixel_days(towers, rows), simulated)
    fit(net, every, seed=seed)
    # MODIS sees 500 m around a tower: what it shows of a level does not hold at 30 m, nor the other way.
    fine = rows & towers.frame["is_fine"].values.astype(bool)
    if fine.any():
        fit_correction(net, pixel_days(towers, fine), every, seed=seed)
    return net.eval()


def predict(net, towers: TowerDays, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Predict rows of towers, each as its source asks.

    Parameters
    ----------
    net
        Of ``fit_head``.
    towers
        Of ``read``.
    rows
        (row,) bool.

    Returns
    -------
    dict
        ``predicted`` and ``spread`` (gC m-2 d-1, with the correction for rows seen at 30 m), ``corrected`` (with the
        correction whatever the source), ``distance`` and ``air_distance`` over the limits of the head; (row,) each.
    """
    inputs = (towers.z[rows], towers.sw[rows], towers.drivers[rows])
    fine = towers.frame["is_fine"].values[rows].astype(bool)
    predicted, spread, distance, air = cubes.predict_pixel_days(net, *inputs, fine)
    corrected, *_ = cubes.predict_pixel_days(net, *inputs, np.ones(len(fine), bool))
    return {
        "predicted": predicted,
        "spread": spread,
        "corrected": corrected,
        "distance": distance / float(net.far),
        "air_distance": air / float(net.air_far),
    }


def set_ood_limits(net, predicted: pd.DataFrame) -> None:
    """Set the out-of-distribution limits of table rows and of weather by towers that heads like it never saw.

    That of maps stays the one of all that taught: rows are single spectra, and what they show of distances does not
    hold for the embeddings of cubes.

    Parameters
    ----------
    net
        Changed in place.
    predicted
        Of ``leave_site_out``.
    """
    kinds = [rows for _, rows in predicted.groupby("kind")]
    for limit, column in ((net.far_of_rows, "distance"), (net.air_far, "air_distance")):
        # The kind that lies farthest out decides: none shall be flagged as a whole.
        # Both columns are in units of the limit as it was fitted: the quantile is by how much it must grow.
        limit.mul_(float(max(rows[column].quantile(OOD_SHARE) for rows in kinds)))


def site_folds(frame: pd.DataFrame, seed: int = 0) -> list[set[str]]:
    """Deal the sites of each kind of table into ``FOLDS`` folds.

    Parameters
    ----------
    frame
        With ``site`` and ``kind``.
    seed
        Of the order.

    Returns
    -------
    list of set of str
        A site that is in two tables is in one fold.
    """
    rng = np.random.default_rng(seed)
    folds: list[set[str]] = [set() for _ in range(FOLDS)]
    # Dealt once, in the fold of the first table that holds it.
    dealt: set[str] = set()
    for _, rows in frame.groupby("kind"):
        names = np.array(sorted(set(rows["site"]) - dealt))
        rng.shuffle(names)
        for i, name in enumerate(names):
            folds[i % FOLDS].add(str(name))
        dealt |= set(names)
    return [fold for fold in folds if fold]


def band_factors(rows: pd.DataFrame, by_level: bool) -> tuple[float, float]:
    """Factor and growth with the level of the spread with which the band holds 90 % of rows at towers left out.

    Parameters
    ----------
    rows
        ``gpp``, ``predicted``, ``spread`` (gC m-2 d-1).
    by_level
        Whether the band shall hold ``LARGE_COVERAGE`` of the largest third of the predictions.

    Returns
    -------
    factor, level
        The spread becomes ``factor x spread x (1 + level x predicted)``; unitless, per gC m-2 d-1.
    """
    error, mean = (rows["gpp"] - rows["predicted"]).abs().values, rows["predicted"].values
    large = mean >= np.quantile(mean, 2 / 3)
    best = None
    for level in LEVELS if by_level else LEVELS[:1]:
        ratio = error / (rows["spread"].values * (1 + level * mean))
        width = float(np.quantile(ratio, COVERAGE))
        # The band misses maize and young poplar most, whose predictions are large: a level is known of every row, a
        # plant type is not.
        miss = abs(float((ratio[large] <= width).mean()) - LARGE_COVERAGE)
        # The first level that is better by half a point of coverage: a smaller one is kept where they are alike.
        if best is None or miss < best[0] - 0.005:
            best = miss, width / NORMAL_90, level
    return best[1], best[2]


def with_band(predicted: pd.DataFrame) -> pd.DataFrame:
    """Give predictions a spread whose band holds 90 %, set for each fold of towers by those of the other folds.

    Parameters
    ----------
    predicted
        Of ``leave_site_out``.

    Returns
    -------
    DataFrame
        The same with another ``spread``, gC m-2 d-1.
    """
    spread = predicted["spread"].copy()
    for kind, rows in predicted.groupby("kind"):
        for fold, of_fold in rows.groupby("fold"):
            other_folds = rows[rows["fold"] != fold] if rows["fold"].nunique() > 1 else rows
            factor, level = band_factors(other_folds, kind == TABLE)
            spread[of_fold.index] = factor * of_fold["spread"] * (1 + level * of_fold["predicted"])
    return predicted.assign(spread=spread)


def set_band(net, predicted: pd.DataFrame) -> None:
    """Set the band of a head by all rows at towers left out: of rows seen at 30 m, and of those seen at 500 m.

    Parameters
    ----------
    net
        Changed in place.
    predicted
        Of ``leave_site_out``.
    """
    is_fine = predicted["is_fine"].astype(bool)
    fine, coarse = predicted[is_fine], predicted[~is_fine]
    factor, level = band_factors(fine if len(fine) else predicted, bool(len(fine)))
    net.interval_scale.fill_(factor)
    net.interval_scale_slope.fill_(level)
    # Without the correction the spread is another one; without such rows the factor stays that of the others.
    net.coarse_interval_scale.fill_(band_factors(coarse, by_level=False)[0] if len(coarse) else factor)


def scores(predicted: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Scores at towers left out: head and NIRv x shortwave, per kind of rows.

    Parameters
    ----------
    predicted
        Of ``leave_site_out``.

    Returns
    -------
    dict
        Per kind (``table``; ``daily``, all days; ``daily_observed``, days with a spectrum): rows, sites, pooled NSE and
        RMSE (gC m-2 d-1), median NSE of sites with ``RICH_ROWS`` rows, coverage of the 90 % band, the same of the
        baseline, and the 90 % interval of the difference in pooled NSE by bootstrap over sites.
    """
    predicted = with_band(predicted)
    groups = {kind: rows for kind, rows in predicted.groupby("kind")}
    if DAILY in groups:
        # Days with a clear view of their own.
        groups[f"{DAILY}_observed"] = groups[DAILY][groups[DAILY]["observed"].astype(bool)]
    out = {}
    for name, rows in groups.items():
        # Per site only where there are days enough: NSE of a few rows is mostly noise.
        own = [
            (metrics.nse(one["gpp"], one["predicted"]), metrics.nse(one["gpp"], one["nirv x sw"]))
            for _, one in rows.groupby("site")
            if len(one) >= RICH_ROWS
        ]
        # The band is that of a normal distribution of this spread.
        half = NORMAL_90 * rows["spread"]
        out[name] = {
            "rows": len(rows),
            "sites": int(rows["site"].nunique()),
            "nse": metrics.nse(rows["gpp"], rows["predicted"]),
            "rmse": metrics.rmse(rows["gpp"], rows["predicted"]),
            "corrected_nse": metrics.nse(rows["gpp"], rows["corrected"]),
            "median_site_nse": float(np.median([head for head, _ in own])) if own else float("nan"),
            "coverage": float(((rows["gpp"] - rows["predicted"]).abs() <= half).mean()),
            "nirv_sw_nse": metrics.nse(rows["gpp"], rows["nirv x sw"]),
            "nirv_sw_rmse": metrics.rmse(rows["gpp"], rows["nirv x sw"]),
            "nirv_sw_median_site_nse": float(np.median([base for _, base in own])) if own else float("nan"),
        }
        low, high = difference_interval(rows)
        out[name] |= {"difference_low": low, "difference_high": high}
    return out


def difference_interval(rows: pd.DataFrame, draws: int = 1000) -> tuple[float, float]:
    """90 % interval over sites of the NSE of the head less that of NIRv x shortwave (Efron 1979).

    Parameters
    ----------
    rows
        ``site``, ``gpp``, ``predicted`` and ``nirv x sw``, gC m-2 d-1.
    draws
        Samples of sites.

    Returns
    -------
    low, high
        Ends of the interval, unitless.
    """
    # Sums per site are enough to score any sample of sites.
    sums = np.array(
        [
            [
                len(one),
                one["gpp"].sum(),
                (one["gpp"] ** 2).sum(),
                ((one["gpp"] - one["predicted"]) ** 2).sum(),
                ((one["gpp"] - one["nirv x sw"]) ** 2).sum(),
            ]
            for _, one in rows.groupby("site")
        ]
    )
    # A fixed seed: the same predictions have the same interval.
    drawn = np.random.default_rng(0).integers(len(sums), size=(draws, len(sums)))
    # NSE of both shares its denominator, the sum of squares about the mean; only the difference of errors is left.
    n, total, square, head, base = sums[drawn].sum(1).T
    difference = (base - head) / np.maximum(square - total**2 / n, 1e-9)
    # Sites are drawn, not rows: days of one tower share its error.
    low, high = np.quantile(difference, [0.05, 0.95])
    return float(low), float(high)
