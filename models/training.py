"""Learning from hidden acquisitions: one loop for a single sensor (stage one) and for the fusion (stage two)."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.batch import Answer, Images, Tokens, cat
from models.embedder import Embedder
from models.losses import hidden_measurements, land_state


@dataclass(frozen=True)
class Sample:
    """One small square of one scene with some of its acquisitions hidden."""

    images: dict[str, Images]
    """Per sensor: the acquisitions left visible, with their halo."""
    day: dict[str, Int[Tensor, "n"]]
    """Per sensor: days since 1970-01-01 of those acquisitions."""
    pixels: Int[Tensor, "p"]
    """Flat positions inside the square (without halo) that are asked."""
    ask: Int[Tensor, "q"]
    """Days asked."""
    target: dict[str, Float[Tensor, "q p band"]]
    """Per sensor: what was measured on those days, NaN where nothing was."""
    weight: Float[Tensor, "q"]
    land: Float[Tensor, "q p variable"]
    """The state of the land (``models.decoder.LAND``) on those days, NaN where it is not known."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast; the defaults are those of the shipped weights."""

    steps: int = 2000
    learning_rate: float = 3e-3
    causal_share: float = 0.1
    prefixes: tuple[int, ...] = (8, 16)
    prefix_share: float = 0.3
    land_weight: float = 0.5
    """Of the state of the land beside what was hidden."""
    average: float = 0.998
    """Decay of the running average of weights that is kept."""
    seed: int = 0


@dataclass
class Progress:
    """Where training is; ``model`` is the averaged one, filled at the last step."""

    step: int
    steps: int
    loss: float
    seconds: float
    model: Embedder | None = None
    curve: list[tuple[int, float]] = field(default_factory=list)


def freeze_encoders(model: Embedder) -> None:
    """Stage two never touches what the sensors have learned on their own."""
    model.encoders.requires_grad_(False)


def train(model: Embedder, batches: Iterator[list[Sample]], recipe: Recipe) -> Iterator[Progress]:
    """Runs the recipe; yields every 50 steps and at the end with the averaged model."""
    torch.manual_seed(recipe.seed)
    learn = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learn, lr=recipe.learning_rate, weight_decay=1e-4)
    averaged = copy.deepcopy(model)
    start, curve, recent = time.monotonic(), [], []
    for step in range(1, recipe.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step / recipe.steps)
        causal = torch.rand(()).item() < recipe.causal_share
        loss = batch_loss(model, next(batches), causal, recipe)
        optimiser.zero_grad()
        loss.backward()
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(learn, 1.0)):  # one absurd batch must not spoil all
            optimiser.step()
            _average(averaged, model, min(recipe.average, step / (step + 10)))
            recent.append(loss.item())
        if step % 50 == 0 or step == recipe.steps:
            curve.append((step, sum(recent) / max(len(recent), 1)))
            recent = []
            last = step == recipe.steps
            yield Progress(
                step,
                recipe.steps,
                curve[-1][1],
                time.monotonic() - start,
                averaged.eval() if last else None,
                curve,
            )


def batch_loss(model: Embedder, samples: list[Sample], causal: bool, recipe: Recipe) -> Tensor:
    """Mean loss over sensors of what was hidden in the samples."""
    answer = embed_samples(model, samples, causal)
    mask, whole = _prefix_mask(answer.z, recipe)
    z = answer.z * mask
    weight = torch.stack([s.weight for s in samples])[:, :, None]  # a q 1
    total = z.new_zeros(())
    for name, decoder in model.decoders.items():
        target = torch.stack([s.target[name] for s in samples])
        error = decoder.error(answer.doubt[name])
        scale = model.config.specs[name].error_scale
        total = total + hidden_measurements(decoder(z), error, target, weight, whole * weight, scale)
    if model.land is not None:
        state = torch.stack([s.land for s in samples])
        total = total + recipe.land_weight * land_state(model.land(z), state, model.land.spread)
    return total


def embed_samples(model: Embedder, samples: list[Sample], causal: bool) -> Answer:
    tokens = {name: _tokens(model, name, samples) for name in model.encoders}
    return model.embed(tokens, torch.stack([s.ask for s in samples]), causal)


def _tokens(model: Embedder, name: str, samples: list[Sample]) -> Tokens:
    """Encodes the acquisitions of all samples in one call, then picks the asked pixels."""
    images = [s.images[name] for s in samples]
    encoded = model.encode(
        name, torch.cat([i.values for i in images]), torch.cat([i.usable for i in images])
    ).flatten(2)  # n d yx
    halo = (images[0].values.shape[-1] - round(encoded.shape[-1] ** 0.5)) // 2
    parts, at = [], 0
    for sample, image in zip(samples, images, strict=True):
        n = len(image.values)
        token = encoded[at : at + n][:, :, sample.pixels].transpose(1, 2)  # n p d
        usable = image.usable[:, halo:-halo, halo:-halo].flatten(1)[:, sample.pixels]
        parts.append(Tokens(token[None], usable[None], sample.day[name][None]))
        at += n
    return cat(parts)


def _prefix_mask(
    z: Float[Tensor, "a q p f"], recipe: Recipe
) -> tuple[Float[Tensor, "a 1 p f"], Float[Tensor, "a 1 p"]]:
    """Some pixels must be told by their first features alone, so that a prefix is useful (Kusupati et al. 2022).

    Returns the features left, and which pixels have all of them.
    """
    a, _, p, f = z.shape
    short = torch.rand(a, p) < recipe.prefix_share
    choice = torch.tensor(recipe.prefixes)[torch.randint(len(recipe.prefixes), (a, p))]
    length = torch.where(short, choice, f)
    mask = torch.arange(f) < length[..., None]
    return mask[:, None].to(z), (~short)[:, None].to(z)


def _schedule(done: float) -> float:
    """Warm-up over the first 3 %, then half a cosine down to 2 %."""
    return min(1.0, done / 0.03) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


@torch.no_grad()
def _average(averaged: Embedder, model: Embedder, decay: float) -> None:
    for kept, new in zip(averaged.parameters(), model.parameters(), strict=True):
        if new.requires_grad:
            kept.lerp_(new, 1 - decay)


@torch.no_grad()
def set_scale(model: Embedder, batches: Iterator[list[Sample]], count: int = 20) -> None:
    """Fixes the int8 step of each feature so that all but one value in ten thousand fit into +-127 steps."""
    z = torch.cat([embed_samples(model, next(batches), False).z.flatten(0, 2) for _ in range(count)])
    top = z.abs().kthvalue(int(len(z) * 0.9999), dim=0).values
    model.scale.copy_((top * 1.05 / 127).clamp(min=1e-6))
