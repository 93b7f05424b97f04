"""Realism of the simulator: statistics of measured and simulated scenes, and a classifier two-sample test.

Both kinds of scenes are read the same way (mask, 20 m grid) and described by the same statistics. No model is trained
on anything computed here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.evaluation.classifier_test import classify
from fluxlens.embeddings.evaluation.scene_statistics import SceneSample, pixels, statistics
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.simulate import random_request, random_scene
from fluxlens.embeddings.simulate.scene import Request
from fluxlens.embeddings.training.simulated import FIRST_SEED, SIMULATED_SIZE_PX
from fluxlens.models.errors import InputError

LANDSCAPES = 24

LATITUDE_BAND_DEG = 5.0
"""A landscape lies in a cube's climate band when its latitude is this near."""

SEEDS = 400
"""How far the training seeds are searched for landscapes of the band."""


def landscapes(latitudes: list[float], number: int = LANDSCAPES) -> list[Request]:
    """The first training landscapes in the climate band of measured scenes.

    Parameters
    ----------
    latitudes
        Of the measured scenes, degrees.
    number
        Most landscapes to return.

    Raises
    ------
    InputError
        If fewer than two landscapes lie near.
    """
    drawn = (random_request(seed, SIMULATED_SIZE_PX) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS))
    # Same climate band: differences are then of the simulator, not of geography.
    near = [r for r in drawn if min(abs(r.lat - lat) for lat in latitudes) <= LATITUDE_BAND_DEG]
    if len(near) < 2:
        raise InputError(
            f"Got scenes at latitude {', '.join(f'{lat:.1f}' for lat in latitudes)}, need one within"
            f" {LATITUDE_BAND_DEG:g} degrees of a simulated landscape; the simulator has none there."
        )
    return near[:number]


def compare(scenes: dict[str, xr.DataTree], number: int = LANDSCAPES) -> Steps[dict]:
    """Compare measured scenes with simulated landscapes of their climate band.

    Parameters
    ----------
    scenes
        Measured scenes by name.
    number
        Most landscapes to simulate.

    Returns
    -------
    Flat result, which ``report`` shows as a table; yields progress.
    """
    measured, latitudes = {}, []
    for name, scene in scenes.items():
        yield f"reading {name}", 0.0
        measured[name] = SceneSample.from_scene(scene)
        grid = target_grid(scene)
        # Landscapes are simulated at the latitudes of the scenes: sun and season must match, or they alone would tell.
        latitudes.append(float(grid.lonlat(grid.x.mean(), grid.y.mean())[1]))
    # One landscape in memory at a time; of each only its statistics and sampled pixels are kept.
    requests = landscapes(latitudes, number)
    simulated, rows = [], []
    for k, request in enumerate(requests):
        yield f"simulating landscape {request.seed}", k / len(requests)
        scene_sample = SceneSample.from_scene(random_scene(request.seed, SIMULATED_SIZE_PX))
        rows.append(pixels(scene_sample))
        simulated.append(statistics(scene_sample, rows[-1]))
    yield "classifier two-sample test", 1.0
    real = {name: pixels(scene_sample) for name, scene_sample in measured.items()}
    table = pd.DataFrame(
        {name: statistics(scene_sample, real[name]) for name, scene_sample in measured.items()}
    )
    table = table.join(summary(pd.DataFrame(simulated)), how="left")
    table["gap"] = gap(table, list(measured))
    result = {
        "data": f"measured: {', '.join(measured)}; simulated: {len(rows)} landscapes of training",
        "split": "the classifier is tested on a scene that it has not seen",
        "baselines": "quantiles over the simulated landscapes; one of them taken for measured (null)",
        "scenes": list(measured),
        "landscapes": len(rows),
        "seeds": [r.seed for r in requests],
    }
    # The classifier is tested on a scene that it has not seen, which takes two.
    if len(measured) > 1:
        result |= classify(list(real.values()), rows)
    return result | {
        f"{row}.{column}": table.at[row, column] for row in table.index for column in table.columns
    }


def summary(simulated: pd.DataFrame) -> pd.DataFrame:
    """Quantiles over landscapes of each statistic; ``simulated`` (landscape, statistic)."""
    return simulated.quantile([0.05, 0.16, 0.5, 0.84, 0.95]).T.set_axis(
        ["simulated_q05", "simulated_q16", "simulated_q50", "simulated_q84", "simulated_q95"], axis=1
    )


def gap(table: pd.DataFrame, scenes: list[str]) -> pd.Series:
    """Distance of the nearest measured scene from the simulated median, in standard deviations over landscapes.

    Parameters
    ----------
    table
        A row per statistic; measured scenes and ``simulated_q16``, ``_q50``, ``_q84`` as columns.
    scenes
        Columns of the measured scenes.

    Returns
    -------
    (statistic,) 0 where measured scenes lie on both sides of the median.
    """
    # Half the 16-84 % range is one standard deviation of a normal distribution.
    spread = (table["simulated_q84"] - table["simulated_q16"]) / 2
    z = table[scenes].sub(table["simulated_q50"], axis=0).div(spread.clip(lower=1e-6), axis=0)
    low, high = z.min(axis=1), z.max(axis=1)
    # Positive where all lie above, negative where all lie below, 0 where they straddle.
    return low.clip(lower=0) + high.clip(upper=0)


def report(result: dict, most: int = 25) -> str:
    """The result as a table of text.

    Parameters
    ----------
    result
        What ``compare`` returns.
    most
        Most lines of what differs most.
    """
    scenes = result["scenes"]
    columns = [*scenes, "simulated_q05", "simulated_q50", "simulated_q95", "gap"]
    names = [key.removesuffix(".gap") for key in result if key.endswith(".gap")]
    head = f"{'':<44}" + "".join(f"{column.removeprefix('simulated_'):>18}" for column in columns)

    def line(name: str) -> str:
        cells = (float(result[f"{name}.{column}"]) for column in columns)
        return f"{name:<44}" + "".join(f"{'' if np.isnan(v) else format(v, '.4g'):>18}" for v in cells)

    lines = [
        *(f"{name + ':':11}{result[name]}" for name in ("data", "split", "baselines")),
        "",
        f"measured beside {result['landscapes']} simulated landscapes (their 5, 50 and 95 % quantiles)",
        head,
    ]
    lines += [line(name) for name in names]
    # ``gap`` is signed: too high and too low are equally wrong.
    worst = sorted(
        (n for n in names if np.isfinite(result[f"{n}.gap"])), key=lambda n: -abs(result[f"{n}.gap"])
    )
    lines += ["", "what differs most", head, *(line(name) for name in worst[:most])]
    if "balanced_accuracy" in result:
        auc = {k.removeprefix("auc "): v for k, v in result.items() if k.startswith("auc ")}
        # 0.5 is chance, and an AUC below it tells the two apart as well as one above.
        largest = sorted(auc, key=lambda name: -abs(auc[name] - 0.5))[:most]
        lines += [
            "",
            f"a classifier tells measured pixels from simulated ones with balanced accuracy"
            f" {result['balanced_accuracy']:.2f} on scenes it has not seen; null (simulated taken for measured):"
            f" {result['balanced_accuracy_posing']:.2f}, at most {result['balanced_accuracy_posing_q95']:.2f} in 95 %",
            "AUC of single statistics: " + ", ".join(f"{name} {auc[name]:.2f}" for name in largest),
        ]
    return "\n".join(lines)
