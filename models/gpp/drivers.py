"""Drivers of daily GPP beside the embedding: their names, their order, and how each is scaled to about -2..2.

``embeddings`` scales physical values with ``NORMALISATIONS[name].normalise``; the head takes the same constants to get
physical values back (``denormalise``) for the P-model. Index arrays are made from names, never written as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Values = TypeVar("Values")

PAR_MOL_PER_J = 2.04e-6
"""Photosynthetic photons per energy of shortwave radiation, mol J-1 (Meek et al. 1984)."""
PHOTONS = 86400 * PAR_MOL_PER_J
"""Photosynthetic photons per day and daily mean shortwave radiation, mol m-2 d-1 per W m-2."""
COVERAGE = 0.90
"""Share of measurements that the band of a prediction holds."""
NORMAL_90 = 1.6449
"""Half width of the central 90 % interval of a normal distribution, in standard deviations."""
LEAST_CLEAR_SKY = 20.0
"""W m-2: floor of clear-sky radiation where light is divided by it, since in the polar night it is 0."""

WEATHER_DRIVERS = (
    "tair",
    "tair_recent",
    "vpd",
    "vpd_recent",
    "wet_thin",
    "wet_full",
    "day_length",
    "clear_sky",
    "no_tair",
    "no_vpd",
    "no_rain",
    "no_sw",
)
"""Drivers that all pixels of a place share: temperature and vapour pressure deficit of the day and of the recent past,
relative soil water under thin and under full cover (``wet_*``), day length, clear-sky radiation, and flags that are 1
where the weather is missing (``no_*``)."""
PIXEL_DRIVERS = ("gap", "sigma")
"""Drivers that differ between pixels: time to the nearest acquisition, and expected error of the embedding."""
DRIVERS = (*WEATHER_DRIVERS, *PIXEL_DRIVERS)
"""All drivers in the order of the inputs of the shipped weights."""


def driver_indices(*names: str) -> list[int]:
    """Positions of drivers along the driver axis.

    Parameters
    ----------
    names
        Names out of ``DRIVERS``.

    Returns
    -------
    list of int
        One position per name, in the order asked.
    """
    # An unknown name raises here, at import, and not as a wrong column of a prediction.
    return [DRIVERS.index(name) for name in names]


TEMPERATURE = driver_indices("tair", "tair_recent")
"""Inputs of the frost factor."""
PMODEL_DRIVERS = driver_indices("tair", "tair_recent", "vpd", "vpd_recent", "day_length", "clear_sky")
"""Drivers that act through the P-model and the frost factor alone; the network takes them only where temperature or
vapour pressure deficit is missing, since the season is then the best substitute."""
PMODEL_MISSING = driver_indices("no_tair", "no_vpd")
"""Flags that say that the P-model lacks an input."""
SOIL_WATER = driver_indices("wet_thin", "wet_full")
PIXEL = driver_indices(*PIXEL_DRIVERS)


@dataclass(frozen=True)
class Normalisation:
    """Affine scaling of one driver, after ``log(1 + x)`` where ``log1p`` is set.

    Parameters
    ----------
    unit
        Unit of the physical value.
    centre, scale
        Subtracted, then divided by; in ``unit``, or in log units with ``log1p``.
    log1p
        Whether the logarithm of one plus the value is scaled, for skewed non-negative drivers.
    """

    unit: str
    centre: float
    scale: float
    log1p: bool = False

    def normalise(self, value: Values) -> Values:
        """Scale physical values.

        Parameters
        ----------
        value
            NumPy array in ``unit``, any shape; not negative with ``log1p``.

        Returns
        -------
        array
            The same shape, about -2..2.
        """
        # The logarithm first: VPD is skewed, and its scaled values would reach far beyond 2.
        return ((np.log1p(value) if self.log1p else value) - self.centre) / self.scale

    def denormalise(self, value: Values) -> Values:
        """Undo ``normalise``.

        Parameters
        ----------
        value
            NumPy array or tensor as ``normalise`` made it, any shape.

        Returns
        -------
        array or tensor
            The same shape, in ``unit``.
        """
        # The same constants as above, so that the two directions cannot drift apart.
        scaled = self.scale * value + self.centre
        if not self.log1p:
            return scaled
        # exp(x) - 1 and not expm1(x): the shipped GPP was made with the former, and differs in the last bit.
        return (np.exp(scaled) if isinstance(scaled, np.ndarray) else scaled.exp()) - 1


NORMALISATIONS = {
    "tair": Normalisation("degC", 10.0, 10.0),
    "tair_recent": Normalisation("degC", 10.0, 10.0),
    "vpd": Normalisation("hPa", 1.8, 1.0, log1p=True),
    "vpd_recent": Normalisation("hPa", 1.8, 1.0, log1p=True),
    "day_length": Normalisation("h", 12.0, 3.0),
    "clear_sky": Normalisation("W m-2", 220.0, 90.0),
}
"""Round numbers near mean and standard deviation over European vegetation; part of the shipped weights."""
