"""The page on every screen in a real browser: phones, zoomed pages, gestures, the system's theme."""

import re
from itertools import pairwise

import numpy as np
import pytest
from test_browser import browser, chromium, figures, map_box, shot, until  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(browser, shared_url):  # noqa: F811
    """Opens the page in a context of its own; closes what it opened."""
    contexts = []

    def opened(width: int, height: int, query: str = "?day=2020-07-01", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(shared_url + query)
        page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
        page.locator("[role=application]").first.wait_for(timeout=60_000)
        page.wait_for_timeout(500)
        return page

    yield opened
    for context in contexts:
        context.close()


def ranges(page) -> dict[str, float]:
    """Ends of the ranges of the first map."""
    return page.evaluate(
        """() => {
          let map = null;
          const search = (view) => {
            if (map === null && (view.model.tags || []).includes("map")) map = view.model;
            for (const child of view.children_views?.() ?? []) search(child);
          };
          Bokeh.index.roots.forEach(search);
          const { x_range: x, y_range: y } = map;
          return { left: x.start, right: x.end, bottom: y.start, top: y.end };
        }"""
    )


def chart_range(page) -> float:
    """Length of the time range of the first chart, ms."""
    return page.evaluate(
        """() => {
          let span = null;
          const search = (view) => {
            const isChart = (view.model.tags || []).some((tag) => String(tag).startsWith("text: Chart"));
            if (span === null && isChart) span = view.model.x_range.end - view.model.x_range.start;
            for (const child of view.children_views?.() ?? []) search(child);
          };
          Bokeh.index.roots.forEach(search);
          return span;
        }"""
    )


def touch(page, kind: str, *points: tuple[float, float]) -> None:
    """One touch event of the whole hand; the browser makes scrolling and pointer events of it."""
    page.cdp.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]},
    )
    page.wait_for_timeout(30)


@pytest.fixture
def phone(open_page):
    page = open_page(390, 844, has_touch=True, is_mobile=True, device_scale_factor=2)
    page.cdp = page.context.new_cdp_session(page)
    page.get_by_role("button", name="Got it").tap()
    page.get_by_role("button", name="Got it").wait_for(state="hidden")
    page.wait_for_timeout(400)  # the map moves up into its place
    return page


@pytest.mark.parametrize(
    ("width", "height", "scale"), [(390, 844, 2), (844, 390, 2), (700, 450, 2), (900, 900, 1)]
)
def test_no_screen_scrolls_sideways_and_every_screen_has_a_usable_map(open_page, width, height, scale):
    """700 x 450 is a window of 1400 x 900 at 200 %."""
    page = open_page(width, height, device_scale_factor=scale)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = figures(page)
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    picture = map_box(page)
    assert min(picture["width"], picture["height"]) >= 200
    assert picture["height"] <= height
    charts = [box for box in boxes if box != picture]
    below = min(box["y"] for box in charts) > picture["y"] + picture["height"]
    assert below == (width <= 780)
    for name in ("Tower XX-Tst", "Compute"):
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_timeout(900)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    shot(page, f"page_{width}x{height}.png")
    assert page.wrong == []


def test_slider_and_day_are_in_the_first_view(open_page):
    page = open_page(1400, 900)
    page.get_by_role("button", name="Got it").wait_for()  # the explanation of a first visit takes room, too
    for part in (page.locator(".noUi-handle[aria-label=Day]"), page.locator("button.day")):
        box = part.bounding_box()
        assert box["y"] + box["height"] < 900


def test_a_swipe_over_the_map_scrolls_the_page_and_two_fingers_move_the_map(phone):
    box, before = map_box(phone), ranges(phone)
    x, y = box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.8
    touch(phone, "touchStart", (x, y))
    for step in range(1, 11):
        touch(phone, "touchMove", (x, y - 14 * step))
    touch(phone, "touchEnd")
    until(phone, lambda: phone.evaluate("scrollY") > 60)
    phone.wait_for_timeout(400)
    assert ranges(phone) == before
    assert phone.get_by_text("Pixel 20, 28").count() == 1  # nothing was tapped

    phone.evaluate("scrollTo(0, 0)")
    phone.wait_for_timeout(300)
    box = map_box(phone)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch(phone, "touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 11):
        touch(phone, "touchMove", (x - 30 - 3 * step + 2 * step, y), (x + 30 + 3 * step + 2 * step, y))
    touch(phone, "touchEnd")
    until(phone, lambda: ranges(phone) != before)
    phone.wait_for_timeout(400)
    after = ranges(phone)
    assert phone.evaluate("scrollY") == 0
    width = {name: ends["right"] - ends["left"] for name, ends in {"before": before, "after": after}.items()}
    # 60 px became 120 px apart, and their middle moved 20 px to the right
    assert width["after"] == pytest.approx(width["before"] / 2, rel=0.05)
    middle = before["left"] + width["before"] / 2
    moved = middle - (after["left"] + after["right"]) / 2
    assert moved == pytest.approx(20 / box["width"] * width["after"], rel=0.15)
    height = after["top"] - after["bottom"]
    aspect = (before["right"] - before["left"]) / (before["top"] - before["bottom"])
    assert width["after"] / height == pytest.approx(aspect, rel=0.01)
    assert phone.get_by_text("Pixel 20, 28").count() == 1
    shot(phone, "phone_two_fingers.png")
    assert phone.wrong == []


def test_a_finger_taps_the_map_and_draws_an_area_while_that_is_on(phone):
    box = map_box(phone)
    phone.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + 0.25 * box["height"])
    phone.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
    phone.get_by_role("button", name="Draw area").tap()
    phone.wait_for_timeout(500)
    phone.evaluate("scrollTo(0, 0)")
    phone.wait_for_timeout(300)
    box = map_box(phone)
    corners = [(0.3, 0.3), (0.5, 0.3), (0.5, 0.5), (0.3, 0.5), (0.3, 0.32)]
    places = [(box["x"] + a * box["width"], box["y"] + d * box["height"]) for a, d in corners]
    touch(phone, "touchStart", places[0])
    for (x0, y0), (x1, y1) in pairwise(places):
        for step in range(1, 6):
            touch(phone, "touchMove", (x0 + (x1 - x0) * step / 5, y0 + (y1 - y0) * step / 5))
    touch(phone, "touchEnd")
    phone.get_by_text("Area of").wait_for(timeout=60_000)
    assert phone.evaluate("scrollY") == 0
    assert phone.wrong == []


def test_the_wheel_zooms_the_map_and_scrolls_the_page_over_charts(open_page):
    page = open_page(1000, 600)
    picture, before, span = map_box(page), ranges(page), chart_range(page)
    chart = next(box for box in figures(page) if box["x"] > picture["x"] + picture["width"])
    page.mouse.move(chart["x"] + chart["width"] / 2, chart["y"] + chart["height"] / 2)
    page.mouse.wheel(0, 300)
    until(page, lambda: page.evaluate("scrollY") > 100)
    page.wait_for_timeout(500)
    assert chart_range(page) == span
    page.keyboard.down("Control")
    chart = next(box for box in figures(page) if box["x"] > picture["x"] + picture["width"])
    page.mouse.move(chart["x"] + chart["width"] / 2, chart["y"] + chart["height"] / 2)
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    until(page, lambda: chart_range(page) < span)
    page.mouse.dblclick(chart["x"] + chart["width"] / 2, chart["y"] + chart["height"] / 2)
    until(page, lambda: chart_range(page) == span)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(200)
    page.mouse.move(picture["x"] + picture["width"] / 2, picture["y"] + picture["height"] / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(400)
    after = ranges(page)
    assert page.evaluate("scrollY") == 0
    assert after["right"] - after["left"] < before["right"] - before["left"]
    assert page.wrong == []


def test_buttons_zoom_the_map_within_its_bounds_and_bring_it_home(open_page):
    page = open_page(1400, 900)
    home = ranges(page)
    size = home["right"] - home["left"]
    page.get_by_role("button", name="Zoom in").click()
    zoomed = ranges(page)
    assert zoomed["right"] - zoomed["left"] == pytest.approx(size / 1.5)
    page.get_by_role("button", name="Whole scene").click()
    assert ranges(page) == home
    for _ in range(12):
        page.get_by_role("button", name="Zoom out").click()
    far = ranges(page)
    assert far["left"] >= home["left"] - size - 1
    assert far["right"] <= home["right"] + size + 1
    assert (far["right"] - far["left"]) / (far["top"] - far["bottom"]) == pytest.approx(60 / 48, rel=0.01)
    for _ in range(20):
        page.get_by_role("button", name="Zoom in").click()
    near = ranges(page)
    assert near["right"] - near["left"] >= 60  # six pixels of 10 m
    box = map_box(page)
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(400)
    assert ranges(page) == home
    assert page.wrong == []


def test_a_double_click_brings_every_chart_of_the_tower_back(open_page):
    page = open_page(1400, 900)
    page.get_by_role("button", name="Tower XX-Tst").click()
    page.get_by_text("1:1 line").wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    spans = """() => {
      const found = [];
      const search = (view) => {
        const chart = (view.model.tags || []).some((tag) => String(tag).startsWith("text: Chart"));
        if (chart && view.el.isConnected && view.el.getBoundingClientRect().height) {
          found.push([view.model.x_range.start, view.model.x_range.end,
                      view.model.y_range.start, view.model.y_range.end]);
        }
        for (const child of view.children_views?.() ?? []) search(child);
      };
      Bokeh.index.roots.forEach(search);
      return found;
    }"""
    before = page.evaluate(spans)
    charts = [box for box in figures(page) if box["x"] > 600]
    assert len(before) == len(charts) == 3
    page.keyboard.down("Control")
    for box in charts:
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(200)
    page.keyboard.up("Control")
    assert page.evaluate(spans)[0] != before[0]
    for box in charts:
        page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(500)
    assert page.evaluate(spans) == before
    assert page.wrong == []


def test_the_page_is_dark_from_its_first_paint_where_the_system_is(browser, shared_url):  # noqa: F811
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="dark")
    page = context.new_page()
    # Before any script of Bokeh has come: what is painted then is the head's alone.
    page.route("**/*.js*", lambda route: route.abort())
    page.goto(shared_url, wait_until="commit")
    until(page, lambda: shot(page, "first_paint_dark.png").max(-1).mean() < 40)
    page.unroute("**/*.js*")
    page.goto(f"{shared_url}?day=2020-07-01")
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.get_by_role("button", name="Light").wait_for(timeout=60_000)
    until(page, lambda: shot(page, "dark_of_the_system.png")[880:, :10].max() < 60)
    box = map_box(page)
    corner = shot(page, "dark_scale_bar.png")[
        int(box["y"] + box["height"]) - 30 : int(box["y"] + box["height"]) - 10,
        int(box["x"] + box["width"]) - 150 : int(box["x"] + box["width"]) - 14,
    ]
    assert np.median(corner.max(-1)) < 90  # the scale bar's ground
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4)
    tip = page.locator(".bk-Tooltip").first
    tip.wait_for(timeout=60_000)
    ground, ink = (
        tip.evaluate(f"el => getComputedStyle(el).{name}") for name in ("backgroundColor", "color")
    )
    assert max(map(int, re.findall(r"\d+", ground)[:3])) < 80 < min(map(int, re.findall(r"\d+", ink)[:3]))
    shot(page, "dark_tooltip.png")
    page.emulate_media(color_scheme="light")  # the system's theme changes while the page is open
    page.get_by_role("button", name="Dark").wait_for(timeout=60_000)
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="Light").wait_for(timeout=60_000)
    page.reload()  # chosen against the system: remembered
    page.get_by_role("button", name="Light").wait_for(timeout=60_000)
    context.close()
