"""How well hidden dates are told: the model beside the methods a user would otherwise take, date by date.

Protocol: among Sentinel-2 dates with at least 80 % clear pixels, the inner ones, every third is hidden and predicted
from the rest; root-mean-square error over clear pixels per band on the 20 m grid, then the mean over bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from embeddings import reconstruct
from embeddings.geometry import target_grid
from embeddings.inputs import Series, read, times_of
from models.embedder import Embedder
from models.errors import InputError
from models.sensors import S2

CLEAR_SHARE = 0.8
EVERY = 3
GAP_DAYS = 20


@dataclass(frozen=True)
class Truth:
    """Measured Sentinel-2 on the 20 m grid."""

    values: np.ndarray
    """(time, band, y, x) reflectance."""
    clear: np.ndarray
    """(time, y, x) bool."""
    day: np.ndarray

    @classmethod
    def of(cls, scene: xr.DataTree) -> Truth:
        grid = target_grid(scene)
        even = slice(0, grid.ny // 2 * 2), slice(0, grid.nx // 2 * 2)
        series: Series = read(scene, S2, grid, *even)
        t, b, y, x = series.values.shape
        values = series.values.reshape(t, b, y // 2, 2, x // 2, 2).mean((3, 5))
        clear = series.usable.reshape(t, y // 2, 2, x // 2, 2).all((2, 4))
        return cls(values, clear, series.day)

    def hidden(self) -> np.ndarray:
        """Positions of the dates the protocol hides."""
        good = np.flatnonzero(self.clear.mean((1, 2)) >= CLEAR_SHARE)
        return good[1:-1][::EVERY]


def linear(truth: Truth, visible: np.ndarray, i: int) -> np.ndarray:
    """Per pixel between the nearest visible clear values before and after date ``i``, (band, y, x)."""
    before, before_day = _nearest(truth, visible, range(i - 1, -1, -1))
    after, after_day = _nearest(truth, visible, range(i + 1, len(truth.day)))
    share = (truth.day[i] - before_day) / (after_day - before_day)
    between = before * (1 - share) + after * share
    return np.where(np.isnan(before), after, np.where(np.isnan(after), before, between))


def whittaker(truth: Truth, visible: np.ndarray, days: np.ndarray, smoothness: float = 800.0) -> np.ndarray:
    """Whittaker smoother of second differences on the daily axis (Eilers 2003), (day, band, y, x).

    ``smoothness`` is a usual choice for daily vegetation series; nothing is tuned on the scene.
    """
    from scipy.linalg import solveh_banded

    first, last = truth.day[0], truth.day[-1]
    n = last - first + 1
    difference = np.diff(np.eye(n), 2, axis=0)
    penalty = smoothness * difference.T @ difference
    bands = np.stack([np.pad(np.diagonal(penalty, k), (k, 0)) for k in (2, 1, 0)])
    _, b, y, x = truth.values.shape
    out = np.empty((len(days), b, y, x), np.float32)
    for row in range(y):
        for col in range(x):
            use = truth.clear[:, row, col] & visible
            if use.sum() < 2:
                out[:, :, row, col] = np.nan
                continue
            weight, target = np.zeros(n), np.zeros((n, b))
            at = truth.day[use] - first
            weight[at], target[at] = 1.0, np.nan_to_num(truth.values[use, :, row, col])
            system = bands.copy()
            system[2] += weight
            out[:, :, row, col] = solveh_banded(system, target)[days - first]
    return out


def score(
    scene: xr.DataTree, model: Embedder, gap_days: int = 0, without: tuple[str, ...] = ()
) -> xr.Dataset:
    """Errors (date, band) of the model and of both baselines on the scene's hidden dates."""
    truth = Truth.of(scene)
    test = truth.hidden()
    if not len(test):
        raise InputError(
            f"the scene {scene.attrs.get('id', '?')} has too few dates with {CLEAR_SHARE:.0%} clear pixels;"
            " at least three are needed to hide one."
        )
    hidden = reconstruct.Hidden("s2", tuple(int(d) for d in truth.day[test]), gap_days, without)
    visible = hidden.keep("s2", truth.day)
    ours = reconstruct.run(scene, model, hidden)["reflectance"].values
    _, b, y, x = truth.values.shape
    ours = ours[:, :, : 2 * y, : 2 * x].reshape(len(test), b, y, 2, x, 2).mean((3, 5))
    smooth = whittaker(truth, visible, truth.day[test])
    bands = ~np.isnan(truth.values).all((0, 2, 3))
    squares = np.full((3, len(test), b), np.nan)
    count = np.zeros(len(test))
    for k, i in enumerate(test):
        straight = linear(truth, visible, i)
        known = truth.clear[i] & np.isfinite(straight[bands]).all(0) & np.isfinite(smooth[k][bands]).all(0)
        count[k] = known.sum()
        for m, guess in enumerate((ours[k], straight, smooth[k])):
            squares[m, k] = np.where(known, (guess - truth.values[i]) ** 2, 0).sum((1, 2))
    squares[:, :, ~bands] = np.nan
    return xr.Dataset(
        {"squares": (("method", "time", "band"), squares), "pixels": ("time", count)},
        {
            "method": ["fluxlens", "linear", "whittaker"],
            "time": times_of(truth.day[test]),
            "band": list(S2.bands),
        },
    )


def rmse(errors: xr.Dataset) -> xr.DataArray:
    """Root-mean-square error per method: over all pixels and dates per band, then the mean over bands."""
    return np.sqrt(errors["squares"].sum("time", skipna=False) / errors["pixels"].sum("time")).mean("band")


def rmse_by_date(errors: xr.Dataset) -> xr.DataArray:
    """The same for each date alone, (method, time)."""
    return np.sqrt(errors["squares"] / errors["pixels"]).mean("band")


def run(scenes: dict[str, xr.DataTree], model: Embedder) -> dict[str, float]:
    """Prints the tables of all scenes; returns their numbers as one flat object."""
    taught = set(model.identity.card.get("measured_cubes", []))
    numbers: dict[str, float] = {}
    for name, scene in scenes.items():
        seen = "this cube taught the model" if name in taught else "the model never saw this cube"
        print(f"\n{name}: hidden dates, RMSE of reflectance at 20 m, mean over bands ({seen})")
        cases = {"every third date": (0, ()), f"and all within {GAP_DAYS} days": (GAP_DAYS, ())}
        if "s1" in scene.children:
            cases["long gaps without s1"] = (GAP_DAYS, ("s1",))
        print(f"{'':28}{'fluxlens':>10}{'linear':>10}{'whittaker':>11}{'/ linear':>10}")
        for case, (gap, without) in cases.items():
            errors = score(scene, model, gap, without)
            ours, line, smooth = (float(v) for v in rmse(errors))
            _row(case, ours, line, smooth)
            key = f"{name}_{'gap' if gap else 'hidden'}{'_without_s1' if without else ''}"
            numbers |= {f"{key}_rmse": ours, f"{key}_linear": line, f"{key}_ratio": ours / line}
            if not gap:
                for date, values in zip(errors["time"].values, rmse_by_date(errors).values.T, strict=True):
                    _row(f"  {np.datetime_as_string(date, 'D')}", *values)
    return numbers


def open_scenes(data: str | Path) -> dict[str, xr.DataTree]:
    """Scenes by id: every folder in ``data``, or the one scene that ``data`` is."""
    from embeddings.readers import open_scene

    folder = Path(data)
    inside = (
        [f for f in sorted(folder.glob("*")) if f.is_dir() and any(f.glob("S2_*.nc"))]
        if folder.is_dir()
        else []
    )
    scenes = [open_scene(path) for path in inside or [folder]]
    return {str(scene.attrs["id"]): scene for scene in scenes}


def _nearest(truth: Truth, visible: np.ndarray, order: range) -> tuple[np.ndarray, np.ndarray]:
    found = np.full(truth.values.shape[1:], np.nan, np.float32)
    day = np.full(truth.clear.shape[1:], np.nan)
    for j in order:
        if not visible[j]:
            continue
        take = np.isnan(day) & truth.clear[j]
        found[:, take], day[take] = truth.values[j][:, take], truth.day[j]
        if not np.isnan(day).any():
            break
    return found, day


def _row(label: str, ours: float, line: float, smooth: float) -> None:
    print(f"{label:28}{ours:10.4f}{line:10.4f}{smooth:11.4f}{ours / line:10.3f}")
