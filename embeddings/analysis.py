"""Similarity of pixels, clusters, and maps from a few labels, from stored int8 embeddings.

``agreement``, ``cosine`` and ``project`` are numba kernels kept by hand: they read int8 and never write the values out
as floats. Similarity of a 4-million-pixel map so runs near the speed of reading it (`bench screen`:
``similarity_share_of_memory``); NumPy or scikit-learn would first make an array four times as large. What works on a
sample or on a few labels is scikit-learn, imported only when called.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

PART = 2**17
"""Pixels compared by one thread at a time."""
ABSENT_CLASS_INTERCEPT = -1e6
"""Intercept of a class without a sample: no other weights can lift it above a class that has some."""
RIDGE_PENALTIES = (0.1, 1, 10, 100, 1000)
"""Tried for inputs of unit variance."""


def agreement(
    embedding: np.ndarray, scale: np.ndarray, centre: np.ndarray, like: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Dot product of every embedding with one vector, and its squared norm, both after subtracting ``centre``.

    Sums over days give the cosine of whole trajectories.

    Parameters
    ----------
    embedding
        (pixel, feature) int8 steps.
    scale
        (feature,) value of one step.
    centre
        (feature,) mean embedding, in values.
    like
        (feature,) the vector to compare with, in values.

    Returns
    -------
    Dot product and squared norm, both (pixel,) float32.
    """
    # (s e - c) . (l - c) and |s e - c|^2 expand into weights and offsets per feature that are known beforehand, so that
    # the kernel only multiplies integers' values and adds.
    weights, middle = scale**2, centre / scale
    towards = (weights * (like / scale - middle)).astype("float32")
    inwards = (-2 * weights * middle).astype("float32")
    offsets = np.array([-float(middle @ towards), float(weights @ middle**2)], "float32")
    dot, length = (np.empty(len(embedding), "float32") for _ in range(2))
    embedding, weights = np.ascontiguousarray(embedding), weights.astype("float32")
    agree = _kernels()[0]
    _each(
        lambda at: agree(embedding[at], towards, inwards, weights, offsets, dot[at], length[at]),
        len(embedding),
    )
    return dot, length


def principal(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First three principal components with fixed signs.

    The largest loading of each component is positive, so that two runs never swap colours.

    Parameters
    ----------
    sample
        (pixel, feature) values; three pixels or more.

    Returns
    -------
    Weights (feature, 3) and mean (feature,), float32.
    """
    from sklearn.decomposition import PCA

    with np.errstate(
        invalid="ignore"
    ):  # the share of variance explained, unused, is 0 / 0 where all pixels are alike
        found = PCA(min(3, sample.shape[1]), svd_solver="covariance_eigh").fit(sample.astype("float64"))
    weights = found.components_.T
    weights = weights * np.sign(weights[np.abs(weights).argmax(0), range(weights.shape[1])])
    return weights.astype("float32"), found.mean_.astype("float32")


def project(embedding: np.ndarray, onto: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Linear map of embeddings, ``embedding @ onto + offset``, without writing int8 out as floats.

    Parameters
    ----------
    embedding
        (..., feature) int8 or float32.
    onto
        (feature, plane) weights.
    offset
        (plane,) added to each plane.

    Returns
    -------
    (..., plane) float32.
    """
    flat = np.ascontiguousarray(embedding).reshape(-1, embedding.shape[-1])
    out = np.empty((len(flat), onto.shape[1]), "float32")
    weights, offset = np.ascontiguousarray(onto.T, "float32"), offset.astype("float32")
    kernel = _kernels()[2]
    _each(lambda at: kernel(flat[at], weights, offset, out[at]), len(flat))
    return out.reshape(*embedding.shape[:-1], -1)


def cosine(dot: np.ndarray, length: np.ndarray, own: float) -> np.ndarray:
    """Cosine similarity from what ``agreement`` returns.

    Parameters
    ----------
    dot
        (pixel,) dot products.
    length
        (pixel,) squared norms.
    own
        Squared norm of the vector compared with.

    Returns
    -------
    (pixel,) float32 from -1 to 1; 0 where a norm is zero.
    """
    out = np.empty_like(dot)
    divide = _kernels()[1]
    _each(lambda at: divide(dot[at], length[at], np.float32(own), out[at]), len(dot))
    return out


def _each(what: Callable[[slice], None], pixels: int) -> None:
    """Call ``what`` with slices of all pixels, in parallel on all cores; the kernels release the GIL."""
    parts = [slice(start, start + PART) for start in range(0, pixels, PART)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(what, parts))


@cache
def _kernels() -> tuple[Callable, Callable, Callable]:
    """One pass over the integers: a product with matrices would first write them out as numbers four times as long."""
    import numba

    @numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
    def agree(embedding, towards, inwards, weights, offsets, dot, length):
        for pixel in range(len(embedding)):
            near, own = np.float32(0), np.float32(0)
            for feature in range(len(towards)):
                value = np.float32(embedding[pixel, feature])
                near += value * towards[feature]
                own += value * (value * weights[feature] + inwards[feature])
            dot[pixel] = near + offsets[0]
            length[pixel] = max(own + offsets[1], np.float32(0))

    @numba.njit(cache=True, nogil=True, error_model="numpy")
    def divide(dot, length, own, out):
        for pixel in range(len(dot)):
            both = np.sqrt(length[pixel] * own)
            share = min(max(dot[pixel] / both, np.float32(-1)), np.float32(1))
            out[pixel] = share if both > np.float32(1e-9) else np.float32(0)

    @numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
    def onto(embedding, weights, offset, out):
        for pixel in range(len(embedding)):
            for plane in range(len(weights)):
                total = offset[plane]
                for feature in range(embedding.shape[1]):
                    total += np.float32(embedding[pixel, feature]) * weights[plane, feature]
                out[pixel, plane] = total

    return agree, divide, onto


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
        found = KMeans(count, n_init=1, max_iter=rounds, random_state=seed).fit(values.astype("float32"))
    size = np.bincount(found.labels_, minlength=count)
    return found.cluster_centers_[np.argsort(-size, kind="stable")]


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


# --- from a few labels to all pixels ---


def logistic(values: np.ndarray, kinds: np.ndarray, count: int, penalty: float = 1.0) -> np.ndarray:
    """Multinomial logistic regression.

    Parameters
    ----------
    values
        (sample, feature) in comparable units.
    kinds
        (sample,) classes 0 ... count - 1; a class may be absent, as where its only samples are left out.
    count
        Number of classes.
    penalty
        Weight of the squared coefficients beside the summed log loss; intercepts are not penalised.

    Returns
    -------
    Weights (feature + 1, count), the intercepts last.
    """
    from sklearn.linear_model import LogisticRegression

    present = np.unique(kinds)
    out = np.zeros((values.shape[1] + 1, count))
    out[-1] = ABSENT_CLASS_INTERCEPT
    if len(present) == 1:
        out[-1, present] = 0
        return out
    # Of two classes scikit-learn fits one vector, the difference of the two; it is then penalised twice as much as the
    # two halves would be.
    is_binary = len(present) == 2
    fit = LogisticRegression(C=(2 if is_binary else 1) / penalty, tol=1e-6, max_iter=1000).fit(values, kinds)
    weights = np.vstack([fit.coef_.T, fit.intercept_])  # (feature + 1, 1 or class)
    out[:, present] = weights * [-0.5, 0.5] if is_binary else weights
    return out


def ridge(
    values: np.ndarray, target: np.ndarray, penalties: tuple[float, ...] = RIDGE_PENALTIES
) -> np.ndarray:
    """Ridge regression; the penalty is the one with the least error on samples left out one by one.

    Parameters
    ----------
    values
        (sample, feature) in comparable units.
    target
        (sample,) numbers.
    penalties
        Tried in turn.

    Returns
    -------
    Weights (feature + 1, 1), the intercept last.
    """
    from sklearn.linear_model import RidgeCV

    fit = RidgeCV(penalties).fit(values.astype("float64"), target)
    return np.append(fit.coef_, fit.intercept_)[:, None]


def applied(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What a linear model says of every pixel.

    Parameters
    ----------
    values
        (pixel, feature) int8 or floats.
    weights
        (feature + 1, output), the intercepts last.

    Returns
    -------
    (pixel, output) float32.
    """
    values = values if values.dtype == np.int8 else values.astype("float32", copy=False)
    return project(values, weights[:-1], weights[-1])


def left_out(
    values: np.ndarray,
    target: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray],
    folds: int = 20,
) -> np.ndarray:
    """Prediction of each sample by a model that never saw it.

    Parameters
    ----------
    values
        (sample, feature).
    target
        (sample,) classes or numbers.
    fit
        Takes values and target, returns weights (feature + 1, output).
    folds
        Up to so many samples are left out one by one; of more, every ``folds``-th together.

    Returns
    -------
    (sample, output) float32.
    """
    from sklearn.model_selection import PredefinedSplit

    # Labels come class by class: contiguous folds, as of KFold, would leave out a whole class.
    split = PredefinedSplit(np.arange(len(values)) % folds)
    parts = {
        tuple(test): applied(values[test], fit(values[train], target[train])) for train, test in split.split()
    }
    out = np.empty((len(values), next(iter(parts.values())).shape[1]), "float32")
    for test, part in parts.items():
        out[list(test)] = part
    return out
