"""A Zarr codec that stores each value's difference from the one before it: neighbours in time and space are alike.

``numcodecs.Delta`` flattens a chunk; this one goes along one axis and decodes into the order cubes have in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from zarr.abc.codec import ArrayArrayCodec
from zarr.registry import register_codec

NAME = "fluxlens.difference"
"""In the metadata of stores: part of the file format."""


@dataclass(frozen=True)
class Difference(ArrayArrayCodec):
    """Differences along one axis of a chunk of integers; they wrap around, so that nothing is lost."""

    is_fixed_size = True

    axis: int
    """At least 1: the axis before it holds the features."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Difference:
        return cls(**data["configuration"])

    def to_dict(self) -> dict[str, Any]:
        return {"name": NAME, "configuration": {"axis": self.axis}}

    async def _encode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        values = chunk_data.as_numpy_array()
        # In the values' own dtype: differences wrap around, and sums of them wrap back.
        steps = np.diff(values, axis=self.axis, prepend=values.dtype.type(0))
        return chunk_spec.prototype.nd_buffer.from_numpy_array(steps)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        values = chunk_data.as_numpy_array()
        before, steps, after = (
            values.shape[: self.axis - 1],
            values.shape[self.axis],
            values.shape[self.axis + 1 :],
        )
        # The axis before that of the differences holds the features; cubes have them last in memory, so they are
        # laid there in the same pass: transposing afterwards takes ten times as long.
        features = values.shape[self.axis - 1]
        sums = np.empty((*before, steps, *after, features), values.dtype)
        flat = np.ascontiguousarray(values).reshape(-1, features, steps, int(np.prod(after)))
        _accumulate()(flat, sums.reshape(len(flat), steps, -1, features))
        return chunk_spec.prototype.nd_buffer.from_numpy_array(np.moveaxis(sums, -1, self.axis - 1))

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: Any) -> int:
        return input_byte_length


@cache
def _accumulate() -> Callable[[np.ndarray, np.ndarray], None]:
    """Sums (part, feature, step, place) along steps into (part, step, place, feature)."""
    import numba

    @numba.njit(cache=True, nogil=True)
    def accumulate(differences: np.ndarray, sums: np.ndarray) -> None:
        blocks, features, steps, places = differences.shape
        for block in range(blocks):
            total = np.zeros((features, places), differences.dtype)
            for step in range(steps):
                for feature in range(features):
                    for place in range(places):
                        total[feature, place] += differences[block, feature, step, place]
                # Features last, as the cube has them: written in the order of memory.
                for place in range(places):
                    for feature in range(features):
                        sums[block, step, place, feature] = total[feature, place]

    return accumulate


register_codec(NAME, Difference)
