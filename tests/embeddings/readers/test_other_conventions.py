"""Units, fill values, masks, dates and files that say little of themselves: read right, told or refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.scenes import schema
from fluxlens.models.errors import DataWarning, InputError
from raster_files import CRS, LEFT_M, TIMES, TOP_M, as_array, as_variables, assert_same, backscatter, truth

BANDS = [*schema.S2_BANDS, "SCL"]


def with_values(of, change):
    """The cube of a truth with each band's values and attributes as ``change(truth, band)`` gives them."""
    data = as_variables(of)
    for band in of.numbers:
        values, attrs = change(of, band)
        data[band] = (data[band].dims, values, attrs)
    return data


def scene_of(data: xr.Dataset, folder, message: str | None = None, **options) -> xr.DataTree:
    data.to_netcdf(folder / "cube.nc", **options)
    if message is None:
        return open_scene(folder / "cube.nc")
    with pytest.warns(DataWarning, match=message):
        return open_scene(folder / "cube.nc")


def refused(data: xr.Dataset, folder, match: str) -> None:
    data.to_netcdf(folder / "cube.nc")
    with pytest.raises(InputError, match=match) as caught:
        open_scene(folder / "cube.nc")
    assert "\n" not in str(caught.value)


def holes_as(value: int, dtype: str, attrs: dict):
    return lambda of, band: (
        np.where(of.numbers[band] == 0, value, of.numbers[band].astype("i4")).astype(dtype),
        attrs,
    )


@pytest.mark.parametrize(
    "change",
    [
        holes_as(-999, "i2", {"nodata": np.int16(-999)}),
        holes_as(-9999, "i2", {"nodata": -9999}),
        holes_as(-9999, "i2", {}),
        holes_as(-32768, "i2", {}),
        holes_as(-32768, "i2", {"_FillValue": np.int16(-32768)}),
        holes_as(65535, "u2", {"nodata": 65535}),
        holes_as(65535, "u2", {"nodata": 0}),
        holes_as(65535, "u2", {}),
        lambda of, band: (of.numbers[band], {"valid_min": 0.0, "valid_max": 1.0, "scale_factor": 1e-4, "_FillValue": np.uint16(0)}),  # noqa: E501
    ],
)  # fmt: skip
def test_no_data_of_integers_is_missing_whether_it_is_told_or_not(tmp_path, change):
    of = truth()
    assert_same(scene_of(with_values(of, change), tmp_path), of)


def test_the_fill_value_of_unsigned_numbers_in_netcdf_3_is_the_signed_one(tmp_path):
    of = truth()
    data = with_values(
        of,
        lambda of, band: (
            np.where(of.numbers[band] == 0, 65535, of.numbers[band]).astype("u2").view("i2"),
            {"_Unsigned": "true", "_FillValue": np.int16(-1)},
        ),
    )
    assert_same(scene_of(data, tmp_path, format="NETCDF3_CLASSIC"), of)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda of, band: (of.reflectance(band) * np.float32(100), {}), "reflectance in percent"),
        (lambda of, band: (of.numbers[band].astype("f4"), {}), "reflectance x 10000"),
        (lambda of, band: (of.reflectance(band), {}) if band < "B04" else (of.numbers[band], {}), None),
    ],
)
def test_floats_are_told_apart_by_their_size(tmp_path, change, message):
    of = truth()
    assert_same(scene_of(with_values(of, change), tmp_path, message), of, atol=1e-6)


def test_floats_of_zero_in_all_bands_lie_outside_the_image(tmp_path):
    of = truth(holes=0.0)
    for values in of.numbers.values():
        values[1, :2] = 0
    data = with_values(of, lambda of, band: ((of.numbers[band] / 1e4).astype("f4"), {}))
    assert_same(scene_of(data, tmp_path), of, atol=1e-6)


def test_bands_in_two_units_and_pictures_are_refused(tmp_path):
    of = truth()
    mixed = with_values(
        of,
        lambda of, band: (of.reflectance(band) if band < "B04" else of.numbers[band].astype("f4"), {}),
    )
    refused(mixed, tmp_path, "B02, B03 of at most 0.6 beside bands of .* need all bands in one unit")
    (tmp_path / "cube.nc").rename(tmp_path / "mixed.nc")
    picture = with_values(of, lambda of, band: ((of.numbers[band] // 24).astype("u1"), {}))
    refused(picture, tmp_path, "8 bits and no scale_factor")


@pytest.mark.parametrize(
    ("name", "values", "attrs", "message"),
    [
        ("Fmask", lambda clear: np.where(clear, 64, 66).astype("u1"), {}, None),
        ("Fmask", lambda clear: np.where(clear, 96, 80).astype("u1"), {}, None),  # water is clear, snow is not
        ("oa_fmask", lambda clear: np.where(clear, 1, 2).astype("u1"), {}, None),
        ("fmask", lambda clear: np.where(clear, 0, 4).astype("u1"), {}, "0 .land. and 1 .water. in fmask"),
        ("fmask", lambda clear: np.where(clear, 1, 3).astype("u1"), {"flag_values": np.array([0, 1, 2, 3], "u1"), "flag_meanings": "nodata valid cloud shadow"}, None),  # noqa: E501
        ("cloud_probability", lambda clear: np.where(clear, 0.1, 0.9).astype("f4"), {}, None),
        ("s2cloudless", lambda clear: np.where(clear, 10, 90).astype("u1"), {}, None),
        ("clear_sky", lambda clear: clear.astype("u1"), {}, None),
        ("mask", lambda clear: clear, {"long_name": "valid pixels"}, "1 in mask is taken to mean clear"),
        ("mask", lambda clear: ~clear, {"long_name": "clouds and shadows"}, "0 in mask is taken to mean clear"),
        ("SCL", lambda clear: np.where(clear, 4e-4, 9e-4).astype("f4"), {}, None),
    ],
)  # fmt: skip
def test_masks_of_other_conventions_say_what_is_clear(tmp_path, name, values, attrs, message):
    of = truth()
    data = as_variables(of).drop_vars("SCL")
    data[name] = (("time", "y", "x"), values(np.isin(of.scl, (4, 5, 6))), attrs)
    assert_same(scene_of(data, tmp_path, message), of)


@pytest.mark.parametrize(
    "times",
    [
        (TIMES - pd.Timestamp("1970-01-01")).days.values,
        np.array([f"{time:%Y_%m_%d}" for time in TIMES], object),
        np.array([str(time.tz_localize("UTC")) for time in TIMES], object),
        np.array([f"{time:%Y%m%dT%H%M%S}" for time in TIMES], object),
        np.array([f"{time:%Y-%m-%d}".encode() for time in TIMES], "S10"),
    ],
)
def test_dates_in_other_spellings_are_dates(tmp_path, times):
    of = truth()
    assert_same(scene_of(as_variables(of).assign_coords(time=times), tmp_path), of)


def test_coordinates_in_kilometres_are_read_by_their_units_or_refused(tmp_path):
    of = truth()
    data = as_variables(of)
    data = data.assign_coords(x=data["x"] / 1000, y=data["y"] / 1000)
    refused(data, tmp_path, "pixels of 0.01 m along x, need coordinates in metres; if they are kilometres")
    (tmp_path / "cube.nc").rename(tmp_path / "metres.nc")
    for axis in ("x", "y"):
        data[axis].attrs["units"] = "km"
    assert_same(scene_of(data, tmp_path), of)


def test_a_mask_whose_clear_pixels_are_the_bright_ones_is_told(tmp_path):
    of = truth(holes=0.0)
    is_clear = np.isin(of.scl, (4, 5, 6))
    for band, values in of.numbers.items():
        of.numbers[band] = np.where(is_clear, values % 900 + 100, 5000).astype("uint16")
    data = as_variables(of).drop_vars("SCL")
    for name, mask, message in (
        ("mask", is_clear, r"what mask calls clear is brighter \(0\.50 in B02\) than what it calls cloud"),
        ("clear", ~is_clear, "what clear calls clear is brighter"),
    ):
        data.assign({name: (("time", "y", "x"), mask.astype("u1"))}).to_netcdf(tmp_path / f"{name}.nc")
        with pytest.warns(DataWarning, match=message):
            open_scene(tmp_path / f"{name}.nc")
    data.assign(clear=(("time", "y", "x"), is_clear.astype("u1"))).to_netcdf(tmp_path / "right.nc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_scene(tmp_path / "right.nc")


def test_a_mask_without_dates_is_told(tmp_path):
    data = as_variables(truth())
    data["SCL"] = data["SCL"].isel(time=0, drop=True)
    scene_of(data, tmp_path, "its SCL has no dates and is not used; it has no SCL or cloud mask")


def test_dates_of_other_calendars_are_dates(tmp_path):
    of = truth()
    attrs = {"units": "days since 2019-05-12", "calendar": "365_day"}
    data = as_variables(of).drop_vars("time").assign_coords(time=("time", [0, 5, 10], attrs))
    assert_same(scene_of(data, tmp_path, "of the calendar noleap"), of)


def test_bands_on_the_last_axis_and_both_axes_backwards(tmp_path):
    of = truth()
    array = (
        as_array(of)
        .transpose("time", "y", "x", "band")
        .isel(x=slice(None, None, -1), y=slice(None, None, -1))
    )
    assert_same(scene_of(array.assign_attrs(epsg=32631).to_dataset(), tmp_path, "x 10000"), of)


@pytest.mark.parametrize("amplitude", ["units", None])
def test_radar_amplitude_is_read_by_its_units_or_told(tmp_path, amplitude):
    decibel, of = backscatter(), truth()
    attrs = {"units": "amplitude"} if amplitude else {}
    data = as_variables(of)[["spatial_ref"]].assign(
        {
            name: (("time", "y", "x"), 10 ** (one / 20), attrs)
            for name, one in zip(("vv", "vh"), decibel, strict=True)
        }
    )
    data = data.assign_coords(time=of.times, y=of.grid.y, x=of.grid.x)
    scene = scene_of(data, tmp_path, None if amplitude else "VH of cube.nc .* looks like amplitude")
    factor = 1.0 if amplitude else 0.5
    np.testing.assert_allclose(
        scene["s1/backscatter"].transpose("band", ...).values, decibel * factor, atol=1e-3
    )


def test_a_cube_in_a_group_is_found(tmp_path):
    of = truth()
    as_variables(of).to_netcdf(tmp_path / "cube.nc", group="data")
    assert_same(open_scene(tmp_path / "cube.nc"), of)
    as_variables(of).to_zarr(tmp_path / "cube.zarr", group="data", zarr_format=2)
    assert_same(open_scene(tmp_path / "cube.zarr"), of)


@pytest.mark.parametrize("suffix", [".nc", ".tif"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"<?xml version='1.0'?><Error/>", "an XML document"),
        (b'{"error": 1}', "a JSON document"),
        (b"PK\x03\x04\x00\x00", "an archive"),
        (b"B02,B03\n1,2\n", "a text file"),
    ],
)
def test_a_download_that_failed_is_named_for_what_it_is(tmp_path, suffix, content, message):
    path = tmp_path / f"S2_20190512{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"which is {message}"):
        open_scene(path)


def geotiff(path, images, names=BANDS, left_m=LEFT_M, **options) -> None:
    """A GeoTIFF of images (y, x), described."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rasterio 1.4 with affine 3
        rows, cols = images[0].shape
        options = {"crs": CRS, "transform": rasterio.transform.from_origin(left_m, TOP_M, 10, 10)} | options
        form = dict(driver="GTiff", count=len(images), height=rows, width=cols, dtype=images[0].dtype)
        with rasterio.open(path, "w", **form, **options) as file:
            for index, (image, name) in enumerate(zip(images, names, strict=True), 1):
                file.write(image, index)
                file.set_band_description(index, name)


@pytest.mark.parametrize(
    "style",
    [
        "S2.%Y%j.tif", "HLS.S30.T31UES.%Y%jT105031.v2.0.tif", "S2.%Y.%m.%d.tif", "%d-%m-%Y.tif", "img_%d_%m_%Y.tif",
        "%Y-%m-%dT10-50-31Z.TIF", "S2A_MSIL2A_%Y%m%dT105031_N0212_R051_T31UES_20190901T000000.tif",
    ],
)  # fmt: skip
def test_dates_in_file_names_are_found_in_many_styles(tmp_path, style):
    of = truth()
    for index, time in enumerate(of.times):
        images = [values[index] for values in of.numbers.values()]
        geotiff(tmp_path / time.strftime(style), [*images, of.scl[index].astype("u2")])
    assert_same(open_scene(tmp_path), of)


@pytest.mark.parametrize("overlap", [0, 1])
def test_tiles_of_one_date_are_one_image(tmp_path, overlap):
    of = truth()
    for index, time in enumerate(of.times):
        images = [*(values[index] for values in of.numbers.values()), of.scl[index].astype("u2")]
        geotiff(tmp_path / f"S2_{time:%Y%m%d}_west.tif", [image[:, : 3 + overlap] for image in images])
        geotiff(
            tmp_path / f"S2_{time:%Y%m%d}_east.tif", [image[:, 3:] for image in images], left_m=LEFT_M + 30
        )
    assert_same(open_scene(tmp_path), of)


def test_tiles_that_leave_a_gap_are_told(tmp_path):
    of = truth(holes=0.0)
    images = [*(values[0] for values in of.numbers.values()), of.scl[0].astype("u2")]
    geotiff(tmp_path / "S2_20190512_west.tif", [image[:, :2] for image in images])
    geotiff(tmp_path / "S2_20190512_east.tif", [image[:, 4:] for image in images], left_m=LEFT_M + 40)
    with pytest.warns(DataWarning, match="leave 8 of 24 pixels without values"):
        scene = open_scene(tmp_path)
    assert np.isnan(scene["s2/reflectance"].values[..., 2:4]).all()
    assert not scene["s2/clear"].values[..., 2:4].any()


def test_several_dates_in_one_geotiff_are_refused_and_not_read_as_the_first(tmp_path):
    of = truth()
    images = [values[index] for index in range(3) for values in of.numbers.values()]
    geotiff(tmp_path / "S2_20190512.tif", images, list(schema.S2_BANDS) * 3)
    with pytest.raises(InputError, match="20 bands of a name that another one has, need one image per file"):
        open_scene(tmp_path)


def test_a_geotiff_that_declares_more_than_memory_is_refused_before_it_is_read(tmp_path):
    place = tmp_path / "S2_20190512.tif"
    images = [truth().numbers["B04"][0]]
    geotiff(place, images, ["B04"], SPARSE_OK=True, tiled=True, blockxsize=16, blockysize=16)
    # A few bytes that say "200,000 x 200,000": the two entries of the TIFF directory for width (256) and height (257).
    data = bytearray(place.read_bytes())
    start, order = int.from_bytes(data[4:8], "little"), "little"
    for index in range(int.from_bytes(data[start : start + 2], order)):
        at = start + 2 + 12 * index
        if int.from_bytes(data[at : at + 2], order) in (256, 257):
            data[at + 2 : at + 4] = (4).to_bytes(2, order)
            data[at + 8 : at + 12] = (200_000).to_bytes(4, order)
    place.write_bytes(data)
    with pytest.raises(InputError, match=r"S2_20190512\.tif of 80 GB, need at most 9 GB"):
        open_scene(tmp_path)


@pytest.mark.parametrize("names", [("longitude", "latitude"), ("lon", "lat"), ("x", "y")])
@pytest.mark.parametrize("from_0_to_360", [False, True])
def test_a_cube_on_longitude_and_latitude_is_resampled_to_its_utm_zone_and_told(
    tmp_path, names, from_0_to_360
):
    of = truth(ny=12, nx=16, holes=0.0)
    west = -3.2 + 360 * from_0_to_360
    lon, lat = west + 1e-4 * np.arange(16), -12.5 - 1e-4 * np.arange(12)
    data = as_variables(of).drop_vars("spatial_ref").assign_coords(x=lon, y=lat).assign_attrs(crs="EPSG:4326")
    data = data.isel(y=slice(None, None, -1)).rename(x=names[0], y=names[1]) if names[0] != "x" else data
    scene = scene_of(
        data, tmp_path, r"resampled \(nearest neighbour\) to 10 m in EPSG:32730, \d+% of those pixels"
    )
    s2 = scene["s2"].to_dataset()
    grid = Grid.from_cube(s2)
    assert (grid.crs, grid.size_m) == ("EPSG:32730", 10.0)
    # every pixel has the number of the cell its centre lies in, as the transform of PROJ alone says
    at_lon, at_lat = grid.lonlat(*np.meshgrid(grid.x, grid.y))
    cols, rows = np.rint((at_lon + 3.2) / 1e-4).astype(int), np.rint((-12.5 - at_lat) / 1e-4).astype(int)
    inside = (cols >= 0) & (cols < 16) & (rows >= 0) & (rows < 12)
    assert 0.8 < inside.mean() < 1.0
    want = np.where(inside, of.reflectance("B04")[:, rows.clip(0, 11), cols.clip(0, 15)], np.nan)
    np.testing.assert_array_equal(s2.reflectance.sel(band="B04").values, want.astype("float32"))
    assert not s2.clear.values[:, ~inside].any()


def test_coarse_pixels_on_longitude_and_latitude_are_refused(tmp_path):
    data = (
        as_variables(truth())
        .drop_vars("spatial_ref")
        .assign_coords(x=4 + 0.1 * np.arange(6), y=50 - 0.1 * np.arange(4))
    )
    refused(data.rename(x="lon", y="lat"), tmp_path, "with pixels of 89[0-9]{2} m, need 10 or 20 m")


def test_a_geotiff_on_longitude_and_latitude_is_resampled(tmp_path):
    of = truth(ny=12, nx=16)
    images = [values[0] for values in of.numbers.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rasterio 1.4 with affine 3
        place = rasterio.transform.from_origin(4.0, 50.7, 1e-4, 1e-4)
    geotiff(tmp_path / "S2_20190512.tif", images, list(of.numbers), crs="EPSG:4326", transform=place)
    with pytest.warns(DataWarning, match="resampled"):
        s2 = open_scene(tmp_path)["s2"].to_dataset()
    grid = Grid.from_cube(s2)
    row, col = grid.pixel(4.00055, 50.69945)
    lon, lat = grid.lonlat(grid.x[col], grid.y[row])
    cell = int((50.7 - lat) // 1e-4), int((lon - 4.0) // 1e-4)
    np.testing.assert_array_equal(
        s2.reflectance.values[0, :, row, col], [of.reflectance(band)[0][cell] for band in of.numbers]
    )


def test_web_mercator_is_read_and_its_metres_are_told(tmp_path):
    data = as_variables(truth())
    y = 6_577_000.0 - 10 * np.arange(data.sizes["y"])
    data = data.drop_vars(["spatial_ref", "crs"], errors="ignore").assign_coords(y=y)
    for name in data.variables:
        data[name].attrs.pop("grid_mapping", None)
    found = scene_of(data.assign_attrs(crs="EPSG:3857"), tmp_path, "whose 10 m are 6.3 m on the ground here")
    assert Grid.from_cube(found["s2"].to_dataset()).crs == "EPSG:3857"
