"""Sensors: bands, units, scaling and native resolution, one frozen ``SensorSpec`` each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class SensorSpec:
    """Facts of one sensor as the networks see it.

    A new sensor is one more ``SensorSpec`` and a ``fluxlens train sensor NAME``; the others stay untouched. The fields
    enter the digest in every weight file.

    Parameters
    ----------
    name
        Node of the scene that carries it: ``s2``, ``s1``, ``landsat8``.
    variable
        Variable inside the node: ``reflectance`` or ``backscatter``.
    unit
        ``1`` or ``dB``.
    bands
        Names, in the order of the channels.
    centre, spread
        Per band, in ``unit``: subtracted, then divided by before encoding; round numbers near mean and standard
        deviation over European land.
    error_scale
        In ``unit``: an error of this size counts one in the loss, the same for all bands.
    valid_range
        In ``unit``: values outside are treated as missing.
    native_m
        Native pixel size, m.
    token
        Length of the token that one acquisition leaves per pixel.
    width
        Channels inside the encoder.
    heads
        Kernels that the fusion has for it, each with its own width in time.

    Raises
    ------
    ValueError
        When bands, centres and spreads differ in number.
    """

    name: str
    variable: str
    unit: str
    bands: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    error_scale: float
    valid_range: tuple[float, float]
    native_m: int
    token: int
    width: int
    heads: int

    def __post_init__(self) -> None:
        if not len(self.bands) == len(self.centre) == len(self.spread):
            raise ValueError(
                f"{self.name} has {len(self.bands)} bands, {len(self.centre)} centres and {len(self.spread)} spreads;"
                " give one of each per band."
            )


# Band centres and native resolutions: ESA, Sentinel-2 MSI user guide. Scaling: round numbers near the mean and
# standard deviation of clear land over the year; they only condition the optimisation.
S2 = SensorSpec(
    name="s2",
    variable="reflectance",
    unit="1",
    bands=("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
    centre=(0.06, 0.09, 0.08, 0.13, 0.25, 0.30, 0.31, 0.33, 0.23, 0.15),
    spread=(0.04, 0.05, 0.06, 0.06, 0.10, 0.12, 0.13, 0.13, 0.09, 0.08),
    error_scale=0.05,
    valid_range=(-0.05, 2.0),
    native_m=10,
    token=24,
    width=32,
    heads=8,
)

HLS_BANDS = ("B02", "B03", "B04", "B8A", "B11", "B12")
"""Sentinel-2 bands of the six wavelengths that Harmonized Landsat Sentinel-2 (HLS) has from both satellites."""

VISIBLE_BANDS = ("B02", "B03", "B04")
"""Bands in which clear land is dark, and cloud, haze and snow are not: they tell missed cloud from land."""

# Backscatter of land in VV and VH: ESA, Sentinel-1 product specification; values in decibel.
S1 = SensorSpec(
    name="s1",
    variable="backscatter",
    unit="dB",
    bands=("VV", "VH"),
    centre=(-11.0, -18.0),
    spread=(4.0, 4.0),
    error_scale=2.0,
    valid_range=(-60.0, 30.0),
    native_m=20,
    token=8,
    width=16,
    heads=4,
)

# Blue, green, red, near and shortwave infrared of the Operational Land Imager: USGS, Landsat 8 Data Users Handbook.
L8 = SensorSpec(
    name="landsat8",
    variable="reflectance",
    unit="1",
    bands=("L2", "L3", "L4", "L5", "L6", "L7"),
    centre=(0.05, 0.08, 0.07, 0.30, 0.21, 0.13),
    spread=(0.04, 0.05, 0.06, 0.12, 0.08, 0.07),
    error_scale=0.05,
    valid_range=(-0.05, 2.0),
    native_m=30,
    token=16,
    width=24,
    heads=4,
)

SENSORS: dict[str, SensorSpec] = {spec.name: spec for spec in (S2, S1, L8)}


def digest(specs: dict[str, SensorSpec]) -> str:
    """Digest of the sensor facts a model was trained with.

    Parameters
    ----------
    specs
        Facts by name; their order does not matter.

    Returns
    -------
    str
        16 hex digits.
    """
    # Sorted on both levels, so that neither the order of sensors nor of fields changes the digest.
    text = json.dumps({name: asdict(spec) for name, spec in sorted(specs.items())}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
