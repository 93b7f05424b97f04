"""Statistics of embeddings: similarity, principal components, clusters, models from few labels."""

from fluxlens.embeddings.analysis.clustering import assign, kmeans
from fluxlens.embeddings.analysis.few_labels import apply_linear, cross_predict, logistic, ridge
from fluxlens.embeddings.analysis.similarity import agreement, cosine, principal, project

__all__ = [
    "agreement",
    "apply_linear",
    "assign",
    "cosine",
    "cross_predict",
    "kmeans",
    "logistic",
    "principal",
    "project",
    "ridge",
]
