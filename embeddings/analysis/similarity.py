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

PIXELS_PER_TASK = 2**17
"""Pixels compared by one thread at a time."""


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
    # With e the integers, s the scale, c the centre and l the other vector:
    # (s e - c) . (l - c) = e . s (l - c) - c . (l - c)
    # |s e - c|^2 = s^2 . e^2 - 2 s c . e + |c|^2
    # All but e is known beforehand, so that the kernel only multiplies integers' values and adds.
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

    The largest loading of each component is positive, so that two runs never swap colours. The eigenvectors of the
    covariance are NumPy's, as in scikit-learn's PCA: every page needs them, and the import of scikit-learn takes 1.1 s
    of processor time at the start of each server.

    Parameters
    ----------
    sample
        (pixel, feature) values; three pixels or more.

    Returns
    -------
    Weights (feature, 3) and mean (feature,), float32.
    """
    values = sample.astype("float64")
    mean = values.mean(0)
    covariance = np.cov(values, rowvar=False).reshape(len(mean), len(mean))
    # NumPy sorts by variance from the least.
    weights = np.linalg.eigh(covariance)[1][:, ::-1][:, :3]  # (feature, component)
    weights = weights * np.sign(weights[np.abs(weights).argmax(0), range(weights.shape[1])])
    return weights.astype("float32"), mean.astype("float32")


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
    strips = [slice(start, start + PIXELS_PER_TASK) for start in range(0, pixels, PIXELS_PER_TASK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(what, strips))


@cache
def _kernels() -> tuple[Callable, Callable, Callable]:
    """One pass over the integers: a product with matrices would first write them out as numbers four times as long."""
    import numba

    @numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
    # Dot product with the query and own length in one pass over the int8 embedding. The rescaling of features is folded
    # into the vectors beforehand, so that nothing of the size of the scene is made in float. Sums may be reordered,
    # which lets the compiler use vector instructions.
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
    # Cosine similarity; rounding may carry it past 1, and a pixel of no length is like nothing.
    def divide(dot, length, own, out):
        for pixel in range(len(dot)):
            both = np.sqrt(length[pixel] * own)
            share = min(max(dot[pixel] / both, np.float32(-1)), np.float32(1))
            out[pixel] = share if both > np.float32(1e-9) else np.float32(0)

    @numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
    # Projection on principal components, (pixel, feature) int8 to (pixel, component) float32.
    def onto(embedding, weights, offset, out):
        for pixel in range(len(embedding)):
            for plane in range(len(weights)):
                total = offset[plane]
                for feature in range(embedding.shape[1]):
                    total += np.float32(embedding[pixel, feature]) * weights[plane, feature]
                out[pixel, plane] = total

    return agree, divide, onto
