"""GPP predictions scored at held-out sites or years and at towers, beside baselines that any model has to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fluxlens.embeddings import climatology, metrics
from fluxlens.embeddings.evaluation.gpp_at_tower import MODEL
from fluxlens.embeddings.evaluation.table_process import TableProcess, gpp_with_band
from fluxlens.embeddings.gpp import baselines, table_features
from fluxlens.embeddings.gpp.table_embeddings import add_embeddings
from fluxlens.embeddings.gpp.tables import read
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.training.gpp_towers import RICH_ROWS
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.errors import InputError

FOLDS = 6
"""Number of site folds; hyperparameters for a fold are learnt from the other folds."""

TYPE_ROWS = 50
"""Rows a plant type needs for a coverage and a score of its own."""

SPLITS = {"leave-site-out": "site", "leave-year-out": "year"}
"""What is held out whole: a column of the table."""


def leave_out(table: pd.DataFrame, by: str, name: str = MODEL, **fit: Any) -> Steps[pd.DataFrame]:
    """Predict each row without any row of its site or year.

    Everything learnt by search (scaling, hyperparameters, filler, width of the band) comes from the rows outside the
    fold that is predicted: a year, or a sixth of the sites. A row of a year left out learns from other years of its
    site.

    Parameters
    ----------
    table
        Measured rows with the columns of ``gpp.tables.read`` and ``year``; gpp in gC m-2 d-1.
    by
        Column whose values are left out: ``site`` or ``year``.
    name
        Name of the model in the progress messages.
    **fit
        Passed to ``TableProcess.fit``.

    Returns
    -------
    ``gpp`` and the 90 % band ``gpp_lo``, ``gpp_hi`` (row), gC m-2 d-1; yields progress.

    Raises
    ------
    InputError
        If there is only one site or year.
    """
    out = pd.DataFrame(np.nan, table.index, list(GPP_COLUMNS))
    folds = site_folds(table[by]) if by == "site" else [[one] for one in sorted(table[by].unique())]
    if len(folds) < 2:
        raise InputError(f"Got rows of one {by}, need two or more to leave one out; give more.")
    for i, test in enumerate(folds):
        yield f"{name}, leave-{by}-out, part {i + 1} of {len(folds)}", i / len(folds)
        # Scaling, hyperparameters and the width of the band come from the other folds; then each site or year of this
        # fold is predicted from all rows but its own.
        in_fold = table[by].isin(test).values
        process = TableProcess.fit(table[~in_fold], by=by, **fit)
        band = gpp_with_band(
            *process.conditioned_on(table).leave_group_out(table[by]), process.interval_scale
        )
        # The closed form predicts all rows at once; those outside the fold chose the hyperparameters and are not
        # scored.
        out[in_fold] = np.column_stack([band[column] for column in out])[in_fold]
    return out


def site_folds(site: pd.Series) -> list[list[str]]:
    """Sites dealt into at most ``FOLDS`` folds in turn, those with most rows first, so that folds have similar sizes.

    Kept beside scikit-learn's ``GroupKFold``, which deals otherwise: all published leave-site-out scores of tables
    rest on these folds.

    Parameters
    ----------
    site
        (row,) site of each row.

    Returns
    -------
    Names of the sites of each fold.

    Raises
    ------
    InputError
        With fewer than three sites.
    """
    # Sorted by name and then by size, stable both times: ties fall the same way whatever the order of rows.
    names = list(
        site.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable").index
    )
    if len(names) < 3:
        raise InputError(f"Got {len(names)} sites, need three or more to leave one out; give more.")
    count = min(FOLDS, len(names))
    return [names[i::count] for i in range(count)]


def baseline_predictions(table: pd.DataFrame, by: str = "site") -> dict[str, np.ndarray]:
    """GPP of the baselines, each fitted on all other sites or years.

    NIRv times shortwave (Badgley et al. 2017), the P-model on fAPAR of NDVI (Stocker et al. 2020), the climatology of
    the other sites or years by day of year and by plant type, and their mean.

    Parameters
    ----------
    table
        Measured rows, as ``leave_out`` takes them.
    by
        Column whose values are left out.

    Returns
    -------
    Per baseline (row,) GPP, gC m-2 d-1.
    """
    base = table_features.base(table)
    filler = table_features.GaussianImputer.fit(base)
    drawn = filler.impute(base)  # several draws of missing inputs; the baselines take their mean
    # The P-model and NIRv need the same inputs as the processes, filled the same way: no baseline is handicapped.
    now = table_features.features(sum(drawn[1:], drawn[0]) / len(drawn), table)
    fapar = baselines.fapar_from_ndvi(now["ndvi"])
    drives = {
        "nirv x sw": (now["nirv"] * now["sw"]).values,
        "p-model (ndvi)": baselines.p_model(fapar, now["sw"], now["tmean"], np.expm1(now["log_vpd"])),
    }
    # Climatologies by day of year: of the same site (other years), or of the same plant type.
    cycles = {"day of year": "site", "plant type cycle": "type"}
    out = {name: np.empty(len(table)) for name in (*drives, *cycles, "mean")}
    for one in table[by].unique():
        is_left_out = (table[by] == one).values
        train = table[~is_left_out]
        for name, drive in drives.items():
            # Least squares through the origin: no light or no leaves, no GPP.
            slope = (drive[~is_left_out] * train["gpp"]).sum() / (drive[~is_left_out] ** 2).sum()
            out[name][is_left_out] = slope * drive[is_left_out]
        for name, kind in cycles.items():
            out[name][is_left_out] = climatology.pft_climatology(train, table[is_left_out], kind)
        out["mean"][is_left_out] = train["gpp"].mean()
    return out


def scores(table: pd.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    """Scores pooled over rows, NSE by plant type with fifty rows or more, and the median NSE of sites with ten or more.

    Parameters
    ----------
    table
        Measured rows: gpp (gC m-2 d-1), site, type.
    predicted
        (row,) predictions, gC m-2 d-1.
    """
    every = metrics.scores(table["gpp"], predicted)
    counts = table["site"].value_counts()
    # A site with a handful of rows has no meaningful efficiency of its own.
    rich = [s for s in counts.index if counts[s] >= RICH_ROWS]
    own = [metrics.nse(table["gpp"][table["site"] == s], predicted[table["site"] == s]) for s in rich]
    pooled = {key: every[key] for key in ("nse", "r2", "rmse", "mae", "bias", "kge")}
    types = {
        f"nse_{kind}": metrics.nse(rows["gpp"], predicted[rows.index])
        for kind, rows in table.groupby("type")
        if len(rows) >= TYPE_ROWS
    }
    return pooled | {"median_site_nse": float(np.median(own)) if own else np.nan} | types


def coverage(table: pd.DataFrame, band: pd.DataFrame) -> dict[str, float]:
    """Share of rows inside the band: all, and by plant type with fifty rows or more.

    Parameters
    ----------
    table
        Measured rows: gpp (gC m-2 d-1), type.
    band
        Columns ``gpp_lo``, ``gpp_hi`` of the same rows.
    """
    inside = (table["gpp"] >= band["gpp_lo"]) & (table["gpp"] <= band["gpp_hi"])
    out = {"coverage": float(inside.mean())}
    for kind, rows in inside.groupby(table["type"]):
        if len(rows) >= TYPE_ROWS:
            out[f"coverage_{kind}"] = float(rows.mean())
    return out


def evaluate(
    path: str | Path, split: str = "leave-site-out", model: str | None = None, **fit: Any
) -> Steps[dict]:
    """Score the Gaussian processes of a table and the baselines at held-out sites or years.

    Parameters
    ----------
    path
        Table of measured rows.
    split
        ``leave-site-out`` or ``leave-year-out``.
    model
        Name of an embedding model: the same processes are then scored on raw bands and on embeddings too.
    **fit
        Passed to ``TableProcess.fit``.

    Returns
    -------
    Flat result, which ``report`` shows as a table; yields progress.

    Raises
    ------
    InputError
        If there is no such split.
    """
    if split not in SPLITS:
        raise InputError(f"Got the split {split!r}, need {' or '.join(SPLITS)}; choose one.")
    by = SPLITS[split]
    table = read(path, need_gpp=True)
    table = table[table["gpp"].notna()].reset_index(drop=True)
    table = table.assign(year=table["date"].dt.year)
    feature_groups = {MODEL: table_features.GROUPS}
    if model is not None:
        # The same head on two other inputs: what an embedding tells beyond one raw spectrum.
        table = add_embeddings(table, model)
        feature_groups |= {
            "head on bands": table_features.BANDS_ALONE,
            "head on embedding": table_features.EMBEDDING_ALONE,
        }
    bands = {}
    for name, groups in feature_groups.items():
        bands[name] = yield from leave_out(table, by, name, groups=groups, **fit)
    result: dict = {
        "data": Path(path).name,
        "rows": len(table),
        "sites": int(table["site"].nunique()),
        "split": split,
        "baselines": "NIRv x shortwave and P-model, one factor each, climatologies by day of year and by plant type,"
        f" and the mean, all fitted on the other {by}s",
    }
    predicted = {name: band["gpp"].values for name, band in bands.items()} | baseline_predictions(table, by)
    for name, values in predicted.items():
        key = name.replace(" ", "_").replace("(", "").replace(")", "")
        result |= {f"{key}.{score}": value for score, value in scores(table, values).items()}
    for name, band in bands.items():
        key = name.replace(" ", "_")
        result |= {f"{key}.{score}": value for score, value in coverage(table, band).items()}
    return result


def report(result: dict) -> str:
    """The ``result`` of ``evaluate`` as a table of text."""
    names = list(dict.fromkeys(key.split(".")[0] for key in result if "." in key))
    columns = ("nse", "r2", "rmse", "mae", "bias", "kge", "median_site_nse", "coverage")
    lines = [
        f"{result['split']}: {result['data']}, {result['rows']} rows at {result['sites']} sites; RMSE, MAE, bias in"
        " gC m-2 d-1; coverage of the 90 % band",
        f"baselines: {result['baselines']}",
        f"{'':<28}" + "".join(f"{name:>16}" for name in columns),
    ]
    for name in names:
        values = [result.get(f"{name}.{column}") for column in columns]
        lines.append(f"{name:<28}" + "".join(f"{'' if v is None else format(v, '.3f'):>16}" for v in values))
    # The kinds of the model's own rows; baselines have the same.
    kinds = [key.split(".nse_")[1] for key in result if key.startswith(f"{MODEL}.nse_")]
    if kinds:
        lines.append(f"\n{'by plant type: NSE':<28}" + "".join(f"{kind:>16}" for kind in kinds))
    for what, label in (("nse", "{}"), ("coverage", "{}, coverage")):
        for name in names if kinds else ():
            values = [result.get(f"{name}.{what}_{kind}") for kind in kinds]
            # Baselines have no band, and so no coverage.
            if values[0] is not None:
                cells = "".join(f"{value:>16.3f}" for value in values)
                lines.append(f"{label.format(name):<28}{cells}")
    return "\n".join(lines)
