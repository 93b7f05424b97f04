"""Random fields defined everywhere in the plane (sums of plane waves), and random series in time."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PlaneWaves:
    """A smooth, roughly Gaussian field of mean 0 and standard deviation 1 over the plane."""

    kx: np.ndarray
    """Wave numbers eastward, radians per metre."""
    ky: np.ndarray
    phase: np.ndarray
    """Radians."""
    amplitude: np.ndarray

    @classmethod
    def draw(
        cls, rng: np.random.Generator, short_m: float, long_m: float, slope: float = 1.0, n: int = 48
    ) -> "PlaneWaves":
        """Draw ``n`` waves of random direction and phase.

        Parameters
        ----------
        rng
            Random stream; three rows of ``n`` numbers are drawn.
        short_m, long_m
            Bounds of the wavelengths, metres, drawn uniformly in the logarithm.
        slope
            Amplitude grows with wavelength to this power.
        n
            Number of waves.
        """
        length = short_m * (long_m / short_m) ** rng.random(n)
        angle = rng.random(n) * 2 * np.pi
        k = 2 * np.pi / length
        amplitude = length**slope
        # A cosine has variance 1/2: waves of any number add up to variance 1.
        amplitude *= np.sqrt(2 / (amplitude**2).sum())
        return cls(k * np.cos(angle), k * np.sin(angle), rng.random(n) * 2 * np.pi, amplitude)

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values of the field on a grid.

        Parameters
        ----------
        x, y
            Axes of the grid, metres.

        Returns
        -------
        (y, x) float32.
        """
        # cos(kx x + ky y + phase) is the real part of a product of one factor per axis: one matrix product over all
        # waves instead of n whole grids.
        east = np.exp(1j * np.outer(self.kx, x))
        north = self.amplitude[:, None] * np.exp(1j * (np.outer(self.ky, y) + self.phase[:, None]))
        return (north.real.T @ east.real - north.imag.T @ east.imag).astype(np.float32)


def smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 where ``value`` (any shape and units) is below ``low``, 1 above ``high``, Hermite's cubic between them."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def autoregressive(rng: np.random.Generator, days: int, memory_days: float) -> np.ndarray:
    """First-order autoregressive series, mean 0, standard deviation 1.

    Parameters
    ----------
    rng
        Random stream.
    days
        Length of the series.
    memory_days
        Time in which the correlation falls to 1/e.

    Returns
    -------
    (day,) float64.
    """
    keep = np.exp(-1 / memory_days)
    # Scaled so that the series keeps standard deviation 1 whatever its memory.
    shock = rng.standard_normal(days) * np.sqrt(1 - keep**2)
    out = np.empty(days)
    out[0] = rng.standard_normal()
    for day in range(1, days):
        out[day] = keep * out[day - 1] + shock[day]
    return out
