"""How fast a stored cube answers a pixel's year and a day's map, beside bare reads of the same chunks."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import xarray as xr

from embeddings.geometry import Grid
from embeddings.quantise import decode_sigma
from embeddings.store import Store, write


def run(side_px: int = 128, days: int = 365, features: int = 32, reads: int = 20, seed: int = 0) -> dict:
    """Write a made-up cube, read it cold in Python (warm in the page cache), and return one flat object."""
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        cubes = _Cube(side_px, days, features, seed)
        path = Path(folder) / "store"
        wrote_s = _seconds(lambda: write(path, cubes.template, cubes.blocks()))
        store = Store.open(path)
        bare = _bare(Path(folder), cubes)
        draw = np.random.default_rng(seed)
        pixels = draw.integers(0, side_px, (reads, 2))
        some_days = store.days[draw.integers(0, days, reads)]
        indices = np.searchsorted(store.days, some_days)
        series_ms = _median_ms(lambda at: store.series(*at), pixels)
        bare_series_ms = _median_ms(lambda at: bare["series"][:, at[0], at[1]], pixels)
        map_ms = _median_ms(store.map, some_days)
        bare_map_ms = _median_ms(lambda at: bare["maps"][at], indices)
        pixel_years = side_px**2 * days / 365
        return {
            "side_px": side_px,
            "days": days,
            "features": features,
            "series_ms": series_ms,
            "series_bare_zarr_ms": bare_series_ms,
            "series_ratio": series_ms / bare_series_ms,
            "map_ms": map_ms,
            "map_bare_zarr_ms": bare_map_ms,
            "map_ratio": map_ms / bare_map_ms,
            "write_pixel_days_per_s": side_px**2 * days / wrote_s,
            "bytes_per_pixel_year": store.nbytes / pixel_years,
            "raw_bytes_per_pixel_year": 365 * (features + 1 + 2 + 2),
        }


class _Cube:
    """A cube with the entropy of real ones: smooth in time, noisy in space; made block by block."""

    def __init__(self, side_px: int, days: int, features: int, seed: int) -> None:
        self.side_px, self.days, self.features, self.seed = side_px, days, features, seed
        self.template = self._cube(slice(0, side_px), slice(0, side_px), lazy=True)

    def blocks(self, px: int = 64) -> Iterator[SimpleNamespace]:
        for top in range(0, self.side_px, px):
            for left in range(0, self.side_px, px):
                rows, cols = (slice(start, min(start + px, self.side_px)) for start in (top, left))
                yield SimpleNamespace(rows=rows, cols=cols, cube=self._cube(rows, cols))

    def _cube(self, rows: slice, cols: slice, lazy: bool = False) -> xr.Dataset:
        grid = Grid("EPSG:32632", 600000.0, 5700000.0, 10.0, self.side_px, self.side_px).window(rows, cols)
        shape = (self.days, grid.ny, grid.nx)
        dims = ("time", "y", "x")
        draw = np.random.default_rng([self.seed, rows.start, cols.start])
        if lazy:
            import dask.array as da

            embedding = da.zeros((*shape, self.features), dtype=np.int8)
            sigma, gap = da.zeros(shape, dtype=np.float32), da.zeros(shape, dtype=np.int16)
        else:
            season = np.sin(np.arange(self.days) / 58)[:, None, None, None]
            level = draw.normal(0, 25, (1, grid.ny, grid.nx, self.features))
            noise = draw.normal(0, 2, (*shape, self.features)).astype(np.float32)
            embedding = (level + 40 * season + noise).clip(-127, 127).round().astype(np.int8)
            sigma = decode_sigma(draw.integers(10, 40, shape).astype(np.uint8))
            gap = np.broadcast_to((np.arange(self.days) % 7)[:, None, None], shape).astype(np.int16)
        return xr.Dataset(
            {
                "embedding": ((*dims, "feature"), embedding),
                "sigma": (dims, sigma),
                "days_from_s2": (dims, gap),
                "days_from_s1": (dims, gap),
            },
            coords={
                "time": np.arange("2020-01-01", self.days, dtype="datetime64[D]").astype("datetime64[ns]"),
                "feature": [f"e{i:02d}" for i in range(self.features)],
                "scale": ("feature", np.full(self.features, 0.02, np.float32)),
                **grid.coords(),
            },
            attrs={"title": "benchmark"},
        )


def _bare(folder: Path, cubes: _Cube) -> dict:
    """The embedding alone in a plain Zarr directory with the store's chunks."""
    import zarr
    from zarr.codecs import ZstdCodec

    from embeddings.store import PILLAR_PX, TILE_PX, ZSTD_LEVEL, _shard_px

    n, tile, shard = cubes.side_px, min(TILE_PX, cubes.side_px), _shard_px(cubes.template["embedding"])
    shape = (cubes.days, n, n, cubes.features)
    layouts = {
        "maps": {"chunks": (1, tile, tile, cubes.features)},
        "series": {
            "chunks": (cubes.days, PILLAR_PX, PILLAR_PX, cubes.features),
            "shards": (cubes.days, min(shard, n), min(shard, n), cubes.features),
        },
    }
    arrays = {
        name: zarr.create_array(
            str(folder / name), shape=shape, dtype="i1", compressors=[ZstdCodec(level=ZSTD_LEVEL)], **chunks
        )
        for name, chunks in layouts.items()
    }
    whole = np.empty(shape, np.int8)
    for block in cubes.blocks():
        whole[:, block.rows, block.cols] = block.cube["embedding"].values
    for array in arrays.values():
        array[:] = whole
    return arrays


def _median_ms(read: Callable, keys: np.ndarray) -> float:
    read(keys[0])
    return float(np.median([_seconds(lambda key=key: read(key)) for key in keys]) * 1e3)


def _seconds(what: Callable) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int, default=128)
    parser.add_argument("--days", type=int, default=365)
    print(json.dumps(run(**vars(parser.parse_args())), indent=2))
