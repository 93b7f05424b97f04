"""Encoders and fusion joined: a token per acquisition and pixel, computed once, then an embedding for any day."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from fluxlens.models.batch import FusionOutput, Tokens
from fluxlens.models.decoder import Decoder, Land, Season
from fluxlens.models.encoder import Encoder
from fluxlens.models.fusion import ContextualisedSeries, Fusion
from fluxlens.models.sensors import SENSORS, SensorSpec
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """What must be known to build the networks before their weights are read.

    Parameters
    ----------
    sensors
        Names in ``models.sensors.SENSORS``; the first one defines ``sigma``.
    features
        Length of the embedding.
    hidden
        Width of the network that joins the sensors.
    land
        Whether the embedding is also decoded to the state of the land (stage two).
    season_heads
        Kernels of months per sensor; with them the embedding is also decoded to its season (``decoder.SEASON``).
    """

    sensors: tuple[str, ...] = ("s2", "s1")
    features: int = 32
    hidden: int = 96
    land: bool = False
    season_heads: int = 0

    @property
    def specs(self) -> dict[str, SensorSpec]:
        """Facts of each sensor, by name."""
        return {name: SENSORS[name] for name in self.sensors}


@dataclass(frozen=True)
class Identity:
    """Which weights these are; written beside every number they make.

    Parameters
    ----------
    name
        Name of the model.
    digest
        Digest of its weights, empty when untrained.
    card
        Model card: what it was trained on.
    """

    name: str = "untrained"
    digest: str = ""
    card: dict = field(default_factory=dict)


class Embedder(nn.Module):
    """Daily embeddings from the acquisitions of any subset of its sensors.

    ``encoders``, ``fusion``, ``decoders``, ``land`` and ``scale`` are keys of shipped weights.

    Parameters
    ----------
    config
        Sensors and sizes.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or Config()
        specs = self.config.specs
        # Not a buffer: names and cards belong to the file, not to the state dict.
        self.identity = Identity()
        self.encoders = nn.ModuleDict({name: Encoder(spec) for name, spec in specs.items()})
        self.fusion = Fusion(specs, self.config.features, self.config.hidden, self.config.season_heads)
        self.decoders = nn.ModuleDict(
            {name: Decoder(spec, self.config.features) for name, spec in specs.items()}
        )
        # Without it the state dict has no such key, and older weights load.
        self.land = Land(self.config.features) if self.config.land else None
        self.season = Season(self.config.features) if self.config.season_heads else None
        # Values up to 4 fit into 127 steps, until ``training.set_scale`` has measured the features.
        # Step of the int8 quantisation per feature; part of the model, the same for every cube.
        self.register_buffer("scale", torch.full((self.config.features,), 4 / 127))

    @property
    def name(self) -> str:
        """Name of the weights."""
        return self.identity.name

    @property
    def digest(self) -> str:
        """Digest of the weights."""
        return self.identity.digest

    @property
    def features(self) -> int:
        """Length of the embedding."""
        return self.config.features

    def encode(
        self, sensor: str, values: Float[Tensor, "n band y x"], valid: Bool[Tensor, "n y x"]
    ) -> Float[Tensor, "n token y2 x2"]:
        """Encode whole acquisitions.

        Parameters
        ----------
        sensor
            Name of the sensor.
        values
            Reflectance (1) or backscatter (dB) with a halo of ``HALO_PX`` pixels; NaN is missing.
        valid
            Pixels that the cloud mask calls clear.

        Returns
        -------
        Tensor
            Tokens without the halo: ``y2 = y - 2 * HALO_PX``.
        """
        return self.encoders[sensor](values, valid)

    def embed(
        self, tokens: dict[str, Tokens], days: Int[Tensor, "a q"], causal: bool = False
    ) -> FusionOutput:
        """Embed query days: ``contextualise``, then ``query``.

        Parameters
        ----------
        tokens
            Per sensor; sensors may be missing.
        days
            Days since 1970-01-01 UTC, on the device of the model.
        causal
            Whether only acquisitions up to a query day count.

        Returns
        -------
        FusionOutput
            Of each area, day and pixel.
        """
        # (area, acquisition, pixel, token) per sensor in, (area, day, pixel, feature) out.
        return self.fusion(tokens, days, causal)

    def contextualise(
        self, tokens: dict[str, Tokens], causal: bool = False, group_days: int | None = None
    ) -> dict[str, ContextualisedSeries]:
        """First half of ``embed``: done once for all query days.

        Parameters
        ----------
        tokens, causal
            As for ``embed``.
        group_days
            As of ``Fusion.contextualise``.

        Returns
        -------
        dict
            Per sensor with acquisitions.
        """
        return self.fusion.contextualise(tokens, causal, group_days)

    def query(
        self, series: dict[str, ContextualisedSeries], days: Int[Tensor, "a q"], causal: bool = False
    ) -> FusionOutput:
        """Second half of ``embed``.

        Parameters
        ----------
        series
            As ``contextualise`` returned it, with the same ``causal``.
        days, causal
            As for ``embed``; the days may be on any device.

        Returns
        -------
        FusionOutput
            Of each area, day and pixel.
        """
        # Days come from the CPU in most callers; the buffer says where the weights are now.
        return self.fusion.query(series, days.to(self.scale.device), causal)

    def sigma(self, output: FusionOutput) -> Float[Tensor, "a q p"]:
        """Expected root-mean-square error of the decoded bands of the first sensor.

        Parameters
        ----------
        output
            Of ``embed`` or ``query``.

        Returns
        -------
        Tensor
            In the unit of that sensor (reflectance for ``s2``).
        """
        # One number per pixel: the error of the sensor whose bands users read off the embedding.
        # Variances are averaged, not deviations: the root of their mean is the error of a band drawn at random.
        first = self.config.sensors[0]
        # (area, day, pixel, band) to (area, day, pixel)
        return self.decoders[first].sigma(output.log_sigma[first]).square().mean(-1).sqrt()
