"""How well GPP is predicted at sites never seen, beside what any model has to beat."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pandas as pd

from embeddings import baselines, gpp_features, metrics
from embeddings.gpp_table import Head, read
from models.errors import InputError

PARTS = 6
"""Sites are dealt into so many parts; hyperparameters for a part are learnt from the other parts."""
RICH_ROWS = 10
"""Rows a site needs for a score of its own."""
TYPE_ROWS = 50
"""Rows a plant type needs for a coverage of its own."""
MODEL = "model"


def leave_site_out(table: pd.DataFrame, **fit) -> Generator[tuple[str, float], None, pd.DataFrame]:
    """Each row predicted without its site; yields progress, returns `gpp`, `gpp_lo`, `gpp_hi`.

    Sites are dealt into six parts. Everything learnt by search (scaling, hyperparameters, filler, width of the
    band) comes from the other five parts; a site's rows are then predicted, as a shipped head would, by a sketch of
    all rows of all other sites.
    """
    table = table.reset_index(drop=True)
    out = pd.DataFrame(np.nan, table.index, ["gpp", "gpp_lo", "gpp_hi"])
    parts = deal(table["site"])
    for i, part in enumerate(parts):
        yield f"leave-site-out, part {i + 1} of {len(parts)}", i / len(parts)
        learnt = Head.fit(table[~table["site"].isin(part).values], **fit)
        for site in part:
            here = (table["site"] == site).values
            told = learnt.know(table[~here]).sketch().predict(table[here])
            out[here] = told[list(out)].values
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


def others(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The baselines, each learnt on all other sites."""
    base = gpp_features.base(table)
    filler = gpp_features.Filler.fit(base)
    drawn = filler.fill(base)
    now = gpp_features.features(sum(drawn[1:], drawn[0]) / len(drawn), table)
    light = now["nirv"] * now["sw"]
    fapar = baselines.fapar_from_ndvi(now["ndvi"])
    theory = baselines.p_model(fapar, now["sw"], now["tmean"], np.expm1(now["log_vpd"]))
    out = {name: np.empty(len(table)) for name in ("nirv x sw", "p-model (ndvi)", "plant type cycle", "mean")}
    for name in table["site"].unique():
        here = (table["site"] == name).values
        train = table[~here]
        for key, drive in (("nirv x sw", light.values), ("p-model (ndvi)", theory)):
            k = (drive[~here] * train["gpp"]).sum() / (drive[~here] ** 2).sum()
            out[key][here] = k * drive[here]
        out["plant type cycle"][here] = baselines.type_cycle(train, table[here])
        out["mean"][here] = train["gpp"].mean()
    return out


def scores(table: pd.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    """Pooled over rows, and the median NSE of sites with ten rows or more."""
    every = metrics.scores(table["gpp"], predicted)
    counts = table["site"].value_counts()
    rich = [s for s in counts.index if counts[s] >= RICH_ROWS]
    own = [metrics.nse(table["gpp"][table["site"] == s], predicted[table["site"] == s]) for s in rich]
    kept = {key: every[key] for key in ("nse", "r2", "rmse", "mae", "bias")}
    return kept | {"median_site_nse": float(np.median(own)) if own else np.nan}


def coverage(table: pd.DataFrame, band: pd.DataFrame) -> dict[str, float]:
    """Share of rows inside the band: all, and by plant type with fifty rows or more."""
    inside = (table["gpp"] >= band["gpp_lo"]) & (table["gpp"] <= band["gpp_hi"])
    out = {"coverage": float(inside.mean())}
    for kind, rows in inside.groupby(table["type"]):
        if len(rows) >= TYPE_ROWS:
            out[f"coverage_{kind}"] = float(rows.mean())
    return out


def evaluate(
    path: str | Path, split: str = "leave-site-out", **fit
) -> Generator[tuple[str, float], None, dict]:
    """Yields progress; returns a flat result, which ``report`` shows as a table."""
    if split != "leave-site-out":
        raise InputError(f"Got the split {split!r}, need leave-site-out; choose it.")
    table = read(path, need_gpp=True)
    table = table[table["gpp"].notna()].reset_index(drop=True)
    band = yield from leave_site_out(table, **fit)
    head = f"{MODEL} (process, 90 % band)"
    rows = {head: band["gpp"].values, **others(table)}
    facts = {
        "data": Path(path).name,
        "rows": len(table),
        "sites": int(table["site"].nunique()),
        "split": split,
    }
    result: dict = dict(facts)
    for name, predicted in rows.items():
        key = MODEL if name == head else name.replace(" ", "_").replace("(", "").replace(")", "")
        result |= {f"{key}.{score}": value for score, value in scores(table, predicted).items()}
    return result | {f"{MODEL}.{name}": value for name, value in coverage(table, band).items()}


def report(result: dict) -> str:
    """The result as lines a reader compares."""
    names = list(dict.fromkeys(key.split(".")[0] for key in result if "." in key))
    columns = ("nse", "r2", "rmse", "mae", "bias", "median_site_nse", "coverage")
    lines = [
        f"{result['split']}: {result['data']}, {result['rows']} rows at {result['sites']} sites; RMSE, MAE, bias in"
        " gC m-2 d-1; coverage of the 90 % band",
        f"{'':<20}" + "".join(f"{name:>16}" for name in columns),
    ]
    for name in names:
        values = [result.get(f"{name}.{column}") for column in columns]
        lines.append(f"{name:<20}" + "".join(f"{'' if v is None else format(v, '.3f'):>16}" for v in values))
    types = {k.split("coverage_")[1]: v for k, v in result.items() if ".coverage_" in k}
    if types:
        lines.append("coverage by plant type: " + ", ".join(f"{k} {v:.2f}" for k, v in types.items()))
    return "\n".join(lines)
