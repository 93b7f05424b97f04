"""What the embedding knows of the land: linear probes to the simulator's truth, and how honest its error is.

Landscapes, seeds and years are such that never taught (``evaluation.PLACES``). One probe is fitted on all days of the
landscapes that teach it and scored apart on days observed by clear Sentinel-2 and on days far from any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from embeddings import engine, metrics, quantise, reconstruct
from embeddings.evaluation import GAP_DAYS, Truth, held_out
from embeddings.geometry import target_grid
from embeddings.inputs import AcquisitionSeries, read_acquisitions, to_epoch_day
from embeddings.probes import prefixes, ridge
from embeddings.progress import Steps
from models.embedder import Embedder
from models.sensors import S1, S2

SIZE_PX = 20
LANDSCAPES = 2
"""Per place."""
PIXEL_DAYS = 20_000
"""Drawn from each landscape."""
FAR_DAYS = 10
WARM_DEGC = 5.0
LEAFY, BARE = 0.5, 1.0
"""Leaf area, m2 m-2: leaves there are to be green, and soil the radar sees."""
DISTANCES = {"1-5": (1, 5), "6-10": (6, 10), "11-20": (11, 20), "21+": (21, 10_000)}
"""Days from a hidden date to the nearest clear acquisition left."""
HALF_BAND = 1.645
"""Standard deviations on either side that hold 90 % of a normal distribution."""

Sampled = dict[str, np.ndarray]
VARIABLES: dict[str, Callable[[Sampled], np.ndarray]] = {
    "lai": lambda row: np.isfinite(row["lai"]),
    "fapar": lambda row: np.isfinite(row["fapar"]),
    "chlorophyll": lambda row: row["lai"] >= LEAFY,
    "soil_moisture": lambda row: (
        (row["lai"] < BARE) & (row["soil_moisture"] < 1) & (row["days_from_s1"] == 0) & (row["tair"] > 0)
    ),
}
"""What is asked, and of which rows: chlorophyll where there are leaves; soil moisture where the radar sees it, on its
days over thin canopies, not water nor frozen."""
DAYS: dict[str, Callable[[Sampled], np.ndarray]] = {
    "observed": lambda row: row["days_from_s2"] == 0,
    "far": lambda row: (row["days_from_s2"] > FAR_DAYS) | (row["days_from_s2"] < 0),
    "far_warm": lambda row: DAYS["far"](row) & (row["tair"] > WARM_DEGC),
}


def interpolated(series: AcquisitionSeries, days: np.ndarray) -> np.ndarray:
    """Measurements on every day (day, band, y, x): linear per pixel between usable ones, held at the ends."""
    bands, ny, nx = series.values.shape[1:]
    out = np.full((len(days), bands, ny, nx), np.nan, np.float32)
    for row, col in np.ndindex(ny, nx):
        for band in range(bands):
            values = series.values[:, band, row, col]
            known = series.valid[:, row, col] & ~np.isnan(values)
            if known.any():
                out[:, band, row, col] = np.interp(days, series.day[known], values[known])
    return out


def sample(scene: xr.DataTree, model: Embedder, seed: int) -> Sampled:
    """Random pixel-days of a simulated landscape: inputs of the probes (row, input), the truth and where it holds."""
    truth = scene["truth"].to_dataset()
    during = (truth["time"].values[[0, -1]]).astype("datetime64[D]")
    cube, past = (engine.compute(scene, model, *during, causal=causal) for causal in (False, True))
    grid, days = target_grid(scene), to_epoch_day(cube["time"].values)
    everywhere = slice(0, grid.ny), slice(0, grid.nx)
    raw = np.concatenate(
        [interpolated(read_acquisitions(scene, spec, grid, *everywhere), days) for spec in (S2, S1)], 1
    )
    shape = (len(days), *grid.shape)
    at = np.unravel_index(np.random.default_rng(seed).integers(0, np.prod(shape), PIXEL_DAYS), shape)
    rows = {
        "embedding": quantise.dequantise(cube).values[at],
        "past only": quantise.dequantise(past).values[at],
        "bands": raw.transpose(0, 2, 3, 1)[at],
        "tair": scene["weather"]["tair"].sel(time=cube["time"]).values[at[0]],
    }
    rows |= {name: truth[name].sel(time=cube["time"]).values[at] for name in VARIABLES}
    rows |= {name: cube[name].values[at] for name in ("days_from_s2", "days_from_s1")}
    known = np.isfinite(rows["bands"]).all(1)
    return {name: values[known] for name, values in rows.items()}


@dataclass(frozen=True)
class Coverage:
    """Per distance: how many hidden measurements there are, and how many lie inside the 90 % band."""

    inside: np.ndarray
    """(distance,)"""
    total: np.ndarray

    @classmethod
    def of(cls, error: np.ndarray, sigma: np.ndarray, distance: np.ndarray) -> Coverage:
        """``error`` and ``sigma`` (date, band, y, x), NaN where unknown; ``distance`` (date, y, x) days."""
        known = np.isfinite(error)
        inside = known & (np.abs(error) <= HALF_BAND * sigma)
        near = [((distance >= a) & (distance <= b))[:, None] for a, b in DISTANCES.values()]
        return cls(*(np.array([(hit & part).sum() for part in near]) for hit in (inside, known)))

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(self.inside + other.inside, self.total + other.total)

    def shares(self) -> dict[str, float]:
        """Share inside: all, and per distance where there is any."""
        each = {
            name: float(i / n) for name, i, n in zip(DISTANCES, self.inside, self.total, strict=True) if n
        }
        return {"all": float(self.inside.sum() / max(self.total.sum(), 1))} | each


def coverage(scene: xr.DataTree, model: Embedder, gap_days: int) -> Coverage:
    """Hidden Sentinel-2 measurements, truly clear, beside the decoder's mean and sigma; 10 m, all bands."""
    coarse, grid = Truth.of(scene), target_grid(scene)
    days = coarse.day[coarse.hidden()]
    if not len(days):
        return Coverage(*np.zeros((2, len(DISTANCES)), int))
    hidden = reconstruct.Hidden("s2", tuple(int(d) for d in days), gap_days)
    series = read_acquisitions(scene, S2, grid, slice(0, grid.ny), slice(0, grid.nx))
    left, asked = series.select(hidden.keep("s2", series.day)), series.select(np.isin(series.day, days))
    told = reconstruct.reconstruct_hidden(scene, model, hidden)
    cloudy = scene["s2"]["cloud_truth"].values[np.isin(to_epoch_day(scene["s2"]["time"].values), days)]
    clear = asked.valid & ~cloudy
    error = np.where(clear[:, None], asked.values - told["reflectance"].values, np.nan)
    away = np.abs(left.day - days[:, None])[:, :, None, None]
    none = DISTANCES["21+"][1]
    distance = np.where(left.valid[None], away, none).min(1, initial=none)
    return Coverage.of(error, told["reflectance_sigma"].values, distance)


def evaluate(
    model: Embedder, size_px: int = SIZE_PX, landscapes: int = LANDSCAPES
) -> Steps[tuple[dict[str, float], str]]:
    """Yields progress; returns the numbers as one flat object, and their tables."""
    scenes = yield from held_out(size_px, landscapes)
    samples, held = [], Coverage(*np.zeros((2, len(DISTANCES)), int))
    for i, (name, scene) in enumerate(scenes.items()):
        yield f"embedding {name}", i / len(scenes)
        samples.append(sample(scene, model, i))
        for gap_days in (0, GAP_DAYS):
            held += coverage(scene, model, gap_days)
    rows = {name: np.concatenate([s[name] for s in samples]) for name in samples[0]}
    landscape = np.repeat(np.arange(len(samples)), [len(s["lai"]) for s in samples])
    yield "probing", 1.0
    numbers, lines = probe(rows, landscape, landscape // landscapes)
    shares = held.shares()
    numbers |= {f"sigma_inside_{name}": share for name, share in shares.items()}
    told = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    return numbers, "\n".join(
        [
            f"{len(scenes)} simulated landscapes of {size_px} px and one year at {len(scenes) // landscapes} places,"
            " none of which taught",
            *lines,
            "",
            "share of hidden clear Sentinel-2 measurements inside the 90 % band, by days to the nearest one left:",
            told,
        ]
    )


def probe(rows: Sampled, landscape: np.ndarray, place: np.ndarray) -> tuple[dict[str, float], list[str]]:
    """R2 (1 - SSE/SST) of every variable, kind of day and representation; landscapes, then whole places left out."""
    inputs = prefixes("embedding", rows["embedding"]) | {n: rows[n] for n in ("past only", "bands")}
    lines = [
        f"R2 of linear probes; far: more than {FAR_DAYS} days from clear S2, warm: above {WARM_DEGC:g} degC;"
    ]
    lines += ["bands: those of S2 and S1, interpolated linearly in time"]
    numbers: dict[str, float] = {}
    for split, fold in (("landscape", landscape), ("place", place)):
        lines += ["", f"{split + ' left out':24}" + "".join(f"{n:>14}" for n in (*inputs, "rows"))]
        for variable, asked in VARIABLES.items():
            use, truth = asked(rows), rows[variable][asked(rows)]
            told = {n: ridge(x[use], truth, landscape[use], fold[use]) for n, x in inputs.items()}
            for day, among in DAYS.items():
                here = among(rows)[use]
                r2 = {name: metrics.nse(truth[here], values[here]) for name, values in told.items()}
                for name, value in r2.items():
                    numbers[f"{split}_{name.replace(' ', '_')}_{variable}_{day}_r2"] = value
                label = f"{variable} {day}".replace("_", " ")
                lines.append(f"{label:24}" + "".join(f"{v:14.3f}" for v in r2.values()) + f"{here.sum():14}")
                numbers[f"{variable}_{day}_rows"] = int(here.sum())
    return numbers, lines
