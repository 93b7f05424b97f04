"""Light-use efficiency of the P-model as a differentiable tensor function."""

from __future__ import annotations

from fluxlens.models.gpp.drivers import DRIVERS, NORMALISATIONS
from jaxtyping import Float
from torch import Tensor

CO2_PA = 415e-6 * 101_325
"""Ambient CO2 partial pressure: 415 ppm at sea level, Pa."""
GAS_CONSTANT = 8.314
"""J mol-1 K-1."""
BETA = 146
"""Ratio of the unit costs of carboxylation and transpiration at 25 degC (Wang et al. 2017; Stocker et al. 2020)."""
JMAX_COST = 0.41
"""Unit cost of electron transport capacity, c* (Wang et al. 2017)."""
CARBON_G_PER_MOL = 12.0107


def pmodel_lue(drivers: Float[Tensor, "*n w"]) -> Float[Tensor, "*n"]:
    """Light-use efficiency of C3 leaves acclimated to the recent weather.

    The P-model (Wang et al. 2017, doi:10.1038/s41477-017-0006-8) as Stocker et al. (2020,
    doi:10.5194/gmd-13-1545-2020, equations 4 to 17) write it, at sea level and 415 ppm CO2, with the quantum yield of
    Bernacchi et al. (2003) and the viscosity of water after Vogel. Within 0.2 % of pyrealm (tested); written
    here because the head must differentiate it and be called per pixel-day.

    Parameters
    ----------
    drivers
        Scaled drivers in the order of ``DRIVERS``; only ``tair_recent`` and ``vpd_recent`` count. Missing weather is
        0 and stands for a mild day: 10 degC, 5 hPa.

    Returns
    -------
    Tensor
        Light-use efficiency, gC per mol of absorbed photons, not negative.
    """
    # The recent means and not the day's values: leaves acclimate over weeks, and the P-model describes them acclimated.
    t = NORMALISATIONS["tair_recent"].denormalise(drivers[..., DRIVERS.index("tair_recent")])
    # Back to degC and hPa: the equations are in physical units.
    vpd_hpa = NORMALISATIONS["vpd_recent"].denormalise(drivers[..., DRIVERS.index("vpd_recent")])
    # Below 0 degC and above 42 degC the empirical functions leave their range; very dry or saturated air makes the
    # optimal ci:ca ratio numerically unstable.
    t = t.clamp(0, 42)
    vpd_pa = 100 * vpd_hpa.clamp(0.5, 60)

    # Arrhenius scaling from 25 degC of the photorespiratory compensation point and of the Michaelis-Menten
    # coefficient of Rubisco (Bernacchi et al. 2001), Pa.
    arrhenius = (t - 25) / (298.15 * GAS_CONSTANT * (t + 273.15))  # mol J-1
    gamma_star = 4.332 * (37_830 * arrhenius).exp()
    michaelis = 39.97 * (79_430 * arrhenius).exp() * (1 + 21_228 / (27_480 * (36_380 * arrhenius).exp()))
    # Viscosity of water relative to 25 degC, by the formula of Vogel: 10 to the power of 247.8 K / (T - 140 K).
    viscosity = 10 ** (247.8 / (t + 133.15) - 247.8 / 158.15)

    # CO2 limitation of light-limited assimilation at the optimal ci:ca (equation 11), then co-limitation by the cost
    # of electron transport (Wang et al. 2017). The ratio stays below one, whose root has no finite gradient.
    cost = 3 * gamma_star * (1.6 * viscosity * vpd_pa / (BETA * (michaelis + gamma_star))).sqrt()
    m = (CO2_PA - gamma_star) / (CO2_PA + 2 * gamma_star + cost)
    limited = m * (1 - (JMAX_COST / m).clamp(max=0.999) ** (2 / 3)).sqrt()
    # Quantum yield of photosystem II by temperature (Bernacchi et al. 2003); assimilating one CO2 takes eight photons.
    quantum_yield = ((0.352 + 0.022 * t - 0.00034 * t**2) / 8).clamp_min(0)  # mol CO2 per mol photons
    # gC per mol: mol CO2 per mol photons, times the limitation (unitless), times the molar mass.
    return CARBON_G_PER_MOL * quantum_yield * limited
