"""Whether the embedding moves as the land does: jumps between days, seams at blocks, agreement of all ways to ask."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter1d

from embeddings import engine, quantise
from embeddings.engine import BLOCK_PX
from embeddings.geometry import Grid, target_grid
from embeddings.progress import Steps
from models.embedder import Embedder
from models.encoder import HALO_PX

SIZE_PX = 64
"""At most, of each scene."""
SIMULATED_PX = 40
SEASON_DAYS = 31
"""Width of the running mean that stands for the season."""
CUT_PX = 12
"""Cut off the scene's left and top to lay the blocks elsewhere: whole pixels of 10, 20 and 30 m, no whole block."""
DAYS = ("s2", "s1 only", "neither", "quiet")
"""Kinds of days by what observed the pixel; quiet: nothing on the day, the day before and the day after."""


def jumps(z: np.ndarray) -> np.ndarray:
    """``z`` (day, ..., feature) against the mean of the days beside it; one day shorter at each end."""
    return z[1:-1] - (z[:-2] + z[2:]) / 2


def by_day(z: np.ndarray, s2: np.ndarray, s1: np.ndarray) -> dict[str, np.ndarray]:
    """Root-mean-square jump (feature) in the feature's standard deviations, per kind of day, beside the season's
    change from one day to the next.

    ``z`` (day, y, x, feature); ``s2``, ``s1`` (day, y, x): whether the sensor observed the pixel.
    """
    spread = z.std((0, 1, 2)) + 1e-9
    jump, nothing = jumps(z) / spread, ~(s2 | s1)
    kinds = {
        "s2": s2[1:-1],
        "s1 only": (s1 & ~s2)[1:-1],
        "neither": nothing[1:-1],
        "quiet": nothing[1:-1] & nothing[:-2] & nothing[2:],
    }
    season = np.diff(uniform_filter1d(z, SEASON_DAYS, axis=0, mode="nearest"), axis=0) / spread
    found = {kind: _rms(jump[on]) for kind, on in kinds.items()}
    return found | {"season": _rms(season.reshape(-1, z.shape[-1]))}


def _rms(values: np.ndarray) -> np.ndarray:
    """Per feature over rows (row, feature); NaN without rows."""
    return np.sqrt(np.mean(values**2, 0)) if len(values) else np.full(values.shape[-1], np.nan)


def seams(z: np.ndarray, edge_px: int = BLOCK_PX) -> tuple[float, float]:
    """Mean jump across block edges over that inside blocks, and the largest such ratio of any other line.

    Only lines between whole 20 m pixels are compared. ``z`` (day, y, x, feature); NaN without an edge.
    """
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for axis in (1, 2):
        lines = np.arange(2, z.shape[axis] - 1, 2)
        step = np.abs(np.diff(z, axis=axis)).mean((0, 3 - axis, 3))[lines - 1]
        edge = lines % edge_px == 0
        for at_edge in (True, False):
            ratios[at_edge] += list(step[edge == at_edge] / max(step[~edge].mean(), 1e-12))
    if not ratios[True]:
        return np.nan, np.nan
    return float(np.mean(ratios[True])), float(max(ratios[False]))


def difference(a: xr.Dataset, b: xr.Dataset) -> tuple[float, float]:
    """Largest difference, in feature units, and share of numbers that differ, where and when both cubes are."""
    a, b = xr.align(quantise.dequantise(a), quantise.dequantise(b), join="inner")
    return float(np.abs(a - b).max()), float((a != b).mean())


def cut(scene: xr.DataTree, grid: Grid) -> xr.DataTree:
    """What of the scene lies on the grid."""
    left, bottom, right, top = grid.extent
    nodes = {}
    for name, node in scene.children.items():
        part = node.to_dataset(inherit=False)
        if {"x", "y"} <= set(part.dims):
            x, y = part["x"].values, part["y"].values
            part = part.isel(x=(x > left) & (x < right), y=(y > bottom) & (y < top))
        nodes[f"/{name}"] = part
    out = xr.DataTree.from_dict(nodes)
    out.attrs = scene.attrs
    return out


def tilings(scene: xr.DataTree, model: Embedder, cube: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Differences of the whole cube to a window, to a month, and to blocks that lie elsewhere."""
    days, grid = cube["time"].values.astype("datetime64[D]"), target_grid(scene)
    middle = days[len(days) // 2]
    window = slice(3, grid.ny - 5), slice(grid.nx // 3, grid.nx - 1)
    month = engine.compute(scene, model, middle, min(middle + 29, days[-1]))
    moved = engine.compute(cut(scene, grid.window(slice(CUT_PX, grid.ny), slice(CUT_PX, grid.nx))), model)
    inner = {name: slice(HALO_PX, None) for name in ("y", "x")}  # the cut took the neighbours of these
    return {
        "window": difference(cube, engine.compute(scene, model, window=window)),
        "month": difference(cube, month),
        "blocks elsewhere": difference(cube, moved.isel(inner)),
    }


def evaluate(
    scenes: dict[str, xr.DataTree], model: Embedder, size_px: int = SIZE_PX
) -> Steps[tuple[dict[str, float], str]]:
    """Yields progress; returns the numbers of all scenes as one flat object, and their tables."""
    numbers: dict[str, float] = {}
    lines = [
        "Jump of a day: distance to the mean of the days beside it, in the feature's standard deviations (root mean",
        "square over features; in brackets the largest feature). Season: change of the 31-day mean from day to day.",
        "Rounding: what int8 alone would show.",
    ]
    for i, (name, scene) in enumerate(scenes.items()):
        yield f"embedding {name}", i / len(scenes)
        grid = target_grid(scene)
        scene = cut(scene, grid.window(slice(0, min(size_px, grid.ny)), slice(0, min(size_px, grid.nx))))
        cube = engine.compute(scene, model)
        z = quantise.dequantise(cube).values
        found = by_day(z, *(cube[f"days_from_{sensor}"].values == 0 for sensor in ("s2", "s1")))
        found["rounding"] = np.sqrt(1.5 / 12) * cube["scale"].values / (z.std((0, 1, 2)) + 1e-9)
        edge, inside = seams(z)
        yield f"asking {name} otherwise", (i + 0.5) / len(scenes)
        asked = tilings(scene, model, cube)
        lines += ["", f"{name}, {cube.sizes['y']} x {cube.sizes['x']} px, {cube.sizes['time']} days"]
        for kind, each in found.items():
            mean, top = float(np.sqrt(np.mean(each**2))), float(each.max())
            numbers |= {f"{name}_jump_{kind.replace(' ', '_')}": mean}
            lines.append(f"  {kind:10}{mean:8.4f} ({top:.4f})")
        numbers |= {f"{name}_seam": edge, f"{name}_seam_elsewhere": inside}
        lines.append(
            f"  step across {BLOCK_PX}-px block edges / inside {edge:.3f} (any other line up to {inside:.3f})"
        )
        for kind, (most, share) in asked.items():
            key = kind.replace(" ", "_")
            numbers |= {f"{name}_{key}_difference": most, f"{name}_{key}_differing": share}
            lines.append(
                f"  {kind}: largest difference {most:.2g} in feature units, {share:.1e} of numbers differ"
            )
    return numbers, "\n".join(lines)
