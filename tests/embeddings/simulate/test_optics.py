"""Noise and mask of simulated Sentinel-2, beside what the instrument and its mask are known for."""

import numpy as np
import pytest
from fluxlens.embeddings.simulate import optics
from fluxlens.embeddings.simulate.canopy import BANDS


def atmosphere(side: int, thick: float = 0.0, shadow: float = 0.0) -> optics.Atmosphere:
    flat = np.zeros((side, side))
    return optics.Atmosphere(flat + thick, flat + shadow, flat)


def observed(level: float, air: optics.Atmosphere, seed: int) -> tuple[np.ndarray, ...]:
    surface = np.full((*air.cloud_thickness.shape, len(BANDS)), level, np.float32)
    return optics.observe(np.random.default_rng(seed), surface, air, 0.0, 1.0)


@pytest.mark.parametrize("level", [0.1, 0.3])
def test_signal_to_noise_keeps_the_requirement_with_a_margin(level):
    image, _, _ = observed(level, atmosphere(64), 0)
    ratio = image.mean((0, 1)) / image[::2, ::2].std((0, 1))
    assert (ratio > 70).all()
    assert (ratio < 300).all()
    ten = np.array([band.native_m == 10 for band in BANDS.values()])
    assert ratio[ten].mean() > ratio[~ten].mean()


def test_thick_cloud_is_always_found_shadow_on_some_dates_only():
    found = [observed(0.3, atmosphere(8, thick=20.0), seed)[1].mean() for seed in range(40)]
    assert max(found) == 0
    missed = [observed(0.1, atmosphere(8, shadow=0.5), seed)[1].mean() for seed in range(200)]
    assert 0.4 < np.mean(missed) < 0.75
