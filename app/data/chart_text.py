"""What the charts show, in words: ranges and trends for those who do not see them."""

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.layer_image import format_date
from fluxlens.app.data.towers.comparison import LINES, TowerComparison

ENDS_SHARE = 0.15
"""The beginning and the end of a series, as shares of its length, with which its extremes are compared."""
TREND_SHARE = 0.3
"""A change of at least this share of the range of a series is a trend."""
SMOOTH_SHARE = 0.08
"""Width of the running mean behind a trend, as a share of the length of a series."""
WEATHER_LABELS = {
    "sw_in": "Shortwave, W m⁻²",
    "tair": "Air temperature, °C",
    "vpd": "Vapour pressure deficit, hPa",
    "precip": "Rain, mm",
}
TOWER_LABELS = {"gpp_nt": "Tower, night-time partitioning", "gpp_dt": "Tower, day-time partitioning"}


def describe_trend(time: np.ndarray, values: np.ndarray) -> str:
    """How a series goes in one clause: "rises until June, then falls", "changes little".

    Parameters
    ----------
    time : numpy.ndarray
        (n,) datetime64, rising.
    values : numpy.ndarray
        (n,), without NaN.
    """
    # Three values or fewer have no trend that a sentence could hold.
    if len(values) < 4 or np.ptp(values) == 0:
        return "changes little"
    smooth = (
        pd.Series(values)
        .rolling(max(3, int(SMOOTH_SHARE * len(values))), center=True, min_periods=1)
        .mean()
        .values
    )
    ends = max(1, int(ENDS_SHARE * len(values)))
    # Means over the ends: the very first day may be an outlier.
    first, last, span = smooth[:ends].mean(), smooth[-ends:].mean(), np.ptp(smooth)
    top, bottom = int(smooth.argmax()), int(smooth.argmin())
    # What the running mean takes away was noise or a fast cycle, in which the extremes fall where they may.
    if span < TREND_SHARE * np.ptp(values):
        return "changes little"
    # Both ends must lie well below a peak (above a trough): else it is the end of one long rise or fall.
    for at, up, down in ((top, "rises", "falls"), (bottom, "falls", "rises")):
        sign = 1 if up == "rises" else -1
        if min(sign * (smooth[at] - first), sign * (smooth[at] - last)) >= TREND_SHARE * span:
            return f"{up} until {pd.Timestamp(time[at]):%B %Y}, then {down}"
    if abs(last - first) >= TREND_SHARE * span:
        return "rises" if last > first else "falls"
    return "changes little"


def describe_line(name: str, time: np.ndarray, values: np.ndarray, digits: int) -> str:
    """One line of a chart: number of its values, range, date of the highest, and trend.

    Parameters
    ----------
    name : str
        What the line is, with its unit.
    time, values : numpy.ndarray
        (n,) datetime64 and numbers, NaN where there is none.
    digits : int
        Decimals.
    """
    values = np.asarray(values, float)
    known = np.isfinite(values)
    if not known.any():
        return f"{name}: no values"
    time, values = np.asarray(time)[known], values[known]
    low, high = (f"{value:.{digits}f}".replace("-", "−") for value in (values.min(), values.max()))
    return (
        f"{name}: {len(values)} values from {format_date(time[0])} to {format_date(time[-1])}, "
        f"between {low} and {high}, highest on {format_date(time[values.argmax()])}; {describe_trend(time, values)}"
    )


def describe_series(
    name: str, series: xr.Dataset, weather: xr.Dataset | None = None, tower: xr.Dataset | None = None
) -> str:
    """A chart of a place in words.

    Parameters
    ----------
    name : str
        The chart: "ndvi", "pc", "radar", "gpp" or "weather".
    series : xarray.Dataset
        As ``ExplorerData.place_series``.
    weather, tower : xarray.Dataset, optional
        Daily weather, and the tower where its GPP is drawn.
    """
    days = series.time.values
    lines = []
    if name == "ndvi" and "ndvi" in series:
        lines = _ndvi_lines(series)
    elif name == "pc":
        lines = [
            describe_line(str(component), days, series.pc.values[:, i], 1)
            for i, component in enumerate(series.component.values)
        ]
    elif name == "radar":
        lines = [
            describe_line(f"{band}, dB", series.passage.values, series[band].values, 1)
            for band in ("VV", "VH")
            if band in series
        ]
    elif name == "gpp":
        if "gpp" in series:
            lines.append(describe_line("Predicted, gC m⁻² d⁻¹", days, series.gpp.values, 1))
            # The band's width says in one number how far to trust the line, which a reader of the picture sees at once.
            width = float(np.nanmean(series.gpp_hi.values - series.gpp_lo.values))
            lines.append(f"its band is {width:.1f} wide on average")
        if tower is not None:
            lines += _lines_between(tower, days[0], days[-1], TOWER_LABELS)
    elif name == "weather" and weather is not None:
        lines = _lines_between(weather, days[0], days[-1], WEATHER_LABELS)
    return ". ".join(lines) + "." if lines else "No values."


def _ndvi_lines(series: xr.Dataset) -> list[str]:
    """Clear views, the number of masked ones, and the decoded line where there is one."""
    # Masked views show clouds: their NDVI would widen the range by what is not the land's.
    clear = series.clear.values.astype(bool)
    lines = [
        describe_line("Clear views", series.acquisition.values[clear], series.ndvi.values[clear], 2),
        f"{int((~clear).sum())} views are masked",
    ]
    if "ndvi_decoded" in series:
        lines.append(
            describe_line("Read off the embedding", series.time.values, series.ndvi_decoded.values, 2)
        )
    return lines


def _lines_between(
    daily: xr.Dataset, first: np.datetime64, last: np.datetime64, labels: dict[str, str]
) -> list[str]:
    """The labelled columns of a tower or of weather that are there, between two days."""
    # Both may be longer than the cube by decades: only what the chart shows is described.
    inside = daily.sel(time=slice(first, last))
    return [
        describe_line(label, inside.time.values, inside[column].values, 1)
        for column, label in labels.items()
        if column in inside
    ]


def describe_comparison(name: str, comparison: TowerComparison, shown: list[str]) -> str:
    """A chart of the tower's page in words.

    Parameters
    ----------
    name : str
        The chart: "series", "scatter", "cycle" or "anomaly".
    comparison : TowerComparison
        What is drawn.
    shown : list of str
        Names of ``LINES`` that are visible.
    """
    names = [line for line in comparison.lines if line in shown]
    if name == "scatter":
        sentences = []
        # Slope and correlation are what the eye reads off the cloud of points beside the 1:1 line.
        for line in names:
            measured, predicted = comparison.pair(line)
            both = np.isfinite(measured) & np.isfinite(predicted)
            if both.sum() > 2 and np.ptp(measured[both]) > 0:
                slope = np.polyfit(measured[both], predicted[both], 1)[0]
                r = np.corrcoef(measured[both], predicted[both])[0, 1]
                sentences.append(
                    f"{LINES[line]}: {int(both.sum())} days, correlation {r:.2f}, slope {slope:.2f} against measured"
                )
        return ". ".join(sentences) + "." if sentences else "No values."
    if name == "cycle":
        # A leap year, whose days the mean cycle is indexed by.
        time = pd.date_range("2020-01-01", periods=len(comparison.climatology(comparison.measured))).values
        lines = {"Measured": comparison.climatology(comparison.measured)} | {
            LINES[line]: comparison.climatology(comparison.lines[line]) for line in names
        }
        sentences = []
        for label, values in lines.items():
            values = np.asarray(values, float)
            if np.isfinite(values).any():
                top = int(np.nanargmax(values))
                peak = pd.Timestamp(time[top])
                sentences.append(
                    f"{label}: highest, {values[top]:.1f}, about {peak.day} {peak:%B}, lowest {np.nanmin(values):.1f}"
                )
        return ". ".join(sentences) + "." if sentences else "No values."
    if name == "anomaly":
        lines = {"Measured": comparison.anomaly(comparison.measured)} | {
            LINES[line]: comparison.anomaly(comparison.lines[line]) for line in names
        }
    else:
        lines = {"Measured": comparison.measured} | {LINES[line]: comparison.lines[line] for line in names}
    sentences = [
        describe_line(label, np.asarray(comparison.time), values, 1) for label, values in lines.items()
    ]
    return ". ".join(sentences) + "."
