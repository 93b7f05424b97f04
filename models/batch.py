"""The typed tensors that travel through the networks, checked at birth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Acquisitions of one sensor over one area, as they come: in physical units, NaN where nothing was measured."""

    values: Float[Tensor, "n band y x"]
    """Reflectance (1) or backscatter (dB); bands in the order of the sensor's spec, absent bands all NaN."""
    usable: Bool[Tensor, "n y x"]
    """Pixels the mask calls clear; the others are never looked at as observations."""

    def __post_init__(self) -> None:
        n, _, y, x = self.values.shape
        if self.usable.shape != (n, y, x):
            raise ValueError(
                f"usable is {tuple(self.usable.shape)} beside values {tuple(self.values.shape)};"
                f" it must be {(n, y, x)}."
            )


@dataclass(frozen=True)
class Tokens:
    """What the acquisitions of one sensor left over one area, or over several areas of as many pixels."""

    token: Float[Tensor, "a t p d"]
    usable: Bool[Tensor, "a t p"]
    day: Int[Tensor, "a t"]
    """Days since 1970-01-01 UTC, in any order; where a pixel is usable no day twice."""

    def __post_init__(self) -> None:
        if not (self.token.shape[:3] == self.usable.shape and self.token.shape[:2] == self.day.shape):
            raise ValueError(
                f"token {tuple(self.token.shape)}, usable {tuple(self.usable.shape)} and day"
                f" {tuple(self.day.shape)} do not agree on (area, time, pixel)."
            )

    def pixels(self, part: slice) -> Tokens:
        """The same for some of the pixels."""
        return Tokens(self.token[:, :, part], self.usable[:, :, part], self.day)


@dataclass(frozen=True)
class Answer:
    """Embeddings of the asked days and the doubt about what they tell."""

    z: Float[Tensor, "a q p f"]
    doubt: dict[str, Float[Tensor, "a q p band"]]
    """Per sensor: log of the expected error of each band, in units of the band's spread."""

    def days(self, part: slice) -> Answer:
        """The same for some of the asked days."""
        return Answer(self.z[:, part], {name: doubt[:, part] for name, doubt in self.doubt.items()})


def cat(parts: list[Tokens]) -> Tokens:
    """Tokens of several areas as one; shorter series are padded with unusable times."""
    longest = max(part.token.shape[1] for part in parts)

    def pad(array: Tensor) -> Tensor:
        return torch.cat([array, array.new_zeros(1, longest - array.shape[1], *array.shape[2:])], 1)

    return Tokens(
        torch.cat([pad(part.token) for part in parts]),
        torch.cat([pad(part.usable) for part in parts]),
        torch.cat([pad(part.day) for part in parts]),
    )
