"""Digest of a scene's contents, independent of chunks, order of acquisitions and compression."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import crs_name

DIGEST_BYTES = 32 * 2**20

DIGEST_BOX = {"time": 16, "y": 64, "x": 1024}
"""Larger arrays are hashed in boxes of this size, whole chunks of our own scenes: no scene is ever held whole."""


def digest(scene: xr.DataTree) -> str:
    """Hash of a scene's content: names, coordinates and values of every node, and none of the attrs.

    The order of nodes and variables, chunks, the spelling of the CRS and the bits of a NaN do not matter.

    Parameters
    ----------
    scene
        Lazy or not; it is read in boxes, never held whole.

    Returns
    -------
    str
        32 hexadecimal digits (blake2b).
    """
    out = hashlib.blake2b(digest_size=16)
    for node in sorted(scene.subtree, key=lambda node: node.path):
        # Without inherited coordinates: a parent's would be hashed again with each of its children.
        dataset = node.to_dataset(inherit=False)
        for name in sorted(map(str, dataset.variables)):
            variable = dataset[name]
            # One CRS has many spellings in WKT; its name is the same in all.
            if name == "spatial_ref":
                out.update(f"{node.path}:crs:{crs_name(dataset)}\n".encode())
                continue
            out.update(f"{node.path}:{name}:{variable.dims}:{variable.shape}\n".encode())
            for block in _blocks(variable):
                out.update(block)
    return out.hexdigest()


def _blocks(array: xr.DataArray) -> Iterator[bytes]:
    """The array's bytes, whole or, where it is large, in boxes that do not depend on how it is stored."""
    if array.nbytes <= DIGEST_BYTES:
        yield canonical_bytes(array.values)
        return
    # Dims without a step, such as ``band``, are taken whole.
    steps = [DIGEST_BOX.get(str(dim), size) for dim, size in array.sizes.items()]
    starts = (range(0, size, step) for size, step in zip(array.shape, steps, strict=True))
    for corner in product(*starts):
        box = tuple(slice(a, a + step) for a, step in zip(corner, steps, strict=True))
        yield canonical_bytes(array[box].values)


def canonical_bytes(values: np.ndarray) -> bytes:
    """Bytes that equal values share: one NaN, one zero, little-endian, times in ns, text in UTF-8.

    Parameters
    ----------
    values
        Of any dims, unit and dtype.

    Returns
    -------
    bytes
    """
    if values.dtype.kind == "M":
        # Readers differ in the unit of times: seconds and nanoseconds of one moment must agree.
        return values.astype("datetime64[ns]").astype("<i8").tobytes()
    if values.dtype.kind == "f":
        # NaN has many bit patterns, and adding 0 turns -0.0 into 0.0, which compares equal but has other bits.
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0))
        return values.astype(values.dtype.newbyteorder("<")).tobytes()
    if values.dtype.kind in "biu":
        return values.astype(values.dtype.newbyteorder("<")).tobytes()
    # With a separator that text cannot hold: else ["ab", "c"] and ["a", "bc"] would agree.
    return "\0".join(map(str, values.ravel())).encode()
