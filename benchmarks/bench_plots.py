"""Times of the HoloViews figures on this machine: first rendering, and each kind of update.

``python benchmarks/bench_plots.py [--json FILE]`` prints milliseconds (median, p95). Sizes are those of issue 13:
five million points, a map of 10,980 pixels a side, a year of one pixel, 6,400 lines of 730 days.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

REPEATS = 15
POINTS, SIDE_PX, LINES, DAYS = 5_000_000, 10_980, 6_400, 730


def measure(action: Callable[[int], object], repeats: int = REPEATS) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds of ``action(i)``, called ``repeats`` times."""
    spent = []
    for i in range(repeats):
        start = time.perf_counter()
        action(i)
        spent.append(1000 * (time.perf_counter() - start))
    return float(np.median(spent)), float(np.percentile(spent, 95))


def find_range(figure):
    """The stream of the view's range in a chain of DynamicMaps."""
    import holoviews as hv

    own = [stream for stream in figure.streams if isinstance(stream, hv.streams.RangeXY)]
    return (
        own[0] if own else next(found for source in figure.callback.inputs if (found := find_range(source)))
    )


def make_series(seed: int) -> xr.Dataset:
    """A year of one pixel as ``SeriesReader.pixel`` gives it, random."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2020-01-01", periods=365)
    shots, passes = days[::5], days[::6]
    daily = {
        name: ("time", rng.random(365).astype("float32"))
        for name in ("gpp", "gpp_lo", "gpp_hi", "ndvi_decoded")
    }
    return xr.Dataset(
        daily
        | {
            "pc": (("time", "component"), rng.random((365, 3)).astype("float32")),
            "days_from_s2": ("time", np.arange(365) % 5),
            "ndvi": ("acquisition", rng.random(len(shots)).astype("float32")),
            "clear": ("acquisition", rng.random(len(shots)) < 0.6),
            "VV": ("passage", -10 + rng.random(len(passes))),
            "VH": ("passage", -16 + rng.random(len(passes))),
        },
        {"time": days, "acquisition": shots, "passage": passes, "component": ["PC1", "PC2", "PC3"]},
    )


def bench_map(render: Callable) -> dict:
    """Rendering of a large image, and a move of its view."""
    from fluxlens.app.plots import embedding_map
    from fluxlens.embeddings.geometry import Grid

    grid = Grid("EPSG:32632", 500_000.0, 5_600_000.0, 10.0, SIDE_PX, SIDE_PX)
    values = np.random.default_rng(0).random((SIDE_PX, SIDE_PX), dtype="float32")
    figure = embedding_map(xr.DataArray(values, dims=("y", "x"), coords=grid.coords(), name="value"))
    first = measure(lambda i: render(figure), 1)
    view = find_range(figure)
    left, _, _, top = grid.extent

    def move(i: int) -> None:
        x, y = left + 1000 * i, top - 1000 * i
        view.event(x_range=(x, x + 5000), y_range=(y - 5000, y))

    return {"map_first": first, "map_move": measure(move)}


def bench_series(render: Callable) -> dict:
    """Rendering of four charts, and another pixel through the pipe."""
    from fluxlens.app.plots import series_charts
    from holoviews.streams import Pipe

    pipe, others = Pipe(data=make_series(0)), [make_series(i) for i in range(REPEATS)]
    first = measure(lambda i: render(series_charts(pipe)), 1)
    return {"series_first": first, "series_update": measure(lambda i: pipe.send(others[i]))}


def bench_feature_space(render: Callable) -> dict:
    """A zoom in five million points, in each colouring."""
    import holoviews as hv
    from fluxlens.app.plots.pixel_cloud import rasterize_points

    rng, out = np.random.default_rng(0), {}
    table = pd.DataFrame(rng.normal(size=(POINTS, 2)).astype("float32"), columns=["PC1", "PC2"])
    table["pixel"] = np.arange(POINTS, dtype="int32")
    kinds = pd.Categorical.from_codes(rng.integers(0, 5, POINTS), [f"cluster {i + 1}" for i in range(5)])
    extra = {"density": {}, "gpp": {"gpp_color": table["PC1"]}, "class": {"class": kinds}}
    axes = hv.Dimension("PC1"), hv.Dimension("PC2")
    for color, columns in extra.items():
        cloud = rasterize_points(table.assign(**columns), *axes, color, "CET_L17")
        out[f"feature_space_{color}_first"] = measure(lambda i, cloud=cloud: render(cloud), 1)
        view = find_range(cloud)
        out[f"feature_space_{color}_zoom"] = measure(
            lambda i, view=view: view.event(x_range=(-3 + i / 10, 3), y_range=(-3, 3 - i / 10))
        )
    return out


def bench_area(render: Callable) -> dict:
    """Rendering of all lines of an area."""
    from fluxlens.app.plots import area_density

    days = pd.date_range("2020-01-01", periods=DAYS)
    values = np.random.default_rng(0).random((DAYS, LINES), dtype="float32")
    series = xr.DataArray(values, dims=("time", "pixel"), coords={"time": days}, name="gpp")
    return {"area_first": measure(lambda i: render(area_density(series)), 1)}


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    from fluxlens.app.plots.elements import load_holoviews

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures, milliseconds")
    options = parser.parse_args()
    start = time.perf_counter()
    hv = load_holoviews()
    render = hv.renderer("bokeh").get_plot
    found = {"import_holoviews": (1000 * (time.perf_counter() - start),) * 2}
    # Datashader compiles its loops at the first use; a small figure pays for that, not the measured ones.
    for bench in (bench_series, bench_map, bench_feature_space, bench_area):
        found |= bench(render)
    for name, (median, p95) in found.items():
        print(f"{name:28} {median:8.0f} ms   p95 {p95:8.0f} ms")
    if options.json:
        flat = {f"{name}_ms": round(median, 1) for name, (median, _) in found.items()}
        options.json.write_text(json.dumps(flat, indent=1))


if __name__ == "__main__":
    main()
