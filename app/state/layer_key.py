"""Which layers there are, and the key of the image that the map shows."""

import datetime as dt
from dataclasses import dataclass

import shapely
from fluxlens.app.state.labels import Label

LAYERS = {
    "true": "True colour",
    "pca": "Embedding",
    "feature": "Feature",
    "published": "Published",
    "gpp": "GPP",
    "width": "GPP band",
    "similar": "Similar",
    "clusters": "Clusters",
    "labels": "Labels",
    "sigma": "Sigma",
    "gap": "Days from S2",
}
"""Label on screen of each layer, by its key in permalinks."""
PERIOD_LAYERS = ("pca", "feature", "similar", "clusters", "labels")
"""Layers that can be made of the whole period instead of one day."""


@dataclass(frozen=True)
class LayerKey:
    """The choices that one layer image depends on, and no others: equal keys have equal images.

    Fields that the layer does not use keep their defaults, so that a change of an unrelated choice hits the cache.
    """

    layer: str
    """A key of ``LAYERS``."""
    day: dt.date | None = None
    """Day of the image, UTC; None: the whole period (``PERIOD_LAYERS`` only)."""
    feature: int = 0
    """Index of the embedding feature, for "feature"."""
    pixel: tuple[int, int] | None = None
    """(row, col) of the reference pixel, for "similar"."""
    area: shapely.MultiPolygon | None = None
    """Area in lon, lat whose mean is the reference in place of the pixel, for "similar"."""
    threshold: float = 0.0
    """Cosine similarity below which pixels are drawn pale, for "similar"."""
    clusters: int = 0
    """Number of clusters, for "clusters"."""
    labels: tuple[Label, ...] = ()
    """Labels of the user, for "labels"."""
