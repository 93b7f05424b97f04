"""A small cube of random numbers that keeps the cube contract, and its blocks."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store.quantise import decode_sigma

NY, NX, DAYS, FEATURES = 40, 56, 9, 4


def random_cube(
    seed: int = 0, days: int = DAYS, ny: int = NY, nx: int = NX, features: int = FEATURES
) -> xr.Dataset:
    draw = np.random.default_rng(seed)
    grid = Grid("EPSG:32631", 600000.0, 5700000.0, 10.0, nx, ny)
    sigma = decode_sigma(draw.integers(0, 255, (days, ny, nx)).astype(np.uint8))
    shape = ("time", "y", "x")
    return xr.Dataset(
        {
            "embedding": (
                (*shape, "feature"),
                draw.integers(-127, 128, (days, ny, nx, features)).astype(np.int8),
            ),
            "sigma": (shape, sigma, {"units": "1"}),
            "days_from_s2": (shape, draw.integers(-1, 30, (days, ny, nx)).astype(np.int16), {"units": "d"}),
            "days_from_s1": (shape, draw.integers(-1, 30, (days, ny, nx)).astype(np.int16), {"units": "d"}),
        },
        coords={
            "time": np.arange("2020-01-01", days, dtype="datetime64[D]").astype("datetime64[ns]"),
            "feature": [f"e{i:02d}" for i in range(features)],
            "scale": ("feature", np.linspace(0.01, 0.02, features).astype(np.float32)),
            **grid.coords(),
        },
        attrs={"title": "tiny", "simulated": 1, "model": "none", "model_digest": "0" * 8, "scene_id": "tiny"},
    )


def blocks_of(cube: xr.Dataset, px: int = 16) -> Iterator[SimpleNamespace]:
    for top in range(0, cube.sizes["y"], px):
        for left in range(0, cube.sizes["x"], px):
            rows = slice(top, min(top + px, cube.sizes["y"]))
            cols = slice(left, min(left + px, cube.sizes["x"]))
            yield SimpleNamespace(rows=rows, cols=cols, cube=cube.isel(y=rows, x=cols))
