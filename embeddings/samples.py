"""Training samples: small squares of scenes with acquisitions hidden the ways reality hides them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray as xr

from embeddings.geometry import target_grid
from embeddings.inputs import AcquisitionSeries, read_acquisitions, to_epoch_day
from models.batch import Images
from models.decoder import LAND
from models.encoder import HALO_PX
from models.errors import InputError
from models.sensors import SENSORS, SensorSpec
from models.training import Sample

SIDE_PX = 8
"""Square whose pixels may be asked; it is read with the encoder's halo around it."""
S2_10M = ("B02", "B03", "B04", "B08")
HLS = ("B02", "B03", "B04", "B8A", "B11", "B12")
"""Bands of Sentinel-2 that Landsat 8 has too, in the order of Landsat's."""
LAND_STEPS = (0.002, 1e-4, 0.01, 1e-4)
LEAFY, BARE = 0.5, 1.0
"""Leaf area, m2 m-2: from here on leaves can be green, and up to here the radar sees the soil."""
PIXEL_PITCH = HALO_PX + 1
"""Pixels this far apart do not see each other: a lattice of single pixels without neighbours."""


@dataclass(frozen=True)
class Archive:
    """One scene in compact integers, ready to be cut into samples."""

    id: str
    steps: dict[str, np.ndarray]
    """Per sensor (time, band, y, x) int16 steps of ``STEP``; ``MISSING`` = not measured."""
    usable: dict[str, np.ndarray]
    """What the mask says: all the networks ever see."""
    sure: dict[str, np.ndarray]
    """Fit to be a target: the mask, and where it is known (simulated scenes) the true cloud too."""
    day: dict[str, np.ndarray]
    land: dict[str, np.ndarray] = field(default_factory=dict)
    """The state of a simulated land: ``state`` (time, variable, y, x) int16 steps of ``LAND_STEPS`` and its ``day``."""

    MISSING = np.int16(-32768)

    @classmethod
    def of(cls, scene: xr.DataTree, sensors: tuple[str, ...] = ("s2", "s1")) -> Archive:
        """Reads the whole scene; 10 m grid."""
        grid = target_grid(scene)
        rows, cols = slice(0, grid.ny), slice(0, grid.nx)
        steps, usable, sure, day = {}, {}, {}, {}
        for name in sensors:
            spec = SENSORS[name]
            series = read_acquisitions(scene, spec, grid, rows, cols)
            if series is None:
                continue
            scaled = np.round(series.values / step_of(spec))
            steps[name] = np.where(np.isnan(scaled), cls.MISSING, scaled).astype(np.int16)
            usable[name], day[name] = series.valid, series.day
            sure[name] = _sure(scene, name, series)
        return cls(str(scene.attrs.get("id", "")), steps, usable, sure, day)

    @property
    def shape(self) -> tuple[int, int]:
        return next(iter(self.usable.values())).shape[1:]

    def values(self, name: str, where: tuple) -> np.ndarray:
        """Physical values (time, band, y, x) of a part; NaN where missing."""
        steps = self.steps[name][where]
        return np.where(steps == self.MISSING, np.nan, steps * np.float32(step_of(SENSORS[name]))).astype(
            np.float32
        )


def land_of(scene: xr.DataTree) -> dict[str, np.ndarray]:
    """What ``Archive.land`` holds of a simulated scene: what can be told of leaves and soil, nothing else."""
    truth = scene["truth"]
    lai, moisture = truth["lai"].values, truth["soil_moisture"].values
    sure = {
        "chlorophyll": lai >= LEAFY,
        "soil_moisture": (lai < BARE) & (moisture < 1),  # open water is full
    }
    parts = [
        np.where(sure.get(name, True), np.round(truth[name].values / step), Archive.MISSING)
        for name, step in zip(LAND, LAND_STEPS, strict=True)
    ]
    return {"state": np.stack(parts, 1).astype(np.int16), "day": to_epoch_day(truth["time"].values)}


def step_of(spec: SensorSpec) -> float:
    """Size of one integer step in the sensor's unit, as the products deliver it."""
    return 1e-4 if spec.unit == "1" else 1e-2


def _sure(scene: xr.DataTree, name: str, series: AcquisitionSeries) -> np.ndarray:
    """Targets: clear by the mask on mostly clear dates, and truly free of cloud where the scene knows."""
    if SENSORS[name].unit == "dB":
        return series.valid
    sure = series.valid & (series.valid.mean((1, 2)) >= 0.5)[:, None, None]
    node = scene[name]
    if "cloud_truth" in node and node["cloud_truth"].shape == sure.shape:
        sure = series.valid & ~node["cloud_truth"].values.astype(bool)
    return sure


@dataclass(frozen=True)
class Plan:
    """How often which kind of absence is drawn, as shares of samples."""

    sensors: tuple[str, ...] = ("s2", "s1")
    pixels: int = 16
    asks: int = 16
    stretch_days: tuple[int, int] = (90, 260)
    """Length of the stretch of the scene's time that a sample sees."""
    free: int = 4
    """Asked days that may have no acquisition at all, where the state of the land is known."""
    gap: float = 0.3
    """All Sentinel-2 within some days of the asked date hidden."""
    gap_days: tuple[int, int] = (4, 40)
    few: float = 0.08
    """Only one to six acquisitions of a sensor left."""
    without: float = 0.08
    """A whole sensor absent (when there are several)."""
    no_landsat: float = 0.25
    """Landsat absent: most scenes lack it."""
    no_10m: float = 0.2
    hls: float = 0.1
    lone_pixels: float = 0.1
    seen_weight: float = 0.15
    """Weight of days whose acquisition is shown: enough to learn that it is near, not to copy its noise."""
    jitter: float = 0.6
    """Bands each given a gain and an offset for all of a sample's dates: no simulator knows every surface, so what is
    measured must be carried through the embedding, not corrected towards what is usual."""
    gain: float = 0.15
    offset: float = 0.3
    """Standard deviations: of log gain, and of the offset in the sensor's error scales."""


def batches(archives: list[Archive], plan: Plan, seed: int, size: int = 16) -> Iterator[list[Sample]]:
    """Endless batches, each of ``size`` samples from scenes drawn at random; the same seed, the same batches."""
    rng = np.random.default_rng(seed)
    usable = [a for a in archives if set(plan.sensors) & set(a.steps) and min(a.shape) >= SIDE_PX]
    if not usable:
        raise InputError(
            f"Got no scene of {SIDE_PX} x {SIDE_PX} pixels with {' or '.join(plan.sensors)}, need one to learn from;"
            " give --simulated N or --cube PATH."
        )
    while True:
        batch = []
        while len(batch) < size:
            sample = draw(usable[rng.integers(len(usable))], plan, rng)
            if sample is not None:
                batch.append(sample)
        yield batch


def draw(archive: Archive, plan: Plan, rng: np.random.Generator) -> Sample | None:
    """One sample; None when the square holds nothing to ask."""
    y, x = (int(rng.integers(0, n - SIDE_PX + 1)) for n in archive.shape)
    turn = _turn(rng)
    during = _stretch(archive, plan, rng)
    parts = {n: _cut(archive, n, y, x, turn, during) for n in plan.sensors if n in archive.steps}
    parts = {n: part for n, part in parts.items() if len(part.day)}
    if not parts:
        return None
    jitter = rng.random() < plan.jitter
    if jitter:
        parts = _jittered(parts, plan, rng)
    hidden, asks = _hide(parts, plan, rng)
    if not len(asks):
        return None
    known = archive.land and not jitter  # jittered bands are those of another land
    if known:
        asks[: plan.free] = rng.choice(archive.land["day"], plan.free)
    lone = rng.random() < plan.lone_pixels
    pixels = _lattice(rng, plan.pixels) if lone else rng.choice(SIDE_PX**2, plan.pixels, replace=False)
    images, days, targets = {}, {}, {}
    for name in plan.sensors:
        if name not in parts:
            images[name], days[name] = _no_images(name)
            targets[name] = torch.full((len(asks), len(pixels), len(SENSORS[name].bands)), float("nan"))
            continue
        part = parts[name]
        targets[name] = _target(part, pixels, asks)
        inner = part.usable[:, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        keep = ~hidden[name] & inner.any((1, 2))
        values, usable = part.values[keep].copy(), part.usable[keep].copy()
        values[:, _absent_bands(name, plan, rng)] = np.nan
        if lone:
            _blank_neighbours(values, usable, pixels)
        images[name] = Images(torch.from_numpy(values), torch.from_numpy(usable & ~np.isnan(values).all(1)))
        days[name] = torch.from_numpy(part.day[keep])
        if SENSORS[name].unit == "dB":  # speckle must not be copied: an image shown is never its own target
            targets[name][np.isin(asks, part.day[keep])] = float("nan")
    seen = np.isin(asks, np.concatenate([day.numpy() for day in days.values()]))
    weight = torch.from_numpy(np.where(seen, plan.seen_weight, 1.0).astype(np.float32))
    if known:
        land = _land(archive, y, x, turn, np.asarray(pixels), asks)
    else:
        land = torch.full((len(asks), len(pixels), len(LAND)), float("nan"))
    return Sample(
        images, days, torch.from_numpy(np.asarray(pixels)), torch.from_numpy(asks), targets, weight, land
    )


@dataclass(frozen=True)
class _Part:
    values: np.ndarray
    usable: np.ndarray
    sure: np.ndarray
    day: np.ndarray


def _turn(rng: np.random.Generator):
    quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def turn(array: np.ndarray) -> np.ndarray:
        array = np.rot90(array, quarter, axes=(-2, -1))
        return np.ascontiguousarray(array[..., ::-1] if mirror else array)

    return turn


def _stretch(archive: Archive, plan: Plan, rng: np.random.Generator) -> tuple[int, int]:
    """First and last day of what the sample sees."""
    first = min(d[0] for d in archive.day.values() if len(d))
    last = max(d[-1] for d in archive.day.values() if len(d))
    length = int(rng.integers(*plan.stretch_days))
    start = int(rng.integers(first - length // 3, max(first + 1, last - 2 * length // 3)))
    return start, start + length


def _cut(archive: Archive, name: str, y: int, x: int, turn, during: tuple[int, int]) -> _Part:
    """The square with its halo; beyond the scene's edge nothing was measured."""
    ny, nx = archive.shape
    y0, y1, x0, x1 = y - HALO_PX, y + SIDE_PX + HALO_PX, x - HALO_PX, x + SIDE_PX + HALO_PX
    day = archive.day[name]
    when = slice(*np.searchsorted(day, (during[0], during[1] + 1)))
    inside = (when, ..., slice(max(y0, 0), min(y1, ny)), slice(max(x0, 0), min(x1, nx)))
    pad = ((max(-y0, 0), max(y1 - ny, 0)), (max(-x0, 0), max(x1 - nx, 0)))

    def padded(array: np.ndarray, fill) -> np.ndarray:
        return np.pad(array, [(0, 0)] * (array.ndim - 2) + list(pad), constant_values=fill)

    return _Part(
        turn(padded(archive.values(name, inside), np.nan)),
        turn(padded(archive.usable[name][inside], False)),
        turn(padded(archive.sure[name][inside], False)),
        day[when],
    )


def _jittered(parts: dict[str, _Part], plan: Plan, rng: np.random.Generator) -> dict[str, _Part]:
    """Gains and offsets drawn per sensor and band; bands of two sensors that see the same light share theirs."""
    drawn = {name: _jitter(SENSORS[name], plan, rng) for name in parts}
    if {"s2", "landsat8"} <= set(drawn):
        same = [SENSORS["s2"].bands.index(band) for band in HLS]
        drawn["landsat8"] = tuple(change[same] for change in drawn["s2"])
    return {
        name: replace(part, values=part.values * drawn[name][0] + drawn[name][1])
        for name, part in parts.items()
    }


def _jitter(spec: SensorSpec, plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset (band, 1, 1)."""
    bands = (len(spec.bands), 1, 1)
    offset = rng.normal(0, plan.offset * spec.error_scale, bands).astype(np.float32)
    if spec.unit == "dB":  # a gain is an offset in decibel
        return np.ones_like(offset), offset
    return np.exp(rng.normal(0, plan.gain, bands)).astype(np.float32), offset


def _hide(
    parts: dict[str, _Part], plan: Plan, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Which acquisitions are hidden per sensor, and the days asked."""
    main = "s2" if "s2" in parts else next(iter(parts))
    part = parts[main]
    sure = {n: p.sure[:, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX].mean((1, 2)) >= 0.5 for n, p in parts.items()}
    good = np.flatnonzero(sure[main])
    hidden = {name: np.zeros(len(p.day), bool) for name, p in parts.items()}
    if not len(good):
        return hidden, np.array([], np.int64)
    if rng.random() < plan.gap:
        centre = part.day[rng.choice(good)]
        hidden[main] = np.abs(part.day - centre) <= rng.integers(*plan.gap_days)
    else:
        hidden[main] = rng.random(len(part.day)) < rng.uniform(0.1, 0.5)
    if rng.random() < plan.few:
        keep = rng.choice(len(part.day), min(len(part.day), int(rng.integers(1, 7))), replace=False)
        hidden[main] |= ~np.isin(np.arange(len(part.day)), keep)
    others = [name for name in parts if name != main]
    for name in others:
        hidden[name] = rng.random(len(hidden[name])) < 0.15
        if rng.random() < plan.few:
            hidden[name] |= rng.random(len(hidden[name])) < 0.95
        if rng.random() < (plan.no_landsat if name == "landsat8" else plan.without):
            hidden[name][:] = True
    if others and rng.random() < plan.without:
        hidden[main][:] = True
    asked_hidden, asked_seen = good[hidden[main][good]], good[~hidden[main][good]]
    chosen = list(rng.permutation(part.day[asked_hidden])[: plan.asks - 4])
    chosen += list(rng.permutation(part.day[asked_seen])[:2])
    for name in others:
        chosen += list(rng.permutation(parts[name].day[hidden[name] & sure[name]])[:2])
    days = np.unique(np.array(chosen, np.int64))
    return hidden, rng.choice(days, plan.asks) if len(days) else days


def _target(part: _Part, pixels: np.ndarray, asks: np.ndarray) -> torch.Tensor:
    """Measured values (ask, pixel, band) on the asked days, NaN where there is nothing sure."""
    at = np.searchsorted(part.day, asks).clip(0, len(part.day) - 1)
    inner = (slice(None), slice(None), slice(HALO_PX, -HALO_PX), slice(HALO_PX, -HALO_PX))
    values = part.values[at][inner].reshape(len(asks), part.values.shape[1], -1)[:, :, pixels]
    sure = part.sure[at][:, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX].reshape(len(asks), -1)[:, pixels]
    sure = sure & (part.day[at] == asks)[:, None]
    return torch.from_numpy(np.where(sure[:, None], values, np.nan).transpose(0, 2, 1).astype(np.float32))


def _land(archive: Archive, y: int, x: int, turn, pixels: np.ndarray, asks: np.ndarray) -> torch.Tensor:
    """State (ask, pixel, variable) on the asked days, NaN where it cannot be told."""
    day = archive.land["day"]
    at = (asks - day[0]).clip(0, len(day) - 1)
    square = turn(archive.land["state"][at, :, y : y + SIDE_PX, x : x + SIDE_PX])
    steps = square.reshape(len(asks), len(LAND), -1)[:, :, pixels].transpose(0, 2, 1)
    known = (steps != archive.MISSING) & (day[at] == asks)[:, None, None]
    return torch.from_numpy(np.where(known, steps * np.array(LAND_STEPS), np.nan).astype(np.float32))


def _absent_bands(name: str, plan: Plan, rng: np.random.Generator) -> list[int]:
    bands, draw_ = SENSORS[name].bands, rng.random()
    if name == "s2":
        if draw_ < plan.no_10m:
            return [bands.index(b) for b in S2_10M]
        if draw_ < plan.no_10m + plan.hls:
            return [i for i, b in enumerate(bands) if b not in HLS]
    if draw_ > 0.93:
        return [int(rng.integers(len(bands)))]
    return []


def _lattice(rng: np.random.Generator, count: int) -> np.ndarray:
    offset_y, offset_x = rng.integers(PIXEL_PITCH, size=2)
    y, x = np.meshgrid(np.arange(offset_y, SIDE_PX, PIXEL_PITCH), np.arange(offset_x, SIDE_PX, PIXEL_PITCH))
    return rng.choice((y * SIDE_PX + x).ravel(), count)


def _blank_neighbours(values: np.ndarray, usable: np.ndarray, pixels: np.ndarray) -> None:
    keep = np.zeros(usable.shape[1:], bool)
    keep[pixels // SIDE_PX + HALO_PX, pixels % SIDE_PX + HALO_PX] = True
    values[:, :, ~keep] = np.nan
    usable[:, ~keep] = False


def _no_images(name: str) -> tuple[Images, torch.Tensor]:
    side = SIDE_PX + 2 * HALO_PX
    values = torch.empty(0, len(SENSORS[name].bands), side, side)
    return Images(values, torch.empty(0, side, side, dtype=torch.bool)), torch.empty(0, dtype=torch.int64)
