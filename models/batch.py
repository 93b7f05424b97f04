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
    """What the acquisitions of one sensor left at each pixel, in any order."""

    token: Float[Tensor, "p t d"]
    usable: Bool[Tensor, "p t"]
    day: Int[Tensor, "p t"]
    """Days since 1970-01-01 UTC, no day twice."""

    def __post_init__(self) -> None:
        if not self.token.shape[:2] == self.usable.shape == self.day.shape:
            raise ValueError(
                f"token {tuple(self.token.shape)}, usable {tuple(self.usable.shape)} and day"
                f" {tuple(self.day.shape)} do not agree on (pixel, time)."
            )

    def select(self, pixels: Tensor) -> Tokens:
        """The same for a subset of pixels."""
        return Tokens(self.token[pixels], self.usable[pixels], self.day[pixels])


@dataclass(frozen=True)
class Answer:
    """Embeddings of the asked days and how far the nearest usable acquisitions are."""

    z: Float[Tensor, "p q f"]
    nearest: dict[str, Int[Tensor, "p q"]]
    """Per sensor: days to the nearest acquisition used, -1 where there is none."""


def cat(parts: list[Tokens]) -> Tokens:
    """Tokens of several areas as one list of pixels; shorter series are padded with unusable times."""
    longest = max(part.token.shape[1] for part in parts)

    def pad(part: Tokens) -> Tokens:
        p, t, d = part.token.shape
        if t == longest:
            return part
        room = longest - t
        last = part.day[:, -1:] if t else part.day.new_zeros(p, 1)
        later = last + 1 + torch.arange(room, device=part.day.device)
        return Tokens(
            torch.cat([part.token, part.token.new_zeros(p, room, d)], 1),
            torch.cat([part.usable, part.usable.new_zeros(p, room)], 1),
            torch.cat([part.day, later], 1),
        )

    padded = [pad(part) for part in parts]
    return Tokens(
        torch.cat([part.token for part in padded]),
        torch.cat([part.usable for part in padded]),
        torch.cat([part.day for part in padded]),
    )
