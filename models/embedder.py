"""Encoders and fusion joined: a token once per acquisition and pixel, then an embedding for any day."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import Answer, Tokens
from models.decoder import Decoder
from models.encoder import Encoder
from models.fusion import Fusion
from models.sensors import SENSORS, SensorSpec


@dataclass(frozen=True)
class Config:
    """What must be known to build the networks before their weights are read."""

    sensors: tuple[str, ...] = ("s2", "s1")
    features: int = 32
    hidden: int = 64

    @property
    def specs(self) -> dict[str, SensorSpec]:
        return {name: SENSORS[name] for name in self.sensors}


@dataclass(frozen=True)
class Identity:
    """Which weights these are: written beside every number they make."""

    name: str = "untrained"
    digest: str = ""
    card: dict = field(default_factory=dict)


class Embedder(nn.Module):
    """Daily embeddings from the acquisitions of any subset of its sensors."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or Config()
        specs = self.config.specs
        self.identity = Identity()
        self.encoders = nn.ModuleDict({name: Encoder(spec) for name, spec in specs.items()})
        self.fusion = Fusion(specs, self.config.features, self.config.hidden)
        self.decoders = nn.ModuleDict(
            {name: Decoder(spec, self.config.features) for name, spec in specs.items()}
        )
        # Step of the int8 quantisation per feature; part of the model, the same for every cube.
        self.register_buffer("scale", torch.full((self.config.features,), 4 / 127))

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def digest(self) -> str:
        return self.identity.digest

    @property
    def features(self) -> int:
        return self.config.features

    def encode(
        self, sensor: str, values: Float[Tensor, "n band y x"], usable: Bool[Tensor, "n y x"]
    ) -> Float[Tensor, "n token y2 x2"]:
        """Tokens of whole acquisitions, without their halo of 3 pixels."""
        return self.encoders[sensor](values, usable)

    def embed(
        self, tokens: dict[str, Tokens], days: Int[Tensor, "p q"], causal: bool = False, group: int = 1
    ) -> Answer:
        """Embeddings of the asked days for each pixel."""
        return self.fusion(tokens, days, causal, group)

    def sigma(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n"]:
        """Expected root-mean-square error of the reconstructed bands of the first sensor, in its unit."""
        _, spread = self.decoders[self.config.sensors[0]](z)
        return spread.square().mean(-1).sqrt()
