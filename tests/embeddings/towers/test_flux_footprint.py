"""A footprint integrates to one, peaks where its formula says, turns with the wind; a disc is a disc."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.towers import footprint
from fluxlens.embeddings.towers.footprint import Air
from fluxlens.models.errors import InputError

GRID = Grid("EPSG:32631", 500000.0, 5700000.0, 10.0, 201, 161)
LON, LAT = (float(part) for part in GRID.lonlat(GRID.x[100], GRID.y[80]))


def air(direction: float = 270.0, obukhov: float = -50.0, count: int = 1, height_m: float = 6.0) -> Air:
    each = {"wind": 3.0, "direction": direction, "ustar": 0.4, "obukhov": obukhov}
    return Air.from_turbulence(pd.DataFrame([each] * count), height_m, LAT)


@pytest.mark.parametrize("obukhov", [-50.0, 30.0, 1e6])
def test_the_footprint_of_all_the_ground_is_one(obukhov):
    x = np.geomspace(0.1, 1e5, 20_000)[:, None]
    assert np.trapezoid(air(obukhov=obukhov).along(x)[:, 0], x[:, 0]) == pytest.approx(1, abs=0.01)


def test_it_peaks_where_the_formula_says():
    one = air()
    x = np.arange(0.5, 400, 0.05)
    assert x[one.along(x[:, None])[:, 0].argmax()] == pytest.approx(float(one.peak_m[0]), abs=0.1)
    # 0.87 z (u / u* k) / (1 - z / h)
    assert one.peak_m[0] == pytest.approx(0.87 * 6 * 3 / 0.4 * 0.4 / (1 - 6 / 1500), rel=0.01)


def test_across_the_wind_it_integrates_to_the_part_along():
    one = air()
    aside = np.arange(-400, 400, 0.5)
    slice_at_60_m = one.footprint(np.full_like(aside, -60.0), aside)
    assert np.trapezoid(slice_at_60_m, aside) == pytest.approx(
        float(one.along(np.array([60.0]))[0]), rel=1e-3
    )


@pytest.mark.parametrize(("direction", "side"), [(0, (-1, 0)), (90, (0, 1)), (180, (1, 0)), (270, (0, -1))])
def test_it_lies_where_the_wind_comes_from(direction, side):
    weights = footprint.flux(GRID, LON, LAT, air(direction)).values
    rows, cols = np.indices(weights.shape)
    south, east = (weights * (rows - 80)).sum(), (weights * (cols - 100)).sum()
    assert (np.round(south / np.hypot(south, east)), np.round(east / np.hypot(south, east))) == side
    assert 0.8 < weights.sum() < 1.0


def test_a_stable_night_reaches_farther_than_an_unstable_day_of_the_same_wind_profile():
    day, night = air(obukhov=-20.0), air(obukhov=20.0)
    assert night.across(np.array([100.0])) < day.across(np.array([100.0]))


def test_weights_on_the_grid_are_what_a_fine_integral_gives():
    weights = footprint.flux(GRID, LON, LAT, air(count=3))
    fine = np.arange(-1000, 0, 0.5) + 0.25
    within = np.trapezoid(air().along(fine[::-1, None] * -1)[:, 0], fine[::-1] * -1)
    assert float(weights.sum()) == pytest.approx(within, abs=0.02)


def test_half_hours_for_which_it_is_not_defined_are_left_out():
    each = {"wind": 3.0, "direction": 270.0, "ustar": 0.4, "obukhov": -50.0}
    calm, unstable = each | {"ustar": 0.05}, each | {"obukhov": -0.2}
    found = Air.from_turbulence(pd.DataFrame([each, calm, unstable, each | {"direction": np.nan}]), 6.0, LAT)
    assert len(found.wind_m_s) == 1
    with pytest.raises(InputError, match="use a radius"):
        Air.from_turbulence(pd.DataFrame([calm]), 6.0, LAT)
    with pytest.raises(InputError, match="above the displacement height"):
        Air.from_turbulence(pd.DataFrame([each]), 0.0, LAT)


def test_a_disc_has_its_area_and_what_is_off_the_grid_is_missing():
    assert float(footprint.disc(GRID, LON, LAT, 250).sum()) == pytest.approx(1)
    inside = (footprint.disc(GRID, LON, LAT, 250) > 0).sum() * 100
    assert float(inside) == pytest.approx(np.pi * 250**2, rel=0.01)
    lon, lat = GRID.lonlat(GRID.x[0], GRID.y[80])
    assert float(footprint.disc(GRID, lon, lat, 250).sum()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("radius", [1, 1e6, float("nan")])
def test_an_odd_radius_is_refused(radius):
    with pytest.raises(InputError, match="radius"):
        footprint.disc(GRID, LON, LAT, radius)


def test_mean_spread_and_valid_share_by_hand():
    y, x = GRID.y[:1], GRID.x[:3]
    weights = xr.DataArray([[0.5, 0.25, 0.25]], {"y": y, "x": x}, ("y", "x"))
    cube = xr.DataArray([[[2.0, 4.0, np.nan]], [[np.nan] * 3]], {"y": y, "x": x}, ("time", "y", "x"), "gpp")
    mean, spread, share = (part["gpp"].values for part in footprint.weighted_mean(cube, weights))
    np.testing.assert_allclose(mean, [8 / 3, np.nan])
    np.testing.assert_allclose(spread, [np.sqrt((2 * (2 / 3) ** 2 + (4 / 3) ** 2) / 3), np.nan])
    np.testing.assert_allclose(share, [0.75, 0])
