"""Predicted GPP against a flux tower, by time scale, beside the day-of-year climatology."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from fluxlens.embeddings import climatology, metrics
from fluxlens.embeddings.towers import periods

LEAST_QC = 0.75
"""Share of a day's net exchange that was measured or filled well, below which the day does not count."""

MODEL = "model"


def evaluate_at_tower(predicted: xr.Dataset, tower: xr.Dataset, least_qc: float = LEAST_QC) -> dict:
    """Score daily GPP against a tower at each time scale.

    Weeks and months of a tower are compared with means over the same days, where all of them were predicted. Beside it
    stands the day-of-year climatology of the tower's other years, on the same days, where there are any.

    Parameters
    ----------
    predicted
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (time), gC m-2 d-1.
    tower
        ``gpp_nt`` or ``gpp_dt`` (time), gC m-2 d-1, and where known ``qc`` (time) 0-1. Which partitioning was compared
        stands in ``gpp`` of the result: night-time, or day-time where that has twice as many pairs.
    least_qc
        Days of lower quality do not count.

    Returns
    -------
    Flat result with keys ``NAME.SCALE.SCORE``, which ``tower_report`` shows as a table.

    Raises
    ------
    InputError
        With fewer than two days in common.
    """
    pairs = periods.pair(predicted, tower, least_qc)
    observed, predicted, both = pairs.observed, pairs.predicted, pairs.both
    series = {MODEL: predicted["gpp"]}
    # The climatology of the other years needs a second year.
    if len(set(observed.dropna("time")["time"].dt.year.values.tolist())) > 1:
        is_daily = pairs.scale == "daily"
        series["day_of_year"] = (climatology.leave_year_out_climatology if is_daily else periods.other_years)(
            observed
        )
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
        # Model and climatology on the same days: those with a measurement and a prediction.
        values = values.sel(time=both).drop_vars("spatial_ref", errors="ignore")
        if pairs.scale == "daily":
            by_scale = metrics.table(truth, values)
        else:  # weeks and months as the tower gives them; no finer scale is known
            by_scale = pd.DataFrame([metrics.scores(truth.values, values.values)], [pairs.scale])
        result |= {
            f"{name}.{scale}.{score}": float(value)
            for scale, row in by_scale.iterrows()
            for score, value in row.items()
        }
    return result


def tower_report(result: dict) -> str:
    """The ``result`` of ``evaluate_at_tower`` as a table of text."""
    columns = ("n", "nse", "r2", "rmse", "mae", "bias", "kge", "bias2", "variance", "phase")
    source = ", in ".join(text for text in (result.get("gpp"), result.get("gpp_source_units")) if text)
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
