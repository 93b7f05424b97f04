"""Opening and frames of four stores as one, beside one store of the same pixels: ratios that should be near 1.

``python benchmarks/bench_mosaic.py --side-px 1024`` writes random stores of two days in a temporary folder, cut in the
middle at a multiple of 128 pixels, and reads the same rectangles of both, warm in the page cache, as frames of a map.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import Mosaic, Store, write
from fluxlens.embeddings.store.layout import level_layouts

DAYS, FEATURES, FRAME_PX = 2, 32, 512
"""Few days: opening and frames do not depend on their number. A frame has the pixels of a screen's map."""


def run(side_px: int = 1024, frames: int = 24, opens: int = 5) -> dict[str, float]:
    """Write both, read both in turn, and return one flat object."""
    cut = max(128, side_px // 2 // 128 * 128)
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        parts = []
        for rows in (slice(0, cut), slice(cut, side_px)):
            for cols in (slice(0, cut), slice(cut, side_px)):
                parts.append(Path(folder) / f"{rows.start}_{cols.start}")
                _write(parts[-1], side_px, rows, cols)
        _write(Path(folder) / "whole", side_px, slice(0, side_px), slice(0, side_px))
        openers: dict[str, Callable[[], Any]] = {
            "one": lambda: Store.open(Path(folder) / "whole"),
            "four": lambda: Mosaic.open(parts),
        }
        opened = {name: open_it() for name, open_it in openers.items()}
        out: dict[str, float] = {"side_px": side_px}
        for name, open_it in openers.items():
            out[f"open_{name}_ms"] = _median_ms([lambda open_it=open_it: open_it().cube()] * opens)
        draw = np.random.default_rng(0)
        for level in level_layouts(side_px, side_px):
            keys = list(_keys(draw, side_px, level, frames))
            for name, store in opened.items():
                calls = [lambda key=key, store=store: store.tile(*key) for key in keys]
                out[f"frame_level{level}_{name}_ms"] = _median_ms(calls)
            out[f"frame_level{level}_ratio"] = (
                out[f"frame_level{level}_four_ms"] / out[f"frame_level{level}_one_ms"]
            )
        out["open_ratio"] = out["open_four_ms"] / out["open_one_ms"]
        return out


def _keys(draw: np.random.Generator, side_px: int, level: int, count: int) -> Iterator[tuple]:
    """Day, level, rows and columns of frames anywhere, most of which touch an edge."""
    size = -(-side_px // level)
    width = min(FRAME_PX, size)
    for _ in range(count):
        top, left = draw.integers(0, size - width + 1, 2)
        yield "2020-05-01", level, slice(int(top), int(top) + width), slice(int(left), int(left) + width)


def _write(path: Path, side_px: int, rows: slice, cols: slice) -> None:
    """A part of a random cube of ``side_px``, made and written in squares, so that memory does not grow with it."""
    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, side_px, side_px).window(rows, cols)
    ny, nx = grid.shape
    shape = (DAYS, ny, nx)
    arrays = {
        "embedding": (("time", "y", "x", "feature"), np.broadcast_to(np.int8(0), (*shape, FEATURES))),
        "sigma": (("time", "y", "x"), np.broadcast_to(np.float32(0), shape)),
        "days_from_s2": (("time", "y", "x"), np.broadcast_to(np.int16(0), shape)),
        "days_from_s1": (("time", "y", "x"), np.broadcast_to(np.int16(0), shape)),
    }
    coords = {
        "time": np.array(["2020-05-01", "2020-05-02"], "datetime64[ns]"),
        "feature": [f"e{i:02d}" for i in range(FEATURES)],
        "scale": ("feature", np.full(FEATURES, 1 / 64, "float32")),
    }
    empty = xr.Dataset(arrays, coords | grid.coords(), {"model": "none", "model_digest": "0"})

    def blocks(px: int = 512) -> Iterator[SimpleNamespace]:
        draw = np.random.default_rng(0)
        for top in range(0, ny, px):
            for left in range(0, nx, px):
                block = {"rows": slice(top, min(top + px, ny)), "cols": slice(left, min(left + px, nx))}
                part = empty.isel(y=block["rows"], x=block["cols"])
                values = draw.integers(-127, 128, part["embedding"].shape, "int8")
                yield SimpleNamespace(**block, cube=part.assign(embedding=(part["embedding"].dims, values)))

    write(path, empty, blocks())


def _median_ms(calls: list[Callable[[], Any]]) -> float:
    """Median over the calls, each made once before."""
    taken = []
    for call in calls:
        call()
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return 1000 * float(np.median(taken))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = run(options.side_px)
    print("\n".join(f"{name:28} {value:10.2f}" for name, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps(figures))
