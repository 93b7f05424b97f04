"""One cube in one file or store, as the usual software writes it, is a scene with the right numbers."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings.geometry import Grid, spatial_ref
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.scenes import digest, schema
from fluxlens.models.errors import DataWarning, InputError
from raster_files import CRS, ODC, TIMES, as_array, as_variables, assert_same, backscatter, truth


def test_odc_stac_in_one_netcdf_file(tmp_path):
    of = truth()
    as_variables(of, ODC, "scl").to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
def test_odc_stac_in_one_zarr_store(tmp_path, version, consolidated, recwarn):
    of = truth()
    with_nodata = as_variables(of, ODC, "scl")
    for band in ODC.values():
        with_nodata[band].attrs = {"nodata": 0, "units": "1"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr on consolidated metadata of version 3
        with_nodata.to_zarr(tmp_path / "cube.zarr", zarr_format=version, consolidated=consolidated)
    assert_same(open_scene(tmp_path / "cube.zarr"), of)


def test_openeo_with_t_and_a_text_variable_crs(tmp_path):
    of = truth()
    data = as_variables(of, time="t").drop_vars("spatial_ref")
    data["crs"] = (
        (),
        b"",
        {"crs_wkt": spatial_ref(CRS).attrs["crs_wkt"], "spatial_ref": spatial_ref(CRS).attrs["spatial_ref"]},
    )
    for name in [*of.numbers, "SCL"]:
        data[name].attrs["grid_mapping"] = "crs"
    data.attrs = {"Conventions": "CF-1.9", "institution": "openEO platform"}
    data.to_netcdf(tmp_path / "openEO.nc")
    assert_same(open_scene(tmp_path / "openEO.nc"), of)


def test_cubo_and_stackstac_with_a_band_dimension_of_floats(tmp_path):
    of = truth()
    array = as_array(of).assign_coords(epsg=32631, id=("time", ["a", "b", "c"]))
    array.to_dataset().to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match="reflectance x 10000"):
        scene = open_scene(tmp_path / "cube.nc")
    assert_same(scene, of)


def test_stackstac_corner_coordinates_are_moved_to_centres(tmp_path):
    of = truth()
    array = as_array(of).assign_coords(epsg=32631)
    array = array.assign_coords(x=array.x - 5, y=array.y + 5)
    array.attrs = {"transform": [10.0, 0.0, of.grid.left_m, 0.0, -10.0, of.grid.top_m], "crs": "epsg:32631"}
    (array / 10_000).where(array.band != "SCL", array).assign_attrs(array.attrs).to_netcdf(
        tmp_path / "cube.nc"
    )
    assert_same(open_scene(tmp_path / "cube.nc"), of, atol=1e-7)


def test_earth_engine_by_xee_x_before_y(tmp_path):
    of = truth()
    names = {band: band.replace("B0", "B") for band in of.numbers}
    data = as_variables(of, names).drop_vars("spatial_ref").rename(x="X", y="Y").transpose("time", "X", "Y")
    data = data.isel(Y=slice(None, None, -1))
    for name in data.data_vars:
        data[name].attrs = {"crs": CRS, "id": name, "crs_transform": "[10, 0, 499980, 0, -10, 5700000]"}
    data.to_netcdf(tmp_path / "xee.nc")
    assert_same(open_scene(tmp_path / "xee.nc"), of)


@pytest.mark.parametrize(
    "spell",
    [
        lambda band: band,
        lambda band: band.replace("B0", "B"),
        lambda band: band.lower(),
        lambda band: f"{band}_10m",
        lambda band: f"S2_{band}",
        lambda band: f"sentinel2_{band}",
        lambda band: f"band_{band[1:].lstrip('0').lower()}" if band != "B8A" else "band_8a",
        lambda band: ODC[band].upper(),
        lambda band: {"B05": "red_edge_1", "B06": "red_edge_2", "B07": "red_edge_3", "B8A": "nir_narrow"}.get(band, ODC[band]),  # noqa: E501
        lambda band: {"B08": "nir_1", "B8A": "nir_2", "B11": "swir_2", "B12": "swir_3"}.get(band, ODC[band]).join(("nbart_", "")),  # noqa: E501
    ],
)  # fmt: skip
def test_usual_band_names_are_known(tmp_path, spell):
    of = truth()
    as_variables(of, {band: spell(band) for band in of.numbers}).to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


def _crs_in(data: xr.Dataset, where: str) -> xr.Dataset:
    wkt = spatial_ref(CRS).attrs["crs_wkt"]
    bare = data.drop_vars("spatial_ref")
    if where in ("crs", "crs_wkt", "epsg", "proj:epsg", "proj:code", "spatial_ref"):
        expected = {
            "crs": "EPSG:32631",
            "crs_wkt": wkt,
            "epsg": 32631,
            "proj:epsg": 32631,
            "proj:code": CRS,
            "spatial_ref": wkt,
        }
        return bare.assign_attrs({where: expected[where]})
    if where == "init":
        return bare.assign_attrs(crs="+init=epsg:32631")
    if where == "coordinate":
        return bare.assign_coords(epsg=("time", [32631] * bare.sizes["time"]))
    if where == "grid_mapping":
        bare["transverse_mercator"] = (
            (),
            0,
            {
                key: value
                for key, value in spatial_ref(CRS).attrs.items()
                if "wkt" not in key and key != "spatial_ref"
            },
        )
        for name in bare.data_vars:
            if name != "transverse_mercator":
                bare[name].attrs["grid_mapping"] = "transverse_mercator"
        return bare
    return bare.assign_attrs(utm_zone="31U")


@pytest.mark.parametrize(
    "where",
    [
        "crs",
        "crs_wkt",
        "epsg",
        "proj:epsg",
        "proj:code",
        "spatial_ref",
        "init",
        "coordinate",
        "grid_mapping",
        "utm_zone",
    ],
)
def test_the_crs_is_found_wherever_it_stands(tmp_path, where):
    of = truth()
    _crs_in(as_variables(of), where).to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


@pytest.mark.parametrize(
    "times",
    [
        np.array([20190512, 20190517, 20190522]),
        np.array(["2019-05-12T10:50:31", "2019-05-17T10:50:29Z", "2019-05-22"]),
        TIMES.astype("int64") // 10**6,
        TIMES.astype("int64") // 10**9,
    ],
)
def test_dates_are_read_as_dates_and_not_as_nanoseconds(tmp_path, times):
    of = truth()
    as_variables(of).assign_coords(time=np.asarray(times)).to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_a_single_image_without_a_time_dimension(tmp_path):
    of = truth(times=TIMES[:1])
    as_variables(of).isel(time=0).to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_reflectance_of_floats_and_of_percent(tmp_path):
    of = truth()
    data = as_variables(of)
    for band in of.numbers:
        data[band] = (data[band].dims, of.reflectance(band))
    data.to_netcdf(tmp_path / "floats.nc")
    assert_same(open_scene(tmp_path / "floats.nc"), of)
    for band in of.numbers:
        data[band] = (data[band].dims, of.reflectance(band) * 100, {"units": "%"})
    data.to_netcdf(tmp_path / "percent.nc")
    assert_same(open_scene(tmp_path / "percent.nc"), of, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "values", "attrs"),
    [
        ("cloud_mask", lambda clear: (~clear).astype("u1"), {}),
        ("CLM", lambda clear: np.where(clear, 0, 1).astype("u1"), {"_FillValue": 255}),
        ("cloud_mask", lambda clear: np.where(clear, 2, 1).astype("u1"), {"flag_values": np.array([1, 2], "u1"), "flag_meanings": "cloud clear"}),  # noqa: E501
        ("clear", lambda clear: clear.astype("u1"), {}),
        ("QA60", lambda clear: np.where(clear, 0, 1 << 10).astype("u2"), {}),
        ("cs_cdf", lambda clear: np.where(clear, 0.9, 0.2).astype("f4"), {}),
        ("MSK_CLDPRB", lambda clear: np.where(clear, 5, 90).astype("u1"), {}),
    ],
)  # fmt: skip
def test_other_cloud_masks_say_what_is_clear(tmp_path, name, values, attrs):
    of = truth()
    clear = np.isin(of.scl, (4, 5, 6))
    data = as_variables(of).drop_vars("SCL")
    data[name] = (("time", "y", "x"), values(clear), attrs)
    data.to_netcdf(tmp_path / "cube.nc")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # 0 is clear: said where no flag_meanings are
        assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_without_any_mask_it_is_told(tmp_path):
    of = truth()
    as_variables(of).drop_vars("SCL").to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match="no SCL or cloud mask"):
        scene = open_scene(tmp_path / "cube.nc")
    of.scl[:] = 4
    assert_same(scene, of)


def test_sentinel_1_in_the_same_cube_keeps_its_own_dates(tmp_path):
    of = truth()
    decibel = backscatter()
    passes = TIMES + pd.Timedelta("1D6h30min")
    optic = as_array(of).rename("cube")
    radio = xr.DataArray(
        np.stack([decibel[0], decibel[1]], axis=1),
        dims=optic.dims,
        coords={"time": passes, "band": ["VV", "VH"], "y": optic.y, "x": optic.x},
    )
    merged = xr.concat([optic, radio], dim="band", join="outer").sortby("time").assign_coords(epsg=32631)
    (merged).to_dataset(name="cube").to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match="reflectance x 10000"):
        scene = open_scene(tmp_path / "cube.nc")
    assert_same(scene, of)
    s1 = scene["s1"].to_dataset()
    np.testing.assert_array_equal(schema.utc_days(s1), passes.values.astype("datetime64[D]"))
    np.testing.assert_allclose(s1.backscatter.sel(band="VH"), decibel[1], rtol=1e-6)


def test_bands_of_both_sensors_may_be_cut_differently(tmp_path):
    of = truth()
    decibel = backscatter()
    passes = TIMES + pd.Timedelta("1D6h30min")
    optic = as_variables(of)
    radio = optic[["x", "y"]].assign_coords(time=passes)
    radio["VV"], radio["VH"] = ((("time", "y", "x"), decibel[at]) for at in (0, 1))
    merged = xr.merge([optic, radio], join="outer", compat="override")
    sizes = dict(merged.sizes)
    cut = {
        name: {"chunks": (1 + at % 3, sizes["y"], sizes["x"])}
        for at, name in enumerate(merged.data_vars)
        if merged[name].dims == ("time", "y", "x")
    }
    merged.to_zarr(tmp_path / "cube.zarr", encoding=cut, consolidated=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        scene = open_scene(tmp_path / "cube.zarr")
    s1 = scene["s1"].to_dataset()
    known = s1.backscatter.sel(band="VH").notnull().any(("y", "x")).values
    np.testing.assert_allclose(s1.backscatter.sel(band="VH")[known], decibel[1], rtol=1e-6)
    np.testing.assert_array_equal(schema.utc_days(s1)[known], passes.values.astype("datetime64[D]"))


@pytest.mark.parametrize("form", ["db", "db100", "db10000", "power", "db_int"])
def test_sentinel_1_in_any_unit_is_decibel(tmp_path, form):
    decibel = backscatter()
    grid = truth().grid
    write = {
        "db": lambda one: (one.astype("f4"), {"units": "dB"}),
        "db100": lambda one: (
            np.round(one * 100).astype("i2"),
            {"scale_factor": 0.01, "_FillValue": np.int16(-32768)},
        ),
        "db10000": lambda one: (np.round(one * 10_000).astype("i4"), {}),
        "power": lambda one: ((10 ** (one / 10)).astype("f4"), {"units": "1"}),
        "db_int": lambda one: (np.round(one).astype("i2"), {}),
    }[form]
    data = xr.Dataset(
        {name: (("time", "y", "x"), *write(one)) for name, one in zip(("VV", "VH"), decibel, strict=True)},
        coords={"time": TIMES, "y": grid.y, "x": grid.x, "spatial_ref": spatial_ref(CRS)},
    )
    data.to_netcdf(tmp_path / "s1.nc")
    s1 = open_scene(tmp_path / "s1.nc")["s1"].to_dataset()
    atol = {"db100": 0.006, "db_int": 0.51}.get(form, 1e-4)
    np.testing.assert_allclose(s1.backscatter.transpose("band", ...), decibel, atol=atol)


@pytest.mark.parametrize(
    ("names", "form", "side_by_side"),
    [
        ("{}_{}", "variables", False), ("{}_{:.1}", "variables", True), ("{}{:.1}", "bands", False),
        ("{1}_{0}", "bands", True), ("sigma0_{}_{:.3}", "tif", False), ("{}_{:.1}", "tif", True),
    ],
)  # fmt: skip
def test_passes_of_both_directions_in_one_cube(tmp_path, names, form, side_by_side):
    of, decibel = truth(), backscatter().astype("f4")
    data = as_variables(of) if side_by_side else as_variables(of)[["x", "y", "time", "spatial_ref"]]
    # The first date has both passes, the others one.
    directions = {"ascending": [True, True, False], "descending": [True, False, True]}
    for number, (direction, dates) in enumerate(directions.items()):
        for band, one in zip(("VV", "VH"), decibel, strict=True):
            values = np.where(np.array(dates)[:, None, None], one - number, np.float32(np.nan))
            data[names.format(band, direction)] = (("time", "y", "x"), values)
    path = tmp_path / "cube.nc"
    if form == "bands":
        stack = (
            data.drop_vars("spatial_ref")
            .astype("f4")
            .to_dataarray("band")
            .transpose("time", "band", "y", "x")
        )
        stack.rename("cube").assign_coords(epsg=32631).to_netcdf(path)
    elif form == "tif":
        path = tmp_path / "scenes"
        path.mkdir()
        for index, time in enumerate(TIMES):
            one = data.drop_vars("spatial_ref").isel(time=index, drop=True).astype("f4").to_dataarray("band")
            # Earth Engine leaves out the bands of a pass that an image has not.
            one = one.dropna("band", how="all")
            _write_tif(path / f"S1_{time:%Y%m%d}.tif", one.values, list(one.band.values), of.grid)
    else:
        data.to_netcdf(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        s1 = open_scene(path)["s1"].to_dataset()
    for number, (direction, dates) in enumerate(directions.items()):
        of_direction = s1.isel(time=np.flatnonzero(s1.orbit == direction))
        np.testing.assert_array_equal(
            schema.utc_days(of_direction), TIMES[dates].values.astype("datetime64[D]")
        )
        expected = decibel[:, dates] - number
        np.testing.assert_allclose(of_direction.backscatter.transpose("band", ...), expected, rtol=1e-5)


def test_bands_like_backscatter_that_are_not_read_are_named(tmp_path):
    data = as_variables(truth())
    for name in ("VV", "VV_88", "VV_VH_ratio"):
        data[name] = (("time", "y", "x"), backscatter()[0])
    data.to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning, match=r"VV_88 of cube\.nc look like backscatter and are not read"):
        open_scene(tmp_path / "cube.nc")


def test_scaled_decibels_of_floats_are_decibels_or_refused_for_what_they_are(tmp_path):
    data = as_variables(truth())[["x", "y", "time", "spatial_ref"]]
    for factor in (10_000, 1000):
        for band, one in zip(("VV", "VH"), backscatter(), strict=True):
            values = (one * factor).astype("f4")
            values[0, 0, 0] = -9999
            data[band] = (("time", "y", "x"), values)
        data.to_netcdf(tmp_path / f"{factor}.nc")
    with pytest.warns(DataWarning, match=r"VV of 10000.nc \(median -\d+\) is taken for dB x 10000"):
        found = open_scene(tmp_path / "10000.nc")["s1/backscatter"].transpose("band", ...).values
    right = backscatter()
    right[:, 0, 0, 0] = np.nan
    np.testing.assert_allclose(found, right, rtol=1e-5)
    with pytest.raises(InputError, match=r"VV of median -\d+, need dB .*; it looks like dB times a factor"):
        open_scene(tmp_path / "1000.nc")


def test_power_of_zero_or_less_is_missing_and_counted(tmp_path):
    power = 10 ** (backscatter() / 10)
    power[0, 0, 0, 0], power[0, 1, 0, 0] = -1e-4, 0.0
    grid = truth().grid
    xr.Dataset(
        {name: (("time", "y", "x"), one.astype("f4")) for name, one in zip(("VV", "VH"), power, strict=True)},
        coords={"time": TIMES, "y": grid.y, "x": grid.x, "spatial_ref": spatial_ref(CRS)},
    ).to_netcdf(tmp_path / "s1.nc")
    with pytest.warns(DataWarning, match=r"of VV in s1\.nc is power of 0 or less"):
        s1 = open_scene(tmp_path / "s1.nc")["s1"].to_dataset()
    assert np.isnan(s1.backscatter.sel(band="VV").values[:2, 0, 0]).all()
    assert int(s1.backscatter.isnull().sum()) == 2


def test_uncalibrated_radar_is_refused(tmp_path):
    grid = truth().grid
    xr.Dataset(
        {name: (("time", "y", "x"), np.full((3, 4, 6), 300, "u2")) for name in ("VV", "VH")},
        coords={"time": TIMES, "y": grid.y, "x": grid.x, "spatial_ref": spatial_ref(CRS)},
    ).to_netcdf(tmp_path / "s1.nc")
    with pytest.raises(InputError, match="uncalibrated"):
        open_scene(tmp_path / "s1.nc")


def test_a_folder_of_one_file_per_date_each_with_its_own_packing(tmp_path):
    of = truth()
    for index, (step, shift) in enumerate([(1e-4, 0.0), (2e-4, 0.0), (1e-4, -0.1)]):
        data = as_variables(of).isel(time=[index])
        for band in of.numbers:
            even = of.numbers[band] - of.numbers[band] % 2
            of.numbers[band] = even
            packed = np.round((even[index] * 1e-4 - shift) / step).astype("u2")
            packed[even[index] == 0] = 65535
            data[band] = (
                data[band].dims,
                packed[None],
                {"scale_factor": step, "add_offset": shift, "_FillValue": np.uint16(65535)},
            )
        data.to_netcdf(tmp_path / f"S2_{TIMES[index]:%Y%m%d}.nc")
    assert_same(open_scene(tmp_path), of, atol=1e-7)


def test_bands_of_one_image_in_two_files_are_joined_although_stamps_differ(tmp_path):
    of = truth()
    whole = as_variables(of)
    whole[["B02", "B03", "B04", "B08"]].to_netcdf(tmp_path / "fine.nc")
    later = whole.drop_vars(["B02", "B03", "B04", "B08"])
    later.assign_coords(time=TIMES + pd.to_timedelta([7, -430, 12], "s") + pd.Timedelta("1ns")).to_netcdf(
        tmp_path / "other.nc"
    )
    assert_same(open_scene(tmp_path), of)


def test_a_band_of_both_10_and_20_m_is_read_at_10_m_whatever_the_last_digits_of_centres(tmp_path):
    of = truth()
    fine = as_variables(of)
    shift = {name: fine[name] + 7.576551932 for name in ("x", "y")}
    fine = fine.assign_coords(shift)
    coarse = fine[["B03", "B04", "B11"]].isel(x=slice(0, None, 2), y=slice(0, None, 2))
    coarse = coarse.assign_coords(x=coarse["x"] + 5.0, y=coarse["y"] - 5.0)
    fine.drop_vars("B11").to_netcdf(tmp_path / "fine.nc")
    coarse.to_netcdf(tmp_path / "coarse.nc")
    node = open_scene(tmp_path)["s2"].to_dataset()
    alone = tmp_path / "alone"
    alone.mkdir()
    fine.to_netcdf(alone / "whole.nc")
    whole = open_scene(alone)["s2"].to_dataset()
    xr.testing.assert_equal(node["clear"], whole["clear"])
    shared = [band for band in whole["band"].values if band != "B11"]
    xr.testing.assert_equal(node["reflectance"].sel(band=shared), whole["reflectance"].sel(band=shared))


def test_files_that_are_not_read_are_counted_and_named(tmp_path):
    of = truth()
    as_variables(of).to_netcdf(tmp_path / "cube.nc")
    xr.Dataset({"elevation": (("y", "x"), np.zeros((2, 2)))}).to_netcdf(tmp_path / "dem.nc")
    with pytest.warns(DataWarning, match=r"1 of 2 files hold no known band and are left out \(dem\.nc\)"):
        assert_same(open_scene(tmp_path), of)


def scaled_twice(data: xr.Dataset) -> xr.Dataset:
    """Reflectance whose packing attribute was kept when it was unpacked."""
    for band in schema.S2_BANDS:
        data[band] = (data[band].dims, data[band].values * np.float32(1e-4), {"scale_factor": 1e-4})
    return data


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data.rename(x="lon", y="lat"), "longitude and latitude with values up to 574975, .* need degrees"),  # noqa: E501
        (lambda data: data.drop_vars("spatial_ref").assign_attrs(crs="EPSG:4326"), "or a projected CRS in metres"),
        (lambda data: data.drop_vars("spatial_ref"), "without a CRS"),
        (lambda data: data.drop_vars("time"), "without times"),
        (lambda data: data.drop_vars("x"), "without x and y"),
        (lambda data: data.rename({"B02": "redness"})[["redness"]], "need bands of Sentinel-2"),
        (lambda data: data.assign(qa_pixel=data["SCL"]), "Landsat"),
        (lambda data: data.assign_coords(time=[1, 2, 3]), "times that are no dates"),
        (scaled_twice, "scaled twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_gives_its_true_reason(tmp_path, change, expected):
    change(as_variables(truth())).to_netcdf(tmp_path / "cube.nc")
    with pytest.raises(InputError, match=expected) as caught:
        open_scene(tmp_path / "cube.nc")
    assert "\n" not in str(caught.value)


def test_a_truncated_cube_is_named(tmp_path):
    as_variables(truth()).to_netcdf(tmp_path / "cube.nc")
    whole = (tmp_path / "cube.nc").read_bytes()
    (tmp_path / "cube.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cube\.nc, (which cannot be read|which is damaged).*fetch"):
        open_scene(tmp_path / "cube.nc")


def test_a_large_cube_stays_lazy_and_gives_the_same(tmp_path, monkeypatch):
    from fluxlens.embeddings.readers import raster_file

    twice = pd.DatetimeIndex([TIMES[0], TIMES[0] + pd.Timedelta("25s"), TIMES[1], TIMES[2]])
    as_variables(truth(times=twice)).to_zarr(tmp_path / "cube.zarr", zarr_format=2)
    whole = open_scene(tmp_path / "cube.zarr")
    monkeypatch.setattr(raster_file, "IN_MEMORY_BYTES", 0)
    lazy = open_scene(tmp_path / "cube.zarr")
    assert lazy["s2/reflectance"].chunks is not None
    assert digest.digest(lazy) == digest.digest(whole)
    assert Grid.from_cube(lazy["s2"].to_dataset()) == truth().grid


def _tif(path, of, index: int, bands, descriptions=True, nodata=None, dtype="uint16") -> None:
    stack = np.stack([*(of.numbers[band][index] for band in bands), of.scl[index]]).astype(dtype)
    _write_tif(path, stack, [*bands, "SCL"] if descriptions else [], of.grid, nodata)


def _write_tif(path, stack: np.ndarray, descriptions: list[str], grid, nodata=None) -> None:
    import rasterio
    from affine import Affine

    with rasterio.open(
        path, "w", driver="GTiff", width=grid.nx, height=grid.ny, count=len(stack), dtype=stack.dtype, crs=CRS,
        nodata=nodata, transform=Affine(10, 0, grid.left_m, 0, -10, grid.top_m),
    ) as file:  # fmt: skip
        file.write(stack)
        for number, name in enumerate(descriptions, 1):
            file.set_band_description(number, str(name))


@pytest.mark.parametrize(
    "name", ["S2_{:%Y%m%d}.tif", "{:%Y%m%dT%H%M%S}_T31UES.tif", "openEO_{:%Y-%m-%d}Z.tif"]
)
def test_a_folder_of_geotiffs_one_per_date(tmp_path, name):
    of = truth()
    for index, time in enumerate(TIMES):
        _tif(tmp_path / name.format(time), of, index, list(of.numbers), nodata=0)
    assert_same(open_scene(tmp_path), of)


def test_what_macos_writes_beside_geotiffs_is_passed_over_and_months_in_words_are_months(tmp_path):
    of = truth()
    for index, time in enumerate(TIMES):
        _tif(tmp_path / f"S2_{time:%d%b%Y}.tif", of, index, list(of.numbers), nodata=0)
        (tmp_path / f"._S2_{time:%d%b%Y}.tif").write_bytes(b"\0\5\26\7")
    assert_same(open_scene(tmp_path), of)


def test_geotiffs_without_date_or_names_are_told(tmp_path):
    of = truth()
    _tif(tmp_path / "S2_20190512.tif", of, 0, list(of.numbers), descriptions=False)
    with pytest.raises(InputError, match="11 bands have no names, need descriptions such as B02"):
        open_scene(tmp_path)
    (tmp_path / "S2_20190512.tif").rename(tmp_path / "image.tif")
    with pytest.raises(InputError, match="without a date"):
        open_scene(tmp_path)
    for index, time in enumerate(TIMES):
        _tif(tmp_path / f"S2_{time:%Y%m%d}.tif", of, index, list(of.numbers))
    with pytest.warns(DataWarning, match=r"1 of 4 files have no date.*\(image\.tif\)"):
        assert_same(open_scene(tmp_path), of)


def test_embed_opens_a_cube_by_the_same_function(tmp_path):
    """The catalog's driver: a scene entry whose path is one file."""
    from fluxlens.embeddings.driver import SceneSource

    of = truth()
    as_variables(of, ODC, "scl").to_netcdf(tmp_path / "cube.nc")
    assert_same(SceneSource(path=str(tmp_path / "cube.nc")).read(), of)


@pytest.mark.real
@pytest.mark.parametrize("name", ["odc_stac.nc", "odc_stac_v2.zarr", "odc_stac_v3.zarr", "openeo"])
def test_the_measured_corner_is_the_same_in_every_form(real_data, name):
    cases = real_data.parent / "cases"
    whole = open_scene(cases / "10_cf_packing" / "plain")["s2"].to_dataset()
    s2 = open_scene(cases / "19_one_cube" / name)["s2"].to_dataset()
    same = whole.sel(time=s2.time)
    np.testing.assert_array_equal(s2.reflectance, same.reflectance)
    np.testing.assert_array_equal(s2.clear, same.clear)


def test_json_is_no_scene(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({}))
    with pytest.raises(InputError, match="a single file"):
        open_scene(tmp_path / "a.json")
