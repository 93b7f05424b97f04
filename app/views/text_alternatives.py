"""Charts in words: each figure carries a text that screen readers read in place of its canvas."""

from fluxlens.app.data.chart_text import describe_comparison, describe_series
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.data.towers.comparison import TowerComparison
from fluxlens.app.state.selection import State
from fluxlens.app.views.page_behaviour import set_text_alternative

SERIES_TITLES = {
    "ndvi": "NDVI of Sentinel-2",
    "pc": "Principal components of the embedding",
    "radar": "Radar backscatter of Sentinel-1",
    "gpp": "GPP",
    "weather": "Weather",
}
TOWER_TITLES = {
    "series": "Daily GPP of the tower and of its predictions, gC m⁻² d⁻¹",
    "scatter": "Each day, predicted against measured GPP",
    "cycle": "Mean seasonal cycle of GPP, gC m⁻² d⁻¹",
    "anomaly": "Anomaly of GPP from its mean seasonal cycle, gC m⁻² d⁻¹",
}


def describe_place_charts(figures: dict, state: State, data: ExplorerData) -> None:
    """Give the charts of the current place their texts.

    Parameters
    ----------
    figures : dict
        Bokeh figures by the names of the charts.
    state : State
        The current place, and whether its tower is drawn.
    data : ExplorerData
        The store on screen.
    """
    place = state.place
    if place is None:
        return
    series = data.place_series(place)
    where = place.label if place.area else f"{place.label}, pixel {place.row}, {place.col}"
    # Said in every text, as it stands over every chart: a text may be read or copied alone.
    note = ", simulated" if data.simulated else ""
    tower = data.tower if state.show_tower else None
    for name, figure in figures.items():
        text = describe_series(name, series, data.weather, tower)
        set_text_alternative(figure, f"Chart: {SERIES_TITLES[name]}, {where}{note}. {text}")


def describe_tower_charts(figures: dict, comparison: TowerComparison, shown: list[str]) -> None:
    """Give the charts of the tower's page their texts.

    Parameters
    ----------
    figures : dict
        Bokeh figures by the names of the charts.
    comparison : TowerComparison
        What they show.
    shown : list of str
        Names of ``LINES`` that are visible.
    """
    for name, figure in figures.items():
        set_text_alternative(
            figure, f"Chart: {TOWER_TITLES[name]}. {describe_comparison(name, comparison, shown)}"
        )
