"""State of the land in the embedding: linear probes to the simulator's truth, and calibration of the predicted sigma.

No model was trained on these landscapes, seeds and places (``held_out_scenes.PLACES``). One probe is fitted on all days
of the other landscapes and scored separately on days observed by clear Sentinel-2 and on days far from any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings import metrics
from fluxlens.embeddings.evaluation.gap_filling import ClearReflectance
from fluxlens.embeddings.evaluation.held_out_scenes import simulate_held_out
from fluxlens.embeddings.evaluation.linear_probes import prefixes, ridge
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.evaluation.reconstruction import HIDDEN_GAP_DAYS
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.inference import engine, reconstruct
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.scenes.acquisitions import AcquisitionSeries, read_acquisitions, to_epoch_day
from fluxlens.embeddings.store import quantise
from fluxlens.models.embedder import Embedder
from fluxlens.models.gpp.drivers import NORMAL_90
from fluxlens.models.sensors import S1, S2

SIZE_PX = 20

LANDSCAPES = 2
"""Per place."""

PIXEL_DAYS = 20_000
"""Drawn from each landscape."""

FAR_DAYS = 10
"""More days than this from clear Sentinel-2 count as far."""

WARM_DEGC = 5.0

LEAFY, BARE = 0.5, 1.0
"""Leaf area, m2 m-2: at least so much for chlorophyll, at most so much for soil that the radar sees."""

DISTANCES = {"1-5": (1, 5), "6-10": (6, 10), "11-20": (11, 20), "21+": (21, 10_000)}
"""Classes of the days from a hidden date to the nearest clear acquisition left."""

Sampled = dict[str, np.ndarray]
"""Sampled pixel-days: inputs of the probes (row, input), true state and conditions (row,)."""

VARIABLES: dict[str, Callable[[Sampled], np.ndarray]] = {
    "lai": lambda row: np.isfinite(row["lai"]),
    "fapar": lambda row: np.isfinite(row["fapar"]),
    "chlorophyll": lambda row: row["lai"] >= LEAFY,
    "soil_moisture": lambda row: (
        (row["lai"] < BARE) & (row["soil_moisture"] < 1) & (row["days_from_s1"] == 0) & (row["tair"] > 0)
    ),
}
"""Variables, and the rows they are scored on: chlorophyll where there are leaves; soil moisture on days of radar over
thin canopies, neither water nor frozen."""

DAYS: dict[str, Callable[[Sampled], np.ndarray]] = {
    "observed": lambda row: row["days_from_s2"] == 0,
    "far": lambda row: (row["days_from_s2"] > FAR_DAYS) | (row["days_from_s2"] < 0),
    "far_warm": lambda row: DAYS["far"](row) & (row["tair"] > WARM_DEGC),
}
"""Kinds of days, and their rows."""


def interpolate_series(series: AcquisitionSeries, days: np.ndarray) -> np.ndarray:
    """Measurements on every day, linear in time per pixel between valid ones and constant at the ends.

    Parameters
    ----------
    series
        Acquisitions of one sensor.
    days
        (day,) days since 1970-01-01.

    Returns
    -------
    (day, band, y, x) in the sensor's unit; NaN where a pixel has none.
    """
    bands, ny, nx = series.values.shape[1:]
    out = np.full((len(days), bands, ny, nx), np.nan, np.float32)
    # np.interp takes one series at a time; a landscape of 20 px has few.
    for row, col in np.ndindex(ny, nx):
        for band in range(bands):
            values = series.values[:, band, row, col]
            known = series.valid[:, row, col] & ~np.isnan(values)
            if known.any():
                out[:, band, row, col] = np.interp(days, series.day[known], values[known])
    return out


def sample(scene: xr.DataTree, model: Embedder, seed: int) -> Sampled:
    """Random pixel-days of a simulated landscape.

    Parameters
    ----------
    scene
        With ``/truth``.
    model
        The embedder.
    seed
        Of the pixel-days drawn.

    Returns
    -------
    Inputs of the probes: ``embedding``, ``past only`` (causal) and ``bands`` (interpolated); the variables; and the
    conditions ``tair``, ``days_from_s2``, ``days_from_s1``.
    """
    truth = scene["truth"].to_dataset()
    # Days with a truth only: acquisitions may reach a little beyond them.
    during = (truth["time"].values[[0, -1]]).astype("datetime64[D]")
    # The same days twice: with all acquisitions, and with those of the past only.
    cube, past = (engine.compute(scene, model, *during, causal=causal) for causal in (False, True))
    grid, days = target_grid(scene), to_epoch_day(cube["time"].values)
    everywhere = slice(0, grid.ny), slice(0, grid.nx)
    # (day, band, y, x), those of Sentinel-2 before those of Sentinel-1
    bands = np.concatenate(
        [interpolate_series(read_acquisitions(scene, spec, grid, *everywhere), days) for spec in (S2, S1)], 1
    )
    shape = (len(days), *grid.shape)
    # Pixel-days drawn with repetition: rows of one landscape are alike anyway, and it keeps memory bounded.
    at = np.unravel_index(np.random.default_rng(seed).integers(0, np.prod(shape), PIXEL_DAYS), shape)
    rows = {
        "embedding": quantise.dequantise(cube).values[at],
        "past only": quantise.dequantise(past).values[at],
        "bands": bands.transpose(0, 2, 3, 1)[at],
        "tair": scene["weather"]["tair"].sel(time=cube["time"]).values[at[0]],
    }
    # Truth by the days of the cube, at the same pixel-days.
    rows |= {name: truth[name].sel(time=cube["time"]).values[at] for name in VARIABLES}
    rows |= {name: cube[name].values[at] for name in ("days_from_s2", "days_from_s1")}
    # All representations are scored on the same rows: those where every band was measured at least once.
    known = np.isfinite(rows["bands"]).all(1)
    return {name: values[known] for name, values in rows.items()}


@dataclass(frozen=True)
class Coverage:
    """Number of hidden measurements, and of those inside the predicted 90 % band, per class of distance in time."""

    inside: np.ndarray
    """(distance,)"""
    total: np.ndarray

    @classmethod
    def from_errors(cls, error: np.ndarray, sigma: np.ndarray, distance: np.ndarray) -> Coverage:
        """Count measurements.

        Parameters
        ----------
        error
            (date, band, y, x) measured minus predicted; NaN where unknown.
        sigma
            Predicted standard deviation, of the same shape.
        distance
            (date, y, x) days to the nearest clear acquisition left.
        """
        known = np.isfinite(error)
        # 90 % of the errors should lie within 1.645 sigma, whatever their size: calibration, not accuracy.
        inside = known & (np.abs(error) <= NORMAL_90 * sigma)
        in_class = [((distance >= a) & (distance <= b))[:, None] for a, b in DISTANCES.values()]
        return cls(*(np.array([(hit & rows).sum() for rows in in_class]) for hit in (inside, known)))

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(self.inside + other.inside, self.total + other.total)

    def shares(self) -> dict[str, float]:
        """Share inside the band: of all, and per class of distance where there is any."""
        each = {
            name: float(i / n) for name, i, n in zip(DISTANCES, self.inside, self.total, strict=True) if n
        }
        return {"all": float(self.inside.sum() / max(self.total.sum(), 1))} | each


def coverage(scene: xr.DataTree, model: Embedder, gap_days: int) -> Coverage:
    """Coverage of the decoder's sigma on hidden Sentinel-2 measurements that are truly clear, 10 m, all bands.

    Parameters
    ----------
    scene
        A simulated scene, whose true cloud is known.
    model
        The embedder.
    gap_days
        Each hidden date hides all Sentinel-2 within so many days of it.
    """
    coarse, grid = ClearReflectance.from_scene(scene), target_grid(scene)
    days = coarse.day[coarse.hidden()]
    if not len(days):
        return Coverage(*np.zeros((2, len(DISTANCES)), int))
    # The protocol of evaluation chooses the dates; here each is scored on 10 m and against the true cloud mask.
    hidden = reconstruct.Hidden("s2", tuple(int(d) for d in days), gap_days)
    series = read_acquisitions(scene, S2, grid, slice(0, grid.ny), slice(0, grid.nx))
    left, hidden_series = (
        series.select(hidden.keep("s2", series.day)),
        series.select(np.isin(series.day, days)),
    )
    predicted = reconstruct.reconstruct_hidden(scene, model, hidden)
    # By what the simulator knows: a target under a cloud that the mask missed would be scored as an error of sigma.
    cloudy = scene["s2"]["cloud_truth"].values[np.isin(to_epoch_day(scene["s2"]["time"].values), days)]
    clear = hidden_series.valid & ~cloudy
    error = np.where(clear[:, None], hidden_series.values - predicted["reflectance"].values, np.nan)
    # (date, acquisition left, 1, 1) distances; then per pixel to the nearest one that was valid there.
    offset_days = np.abs(left.day - days[:, None])[:, :, None, None]
    # A pixel without any valid acquisition left counts among the farthest.
    none = DISTANCES["21+"][1]
    distance = np.where(left.valid[None], offset_days, none).min(1, initial=none)
    return Coverage.from_errors(error, predicted["reflectance_sigma"].values, distance)


def evaluate(
    model: Embedder, size_px: int = SIZE_PX, landscapes: int = LANDSCAPES
) -> Steps[tuple[dict[str, float], str]]:
    """Simulate landscapes, embed them, and score probes and sigma.

    Parameters
    ----------
    model
        The embedder.
    size_px
        Side length of a landscape, pixels of 10 m.
    landscapes
        Landscapes per place.

    Returns
    -------
    Flat object of numbers, and their tables as text; yields progress.
    """
    scenes = yield from simulate_held_out(size_px, landscapes)
    samples, counted = [], Coverage(*np.zeros((2, len(DISTANCES)), int))
    for i, (name, scene) in enumerate(scenes.items()):
        yield f"embedding {name}", i / len(scenes)
        samples.append(sample(scene, model, i))
        # Without gaps most hidden dates have a neighbour within five days; gaps fill the classes further away.
        for gap_days in (0, HIDDEN_GAP_DAYS):
            counted += coverage(scene, model, gap_days)
    rows = {name: np.concatenate([s[name] for s in samples]) for name in samples[0]}
    # (row,) landscape of each row; landscapes of one place follow each other.
    landscape = np.repeat(np.arange(len(samples)), [len(s["lai"]) for s in samples])
    yield "probing", 1.0
    numbers, lines = probe(rows, landscape, landscape // landscapes)
    shares = counted.shares()
    numbers |= {f"sigma_inside_{name}": share for name, share in shares.items()}
    listed = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    protocol = Protocol(
        data=f"{len(scenes)} simulated landscapes of {size_px} px and one year at {len(scenes) // landscapes} places,"
        " none of them trained on",
        split="probes fitted on the other landscapes, or on those of the other places",
        baselines="the same probes of Sentinel-2 and Sentinel-1, interpolated linearly in time (bands)",
        weights=describe_weights(model),
    )
    return protocol.attach(
        numbers,
        "\n".join(
            [
                *lines,
                "",
                "share of hidden clear Sentinel-2 measurements inside the 90 % band, by days to the nearest one left:",
                listed,
            ]
        ),
    )


def probe(rows: Sampled, landscape: np.ndarray, place: np.ndarray) -> tuple[dict[str, float], list[str]]:
    """R2 (1 - SSE/SST) of every variable, kind of day and representation.

    Parameters
    ----------
    rows
        Pixel-days of all landscapes.
    landscape, place
        (row,) the landscape and the place of each row; first landscapes, then whole places are left out.

    Returns
    -------
    Numbers with keys ``SPLIT_INPUT_VARIABLE_DAYS_r2``, and the lines of their tables.
    """
    inputs = prefixes("embedding", rows["embedding"]) | {n: rows[n] for n in ("past only", "bands")}
    lines = [
        f"R2 of linear probes; far: more than {FAR_DAYS} days from clear S2, warm: above {WARM_DEGC:g} degC;"
    ]
    lines += ["bands: those of S2 and S1, interpolated linearly in time"]
    numbers: dict[str, float] = {}
    # Left-out landscapes share climate with some of the training set; left-out places share nothing but the simulator.
    for split, fold in (("landscape", landscape), ("place", place)):
        lines += ["", f"{split + ' left out':24}" + "".join(f"{n:>14}" for n in (*inputs, "rows"))]
        for variable, is_observable in VARIABLES.items():
            # One probe per variable, fitted on all days and scored by kind of day: the days differ, not the probe.
            use = is_observable(rows)
            truth = rows[variable][use]
            predicted = {n: ridge(x[use], truth, landscape[use], fold[use]) for n, x in inputs.items()}
            for day, is_kind in DAYS.items():
                at = is_kind(rows)[use]
                r2 = {name: metrics.nse(truth[at], values[at]) for name, values in predicted.items()}
                for name, value in r2.items():
                    numbers[f"{split}_{name.replace(' ', '_')}_{variable}_{day}_r2"] = value
                label = f"{variable} {day}".replace("_", " ")
                lines.append(f"{label:24}" + "".join(f"{v:14.3f}" for v in r2.values()) + f"{at.sum():14}")
                numbers[f"{variable}_{day}_rows"] = int(at.sum())
    return numbers, lines
