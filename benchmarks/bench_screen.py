"""How long the server takes from a tap to the finished series, and from a day step to the new picture."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import xarray as xr

from embeddings.geometry import Grid
from embeddings.store import Store, write

FEATURES = 32
BANDS = ("B02", "B03", "B04", "B08")


def run(side_px: int = 256, days: int = 365, taps: int = 40, seed: int = 0) -> dict:
    """A made-up store with its scene, as the dashboard opens it: a flat object of milliseconds.

    Times are what a visitor waits for on the server: reading, GPP, charts and picture brought up to date, without
    the network and the drawing in the browser. ``cpu`` is this process's own time, whoever else computes.
    """
    from bokeh.document import Document

    from app.dashboard import Explorer, setup
    from app.data import Data
    from app.opening import predictor

    with tempfile.TemporaryDirectory(prefix="fluxlens-bench-") as folder:
        path = Path(folder) / "store"
        _write(path, side_px, days, seed)
        setup()
        started = time.perf_counter()
        store = Store.open(path)
        data = Data(store, predictor(store))
        data.warm()
        opened_ms = 1000 * (time.perf_counter() - started)
        started = time.perf_counter()
        explorer = Explorer(data=data)
        explorer.panel().server_doc(Document())
        page_ms = 1000 * (time.perf_counter() - started)
        draw = np.random.default_rng(seed)
        pixels = [tuple(int(n) for n in at) for at in draw.integers(0, side_px, (taps, 2))]
        places = [data.centre(*pixel) for pixel in pixels]
        first = data.first + dt.timedelta(days=days // 3)
        steps = [first + dt.timedelta(days=n) for n in range(taps)]
        began = time.process_time()
        tap = _milliseconds(lambda place: explorer.tap(*place), places)
        tap_cpu_ms = 1000 * (time.process_time() - began) / taps
        out = {"side_px": side_px, "days": days, "features": FEATURES, "with_gpp": data.predict is not None}
        out |= {"open_ms": opened_ms, "page_ms": page_ms}
        out |= {"tap_median_ms": float(np.median(tap)), "tap_p95_ms": float(np.percentile(tap, 95))}
        out["tap_cpu_mean_ms"] = tap_cpu_ms
        for layer in data.layers:
            explorer.state.param.update(layer=layer, day=data.first)
            began = time.process_time()
            step = _milliseconds(lambda day: setattr(explorer.state, "day", day), steps)
            out[f"day_{layer}_median_ms"] = float(np.median(step))
            out[f"day_{layer}_p95_ms"] = float(np.percentile(step, 95))
            out[f"day_{layer}_cpu_mean_ms"] = 1000 * (time.process_time() - began) / taps
        return out


def _milliseconds(what: Callable, inputs: Iterable) -> list[float]:
    found = []
    for item in inputs:
        started = time.perf_counter()
        what(item)
        found.append(1000 * (time.perf_counter() - started))
    return found


def _write(path: Path, side_px: int, days: int, seed: int) -> None:
    """A season as smooth in time and as noisy in space as real ones."""
    draw = np.random.default_rng(seed)
    grid = Grid("EPSG:32631", 500_000.0, 5_600_000.0, 10.0, side_px, side_px)
    time_ = pd.date_range("2020-01-01", periods=days)
    season = np.sin(np.linspace(0, np.pi, days))[:, None, None]
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
            "time": time_,
            "feature": [f"e{n:02d}" for n in range(FEATURES)],
            "scale": ("feature", np.full(FEATURES, 1 / 64, "float32")),
        },
        {"title": "A made-up season", "simulated": 1, "model": "made-up"},
    ).assign_coords(grid.coords())
    whole = SimpleNamespace(rows=slice(0, side_px), cols=slice(0, side_px), cube=cube)
    write(path, cube, [whole], _scene(grid, time_, green, draw))


def _scene(grid: Grid, days: pd.DatetimeIndex, green: np.ndarray, draw: np.random.Generator) -> xr.DataTree:
    picks = slice(0, None, 5)
    seen = green[picks]
    slopes = (-0.03, -0.02, -0.06, 0.3)
    reflectance = np.stack([0.08 + slope * seen for slope in slopes], axis=1).astype("float32")
    s2 = xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), reflectance),
            "clear": (("time", "y", "x"), draw.random(seen.shape) > 0.2),
        },
        {"time": days[picks] + pd.Timedelta(hours=10, minutes=30), "band": list(BANDS)},
    ).assign_coords(grid.coords())
    doy = days.day_of_year.values
    warm = np.sin((doy - 100) / 365 * 2 * np.pi)
    columns = {"sw_in": 150 + 120 * warm, "tair": 10 + 9 * warm, "vpd": 5 + 4 * warm, "precip": 2 + 0 * warm}
    weather = xr.Dataset({name: ("time", v.astype("float32")) for name, v in columns.items()}, {"time": days})
    lon, lat = (float(v) for v in grid.lonlat(grid.x[grid.nx // 2], grid.y[grid.ny // 2]))
    gpp = (green[:, grid.ny // 2, grid.nx // 2] * 10).astype("float32")
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
    parser.add_argument("--side-px", type=int, default=256)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--taps", type=int, default=40)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to this file")
    args = parser.parse_args()
    found = run(args.side_px, args.days, args.taps)
    for name, value in found.items():
        print(f"{name:26} {value:.1f}" if isinstance(value, float) else f"{name:26} {value}")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
