"""Simulated pixel-days that teach GPP: embeddings beside weather, the truth, and what a tower would measure of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from embeddings import cache, engine
from embeddings.gpp_weather import drivers, latitude, nearness, unsureness

FIRST_SEED = 30_000
"""Simulated landscapes from here on teach GPP; those of the embedding's own training lie below."""
SIZE_PX = 16
PIXELS = 20
LOST_WEATHER = (
    ("sw_in", "tair", "vpd", "precip"),
    ("sw_in",),
    ("vpd",),
    ("precip",),
    ("vpd", "precip"),
    ("tair", "vpd", "precip"),
)
LOST_SHARE = 0.25
"""Share of pixels that learn without some of the weather."""


@dataclass(frozen=True)
class Landscape:
    """Sampled pixels of one simulated landscape."""

    climate: str
    z: np.ndarray
    """(pixel, day, feature)"""
    sw: np.ndarray
    """(pixel, day) W m-2"""
    air: np.ndarray
    """(pixel, day, driver)"""
    true: np.ndarray
    """(pixel, day) gC m-2 d-1"""
    measured: np.ndarray
    """The same as a tower would measure it; NaN in its gaps."""
    days_from_s2: np.ndarray
    """(pixel, day)"""
    whole: np.ndarray
    """(pixel,) whether all weather is there."""


def landscape(model, seed: int) -> Generator[tuple[str, float], None, Landscape]:
    """One simulated landscape, kept in the cache as long as simulator and model stay the same."""
    from embeddings import gpp_weather, simulate

    facts = (seed, SIZE_PX, PIXELS, model.digest, cache.fingerprint(simulate, gpp_weather))

    def build(path) -> Generator[tuple[str, float], None, None]:
        yield f"simulating landscape {seed}", 0.0
        made = make(model, seed)
        with path.open("wb") as file:
            np.savez_compressed(file, **made.__dict__)

    path = yield from cache.build_once(cache.key("gpp-lesson", *facts) + ".npz", build)
    with np.load(path) as kept:
        return Landscape(**{name: kept[name] for name in kept.files} | {"climate": str(kept["climate"])})


def make(model, seed: int) -> Landscape:
    """Simulates, embeds, samples pixels, measures them."""
    from embeddings.simulate import random_scene

    scene = random_scene(seed, SIZE_PX, truth=True)
    cube = engine.compute(scene, model)
    # In the far east an acquisition may fall on the UTC day before the truth begins.
    cube = cube.sel(time=np.intersect1d(cube["time"].values, scene["truth"]["time"].values))
    rng = np.random.default_rng([seed, 5])
    flat = rng.choice(cube.sizes["y"] * cube.sizes["x"], PIXELS, replace=False)
    rows, cols = np.unravel_index(flat, (cube.sizes["y"], cube.sizes["x"]))
    days = pd.DatetimeIndex(cube["time"].values)
    true = scene["truth"]["gpp"].sel(time=days).values[:, rows, cols].T
    z = (cube["embedding"].values[:, rows, cols] * cube["scale"].values).transpose(1, 0, 2)
    gap = cube["days_from_s2"].values[:, rows, cols].T
    doubt = cube["sigma"].values[:, rows, cols].T
    lost = [LOST_WEATHER[rng.integers(len(LOST_WEATHER))] if rng.random() < LOST_SHARE else () for _ in flat]
    weather, lat = scene["weather"].to_dataset(), latitude(cube)
    sw, air = (
        np.stack(parts)
        for parts in zip(*(_without(weather, names, days, lat) for names in lost), strict=True)
    )
    air[..., -2], air[..., -1] = nearness(gap), unsureness(doubt)
    measured = np.stack([_measured(rng, series, days) for series in true])
    whole = np.array([not names for names in lost])
    return Landscape(str(scene.attrs["climate"]), z.astype(np.float32), sw, air, true, measured, gap, whole)


def _without(weather: xr.Dataset, names: tuple[str, ...], days: pd.DatetimeIndex, lat: float):
    return drivers(weather.drop_vars(list(names)), days, lat)


def _measured(rng: np.random.Generator, true: np.ndarray, days: pd.DatetimeIndex) -> np.ndarray:
    from embeddings.simulate import tower

    return tower.measure(rng, true.astype(float), days)["gpp_nt"].values.astype(np.float32)


def flat(landscapes: list[Landscape]):
    """All pixel-days as tensors, days without a measurement left out."""
    import torch

    from models.gpp import Lesson

    def rows(name: str) -> torch.Tensor:
        parts = [getattr(one, name)[np.isfinite(one.measured)] for one in landscapes]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))

    return Lesson(*(rows(name) for name in ("z", "sw", "air", "true", "measured")))
