"""How fast series tables become daily embeddings, beside a cube of the same model: pixel-days per second, peak memory.

Both are measured in one run and each in a process of its own, so that their ratio does not depend on the machine and
peak memory is each one's own. The table has the hard case: series whose Sentinel-2 and Sentinel-1 dates fall on mixed
orbit phases, each with clouds of its own, in random order.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings import progress
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.inference import request as inference_request
from fluxlens.embeddings.series import embed
from fluxlens.embeddings.simulate import simulate
from fluxlens.models import checkpoints
from fluxlens.models.sensors import SENSORS

START = np.datetime64("2020-01-01")
DAYS = 730
CLEAR_SHARE = 0.5
"""Of Sentinel-2 acquisitions."""
S2_CYCLE_DAYS, S1_CYCLE_DAYS = 5, 6
"""Of two satellites each: as many phases there are, mixed freely."""


def run(series: int = 2000, phases: int = 30, side_px: int = 48, repeats: int = 1) -> dict[str, float]:
    """One flat object.

    Parameters
    ----------
    series : int
        Series of the table, of two years each.
    phases : int
        Combinations of Sentinel-2 and Sentinel-1 orbit phases among them, 1-30.
    side_px : int
        Side of the cube, of two years too.
    repeats : int
        Runs of each; the fastest counts.
    """
    if (load := os.getloadavg()[0]) > 0.3:
        print(f"Other processes keep this machine busy (load {load:.1f}): both are slower.", file=sys.stderr)
    out: dict[str, float] = {"load_before": load, "series": series, "orbit_phases": phases}
    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        write_tables(Path(folder), series, phases)
        for work, arguments in ((time_cube, (side_px,)), (time_table, (Path(folder),))):
            found = []
            for _ in range(repeats):
                # A fresh process: peak memory cannot be reset, and the other's caches would count.
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found.append(pool.apply(work, arguments))
            out |= max(found, key=lambda one: next(value for key, value in one.items() if "per_s" in key))
    out["cube_over_table"] = out["cube_pixel_days_per_s"] / out["table_pixel_days_per_s"]
    return out


def write_tables(folder: Path, series: int, phases: int) -> None:
    """Write ``s2.parquet`` and ``s1.parquet`` of series that differ in their orbits and clouds.

    Parameters
    ----------
    folder : Path
        Where to.
    series, phases : int
        As of ``run``.
    """
    rng = np.random.default_rng(0)
    phase = rng.integers(0, phases, series)
    for name, cycle, of in (
        ("s2", S2_CYCLE_DAYS, phase % S2_CYCLE_DAYS),
        ("s1", S1_CYCLE_DAYS, phase // S2_CYCLE_DAYS),
    ):
        spec = SENSORS[name]
        # (series, acquisition): days since the start
        day = of[:, None] + np.arange(0, DAYS - cycle, cycle)
        is_observed = rng.random(day.shape) < (CLEAR_SHARE if name == "s2" else 1)
        at, _ = np.nonzero(is_observed)
        values = rng.normal(spec.centre, np.array(spec.spread) / 4, (len(at), len(spec.bands)))
        if name == "s2":
            values = values.clip(0.001, 0.9)
        table = pd.DataFrame(values.astype(np.float32), columns=list(spec.bands))
        table.insert(0, "id", np.char.add("p", at.astype(str)))
        table.insert(1, "date", (START + day[is_observed]).astype("datetime64[ns]"))
        table.to_parquet(folder / f"{name}.parquet")


def time_table(folder: Path) -> dict[str, float]:
    """Embed the tables into a Parquet file.

    Parameters
    ----------
    folder : Path
        With both tables; the file is written beside them.
    """
    model = checkpoints.load("default", "cpu")
    out = folder / "daily.parquet"
    began, before = time.perf_counter(), time.process_time()
    progress.run(embed.write_embedded_series(out, folder / "s2.parquet", folder / "s1.parquet", model=model))
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - before
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(out).metadata.num_rows
    return {
        "table_pixel_days_per_s": rows / seconds,
        "table_cpu_us_per_pixel_day": 1e6 * cpu_s / rows,
        "table_pixel_days": rows,
        "table_peak_gb": peak_gb(),
    }


def time_cube(side_px: int) -> dict[str, float]:
    """Embed a simulated scene of as many days, reading and quantising included.

    Parameters
    ----------
    side_px : int
        Side of the scene, pixels of 10 m.
    """
    model = checkpoints.load("default", "cpu")
    end = str(START + DAYS - 1)
    scene = simulate("bench", seed=1, size_px=side_px, start=str(START), end=end, truth=False).load()
    days = inference_request.Request.from_scene(scene, model).days
    began, before = time.perf_counter(), time.process_time()
    for _ in engine.embed_blocks(scene, model):
        pass
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - before
    pixel_days = side_px**2 * len(days)
    return {
        "cube_pixel_days_per_s": pixel_days / seconds,
        "cube_cpu_us_per_pixel_day": 1e6 * cpu_s / pixel_days,
        "cube_s2_acquisitions": scene["s2"].sizes["time"],
        "cube_s1_acquisitions": scene["s1"].sizes["time"],
        "cube_peak_gb": peak_gb(),
    }


def peak_gb() -> float:
    """Most memory this process has held, GB."""
    peak_line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(peak_line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=2000, help="Series of two years (default 2000).")
    parser.add_argument("--phases", type=int, default=30, help="Mixed orbit phases, 1-30 (default 30).")
    parser.add_argument("--side-px", type=int, default=48, help="Side of the cube (default 48).")
    parser.add_argument("--repeats", type=int, default=1, help="Runs of each; the fastest counts.")
    print(json.dumps(run(**vars(parser.parse_args())), indent=2))
