"""How fast scenes become daily embeddings, beside the machine's own matrix product; on demand, by area, by workers."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.geometry import TARGET_SIZE_M, Grid
from fluxlens.embeddings.inference import batched_forward, embed, engine, on_demand
from fluxlens.embeddings.inference import request as inference_request
from fluxlens.embeddings.inference.workers import Execution
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.scenes import acquisitions
from fluxlens.embeddings.simulate import simulate
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import HALO_PX

PUBLISHED_FLOP = 13.7e9
"""Per pixel and date: Peters et al. (2025, arXiv 2511.11706), counted from their public code."""
TILE_PX = 128
"""Side of the simulated landscape that large scenes repeat."""
FIRST = np.datetime64("2020-05-18")
"""First of the days asked of large scenes: where a group of days begins that are asked together."""
MARGIN_DAYS = 12
"""Acquisitions before and after them."""


def run(
    side_px: int | None = None, days: int = 30, device: str = "auto", repeats: int = 3
) -> dict[str, float]:
    """One flat object; with ``side_px``, 256 at least, also of a scene that wide, four times its days, and workers.

    256 takes minutes, 2048 an hour and more.
    """
    load = os.getloadavg()[0]
    if load > 0.3:
        print(
            f"Other processes keep this machine busy (load {load:.1f}): it is faster alone.", file=sys.stderr
        )
    model = checkpoints.load("default", device)
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        out = {"load_before": load} | _rate(model, repeats) | _again(model, Path(folder))
        if side_px is None:
            return out
        return out | _area(Path(folder), side_px, days) | _workers(Path(folder), model)


def _rate(model: Embedder, repeats: int, side_px: int = 64) -> dict[str, float]:
    """Scene reading is part of the time."""
    scene = simulate(
        "bench", seed=1, size_px=side_px, start="2020-01-01", end="2020-12-31", truth=False
    ).load()
    first, last = inference_request.Request.from_scene(scene, model).days[[0, -1]]
    pixel_days = side_px**2 * int(last - first + 1)
    peak = matmul_peak(model.scale.device)
    for _ in engine.embed_blocks(scene, model, window=(slice(0, 32), slice(0, 32))):
        pass  # warm: allocator, kernels chosen
    seconds = [_seconds(lambda: _drain(scene, model)) for _ in range(repeats)]
    flop = flop_per_pixel_day(scene, model)
    rate = pixel_days / float(np.median(seconds))
    return {
        "pixel_days_per_s": rate,
        "flop_per_pixel_day": flop,
        "matmul_peak_gflops": peak / 1e9,
        "share_of_peak": rate * flop / peak,
        "published_flop_ratio": PUBLISHED_FLOP / flop,
        "threads": torch.get_num_threads(),
        "weights_mb": sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6,
    }


def _again(model: Embedder, folder: Path, side_px: int = 64) -> dict[str, float]:
    """A year of a box on demand: the first block, all of it, and all of it asked again."""
    scene = simulate("again", seed=3, size_px=side_px, start="2020-01-01", end="2020-12-31", truth=False)
    zarr.write(scene, folder / "again.zarr")
    scene = zarr.open(folder / "again.zarr")
    with mock.patch.dict(os.environ, FLUXLENS_CACHE=str(folder / "cache")):
        opened_s = _seconds(lambda: on_demand.on_demand(scene, model))
        cube = on_demand.on_demand(scene, model)
        block = {"y": slice(0, inference_request.BLOCK_PX), "x": slice(0, inference_request.BLOCK_PX)}
        cpu_s = time.process_time()
        block_s = _seconds(cube.isel(block).compute)
        cpu_s = time.process_time() - cpu_s
        whole_s = block_s + _seconds(cube.compute)
        again_s = float(np.median([_seconds(cube.compute) for _ in range(5)]))
    return {
        "on_demand_opening_s": opened_s,
        "on_demand_first_block_s": block_s,
        "on_demand_first_block_cpu_s": cpu_s,
        "on_demand_first_time_s": whole_s,
        "on_demand_again_s": again_s,
        "on_demand_first_over_again": whole_s / again_s,
    }


def _area(folder: Path, side_px: int, days: int) -> dict[str, float]:
    """Whole stores of a small and a large scene, and of four times the days, each in a process of its own."""
    out: dict[str, float] = {}
    sizes = [(256 if side_px > 256 else 128, days), (side_px, days), (side_px, 4 * days)]
    for side, count in dict.fromkeys(sizes):
        mosaic(folder / "scene.zarr", side, count)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, cpu_s, peak_gb = pool.apply(_stored, (folder / "scene.zarr", folder / "store", count))
        name = f"embed_{side}px_{count}days"
        per = 1e6 / (side**2 * count)
        out |= {f"{name}_us_per_pixel_day": seconds * per, f"{name}_cpu_us_per_pixel_day": cpu_s * per}
        out[f"{name}_peak_gb"] = peak_gb
        for path in (folder / "scene.zarr", folder / "store"):
            shutil.rmtree(path)
    small, large, more = [f"embed_{side}px_{count}days" for side, count in sizes]
    for what in ("us_per_pixel_day", "cpu_us_per_pixel_day"):
        out[f"large_over_small_{what}"] = out[f"{large}_{what}"] / out[f"{small}_{what}"]
    return out | {"more_over_fewer_days_peak_gb": out[f"{more}_peak_gb"] / out[f"{large}_peak_gb"]}


def _stored(scene: Path, store: Path, days: int) -> tuple[float, float, float]:
    """Seconds of embedding into a store, by the clock and of the processor, and the most memory ever held, GB."""
    period = str(FIRST), str(FIRST + days - 1)
    steps = embed.embed(store, zarr.open(scene), checkpoints.load("default"), *period)
    before_s = time.process_time()
    seconds = _seconds(lambda: progress.run(steps))
    peak_line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return seconds, time.process_time() - before_s, int(peak_line.split()[1]) * 1024 / 1e9


def mosaic(path: Path, side_px: int, days: int) -> None:
    """A scene of a simulated landscape repeated over ``side_px``, never held in memory."""
    import dask.array as da

    start, end = str(FIRST - MARGIN_DAYS), str(FIRST + days - 1 + MARGIN_DAYS)
    small = simulate("tile", seed=2, size_px=min(TILE_PX, side_px), start=start, end=end, truth=False)
    nodes = {"/": xr.Dataset(attrs=small.attrs)}
    for name in ("s2", "s1"):
        node = small[name].to_dataset(inherit=False)
        grid = Grid.from_cube(node)
        side = int(side_px * TARGET_SIZE_M / grid.size_m)
        wide = Grid(grid.crs, grid.left_m, grid.top_m, grid.size_m, side, side)
        tiled = {}
        for key, array in node.data_vars.items():
            if "x" in array.dims:
                repeats = [-(-side // grid.nx) if dim in ("x", "y") else 1 for dim in array.dims]
                chunks = tuple(64 if dim in ("x", "y") else 16 for dim in array.dims)
                data = da.tile(da.from_array(array.values, chunks), repeats)[..., :side, :side]
                tiled[key] = (array.dims, data, array.attrs)
            else:
                tiled[key] = array
        bare = node.drop_vars([*node.data_vars, "x", "y"], errors="ignore")
        nodes[f"/{name}"] = bare.assign_coords(wide.coords()).assign(tiled)
    nodes["/weather"] = small["weather"].to_dataset(inherit=False)
    zarr.write(xr.DataTree.from_dict(nodes), path)


def _workers(folder: Path, model: Embedder, side_px: int = 256, days: int = 180) -> dict[str, float]:
    """The same scene by one and by two worker processes, from the call to the committed store.

    Each worker has one thread and reads, computes and writes; the process that starts them commits. ``without_start``
    leaves out what comes before the first block of each worker.
    """
    mosaic(folder / "workers.zarr", side_px, days)
    scene = zarr.open(folder / "workers.zarr")
    period = str(FIRST), str(FIRST + days - 1)
    whole, start = [], []
    for workers in (1, 2):
        began, at = time.perf_counter(), []
        out = folder / f"workers{workers}"
        for block in embed.embed(out, scene, model.to("cpu"), *period, execution=Execution(workers)):
            at += [time.perf_counter() - began] if block is not None else []
        whole.append(time.perf_counter() - began)
        start.append(at[workers - 1])
        blocks = len(at)
    # blocks that are finished when the clock starts do not count
    rest = [seconds - before for seconds, before in zip(whole, start, strict=True)]
    rates = [(blocks - workers) / seconds for workers, seconds in zip((1, 2), rest, strict=True)]
    return {
        "one_worker_s": whole[0],
        "two_workers_s": whole[1],
        "two_workers_over_one": whole[0] / whole[1],
        "two_workers_over_one_without_start": rates[1] / rates[0],
        "worker_start_s": start[1],
        "worker_pixel_days_per_s": rates[0] * side_px**2 * days / blocks,
    }


def matmul_peak(device: torch.device, size: int = 2048) -> float:
    """FLOP per second of a float32 matrix product, the best of five."""
    a, b = torch.randn(2, size, size, device=device)

    def product() -> None:
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()

    product()
    return 2 * size**3 / min(_seconds(product) for _ in range(5))


def flop_per_pixel_day(scene, model: Embedder) -> float:
    """Multiplications and additions of convolutions and matrix products, all of a block's encoding shared out."""
    from torch.utils.flop_counter import FlopCounterMode

    request, block, strip = (
        inference_request.Request.from_scene(scene, model),
        slice(0, inference_request.BLOCK_PX),
        slice(0, batched_forward.STRIP_PX),
    )
    flop, tokens = 0.0, {}
    for name, spec in model.config.specs.items():
        series = acquisitions.read_acquisitions(scene, spec, request.grid, block, block, HALO_PX)
        tokens[name] = batched_forward.encode(model, name, series)
        one = [torch.from_numpy(part[:1]).to(model.scale.device) for part in (series.values, series.valid)]
        with FlopCounterMode(display=False) as counter:
            model.encode(name, *one)
        flop += counter.get_total_flops() * tokens[name].day.shape[1] / inference_request.BLOCK_PX**2
    # counted in this thread, which the device's own are not
    with FlopCounterMode(display=False) as counter:
        for _ in batched_forward.predict_days(model, tokens, strip, request.days):
            pass
    return (flop + counter.get_total_flops() / batched_forward.STRIP_PX) / len(request.days)


def _drain(scene, model: Embedder) -> None:
    for _ in engine.embed_blocks(scene, model):
        pass


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int)
    parser.add_argument("--days", type=int, default=30)
    print(json.dumps(run(**vars(parser.parse_args())), indent=2))
