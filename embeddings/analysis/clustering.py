"""Clusters of pixels: k-means on a sample, and the nearest centre of every pixel."""

import numpy as np


def kmeans(values: np.ndarray, count: int, rounds: int = 25, seed: int = 0) -> np.ndarray:
    """Cluster centres by k-means, the largest cluster first.

    Parameters
    ----------
    values
        (sample, feature).
    count
        Number of clusters.
    rounds
        Most iterations of Lloyd's algorithm.
    seed
        Of the k-means++ initialisation (Arthur and Vassilvitskii 2007): the same seed gives the same centres.

    Returns
    -------
    (count, feature) float32.
    """
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct samples than clusters: some centres coincide, which only leaves their clusters empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # One start only: it is k-means++, and a map must not wait for ten.
        fitted = KMeans(count, n_init=1, max_iter=rounds, random_state=seed).fit(values.astype("float32"))
    size = np.bincount(fitted.labels_, minlength=count)
    # Sorted by size, stable: labels and colours of clusters stay when the same pixels are clustered again.
    return fitted.cluster_centers_[np.argsort(-size, kind="stable")]


def assign(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the nearest centre of every row, by Euclidean distance.

    Parameters
    ----------
    values
        (row, feature).
    centres
        (count, feature), at most 256.

    Returns
    -------
    (row,) uint8.
    """
    from sklearn.metrics import pairwise_distances_argmin

    values = np.ascontiguousarray(values, "float32")
    return pairwise_distances_argmin(values, np.ascontiguousarray(centres, "float32")).astype("uint8")
