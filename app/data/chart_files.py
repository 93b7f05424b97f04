"""Each single chart, and the table of scores, as a table: what a reader saves from under it."""

import numpy as np
import pandas as pd
from fluxlens.app.data import chart_table
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.towers.comparison import LINES, TowerComparison
from fluxlens.app.state.place import Place
from fluxlens.embeddings.metrics import SCALES

PLACE_COLUMNS = ("time", "name", "lon", "lat", "x", "y")
CHART_COLUMNS = {
    "ndvi": ("ndvi", "clear", "ndvi_told"),
    "pc": ("PC1", "PC2", "PC3", "sigma", "days_from_s2"),
    "radar": ("VV", "VH"),
    "gpp": ("gpp", "gpp_lo", "gpp_hi", "tower_gpp_nt", "tower_gpp_dt", "tower_qc"),
    "weather": chart_table.WEATHER_COLUMNS,
}
"""Columns of ``chart_table.make_table`` that a chart shows, by its name; PC1 to PC3 are added here."""


def series_chart_table(data: ExplorerData, places: list[Place], chart: str) -> pd.DataFrame:
    """What one chart of places shows.

    Parameters
    ----------
    data : ExplorerData
        The store on screen.
    places : list of Place
        The places that are drawn, by their names.
    chart : str
        "ndvi", "pc", "radar", "gpp" or "weather".

    Returns
    -------
    pandas.DataFrame
        ``PLACE_COLUMNS`` and those of ``CHART_COLUMNS`` that the store has, a row for each place and day; metadata in
        ``.attrs``.
    """
    table = chart_table.make_table(data, places, [place.label for place in places])
    if chart == "pc":
        # Not in ``make_table``: components differ from store to store, and its columns are the same for all.
        scores = [data.place_series(place).pc.values for place in places]  # each (time, component)
        for i in range(scores[0].shape[1]):
            table[f"PC{i + 1}"] = np.concatenate([one[:, i] for one in scores])
    columns = [name for name in (*PLACE_COLUMNS, *CHART_COLUMNS[chart]) if name in table]
    return table[columns]


def tower_chart_table(data: ExplorerData, comparison: TowerComparison, chart: str) -> pd.DataFrame:
    """What one chart of the tower's page shows, or its scores.

    Parameters
    ----------
    data : ExplorerData
        The store on screen.
    comparison : TowerComparison
        What is drawn.
    chart : str
        "series", "scatter", "cycle" (by day of a leap year), "anomaly" or "scores".

    Returns
    -------
    pandas.DataFrame
        GPP in gC m-2 d-1 of each line, or a row of scores for each line and time scale; metadata in ``.attrs``.
    """
    lines = {"measured": comparison.measured} | comparison.lines
    if chart == "scores":
        rows = []
        for scale in SCALES:
            for name in comparison.lines:
                prefix = f"{name}.{scale}."
                scores = {
                    key[len(prefix) :]: v for key, v in comparison.scores.items() if key.startswith(prefix)
                }
                if scores:
                    rows.append({"scale": scale, "line": LINES[name]} | scores)
        table = pd.DataFrame(rows)
    elif chart == "cycle":
        # A leap year: 29 February is a day of the climatology.
        days = pd.date_range("2020-01-01", "2020-12-31").strftime("%m-%d")
        # Of the days that are measured, as in the chart.
        by_line = {name: comparison.climatology(comparison.pair(name)[1]) for name in comparison.lines}
        table = pd.DataFrame({"day": days, "measured": comparison.climatology(comparison.measured)} | by_line)
    elif chart == "anomaly":
        by_line = {name: comparison.anomaly(comparison.pair(name)[1]) for name in comparison.lines}
        table = pd.DataFrame(
            {"time": comparison.time, "measured": comparison.anomaly(comparison.measured)} | by_line
        )
    else:
        table = pd.DataFrame({"time": comparison.time} | lines)
        if chart == "series":
            table["model_lo"], table["model_hi"] = comparison.low, comparison.high
    table.attrs = chart_table.metadata(data, []) | {"units of GPP": "gC m-2 d-1"}
    return table
