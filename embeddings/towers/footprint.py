"""What of the ground a tower sees: a disc around it, or its flux footprint, as weights on the grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.models.errors import InputError

KARMAN = 0.4

RADII_M = (10, 5000)

A, B, C, D = 1.452, -1.991, 1.462, 0.136
"""Along the wind, in scaled distance: F* = A (X* - D)^B exp(-C / (X* - D)) (Kljun et al. 2015, equations 14 and
17)."""

AC, BC, CC = 2.17, 1.66, 20.0
"""Across it: sigma_y* = AC (BC X*^2 / (1 + CC X*))^0.5 (equations 18 and 19)."""

LEAST_USTAR = 0.1
"""m s-1, below which the parameterisation is not valid."""

MOST_UNSTABLE = -15.5
"""Least height over Obukhov length for which it is valid."""

DEEP_M = 1500.0
"""Boundary layer of a convective day, where nothing better is known."""

STEPS_AT_MOST = 2000
"""Half-hours that tell a footprint climatology; more are thinned evenly."""

FINE = 3
"""Points per pixel and axis: near the tower a footprint changes within 10 m."""

BLOCK = 50
"""Half-hours evaluated together: bounded memory."""


@dataclass(frozen=True)
class Air:
    """Wind and turbulence of some half-hours at one tower; arrays of one shape, checked at birth."""

    height_m: float
    """Of the sensors above the displacement height (about the sensors' height less two thirds of the canopy's)."""
    wind_m_s: np.ndarray
    direction_deg: np.ndarray
    """Where the wind comes from, clockwise from north."""
    ustar_m_s: np.ndarray
    obukhov_m: np.ndarray
    sigma_v_m_s: np.ndarray
    """Standard deviation of the wind across its mean."""
    layer_m: np.ndarray
    """Height of the boundary layer."""

    def __post_init__(self) -> None:
        if not self.height_m > 0:
            raise InputError(
                f"Got a sensor {self.height_m:g} m above the displacement height, need more than 0; correct it."
            )

    @classmethod
    def from_turbulence(cls, turbulence: pd.DataFrame, height_m: float, lat: float) -> Air:
        """From ``towers.turbulence``; half-hours for which the footprint is not defined are left out.

        The layer is that of stable and neutral air (Kljun et al. 2015, appendix B), else 1500 m; where its variance
        was not measured the wind varies as above flat ground (Panofsky et al. 1977, doi:10.1007/BF02186086).
        """
        t = turbulence
        # Close to the equator the Coriolis parameter vanishes; a floor keeps the layer's height finite.
        stable, coriolis = t["obukhov"] > 0, max(abs(1.4584e-4 * np.sin(np.radians(lat))), 1e-5)
        over = 2.28 * t["ustar"] / (coriolis * t["obukhov"].where(stable))
        # Height of the boundary layer where it is not measured: Kljun et al. (2015), appendix B.
        layer = (t["obukhov"] / 3.8 * ((1 + over) ** 0.5 - 1)).where(stable, DEEP_M)
        layer = np.fmin(layer, 0.3 * t["ustar"] / coriolis).where(stable, DEEP_M)
        sigma_v = t["ustar"] * np.cbrt(12 + 0.5 * (layer / -t["obukhov"]).where(~stable, 0))
        # A measured spread of the crosswind is better than the estimate.
        sigma_v = t["sigma_v"].fillna(sigma_v) if "sigma_v" in t else sigma_v
        # Outside of these bounds the parameterisation was not fitted and is not used.
        defined = (t["ustar"] > LEAST_USTAR) & (height_m / t["obukhov"] > MOST_UNSTABLE)
        defined &= (layer > 1.2 * height_m) & (t["wind"] > 0) & t["direction"].notna()
        if not defined.any():
            raise InputError(
                f"Got {len(t)} half-hours without one of wind, direction, u* above {LEAST_USTAR} m s-1 and heat"
                " flux together, need some; use a radius."
            )
        columns = [column[defined].values for column in (t["wind"], t["direction"], t["ustar"], t["obukhov"])]
        return cls(height_m, *columns, sigma_v[defined].values, layer[defined].values)

    def take(self, rows: slice) -> Air:
        """Some of the half-hours."""
        arrays = [getattr(self, name)[rows] for name in list(self.__dataclass_fields__)[1:]]
        return Air(self.height_m, *arrays)

    @property
    def _stretch(self) -> np.ndarray:
        """Metres upwind per unit of X*."""
        return self.height_m * self.wind_m_s / self.ustar_m_s * KARMAN / (1 - self.height_m / self.layer_m)

    @property
    def peak_m(self) -> np.ndarray:
        """Distance upwind of the largest contribution, (time,), m (Kljun et al. 2015, equation 20)."""
        return (D - C / B) * self._stretch

    def along(self, x: np.ndarray) -> np.ndarray:
        """Crosswind-integrated footprint, m-1, at distances upwind (m); half-hours are the last dimension."""
        # Upwind distance in the scaled coordinate; behind the tower there is no source.
        t = np.maximum(x / self._stretch - D, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(t > 1e-3, A * t**B * np.exp(-C / t) / self._stretch, 0.0)

    def across(self, x: np.ndarray) -> np.ndarray:
        """Standard deviation of the footprint across the wind, m, at distances ``x`` upwind, any shape, m."""
        scaled = np.maximum(x / self._stretch, 1e-6)
        stability = np.maximum(np.abs(self.height_m / self.obukhov_m), 1e-9)
        # Scaling of the crosswind spread with stability, as published.
        scale = np.minimum(1, 1e-5 / stability + np.where(self.obukhov_m <= 0, 0.80, 0.55))
        spread = AC * np.sqrt(BC * scaled**2 / (1 + CC * scaled))
        return spread * self.height_m * self.sigma_v_m_s / (self.ustar_m_s * scale)

    def footprint(self, east: np.ndarray, north: np.ndarray) -> np.ndarray:
        """Mean footprint over the half-hours, m-2, at places ``east`` and ``north`` of the tower, any shape, m."""
        total = np.zeros(np.shape(east))
        count = len(self.wind_m_s)
        for first in range(0, count, BLOCK):
            block = self.take(slice(first, first + BLOCK))
            angle = np.radians(block.direction_deg)
            # (y, x, half-hour): each place in the coordinates of each half-hour's wind.
            upwind = east[..., None] * np.sin(angle) + north[..., None] * np.cos(angle)
            aside = east[..., None] * np.cos(angle) - north[..., None] * np.sin(angle)
            width = block.across(upwind)
            spread = np.exp(-0.5 * (aside / width) ** 2) / (np.sqrt(2 * np.pi) * width)
            total += (block.along(upwind) * spread).sum(-1)
        return total / count


def disc(grid: Grid, lon: float, lat: float, radius_m: float) -> xr.DataArray:
    """Equal weights (y, x) of the pixels whose centre lies within the radius, 1 in all, what is off the grid too."""
    if not RADII_M[0] <= radius_m <= RADII_M[1]:
        raise InputError(
            f"Got a radius of {radius_m:g} m, need {RADII_M[0]} to {RADII_M[1]}; choose another, such as 250."
        )
    grid.pixel(lon, lat)  # refuses a place off the grid
    x, y = (float(metres) for metres in grid.xy(lon, lat))
    steps = np.arange(-np.ceil(radius_m / grid.size_m) - 1, np.ceil(radius_m / grid.size_m) + 2) * grid.size_m
    row, col = np.abs(grid.y - y).argmin(), np.abs(grid.x - x).argmin()
    far = np.hypot(*np.meshgrid(grid.x[col] + steps - x, grid.y[row] + steps - y))
    # Divided by the pixels of a whole disc, so that the share outside of the scene is missing from the sum.
    inside = np.hypot(grid.x[None] - x, grid.y[:, None] - y) <= radius_m
    return _weights(grid, inside / (far <= radius_m).sum(), f"pixels within {radius_m:g} m")


def flux(grid: Grid, lon: float, lat: float, air: Air) -> xr.DataArray:
    """Weights (y, x) of a tower's mean flux footprint; they sum to the share of it that lies on the grid.

    FFP, the flux footprint prediction of Kljun et al. (2015, doi:10.5194/gmd-8-3695-2015).
    """
    grid.pixel(lon, lat)
    air = air.take(slice(None, None, -(-len(air.wind_m_s) // STEPS_AT_MOST)))
    x, y = (float(metres) for metres in grid.xy(lon, lat))
    up_x, up_y = (float(metres) for metres in grid.xy(lon, lat + 1e-3))
    # Wind directions are from true north; the grid's north differs by the meridian convergence.
    turn = np.arctan2(up_x - x, up_y - y)  # true north, clockwise from the grid's
    total = np.zeros(grid.shape)
    # Near the tower the footprint varies within a pixel: it is the mean of three by three places.
    for dx, dy in ((i, j) for i in range(FINE) for j in range(FINE)):
        offset = ((np.array([dx, dy]) + 0.5) / FINE - 0.5) * grid.size_m
        east, north = np.meshgrid(grid.x + offset[0] - x, grid.y + offset[1] - y)
        total += air.footprint(
            east * np.cos(turn) - north * np.sin(turn), east * np.sin(turn) + north * np.cos(turn)
        )
    long_name = (
        f"flux footprint (Kljun et al. 2015) of {len(air.wind_m_s)} half-hours, sensors at {air.height_m:g} m"
    )
    return _weights(grid, total * (grid.size_m / FINE) ** 2, long_name)


def weighted_mean(
    cube: xr.Dataset | xr.DataArray, weights: xr.DataArray
) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Mean and spread of what the weights see, and the share of them that lies on valid pixels of the cube.

    ``cube`` lies on the pixels of the weights, whatever its other dims; where it is NaN the rest counts.
    """
    cube = cube.to_dataset(name=cube.name or "value") if isinstance(cube, xr.DataArray) else cube
    weights = weights.assign_coords(y=cube["y"], x=cube["x"])
    valid = cube.notnull()
    # Missing pixels take no part; the rest is weighted to one.
    share = (weights * valid).sum(("y", "x"))
    mean = (weights * cube.fillna(0)).sum(("y", "x")) / share.where(share > 0)
    squared_deviation = ((cube - mean) ** 2).where(valid, 0)
    spread = np.sqrt((weights * squared_deviation).sum(("y", "x")) / share.where(share > 0))
    return mean, spread, share


def _weights(grid: Grid, values: np.ndarray, long_name: str) -> xr.DataArray:
    attrs = {"long_name": long_name, "units": "1"}
    return xr.DataArray(values, {"y": grid.y, "x": grid.x}, ("y", "x"), "weight", attrs)
