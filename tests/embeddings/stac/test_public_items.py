"""Items as public APIs list them: every spelling gives the same numbers, and what cannot be used is told."""

import copy
import warnings

import numpy as np
import pytest
import rasterio
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings import progress, stac
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.stac import assets, search
from fluxlens.models.errors import DataWarning, InputError
from stac_world import LAT, LON, ground

SIDE_M = 160


def request_of(world, **other) -> stac.Request:
    facts = {"start": "2020-06-01", "end": "2020-06-30", "provider": world.url} | other
    return stac.Request(LON, LAT, SIDE_M, **facts)


def fetch(world, tmp_path, **other) -> tuple[xr.DataTree, list[str]]:
    """The scene, what was left out and told; warnings are errors unless the caller expects them."""
    left_out = progress.run(stac.fetch(request_of(world, **other), tmp_path / "scene.zarr"))
    return open_scene(tmp_path / "scene.zarr").load(), left_out


def truth(world) -> np.ndarray:
    grid = request_of(world).grid
    return np.round(1000 + 4000 * ground(*grid.lonlat(*np.meshgrid(grid.x, grid.y)))) / 10_000


def with_offset(lon, lat):
    return 2000 + 4000 * ground(lon, lat)


@pytest.mark.parametrize("names", ["small", "upper", "short"])
def test_bands_are_found_in_any_spelling(world, tmp_path, names):
    world.s2("A", "2020-06-01T10:40:21", names=names)
    scene, _ = fetch(world, tmp_path)
    np.testing.assert_allclose(scene["s2/reflectance"].sel(band="B04")[0], truth(world), atol=1e-6)
    assert bool(scene["s2/clear"].all())


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_bands_that_only_the_description_names_are_found(world, tmp_path, version):
    item = world.described("A", "2020-06-01T10:40:21", version, dn=with_offset)
    scene, _ = fetch(world, tmp_path)
    np.testing.assert_allclose(scene["s2/reflectance"].sel(band="B08")[0], truth(world), atol=1e-6)
    (one,) = stac.passes(request_of(world))
    numbers = {band: int(assets.asset(one.items[0], band).removeprefix("image_")) for band in assets.ASSETS
               if band not in ("VV", "VH")}  # fmt: skip
    assert list(numbers.values()) == list(range(11))
    assert len(item["assets"]) == 13


def test_a_common_name_that_three_bands_share_tells_none_of_them(world):
    item = world.described("A", "2020-06-01T10:40:21", "1.0.0")
    for asset in item["assets"].values():
        for band in asset["eo:bands"]:
            band["name"] = "x"
    (one,) = stac.passes(request_of(world))
    found = {band: assets.asset(one.items[0], band) for band in ("B04", "B05", "B06", "B07", "B8A")}
    assert found == {"B04": "image_2", "B05": None, "B06": None, "B07": None, "B8A": "image_7"}


def test_images_of_the_older_earth_search_are_found_and_their_offset_known(world, tmp_path):
    world.of_earth_search_v0("A", "2020-06-01T10:40:21")
    world.of_earth_search_v0("B", "2020-06-06T10:40:21", "04.00", with_offset)
    world.of_earth_search_v0("C", "2020-06-11T10:40:21", "04.00", removed=True)
    scene, _ = fetch(world, tmp_path, s1="none")
    assert scene["s2"].sizes["time"] == 3
    for date in range(3):
        np.testing.assert_allclose(scene["s2/reflectance"].sel(band="B02")[date], truth(world), atol=1e-6)
    assert "sentinel-s2-l2a-cogs" in scene.attrs["source"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, True),
        ({"raster:bands": [{"scale": 0.0001, "offset": 0}]}, False),
        ({"raster:scale": 0.0001, "raster:offset": -0.1}, True),
        ({"bands": [{"name": "B04", "raster:offset": -0.1}]}, True),
        ({"raster:bands": [{"scale": 0.0001}]}, False),
        ({}, False),
    ],
)
def test_without_a_baseline_the_offset_is_what_the_assets_state(world, stated, expected):
    item = world.s2("A", "2020-06-01T10:40:21")
    del item["properties"]["s2:processing_baseline"]
    for asset in item["assets"].values():
        asset |= stated
    (one,) = stac.passes(request_of(world))
    assert search.has_offset(one.items[0]) is expected


def test_radar_of_other_modes_and_polarisations_is_counted_and_named(world, tmp_path):
    world.s1("S", "2020-06-02T17:31:51")
    world.s1("wide", "2020-06-03T05:50:00", **{"sar:instrument_mode": "EW"})
    del world.s1("S1A_EW_GRDM_1SDH_20200604", "2020-06-04T05:50:00")["properties"]["sar:instrument_mode"]
    for name, day, lost in (("single", "05", ["vh"]), ("polar", "06", ["vv", "vh"])):
        item = world.s1(name, f"2020-06-{day}T05:50:00")
        for band in lost:
            del item["assets"][band]
    says = (
        "scene.zarr: 4 of 5 images left out: wide: its mode is EW, not IW; S1A_EW_GRDM_1SDH_20200604: its mode is EW, "
        "not IW; single: it has no VH; polar: it has no VV and no VH."
    )
    with pytest.warns(DataWarning) as caught:
        scene, left_out = fetch(world, tmp_path)
    assert [str(one.message) for one in caught] == [says]
    assert len(left_out) == 4
    assert scene.attrs["left_out"] == left_out
    assert scene["s1"].sizes["time"] == 1


def test_the_plan_of_the_command_tells_what_it_leaves_out(world, capsys):
    world.s1("S", "2020-06-02T17:31:51")
    world.s1("wide", "2020-06-03T05:50:00", **{"sar:instrument_mode": "EW"})
    command = [
        "scene",
        "stac",
        "--at",
        f"{LON},{LAT}",
        "--size-m",
        "160",
        "--provider",
        world.url,
        "--dry-run",
    ]
    assert main([*command, "--start", "2020-06-01", "--end", "2020-06-30"]) == 0
    out, err = capsys.readouterr()
    assert "1 dates" in out
    assert err.count("\n") == 1
    assert "1 of 2 images left out: wide: its mode is EW, not IW" in err


def test_where_nothing_can_be_used_the_reason_is_told(world):
    world.s1("wide", "2020-06-03T05:50:00", **{"sar:instrument_mode": "EW"})
    with pytest.raises(InputError, match=r"no image of .*1 of 1 images left out: wide: its mode is EW"):
        stac.passes(request_of(world))


def test_a_ground_range_image_without_calibration_is_not_taken_for_power(world, tmp_path):
    for name, day in (("G", "02"), ("H", "08")):
        world.grd(name, f"2020-06-{day}T05:50:00", lambda lon, lat: 1000 + 0 * lon, lambda row, col: 4000.0)
    listed = world.items[0]["assets"]
    for band in ("vv", "vh"):
        del listed[f"schema-calibration-{band}"]
        other = world.items[1]["assets"]
        other[f"calibration-iw-{band}"] = other.pop(f"schema-calibration-{band}")
    with pytest.warns(
        DataWarning, match="1 of 2 images left out: G: it is a ground range image without calibration"
    ):
        scene, _ = fetch(world, tmp_path, s1="grd")
    np.testing.assert_allclose(scene["s1/backscatter"], 20 * np.log10(1 / 4), rtol=1e-5)


def test_dates_without_a_value_are_counted_and_named(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21", dn=lambda lon, lat: 0 * lon, scl=0)
    world.s2("B", "2020-06-06T10:40:21")
    world.s1("S", "2020-06-02T17:31:51", power=(-32768, -32768))
    says = "2 of 3 dates have no value in the square and are left out (sentinel-2-l2a_2020-06-01, sentinel-1-rtc_2020"
    with pytest.warns(DataWarning) as caught:
        scene, left_out = fetch(world, tmp_path)
    assert len(caught) == 1
    assert says in str(caught[0].message)
    assert left_out == []
    assert list(scene.children) == ["s2"]


def test_an_image_of_each_public_interface_lists_no_band_twice(world):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, make in enumerate((world.of_planetary_computer, world.of_earth_search,
                                       world.of_copernicus_data_space)):  # fmt: skip
            make(f"A{number}", f"2020-06-{6 * number + 1:02d}T10:40:21")
        found = stac.passes(request_of(world))
    for one in found:
        names = [assets.asset(one.items[0], band) for band in assets.ASSETS if band not in ("VV", "VH")]
        assert None not in names
        assert len(set(names)) == 11


def test_radar_in_decibel_is_not_taken_for_power(world, tmp_path):
    world.s1("S", "2020-06-02T17:31:51", power=(0.1, 0.02))
    world.s1("T", "2020-06-08T17:31:51", power=(-10.0, -17.0))
    scene, left_out = fetch(world, tmp_path)
    assert left_out == []
    np.testing.assert_allclose(
        scene["s1/backscatter"][1], np.broadcast_to([[[-10]], [[-17]]], (2, 8, 8)), rtol=1e-5
    )
    np.testing.assert_allclose(scene["s1/backscatter"][0, 0], -10, rtol=1e-5)


def test_an_image_of_floats_is_not_cut_to_zero_in_silence(world, tmp_path):
    item = world.s2("A", "2020-06-01T10:40:21")
    world.s2("B", "2020-06-06T10:40:21")
    for band, asset in item["assets"].items():
        path = world.folder / asset["href"].rsplit("/", 1)[1]
        with rasterio.open(path) as file:
            values, profile = file.read(1), file.profile
        if band != "SCL":
            profile.update(dtype="float32", nodata=None, driver="GTiff")
            with rasterio.open(path, "w", **profile) as file:
                file.write((values / 10_000).astype("float32"), 1)
    with pytest.warns(
        DataWarning, match="1 of 2 images left out: A: its bands are 0 where its classification has"
    ):
        scene, _ = fetch(world, tmp_path, s1="none")
    np.testing.assert_allclose(scene["s2/reflectance"].sel(band="B04")[0], truth(world), atol=1e-6)


def test_addresses_relative_to_the_item_are_found_or_told(world, tmp_path):
    for name, day in (("A", "01"), ("B", "06")):
        item = world.s2(name, f"2020-06-{day}T10:40:21")
        for asset in item["assets"].values():
            asset["href"] = "./" + asset["href"].rsplit("/", 1)[1]
    world.items[0]["links"] = [{"rel": "self", "href": f"{world.url}/store/A.json"}]
    with pytest.warns(DataWarning, match=r"1 of 2 images left out: B: the address ./B_B02.tif is relative"):
        scene, _ = fetch(world, tmp_path, s1="none")
    np.testing.assert_allclose(scene["s2/reflectance"].sel(band="B04")[0], truth(world), atol=1e-6)


def with_projection(world, item, version):
    grid = world.grid(31)
    item["stac_extensions"] = [f"https://stac-extensions.github.io/projection/v{version}/schema.json"]
    item["properties"] |= {"proj:epsg": 32631} if version < "2" else {"proj:code": "EPSG:32631"}
    for band, asset in item["assets"].items():
        size_m = 10 if band in ("B02", "B03", "B04", "B08") else 20
        asset["proj:transform"] = [size_m, 0, grid.left_m, 0, -size_m, grid.top_m]
        asset["proj:shape"] = [2000 // size_m] * 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world, item: with_projection(world, item, "1.1.0"),
        lambda world, item: with_projection(world, item, "2.0.0"),
        lambda world, item: item["properties"].update({"proj:epsg": None}),
        lambda world, item: item["properties"].update({"proj:epsg": 32632, "proj:bbox": [0, 0, 1, 1]}),
        lambda world, item: [asset.update(href=f"{asset['href']}?sv=2021&sig=a%2Fb%3D") for asset in
                             item["assets"].values() if "none" not in asset["href"]],
        lambda world, item: world.items.append(copy.deepcopy(item)),
        lambda world, item: item["properties"].update({"s2:processing_baseline": "N0510"}),
    ],
    ids=["proj 1", "proj 2", "no epsg", "another epsg", "signed", "listed twice", "baseline N0510"],
)  # fmt: skip
def test_what_items_tell_beside_their_files_does_not_change_the_numbers(world, tmp_path, spoil):
    item = world.of_planetary_computer("A", "2020-06-01T10:40:21", dn=with_offset)
    spoil(world, item)
    scene, left_out = fetch(world, tmp_path, s1="none")
    assert left_out == []
    np.testing.assert_allclose(scene["s2/reflectance"].sel(band="B04"), truth(world)[None], atol=1e-6)
