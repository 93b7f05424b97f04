"""The scene contract: the nodes, variables, dims and units a scene has, checked with advice.

A scene is an ``xr.DataTree`` with one node per sensor, each on its own regular north-up grid (pixel
centres in metres, one projected CRS for all nodes) and with its own strictly increasing UTC times. ``NODES``
is the whole contract as frozen facts; ``validate`` holds a scene against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings.variables import Variable

S2_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")

S2_BANDS_10M = ("B02", "B03", "B04", "B08")

S2_BANDS_20M = ("B05", "B06", "B07", "B8A", "B11", "B12")

S1_BANDS = ("VV", "VH")

L8_BANDS = ("L2", "L3", "L4", "L5", "L6", "L7")

ORBITS = ("ascending", "descending")

CUBE = ("time", "band", "y", "x")

MAPS = ("time", "y", "x")

SERIES = ("time",)


@dataclass(frozen=True)
class SceneVariable(Variable):
    """One variable of a node: what CF says of it, and what :func:`validate` checks."""

    dims: tuple[str, ...] = ()
    kind: str = "f"
    """numpy dtype kind: f float, b bool, i integer."""
    required: bool = False
    low: float = -np.inf
    """Values below are not physical in these units."""
    high: float = np.inf
    """Values above are not physical in these units."""
    advice: str = ""
    """What to do when values are out of low..high."""
    step: float | None = None
    """Stored as int16 multiples of this; None: stored as it is."""


@dataclass(frozen=True)
class Node:
    """One node of a scene: a sensor, the weather, a tower or the simulator's truth."""

    name: str
    variables: tuple[SceneVariable, ...]
    bands: tuple[str, ...] = ()

    @property
    def gridded(self) -> bool:
        """Whether the node has pixels."""
        return any("x" in variable.dims for variable in self.variables)


_DN = (
    "it looks like digital numbers, divide by 10000 "
    "(and take the offset of 1000 off first if the processing baseline is 04.00 or later)"
)

# Bounds are wider than physics: they are to find wrong units and unmasked no-data values, not odd measurements.
# Sensors saturate near 2 in reflectance; corrected shadow may lie somewhat below 0.
_REFLECTANCE = SceneVariable(
    "reflectance",
    "1",
    "surface reflectance",
    dims=CUBE,
    required=True,
    # Below zero: corrected shadow and water.
    low=-0.5,
    high=2.5,
    advice=_DN,
    step=1e-4,
)

_CLEAR = SceneVariable(
    "clear",
    "1",
    "no cloud, shadow or snow, and data in all bands",
    flags="masked clear",
    dims=MAPS,
    kind="b",
    required=True,
)

_CLOUD_TRUTH = SceneVariable(
    "cloud_truth", "1", "cloud or shadow of the simulator", flags="clear clouded", dims=MAPS, kind="b"
)

# Each variable with the conversion its most frequent wrong unit needs.
_WEATHER = (
    SceneVariable(
        "sw_in",
        "W m-2",
        "incoming shortwave radiation",
        "surface_downwelling_shortwave_flux_in_air",
        dims=SERIES,
        low=-50,
        high=1000,
        advice="divide J m-2 d-1 by 86400",
    ),
    SceneVariable(
        "tair",
        "degC",
        "air temperature",
        "air_temperature",
        dims=SERIES,
        low=-95,
        high=65,
        advice="subtract 273.15 from kelvin, divide tenths by 10, mask codes for missing values",
    ),
    SceneVariable(
        "vpd",
        "hPa",
        "vapour pressure deficit",
        "water_vapor_saturation_deficit_in_air",
        dims=SERIES,
        low=-5,
        high=150,
        advice="divide Pa by 100 or multiply kPa by 10",
    ),
    SceneVariable(
        "precip",
        "mm d-1",
        "precipitation",
        dims=SERIES,
        low=-1,
        high=2000,
        advice="multiply kg m-2 s-1 by 86400",
    ),
)

# The CF standard name table has one name for GPP, whatever the partitioning.
_GPP_STANDARD_NAME = "gross_primary_productivity_of_biomass_expressed_as_carbon"

GPP_PARTITIONINGS = {"nt": "night-time partitioning", "dt": "day-time partitioning"}
"""Of measured net exchange into GPP and respiration: Reichstein et al. (2005), Lasslop et al. (2010)."""

GPP_PERCENTILES = ("05", "16", "25", "50", "75", "84", "95")
"""Of the GPP of FLUXNET2015 over its u* thresholds."""


def _tower_gpp(method: str, percentile: str = "") -> SceneVariable:
    """GPP measured at a tower by one partitioning, or a percentile of it over u* thresholds."""
    name = f"gpp_{method}" + (f"_{percentile}" if percentile else "")
    suffix = f", percentile {percentile} over u* thresholds" if percentile else ""
    long_name = f"gross primary production, {GPP_PARTITIONINGS[method]}{suffix}"
    return SceneVariable(name, "gC m-2 d-1", long_name, _GPP_STANDARD_NAME, dims=SERIES)


NODES: dict[str, Node] = {
    node.name: node
    for node in (
        Node("s2", (_REFLECTANCE, _CLEAR, _CLOUD_TRUTH), S2_BANDS),
        Node(
            "s1",
            (
                SceneVariable(
                    "backscatter",
                    "dB",
                    "backscatter",
                    dims=CUBE,
                    required=True,
                    low=-100,
                    high=60,
                    advice="it looks like scaled integers, bring it to decibel",
                ),
            ),
            S1_BANDS,
        ),
        Node("landsat8", (_REFLECTANCE, _CLEAR, _CLOUD_TRUTH), L8_BANDS),
        Node("weather", _WEATHER),
        Node(
            "tower",
            (
                *(_tower_gpp(method) for method in GPP_PARTITIONINGS),
                # Percentiles over u* thresholds are the structural uncertainty of the partitioning.
                *(_tower_gpp(method, p) for method in GPP_PARTITIONINGS for p in GPP_PERCENTILES),
                SceneVariable(
                    "qc",
                    "1",
                    "share of measured or well filled net exchange",
                    dims=SERIES,
                    low=0,
                    high=1,
                    advice="give the fraction of good data, 0-1",
                ),
                *_WEATHER,
            ),
        ),
        Node(
            "truth",
            (
                SceneVariable("lai", "m2 m-2", "leaf area index", "leaf_area_index", dims=MAPS, step=1e-3),
                SceneVariable(
                    "fapar",
                    "1",
                    "absorbed share of photosynthetically active radiation",
                    dims=MAPS,
                    step=1e-4,
                ),
                SceneVariable("chlorophyll", "ug cm-2", "leaf chlorophyll content", dims=MAPS, step=1e-2),
                SceneVariable("soil_moisture", "m3 m-3", "volumetric soil moisture", dims=MAPS, step=1e-4),
                SceneVariable(
                    "gpp", "gC m-2 d-1", "gross primary production", _GPP_STANDARD_NAME, dims=MAPS, step=2e-3
                ),
                SceneVariable("land_cover", "1", "land cover class", dims=("y", "x"), kind="i"),
            ),
        ),
    )
}

# At least one of these two must be in a scene; Landsat alone is no input yet.
SENSORS = ("s2", "s1")
"""Nodes of which a scene needs at least one."""

WEATHER = tuple(variable.name for variable in _WEATHER)


def units(node: str, name: str) -> str:
    """Units of a variable of the contract.

    Parameters
    ----------
    node, name
        Such as ``"weather", "vpd"``.

    Returns
    -------
    str
        Such as ``"hPa"``.
    """
    return next(variable.units for variable in NODES[node].variables if variable.name == name)


def utc_days(cube: xr.Dataset | xr.DataArray) -> np.ndarray:
    """UTC days of a cube's times.

    Parameters
    ----------
    cube
        With a coordinate ``time``.

    Returns
    -------
    numpy.ndarray
        datetime64[D] (time).
    """
    return cube["time"].values.astype("datetime64[D]")
