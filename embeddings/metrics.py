"""Scores of predictions that say which R2 they are, whole and per time scale.

``observed`` and ``predicted`` are series or arrays of one shape; pairs with a NaN in either are left out, and
labelled series (xarray, pandas) are aligned first. With fewer than two pairs every score is NaN. All is
computed in float64.

Kept beside scikit-learn's scores, which call 1 - SSE / SST "R2" while most papers on GPP report the squared
correlation under that name, and which take neither NaN nor labels; the tests compare the two where both have a score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from fluxlens.embeddings.climatology import HALF_WINDOW_DAYS, doy_mean, leap_doy
from fluxlens.models.errors import InputError

Values = xr.DataArray | pd.Series | npt.ArrayLike

SCALES = ("daily", "weekly", "monthly", "seasonal", "anomaly")
DAYS_AT_LEAST = 0.5
"""Share of a week's or month's days that must have a pair for its mean to count."""


def n(observed: Values, predicted: Values) -> int:
    """Number of pairs without a NaN.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    return _pairs(observed, predicted)[0].size


def nse(observed: Values, predicted: Values) -> float:
    """Nash-Sutcliffe efficiency, 1 - SSE / SST: 1 perfect, 0 as good as the mean of the observations.

    The score of Nash & Sutcliffe (1970), scikit-learn's ``r2_score``; NaN where the observations do not vary.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    o, p = _pairs(observed, predicted)
    total = ((o - o.mean()) ** 2).sum() if o.size > 1 else 0.0
    return float(1 - ((p - o) ** 2).sum() / total) if total > 0 else np.nan


def r2(observed: Values, predicted: Values) -> float:
    """Squared Pearson correlation: blind to bias and to wrong amplitude.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    return _correlation(*_pairs(observed, predicted)) ** 2


def rmse(observed: Values, predicted: Values) -> float:
    """Root mean squared error, in the units of the data.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    return _mean(observed, predicted, lambda error: error**2) ** 0.5


def mae(observed: Values, predicted: Values) -> float:
    """Mean absolute error, in the units of the data.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    return _mean(observed, predicted, np.abs)


def bias(observed: Values, predicted: Values) -> float:
    """Mean of predicted - observed, in the units of the data: positive where the model is too high.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    return _mean(observed, predicted, lambda error: error)


def kge(observed: Values, predicted: Values) -> float:
    """Kling-Gupta efficiency (Gupta et al. 2009, doi:10.1016/j.jhydrol.2009.08.003).

    One minus the distance of correlation, ratio of standard deviations and ratio of means from one.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    o, p = _pairs(observed, predicted)
    # The ratios have no value where the observations do not vary or are 0 on average.
    if o.size < 2 or o.std() == 0 or o.mean() == 0:
        return np.nan
    # Correlation, variability ratio, bias ratio: each is one for a perfect model.
    terms = _correlation(o, p) - 1, p.std() / o.std() - 1, p.mean() / o.mean() - 1
    return float(1 - np.sqrt(np.square(terms).sum()))


def mse_split(observed: Values, predicted: Values) -> dict[str, float]:
    """The mean squared error as a sum of three (Kobayashi and Salam 2000, doi:10.2134/agronj2000.922345x).

    ``bias2`` from the means, ``variance`` from the standard deviations, ``phase`` from imperfect correlation.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    o, p = _pairs(observed, predicted)
    if o.size < 2:
        return {"bias2": np.nan, "variance": np.nan, "phase": np.nan}
    covariance = ((o - o.mean()) * (p - p.mean())).mean()
    return {
        "bias2": float((p.mean() - o.mean()) ** 2),
        "variance": float((p.std() - o.std()) ** 2),
        # 2 s_o s_p (1 - r), written without the correlation, which a constant series does not have.
        "phase": float(2 * (p.std() * o.std() - covariance)),
    }


def scores(observed: Values, predicted: Values) -> dict[str, float]:
    """All scores of one pair of series, by name.

    Parameters
    ----------
    observed, predicted
        Series or arrays of one shape.
    """
    o, p = _pairs(observed, predicted)
    # Cleaned once above: each score would drop the missing pairs again.
    one = {score.__name__: score(o, p) for score in (n, nse, r2, rmse, mae, bias, kge)}
    return one | mse_split(o, p)


def table(
    observed: xr.DataArray | pd.Series, predicted: xr.DataArray | pd.Series, scales: Iterable[str] = SCALES
) -> pd.DataFrame:
    """Scores of two daily series with a time axis, one row per scale.

    ``weekly`` and ``monthly`` are means over whole periods with a pair on at least half of their days; ``seasonal``
    is the climatology of each series (day of year, window of 15 days), ``anomaly`` the daily departure from
    it. Both use paired days only; anomalies need two years or more around the same day of the year.

    Parameters
    ----------
    observed, predicted
        DataArray (time) or Series with dates; days without both do not count.
    scales
        Some of ``SCALES``.

    Returns
    -------
    One row per scale, one column per score.

    Raises
    ------
    InputError
        If a series has no dates or a scale is unknown.
    """
    pairs = _daily_pairs(observed, predicted)
    scales = tuple(scales)
    unknown = [scale for scale in scales if scale not in SCALES]
    if unknown:
        raise InputError(f"Got the scale {unknown[0]!r}, need some of {', '.join(SCALES)}; choose one.")
    rows = {scale: scores(*_at(scale, pairs)) for scale in scales}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("scale").astype({"n": int})


def at_scale(
    observed: xr.DataArray | pd.Series, predicted: xr.DataArray | pd.Series, scale: str
) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted values of two daily series at one scale, as ``table`` scores them.

    Parameters
    ----------
    observed, predicted
        DataArray (time) or Series with dates, in the same units; days without both do not count.
    scale
        One of ``SCALES``.

    Returns
    -------
    observed, predicted
        (period,) in the units of the data, NaN where a period has too few pairs.

    Raises
    ------
    InputError
        If a series has no dates or the scale is unknown.
    """
    if scale not in SCALES:
        raise InputError(f"Got the scale {scale!r}, need some of {', '.join(SCALES)}; choose one.")
    return _at(scale, _daily_pairs(observed, predicted))


def per_site(frame: pd.DataFrame, observed: str, predicted: str, site: str = "site") -> pd.DataFrame:
    """Scores of each site of a long table, and below them the quartiles over sites and all rows pooled.

    Parameters
    ----------
    frame
        One row per measurement.
    observed, predicted, site
        Names of its columns.

    Returns
    -------
    One row per site, then ``q25``, ``median``, ``q75`` and ``pooled``; one column per score.
    """
    rows = {str(name): scores(rows[observed], rows[predicted]) for name, rows in frame.groupby(site)}
    sites = pd.DataFrame.from_dict(rows, orient="index")
    # Quartiles over sites say what a user may expect at a new site; pooled rows favour sites with many.
    quartiles = sites.quantile([0.25, 0.5, 0.75]).set_axis(["q25", "median", "q75"])
    pooled = pd.DataFrame([scores(frame[observed], frame[predicted])], index=["pooled"])
    return pd.concat([sites, quartiles, pooled]).rename_axis(site)


def _pairs(observed: Values, predicted: Values) -> tuple[np.ndarray, np.ndarray]:
    """Both as flat float64, without the pairs that have a NaN."""
    if isinstance(observed, xr.DataArray) and isinstance(predicted, xr.DataArray):
        # Inner join: only times (and pixels) that both have.
        observed, predicted = xr.broadcast(*xr.align(observed, predicted, join="inner"))
    elif isinstance(observed, pd.Series) and isinstance(predicted, pd.Series):
        observed, predicted = observed.align(predicted, join="inner")
    o, p = (np.asarray(values, dtype="float64") for values in (observed, predicted))
    if o.shape != p.shape:
        raise InputError(f"Got shapes {o.shape} and {p.shape}, need one shape; align them.")
    # Infinite values are as useless as missing ones.
    both = np.isfinite(o) & np.isfinite(p)
    return o[both], p[both]


def _mean(observed: Values, predicted: Values, of: Callable[[np.ndarray], np.ndarray]) -> float:
    """Mean of a function of the errors predicted - observed."""
    o, p = _pairs(observed, predicted)
    return float(of(p - o).mean()) if o.size > 1 else np.nan


def _correlation(o: np.ndarray, p: np.ndarray) -> float:
    """Pearson correlation; NaN where one does not vary."""
    if o.size < 2 or o.std() == 0 or p.std() == 0:
        return np.nan
    return float(((o - o.mean()) * (p - p.mean())).mean() / (o.std() * p.std()))


def _daily_pairs(observed: xr.DataArray | pd.Series, predicted: xr.DataArray | pd.Series) -> pd.DataFrame:
    """Columns o and p on every day from first to last, both NaN where either is."""
    series = []
    for values in (observed, predicted):
        if isinstance(values, xr.DataArray) and values.dims == ("time",):
            values = pd.Series(values.values, pd.DatetimeIndex(values["time"].values))
        if not (isinstance(values, pd.Series) and isinstance(values.index, pd.DatetimeIndex)):
            raise InputError(
                f"Got a {type(values).__name__} without days, need a DataArray (time) or a Series with "
                "dates; add the time axis."
            )
        series.append(values.astype("float64"))
    pairs = pd.concat(series, axis=1, join="inner", keys=["o", "p"])
    # Where one is missing the other must not count either: means and climatologies are then of the same days.
    pairs = pairs.where(pairs.notna().all(axis=1))
    return pairs if pairs.empty else pairs.resample("D").mean()


def _at(scale: str, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted values at one time scale."""
    if scale in ("weekly", "monthly") and len(pairs):
        # Weeks are counted from the first day, months by the calendar.
        periods = pairs.resample("7D" if scale == "weekly" else "MS")
        days = 7 if scale == "weekly" else periods.size().index.days_in_month.values[:, None]
        # Whole periods only: one that the series begin or end in is the mean of some days, not a week or month.
        whole = np.asarray(periods.size())[:, None] >= days
        pairs = periods.mean().where((periods.count() >= DAYS_AT_LEAST * days) & whole)
    elif scale in ("seasonal", "anomaly") and len(pairs):
        time = pd.DatetimeIndex(pairs.index)
        # By series: its mean (366,) by day of the year, and of how many years each mean is (366,).
        climatology = {key: doy_mean(pairs[key].values, time, HALF_WINDOW_DAYS) for key in ("o", "p")}
        if scale == "seasonal":
            # Only days of the year that have a pair: a window would else spread one measurement over fifteen days that
            # count alike.
            has_pair = np.unique(leap_doy(time[pairs["o"].notna()]))
            return climatology["o"][0][has_pair], climatology["p"][0][has_pair]
        slot = leap_doy(time)
        # With a single year the climatology is that year itself, and its anomalies are noise around zero.
        has_two_years = climatology["o"][1][slot] >= 2
        pairs = pd.DataFrame({key: pairs[key] - climatology[key][0][slot] for key in ("o", "p")})[
            has_two_years
        ]
    return pairs["o"].values, pairs["p"].values
