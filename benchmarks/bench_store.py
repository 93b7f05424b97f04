"""How fast a stored cube answers, beside bare Zarr reads of the same chunks, and what bytes instead of floats cost."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import xarray as xr
from fluxlens.embeddings import catalog, gpp
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.inference import batched_forward, engine, request
from fluxlens.embeddings.store import DTYPES, LAYOUTS, Store, quantise, write
from fluxlens.embeddings.store.layout import create_layout, level_layouts
from fluxlens.embeddings.store.routing import bytes_touched, finest_level
from fluxlens.models import checkpoints


def run(reads: int = 40, seed: int = 0) -> dict:
    """Write the demo's embeddings again, read them (warm in the page cache), and return one flat object.

    A bare read takes the same key of the same chunks with the same codecs from a plain Zarr folder. ``ratio`` is
    to bare reads of all that the store reads, ``embedding_ratio`` to a bare read of the embedding alone.
    """
    cube = catalog.source(catalog.open(), "demo_embeddings").store().cube().load()
    days, side_px = cube.sizes["time"], cube.sizes["x"]
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        path = Path(folder) / "store"
        wrote_s = _seconds(lambda: write(path, cube, [_whole(cube)]))
        store = Store.open(path)
        bare = _bare(Path(folder), cube, store)
        draw = np.random.default_rng(seed)
        pixels = [(slice(None), *map(int, at)) for at in draw.integers(0, side_px, (reads, 2))]
        maps = [(int(day), slice(None), slice(None)) for day in draw.integers(0, days, reads)]
        out: dict = {"side_px": side_px, "days": days, "features": cube.sizes["feature"]}
        for what, layout, other, keys, read in (
            ("series", "series", "maps", pixels, lambda key: store.series(*key[1:])),
            ("map", "maps", "series", maps, lambda key: store.map(store.days[key[0]])),
        ):
            arrays = bare[layout]
            ours_ms, all_ms, embedding_ms = _medians_ms(
                keys,
                read,
                lambda key, arrays=arrays: [array[key] for array in arrays.values()],
                lambda key, arrays=arrays: arrays["embedding"][key],
            )
            (other_ms,) = _medians_ms(keys[:2], lambda key, other=other: store.arrays.read(other, key))
            out |= {f"{what}_ms": ours_ms, f"{what}_bare_ms": all_ms, f"{what}_ratio": ours_ms / all_ms}
            out |= {f"{what}_embedding_ratio": ours_ms / embedding_ms}
            out |= {f"{what}_from_{other}_over_{what}": other_ms / ours_ms}
        out["write_pixel_days_per_s"] = side_px**2 * days / wrote_s
        out |= _bytes_per_pixel_year(store)
        return out | _frames(Path(folder), cube, draw) | _rounding()


def _rounding() -> dict[str, float]:
    """What int8 takes from features (mean and worst) and from daily GPP, over a year of two blocks of the demo scene.

    Spread of a feature: its standard deviation, and what 98 of 100 values lie within.
    """
    scene = catalog.open()["demo_scene"].read()
    model = checkpoints.load("default", "cpu")
    scale = model.scale.numpy()
    first = np.datetime64(request.Request.from_scene(scene, model).first, "D")
    period, weather = (str(first), str(first + 364)), scene["weather"].to_dataset().load()
    stored, differences = [], []
    for block in range(2):
        side = slice(block * request.BLOCK_PX, (block + 1) * request.BLOCK_PX)
        cube = engine.compute(scene, model, *period, window=(side, side))
        exact = _exact(
            engine.BlockTask(scene, model, request.Request.from_scene(scene, model, *period, (side, side)))
        )
        steps = (exact / scale).reshape(cube["embedding"].shape)
        stored.append((exact, quantise.dequantise(cube).values.reshape(exact.shape) - exact))
        if gpp.is_compatible(cube.attrs):
            floats = cube.assign(embedding=cube["embedding"].copy(data=steps))
            differences.append(gpp.predict(cube, weather)["gpp"] - gpp.predict(floats, weather)["gpp"])
    exact, error = (np.concatenate(parts, 1) for parts in zip(*stored, strict=True))
    rms = np.sqrt(np.square(error, dtype=np.float64).mean((0, 1)))
    deviation = rms / exact.std((0, 1), dtype=np.float64)
    low, high = np.percentile(exact, (1, 99), axis=(0, 1))
    return {
        "int8_error_over_standard_deviation_mean": float(deviation.mean()),
        "int8_error_over_standard_deviation_worst": float(deviation.max()),
        "int8_error_over_98_percent_range_mean": float((rms / (high - low)).mean()),
        "int8_error_over_98_percent_range_worst": float((rms / (high - low)).max()),
        "int8_clipped_share": float((np.abs(exact / scale) > 127.5).mean()),
        "int8_gpp_rmse_gc_m2_d": float(np.sqrt(np.mean(np.square(differences, dtype=float))))
        if differences
        else float("nan"),
    }


def _exact(work: engine.BlockTask) -> np.ndarray:
    """Features (day, pixel, feature) before they become bytes."""
    part = (work.request.rows, work.request.cols)
    tokens = {
        name: batched_forward.encode(work.model, name, series) for name, series in work.read(part).items()
    }
    days, *side = work.request.shape
    out = np.empty((days, side[0] * side[1], work.model.features), np.float32)
    for start in range(0, out.shape[1], batched_forward.STRIP_PX):
        strip = slice(start, start + batched_forward.STRIP_PX)
        for where, answer in batched_forward.predict_days(work.model, tokens, strip, work.request.days):
            out[where] = answer.z[0].numpy()
    return out


def _bytes_per_pixel_year(store: Store) -> dict[str, float]:
    pixel_years = store.grid.nx * store.grid.ny * len(store.days) / 365
    by_array = {
        f"{layout}_{name}_bytes_per_pixel_year": array.nbytes_stored() / pixel_years
        for layout, arrays in store.arrays.by_layout.items()
        for name, array in arrays.items()
    }
    return by_array | {"bytes_per_pixel_year": store.nbytes / pixel_years}


def _frames(
    folder: Path, cube: xr.Dataset, draw: np.random.Generator, side_px: int = 1024
) -> dict[str, float]:
    """Any square of a larger scene, mirrored from two days of the cube: bytes of the chunks touched."""
    wide = _mirrored(cube.isel(time=slice(0, 2)), side_px)
    write(folder / "wide", wide, [_whole(wide)])
    store = Store.open(folder / "wide")
    squares = []
    for size in draw.integers(1, side_px, 60):
        top, left = draw.integers(0, side_px - size + 1, 2)
        squares.append((slice(int(top), int(top + size)), slice(int(left), int(left + size))))
    touched, decoded = [], []
    for square in squares:
        level, key = finest_level(store.arrays.by_layout, store.grid_shape, 0, *square)
        arrays = store.arrays.by_layout[level_layouts(*store.grid_shape)[level]]
        touched.append(bytes_touched(arrays.values(), key))
        decoded.append(max(part.stop - part.start for part in key[1:]))
    (frame_ms,) = _medians_ms(squares, lambda square: store.frame(store.days[0], *square))
    full_bytes = sum(array.nbytes_stored() for array in store.arrays.by_layout["maps"].values())
    all_bytes = sum(
        array.nbytes_stored() for arrays in store.arrays.by_layout.values() for array in arrays.values()
    )
    series_bytes = sum(array.nbytes_stored() for array in store.arrays.by_layout["series"].values())
    return {
        "frame_most_mb_touched": max(touched) / 1e6,
        "frame_median_ms": frame_ms,
        "frame_side_px_median": float(np.median(decoded)),
        "overviews_share_of_maps": (all_bytes - series_bytes) / full_bytes - 1,
    }


def _mirrored(cube: xr.Dataset, side_px: int) -> xr.Dataset:
    def wide(array: xr.DataArray) -> np.ndarray:
        more = side_px - array.sizes["x"]
        return np.pad(array.values, [(0, 0), (0, more), (0, more), (0, 0)][: array.ndim], mode="symmetric")

    grid = Grid.from_cube(cube)
    coords = Grid(grid.crs, grid.left_m, grid.top_m, grid.size_m, side_px, side_px).coords()
    flat = cube.drop_vars([*cube.data_vars, "x", "y"]).assign_coords(coords)
    return flat.assign(
        {name: (cube[name].dims, wide(cube[name]), cube[name].attrs) for name in cube.data_vars}
    )


def _whole(cube: xr.Dataset) -> SimpleNamespace:
    return SimpleNamespace(rows=slice(0, cube.sizes["y"]), cols=slice(0, cube.sizes["x"]), cube=cube)


def _bare(folder: Path, cube: xr.Dataset, store: Store) -> dict:
    """The store's arrays in plain Zarr folders."""
    import zarr

    out = {}
    for layout in LAYOUTS:
        out[layout] = create_layout(zarr.storage.LocalStore(folder / "bare"), layout, cube)
        for name in DTYPES:
            out[layout][name][:] = store.arrays.by_layout[layout][name][:]
    return out


def _medians_ms(keys: list, *reads: Callable) -> list[float]:
    """Of several ways to read, taken in turn, so that what else the machine does meets all of them."""
    for read in reads:
        read(keys[0])
    taken = [[_seconds(lambda read=read, key=key: read(key)) for read in reads] for key in keys]
    return (np.median(taken, axis=0) * 1e3).tolist()


def _seconds(what: Callable) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=40)
    print(json.dumps(run(**vars(parser.parse_args())), indent=2))
