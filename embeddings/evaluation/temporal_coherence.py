"""Temporal coherence: jumps between days, seams at blocks, and equality of the cube however it is requested."""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.inference.request import BLOCK_PX
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.scenes.crop import crop
from fluxlens.embeddings.store import quantise
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import HALO_PX
from scipy.ndimage import uniform_filter1d

SIZE_PX = 64
"""Largest side that is embedded of each scene."""

SIMULATED_PX = 40
"""Side of a simulated scene, where no data are given."""

SEASON_DAYS = 31
"""Width of the running mean that stands for the season."""

CUT_PX = 12
"""Cut off the scene's left and top to lay the blocks elsewhere: whole pixels of 10, 20 and 30 m, no whole block."""

DAYS = ("s2", "s1 only", "neither", "quiet")
"""Kinds of days by what observed the pixel; quiet: nothing on the day, the day before and the day after."""


def jumps(z: np.ndarray) -> np.ndarray:
    """Each day of ``z`` (day, ..., feature) minus the mean of its two neighbours; one day shorter at each end."""
    return z[1:-1] - (z[:-2] + z[2:]) / 2


def by_day(z: np.ndarray, s2: np.ndarray, s1: np.ndarray) -> dict[str, np.ndarray]:
    """Root-mean-square jump per kind of day, beside the season's change from one day to the next.

    Parameters
    ----------
    z
        (day, y, x, feature) embeddings.
    s2, s1
        (day, y, x) bool: whether the sensor observed the pixel on that day.

    Returns
    -------
    Per kind of ``DAYS``, and for ``season``, (feature,) in the feature's standard deviations; NaN without such days.
    """
    std = z.std((0, 1, 2)) + 1e-9
    jump, nothing = jumps(z) / std, ~(s2 | s1)
    # The day after and the day before an observation still move towards it: quiet days exclude both.
    kinds = {
        "s2": s2[1:-1],
        "s1 only": (s1 & ~s2)[1:-1],
        "neither": nothing[1:-1],
        "quiet": nothing[1:-1] & nothing[:-2] & nothing[2:],
    }
    # What the land itself does in a day: the step of the smoothed series.
    season = np.diff(uniform_filter1d(z, SEASON_DAYS, axis=0, mode="nearest"), axis=0) / std
    rms_of_kind = {kind: _rms(jump[on]) for kind, on in kinds.items()}
    return rms_of_kind | {"season": _rms(season.reshape(-1, z.shape[-1]))}


def _rms(values: np.ndarray) -> np.ndarray:
    """Per feature over rows (row, feature); NaN without rows."""
    return np.sqrt(np.mean(values**2, 0)) if len(values) else np.full(values.shape[-1], np.nan)


def seams(z: np.ndarray, edge_px: int = BLOCK_PX) -> tuple[float, float]:
    """Mean step across block edges over that inside blocks, and the largest such ratio of any other line.

    Parameters
    ----------
    z
        (day, y, x, feature) embeddings.
    edge_px
        Distance of block edges, pixels.

    Returns
    -------
    The two ratios; NaN without an edge.
    """
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for axis in (1, 2):
        # Lines between whole 20 m pixels only: bands of 20 m are equal inside a pair of pixels.
        lines = np.arange(2, z.shape[axis] - 1, 2)
        # (line,) mean absolute step across each line, over days, the other axis and features.
        step = np.abs(np.diff(z, axis=axis)).mean((0, 3 - axis, 3))[lines - 1]
        edge = lines % edge_px == 0
        for at_edge in (True, False):
            # Every line beside the mean of the lines inside blocks; 1e-12 for a scene without any texture.
            ratios[at_edge] += list(step[edge == at_edge] / max(step[~edge].mean(), 1e-12))
    if not ratios[True]:
        return np.nan, np.nan
    return float(np.mean(ratios[True])), float(max(ratios[False]))


def difference(a: xr.Dataset, b: xr.Dataset) -> tuple[float, float]:
    """Largest difference, in feature units, and share of values that differ, where cubes ``a`` and ``b`` overlap."""
    # Only where both are: requests of a month or a window hold a part of the cube.
    a, b = xr.align(quantise.dequantise(a), quantise.dequantise(b), join="inner")
    return float(np.abs(a - b).max()), float((a != b).mean())


def compare_requests(scene: xr.DataTree, model: Embedder, cube: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Differences of the whole cube to a window, to a month, and to a cube whose blocks lie elsewhere.

    Parameters
    ----------
    scene
        The scene.
    model
        The embedder.
    cube
        The whole scene's embedding cube by that model.

    Returns
    -------
    What ``difference`` returns, per kind of request.
    """
    days, grid = cube["time"].values.astype("datetime64[D]"), target_grid(scene)
    # A window and a month that share no edge with blocks or with the scene.
    middle = days[len(days) // 2]
    window = slice(3, grid.ny - 5), slice(grid.nx // 3, grid.nx - 1)
    month = engine.compute(scene, model, middle, min(middle + 29, days[-1]))
    moved = engine.compute(crop(scene, grid.window(slice(CUT_PX, grid.ny), slice(CUT_PX, grid.nx))), model)
    # Pixels within the halo of the cut have lost neighbours: they may differ.
    inner = {name: slice(HALO_PX, None) for name in ("y", "x")}
    return {
        "window": difference(cube, engine.compute(scene, model, window=window)),
        "month": difference(cube, month),
        "blocks elsewhere": difference(cube, moved.isel(inner)),
    }


def evaluate(
    scenes: dict[str, xr.DataTree], model: Embedder, size_px: int = SIZE_PX
) -> Steps[tuple[dict[str, float], str]]:
    """Embed scenes and measure jumps, seams and equality of requests.

    Parameters
    ----------
    scenes
        Scenes by name.
    model
        The embedder.
    size_px
        Largest side that is embedded.

    Returns
    -------
    Flat object of numbers, and their tables as text; yields progress.
    """
    numbers: dict[str, float] = {}
    lines = [
        "Jump of a day: distance to the mean of the days beside it, in the feature's standard deviations (root mean",
        "square over features; in brackets the largest feature). Season: change of the 31-day mean from day to day.",
        "Rounding: what int8 alone would show.",
    ]
    for i, (name, scene) in enumerate(scenes.items()):
        yield f"embedding {name}", i / len(scenes)
        grid = target_grid(scene)
        # The whole of a large scene would take minutes and show the same.
        scene = crop(scene, grid.window(slice(0, min(size_px, grid.ny)), slice(0, min(size_px, grid.nx))))
        cube = engine.compute(scene, model)
        z = quantise.dequantise(cube).values
        rms_of_kind = by_day(z, *(cube[f"days_from_{sensor}"].values == 0 for sensor in ("s2", "s1")))
        # Rounding to int8 errs uniformly, variance 1/12; a jump combines three days with weights 1, 1/2, 1/2: 1.5 / 12.
        rms_of_kind["rounding"] = np.sqrt(1.5 / 12) * cube["scale"].values / (z.std((0, 1, 2)) + 1e-9)
        edge, inside = seams(z)
        yield f"requesting {name} in other ways", (i + 0.5) / len(scenes)
        differences = compare_requests(scene, model, cube)
        lines += ["", f"{name}, {cube.sizes['y']} x {cube.sizes['x']} px, {cube.sizes['time']} days"]
        for kind, each in rms_of_kind.items():
            mean, top = float(np.sqrt(np.mean(each**2))), float(each.max())
            numbers |= {f"{name}_jump_{kind.replace(' ', '_')}": mean}
            lines.append(f"  {kind:10}{mean:8.4f} ({top:.4f})")
        numbers |= {f"{name}_seam": edge, f"{name}_seam_elsewhere": inside}
        lines.append(
            f"  step across {BLOCK_PX}-px block edges / inside {edge:.3f} (any other line up to {inside:.3f})"
        )
        for kind, (most, share) in differences.items():
            key = kind.replace(" ", "_")
            numbers |= {f"{name}_{key}_difference": most, f"{name}_{key}_differing": share}
            lines.append(
                f"  {kind}: largest difference {most:.2g} in feature units, {share:.1e} of numbers differ"
            )
    protocol = Protocol(
        data=", ".join(scenes),
        split="nothing is fitted: properties of the embedding",
        baselines="the season's own change from day to day, rounding to int8, and lines inside blocks",
        weights=describe_weights(model),
    )
    return protocol.attach(numbers, "\n".join(lines))
