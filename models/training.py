"""Training on hidden acquisitions: one loop for a single sensor (stage one) and for the fusion (stage two).

Masked modelling over time: acquisitions are hidden, and the embedding of their day must decode to their values.
Axes: area ``a`` (one per sample), acquisition ``n``, query day ``q``, pixel ``p``.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from fluxlens.models.batch import FusionOutput, Images, Tokens, cat
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import encode_isolated
from fluxlens.models.losses import hidden_measurements, land_state
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """One small square of one scene with some of its acquisitions hidden.

    Parameters
    ----------
    images
        Per sensor: the acquisitions left visible, with their halo.
    day
        Per sensor: days since 1970-01-01 UTC of those acquisitions.
    pixels
        Flat positions inside the square (without halo) to embed.
    query_days
        Days since 1970-01-01 UTC to embed.
    target
        Per sensor: values measured on the query days in its unit, NaN where nothing was.
    weight
        Weight of each query day in the loss.
    land
        State of the land (``models.decoder.LAND``) on the query days, NaN where unknown.
    """

    images: dict[str, Images]
    day: dict[str, Int[Tensor, "_"]]
    pixels: Int[Tensor, "p"]
    query_days: Int[Tensor, "q"]
    target: dict[str, Float[Tensor, "q p _"]]
    weight: Float[Tensor, "q"]
    land: Float[Tensor, "q p variable"]


@dataclass(frozen=True)
class SeriesBatch:
    """Isolated pixels or plots as series tables hold them, with some acquisitions hidden; one area per series.

    Axes: area ``a`` (one per series), acquisition ``t`` (padded), query day ``q``.

    Parameters
    ----------
    values, valid, day
        Per sensor: the acquisitions left visible in its unit, NaN where a band is missing; which of them are not
        padding; days since 1970-01-01 UTC.
    query_days
        Days since 1970-01-01 UTC to embed.
    target
        Per sensor: values measured on the query days in its unit, NaN where nothing was.
    weight
        Weight of each query day in the loss.
    season
        ``models.decoder.SEASON`` around the query days, NaN where unknown.
    """

    values: dict[str, Float[Tensor, "a _ _"]]
    valid: dict[str, Bool[Tensor, "a _"]]
    day: dict[str, Int[Tensor, "a _"]]
    query_days: Int[Tensor, "a q"]
    target: dict[str, Float[Tensor, "a q 1 _"]]
    weight: Float[Tensor, "a q"]
    season: Float[Tensor, "a q 1 variable"]


@dataclass(frozen=True)
class Recipe:
    """Schedule of a training; the defaults are those of the shipped weights.

    Parameters
    ----------
    steps, learning_rate
        Optimiser steps, and their highest rate (AdamW).
    causal_share
        Share of batches that may use the past only.
    prefixes, prefix_share
        Lengths of prefixes of the embedding that must decode alone, and the share of pixels with a prefix.
    land_weight
        Weight of the loss of the land's state beside that of hidden measurements.
    season_weight
        Weight of the loss of the decoded season.
    average
        Decay of the running average of weights that is kept.
    seed
        Of PyTorch.
    """

    steps: int = 2000
    learning_rate: float = 3e-3
    causal_share: float = 0.1
    prefixes: tuple[int, ...] = (8, 16)
    prefix_share: float = 0.3
    land_weight: float = 0.5
    season_weight: float = 0.1
    average: float = 0.998
    seed: int = 0


@dataclass
class TrainingProgress:
    """State of a training.

    Parameters
    ----------
    step, steps
        Steps done, and steps in all.
    loss
        Mean of the steps since the last report.
    seconds
        Since the start.
    model
        The averaged model, at the last step only.
    curve
        ``(step, loss)`` of all reports.
    """

    step: int
    steps: int
    loss: float
    seconds: float
    model: Embedder | None = None
    curve: list[tuple[int, float]] = field(default_factory=list)


def freeze_encoders(model: Embedder) -> None:
    """Exclude the encoders from stage two, so that tokens of a sensor are the same in every fusion.

    Parameters
    ----------
    model
        Changed in place.
    """
    model.encoders.requires_grad_(False)


def train(
    model: Embedder, batches: Iterator[list[Sample] | SeriesBatch], recipe: Recipe
) -> Iterator[TrainingProgress]:
    """Train a model.

    Parameters
    ----------
    model
        Changed in place; parameters without gradient stay as they are.
    batches
        Endless, of squares of scenes or of series.
    recipe
        Schedule.

    Yields
    ------
    TrainingProgress
        Every 50 steps, and at the end with the averaged model.
    """
    torch.manual_seed(recipe.seed)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=1e-4)
    # The average of the weights along the way is kept: it predicts better than the last step, and its loss is less
    # noisy.
    averaged = copy.deepcopy(model)
    start, curve, recent = time.monotonic(), [], []
    for step in range(1, recipe.steps + 1):
        # Set by hand: one formula of the share done, which a training of any length follows.
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step / recipe.steps)
        # Some batches may use the past only, so that one set of weights serves both modes.
        causal = torch.rand(()).item() < recipe.causal_share
        loss = batch_loss(model, next(batches), causal, recipe)
        optimiser.zero_grad()
        loss.backward()
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(trainable, 1.0)):
            # Skips a batch whose gradient is not finite: one such step would destroy all weights.
            optimiser.step()
            # The average forgets its untrained start: its memory grows with the steps.
            _average(averaged, model, min(recipe.average, step / (step + 10)))
            recent.append(loss.item())
        if step % 50 == 0 or step == recipe.steps:
            curve.append((step, sum(recent) / max(len(recent), 1)))
            recent = []
            last = step == recipe.steps
            yield TrainingProgress(
                step,
                recipe.steps,
                curve[-1][1],
                time.monotonic() - start,
                averaged.eval() if last else None,
                curve,
            )


def batch_loss(
    model: Embedder, samples: list[Sample] | SeriesBatch, causal: bool, recipe: Recipe
) -> Float[Tensor, ""]:
    """Loss of the hidden measurements of all sensors, and of the land's state and season where they are known.

    Parameters
    ----------
    model
        Any device.
    samples
        With as many pixels and query days each, or a batch of series.
    causal
        Whether the model may use the past only.
    recipe
        Weights and prefixes.

    Returns
    -------
    Tensor
        A scalar, differentiable.
    """
    is_series = isinstance(samples, SeriesBatch)
    if is_series:
        output = embed_series_batch(model, samples, causal)
        targets, weight = samples.target, samples.weight[:, :, None]
    else:
        output = embed_samples(model, samples, causal)
        targets = {name: torch.stack([s.target[name] for s in samples]) for name in model.decoders}
        # (a, q, 1), for all pixels of a sample.
        weight = torch.stack([s.weight for s in samples])[:, :, None]  # (a, q, 1)
    mask, whole = _prefix_mask(output.z, recipe)
    z = output.z * mask  # (a, q, p, f)
    total = z.new_zeros(())
    for name, decoder in model.decoders.items():
        # A batch of series may lack a sensor altogether.
        if name not in targets:
            continue
        # A prefix explains less on purpose: sigma learns from whole embeddings alone.
        # (a, q, p, band) in the sensor's unit.
        sigma = decoder.sigma(output.log_sigma[name])
        scale = model.config.specs[name].error_scale
        total = total + hidden_measurements(decoder(z), sigma, targets[name], weight, whole * weight, scale)
    if model.land is not None and not is_series:
        # Known of simulated squares alone; NaN elsewhere, which the loss leaves out.
        state = torch.stack([s.land for s in samples])
        total = total + recipe.land_weight * land_state(model.land(z), state, model.land.spread)
    if model.season is not None and is_series:
        # Read off whole embeddings: a prefix has room for the day alone.
        decoded = model.season(output.z)
        total = total + recipe.season_weight * land_state(decoded, samples.season, model.season.spread)
    return total


def embed_series_batch(model: Embedder, batch: SeriesBatch, causal: bool) -> FusionOutput:
    """Embed the query days of series without neighbours.

    Parameters
    ----------
    model
        Any device.
    batch
        Series.
    causal
        Whether the model may use the past only.

    Returns
    -------
    FusionOutput
        One area and pixel per series.
    """
    tokens = {}
    for name, encoder in model.encoders.items():
        if name not in batch.values:
            continue
        valid = batch.valid[name]
        a, t = valid.shape
        # (a t, token): padding is encoded too, and is invalid afterwards.
        token = encode_isolated(encoder, batch.values[name].flatten(0, 1), valid.flatten())
        tokens[name] = Tokens(token.view(a, t, 1, -1), valid[..., None], batch.day[name])
    return model.embed(tokens, batch.query_days, causal)


def embed_samples(model: Embedder, samples: list[Sample], causal: bool) -> FusionOutput:
    """Embed the query days of samples.

    Parameters
    ----------
    model
        Any device.
    samples
        With as many pixels and query days each.
    causal
        Whether the model may use the past only.

    Returns
    -------
    FusionOutput
        One area per sample.
    """
    tokens = {name: _tokens(model, name, samples) for name in model.encoders}
    return model.embed(tokens, torch.stack([s.query_days for s in samples]), causal)


def _tokens(model: Embedder, name: str, samples: list[Sample]) -> Tokens:
    """Encode the acquisitions of all samples in one call, then select their pixels."""
    images = [s.images[name] for s in samples]
    encoded = model.encode(
        name, torch.cat([i.values for i in images]), torch.cat([i.valid for i in images])
    ).flatten(2)  # (n of all samples, d, y x)
    # The encoder cuts its receptive field: what is left on each side is the halo.
    halo = (images[0].values.shape[-1] - round(encoded.shape[-1] ** 0.5)) // 2
    series, at = [], 0
    for sample, image in zip(samples, images, strict=True):
        n = len(image.values)
        token = encoded[at : at + n][:, :, sample.pixels].transpose(1, 2)  # (n, p, d)
        valid = image.valid[:, halo:-halo, halo:-halo].flatten(1)[:, sample.pixels]
        series.append(Tokens(token[None], valid[None], sample.day[name][None]))
        at += n
    return cat(series)


def _prefix_mask(
    z: Float[Tensor, "a q p f"], recipe: Recipe
) -> tuple[Float[Tensor, "a 1 p f"], Float[Tensor, "a 1 p"]]:
    """Features left per pixel, and which pixels have all of them.

    Some pixels must be decoded from their first features alone, so that a prefix of the embedding is useful by itself
    (Matryoshka representations: Kusupati et al. 2022, doi:10.48550/arXiv.2205.13147).
    """
    a, _, p, f = z.shape
    # Drawn per pixel and shared by its query days: a user cuts a cube along features once, not day by day.
    short = torch.rand(a, p) < recipe.prefix_share
    choice = torch.tensor(recipe.prefixes)[torch.randint(len(recipe.prefixes), (a, p))]
    length = torch.where(short, choice, f)
    mask = torch.arange(f) < length[..., None]  # (a, p, f)
    # The day axis is added as 1, over which both are broadcast.
    return mask[:, None].to(z), (~short)[:, None].to(z)


def _schedule(done: float) -> float:
    """Warm-up over the first 3 %, then half a cosine down to 2 %."""
    return min(1.0, done / 0.03) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


@torch.no_grad()
def _average(averaged: Embedder, model: Embedder, decay: float) -> None:
    for average, new in zip(averaged.parameters(), model.parameters(), strict=True):
        if new.requires_grad:
            average.lerp_(new, 1 - decay)


@torch.no_grad()
def set_scale(model: Embedder, batches: Iterator[list[Sample] | SeriesBatch], count: int = 20) -> None:
    """Set the int8 step of each feature so that all but one value in ten thousand fit into +-127 steps.

    Parameters
    ----------
    model
        Trained; its buffer ``scale`` is changed.
    batches
        Endless.
    count
        Batches looked at.
    """
    embedded = []
    for _ in range(count):
        batch = next(batches)
        embed = embed_series_batch if isinstance(batch, SeriesBatch) else embed_samples
        # (a q p, f) of each batch; the quantile is taken over all of them.
        embedded.append(embed(model, batch, False).z.flatten(0, 2))
    z = torch.cat(embedded)  # (n, f)
    # ``kthvalue`` and not ``quantile``, which refuses tensors of this size.
    top = z.abs().kthvalue(int(len(z) * 0.9999), dim=0).values
    # Five per cent of room for what the batches did not show; never 0, by which the embedding is divided.
    model.scale.copy_((top * 1.05 / 127).clamp(min=1e-6))
