"""Meteorology is that of FAO-56, and agrees with other people's code where it computes the same."""

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings import meteorology


def test_saturation_is_that_of_pyrealm_with_the_constants_of_allen():
    from pyrealm.constants import CoreConst
    from pyrealm.core.hygro import calc_vp_sat

    tair = np.linspace(-30, 45, 301)
    theirs = calc_vp_sat(tair, CoreConst(magnus_option="Allen1998")) * 10  # kPa
    np.testing.assert_allclose(meteorology.saturation_vapour_pressure_hpa(tair), theirs, rtol=1e-14)


def test_the_deficit_of_the_worked_example_of_allen():
    """Allen et al. (1998), example 5: 24.5 and 15 degC, actual 1.7 kPa."""
    tmax, tmin, actual = (xr.DataArray(v) for v in (24.5, 15.0, 17.0))
    assert float(meteorology.vapour_pressure_deficit_hpa(tmax, tmin, actual)) == pytest.approx(6.9, abs=0.1)
    assert float(meteorology.vapour_pressure_deficit_hpa(tmax, tmin, actual + 30)) == 0


def test_radiation_above_the_air_of_the_worked_example_of_allen():
    """Allen et al. (1998), examples 8 and 9: 3 September (day 246) at 20 S, 32.2 MJ m-2 d-1 and 11.7 hours."""
    day = meteorology.extraterrestrial_radiation(-20.0, np.array([246]))
    assert day.radiation_w_m2[0] * 0.0864 == pytest.approx(32.2, abs=0.1)
    assert day.day_length_h[0] == pytest.approx(11.7, abs=0.05)


@pytest.mark.parametrize(
    ("lat", "day", "hours"), [(0, 80, 12), (50, 172, 16.3), (-50, 172, 8), (69, 172, 24), (69, 355, 0)]
)
def test_day_length_is_that_of_the_almanac(lat, day, hours):
    day_length, clear_sky = meteorology.clear_sky_radiation(lat, np.array([day]))
    assert day_length[0] == pytest.approx(hours, abs=0.35)
    assert (clear_sky[0] > 0) == (hours > 0)


def test_demand_rises_with_warmth_and_light():
    """Hargreaves and Samani (1985): 20 degC and 200 W m-2 (17.28 MJ m-2 d-1) ask for 3.6 mm."""
    assert meteorology.reference_evapotranspiration_mm_d(20.0, 200.0) == pytest.approx(3.6, abs=0.01)
