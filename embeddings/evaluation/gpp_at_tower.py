"""Predicted GPP against a flux tower, by time scale, beside the baselines that it has to beat."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from fluxlens.embeddings import metrics
from fluxlens.embeddings.evaluation import tower_baselines
from fluxlens.embeddings.evaluation.tower_baselines import LABELS, MODEL, BaselineInputs, TowerBaselines
from fluxlens.embeddings.towers import periods

LEAST_QC = 0.75
"""Share of a day's net exchange that was measured or filled well, below which the day does not count."""


def evaluate_at_tower(
    predicted: xr.Dataset,
    tower: xr.Dataset,
    least_qc: float = LEAST_QC,
    inputs: BaselineInputs | None = None,
) -> dict:
    """Score daily GPP against a tower at each time scale, beside baselines on the same days.

    Weeks and months of a tower are compared with means over the same days, where all of them were predicted.

    Parameters
    ----------
    predicted
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (time), gC m-2 d-1; its attributes say which head and calibration it is of.
    tower
        ``gpp_nt`` or ``gpp_dt`` (time), gC m-2 d-1, and where known ``qc`` (time) 0-1. Which partitioning was compared
        stands in ``gpp`` of the result: night-time, or day-time where that has twice as many pairs.
    least_qc
        Days of lower quality do not count.
    inputs
        Land and weather, of which NIRv x light and the P-model are made; without them the day-of-year climatology
        alone stands beside the prediction.

    Returns
    -------
    Flat result with keys ``NAME.SCALE.SCORE``, names as of ``tower_baselines.LABELS``; ``NAME.split`` says what a line
    was fitted to, ``NAME.missing`` why there is none. ``tower_report`` shows it as a table.

    Raises
    ------
    InputError
        With fewer than two days in common.
    """
    pairs = periods.pair(predicted, tower, least_qc)
    # After the pairs are known: what is fitted to the tower is fitted to the GPP that is scored.
    days = pd.DatetimeIndex(predicted["time"].values).normalize()
    baselines = tower_baselines.fit(pairs.observed, tower, days, inputs)
    result = score_pairs(pairs, tower, least_qc, baselines)
    return result | {f"{MODEL}.split": tower_baselines.model_split(predicted.attrs, tower)}


def score_pairs(
    pairs: periods.TowerPairs, tower: xr.Dataset, least_qc: float, baselines: TowerBaselines
) -> dict:
    """Scores of a prediction and of baselines on the same days.

    Parameters
    ----------
    pairs
        What was measured and predicted.
    tower
        Its attributes describe the measurements.
    least_qc
        As ``pairs`` were made with.
    baselines
        At the tower's times.

    Returns
    -------
    As of ``evaluate_at_tower``, without the split of the prediction.
    """
    observed, predicted, both = pairs.observed, pairs.predicted, pairs.both
    series = {MODEL: predicted["gpp"]} | {name: line.values for name, line in baselines.lines.items()}
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
        # Model and baselines on the same days: those with a measurement and a prediction.
        values = values.reindex(time=both).drop_vars("spatial_ref", errors="ignore")
        if pairs.scale == "daily":
            by_scale = metrics.table(truth, values)
        else:  # weeks and months as the tower gives them; no finer scale is known
            by_scale = pd.DataFrame([metrics.scores(truth.values, values.values)], [pairs.scale])
        result |= {
            f"{name}.{scale}.{score}": float(value)
            for scale, row in by_scale.iterrows()
            for score, value in row.items()
        }
    result |= {f"{name}.split": line.split for name, line in baselines.lines.items()}
    return result | {f"{name}.missing": reason for name, reason in baselines.missing.items()}


def tower_report(result: dict) -> str:
    """The ``result`` of ``evaluate_at_tower`` as a table of text, with the split of each line below."""
    columns = ("n", "nse", "r2", "rmse", "mae", "bias", "kge", "bias2", "variance", "phase")
    source = ", in ".join(text for text in (result.get("gpp"), result.get("gpp_source_units")) if text)
    sources = [result["store"], result["data"]] if "store" in result else []
    lines = [
        *([f"data:      {' beside '.join(sources)}"] if sources else []),
        f"{result['site']} {result['igbp']}: {result['days']} days, {result['start']} to {result['end']},"
        f" {source}, quality"
        f" {result['least_qc']:g} or better; the 90 % band holds {result[f'{MODEL}.coverage']:.0%}; gC m-2 d-1",
        f"{'':<24}" + "".join(f"{name:>10}" for name in columns),
    ]
    # Scale by scale, so that the prediction stands beside its baselines.
    for scale in (scale for scale in metrics.SCALES if f"{MODEL}.{scale}.n" in result):
        for name in (name for name in LABELS if f"{name}.{scale}.n" in result):
            values = "".join(f"{result[f'{name}.{scale}.{column}']:>10.3g}" for column in columns)
            lines.append(f"{scale if name == MODEL else '':<10}{LABELS[name]:<14}{values}")
    lines.append("fitted to")
    for name, label in LABELS.items():
        # No score without its split, and no baseline left out without its reason.
        if f"{name}.split" in result:
            lines.append(f"{'':<10}{label:<14}{result[f'{name}.split']}")
        elif f"{name}.missing" in result:
            lines.append(f"{'':<10}{label:<14}none: {result[f'{name}.missing']}")
    return "\n".join(lines)
