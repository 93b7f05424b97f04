"""Charts in words say what is drawn."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.data.chart_text import describe_comparison, describe_line, describe_series, describe_trend

DAYS = pd.date_range("2020-01-01", "2020-12-31").values


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda x: np.sin(np.pi * x), "rises until July 2020, then falls"),
        (lambda x: -np.sin(np.pi * x), "falls until July 2020, then rises"),
        (lambda x: x, "rises"),
        (lambda x: -x, "falls"),
        (lambda x: 0 * x + 3, "changes little"),
        (lambda x: np.sin(40 * np.pi * x), "changes little"),
    ],
)
def test_trends(shape, words):
    assert describe_trend(DAYS, shape(np.linspace(0, 1, len(DAYS)))).startswith(words)


def test_a_line_tells_range_period_and_peak_of_what_is_known():
    values = np.where(np.arange(366) < 31, np.nan, -np.arange(366.0))
    text = describe_line("Gap", DAYS, values, 0)
    assert text.startswith("Gap: 335 values from 1 Feb 2020 to 31 Dec 2020, between −365 and −31, ")
    assert "highest on 1 Feb 2020; falls" in text
    assert describe_line("Empty", DAYS, values * np.nan, 0) == "Empty: no values"


def test_every_chart_of_a_place_is_told(data):
    series = data.pixel_series(20, 28)
    ndvi = describe_series("ndvi", series)
    assert f"{int((~series.clear.values).sum())} views are masked" in ndvi
    assert f"between {series.ndvi.values[series.clear.values].min():.2f} and " in ndvi
    assert "PC3: 245 values" in describe_series("pc", series)
    assert "VH, dB: 41 values" in describe_series("radar", series)
    gpp = describe_series("gpp", series, tower=data.tower)
    assert f"and {series.gpp.values.max():.1f}," in gpp
    assert "Tower, day-time partitioning: 245 values" in gpp
    assert "Tower" not in describe_series("gpp", series)
    assert "Air temperature, °C: 245 values" in describe_series("weather", series, data.weather)


def test_charts_of_a_tower_tell_the_lines_that_are_shown(data):
    comparison = data.compare_tower("gpp_nt", 0.75)
    both = describe_comparison("series", comparison, ["model", "day_of_year"])
    assert both.startswith("Measured: 163 values")
    assert "Predicted: 245 values" in both
    assert "Predicted" not in describe_comparison("series", comparison, ["day_of_year"])
    scatter = describe_comparison("scatter", comparison, ["day_of_year"])
    assert scatter.startswith("Day of year: 163 days, correlation 0.9")
    assert "about" in describe_comparison("cycle", comparison, ["model"])
    assert describe_comparison("anomaly", comparison, ["model"]).startswith("Measured: no values")
