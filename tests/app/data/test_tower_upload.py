"""A visitor's tower: what is taken, what is refused, and that it stands in one visitor's scene alone."""

import asyncio
import io
import tempfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from app_world import DAYS, GRID, NX, NY, TinyStore, give, predict, tower_file
from bokeh.document import Document
from fluxlens.app.data import ExplorerData
from fluxlens.app.data.towers import upload
from fluxlens.app.data.uploaded_file import TOWER_ENDINGS
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.session.panel_setup import setup
from fluxlens.embeddings import unpacking
from fluxlens.models.errors import DataWarning, InputError

HERE = tuple(float(v) for v in GRID.lonlat(float(GRID.x[50]), float(GRID.y[10])))
NAME = "FLX_YY-Own_FLUXNET2015_FULLSET_DD_2019-2020_1-4.csv"


@pytest.fixture(scope="module")
def half_hours():
    return upload.read_tower_file(
        ExplorerData(TinyStore(), predict).scene,
        NAME.replace("_DD_", "_HH_"),
        tower_file(half_hours=True),
        *HERE,
    )


@pytest.fixture(scope="module", autouse=True)
def _extension():
    setup()


def arrive(form, content: bytes) -> None:
    """Gives the form a file and waits until it is read."""

    async def read() -> None:
        give(form.file, NAME, content)
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    asyncio.run(read())


def packed(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def test_wind_in_another_unit_is_told_and_gpp_is_taken(data):
    turned = tower_file(half_hours=True).replace(b",270.000", b",4.712").splitlines(keepends=True)
    # Directions that all are one number could be any: some of them differ.
    content = b"".join(line.replace(b",4.712", b",%.3f" % (n % 60 / 10)) for n, line in enumerate(turned))
    with pytest.warns(DataWarning, match="no footprint: .*radians"):
        found = upload.read_tower_file(data.scene, NAME.replace("_DD_", "_HH_"), content, *HERE)
    assert found.wind is None
    assert "gpp_dt" in found.tower


def as_workbook(content: bytes) -> bytes:
    out = io.BytesIO()
    pd.read_csv(io.BytesIO(content)).to_excel(out, index=False)
    return out.getvalue()


@pytest.mark.parametrize("wrap", [bytes, lambda content: packed(NAME, content), as_workbook])
def test_a_file_or_a_zip_becomes_a_tower_at_its_place_and_nothing_stays(data, wrap, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = upload.read_tower_file(data.scene, NAME, wrap(tower_file()), *HERE)
    assert found.tower.attrs["site"] == "YY-Own"
    assert (found.tower.attrs["lon"], found.tower.attrs["lat"]) == HERE
    assert found.wind is None
    assert list(tmp_path.iterdir()) == []
    assert ".xlsx" in TOWER_ENDINGS
    stood = data.with_tower(found.tower)
    assert stood.start_pixel == (10, 50)
    assert "gpp_usual" in stood.tower
    comparison = stood.compare_tower("gpp_dt", 0.75)
    assert np.isfinite(comparison.measured).sum() == np.sum(found.tower.qc.sel(time=DAYS) >= 0.75)
    assert {"model.daily.nse", "model.monthly.nse", "day_of_year.daily.nse"} <= set(comparison.scores)


def test_the_scene_s_own_tower_stays_for_everybody_else(data):
    before = data.compare_tower("gpp_nt", 0.5)
    stood = data.with_tower(upload.read_tower_file(data.scene, NAME, tower_file(), *HERE).tower)
    assert stood.compare_tower("gpp_nt", 0.5).scores != before.scores
    assert data.compare_tower("gpp_nt", 0.5) is before
    assert (data.start_pixel, data.tower.attrs["site"]) == ((20, 28), "XX-Tst")
    assert stood.pixel_series(3, 3) is data.pixel_series(3, 3)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("../../etc/passwd", b"root:x:0:0\n", "need a FLUXNET file with a column TIMESTAMP"),
        (
            "a.csv",
            b"TIMESTAMP,GPP_NT_VUT_REF\n20110101,3\n20110102,3\n",
            "2011-01-01 to 2011-01-02, need days",
        ),
        (
            "a.csv",
            b"TIMESTAMP,GPP_NT_VUT_REF\n20200501,-9999\n20200502,-9999\n",
            "without a single day of GPP",
        ),
        ("x_MM_1.csv", b"TIMESTAMP,GPP_NT_VUT_REF\n202005,3\n202006,3\n", "a monthly file, need days"),
        ("a.zip", packed("notes.txt", b"hello"), "without a *_DD_*.csv"),
        ("a.zip", packed(NAME, tower_file())[:-200], "need"),
        ("<img src=x>.csv", b"\x00\x01\x02", "_img_src_x_.csv"),
    ],
)
def test_what_is_no_tower_of_this_scene_is_one_sentence(data, name, content, match):
    with pytest.raises(InputError) as error:
        upload.read_tower_file(data.scene, name, content, *HERE)
    assert match in str(error.value)
    assert tempfile.gettempdir() not in str(error.value)


def test_a_zip_that_unpacks_beyond_bounds_is_refused_unread(data, monkeypatch):
    monkeypatch.setattr(unpacking, "FREE_BYTES", 10_000)
    monkeypatch.setattr(unpacking, "MAX_RATIO", 1)
    with pytest.raises(InputError, match="1 times its packed size"):
        upload.read_tower_file(data.scene, "a.zip", packed(NAME, tower_file()), *HERE)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("here", "need latitude and longitude in degrees"),
        ("4.2", "need latitude and longitude in degrees"),
        ("50, 4", "outside the scene; need latitude"),
        ("nan, 50", "need latitude and longitude in degrees"),
        ("1 2 3", "need latitude and longitude in degrees"),
    ],
)
def test_a_place_that_is_none_is_one_sentence(data, text, match):
    with pytest.raises(InputError, match=match):
        upload.parse_location(data.scene, text, (0, 0))


def test_longitude_first_is_told_to_be_so(data):
    lon, lat = HERE
    with pytest.raises(InputError, match="type the latitude first"):
        upload.parse_location(data.scene, f"{lon:.6f}, {lat:.6f}", (0, 0))


def test_an_empty_place_is_the_chosen_pixel(data):
    assert data.grid.pixel(*upload.parse_location(data.scene, " ", (7, 9))) == (7, 9)
    lon, lat = HERE
    assert upload.parse_location(data.scene, f"{lat:.6f}; {lon:.6f}", (7, 9)) == pytest.approx(HERE, abs=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        "{lat:.6f}, {lon:.6f}", "{lat:.6f} {lon:.6f}", "{lat:.6f}; {lon:.6f}", "{lat:.6f} N, {lon:.6f} E",
        "{lat:.6f}N {lon:.6f}E", "{degrees_lat}N {degrees_lon}E", "{comma_lat}; {comma_lon}",
    ],
)  # fmt: skip
def test_a_place_may_be_typed_as_maps_copy_it(data, form):
    lon, lat = HERE

    def written(degrees: float) -> str:
        whole, minutes = divmod(degrees * 60, 60)
        return f"{whole:.0f}\u00b0{int(minutes):02d}'{minutes % 1 * 60:.3f}\""

    text = form.format(
        lon=lon, lat=lat, degrees_lon=written(lon), degrees_lat=written(lat),
        comma_lon=f"{lon:.6f}".replace(".", ","), comma_lat=f"{lat:.6f}".replace(".", ","),
    )  # fmt: skip
    assert upload.parse_location(data.scene, text, (7, 9)) == pytest.approx(HERE, abs=1e-6)


def test_an_upload_sends_a_large_file_in_parts_and_refuses_a_larger_one(data):
    from fluxlens.app.state import State
    from fluxlens.app.views.file_upload import FileUpload

    got, state = [], State()
    button = FileUpload(state, lambda name, content: got.append((name, content)), 5000, "make it less")
    content = bytes(range(256)) * 16
    assert give(button, "a", content, part=1000) == [0, 1000, 2000, 3000, 4000, None]
    assert got == [("a", content)]
    assert give(button, "b", bytes(5001)) == [None]
    assert state.message == "Got a file of 5,001 bytes, need 1 to 5,000; make it less."
    button._handle_msg({"name": "c", "size": 10})
    button._handle_msg({"part": "AAAA" * 1000})  # more than was said
    assert len(got) == 1


def test_a_radius_is_the_mean_over_its_pixels(data):
    comparison = data.compare_tower("gpp_nt", 0.5, ("radius", 60.0))
    rows, cols = np.nonzero(
        np.hypot(*np.meshgrid(GRID.x - data.observations.xy[0], GRID.y - data.observations.xy[1])) <= 60
    )
    assert comparison.footprint.label == "pixels within 60 m"
    each = [data.pixel_series(int(r), int(c)).gpp.values for r, c in zip(rows, cols, strict=True)]
    np.testing.assert_allclose(comparison.lines["model"], np.mean(each, 0), rtol=1e-4, atol=1e-4)
    xs, ys = map(np.asarray, comparison.footprint.outlines[0])
    np.testing.assert_allclose(np.hypot(xs - data.observations.xy[0], ys - data.observations.xy[1]), 60)


def test_a_wide_radius_is_told_by_some_of_its_pixels(data):
    from fluxlens.app.data import areas

    footprint = data.tower_footprint("radius", 500.0)
    assert len(footprint.rows) <= areas.MAX_PIXELS
    assert f"of {NX * NY:,} pixels read" in footprint.label
    assert footprint.weights.sum() == pytest.approx(1)
    assert np.average(footprint.cols, weights=footprint.weights) == pytest.approx((NX - 1) / 2, abs=0.7)
    assert np.average(footprint.rows, weights=footprint.weights) == pytest.approx((NY - 1) / 2, abs=0.7)


def test_the_footprint_lies_upwind_and_its_lines_hold_what_they_say(data, half_hours):
    stood = data.with_tower(half_hours.tower, half_hours.wind)
    footprint = stood.tower_footprint("footprint", 3.0)
    x, y = stood.observations.xy
    assert (
        np.average(GRID.x[footprint.cols], weights=footprint.weights) < x - 20
    )  # the wind comes from the west
    assert abs(np.average(GRID.y[footprint.rows], weights=footprint.weights) - y) < 5
    half, most = (np.nanmin(xs) for xs, _ in footprint.outlines)
    assert most < half < x
    comparison = stood.compare_tower("gpp_dt", 0.5, ("footprint", 3.0))
    assert "footprint" not in " ".join(comparison.missing)
    assert (
        comparison.scores["model.daily.rmse"] != stood.compare_tower("gpp_dt", 0.5).scores["model.daily.rmse"]
    )


def test_contours_hold_their_share(data):
    from fluxlens.app.data.towers.footprint import find_contours

    x, y = np.meshgrid(GRID.x - GRID.x[30], GRID.y - GRID.y[24])
    bell = np.exp(-(x**2 + y**2) / 2 / 60**2)
    lines = find_contours(GRID, bell / bell.sum())
    for (xs, ys), share in zip(lines, (0.5, 0.8), strict=True):
        radius = np.hypot(np.array(xs) - GRID.x[30], np.array(ys) - GRID.y[24])
        np.testing.assert_allclose(radius, 60 * np.sqrt(-2 * np.log(1 - share)), rtol=0.06)


def test_a_footprint_that_cannot_be_had_says_why_and_the_pixel_stands_in(data, half_hours):
    comparison = data.compare_tower("gpp_nt", 0.5, ("footprint", 3.0))
    assert "without half-hourly wind" in comparison.missing[0]
    np.testing.assert_array_equal(comparison.lines["model"], data.compare_tower("gpp_nt", 0.5).lines["model"])
    with pytest.raises(InputError, match="no height of the sensors"):
        data.with_tower(half_hours.tower, half_hours.wind).tower_footprint("footprint", None)


def test_the_screen_takes_a_tower_shows_it_and_lets_it_go():
    explorer = Explorer(data=ExplorerData(TinyStore(), predict))
    explorer.panel().server_doc(Document())
    state = explorer.state
    explorer.tap(*explorer.data.centre(10, 50))
    state.layer, state.page = "sigma", "tower"
    arrive(explorer.tower_upload, tower_file())
    assert state.message == ""
    assert explorer.data.start_pixel == (10, 50)
    assert (state.pixel, state.layer, state.page) == ((10, 50), "sigma", "tower")
    assert explorer.map_view.plot.tower_xy == pytest.approx(explorer.data.centre(10, 50))
    assert "Tower YY-Own" in explorer.tabs.tabs.options
    state.param.update(footprint_kind="radius", radius_m=80)
    assert len(explorer.map_view.plot.footprint.data["xs"]) == 1
    state.page = "series"
    assert explorer.map_view.plot.footprint.data["xs"] == []
    state.page = "tower"
    explorer.remove_tower()
    assert "Tower XX-Tst" in explorer.tabs.tabs.options
    assert state.pixel == (10, 50)


def test_a_scene_without_a_tower_takes_one():
    store = TinyStore()
    del store._scene["tower"]
    explorer = Explorer(data=ExplorerData(store, predict))
    explorer.panel().server_doc(Document())
    explorer.state.page = "tower"
    explorer.tower_upload.location.value = "nowhere"
    arrive(explorer.tower_upload, tower_file())
    assert "need latitude and longitude" in explorer.state.message
    explorer.tower_upload.location.value = "{:.6f}, {:.6f}".format(*HERE[::-1])
    arrive(explorer.tower_upload, tower_file())
    assert explorer.state.message == ""
    assert explorer.data.observations.fluxes == ["gpp_nt", "gpp_dt"]
    assert "gpp" in explorer.series_view.charts.figures
