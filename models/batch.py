"""Typed tensors that travel through the networks; shapes are checked when they are made.

Axes: ``a`` area, ``n`` or ``t`` acquisition, ``q`` query day, ``p`` pixel, ``d`` token, ``f`` embedding feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Acquisitions of one sensor over one area, in physical units.

    Parameters
    ----------
    values
        Reflectance (1) or backscatter (dB), NaN where nothing was measured; bands in the order of the sensor's
        ``SensorSpec``, absent bands all NaN.
    valid
        Pixels that the cloud mask calls clear; only these count as observations.

    Raises
    ------
    ValueError
        When the shapes do not agree.
    """

    values: Float[Tensor, "n band y x"]
    valid: Bool[Tensor, "n2 y2 x2"]

    def __post_init__(self) -> None:
        # Checked here too, since signatures are compared in the tests only.
        n, _, y, x = self.values.shape
        if self.valid.shape != (n, y, x):
            raise ValueError(
                f"valid is {tuple(self.valid.shape)} beside values {tuple(self.values.shape)};"
                f" it must be {(n, y, x)}."
            )


@dataclass(frozen=True)
class Tokens:
    """Encoded acquisitions of one sensor over one or several areas with as many pixels each.

    Parameters
    ----------
    token
        Output of the encoder.
    valid
        Whether a pixel was observed in an acquisition.
    day
        Days since 1970-01-01 UTC, in any order; a pixel has at most one valid acquisition per day.

    Raises
    ------
    ValueError
        When the shapes do not agree.
    """

    token: Float[Tensor, "a t p d"]
    valid: Bool[Tensor, "a2 t2 p2"]
    day: Int[Tensor, "a3 t3"]

    def __post_init__(self) -> None:
        # A wrong axis would broadcast further on, and give numbers.
        if not (self.token.shape[:3] == self.valid.shape and self.token.shape[:2] == self.day.shape):
            raise ValueError(
                f"token {tuple(self.token.shape)}, valid {tuple(self.valid.shape)} and day"
                f" {tuple(self.day.shape)} do not agree on (area, time, pixel)."
            )

    def pixels(self, index: slice) -> Tokens:
        """Select pixels.

        Parameters
        ----------
        index
            Slice of the pixel axis.

        Returns
        -------
        Tokens
            Views of the same tensors.
        """
        return Tokens(self.token[:, :, index], self.valid[:, :, index], self.day)


@dataclass(frozen=True)
class FusionOutput:
    """Embeddings of the query days, and the expected errors of what is decoded from them.

    Parameters
    ----------
    z
        Embedding.
    log_sigma
        Per sensor: log of the expected error of each band, in units of ``SensorSpec.spread / e``; see
        ``Decoder.sigma``.
    """

    z: Float[Tensor, "a q p f"]
    log_sigma: dict[str, Float[Tensor, "a q p _"]]

    def days(self, index: slice) -> FusionOutput:
        """Select query days.

        Parameters
        ----------
        index
            Slice of the day axis.

        Returns
        -------
        FusionOutput
            Views of the same tensors.
        """
        return FusionOutput(self.z[:, index], {name: log[:, index] for name, log in self.log_sigma.items()})


def cat(series: list[Tokens]) -> Tokens:
    """Join the tokens of several areas along the area axis.

    Parameters
    ----------
    series
        At least one, with as many pixels and the same token length each.

    Returns
    -------
    Tokens
        Shorter series are padded with invalid acquisitions, which change no output.
    """
    # Padding is put at the end with day 0; it is invalid, so that its weight is zero whatever its distance in time.
    longest = max(one.token.shape[1] for one in series)

    def pad(array: Tensor) -> Tensor:
        return torch.cat([array, array.new_zeros(1, longest - array.shape[1], *array.shape[2:])], 1)

    # (area, longest series, pixel, ...) of each field.
    return Tokens(
        torch.cat([pad(one.token) for one in series]),
        torch.cat([pad(one.valid) for one in series]),
        torch.cat([pad(one.day) for one in series]),
    )
