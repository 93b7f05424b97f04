"""How long the server takes from a tap to the finished series, and from a day step to the new picture."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import visitors
import xarray as xr
from fluxlens.embeddings import analysis, cache, progress
from fluxlens.embeddings import store as embeddings_store
from fluxlens.embeddings.analysis import similarity as analysis_similarity
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import zarr as scenes
from fluxlens.embeddings.store import Store, opening, repository, tiles
from fluxlens.embeddings.store import layout as store_layout
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

SMALL, LARGE = (256, 365), (1000, 120)
"""Pixels a side and days of the stores that are always measured."""
FEATURES = 32
TILE_PX = 256
WIDEST_FINE_SCENE_PX = 2000
"""A wider store carries coarse satellite images: fine ones would be larger than all the rest."""
BANDS = ("B02", "B03", "B04", "B08")


def run(side_px: int = 0, days: int = 3, sessions: int = 0, seconds: float = 120) -> dict:
    """What a visitor waits for, on made-up stores kept in the cache folder: a flat object.

    ``tap``, ``day`` and ``frame`` are milliseconds of server time: reading, GPP, charts and picture brought up to date,
    without network and drawing. ``cpu`` is this process's own time, whoever else computes; nothing is read twice.
    ``sharp`` is what follows, beside the server's loop, when a view of a large scene rests. ``side_px`` x ``days``
    is one more store; ``sessions`` visitors come at once for ``seconds``, then ten times as many one by one.
    """
    out = measure(*SMALL)
    sizes = [LARGE, (side_px, days)] if side_px else [LARGE]
    for size in sizes:
        out |= {f"{size[0]}px_{name}": value for name, value in measure(*size).items()}
    if side_px:
        for what in ("day", "frame"):
            typical = [
                np.mean([out[name] for name in out if _is(name, px, what)]) for px in (LARGE[0], side_px)
            ]
            out[f"{what}_{side_px}px_over_{LARGE[0]}px"] = float(typical[1] / typical[0])
    out |= similarity() | visitors.first_page(tiled(*SMALL))
    if sessions:
        out |= visitors.sessions(tiled(*LARGE), sessions, seconds, 10 * sessions)
    return out


def _is(name: str, side_px: int, what: str) -> bool:
    return name.startswith(f"{side_px}px_{what}_") and name.endswith("_median_ms") and "_true_" not in name


def measure(side_px: int, days: int, taps: int = 40, seed: int = 0) -> dict:
    """Times of one store, as the dashboard opens it."""
    from bokeh.document import Document
    from fluxlens.app.background.catalog_loader import gpp_predictor
    from fluxlens.app.data.explorer_data import ExplorerData
    from fluxlens.app.session.explorer import Explorer

    path = tiled(side_px, days)
    started = time.perf_counter()
    store = Store.open(path)
    data = ExplorerData(store, gpp_predictor(store))
    data.preload()
    opened_ms = 1000 * (time.perf_counter() - started)
    started = time.perf_counter()
    explorer = Explorer(data=data)
    explorer.panel().server_doc(Document())
    out = {"side_px": side_px, "days": days, "features": FEATURES, "with_gpp": data.predict is not None}
    out |= {"open_ms": opened_ms, "page_ms": 1000 * (time.perf_counter() - started)}
    draw = np.random.default_rng(seed)
    plot, rested = explorer.map_view.plot, []
    plot.sharpen_later = rested.append  # as on a server, where the loop does not wait for it
    places = [data.centre(*(int(n) for n in at)) for at in draw.integers(0, side_px, (taps, 2))]
    first = data.first + dt.timedelta(days=min(days // 3, days - 1))
    steps = [first + dt.timedelta(days=n) for n in range(min(taps, days - days // 3))]
    views = [_view(draw, data.grid) for _ in range(taps)]
    explorer.tap(*data.centre(0, 0))
    out |= _time_each("tap", lambda place: explorer.tap(*place), places)
    for layer in data.layers:
        _show_extent(plot, data.grid.extent)
        explorer.state.param.update(layer=layer, day=data.last)
        data.clear_caches()
        out |= _time_each(f"day_{layer}", lambda day: setattr(explorer.state, "day", day), steps)
        if data.overview is not None:
            data.clear_caches()
            out |= _time_each(f"frame_{layer}", lambda view: _show_extent(plot, view), views)
            out |= _time_each(f"sharp_{layer}", plot._render, rested[-5:])
    return out


def similarity(pixels: int = 4_000_000, seed: int = 0) -> dict:
    """Cosine similarity of all pixels of a day, beside what it takes to read their bytes."""
    draw = np.random.default_rng(seed)
    embedding = draw.integers(-100, 101, (pixels, FEATURES)).astype("int8")
    scale, centre = np.full(FEATURES, 1 / 64, "float32"), draw.normal(0, 0.2, FEATURES).astype("float32")

    def cosine_of_all(_) -> None:
        dot, length = analysis.agreement(embedding, scale, centre, embedding[0] * scale)
        analysis.cosine(dot, length, float(length[0]))

    words = embedding.reshape(-1).view("int64")
    cosine_of_all(0)
    took_s = np.median(_milliseconds(cosine_of_all, range(7))) / 1000
    read_s = (
        min(
            _milliseconds(
                lambda _: analysis_similarity._each(lambda at: words[at].sum(), len(words)), range(7)
            )
        )
        / 1000
    )
    out = {"similarity_ms": 1000 * took_s, "similarity_gb_per_s": embedding.nbytes / took_s / 1e9}
    out["memory_read_gb_per_s"] = embedding.nbytes / read_s / 1e9
    return {name: float(value) for name, value in out.items()} | {
        "similarity_share_of_memory": float(read_s / took_s)
    }


def _time_each(name: str, what: Callable, inputs: Iterable) -> dict[str, float]:
    """Median, 95th percentile (wall clock) and mean (CPU) of ``what`` over its inputs, ms; keys begin with ``name``."""
    inputs = list(inputs)
    began = time.process_time()
    took = _milliseconds(what, inputs)
    cpu_ms = 1000 * (time.process_time() - began) / len(inputs)
    figures = {"median_ms": np.median(took), "p95_ms": np.percentile(took, 95), "cpu_mean_ms": cpu_ms}
    return {f"{name}_{end}": float(value) for end, value in figures.items()}


def _view(draw: np.random.Generator, grid: Grid) -> tuple[float, float, float, float]:
    """A random extent (left, bottom, right, top), metres: between a kilometre and all of the scene wide."""
    left, bottom, right, top = grid.extent
    wide = float(np.exp(draw.uniform(np.log(min(1000, right - left)), np.log(right - left))))
    x, y = draw.uniform(left, right - wide), draw.uniform(bottom, top - wide)
    return x, y, x + wide, y + wide


def _show_extent(plot: Any, view: tuple[float, float, float, float]) -> None:
    """What the server does when a browser pans or zooms the map to ``view`` (left, bottom, right, top in metres)."""
    left, bottom, right, top = view
    plot.figure.x_range.update(start=left, end=right)
    plot.figure.y_range.update(start=bottom, end=top)
    if plot.viewport is not None:
        plot.update_view()


def _milliseconds(what: Callable, inputs: Iterable) -> list[float]:
    found = []
    for item in inputs:
        started = time.perf_counter()
        what(item)
        found.append(1000 * (time.perf_counter() - started))
    return found


def tiled(side_px: int, days: int, seed: int = 0) -> Path:
    """The store of a season of ``TILE_PX`` pixels a side laid side by side, made once and kept in the cache folder.

    Every chunk of a tile is compressed once and its bytes are copied.
    """

    def build(path: Path) -> Iterator[tuple[str, float]]:
        import icechunk
        import zarr

        yield f"writing {side_px} x {side_px} px x {days} days", 0.0
        cube, green = _season(TILE_PX, days, seed)
        grid = Grid("EPSG:32631", 500_000.0, 5_600_000.0, 10.0, side_px, side_px)
        template = xr.Dataset(
            {
                name: (
                    array.dims,
                    np.broadcast_to(array.dtype.type(0), (days, side_px, side_px, *array.shape[3:])),
                )
                for name, array in cube.items()
            },
            {name: cube[name] for name in ("time", "feature", "scale")},
            cube.attrs,
        ).assign_coords(grid.coords())
        session = icechunk.Repository.create(repository.storage(path)).writable_session("main")
        root = zarr.open_group(session.store, mode="a", zarr_format=3)
        observed = grid
        if side_px > WIDEST_FINE_SCENE_PX:
            coarse = side_px // (TILE_PX // 2)
            observed = Grid(
                grid.crs, grid.left_m, grid.top_m, 10.0 * coarse, side_px // coarse, side_px // coarse
            )
        wide = np.tile(green, (1, *2 * (-(-observed.nx // TILE_PX),)))[:, : observed.ny, : observed.nx]
        made = _scene(observed, pd.DatetimeIndex(cube.time.values), wide, np.random.default_rng(seed))
        scenes.write(made, session.store, "scene")
        codes = embeddings_store.to_bytes({name: array.values for name, array in cube.data_vars.items()})
        for layout in embeddings_store.LAYOUTS:
            _lay(session.store, layout, store_layout.create_layout(session.store, layout, template), codes)
        for level, name in list(store_layout.level_layouts(side_px, side_px).items())[1:]:
            coarse = store_layout.create_arrays(root.create_group(name), "maps", template, level)
            # a tile of fewer pixels than a chunk is laid twice a side, which is the same ground
            codes = np.tile(tiles.halve_resolution(codes, FEATURES), (1, 2, 2, 1))
            _lay(session.store, name, coarse, codes)
        root.attrs[opening.METADATA_DIGEST] = opening.open_layouts(session.store).own_digest
        session.commit("a made-up season, tiled")

    return progress.run(cache.build_once(cache.key("bench", side_px, days, seed, 1), build))


def _lay(store: Any, layout: str, arrays: dict, codes: np.ndarray) -> None:
    """Bytes of a tile (time, y, x, feature + layer), repeated over one layout."""
    _repeat(store, f"{layout}/embedding", arrays["embedding"], codes[..., :FEATURES].view(np.int8))
    _repeat(store, f"{layout}/quality", arrays["quality"], codes[..., FEATURES:])


def _repeat(store: Any, name: str, array: Any, tile: np.ndarray) -> None:
    """Fills an array with a tile (time, y, x, last) by copying the bytes of its chunks."""
    days, ny, nx, _ = array.shards or array.chunks
    array[:, :TILE_PX, :TILE_PX] = tile[:, : array.shape[1], : array.shape[2]]
    down, across = (
        max(1, min(TILE_PX, size) // side) for size, side in zip(array.shape[1:3], (ny, nx), strict=True)
    )

    async def copy(day: int) -> None:
        kind = default_buffer_prototype()
        chunks = {
            (i, j): await store.get(f"{name}/c/{day}/{i}/{j}/0", kind)
            for i in range(down)
            for j in range(across)
        }
        rows, cols = -(-array.shape[1] // ny), -(-array.shape[2] // nx)
        todo = [(i, j) for i in range(rows) for j in range(cols) if i >= down or j >= across]
        for start in range(0, len(todo), 64):
            await asyncio.gather(
                *(
                    store.set(f"{name}/c/{day}/{i}/{j}/0", chunks[i % down, j % across])
                    for i, j in todo[start : start + 64]
                )
            )

    for day in range(-(-array.shape[0] // days)):
        sync(copy(day))


def _season(side_px: int, days: int, seed: int) -> tuple[xr.Dataset, np.ndarray]:
    """A cube as smooth in time and as noisy in space as real ones, and its greenness (time, y, x), 0-1."""
    draw = np.random.default_rng(seed)
    grid = Grid("EPSG:32631", 500_000.0, 5_600_000.0, 10.0, side_px, side_px)
    season = np.sin(np.linspace(0, np.pi, days + 2)[1:-1])[:, None, None]
    green = (season * draw.uniform(0.3, 1, (1, side_px, side_px))).astype("float32")
    mix = draw.normal(0, 60, FEATURES).astype("float32")
    noise = draw.integers(-4, 5, (side_px, side_px, FEATURES)).astype("float32")
    embedding = np.empty((days, side_px, side_px, FEATURES), "int8")
    for day in range(days):
        embedding[day] = (green[day, ..., None] * mix + noise).clip(-127, 127)
    since = np.broadcast_to((np.arange(days) % 9)[:, None, None], green.shape).astype("int16")
    axes = ("time", "y", "x")
    cube = xr.Dataset(
        {
            "embedding": ((*axes, "feature"), embedding),
            "sigma": (axes, (0.01 + since * 0.002).astype("float32")),
            "days_from_s2": (axes, since),
            "days_from_s1": (axes, since),
        },
        {
            "time": pd.date_range("2020-03-01", periods=days),
            "feature": [f"e{n:02d}" for n in range(FEATURES)],
            "scale": ("feature", np.full(FEATURES, 1 / 64, "float32")),
        },
        {"title": "A made-up season", "simulated": 1, "model": "made-up"},
    ).assign_coords(grid.coords())
    return cube, green


def _scene(grid: Grid, days: pd.DatetimeIndex, green: np.ndarray, draw: np.random.Generator) -> xr.DataTree:
    picks = slice(0, None, 5)
    spectra = green[picks]
    slopes = (-0.03, -0.02, -0.06, 0.3)
    reflectance = np.stack([0.08 + slope * spectra for slope in slopes], axis=1).astype("float32")
    s2 = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), reflectance),
            "clear": (("time", "y", "x"), draw.random(spectra.shape) > 0.2),
        },
        {"time": days[picks] + pd.Timedelta(hours=10, minutes=30), "band": list(BANDS)},
    ).assign_coords(grid.coords())
    doy = days.day_of_year.values
    warm = np.sin((doy - 100) / 365 * 2 * np.pi)
    columns = {"sw_in": 150 + 120 * warm, "tair": 10 + 9 * warm, "vpd": 5 + 4 * warm, "precip": 2 + 0 * warm}
    weather = xr.Dataset({name: ("time", v.astype("float32")) for name, v in columns.items()}, {"time": days})
    lon, lat = (float(v) for v in grid.lonlat(grid.x[grid.nx // 2], grid.y[grid.ny // 2]))
    gpp = (green[:, 0, 0] * 10).astype("float32")
    tower = xr.Dataset(
        {"gpp_nt": ("time", gpp), "gpp_dt": ("time", gpp), "qc": ("time", np.ones_like(gpp))},
        {"time": days},
        {"site": "XX-Ben", "lon": lon, "lat": lat, "igbp": "DBF", "simulated": 1},
    )
    root = xr.Dataset(
        attrs={"id": "bench", "title": "A made-up season", "simulated": 1, "source": "bench_screen"}
    )
    return xr.DataTree.from_dict({"/": root, "/s2": s2, "/weather": weather, "/tower": tower})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int, default=0)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument(
        "--only-sessions",
        action="store_true",
        help="the visitors alone: minutes instead of a quarter of an hour",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to this file")
    args = parser.parse_args()
    if args.only_sessions:
        # Without those that come one by one afterwards, who show what stays in memory.
        found = visitors.sessions(tiled(*LARGE), max(args.sessions, 1), args.seconds, visits=0)
    else:
        found = run(args.side_px, args.days, args.sessions, args.seconds)
    for name, value in found.items():
        print(f"{name:34} {value:.3g}" if isinstance(value, float) else f"{name:34} {value}")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
