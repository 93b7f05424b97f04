"""Training samples: small squares of scenes with acquisitions hidden as clouds, failures and missing sensors do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from fluxlens.embeddings.scenes.schema import S2_BANDS_10M
from fluxlens.embeddings.training.archive import LAND_STEPS, PackedScene
from fluxlens.models.batch import Images
from fluxlens.models.decoder import LAND
from fluxlens.models.encoder import HALO_PX
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import HLS_BANDS, SENSORS, SensorSpec
from fluxlens.models.training import Sample

SIDE_PX = 8
"""Side of the square whose pixels may be queried; it is read with the encoder's halo around it."""

PIXEL_PITCH = HALO_PX + 1
"""Pixels this far apart lie outside each other's receptive field: a lattice of pixels without neighbours."""


@dataclass(frozen=True)
class MaskingConfig:
    """What is hidden from a sample and how often; ``..._share`` are shares of samples, 0-1."""

    sensors: tuple[str, ...] = ("s2", "s1")
    pixels: int = 16
    """Pixels queried per sample."""
    queries: int = 16
    """Days queried per sample."""
    time_window_days: tuple[int, int] = (90, 260)
    """Shortest and longest part of the scene's time that a sample holds."""
    land_queries: int = 4
    """Queried days that may have no acquisition at all, where the true state of the land is known."""
    gap_share: float = 0.3
    """All Sentinel-2 within some days of a queried date hidden."""
    gap_days: tuple[int, int] = (4, 40)
    """Shortest and longest half-width of such a gap."""
    few_share: float = 0.08
    """Only one to six acquisitions of a sensor left."""
    sensor_absent_share: float = 0.08
    """A whole sensor absent (when there are several)."""
    landsat_absent_share: float = 0.25
    """Landsat absent: most scenes lack it."""
    no_10m_share: float = 0.2
    """Sentinel-2 without its 10 m bands."""
    hls_share: float = 0.1
    """Sentinel-2 with the bands of Harmonized Landsat Sentinel-2 only."""
    isolated_pixels: float = 0.1
    """Share of samples whose pixels have no neighbours, as in series tables."""
    visible_weight: float = 0.15
    """Weight of days whose acquisition is visible: enough to learn that it is near, not to copy its noise."""
    radiometric_jitter: float = 0.6
    """Share of samples whose bands are each given a gain and an offset on all dates: no simulator knows every surface,
    so that measured values must pass through the embedding, not be corrected towards the usual."""
    gain_std: float = 0.15
    offset_std: float = 0.3
    """Standard deviations of the log gain, and of the offset in the sensor's error scales."""


def batches(
    archives: list[PackedScene], config: MaskingConfig, seed: int, size: int = 16
) -> Iterator[list[Sample]]:
    """Endless batches of samples from scenes drawn at random; the same seed gives the same batches.

    Parameters
    ----------
    archives
        Scenes to learn from; one listed several times is drawn as many times as often.
    config
        What is hidden, and how often.
    seed
        Of all draws.
    size
        Samples per batch.

    Raises
    ------
    InputError
        If no scene has the sensors and the size of a square.
    """
    rng = np.random.default_rng(seed)
    candidates = [a for a in archives if set(config.sensors) & set(a.steps) and min(a.shape) >= SIDE_PX]
    if not candidates:
        raise InputError(
            f"Got no scene of {SIDE_PX} x {SIDE_PX} pixels with {' or '.join(config.sensors)}, need one to learn from;"
            " give --simulated N or --cube PATH."
        )
    while True:
        batch = []
        while len(batch) < size:
            sample = draw_sample(candidates[rng.integers(len(candidates))], config, rng)
            if sample is not None:
                batch.append(sample)
        yield batch


def draw_sample(archive: PackedScene, config: MaskingConfig, rng: np.random.Generator) -> Sample | None:
    """Draw one sample from a scene.

    Parameters
    ----------
    archive
        The scene.
    config
        What is hidden, and how often.
    rng
        Random stream; the order of draws is part of the shipped weights' training.

    Returns
    -------
    None where the square holds nothing to predict.
    """
    # The order of the draws below is fixed: a reordering would train other weights from the same seed.
    # Within the scene: the halo may reach over its edge, as that of a tile of a map does.
    y, x = (int(rng.integers(0, n - SIDE_PX + 1)) for n in archive.shape)
    transform = _random_orientation(rng)
    window = _time_window(archive, config, rng)
    crops = {n: _crop(archive, n, y, x, transform, window) for n in config.sensors if n in archive.steps}
    crops = {n: crop for n, crop in crops.items() if len(crop.day)}
    if not crops:
        return None
    is_jittered = rng.random() < config.radiometric_jitter
    if is_jittered:
        crops = _apply_jitter(crops, config, rng)
    hidden, queries = _hide_acquisitions(crops, config, rng)
    if not len(queries):
        return None
    has_land = archive.land and not is_jittered  # jittered bands are those of another land
    # Some queries on days without any acquisition: the state of the land is known on all of them.
    if has_land:
        queries[: config.land_queries] = rng.choice(archive.land["day"], config.land_queries)
    is_isolated = rng.random() < config.isolated_pixels
    pixels = (
        _lattice(rng, config.pixels) if is_isolated else rng.choice(SIDE_PX**2, config.pixels, replace=False)
    )
    images, days, targets = {}, {}, {}
    for name in config.sensors:
        if name not in crops:
            images[name], days[name] = _no_images(name)
            targets[name] = torch.full((len(queries), len(pixels), len(SENSORS[name].bands)), float("nan"))
            continue
        crop = crops[name]
        targets[name] = _target(crop, pixels, queries)
        inner = crop.valid[:, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        # Acquisitions that show nothing of the square are not passed on: as when a user's series has no row for the
        # date.
        keep = ~hidden[name] & inner.any((1, 2))
        values, valid = crop.values[keep].copy(), crop.valid[keep].copy()
        # On all dates of the sample: a product lacks bands, an image does not.
        values[:, _draw_absent_bands(name, config, rng)] = np.nan
        if is_isolated:
            _blank_neighbours(values, valid, pixels)
        images[name] = Images(torch.from_numpy(values), torch.from_numpy(valid & ~np.isnan(values).all(1)))
        days[name] = torch.from_numpy(crop.day[keep])
        if SENSORS[name].unit == "dB":  # speckle must not be copied: an image shown is never its own target
            targets[name][np.isin(queries, crop.day[keep])] = float("nan")
    is_visible = np.isin(queries, np.concatenate([day.numpy() for day in days.values()]))
    weight = torch.from_numpy(np.where(is_visible, config.visible_weight, 1.0).astype(np.float32))
    if has_land:
        land = _land_target(archive, y, x, transform, np.asarray(pixels), queries)
    else:
        land = torch.full((len(queries), len(pixels), len(LAND)), float("nan"))
    return Sample(
        images, days, torch.from_numpy(np.asarray(pixels)), torch.from_numpy(queries), targets, weight, land
    )


@dataclass(frozen=True)
class _SensorCrop:
    """One sensor's series of a square with its halo."""

    values: np.ndarray
    """(time, band, y, x)"""
    valid: np.ndarray
    """(time, y, x) bool; so is ``target_valid``."""
    target_valid: np.ndarray
    day: np.ndarray


def _random_orientation(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """One of the eight rotations and reflections of a square, applied to the last two axes."""
    quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def transform(array: np.ndarray) -> np.ndarray:
        array = np.rot90(array, quarter, axes=(-2, -1))
        return np.ascontiguousarray(array[..., ::-1] if mirror else array)

    return transform


def _time_window(archive: PackedScene, config: MaskingConfig, rng: np.random.Generator) -> tuple[int, int]:
    """First and last day of the sample: a part of the scene's time that may reach over its ends."""
    first = min(d[0] for d in archive.day.values() if len(d))
    last = max(d[-1] for d in archive.day.values() if len(d))
    # The window may reach a third over either end: models must not expect a full year.
    length = int(rng.integers(*config.time_window_days))
    start = int(rng.integers(first - length // 3, max(first + 1, last - 2 * length // 3)))
    return start, start + length


def _crop(
    archive: PackedScene,
    name: str,
    y: int,
    x: int,
    transform: Callable[[np.ndarray], np.ndarray],
    window: tuple[int, int],
) -> _SensorCrop:
    """The square with its halo; beyond the scene's edge nothing was measured."""
    ny, nx = archive.shape
    y0, y1, x0, x1 = y - HALO_PX, y + SIDE_PX + HALO_PX, x - HALO_PX, x + SIDE_PX + HALO_PX
    day = archive.day[name]
    when = slice(*np.searchsorted(day, (window[0], window[1] + 1)))
    inside = (when, ..., slice(max(y0, 0), min(y1, ny)), slice(max(x0, 0), min(x1, nx)))
    pad = ((max(-y0, 0), max(y1 - ny, 0)), (max(-x0, 0), max(x1 - nx, 0)))

    def padded(array: np.ndarray, fill: float | bool) -> np.ndarray:
        return np.pad(array, [(0, 0)] * (array.ndim - 2) + list(pad), constant_values=fill)

    return _SensorCrop(
        transform(padded(archive.values(name, inside), np.nan)),
        transform(padded(archive.valid[name][inside], False)),
        transform(padded(archive.target_valid[name][inside], False)),
        day[when],
    )


def _apply_jitter(
    crops: dict[str, _SensorCrop], config: MaskingConfig, rng: np.random.Generator
) -> dict[str, _SensorCrop]:
    """Gains and offsets drawn per sensor and band; bands of two sensors at the same wavelengths share theirs."""
    drawn = {name: _draw_gain_offset(SENSORS[name], config, rng) for name in crops}
    # Otherwise the model would learn that the two sensors disagree, and could not use one for the other.
    if {"s2", "landsat8"} <= set(drawn):
        same = [SENSORS["s2"].bands.index(band) for band in HLS_BANDS]
        drawn["landsat8"] = tuple(change[same] for change in drawn["s2"])
    return {
        name: replace(crop, values=crop.values * drawn[name][0] + drawn[name][1])
        for name, crop in crops.items()
    }


def _draw_gain_offset(
    spec: SensorSpec, config: MaskingConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset (band, 1, 1)."""
    bands = (len(spec.bands), 1, 1)
    offset = rng.normal(0, config.offset_std * spec.error_scale, bands).astype(np.float32)
    if spec.unit == "dB":  # a gain is an offset in decibel
        return np.ones_like(offset), offset
    return np.exp(rng.normal(0, config.gain_std, bands)).astype(np.float32), offset


def _hide_acquisitions(
    crops: dict[str, _SensorCrop], config: MaskingConfig, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Which acquisitions are hidden, per sensor (time,) bool, and the days queried (query,)."""
    main = "s2" if "s2" in crops else next(iter(crops))
    crop = crops[main]
    # Targets lie in the square; its halo is only seen.
    inner = (slice(None), slice(HALO_PX, -HALO_PX), slice(HALO_PX, -HALO_PX))
    has_target = {n: p.target_valid[inner].mean((1, 2)) >= 0.5 for n, p in crops.items()}
    # Only dates with valid targets on half of the square are worth a query.
    good = np.flatnonzero(has_target[main])
    hidden = {name: np.zeros(len(p.day), bool) for name, p in crops.items()}
    if not len(good):
        return hidden, np.array([], np.int64)
    # Sentinel-2: a long gap around one date, or single dates at random; then, rarely, hardly anything is left.
    if rng.random() < config.gap_share:
        centre = crop.day[rng.choice(good)]
        # A contiguous gap around one good date, as weeks of cloud leave it.
        hidden[main] = np.abs(crop.day - centre) <= rng.integers(*config.gap_days)
    else:
        # Single dates at random, 10 to 50 %.
        hidden[main] = rng.random(len(crop.day)) < rng.uniform(0.1, 0.5)
    if rng.random() < config.few_share:
        # Nearly nothing is left: what new or cloudy places offer.
        keep = rng.choice(len(crop.day), min(len(crop.day), int(rng.integers(1, 7))), replace=False)
        hidden[main] |= ~np.isin(np.arange(len(crop.day)), keep)
    other_sensors = [name for name in crops if name != main]
    for name in other_sensors:
        hidden[name] = rng.random(len(hidden[name])) < 0.15
        if rng.random() < config.few_share:
            hidden[name] |= rng.random(len(hidden[name])) < 0.95
        if rng.random() < (config.landsat_absent_share if name == "landsat8" else config.sensor_absent_share):
            hidden[name][:] = True
    if other_sensors and rng.random() < config.sensor_absent_share:
        hidden[main][:] = True
    # Mostly hidden days are queried; a few visible ones, so that the embedding also fits what it was shown.
    query_hidden, query_visible = good[hidden[main][good]], good[~hidden[main][good]]
    chosen = list(rng.permutation(crop.day[query_hidden])[: config.queries - 4])
    chosen += list(rng.permutation(crop.day[query_visible])[:2])
    for name in other_sensors:
        # At most two hidden dates of each other sensor, so that its decoder learns too.
        chosen += list(rng.permutation(crops[name].day[hidden[name] & has_target[name]])[:2])
    days = np.unique(np.array(chosen, np.int64))
    # Drawn with repetition, so that every sample has the same number of queries.
    return hidden, rng.choice(days, config.queries) if len(days) else days


def _target(crop: _SensorCrop, pixels: np.ndarray, queries: np.ndarray) -> torch.Tensor:
    """Measured values (query, pixel, band) on the queried days, NaN where there is no valid target."""
    # Position of each query's acquisition; where the day has none, the comparison of days below rejects it.
    at = np.searchsorted(crop.day, queries).clip(0, len(crop.day) - 1)
    inner = (slice(None), slice(None), slice(HALO_PX, -HALO_PX), slice(HALO_PX, -HALO_PX))
    values = crop.values[at][inner].reshape(len(queries), crop.values.shape[1], -1)[:, :, pixels]
    valid = crop.target_valid[at][:, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX].reshape(len(queries), -1)[:, pixels]
    valid = valid & (crop.day[at] == queries)[:, None]
    return torch.from_numpy(np.where(valid[:, None], values, np.nan).transpose(0, 2, 1).astype(np.float32))


def _land_target(
    archive: PackedScene,
    y: int,
    x: int,
    transform: Callable[[np.ndarray], np.ndarray],
    pixels: np.ndarray,
    queries: np.ndarray,
) -> torch.Tensor:
    """State (query, pixel, variable) on the queried days, NaN where it is not observable."""
    day = archive.land["day"]
    # The truth is daily: positions are differences of days.
    at = (queries - day[0]).clip(0, len(day) - 1)
    square = transform(archive.land["state"][at, :, y : y + SIDE_PX, x : x + SIDE_PX])
    steps = square.reshape(len(queries), len(LAND), -1)[:, :, pixels].transpose(0, 2, 1)
    known = (steps != archive.MISSING) & (day[at] == queries)[:, None, None]
    return torch.from_numpy(np.where(known, steps * np.array(LAND_STEPS), np.nan).astype(np.float32))


def _draw_absent_bands(name: str, config: MaskingConfig, rng: np.random.Generator) -> list[int]:
    """Indices of the bands that the sample lacks."""
    # One draw, cut into ranges, so that each sensor takes the same number of draws whatever is lost.
    bands, chance = SENSORS[name].bands, rng.random()
    if name == "s2":
        if chance < config.no_10m_share:
            return [bands.index(b) for b in S2_BANDS_10M]
        if chance < config.no_10m_share + config.hls_share:
            return [i for i, b in enumerate(bands) if b not in HLS_BANDS]
    if chance > 0.93:
        return [int(rng.integers(len(bands)))]
    return []


def _lattice(rng: np.random.Generator, count: int) -> np.ndarray:
    """(pixel,) flat positions of pixels ``PIXEL_PITCH`` apart."""
    offset_y, offset_x = rng.integers(PIXEL_PITCH, size=2)
    y, x = np.meshgrid(np.arange(offset_y, SIDE_PX, PIXEL_PITCH), np.arange(offset_x, SIDE_PX, PIXEL_PITCH))
    return rng.choice((y * SIDE_PX + x).ravel(), count)


def _blank_neighbours(values: np.ndarray, valid: np.ndarray, pixels: np.ndarray) -> None:
    """Take away, in place, all but the listed pixels."""
    keep = np.zeros(valid.shape[1:], bool)
    keep[pixels // SIDE_PX + HALO_PX, pixels % SIDE_PX + HALO_PX] = True
    values[:, :, ~keep] = np.nan
    valid[:, ~keep] = False


def _no_images(name: str) -> tuple[Images, torch.Tensor]:
    """A sensor without acquisitions: empty images and days."""
    side = SIDE_PX + 2 * HALO_PX
    values = torch.empty(0, len(SENSORS[name].bands), side, side)
    return Images(values, torch.empty(0, side, side, dtype=torch.bool)), torch.empty(0, dtype=torch.int64)
