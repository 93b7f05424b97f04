"""How well GPP is predicted at sites or in years never seen, beside what any model has to beat."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from embeddings import baselines, gpp_features, metrics
from embeddings.gpp_table import Head, banded, embedded, read
from embeddings.towers import periods
from models.errors import InputError

PARTS = 6
"""Sites are dealt into so many parts; hyperparameters for a part are learnt from the other parts."""
RICH_ROWS = 10
"""Rows a site needs for a score of its own."""
TYPE_ROWS = 50
"""Rows a plant type needs for a coverage and a score of its own."""
LEAST_QC = 0.75
"""Share of a day's net exchange that was measured or filled well, below which the day does not count."""
MODEL = "model"
SPLITS = {"leave-site-out": "site", "leave-year-out": "year"}
"""What is held out whole: a column of the table."""
Band = Generator[tuple[str, float], None, pd.DataFrame]


def leave_out(table: pd.DataFrame, by: str, name: str = MODEL, **fit) -> Band:
    """Each row predicted without any row of its ``by``; yields progress, returns `gpp`, `gpp_lo`, `gpp_hi`.

    Everything learnt by search (scaling, hyperparameters, filler, width of the band) comes from the rows outside the
    part that is asked: a year, or a sixth of the sites. A row of a year left out learns from other years of its site.
    """
    out = pd.DataFrame(np.nan, table.index, ["gpp", "gpp_lo", "gpp_hi"])
    parts = deal(table[by]) if by == "site" else [[one] for one in sorted(table[by].unique())]
    if len(parts) < 2:
        raise InputError(f"Got rows of one {by}, need two or more to leave one out; give more.")
    for i, part in enumerate(parts):
        yield f"{name}, leave-{by}-out, part {i + 1} of {len(parts)}", i / len(parts)
        here = table[by].isin(part).values
        head = Head.fit(table[~here], by=by, **fit)
        told = banded(*head.know(table).left_out(table[by]), head.widen)
        out[here] = np.column_stack([told[column] for column in out])[here]
    return out


def deal(site: pd.Series) -> list[list[str]]:
    """Sites in parts, from the richest down in turn, so that parts have rows alike."""
    names = list(
        site.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable").index
    )
    if len(names) < 3:
        raise InputError(f"Got {len(names)} sites, need three or more to leave one out; give more.")
    count = min(PARTS, len(names))
    return [names[i::count] for i in range(count)]


def others(table: pd.DataFrame, by: str = "site") -> dict[str, np.ndarray]:
    """The baselines, each learnt on all other sites or years."""
    base = gpp_features.base(table)
    filler = gpp_features.Filler.fit(base)
    drawn = filler.fill(base)
    now = gpp_features.features(sum(drawn[1:], drawn[0]) / len(drawn), table)
    fapar = baselines.fapar_from_ndvi(now["ndvi"])
    drives = {
        "nirv x sw": (now["nirv"] * now["sw"]).values,
        "p-model (ndvi)": baselines.p_model(fapar, now["sw"], now["tmean"], np.expm1(now["log_vpd"])),
    }
    cycles = {"day of year": "site", "plant type cycle": "type"}
    out = {name: np.empty(len(table)) for name in (*drives, *cycles, "mean")}
    for one in table[by].unique():
        here = (table[by] == one).values
        train = table[~here]
        for name, drive in drives.items():
            k = (drive[~here] * train["gpp"]).sum() / (drive[~here] ** 2).sum()
            out[name][here] = k * drive[here]
        for name, kind in cycles.items():
            out[name][here] = baselines.usual_cycle(train, table[here], kind)
        out["mean"][here] = train["gpp"].mean()
    return out


def scores(table: pd.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    """Pooled over rows, by plant type with fifty rows or more, and the median NSE of sites with ten or more."""
    every = metrics.scores(table["gpp"], predicted)
    counts = table["site"].value_counts()
    rich = [s for s in counts.index if counts[s] >= RICH_ROWS]
    own = [metrics.nse(table["gpp"][table["site"] == s], predicted[table["site"] == s]) for s in rich]
    kept = {key: every[key] for key in ("nse", "r2", "rmse", "mae", "bias", "kge")}
    types = {
        f"nse_{kind}": metrics.nse(rows["gpp"], predicted[rows.index])
        for kind, rows in table.groupby("type")
        if len(rows) >= TYPE_ROWS
    }
    return kept | {"median_site_nse": float(np.median(own)) if own else np.nan} | types


def coverage(table: pd.DataFrame, band: pd.DataFrame) -> dict[str, float]:
    """Share of rows inside the band: all, and by plant type with fifty rows or more."""
    inside = (table["gpp"] >= band["gpp_lo"]) & (table["gpp"] <= band["gpp_hi"])
    out = {"coverage": float(inside.mean())}
    for kind, rows in inside.groupby(table["type"]):
        if len(rows) >= TYPE_ROWS:
            out[f"coverage_{kind}"] = float(rows.mean())
    return out


def evaluate(
    path: str | Path, split: str = "leave-site-out", model: str | None = None, **fit
) -> Generator[tuple[str, float], None, dict]:
    """Yields progress; returns a flat result, which ``report`` shows as a table.

    With the name of an embedding ``model``, the same head is scored on raw bands and on embeddings too.
    """
    if split not in SPLITS:
        raise InputError(f"Got the split {split!r}, need {' or '.join(SPLITS)}; choose one.")
    by = SPLITS[split]
    table = read(path, need_gpp=True)
    table = table[table["gpp"].notna()].reset_index(drop=True)
    table = table.assign(year=table["date"].dt.year)
    looks = {MODEL: gpp_features.GROUPS}
    if model is not None:
        table = embedded(table, model)
        looks |= {
            "head on bands": gpp_features.BANDS_ALONE,
            "head on embedding": gpp_features.EMBEDDING_ALONE,
        }
    bands = {}
    for name, groups in looks.items():
        bands[name] = yield from leave_out(table, by, name, groups=groups, **fit)
    result: dict = {
        "data": Path(path).name,
        "rows": len(table),
        "sites": int(table["site"].nunique()),
        "split": split,
    }
    predicted = {name: band["gpp"].values for name, band in bands.items()} | others(table, by)
    for name, values in predicted.items():
        key = name.replace(" ", "_").replace("(", "").replace(")", "")
        result |= {f"{key}.{score}": value for score, value in scores(table, values).items()}
    for name, band in bands.items():
        key = name.replace(" ", "_")
        result |= {f"{key}.{score}": value for score, value in coverage(table, band).items()}
    return result


def at_tower(predicted: xr.Dataset, tower: xr.Dataset, least_qc: float = LEAST_QC) -> dict:
    """Daily `gpp`, `gpp_lo`, `gpp_hi` (time) beside a tower's GPP, at each scale; a flat result.

    Weeks and months of a tower are compared with means over the same days, where all of them were predicted. Which
    partitioning was compared stands in ``gpp``: night-time, or day-time where that has twice as many pairs. Beside
    it stands the day-of-year climatology of the tower's other years, on the same days, where there are any.
    """
    pairs = periods.pair(predicted, tower, least_qc)
    observed, predicted, both = pairs.observed, pairs.predicted, pairs.both
    series = {MODEL: predicted["gpp"]}
    if len(set(observed.dropna("time")["time"].dt.year.values.tolist())) > 1:
        is_daily = pairs.scale == "daily"
        series["day_of_year"] = (baselines.other_years if is_daily else periods.other_years)(observed)
    truth, band = observed.sel(time=both), predicted.sel(time=both)
    inside = (truth >= band["gpp_lo"]) & (truth <= band["gpp_hi"])
    result = {
        "site": str(tower.attrs.get("site", "")),
        "igbp": str(tower.attrs.get("igbp", "")),
        "least_qc": least_qc,
        "gpp": str(tower[pairs.flux].attrs.get("source_column", pairs.flux)),
        "gpp_source_units": str(tower.attrs.get("gpp_source_units", "")),
        "resolution": pairs.scale,
        "days": pairs.days,
        "start": str(both[0].date()),
        "end": str(pairs.end.date()),
        f"{MODEL}.coverage": float(inside.mean()),
    }
    for name, values in series.items():
        values = values.sel(time=both).drop_vars("spatial_ref", errors="ignore")
        if pairs.scale == "daily":
            found = metrics.table(truth, values)
        else:  # weeks and months as the tower gives them; no finer scale can be told
            found = pd.DataFrame([metrics.scores(truth.values, values.values)], [pairs.scale])
        result |= {
            f"{name}.{scale}.{score}": float(value)
            for scale, row in found.iterrows()
            for score, value in row.items()
        }
    return result


def tower_report(result: dict) -> str:
    """The result of ``at_tower`` as lines a reader compares."""
    columns = ("n", "nse", "r2", "rmse", "mae", "bias", "kge", "bias2", "variance", "phase")
    source = ", in ".join(part for part in (result.get("gpp"), result.get("gpp_source_units")) if part)
    lines = [
        f"{result['site']} {result['igbp']}: {result['days']} days, {result['start']} to {result['end']},"
        f" {source}, quality"
        f" {result['least_qc']:g} or better; the 90 % band holds {result[f'{MODEL}.coverage']:.0%}; gC m-2 d-1",
        f"{'':<24}" + "".join(f"{name:>10}" for name in columns),
    ]
    for name in (MODEL, "day_of_year"):
        for scale in (scale for scale in metrics.SCALES if f"{name}.{scale}.n" in result):
            values = "".join(f"{result[f'{name}.{scale}.{column}']:>10.3g}" for column in columns)
            lines.append(f"{name.replace('_', ' '):<14}{scale:<10}{values}")
    return "\n".join(lines)


def report(result: dict) -> str:
    """The result as lines a reader compares."""
    names = list(dict.fromkeys(key.split(".")[0] for key in result if "." in key))
    columns = ("nse", "r2", "rmse", "mae", "bias", "kge", "median_site_nse", "coverage")
    lines = [
        f"{result['split']}: {result['data']}, {result['rows']} rows at {result['sites']} sites; RMSE, MAE, bias in"
        " gC m-2 d-1; coverage of the 90 % band",
        f"{'':<28}" + "".join(f"{name:>16}" for name in columns),
    ]
    for name in names:
        values = [result.get(f"{name}.{column}") for column in columns]
        lines.append(f"{name:<28}" + "".join(f"{'' if v is None else format(v, '.3f'):>16}" for v in values))
    kinds = [key.split(".nse_")[1] for key in result if key.startswith(f"{MODEL}.nse_")]
    if kinds:
        lines.append(f"\n{'by plant type: NSE':<28}" + "".join(f"{kind:>16}" for kind in kinds))
    for what, label in (("nse", "{}"), ("coverage", "{}, coverage")):
        for name in names if kinds else ():
            values = [result.get(f"{name}.{what}_{kind}") for kind in kinds]
            if values[0] is not None:
                cells = "".join(f"{value:>16.3f}" for value in values)
                lines.append(f"{label.format(name):<28}{cells}")
    return "\n".join(lines)
