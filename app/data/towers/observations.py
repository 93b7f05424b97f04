"""What a flux tower measured, and where it is in the scene."""

import math
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.scene import SceneData

PARTITIONING_LABELS = {"gpp_nt": "Night-time", "gpp_dt": "Day-time"}
"""Partitionings of net exchange into GPP, as they are called on screen."""
NEAR_TOWER_M = 500
"""A pixel farther from a tower than this is compared with it only with a note of the distance."""


class TowerObservations:
    """The tower of a scene, or one that the user uploaded for a session.

    Parameters
    ----------
    scene : SceneData
        The scene; its own tower is used where none is uploaded.
    uploaded : xarray.Dataset, optional
        Daily ``gpp_nt`` and/or ``gpp_dt`` (gC m-2 d-1) and ``qc``; attrs ``lon``, ``lat`` and ``source``.
    wind : pandas.DataFrame, optional
        Half-hours of wind and turbulence, where the uploaded file has them.
    """

    def __init__(
        self, scene: SceneData, uploaded: xr.Dataset | None = None, wind: pd.DataFrame | None = None
    ):
        self.scene, self.wind, self._uploaded = scene, wind, uploaded
        self.uploaded_file = "" if uploaded is None else str(uploaded.attrs["source"])
        """Name of the uploaded file; empty for the scene's own tower."""

    @cached_property
    def dataset(self) -> xr.Dataset | None:
        """The tower's file with ``gpp_usual`` where it has several years; None where there is no tower."""
        # An upload takes the place of the scene's own tower: two at once could not be told apart on the charts.
        tower = self.scene.node("tower") if self._uploaded is None else self._uploaded
        if tower is None:
            return None
        tower = tower.assign(other_years_climatology(tower))
        # A node of a scene is lazy, and each chart would read it again; an upload is in memory.
        return tower.load() if self._uploaded is None else tower

    @property
    def fluxes(self) -> list[str]:
        """Partitionings of GPP that the tower has; keys of ``PARTITIONING_LABELS``."""
        return [name for name in PARTITIONING_LABELS if self.dataset is not None and name in self.dataset]

    @cached_property
    def xy(self) -> tuple[float, float] | None:
        """(x, y) of the tower in metres of the scene's CRS, or None where it is not known."""
        if self.dataset is None or not {"lon", "lat"} <= set(self.dataset.attrs):
            return None
        x, y = self.scene.grid.xy(float(self.dataset.attrs["lon"]), float(self.dataset.attrs["lat"]))
        return float(x), float(y)

    @cached_property
    def start_pixel(self) -> tuple[int, int]:
        """(row, col) shown first: the pixel nearest to the tower, else the middle of the scene."""
        grid = self.scene.grid
        if self.xy is None:
            return grid.ny // 2, grid.nx // 2
        # Nearest and not by division: a tower outside of the scene still gives a pixel at its edge.
        col = int(np.abs(grid.x - self.xy[0]).argmin())
        row = int(np.abs(grid.y - self.xy[1]).argmin())
        return row, col

    def distance_m(self, row: int, col: int) -> float | None:
        """Distance in metres of the pixel (row, col) from the tower; None where there is no tower."""
        if self.xy is None:
            return None
        x, y = self.scene.centre(row, col)
        return math.hypot(x - self.xy[0], y - self.xy[1])


def other_years_climatology(tower: xr.Dataset) -> dict[str, xr.DataArray]:
    """``gpp_usual``: for each year the day-of-year climatology of the tower's *other* years.

    Parameters
    ----------
    tower : xarray.Dataset
        With ``gpp_nt`` (time).

    Returns
    -------
    dict
        Empty with values in a single year, or without ``gpp_nt``.
    """
    from fluxlens.embeddings.climatology import leave_year_out_climatology

    # One year has no other year: there is nothing to compare with.
    if "gpp_nt" not in tower or len(np.unique(tower.gpp_nt.dropna("time").time.dt.year)) < 2:
        return {}
    return {"gpp_usual": leave_year_out_climatology(tower.gpp_nt)}
