"""A visit in a real browser: a tap changes the series, keys step the day, a file is saved."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from app_world import tower_file
from PIL import Image

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
ARTIFACTS = ROOT / "artifacts"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def chromium():
    found = (
        os.environ.get("FLUXLENS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium found; install it or set FLUXLENS_CHROMIUM")
        pytest.skip("no Chromium found; install it or set FLUXLENS_CHROMIUM")
    return found


@pytest.fixture(scope="module")
def url(catalog):
    with serving(catalog) as address:
        yield address


@contextmanager
def serving(catalog, arguments: tuple[str, ...] = (), **settings: str):
    """The dashboard served by the command line, as a user would; its address."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "fluxlens.app.cli",
        "serve",
        "--catalog",
        str(catalog),
        "--port",
        str(port),
        *arguments,
    ]
    with subprocess.Popen(
        command,
        cwd=catalog.parent,
        env=os.environ | {"FLUXLENS_CACHE": str(catalog.parent / "cache")} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as server:
        address = f"http://localhost:{port}/"
        until = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(address, timeout=30).close()
                break
            except OSError:
                if server.poll() is not None:
                    pytest.fail(f"the server ended: {server.stderr.read().decode()[-2000:]}")
                if time.monotonic() > until:
                    server.kill()
                    pytest.fail("the server did not answer in 90 s")
                time.sleep(0.3)
        try:
            yield address
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def visit(browser, url):
    """A page with the explorer on it; remembers requests to other hosts and errors of the page."""
    page = browser.new_page(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    page.strange, page.wrong = [], []
    page.on("request", lambda r: None if local(r.url) else page.strange.append(r.url))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    # A day of its own: which one a store opens on is the concern of test_browser_first_minute.py.
    page.goto(f"{url}?day=2020-07-01")
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.locator("canvas").first.wait_for()
    page.wait_for_timeout(800)
    yield page
    page.close()


def local(address: str) -> bool:
    return (
        address.startswith(("data:", "blob:", "about:"))
        or re.match(r"(http|ws)://localhost[:/]", address) is not None
    )


def figures(page) -> list[dict]:
    """Rectangles of the figures on screen, hidden ones left out."""
    boxes = (figure.bounding_box() for figure in page.locator(".bk-Figure").all())
    return [box for box in boxes if box]


def map_box(page) -> dict:
    """The picture's rectangle on screen: the largest figure left of the middle."""
    return max((box for box in figures(page) if box["x"] < 400), key=lambda box: box["height"])


def choose_entry(page, entry: str) -> None:
    """Choose an entry of the catalog, by a part of its label."""
    page.locator("button.entry").click()
    page.get_by_role("listbox", name="Entries").get_by_role("option").filter(has_text=entry).first.click()


def tap(page, across: float, down: float) -> None:
    box = map_box(page)
    page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])


def shot(page, name: str) -> np.ndarray:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / name)
    return np.asarray(Image.open(ARTIFACTS / name).convert("RGB")).astype(int)


def until(page, holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds that no element's text says, such as a picture that is another."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come in {seconds:g} s"
        page.wait_for_timeout(100)


def test_a_tap_on_the_map_changes_the_series(visit):
    visit.get_by_text("Pixel 20, 28").wait_for()
    before = shot(visit, "before_tap.png")
    tap(visit, 0.9, 0.25)
    visit.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
    charts = np.s_[250:800, 650:1380]
    until(visit, lambda: (np.abs(before - shot(visit, "after_tap.png"))[charts].max(-1) > 40).sum() > 500)
    assert visit.wrong == []


def test_arrow_keys_and_buttons_step_the_day(visit):
    day = visit.locator(".day")
    assert day.inner_text() == "1 Jul 2020"
    visit.keyboard.press("ArrowRight")
    visit.get_by_text("2 Jul 2020").first.wait_for(timeout=60_000)
    visit.get_by_role("button", name="‹").click()
    visit.get_by_text("1 Jul 2020").first.wait_for(timeout=60_000)


def test_a_tap_in_a_chart_moves_the_day(visit):
    chart = next(box for box in figures(visit) if box["x"] > 400)
    visit.mouse.click(chart["x"] + chart["width"] * 0.25, chart["y"] + chart["height"] * 0.5)
    day = visit.locator(".day")
    until(
        visit,
        lambda: pd.Timestamp("2020-04-05") < pd.Timestamp(day.inner_text()) < pd.Timestamp("2020-05-10"),
    )


def test_every_layer_is_drawn_with_its_legend(visit):
    for layer, legend in (
        ("True colour", "as seen on"),
        ("Published", "image of"),
        ("Sigma", "expected reflectance error"),
        ("Days from S2", "d"),
    ):
        visit.get_by_role("button", name=layer, exact=True).click()
        visit.locator(".caption", has_text=legend).wait_for(timeout=60_000)
        visit.wait_for_timeout(500)
        shot(visit, f"layer_{layer.replace(' ', '_').lower()}.png")
    assert visit.wrong == []


def test_a_tap_beside_the_scene_gives_a_message(visit):
    box = map_box(visit)
    visit.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(4):
        visit.mouse.wheel(0, 400)
        visit.wait_for_timeout(150)
    visit.wait_for_timeout(800)
    tap(visit, 0.98, 0.02)
    visit.get_by_role("alert").get_by_text("outside the scene").wait_for(timeout=60_000)
    shot(visit, "message.png")


def test_the_tapped_pixel_is_saved_as_a_table(visit, tmp_path):
    with visit.expect_download(timeout=60_000) as waiting:
        visit.get_by_text("Export pixel").click()
    saved = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(saved)
    assert saved.name.endswith("_simulated.csv")
    table = pd.read_csv(saved, comment="#")
    assert len(table) == 245
    assert {"time", "lon", "lat", "e00", "e31", "sigma", "days_from_s2"} <= set(table.columns)


SCALES_OF_ONE_YEAR = 4
"""Days, weeks, months and the season."""


def scored(visit):
    """The prediction's scores on the tower's page, with its split: one year has four scales and no anomalies."""
    visit.get_by_text("1:1 line").wait_for(timeout=60_000)
    rows = visit.locator("table tr", has_text="Predicted")
    rows.first.wait_for(timeout=60_000)
    assert rows.count() == SCALES_OF_ONE_YEAR
    visit.get_by_text("leave-site-out").wait_for()
    return rows


def test_a_tap_on_the_tower_opens_its_page_and_its_switches_change_the_scores(visit):
    tap(visit, 28.5 / 60, 20.5 / 48)
    rows = scored(visit)
    assert visit.locator("table tr", has_text="Day of year").count() == SCALES_OF_ONE_YEAR
    visit.get_by_text("leave-year-out: the tower's other years").wait_for()
    before = rows.first.inner_text()
    visit.wait_for_timeout(800)
    night = shot(visit, "tower.png")
    visit.get_by_role("button", name="Day-time").click()
    visit.get_by_text("Day-time GPP, 163 days").wait_for(timeout=60_000)
    assert rows.first.inner_text() != before
    charts = np.s_[200:800, 650:1380]
    until(visit, lambda: (np.abs(night - shot(visit, "tower_day.png"))[charts].max(-1) > 40).sum() > 500)
    quality = visit.get_by_text("Quality at least").bounding_box()
    visit.mouse.click(quality["x"] + 2, quality["y"] + 24)
    visit.get_by_text("Day-time GPP, 245 days").wait_for(timeout=60_000)
    tap(visit, 0.9, 0.25)
    visit.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
    assert visit.wrong == []


def test_a_tower_file_stands_at_the_tapped_pixel_with_its_scores_and_its_footprint(visit, tmp_path):
    bad, own = tmp_path / "bad.csv", tmp_path / "FLX_YY-Own_FLUXNET2015_FULLSET_HH_2019-2020_1-4.csv"
    bad.write_text("a,<img src=x onerror=alert(1)>\n")
    own.write_bytes(tower_file(half_hours=True))
    tap(visit, 0.7, 0.5)
    visit.get_by_text("Pixel 24, 42").wait_for(timeout=60_000)
    visit.get_by_role("button", name="Tower XX-Tst").click()
    visit.get_by_text("Your own tower.").wait_for(timeout=60_000)
    visit.get_by_label("Tower file").set_input_files(bad)
    visit.get_by_role("alert").get_by_text("need a FLUXNET file").wait_for(timeout=60_000)
    visit.get_by_label("Tower file").set_input_files(own)
    visit.get_by_role("button", name="Tower YY-Own").wait_for(timeout=60_000)
    rows = scored(visit)
    assert visit.get_by_role("alert").count() == 0
    before = rows.first.inner_text()
    visit.wait_for_timeout(800)
    bare = shot(visit, "own_tower.png")
    visit.get_by_role("button", name="Radius").click()
    visit.get_by_text("pixels within 250 m").wait_for(timeout=60_000)
    visit.wait_for_timeout(800)
    box = map_box(visit)
    map_part = np.s_[
        int(box["y"]) : int(box["y"] + box["height"]), int(box["x"]) : int(box["x"] + box["width"])
    ]
    assert (np.abs(bare - shot(visit, "own_tower_radius.png"))[map_part].max(-1) > 40).sum() > 100
    visit.get_by_role("button", name="Footprint").click()
    visit.get_by_text("need metres above the displacement height").wait_for(timeout=60_000)
    height = visit.get_by_label("Sensors above displacement height, m")
    height.fill("3")
    height.press("Enter")
    visit.get_by_text("flux footprint (Kljun et al. 2015)").wait_for(timeout=60_000)
    until(
        visit,
        lambda: (np.abs(bare - shot(visit, "own_tower_footprint.png"))[map_part].max(-1) > 40).sum() > 100,
    )
    assert rows.first.inner_text() != before
    visit.get_by_role("button", name="Dark").click()
    visit.wait_for_timeout(800)
    shot(visit, "own_tower_dark.png")
    visit.get_by_role("button", name="Take it away").click()
    visit.get_by_role("button", name="Tower XX-Tst").wait_for(timeout=60_000)
    assert visit.wrong == []


def around(page, *corners: tuple[float, float]) -> None:
    """Drags along corners of the map, given as shares of its sides."""
    box = map_box(page)
    places = [(box["x"] + across * box["width"], box["y"] + down * box["height"]) for across, down in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def test_two_pins_and_an_area_share_the_charts_and_go_into_files(visit, tmp_path):
    visit.get_by_role("button", name="+ Pin").click()
    visit.wait_for_timeout(400)
    tap(visit, 0.9, 0.25)
    visit.get_by_role("button", name="Pixel 2").wait_for(timeout=60_000)
    visit.get_by_text("PC1 of Pixel 1").wait_for(timeout=60_000)
    visit.get_by_text("Export 2 pins").wait_for(timeout=60_000)
    with visit.expect_download(timeout=60_000) as waiting:
        visit.get_by_text("Export 2 pins").click()
    waiting.value.save_as(tmp_path / "pins.csv")
    table = pd.read_csv(tmp_path / "pins.csv", comment="#")
    assert len(table) == 2 * 245
    assert set(table["name"]) == {"Pixel 1", "Pixel 2"}

    visit.get_by_role("button", name="Draw area").click()
    visit.get_by_text("Drag around the area on the map.").wait_for(timeout=60_000)
    around(visit, (0.3, 0.3), (0.5, 0.3), (0.5, 0.5), (0.3, 0.5), (0.3, 0.32))
    visit.get_by_text(re.compile(r"Area of \d+ pixels")).wait_for(timeout=60_000)
    visit.get_by_text("Drag around the area on the map.").wait_for(state="hidden", timeout=60_000)
    visit.wait_for_timeout(800)
    shot(visit, "pins_and_area.png")
    visit.locator("select").filter(has_text="GeoJSON").select_option("GeoJSON")
    visit.wait_for_timeout(500)
    with visit.expect_download(timeout=60_000) as waiting:
        visit.get_by_text("Export area").click()
    waiting.value.save_as(tmp_path / "places.geojson")
    shapes = [
        f["geometry"]["type"] for f in json.loads((tmp_path / "places.geojson").read_text())["features"]
    ]
    assert shapes == ["Point", "Point", "MultiPolygon"]
    visit.get_by_role("button", name="Remove").click()
    visit.get_by_role("button", name="Area 1").wait_for(state="detached", timeout=60_000)

    visit.locator("input[type=file]").first.set_input_files(tmp_path / "places.geojson")
    visit.get_by_role("alert").get_by_text("need Polygon").wait_for(timeout=60_000)
    assert visit.wrong == []


def test_features_are_scrubbed_with_keys_in_the_order_of_their_part_in_gpp(visit):
    visit.get_by_role("button", name="Feature", exact=True).click()
    visit.locator(".caption", has_text="Feature e00").wait_for(timeout=60_000)
    ranked = visit.locator("select", has_text="e31").locator("option").all_inner_texts()
    strength = [abs(float(text.split(" r ")[1].replace("−", "-"))) for text in ranked]
    assert strength == sorted(strength, reverse=True)
    assert len(strength) == 32
    names = [text[:3] for text in ranked]
    visit.keyboard.press("ArrowDown")
    following = names[(names.index("e00") + 1) % 32]
    visit.locator(".caption", has_text=f"Feature {following}").wait_for(timeout=60_000)


def test_two_maps_side_by_side_move_together_and_the_player_steps_weeks(visit):
    visit.get_by_role("button", name="Split").click()
    visit.get_by_role("button", name="Hold day").click()
    visit.locator("select", has_text="Days from S2").select_option("Sigma")
    captions = visit.locator(".caption")
    captions.nth(1).get_by_text("expected reflectance error").wait_for(timeout=60_000)
    visit.locator("select", has_text="7 days").select_option("7 days")
    visit.wait_for_timeout(1000)
    visit.get_by_role("button", name="›").click()
    captions.nth(0).get_by_text("8 Jul 2020").wait_for(timeout=60_000)
    captions.nth(1).get_by_text("1 Jul 2020").wait_for(timeout=60_000)
    visit.wait_for_timeout(500)
    left, right = [box for box in figures(visit) if box["x"] < 600][:2]
    assert abs(left["width"] - right["width"]) < 2
    before = shot(visit, "split.png")
    visit.mouse.move(left["x"] + left["width"] * 0.3, left["y"] + left["height"] * 0.3)
    for _ in range(3):
        visit.mouse.wheel(0, -300)
        visit.wait_for_timeout(100)
    visit.wait_for_timeout(800)
    after = shot(visit, "split_zoomed.png")
    top, bottom = int(right["y"]) + 5, int(right["y"] + right["height"]) - 5
    window = np.s_[top:bottom, int(right["x"]) + 5 : int(right["x"] + right["width"]) - 5]
    assert (np.abs(before[window] - after[window]).max(-1) > 20).sum() > 300
    assert visit.wrong == []


def choose_day(page, which: int, day: str) -> None:
    """As a click on a day of the calendar does."""
    field = page.locator("input.flatpickr-input").nth(which)
    field.evaluate("(field, day) => field._flatpickr.setDate(day, true)", day)


def test_a_box_is_computed_block_by_block_cancelled_and_opened(visit):
    visit.get_by_role("button", name="Compute", exact=True).click()
    visit.get_by_text("Compute a box of this scene now").wait_for(timeout=60_000)
    choose_day(visit, 0, "2020-03-01")
    choose_day(visit, 1, "2020-10-31")
    visit.get_by_text("245 days").wait_for(timeout=60_000)
    visit.get_by_role("button", name="Draw box").click()
    visit.get_by_role("button", name="Drag on the map").wait_for(timeout=60_000)
    around(visit, (0.05, 0.05), (0.92, 0.95))
    cost = visit.locator(".cost")
    cost.get_by_text("56 × 48 px").wait_for(timeout=60_000)
    assert re.search(r"about .* s · at most [\d,.]+ MB", cost.inner_text())
    run = visit.get_by_role("button", name="Run", exact=True)
    run.click()
    visit.get_by_text("Computing, block 1 of 4").wait_for(timeout=60_000)
    visit.wait_for_timeout(400)
    shot(visit, "computing.png")
    visit.get_by_role("button", name="Cancel").click()
    visit.get_by_text("Cancelled; nothing is left of it").wait_for(timeout=60_000)
    choose_day(visit, 1, "2020-03-10")
    visit.get_by_text("10 days").wait_for(timeout=60_000)
    run.click()
    visit.get_by_text("Done in").wait_for(timeout=60_000)
    shot(visit, "computed.png")
    visit.get_by_role("button", name="Open the result").click()
    visit.get_by_text("2020-03-01 to 2020-03-10 · 56 × 48 px").wait_for(timeout=60_000)
    visit.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    assert "56 × 48 px, 2020-03-01 to 2020-03-10" in visit.locator("button.entry").inner_text()
    visit.goto(visit.url)
    visit.get_by_text("2020-03-01 to 2020-03-10 · 56 × 48 px").wait_for(timeout=60_000)
    assert visit.wrong == []


def test_each_export_opens_again_and_equals_the_store(visit, catalog, tmp_path):
    from fluxlens.embeddings.export.extract import tidy
    from fluxlens.embeddings.export.geometries import Point
    from fluxlens.embeddings.store import Store

    store = Store.open(catalog.parent / "store")
    grid = store.grid
    pixels = [(3, 5), (20, 28), (40, 55)]
    points = [Point(*map(float, grid.lonlat(grid.x[col], grid.y[row]))) for row, col in pixels]
    many = tmp_path / "many.csv"
    many.write_text("lon,lat\n" + "".join(f"{at.lon},{at.lat}\n" for at in points))
    visit.locator("input[type=file]").last.set_input_files(many)
    visit.get_by_text("Export 3 points").wait_for(timeout=60_000)
    expected = tidy(store, points=points)

    def saved(name: str, ending: str) -> Path:
        visit.locator("select").filter(has_text="GeoJSON").select_option(name)
        visit.wait_for_timeout(500)
        with visit.expect_download(timeout=60_000) as waiting:
            visit.get_by_text(re.compile("^Export ")).click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        assert path.name.endswith(f"_simulated{ending}")
        return path

    np.testing.assert_allclose(
        pd.read_csv(saved("CSV", ".csv"), comment="#")["e07"], expected["e07"], rtol=1e-6
    )
    assert (pd.read_parquet(saved("Parquet", ".parquet"))["e07"] == expected["e07"]).all()
    shutil.unpack_archive(saved("Zarr", ".zarr.zip"), tmp_path / "a.zarr")
    with (
        xr.open_dataset(saved("NetCDF", ".nc")) as one,
        xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as two,
    ):
        for found in (one, two):
            np.testing.assert_array_equal(found["e07"].values.ravel(), expected["e07"])
    visit.get_by_role("button", name="Sigma", exact=True).click()
    visit.locator(".caption", has_text="Sigma").wait_for(timeout=60_000)
    with rasterio.open(saved("Map: GeoTIFF", ".tif")) as file:
        sigma = store.map("2020-07-01")["sigma"].transpose("y", "x")
        np.testing.assert_allclose(file.read(1), sigma)
    with Image.open(saved("Map: PNG", ".png")) as picture:
        assert picture.text["store_snapshot"] == store.snapshot
        ARTIFACTS.mkdir(exist_ok=True)
        picture.save(ARTIFACTS / "exported_map.png")
    assert json.loads(saved("Replay file", ".json").read_text())["made"]["store_snapshot"] == store.snapshot
    shot(visit, "exports.png")
    assert visit.wrong == []


def test_a_bad_file_of_points_gives_a_message(visit, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("a,<img src=x onerror=alert(1)>\n")
    visit.locator("input[type=file]").last.set_input_files(bad)
    visit.get_by_role("alert").get_by_text("<img src=x onerror=alert(1)>").wait_for(timeout=60_000)
    assert visit.locator("img[src=x]").count() == 0


def test_similar_places_and_clusters_are_layers_with_their_legend(visit):
    visit.get_by_role("button", name="Similar", exact=True).click()
    visit.locator(".caption", has_text="pixel 20, 28").wait_for(timeout=60_000)
    tap(visit, 0.9, 0.25)
    visit.locator(".caption", has_text="pixel 12, 54").wait_for(timeout=60_000)
    visit.wait_for_timeout(500)
    shot(visit, "similar.png")
    visit.get_by_role("button", name="Clusters", exact=True).click()
    visit.get_by_role("button", name="Whole period").click()
    visit.locator(".caption", has_text="k-means along 24 days").wait_for(timeout=60_000)
    assert visit.locator(".caption .rgb span").count() == 5
    visit.wait_for_timeout(500)
    shot(visit, "clusters.png")


def test_a_few_named_pixels_become_a_map_of_classes(visit):
    visit.get_by_role("button", name="Labels", exact=True).click()
    visit.locator(".caption", has_text="tap pixels of two kinds").wait_for(timeout=60_000)
    tap(visit, 0.1, 0.3)
    visit.get_by_role("alert").get_by_text("type a class or a number").wait_for(timeout=60_000)
    name = visit.get_by_placeholder("class or number")
    for kind, across in (("<b>lake</b>", (0.1, 0.2)), ("forest", (0.4, 0.5)), ("field", (0.8, 0.9))):
        name.fill(kind)
        visit.wait_for_timeout(500)  # what is typed is taken 50 ms after it came, a tap at once
        for i, place in enumerate(across):
            tap(visit, place, 0.3 + 0.3 * i)
            visit.wait_for_timeout(500)
    visit.locator(".caption", has_text="6 of 6 classified right").wait_for(timeout=60_000)
    legend = visit.locator(".caption .rgb span")
    assert legend.all_inner_texts() == ["1 <b>lake</b>: 25%", "2 forest: 42%", "3 field: 33%"]
    visit.wait_for_function("location.search.includes('forest')")
    visit.get_by_text("Pixel 20, 28").wait_for()
    shot(visit, "labels.png")
    visit.get_by_role("button", name="Dark").click()
    visit.wait_for_timeout(600)
    shot(visit, "labels_dark.png")
    visit.get_by_role("button", name="Clear").click()
    visit.locator(".caption", has_text="tap pixels of two kinds").wait_for(timeout=60_000)
    assert visit.wrong == []


def test_a_permalink_brings_the_view_back(visit, browser):
    visit.get_by_role("button", name="Weather").click()
    visit.get_by_text("vapour pressure deficit").wait_for(timeout=60_000)
    visit.get_by_role("button", name="Sigma", exact=True).click()
    visit.keyboard.press("ArrowRight")
    # The map moves down by the height of the colour bar's row.
    visit.locator(".caption", has_text="Sigma").wait_for(timeout=60_000)
    visit.wait_for_timeout(1000)
    tap(visit, 0.9, 0.25)
    visit.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
    visit.wait_for_function("location.search.includes('12%2C54') && location.search.includes('sigma')")
    again = browser.new_page(viewport={"width": 1400, "height": 900})
    again.goto(visit.url)
    again.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
    again.locator(".caption", has_text="Sigma").wait_for(timeout=60_000)
    assert again.locator(".day").inner_text() == "2 Jul 2020"
    again.get_by_text("vapour pressure deficit").wait_for(timeout=60_000)
    again.close()


def test_a_store_that_opens_while_the_browser_draws_is_shown(browser, url):
    """The browser's word that it has drawn is delayed until the server has surely opened the entry."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    delayed, drawing = [], False

    def connected(way):
        server = way.connect_to_server()

        def passed(message):
            nonlocal drawing
            drawing = drawing or "document_ready" in str(message)
            delayed.append((server, message)) if drawing else server.send(message)

        way.on_message(passed)

    page.route_web_socket(re.compile("/ws"), connected)
    page.goto(f"{url}?entry=later")
    until(page, lambda: bool(delayed))
    page.wait_for_timeout(8000)
    drawing = False
    for server, message in delayed:
        server.send(message)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.close()


def test_dark_and_narrow_are_drawn_and_remembered(visit):
    visit.get_by_role("button", name="Dark").click()
    visit.get_by_role("button", name="Light").wait_for(timeout=60_000)
    until(visit, lambda: shot(visit, "dark_1400.png")[300:320, 5:12].max() < 60)
    visit.set_viewport_size({"width": 900, "height": 900})

    def is_laid_out() -> bool:
        picture = map_box(visit)
        return visit.evaluate("document.documentElement.scrollWidth") <= 900 and picture["x"] + picture[
            "width"
        ] < min((box["x"] for box in figures(visit) if box["x"] > 300), default=0)

    until(visit, is_laid_out)
    shot(visit, "dark_900.png")


def test_an_entry_whose_store_is_missing_gives_a_message_and_the_way_back(visit):
    choose_entry(visit, "missing")
    visit.get_by_role("alert").get_by_text("does not exist").wait_for(timeout=60_000)
    shot(visit, "missing.png")
    choose_entry(visit, "tiny")
    visit.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)


def test_the_page_asks_no_other_host(visit):
    assert visit.strange == []
