"""Statistics of embeddings: similarity, principal components, clusters, models from few labels."""

from fluxlens.embeddings.analysis.clustering import assign, kmeans
from fluxlens.embeddings.analysis.few_labels import applied, left_out, logistic, ridge
from fluxlens.embeddings.analysis.similarity import agreement, cosine, principal, project

__all__ = [
    "agreement",
    "applied",
    "assign",
    "cosine",
    "kmeans",
    "left_out",
    "logistic",
    "principal",
    "project",
    "ridge",
]
