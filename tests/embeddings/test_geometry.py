"""Grids know where their pixels are, and regridding repeats and never smooths."""

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings.geometry import Grid, block_mean, crs_name, regrid_nearest, spatial_ref, target_grid
from fluxlens.models.errors import InputError

GRID = Grid("EPSG:32631", 574_680.0, 5_622_440.0, 20.0, 4, 3)


def on(grid: Grid, values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("y", "x"), coords=grid.coords())


def test_a_cube_gives_its_grid_back():
    assert Grid.from_cube(on(GRID, np.zeros(GRID.shape))) == GRID


def test_centres_lie_half_a_pixel_inside_the_extent():
    left, bottom, right, top = GRID.extent
    assert (left, bottom, right, top) == (574_680, 5_622_380, 574_760, 5_622_440)
    assert GRID.x[0] == left + 10
    assert GRID.x[-1] == right - 10
    assert GRID.y[0] == top - 10
    assert GRID.y[-1] == bottom + 10


def test_lonlat_and_back_is_the_same_place_to_a_millimetre():
    lon, lat = GRID.lonlat(GRID.x, np.full(4, GRID.y[0]))
    x, y = GRID.xy(lon, lat)
    np.testing.assert_allclose(x, GRID.x, atol=1e-3)
    np.testing.assert_allclose(y, GRID.y[0], atol=1e-3)


def test_the_utm_central_meridian_is_where_it_should_be():
    lon, lat = GRID.lonlat(500_000.0, 0.0)
    assert (lon, lat) == pytest.approx((3.0, 0.0), abs=1e-9)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (2, 3), (1, 2)])
def test_a_point_falls_into_its_pixel(row, col):
    lon, lat = GRID.lonlat(GRID.x[col], GRID.y[row])
    assert GRID.pixel(lon, lat) == (row, col)


def test_a_point_outside_is_told_the_extent_in_degrees():
    with pytest.raises(InputError, match=r"need a point inside lon 4\.05\d+ to 4\.0.*lat 50\.7"):
        GRID.pixel(50.7, 4.05)


def test_rioxarray_reads_the_same_crs_and_bounds():
    import rioxarray  # noqa: F401

    cube = on(GRID, np.zeros(GRID.shape))
    assert cube.rio.crs.to_epsg() == 32631
    assert cube.rio.bounds() == GRID.extent


def test_coarse_pixels_are_repeated_two_by_two():
    values = np.arange(12.0).reshape(3, 4)
    fine = Grid(GRID.crs, GRID.left_m, GRID.top_m, 10.0, 8, 6)
    np.testing.assert_array_equal(regrid_nearest(on(GRID, values), fine), values.repeat(2, 0).repeat(2, 1))


def test_outside_the_cube_there_is_nothing():
    wide = Grid(GRID.crs, GRID.left_m - 20, GRID.top_m + 20, 20.0, 6, 5)
    moved = regrid_nearest(on(GRID, np.ones(GRID.shape)), wide)
    assert np.isnan(moved[0]).all()
    assert np.isnan(moved[:, 0]).all()
    assert (moved[1:4, 1:5] == 1).all()
    flags = regrid_nearest(on(GRID, np.ones(GRID.shape, bool)), wide)
    assert flags.dtype == bool
    assert int(flags.sum()) == 12


def test_regridding_stays_lazy():
    fine = Grid(GRID.crs, GRID.left_m, GRID.top_m, 10.0, 8, 6)
    assert regrid_nearest(on(GRID, np.zeros(GRID.shape)).chunk(), fine).chunks is not None


def test_the_target_is_ten_metres_over_the_optical_extent():
    coarse = on(GRID, np.zeros(GRID.shape)).to_dataset(name="any")
    grid = target_grid(xr.DataTree.from_dict({"/s2": coarse}))
    assert (grid.size_m, grid.nx, grid.ny, grid.extent) == (10.0, 8, 6, GRID.extent)
    assert target_grid(xr.DataTree.from_dict({"/s1": coarse})) == grid


def test_a_window_is_the_grid_of_its_pixels():
    cube = on(GRID, np.zeros(GRID.shape))
    assert GRID.window(slice(1, 3), slice(2, None)) == Grid.from_cube(cube[1:3, 2:])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda cube: cube.isel(y=slice(None, None, -1)), "y ascending"),
        (lambda cube: cube.isel(x=slice(None, None, -1)), "x descending"),
        (lambda cube: cube.assign_coords(x=cube.x * 2), "need square"),
        (lambda cube: cube.isel(x=[0, 1, 3]), "regular grid"),
        (lambda cube: cube.isel(y=[0], x=[0]), "single pixel"),
        (lambda cube: cube.drop_vars("x"), "coordinate 'x'"),
        (lambda cube: cube.drop_vars("spatial_ref"), "without a CRS"),
        (lambda cube: cube.assign_coords(spatial_ref=spatial_ref("EPSG:4326")), "WGS 84.*projected"),
    ],
)
def test_what_is_no_north_up_metre_grid_is_refused(spoil, message):
    with pytest.raises(InputError, match=message):
        Grid.from_cube(spoil(on(GRID, np.zeros(GRID.shape))))


def test_other_crs_is_refused_and_not_silently_shifted():
    with pytest.raises(InputError, match="reproject"):
        regrid_nearest(on(GRID, np.zeros(GRID.shape)), Grid("EPSG:32632", 0, 0, 20.0, 4, 3))


def test_the_name_of_a_crs_does_not_depend_on_its_spelling():
    from pyproj import CRS

    cube = on(GRID, np.zeros(GRID.shape))
    for attrs in ({"crs_wkt": CRS("EPSG:32631").to_wkt("WKT1_GDAL")}, {"spatial_ref": "EPSG:32631"}):
        assert crs_name(cube.assign_coords(spatial_ref=xr.Variable((), 0, attrs))) == "EPSG:32631"


def test_metres_are_known_by_their_size_and_not_by_their_name():
    """openEO names the unit of a UTM zone "m"; a foot is no metre whatever it is called."""
    from pyproj import CRS

    wkt = CRS("EPSG:32631").to_wkt("WKT1_GDAL")
    cube = on(GRID, np.zeros(GRID.shape))
    for unit in ('UNIT["m",1.0]', 'UNIT["metre",1]', 'UNIT["Meter",1]'):
        attrs = {"crs_wkt": wkt.replace('UNIT["metre",1,AUTHORITY["EPSG","9001"]]', unit)}
        assert unit in attrs["crs_wkt"]
        assert crs_name(cube.assign_coords(spatial_ref=xr.Variable((), 0, attrs))) == "EPSG:32631"
    attrs = {"crs_wkt": CRS("EPSG:2263").to_wkt()}  # New York, in feet
    with pytest.raises(InputError, match="need a projected one in metres"):
        crs_name(cube.assign_coords(spatial_ref=xr.Variable((), 0, attrs)))


def test_a_block_mean_is_that_of_two_by_two_pixels_and_of_what_is_known():
    values = np.arange(2 * 4 * 6, dtype="float32").reshape(2, 4, 6)
    coarse = xr.DataArray(values, dims=("t", "y", "x")).coarsen(y=2, x=2).mean()
    np.testing.assert_array_equal(block_mean(values), coarse)
    assert block_mean(values[:, :3, :5]).shape == (2, 2, 3)
    np.testing.assert_array_equal(block_mean(values[:, :3])[:, 1], values[:, 2].reshape(2, 3, 2).mean(-1))
    holed = values.copy()
    holed[0, 0, :2] = holed[1, :2, :2] = -1
    known = block_mean(holed, missing=-1)
    assert known[0, 0, 0] == values[0, 1, :2].mean()
    assert known[1, 0, 0] == -1
    np.testing.assert_array_equal(known[:, 1:], coarse[:, 1:])
