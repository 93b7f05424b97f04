"""Opening and frames of four stores as one, beside one store of the same pixels: ratios that should be near 1.

``python benchmarks/bench_mosaic.py --side-px 1024`` writes random stores of two days in a temporary folder, cut in the
middle at a multiple of 128 pixels, and reads the same rectangles of both, warm in the page cache, as frames of a map.

``--tile-px 10980`` is for stores that are too large to be written twice: four of the size of a Sentinel-2 tile, each
the made-up season of ``bench_screen.tiled`` at another place, beside one of them. Their chunks are the same bytes,
which lie on disk once; frames have the pixels of a screen, anywhere, and some of those of the four touch an edge.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings import store as embeddings_store
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.store import Mosaic, Store, opening, write
from fluxlens.embeddings.store.layout import level_layouts

DAYS, FEATURES, FRAME_PX = 2, 32, 512
"""Few days: opening and frames do not depend on their number. A frame has the pixels of a screen's map."""


def run_tile(side_px: int = 10_980, days: int = 1, frames: int = 24, opens: int = 5) -> dict[str, float]:
    """Four stores of ``side_px`` as one beside one of them, in turn: one flat object."""
    import bench_screen

    first = bench_screen.tiled(side_px, days)
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-", dir=first.parent) as folder:
        parts = [_moved(first, Path(folder) / f"{i}_{j}", i, j) for i in range(2) for j in range(2)]
        out: dict[str, float] = {"side_px": side_px, "mosaic_px": 2 * side_px, "days": days}
        return out | _compare(lambda: Store.open(first), lambda: Mosaic.open(parts), frames, opens)


def _moved(store: Path, path: Path, down: int, across: int) -> Path:
    """The same store so many times its size to the south and the east; chunks are hard links to those of the first."""
    import icechunk
    import zarr
    from fluxlens.embeddings.store import repository

    shutil.copytree(store, path, copy_function=os.link)
    # What a commit writes anew must not be written to the first store.
    shutil.rmtree(path / "refs")
    shutil.copytree(store / "refs", path / "refs")
    session = icechunk.Repository.open(repository.storage(path)).writable_session("main")
    root = zarr.open_group(session.store, mode="r+", zarr_format=3)
    for layout in embeddings_store.LAYOUTS:
        for axis, steps in (("y", down), ("x", across)):
            centres = root[layout][axis][:]
            root[layout][axis][:] = centres + steps * len(centres) * (centres[1] - centres[0])
    root.attrs[opening.METADATA_DIGEST] = opening.open_layouts(session.store).own_digest
    session.commit("moved")
    return path


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
        out: dict[str, float] = {"side_px": side_px}
        return out | _compare(
            lambda: Store.open(Path(folder) / "whole"), lambda: Mosaic.open(parts), frames, opens
        )


def _compare(
    open_one: Callable[[], Any], open_four: Callable[[], Any], frames: int, opens: int
) -> dict[str, float]:
    """Milliseconds of the clock and of the processor, of one and of four in turn, and their ratios."""
    openers = {"one": open_one, "four": open_four}
    opened = {name: open_it() for name, open_it in openers.items()}
    sizes = {name: max(store.grid_shape) for name, store in opened.items()}
    out: dict[str, float] = {}

    def add(what: str, calls: dict[str, list[Callable[[], Any]]]) -> None:
        for name, taken in _median_ms(calls).items():
            out[f"{what}_{name}_ms"], out[f"{what}_{name}_cpu_ms"] = taken
        for kind in ("ms", "cpu_ms"):
            out[f"{what}_{kind}_ratio"] = out[f"{what}_four_{kind}"] / out[f"{what}_one_{kind}"]

    def forgetting(open_it: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            # else one is opened with what the four left in memory
            opening.forget()
            return open_it()

        return call

    add("open", {name: [forgetting(open_it)] * opens for name, open_it in openers.items()})
    add("cube", {name: [store.cube] * opens for name, store in opened.items()})
    day = str(opened["one"].days[0])[:10]
    for level in level_layouts(*opened["one"].grid_shape):
        draw = {name: np.random.default_rng(0) for name in openers}
        # The pixels of both, of which the smaller has fewer than a screen at coarse levels.
        width = min(FRAME_PX, *(-(-size // level) for size in sizes.values()))
        keys = {name: _keys(draw[name], day, sizes[name], level, width, frames) for name in openers}
        add(
            f"frame_level{level}",
            {
                name: [lambda key=key, store=opened[name]: store.tile(*key) for key in keys[name]]
                for name in openers
            },
        )
    return out


def _keys(
    draw: np.random.Generator, day: str, side_px: int, level: int, width: int, count: int
) -> Iterator[tuple]:
    """Day, level, rows and columns of frames anywhere, most of which touch an edge."""
    size = -(-side_px // level)
    for _ in range(count):
        top, left = draw.integers(0, size - width + 1, 2)
        yield day, level, slice(int(top), int(top) + width), slice(int(left), int(left) + width)


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


def _median_ms(calls: dict[str, list[Callable[[], Any]]]) -> dict[str, tuple[float, float]]:
    """Of each name the medians over its calls, of the clock and of the processor, each made once before, in turn."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for together in zip(*calls.values(), strict=True):
        for name, call in zip(calls, together, strict=True):
            call()
            began, used = time.perf_counter(), time.process_time()
            call()
            taken[name].append((time.perf_counter() - began, time.process_time() - used))
    return {name: tuple(1000 * np.median(pairs, axis=0)) for name, pairs in taken.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tile-px", type=int, help="instead: four stores of so many pixels a side each")
    parser.add_argument("--days", type=int, default=1, help="of those; one lies on disk, 5 GB a day")
    options = parser.parse_args()
    figures = run_tile(options.tile_px, options.days) if options.tile_px else run(options.side_px)
    print("\n".join(f"{name:28} {value:10.2f}" for name, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps(figures))
