"""Scenes packed for training: integers with a mask, and the true land state of simulated scenes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.scenes.acquisitions import AcquisitionSeries, read_acquisitions, to_epoch_day
from fluxlens.models.decoder import LAND
from fluxlens.models.sensors import SENSORS, SensorSpec

LAND_STEPS = (0.002, 1e-4, 0.01, 1e-4)
"""Quantisation step of each variable of ``models.decoder.LAND``, in its unit."""

LEAFY, BARE = 0.5, 1.0
"""Leaf area, m2 m-2: from here on leaves can be green, and up to here the radar sees the soil."""


@dataclass(frozen=True)
class PackedScene:
    """One scene as compact integers, ready to be cut into samples."""

    id: str
    steps: dict[str, np.ndarray]
    """Per sensor (time, band, y, x) int16 in units of ``quantisation_step``; ``MISSING`` = not measured."""
    valid: dict[str, np.ndarray]
    """Per sensor (time, y, x) bool by the product's mask, the only mask that the networks ever see."""
    target_valid: dict[str, np.ndarray]
    """Fit to be a target: by the mask, and where it is known (simulated scenes) truly free of cloud."""
    day: dict[str, np.ndarray]
    """Per sensor (time,) days since 1970-01-01."""
    land: dict[str, np.ndarray] = field(default_factory=dict)
    """True state of a simulated land: ``state`` (time, variable, y, x) int16 in ``LAND_STEPS``, and its ``day``."""

    MISSING = np.int16(-32768)

    @classmethod
    def from_scene(cls, scene: xr.DataTree, sensors: tuple[str, ...] = ("s2", "s1")) -> PackedScene:
        """Read and pack a whole scene on the 10 m grid.

        Parameters
        ----------
        scene
            As ``embeddings.scenes.schema`` describes it.
        sensors
            Names of the sensors to read; those that the scene lacks are left out.
        """
        grid = target_grid(scene)
        rows, cols = slice(0, grid.ny), slice(0, grid.nx)
        steps, valid, target_valid, day = {}, {}, {}, {}
        for name in sensors:
            spec = SENSORS[name]
            series = read_acquisitions(scene, spec, grid, rows, cols)
            if series is None:
                continue
            # Half the memory of float32; reflectance products come in these steps, and 0.01 dB is far below speckle.
            scaled = np.round(series.values / quantisation_step(spec))
            steps[name] = np.where(np.isnan(scaled), cls.MISSING, scaled).astype(np.int16)
            valid[name], day[name] = series.valid, series.day
            target_valid[name] = _target_valid(scene, name, series)
        return cls(str(scene.attrs.get("id", "")), steps, valid, target_valid, day)

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x) of the 10 m grid."""
        return next(iter(self.valid.values())).shape[1:]

    def values(self, name: str, where: tuple) -> np.ndarray:
        """Physical values of a part of one sensor's series.

        Parameters
        ----------
        name
            The sensor.
        where
            Index into (time, band, y, x).

        Returns
        -------
        float32 in the sensor's unit; NaN where missing.
        """
        # The mark is compared as an integer, before it is multiplied: as a float it would be a value of -3.2768.
        steps = self.steps[name][where]
        return np.where(
            steps == self.MISSING, np.nan, steps * np.float32(quantisation_step(SENSORS[name]))
        ).astype(np.float32)


def pack_land_state(scene: xr.DataTree) -> dict[str, np.ndarray]:
    """The true state of a simulated scene as ``PackedScene.land`` holds it.

    Only what satellites can show is kept: chlorophyll where there are leaves, soil moisture where the radar sees soil.

    Parameters
    ----------
    scene
        A simulated scene with ``/truth``.

    Returns
    -------
    dict
        ``state`` (time, variable, y, x) int16 in steps of ``LAND_STEPS``, and ``day`` (time,), days since 1970-01-01.
    """
    truth = scene["truth"]
    lai, moisture = truth["lai"].values, truth["soil_moisture"].values
    observable = {
        "chlorophyll": lai >= LEAFY,
        "soil_moisture": (lai < BARE) & (moisture < 1),  # open water is stored as 1
    }
    variables = [
        np.where(observable.get(name, True), np.round(truth[name].values / step), PackedScene.MISSING)
        for name, step in zip(LAND, LAND_STEPS, strict=True)
    ]
    return {"state": np.stack(variables, 1).astype(np.int16), "day": to_epoch_day(truth["time"].values)}


def quantisation_step(spec: SensorSpec) -> float:
    """One integer step in the unit of the sensor ``spec``: 1e-4 of reflectance, as products deliver it; 0.01 dB."""
    return 1e-4 if spec.unit == "1" else 1e-2


def _target_valid(scene: xr.DataTree, name: str, series: AcquisitionSeries) -> np.ndarray:
    """(time, y, x) targets: clear by the mask on mostly clear dates, or truly free of cloud where that is known."""
    if SENSORS[name].unit == "dB":
        return series.valid
    # On dates with more cloud than half the mask misses too much to learn from.
    target_valid = series.valid & (series.valid.mean((1, 2)) >= 0.5)[:, None, None]
    node = scene[name]
    if "cloud_truth" in node and node["cloud_truth"].shape == target_valid.shape:
        # The simulator knows its clouds. What is shown keeps the mask's mistakes all the same.
        target_valid = series.valid & ~node["cloud_truth"].values.astype(bool)
    return target_valid
