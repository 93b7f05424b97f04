"""Figures of the map, the series, the tower and the feature space.

The functions named here return HoloViews objects and need no dashboard; HoloViews, Datashader and Bokeh are imported
when one is called. ``marks`` describes charts once: the same HoloViews elements are composed in a notebook and drawn on
the dashboard, where ``map``, ``series_figures`` and ``tower_figures`` update them through their plots' handles.
"""

from fluxlens.app.plots.area_lines import area_density
from fluxlens.app.plots.datashaded_map import embedding_map
from fluxlens.app.plots.outlines import footprint
from fluxlens.app.plots.pixel_cloud import FeatureSpace, feature_space
from fluxlens.app.plots.series_layout import series_charts
from fluxlens.app.plots.tower_layout import tower_charts

__all__ = [
    "FeatureSpace",
    "area_density",
    "embedding_map",
    "feature_space",
    "footprint",
    "series_charts",
    "tower_charts",
]
