"""Scenes from a STAC API: what is fetched is what lies on the ground, and what fails is told or tried again."""

import warnings

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings import progress, stac
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.scenes import schema
from fluxlens.embeddings.stac import access, search
from fluxlens.models.errors import DataWarning, InputError
from stac_world import LAT, LON, ground

SIDE_M = 320


def request_of(world, **other) -> stac.Request:
    facts = {"start": "2020-06-01", "end": "2020-06-30", "provider": world.url} | other
    return stac.Request(LON, LAT, SIDE_M, **facts)


def fetched(world, tmp_path, weather=None, **other) -> tuple[xr.DataTree, list[str]]:
    """The scene, in memory, and what was left out."""
    with warnings.catch_warnings():
        # What is left out is asserted by its list here; the warning has a test of its own.
        warnings.simplefilter("ignore", DataWarning)
        left_out = progress.run(stac.fetch(request_of(world, **other), tmp_path / "scene.zarr", weather))
    return open_scene(tmp_path / "scene.zarr").load(), left_out


def reflectance_of(grid: Grid) -> np.ndarray:
    """Reflectance of the made-up ground at pixel centres, as digital numbers hold it."""
    return np.round(1000 + 4000 * ground(*grid.lonlat(*np.meshgrid(grid.x, grid.y)))) / 10_000


def test_the_scene_is_what_lies_on_the_ground(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21")
    world.s2("B", "2020-06-06T10:40:21", scl=9)
    world.s1("S", "2020-06-02T17:31:51", power=(0.1, 0.02))
    scene, left_out = fetched(world, tmp_path)
    s2, s1 = scene["s2"].to_dataset(), scene["s1"].to_dataset()
    grid = request_of(world).grid
    assert left_out == []
    assert (grid.crs, grid.nx, grid.left_m % 20, grid.top_m % 20) == ("EPSG:32631", 32, 0, 0)
    assert Grid.from_cube(s2) == grid
    assert list(s2.band.values) == list(schema.S2_BANDS)
    np.testing.assert_allclose(s2.reflectance.sel(band="B08")[0], reflectance_of(grid), atol=1e-6)
    coarse = Grid(grid.crs, grid.left_m, grid.top_m, 20.0, 16, 16)
    np.testing.assert_allclose(
        s2.reflectance.sel(band="B11")[0], reflectance_of(coarse).repeat(2, 0).repeat(2, 1), atol=1e-6
    )
    assert bool(s2.clear[0].all())
    assert not s2.clear[1].any()
    assert list(schema.utc_days(s2).astype(str)) == ["2020-06-01", "2020-06-06"]
    assert Grid.from_cube(s1) == coarse
    np.testing.assert_allclose(s1.backscatter[0, :, 3, 4], [-10, 10 * np.log10(0.02)], rtol=1e-6)
    assert list(s1.orbit.values) == ["ascending"]
    assert str(s1.time.values[0])[:19] == "2020-06-02T00:00:00"
    assert scene.attrs["simulated"] == 0
    assert world.url in scene.attrs["source"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "scene.zarr"]


@pytest.mark.parametrize(
    ("baseline", "names", "properties", "stored"),
    [
        ("02.14", "own", {}, 0),
        ("04.00", "own", {}, 1000),
        ("05.10", "own", {}, 1000),
        ("05.10", "common", {"earthsearch:boa_offset_applied": False}, 1000),
        ("05.10", "common", {"earthsearch:boa_offset_applied": True}, 0),
        ("05.10", "common", {"sentinel:boa_offset_applied": True}, 0),
        ("05.10", "common", {"sentinel:boa_offset_applied": "true"}, 0),
        ("05.10", "resolution", {}, 1000),
    ],
)
def test_reflectance_is_the_same_whatever_the_baseline_and_who_provides_it(
    world, tmp_path, baseline, names, properties, stored
):
    def numbers(lon, lat):
        return 1000 + 4000 * ground(lon, lat) + stored

    world.s2("A", "2020-06-01T10:40:21", dn=numbers, baseline=baseline, names=names, **properties)
    scene, _ = fetched(world, tmp_path)
    np.testing.assert_allclose(
        scene["s2/reflectance"].sel(band="B03")[0], reflectance_of(request_of(world).grid), atol=1e-6
    )


def test_an_untold_baseline_goes_by_the_date(world):
    for name, day in [("A", "24"), ("B", "26")]:
        del world.s2(name, f"2022-01-{day}T10:00:00")["properties"]["s2:processing_baseline"]
    found = stac.passes(request_of(world, start="2022-01-01", end="2022-02-01"))
    assert [search.baseline(one.items[0]) for one in found] == [3.0, 4.0]


@pytest.mark.parametrize("stored", [0, 1000])
def test_images_of_the_three_public_interfaces_give_the_same_reflectance(world, tmp_path, stored):
    def numbers(lon, lat):
        return 1000 + 4000 * ground(lon, lat) + stored

    baseline = "05.10" if stored else "02.14"
    world.of_planetary_computer("PC", "2020-06-01T10:40:21", baseline, numbers)
    world.of_earth_search("ES", "2020-06-06T10:40:21", baseline, numbers, removed=False)
    world.of_copernicus_data_space("CDSE", "2020-06-11T10:40:21", baseline, numbers)
    scene, left_out = fetched(world, tmp_path)
    assert left_out == []
    assert scene["s2"].sizes["time"] == 3
    truth = reflectance_of(request_of(world).grid)
    for date in range(3):
        np.testing.assert_allclose(scene["s2/reflectance"].sel(band="B02")[date], truth, atol=1e-6)


@pytest.mark.parametrize(
    ("properties", "name", "expected"),
    [
        ({"processing:version": "05.11"}, "A", 5.11),
        ({"sentinel:processing_baseline": "04.00"}, "A", 4.0),
        (
            {"processing:version": "sen2cor 2.11"},
            "S2B_MSIL2A_20200601T104021_N0209_R008_T31ABC_20200601T140000",
            2.09,
        ),
        ({}, "S2B_MSIL2A_20200601T104021_N0500_R008_T31ABC_20230101T140000", 5.0),
        ({"s2:product_uri": "S2B_MSIL2A_20200601T104021_N0500_R008_T31ABC_20230101T140000.SAFE"}, "A", 5.0),
        ({}, "S2B_31ABC_20200601_0_L2A", 3.0),
    ],
)
def test_the_baseline_is_read_from_the_properties_else_from_the_name_else_from_the_date(
    world, properties, name, expected
):
    item = world.s2(name, "2020-06-01T10:00:00")
    del item["properties"]["s2:processing_baseline"]
    item["properties"] |= properties
    (one,) = stac.passes(request_of(world))
    assert search.baseline(one.items[0]) == expected


def test_two_processings_of_an_image_on_either_side_of_a_full_hour_are_one_image(world):
    world.s2("old", "2020-06-01T10:59:58", baseline="02.14", platform="Sentinel-2A")
    new = world.s2("new", "2020-06-01T11:00:04", baseline="05.00", platform="sentinel-2a")
    del new["properties"]["s2:mgrs_tile"]
    new["properties"]["grid:code"] = "MGRS-31ABC"
    world.s2("next_orbit", "2020-06-01T12:40:00", baseline="02.14")
    with pytest.warns(DataWarning, match="1 of 3 images left out: old: new is a newer processing of it"):
        found = stac.passes(request_of(world))
    assert sorted(item.id for one in found for item in one.items) == ["new", "next_orbit"]


@pytest.mark.parametrize("lon", [180.0, -180.0, 179.999])
def test_a_square_across_the_antimeridian_finds_images_of_both_sides_and_no_others(world, lon):
    boxes = {
        "east": [179.95, -10.1, 180, -9.9],
        "west": [-180, -10.1, -179.95, -9.9],
        "far": [3, -10.1, 4, -9.9],
    }
    for minute, (name, box) in enumerate(boxes.items()):
        world.s2(name, f"2020-06-01T10:{minute}0:21")["bbox"] = box
    request = stac.Request(lon, -10, SIDE_M, "2020-06-01", "2020-06-30", world.url)
    assert all(west <= east for west, _, east, _ in search.bounding_boxes(request))
    ids = [item.id for one in stac.passes(request) for item in one.items]
    assert sorted(ids) == ["east", "west"]


def test_tiles_of_two_zones_on_one_day_are_one_image_and_clear_values_win(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21", scl=4)
    world.s2("B", "2020-06-01T10:40:25", zone=32, scl=4)
    world.s2("C", "2020-06-11T10:40:21", scl=9, dn=lambda lon, lat: 9000 + 0 * lon)
    world.s2("D", "2020-06-11T10:40:25", zone=32, scl=5)
    scene, _ = fetched(world, tmp_path)
    s2 = scene["s2"].to_dataset()
    assert s2.sizes["time"] == 2
    assert bool(s2.clear.all())
    truth = reflectance_of(request_of(world).grid)
    # the other zone's pixels lie askew: half a pixel of a slope of at most 0.004 a pixel
    assert float(abs(s2.reflectance.sel(band="B02") - truth).max()) < 0.005
    one_pixel = np.abs(np.diff(truth, axis=1)).max()
    assert one_pixel > 0.002  # a shift would show


def test_of_an_image_processed_twice_the_newer_one_counts(world, tmp_path):
    world.s2("new", "2020-06-01T10:40:21", baseline="05.00", dn=lambda lon, lat: 4000 + 0 * lon)
    world.s2("old", "2020-06-01T10:40:21", baseline="02.14", dn=lambda lon, lat: 1000 + 0 * lon)
    with pytest.warns(DataWarning, match="1 of 2 images left out: old: new is a newer processing of it"):
        (one,) = stac.passes(request_of(world))
    assert [item.id for item in one.items] == ["new"]


STRIP = "S2A_OPER_MSI_L2A_DS_VGS1_{}_S{}_N05.00"
FIRST, LATER, SENSED, NEXT = "20200601T140112", "20200603T081500", "20200601T104024", "20200601T104831"
PRODUCT = "S2A_MSIL2A_20200601T104021_N0500_R008_T31ABC_{}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"s2:datastrip_id": STRIP.format(FIRST, SENSED)}, {"s2:datastrip_id": STRIP.format(LATER, SENSED)}),
        (
            {"s2:generation_time": "2020-06-01T14:01:12.000000Z"},
            {"s2:generation_time": "2020-06-03T08:15:00Z"},
        ),
        (
            {"processing:datetime": "2020-06-01T14:01:12.000Z"},
            {"processing:datetime": "2020-06-03T08:15:00.5Z"},
        ),
        (
            {"s2:product_uri": f"{PRODUCT.format(FIRST)}.SAFE"},
            {"s2:product_uri": f"{PRODUCT.format(LATER)}.SAFE"},
        ),
    ],
    ids=["strip", "generation time", "processing time", "name"],
)
def test_of_two_processings_with_one_baseline_the_later_one_counts_and_is_told(world, tmp_path, old, new):
    world.s2("new", "2020-06-01T10:40:21", baseline="05.00", dn=lambda lon, lat: 4000 + 0 * lon, **new)
    world.s2("old", "2020-06-01T10:40:22", baseline="05.00", dn=lambda lon, lat: 2000 + 0 * lon, **old)
    message = "1 of 2 images left out: old: new is a later processing of it, with the same baseline"
    with pytest.warns(DataWarning, match=message):
        stac.passes(request_of(world))
    scene, left_out = fetched(world, tmp_path)
    assert len(left_out) == 1
    np.testing.assert_allclose(scene["s2/reflectance"], 0.3, rtol=1e-6)


def test_older_baselines_are_told_with_the_processing_that_counts(world):
    for name, baseline, made in (
        ("old", "04.00", FIRST),
        ("first", "05.00", FIRST),
        ("later", "05.00", LATER),
    ):
        strip = STRIP.format(made, SENSED)
        world.s2(name, "2020-06-01T10:40:21", baseline=baseline, **{"s2:datastrip_id": strip})
    with pytest.warns(DataWarning, match="2 of 3 images left out") as caught:
        (one,) = stac.passes(request_of(world))
    assert [item.id for item in one.items] == ["later"]
    assert "old: later is a newer processing of it" in str(caught[0].message)
    assert "first: later is a later processing of it" in str(caught[0].message)


def test_halves_of_an_image_are_no_processings_of_it_whenever_they_were_made(world):
    # The strip of data ends within the tile: its halves were sensed one after the other.
    world.s2("A", "2020-06-01T10:40:21", **{"s2:datastrip_id": STRIP.format(FIRST, SENSED)})
    world.s2("B", "2020-06-01T10:40:21", **{"s2:datastrip_id": STRIP.format(LATER, NEXT)})
    # Made on one day, and nothing else is told.
    world.s2("C", "2020-06-06T10:40:21", **{"s2:product_uri": PRODUCT.format("20200606T140112")})
    world.s2("D", "2020-06-06T10:40:21", **{"s2:product_uri": PRODUCT.format("20200606T141500")})
    # Made on other days of other footprints.
    for name, made, edge in (("E", FIRST, -1), ("F", LATER, 1)):
        item = world.s2(name, "2020-06-11T10:40:21", **{"s2:product_uri": PRODUCT.format(made)})
        (west, south, east, north), middle = item["bbox"], LON
        west, east = (west, middle) if edge < 0 else (middle, east)
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        item["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    found = stac.passes(request_of(world))
    assert sorted(item.id for one in found for item in one.items) == list("ABCDEF")


def test_two_halves_of_an_image_are_both_read(world, tmp_path):
    for name, side in [("east", 1), ("west", -1)]:
        world.s2(
            name,
            "2020-06-01T10:40:21",
            dn=lambda lon, lat, side=side: np.where((lon - LON) * side > 0, 3000, 0),
        )
    scene, _ = fetched(world, tmp_path)
    assert float(scene["s2/clear"].mean()) > 0.95  # but where a 20 m pixel has a foot in either half
    np.testing.assert_allclose(scene["s2/reflectance"], 0.3, rtol=1e-6)


def test_slices_are_averaged_as_power_and_orbits_of_one_day_keep_their_hour(world, tmp_path):
    world.s1("up", "2020-06-02T17:31:51", power=(0.1, 0.02))
    world.s1("up_next", "2020-06-02T17:32:16", power=(0.3, 0.04))
    world.s1("down", "2020-06-02T05:50:00", power=(0.05, 0.01), orbit="descending")
    world.s1("wide", "2020-06-03T05:50:00", **{"sar:instrument_mode": "EW"})
    scene, _ = fetched(world, tmp_path)
    s1 = scene["s1"].to_dataset()
    assert list(s1.orbit.values) == ["descending", "ascending"]
    assert [str(time)[:19] for time in s1.time.values] == ["2020-06-02T05:50:00", "2020-06-02T17:31:51"]
    np.testing.assert_allclose(s1.backscatter[1, :, 0, 0], 10 * np.log10([0.2, 0.03]), rtol=1e-6)


def test_ground_range_images_are_calibrated_and_laid_on_the_map(world, tmp_path):
    world.grd(
        "G", "2020-06-02T05:50:00", lambda lon, lat: 2000 * (1 + ground(lon, lat)), lambda row, col: 40_000.0
    )
    scene, _ = fetched(world, tmp_path, s1="grd")
    s1 = scene["s1"].to_dataset()
    grid = Grid.from_cube(s1)
    truth = 20 * np.log10(0.05 * (1 + ground(*grid.lonlat(*np.meshgrid(grid.x, grid.y)))))
    np.testing.assert_allclose(s1.backscatter[0, 0], truth, atol=0.05)
    assert np.abs(np.diff(truth, axis=1)).max() > 0.1  # a shift of one pixel would show
    assert list(s1.orbit.values) == ["descending"]


def test_the_gain_of_a_ground_range_image_is_taken_where_the_pixel_is(world, tmp_path):
    from fluxlens.embeddings.stac import grd

    world.grd(
        "G", "2020-06-02T05:50:00", lambda lon, lat: 1000 + 0 * lon, lambda row, col: 300 + row / 10 + col
    )
    row, col = np.array([0.0, 100.0, 159.0]), np.array([0.0, 50.5, 159.0])
    gain = grd._gain(f"{world.url}/store/G_vv.xml", row, col)
    np.testing.assert_allclose(gain, 300 + row / 10 + col)


def test_a_calibration_that_is_gone_is_named_and_a_busy_one_waited_for(world, tmp_path):
    for name, day in [("G", "02"), ("H", "08")]:
        world.grd(name, f"2020-06-{day}T05:50:00", lambda lon, lat: 1000 + 0 * lon, lambda row, col: 4000.0)
    (world.folder / "G_vh.xml").unlink()
    world.faults["/store/H_vv.xml"] = [503, 503]
    scene, left_out = fetched(world, tmp_path, s1="grd")
    assert left_out == ["G: its calibration is not there (code 404)"]
    np.testing.assert_allclose(scene["s1/backscatter"], 20 * np.log10(1 / 4), rtol=1e-5)


def test_every_page_of_the_answer_is_read(world):
    world.page = 2
    for day in range(1, 6):
        world.s1(f"S{day}", f"2020-06-0{day}T17:31:51")
    assert len(stac.passes(request_of(world))) == 5


def test_days_outside_are_not_asked_for(world):
    for name, day in [("A", "05-31"), ("B", "06-01"), ("C", "06-30"), ("D", "07-01")]:
        world.s1(name, f"2020-{day}T23:59:30")
    assert [one.items[0].id for one in stac.passes(request_of(world))] == ["B", "C"]


@pytest.mark.parametrize("path", ["/", "/search", "/store/A_B05.tif", "/store/A_SCL.tif"])
@pytest.mark.parametrize("fault", [503, 429, "slow"])
def test_a_busy_or_slow_server_is_asked_again(world, tmp_path, path, fault, monkeypatch):
    if fault == "slow":
        monkeypatch.setattr(access, "TIMEOUT_S", 1.5)
    world.s2("A", "2020-06-01T10:40:21")
    world.faults[path] = [fault, fault]
    scene, left_out = fetched(world, tmp_path, s1="none")
    assert left_out == []
    assert bool(scene["s2/clear"].all())
    assert world.faults[path] == []


def test_a_server_that_stays_busy_ends_it_and_the_next_run_goes_on(world, tmp_path):
    for day in (1, 6, 11):
        world.s2(f"A{day:02d}", f"2020-06-{day:02d}T10:40:21")
    world.faults["/store/A06_B05.tif"] = [503] * 1000
    with pytest.raises(InputError, match=r"no answer from 127.*run the same command again"):
        progress.run(stac.fetch(request_of(world), tmp_path / "scene.zarr"))
    assert not (tmp_path / "scene.zarr").exists()
    world.faults.clear()
    world.requests.clear()
    scene, _ = fetched(world, tmp_path)
    assert scene["s2"].sizes["time"] == 3
    assert bool(scene["s2/clear"].all())
    assert not any("A01" in path for path in world.requests)
    assert any("A11" in path for path in world.requests)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "scene.zarr"]


def test_a_file_that_is_cut_off_costs_its_image_only(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21")
    world.s2("B", "2020-06-06T10:40:21", scl=9)
    world.s2("C", "2020-06-06T10:40:25", zone=32)
    world.s2("D", "2020-06-11T10:40:21")
    for name in ("A_B04.tif", "C_SCL.tif"):
        file = world.folder / name
        file.write_bytes(file.read_bytes()[: 600 if name[0] == "A" else file.stat().st_size // 2])
    scene, left_out = fetched(world, tmp_path)
    assert [sentence.split(":")[0] for sentence in left_out] == ["A", "C"]
    assert all("cannot be read" in sentence for sentence in left_out)
    assert scene.attrs["left_out"] == left_out
    assert list(schema.utc_days(scene["s2"].to_dataset()).astype(str)) == ["2020-06-06", "2020-06-11"]
    assert not scene["s2/clear"][0].any()


def test_an_image_without_all_its_files_is_left_out_and_named(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21", lacks=("B8A",))
    world.s2("B", "2020-06-06T10:40:21")
    world.s2("C", "2020-06-11T10:40:21")
    (world.folder / "B_B12.tif").unlink()
    scene, left_out = fetched(world, tmp_path)
    assert left_out == ["A: it has no B8A", "B: its B12 is not there (code 404)"]
    assert scene["s2"].sizes["time"] == 1


@pytest.fixture
def bucket(world, monkeypatch):
    """The world's files as a bucket of S3 as well."""
    endpoint = {"AWS_S3_ENDPOINT": world.url.removeprefix("http://"), "AWS_HTTPS": "NO"}
    account = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine", "AWS_VIRTUAL_HOSTING": "FALSE"}
    for name, value in {**endpoint, **account}.items():
        monkeypatch.setenv(name, value)
    return world


def test_files_on_s3_are_read_with_the_account_of_the_environment(bucket, tmp_path):
    item = bucket.s1("S", "2020-06-02T17:31:51", power=(0.1, 0.01))
    for band in ("vv", "vh"):
        item["assets"][band]["href"] = f"s3://store/S_{band}.tif"
    scene, _ = fetched(bucket, tmp_path)
    np.testing.assert_allclose(scene["s1/backscatter"][0, :, 0, 0], [-10, -20], rtol=1e-6)


def test_another_radar_product_keeps_the_optical_dates(bucket, tmp_path):
    bucket.s2("A", "2020-06-01T10:40:21")
    item = bucket.s1("S", "2020-06-02T17:31:51")
    item["assets"]["vv"]["href"] = "s3://no-such-bucket/vv.tif"
    with pytest.raises(InputError, match=r"no-such-bucket.*AWS variables.*another --s1"):
        fetched(bucket, tmp_path)
    bucket.requests.clear()
    scene, _ = fetched(bucket, tmp_path, s1="none")
    assert list(scene.children) == ["s2"]
    assert not any(path.startswith("/store") for path in bucket.requests)


def test_where_nothing_can_be_read_there_is_no_scene(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21", lacks=("B8A",))
    with pytest.raises(InputError, match=r"without a single value.*A: it has no B8A"):
        fetched(world, tmp_path)
    assert not (tmp_path / "scene.zarr").exists()


def test_an_image_that_misses_the_square_is_no_date(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21", dn=lambda lon, lat: 0 * lon, scl=0)
    world.s2("B", "2020-06-06T10:40:21")
    scene, _ = fetched(world, tmp_path)
    assert list(schema.utc_days(scene["s2"].to_dataset()).astype(str)) == ["2020-06-06"]


@pytest.fixture
def signed(world, monkeypatch):
    """The world behind tokens, given to everybody but the owner of a wrong key."""
    world.token = "sig=secret"
    monkeypatch.setattr(access, "BLOBS", "127.0.0.1")
    monkeypatch.setattr(access, "TOKENS", f"{world.url}/token")
    monkeypatch.setattr(access, "_tokens", {})
    return world


def test_storage_that_wants_a_token_gets_one_and_it_is_asked_for_once(signed, tmp_path):
    signed.s2("A", "2020-06-01T10:40:21")
    signed.s2("B", "2020-06-06T10:40:21")
    scene, left_out = fetched(signed, tmp_path)
    assert (scene["s2"].sizes["time"], left_out) == (2, [])
    assert signed.requests["/token/127/store"] == 1
    assert "secret" not in str(scene.attrs)


def test_storage_that_lets_nobody_in_says_what_to_set(signed, tmp_path, monkeypatch):
    signed.s1("S", "2020-06-02T17:31:51")
    monkeypatch.setenv(access.KEY, "nobody")
    with pytest.raises(InputError, match=rf"code 403 .*set {access.KEY}.*another --s1"):
        fetched(signed, tmp_path)
    monkeypatch.delenv(access.KEY)
    monkeypatch.setattr(access, "BLOBS", "no.such.host")  # without a token the storage itself refuses
    with pytest.raises(InputError, match=rf"code 403 .*set {access.KEY}"):
        fetched(signed, tmp_path)


def test_a_token_is_renewed_before_it_ends(signed, monkeypatch):
    href = f"{signed.url}/store/x.tif"
    assert access.sign(href) == f"{href}?sig=secret"
    place, (token, until) = next(iter(access._tokens.items()))
    access._tokens[place] = (token, until.replace(year=2000))
    access.sign(href)
    assert signed.requests["/token/127/store"] == 2
    assert access.sign("https://example.com/x.tif") == "https://example.com/x.tif"


def test_a_plan_says_how_much_and_fetches_nothing(world, monkeypatch):
    monkeypatch.setattr(search, "BLOCK_PX", 128)
    rng = np.random.default_rng(0)
    world.s2("A", "2020-06-01T10:40:21", dn=lambda lon, lat: rng.integers(1, 60_000, lon.shape))
    request = request_of(world)
    to_fetch, to_keep = stac.estimate(stac.passes(request), request)
    assert not any(path.startswith("/store") for path in world.requests)
    assert to_keep == 32 * 32 * 21
    from fluxlens.embeddings.stac import pixels

    pixels.read(stac.passes(request)[0], request.grid)
    sent = sum(size for path, size in world.sent.items() if path.startswith("/store"))
    assert sent / 3 < to_fetch < sent * 3  # noise cannot be compressed; heads and whole blocks are the rest


def test_weather_of_a_table_goes_into_the_scene(world, tmp_path):
    from fluxlens.embeddings.readers import weather_table

    world.s2("A", "2020-06-01T10:40:21")
    table = tmp_path / "weather.csv"
    table.write_text("# station\nDate, tair, sw_in, wind\n2020-06-02,12.5,-9999,3\n2020-06-01,11,200,4\n")
    scene, _ = fetched(world, tmp_path, weather_table.open(table))
    weather = scene["weather"].to_dataset()
    assert set(weather.data_vars) == {"tair", "sw_in"}
    np.testing.assert_array_equal(weather.tair, [11, 12.5])
    np.testing.assert_array_equal(weather.sw_in, [200, np.nan])
    assert weather.sw_in.attrs["units"] == "W m-2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("day,tair\n2020-06-01,3\n", "columns day, tair, need time and some of sw_in in W m-2"),
        ("time,wind\n2020-06-01,3\n", "need time and some of"),
        ("time,tair\nsoon,3\n", "no number or no date"),
        ("time,tair\n2020-06-01,warm\n", "no number or no date"),
        ("time,tair\n2020-06-01,3\n2020-06-01T12:00,4\n", "2020-06-01 twice"),
        ("time,tair\n2020-06-01,293\n", "subtract 273.15"),
        ("", "no table"),
        ("\x00\xff", "need"),
    ],
)
def test_a_table_that_is_no_weather_is_refused(tmp_path, text, message):
    from fluxlens.embeddings.readers import weather_table

    (tmp_path / "w.csv").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        weather_table.open(tmp_path / "w.csv")


def test_weather_of_the_place_is_fetched_with_the_days_before(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21")
    request = request_of(world)
    scene, _ = fetched(world, tmp_path, stac.weather(request, f"{world.url}/power"))
    weather = scene["weather"].to_dataset()
    assert (str(weather.time.values[0])[:10], weather.sizes["time"]) == ("2020-05-02", 60)
    np.testing.assert_allclose(weather.sw_in[:-1], np.arange(122, 181), rtol=1e-6)
    assert weather.to_dataframe().iloc[-1].drop("spatial_ref", errors="ignore").isna().all()
    # FAO-56, example 3: e(20) = 2.338 kPa; tables 2.3: e(4) = 0.813, e(3) = 0.758
    np.testing.assert_allclose(weather.vpd[0], (23.38 + 8.13) / 2 - 7.58, atol=0.01)
    assert float(weather.tair[0]) == 12
    assert float(weather.precip[0]) == 1.5
    assert "NASA POWER" in weather.attrs["source"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda answer: answer["parameters"]["ALLSKY_SFC_SW_DWN"].update(units="cal"),
            "no weather .KeyError 'cal'",
        ),
        (lambda answer: answer["properties"]["parameter"].pop("T2MDEW"), "no weather .KeyError"),
        (lambda answer: answer.clear(), "no weather .KeyError 'header'"),
    ],
)
def test_an_answer_that_is_no_weather_is_told(world, monkeypatch, spoil, message):
    whole = world.weather

    def spoiled(query):
        answer = whole(query)
        spoil(answer)
        return answer

    world.weather = spoiled
    with pytest.raises(InputError, match=rf"{message}.*--weather FILE.csv"):
        stac.weather(request_of(world), f"{world.url}/power")


def test_a_weather_service_that_refuses_or_is_silent_is_told(world):
    world.faults["/power"] = [422]
    with pytest.raises(InputError, match=r"code 422 from 127.*--weather FILE.csv"):
        stac.weather(request_of(world), f"{world.url}/power")
    world.faults["/power"] = [503, 503]
    assert stac.weather(request_of(world), f"{world.url}/power").sizes["time"] == 60


def test_haze_that_the_classification_missed_is_found_on_request(world, tmp_path):
    for day in (1, 6, 11, 16, 21):
        hazy = 700 * (day == 11)
        world.s2(
            f"A{day:02d}", f"2020-06-{day:02d}T10:40:21", dn=lambda lon, lat, hazy=hazy: 900 + hazy + 0 * lon
        )
    scene, _ = fetched(world, tmp_path, s1="none", clear="haze")
    assert scene["s2/clear"].all(("y", "x")).values.tolist() == [True, True, False, True, True]
    assert scene["s2/clear"].attrs["detector"] == "haze"


def test_an_existing_scene_or_a_missing_folder_is_refused_before_anything_is_asked(world, tmp_path):
    for out, message in [(tmp_path, "exists already"), (tmp_path / "no" / "scene", "a folder that exists")]:
        with pytest.raises(InputError, match=message):
            progress.run(stac.fetch(request_of(world), out))
    assert not world.requests


def test_no_image_is_told_with_what_was_asked(world, tmp_path):
    with pytest.raises(InputError, match=r"no image of 2020-06-01 to 2020-06-30 at 5\.99,50\.75"):
        progress.run(stac.fetch(request_of(world), tmp_path / "scene.zarr"))
    assert list(tmp_path.iterdir()) == [tmp_path / "files"]


def test_an_address_without_a_catalog_is_told(world, tmp_path):
    with pytest.raises(InputError, match=r"no STAC API at .*/nothing .code 404"):
        progress.run(stac.fetch(request_of(world, provider=f"{world.url}/nothing"), tmp_path / "scene.zarr"))
    world.close()
    with pytest.raises(InputError, match="no answer from 127"):
        progress.run(stac.fetch(request_of(world), tmp_path / "scene.zarr"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lat": 86.0}, "lat 86"),
        ({"lon": float("nan")}, "lon nan"),
        ({"size_m": 50}, "try 40"),
        ({"size_m": 0}, "try 40"),
        ({"size_m": 10**7}, "try 20480"),
        ({"start": "2020-07-01"}, "need start before end"),
        ({"end": "June"}, "'June', need YYYY-MM-DD"),
        ({"clear": "fmask"}, "need one of scl, haze"),
        ({"provider": "nasa"}, "need planetary-computer, earth-search or the URL"),
        ({"s1": "slc"}, "need one of rtc, grd"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(wrong, message):
    right = {"lon": LON, "lat": LAT, "size_m": 320, "start": "2020-06-01", "end": "2020-06-30"}
    with pytest.raises(InputError, match=message):
        stac.Request(**(right | wrong))


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [(5.99, 50, "EPSG:32631"), (6.01, 50, "EPSG:32632"), (180, -10, "EPSG:32760"), (-180, 0, "EPSG:32601")],
)
def test_the_grid_is_in_the_zone_of_the_point(lon, lat, crs):
    grid = stac.Request(lon, lat, 640, "2020-06-01", "2020-06-02").grid
    assert grid.crs == crs
    back = grid.lonlat(grid.x.mean(), grid.y.mean())
    assert np.allclose(np.mod(back[0] - lon + 180, 360) - 180, 0, atol=2e-4)
    assert back[1] == pytest.approx(lat, abs=2e-4)


def test_an_update_fetches_only_the_days_the_scene_lacks_and_joins_them(world, tmp_path):
    world.s2("A", "2020-06-01T10:40:21")
    world.s2("C", "2020-06-11T10:40:21")
    world.s1("S", "2020-06-02T17:31:51")
    before, _ = fetched(world, tmp_path)
    # One pass in the middle, one at the end; what is there already is not fetched again: its files are gone.
    for file in (tmp_path / "files").glob("[ACS]*"):
        file.unlink()
    world.s2("B", "2020-06-06T10:40:21", scl=9)
    world.s1("T", "2020-06-26T17:31:51", power=(0.2, 0.02))
    left_out = progress.run(stac.fetch(request_of(world), tmp_path / "scene.zarr", update=True))
    after = open_scene(tmp_path / "scene.zarr").load()
    assert left_out == []
    assert list(schema.utc_days(after["s2"]).astype(str)) == ["2020-06-01", "2020-06-06", "2020-06-11"]
    assert list(schema.utc_days(after["s1"]).astype(str)) == ["2020-06-02", "2020-06-26"]
    for name, at in (("s2", [0, 2]), ("s1", [0])):
        xr.testing.assert_equal(after[name].to_dataset().isel(time=at), before[name].to_dataset())
    assert after.attrs["title"] == before.attrs["title"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "scene.zarr"]
    written = (tmp_path / "scene.zarr").stat().st_mtime_ns
    progress.run(stac.fetch(request_of(world), tmp_path / "scene.zarr", update=True))
    assert (tmp_path / "scene.zarr").stat().st_mtime_ns == written
    elsewhere = stac.Request(LON, LAT, SIDE_M + 40, "2020-06-01", "2020-06-30", world.url)
    with pytest.raises(InputError, match="give --at and --size-m as for the scene"):
        progress.run(stac.fetch(elsewhere, tmp_path / "scene.zarr", update=True))
    with pytest.raises(InputError, match="leave --update out"):
        progress.run(stac.fetch(request_of(world), tmp_path / "none.zarr", update=True))
