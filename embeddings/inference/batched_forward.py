"""The forward pass in batches: encode acquisitions once, then evaluate the fusion for groups of days."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import pairwise

import numpy as np
import torch
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference import request
from fluxlens.embeddings.inference.cube import shapes_and_dtypes
from fluxlens.embeddings.inference.device_queue import QUEUES
from fluxlens.embeddings.scenes.acquisitions import AcquisitionSeries
from fluxlens.embeddings.store.quantise import FEATURE_LIMIT, SIGMA_LIMIT, SIGMA_STEP
from fluxlens.models.batch import FusionOutput, Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import HALO_PX
from fluxlens.models.errors import InputError
from fluxlens.models.fusion import WINDOW_DAYS

GROUP_DAYS = 32
"""Days predicted together: they share the acquisitions within reach."""

CONTEXT_DAYS = 128
"""Acquisitions of so many days take their context together. Fewer days cost more of small products (64 days 6 % of the
time of a strip, 128 nothing that could be measured); more days make an update compute more, see ``changed_days``."""

STRIP_PX = 128
"""Pixels predicted together on a CPU: keys and values of their acquisitions stay in the processor's cache."""

ENCODE_BATCH = 16
"""Acquisitions encoded in one turn of the device queue."""


def encode(model: Embedder, name: str, series: AcquisitionSeries) -> Tokens:
    """Encode all acquisitions of a sensor, one at a time so that none depends on which others are there.

    Parameters
    ----------
    model
        On its device.
    name
        The sensor's.
    series
        (time, band, y + 2 halo, x + 2 halo), reflectance 0-1 or backscatter in dB as the sensor's spec says.

    Returns
    -------
    Tokens
        Of one area: (1, time, pixel, channel) without the halo and without acquisitions that have no valid pixel.
    """
    return progress.run(encode_steps(model, name, series))


def encode_steps(model: Embedder, name: str, series: AcquisitionSeries) -> Generator[None, None, Tokens]:
    """As :func:`encode`, step by step.

    Parameters
    ----------
    model, name, series
        As of :func:`encode`: reflectance 0-1 or backscatter in dB as the sensor's spec says.

    Yields
    ------
    None
        After each turn of the device queue.

    Returns
    -------
    Tokens
        (1, time, pixel, channel).
    """
    device = model.scale.device
    h, w = (n - 2 * HALO_PX for n in series.valid.shape[1:])
    inner = series.valid[:, HALO_PX : HALO_PX + h, HALO_PX : HALO_PX + w]  # (time, y, x)
    # Acquisitions without a valid pixel in the block carry nothing; those with valid pixels in the halo alone are among
    # them.
    inner_steps = np.flatnonzero(inner.any((1, 2)))
    # Allocated whole and filled in place by the jobs of the queue, which may end in any order.
    token = torch.empty(
        len(inner_steps), h * w, model.config.specs[name].token, device=device
    )  # (time, pixel, channel)

    def encode_batch(first: int) -> Iterator[None]:
        # One acquisition at a time: in a batch of another size a convolution may round differently.
        for i, t in enumerate(inner_steps[first : first + ENCODE_BATCH], first):
            with torch.inference_mode():
                values = torch.from_numpy(series.values[t : t + 1]).to(device)  # (1, band, y, x) with halo
                valid = torch.from_numpy(series.valid[t : t + 1]).to(device)  # (1, y, x) with halo
                token[i] = model.encode(name, values, valid)[0].flatten(1).T  # (pixel, channel)
            yield

    yield from QUEUES[device.type].map(encode_batch, range(0, len(inner_steps), ENCODE_BATCH))
    valid = torch.from_numpy(inner[inner_steps].reshape(len(inner_steps), h * w)).to(device)  # (time, pixel)
    return Tokens(token[None], valid[None], torch.from_numpy(series.day[inner_steps])[None].to(device))


def embed_pixels_steps(
    model: Embedder, tokens: dict[str, Tokens], shape: tuple[int, int], days: np.ndarray, causal: bool
) -> Generator[None, None, dict[str, np.ndarray]]:
    """Predict every day of every pixel of a block.

    Parameters
    ----------
    model
        On its device.
    tokens
        By sensor, (1, time, pixel, channel).
    shape
        (y, x) of the block in pixels.
    days
        (day) consecutive, since 1970-01-01.
    causal
        Use acquisitions of the past and the day itself only.

    Yields
    ------
    None
        After each turn of the device queue.

    Returns
    -------
    dict of numpy.ndarray
        Quantised variables of the cube: ``embedding`` (day, y, x, feature) int8, the others (day, y, x).
    """
    pixels = shape[0] * shape[1]
    out = {
        name: np.empty((full[0], pixels, *full[3:]), dtype)  # (day, pixel[, feature])
        for name, (full, dtype) in shapes_and_dtypes((len(days), *shape), model.features).items()
    }

    def predict_strip(strip: slice) -> Iterator[None]:
        for where, output in predict_days(model, tokens, strip, days, causal):
            out["embedding"][where], out["sigma"][where] = quantise_output(model, output)
            yield

    # a GPU is filled by a block, a core's cache by a strip
    wide = STRIP_PX if model.scale.device.type == "cpu" else request.BLOCK_PX**2
    # The last strip of a block at the grid's edge is shorter, in every run the same one.
    strips = [slice(a, min(a + wide, pixels)) for a in range(0, pixels, wide)]
    yield from QUEUES[model.scale.device.type].map(predict_strip, strips)
    # The nearest acquisition in days, -1 where the sensor has none: for users, not for the network.
    for sensor in ("s2", "s1"):
        distance = days_to_nearest(tokens[sensor], days, causal) if sensor in tokens else -1
        out[f"days_from_{sensor}"][:] = distance
    # (day, pixel[, feature]) to (day, y, x[, feature]); pixels are in the order of rows.
    return {name: array.reshape(len(days), *shape, *array.shape[2:]) for name, array in out.items()}


@torch.inference_mode()
def quantise_output(model: Embedder, output: FusionOutput) -> tuple[np.ndarray, np.ndarray]:
    """Round the output of the fusion to what cubes and series tables hold.

    Parameters
    ----------
    model
        Gives the step of each feature.
    output
        Of one area.

    Returns
    -------
    embedding : numpy.ndarray
        (day, pixel, feature) int8 steps of the model's ``scale``.
    sigma : numpy.ndarray
        (day, pixel) float32 reflectance 0-1, in whole steps of ``SIGMA_STEP``.
    """
    # -128 is never used: the steps are symmetric about 0.
    steps = (output.z[0] / model.scale).round_().clamp_(-FEATURE_LIMIT, FEATURE_LIMIT)
    # Sigma is rounded here already, so that a cube in memory has the numbers of its store.
    error = (model.sigma(output)[0] / SIGMA_STEP).round_().clamp_(0, SIGMA_LIMIT)
    return steps.to(torch.int8).cpu().numpy(), error.cpu().numpy() * np.float32(SIGMA_STEP)


def predict_days(
    model: Embedder, tokens: dict[str, Tokens], strip: slice, days: np.ndarray, causal: bool = False
) -> Iterator[tuple[tuple[slice, slice], FusionOutput]]:
    """Evaluate the fusion for a strip of pixels, by groups of consecutive days.

    Groups are aligned to days since 1970 and computed whole, so that a day's numbers do not depend on which other days
    are requested. Where the device's memory does not hold the strip, its halves are computed one after the other.

    Parameters
    ----------
    model
        On its device.
    tokens
        By sensor, (1, time, pixel, channel).
    strip
        Of the pixels of ``tokens``.
    days
        (day) consecutive, since 1970-01-01.
    causal
        Use acquisitions of the past and the day itself only.

    Yields
    ------
    tuple
        Which (days, pixels) these are, and the fusion's output for them: ``z`` (1, day, pixel, feature).

    Raises
    ------
    InputError
        Where the device's memory does not hold a single pixel.
    """
    # Nothing is computed ahead of what is taken: closed between two groups, the generator leaves the device.
    first, last = int(days[0]), int(days[-1])
    try:
        with torch.inference_mode():
            # Round one for all days at once: the context of an acquisition does not depend on what is asked.
            near = {name: t.pixels(strip) for name, t in tokens.items()}
            written = model.contextualise(near, causal, CONTEXT_DAYS)
        # From the start of the group in which the first day lies.
        for group in range(first // GROUP_DAYS * GROUP_DAYS, last + 1, GROUP_DAYS):
            # The group is computed whole, and the days asked for are cut out of it.
            start, stop = max(group, first), min(group + GROUP_DAYS, last + 1)
            with torch.inference_mode():
                output = model.query(written, torch.arange(group, group + GROUP_DAYS)[None], causal)
            yield (slice(start - first, stop - first), strip), output.days(slice(start - group, stop - group))
        return
    except torch.OutOfMemoryError as error:
        if strip.stop - strip.start == 1:
            raise InputError(
                f"Got {len(days)} days, of which the device's memory does not hold a single pixel, need more of it or "
                "fewer days; choose --device cpu or other days."
            ) from error
    # Outside of the except clause: the traceback there holds what was computed, and with it the device's memory.
    written = output = None
    middle = (strip.start + strip.stop) // 2
    for half in (slice(strip.start, middle), slice(middle, strip.stop)):
        yield from predict_days(model, tokens, half, days, causal)


def days_to_nearest(tokens: Tokens, days: np.ndarray, causal: bool = False) -> np.ndarray:
    """Distance in days to the nearest valid acquisition.

    Parameters
    ----------
    tokens
        (1, time, pixel, channel) of one sensor.
    days
        (day) consecutive, since 1970-01-01.
    causal
        Look at the past and the day itself only.

    Returns
    -------
    numpy.ndarray
        int16 (day, pixel); -1 where there is none within ``WINDOW_DAYS``, as far as the fusion looks.
    """
    day, valid = tokens.day[0].cpu().numpy(), tokens.valid[0].cpu().numpy()  # (time), (time, pixel)
    # One day more than the window, so that a distance of ``WINDOW_DAYS`` can be told from "none".
    far = WINDOW_DAYS + 1
    first = int(days[0]) - far
    length = int(days[-1]) + far + 1 - first
    keep = (day >= first) & (day < first + length)
    # distance transform in two sweeps: 0 on days of an acquisition, then one more per day away from it
    past = np.full((length, valid.shape[1]), far, np.int16)
    # A pixel that was not clear has no acquisition on that day. At most one acquisition a day: an assignment suffices.
    past[day[keep] - first] = np.where(valid[keep], 0, far)
    future = past[::-1].copy()
    for distance in (past,) if causal else (past, future):
        # day by day: a fifth of the time of minimum.accumulate, which goes value by value
        for before, current in pairwise(distance):
            np.minimum(current, before + np.int16(1), out=current)
    nearer = past if causal else np.minimum(past, future[::-1])
    nearer = nearer[far : far + len(days)]
    return np.where(nearer < far, nearer, np.int16(-1))
