"""Encoders and fusion joined: a token once per acquisition and pixel, then an embedding for any day."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import Answer, Tokens
from models.decoder import Decoder, Land
from models.encoder import Encoder
from models.fusion import Fusion, Written
from models.sensors import SENSORS, SensorSpec


@dataclass(frozen=True)
class Config:
    """What must be known to build the networks before their weights are read."""

    sensors: tuple[str, ...] = ("s2", "s1")
    features: int = 32
    hidden: int = 96
    land: bool = False
    """Whether the embedding is also read as the state of the land (stage two)."""

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
        self.land = Land(self.config.features) if self.config.land else None
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

    def embed(self, tokens: dict[str, Tokens], days: Int[Tensor, "a q"], causal: bool = False) -> Answer:
        """Embeddings of the asked days for each pixel."""
        return self.fusion(tokens, days, causal)

    def write(self, tokens: dict[str, Tokens], causal: bool = False) -> dict[str, Written]:
        """First half of ``embed``: done once, whatever days are asked."""
        return self.fusion.write(tokens, causal)

    def answer(self, written: dict[str, Written], days: Int[Tensor, "a q"], causal: bool = False) -> Answer:
        """Second half of ``embed``."""
        return self.fusion.answer(written, days.to(self.scale.device), causal)

    def sigma(self, answer: Answer) -> Float[Tensor, "a q p"]:
        """Expected root-mean-square error of the reconstructed bands of the first sensor, in its unit."""
        first = self.config.sensors[0]
        return self.decoders[first].error(answer.doubt[first]).square().mean(-1).sqrt()
