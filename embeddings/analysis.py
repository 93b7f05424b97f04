"""Which pixels are alike, and what a few labelled ones say of all: numbers from stored int8 embeddings."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

PART = 2**17
"""Pixels compared by one thread at a time."""
BLOCK = 8192
"""Pixels converted to float32 at once: what fits a core's cache."""


def agreement(
    embedding: np.ndarray, scale: np.ndarray, centre: np.ndarray, like: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Dot product with ``like`` and own squared length, both (pixel,), of embeddings less ``centre``.

    ``embedding`` (pixel, feature) int8; ``scale``, ``centre`` (feature), the latter as ``like`` (feature) in values,
    not integers. Sums over days give the cosine of whole trajectories.
    """
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
    """Principal components of vectors (pixel, feature): (feature, 3) weights and (feature,) mean, signs fixed.

    The largest loading of each component is positive, so that two runs never swap colours.
    """
    mean = sample.mean(0)
    _, vectors = np.linalg.eigh(np.cov((sample - mean).T.astype("float64")))
    weights = vectors[:, ::-1][:, :3]
    weights = weights * np.sign(weights[np.abs(weights).argmax(0), range(weights.shape[1])])
    return weights.astype("float32"), mean.astype("float32")


def project(embedding: np.ndarray, onto: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """``embedding`` (..., feature), int8 or float32, times ``onto`` (feature, plane), plus ``offset``, float32."""
    flat = np.ascontiguousarray(embedding).reshape(-1, embedding.shape[-1])
    out = np.empty((len(flat), onto.shape[1]), "float32")
    weights, offset = np.ascontiguousarray(onto.T, "float32"), offset.astype("float32")
    kernel = _kernels()[2]
    _each(lambda at: kernel(flat[at], weights, offset, out[at]), len(flat))
    return out.reshape(*embedding.shape[:-1], -1)


def cosine(dot: np.ndarray, length: np.ndarray, own: float) -> np.ndarray:
    """Cosine similarity, -1..1; 0 where a length is nothing. ``own`` is the squared length of what is compared with."""
    out = np.empty_like(dot)
    divide = _kernels()[1]
    _each(lambda at: divide(dot[at], length[at], np.float32(own), out[at]), len(dot))
    return out


def _each(what: Callable[[slice], None], pixels: int) -> None:
    """Parts of all pixels, side by side on the cores there are."""
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
    """Centres (count, feature) of ``values`` (sample, feature), the largest cluster first.

    Lloyd's algorithm from seeds spread by squared distance (Arthur and Vassilvitskii 2007, k-means++).
    """
    draw = np.random.default_rng(seed)
    values = values.astype("float32")
    centres = values[[draw.integers(len(values))]]
    while len(centres) < count:
        far = _distance(values, centres).min(1)
        chance = far / far.sum() if far.sum() > 0 else None
        centres = np.concatenate([centres, values[[draw.choice(len(values), p=chance)]]])
    for _ in range(rounds):
        nearest = _distance(values, centres).argmin(1)
        sizes = np.bincount(nearest, minlength=count)
        total = np.stack([values[nearest == k].sum(0) for k in range(count)])
        moved = np.where(sizes[:, None] > 0, total / np.maximum(sizes, 1)[:, None], centres)
        if np.allclose(moved, centres):
            break
        centres = moved
    return centres[
        np.argsort(-np.bincount(_distance(values, centres).argmin(1), minlength=count), kind="stable")
    ]


def assign(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the nearest centre of every row."""
    out = np.empty(len(values), "uint8")
    for start in range(0, len(values), BLOCK):
        out[start : start + BLOCK] = _distance(values[start : start + BLOCK], centres).argmin(1)
    return out


def _distance(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (sample, centre)."""
    values = values.astype("float32", copy=False)
    squares = np.einsum("nf,nf->n", values, values)[:, None]
    return np.maximum(squares - 2 * values @ centres.T + (centres**2).sum(1), 0)


# --- from a few labels to all pixels ---


def logistic(values: np.ndarray, kinds: np.ndarray, count: int, penalty: float = 1.0) -> np.ndarray:
    """Weights (feature + 1, count) of multinomial logistic regression, the intercepts last and not penalised.

    ``values`` (sample, feature) in comparable units; ``kinds`` (sample) classes 0 .. count - 1.
    """
    from scipy.optimize import minimize

    design = np.column_stack([values, np.ones(len(values))]).astype("float64")
    truth = np.eye(count)[kinds]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, count)
        scores = design @ weights
        scores -= scores.max(1, keepdims=True)
        log_share = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        held = weights * penalty
        held[-1] = 0
        gradient = design.T @ (np.exp(log_share) - truth) + held
        return -(log_share * truth).sum() + (held * weights).sum() / 2, gradient.ravel()

    found = minimize(loss, np.zeros(design.shape[1] * count), jac=True, method="L-BFGS-B")
    return found.x.reshape(-1, count)


def ridge(values: np.ndarray, target: np.ndarray, penalties: tuple = (0.1, 1, 10, 100, 1000)) -> np.ndarray:
    """Weights (feature + 1, 1) of ridge regression, the intercept last; the penalty errs least on samples left out."""
    middle, level = values.mean(0), target.mean()
    centred = (values - middle).astype("float64")
    products = centred @ centred.T
    best = None
    for penalty in penalties:
        inverse = np.linalg.inv(products + penalty * np.eye(len(values)))
        hat = products @ inverse + 1 / len(values)
        left = (target - level - products @ inverse @ (target - level)) / np.maximum(1 - np.diag(hat), 1e-9)
        error = float(left @ left)
        if best is None or error < best[0]:
            best = error, centred.T @ inverse @ (target - level)
    return np.append(best[1], level - middle @ best[1])[:, None]


def applied(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(pixel, output) float32 of ``values`` (pixel, feature) under weights (feature + 1, output)."""
    values = values if values.dtype == np.int8 else values.astype("float32", copy=False)
    return project(values, weights[:-1], weights[-1])


def left_out(values: np.ndarray, target: np.ndarray, fit, folds: int = 20) -> np.ndarray:
    """(sample, output) of each sample, by weights ``fit(values, target)`` that never saw it.

    One by one up to ``folds`` samples; of more, every ``folds``-th together.
    """
    fold, parts = np.arange(len(values)) % folds, {}
    for k in np.unique(fold):
        parts[k] = applied(values[fold == k], fit(values[fold != k], target[fold != k]))
    out = np.empty((len(values), parts[0].shape[1]), "float32")
    for k, part in parts.items():
        out[fold == k] = part
    return out
