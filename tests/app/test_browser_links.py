"""In a real browser: what a link keeps, and what is shown where it names what is not there."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from served import start, stop
from test_browser import browser, chromium, figures, free_port, map_box, shot  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(catalog):
    port = free_port()
    server = start(catalog, port)
    yield f"http://localhost:{port}/"
    stop(server)


@pytest.fixture
def page(browser):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    yield page
    page.close()


def fields(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def wheel(page, box: dict, times: int = 3) -> None:
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    for _ in range(times):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(150)


def await_field(page, name: str) -> str:
    page.wait_for_function(f"new URLSearchParams(location.search).has('{name}')", timeout=60_000)
    page.wait_for_timeout(600)
    return fields(page)[name]


def test_a_link_keeps_extents_split_tower_theme_and_page(browser, page, address):  # noqa: F811
    page.goto(address)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    assert {"map", "time", "split", "held", "tower"} & fields(page).keys() == set()
    page.get_by_role("button", name="Tower", exact=True).click()
    await_field(page, "tower")
    page.get_by_role("button", name="Dark").click()
    page.wait_for_function("location.search.includes('theme=dark')")
    wheel(page, map_box(page))
    extent = [float(number) for number in await_field(page, "map").split(",")]
    # A chart takes the wheel only with Ctrl: without, it scrolls the page.
    page.keyboard.down("Control")
    wheel(page, next(box for box in figures(page) if box["x"] > 600))
    page.keyboard.up("Control")
    period = [float(number) for number in await_field(page, "time").split(",")]
    page.get_by_role("button", name="Split").click()
    page.get_by_role("button", name="Hold day").click()
    page.locator("select", has_text="Days from S2").select_option("Sigma")
    page.locator(".caption").nth(1).get_by_text("expected reflectance error").wait_for(timeout=60_000)
    fixed_day = await_field(page, "held")
    page.get_by_role("button", name="›").click()
    page.wait_for_function(f"new URLSearchParams(location.search).get('day') !== '{fixed_day}'")
    page.get_by_role("button", name=re.compile("^Compute")).click()
    await_field(page, "page")
    kept = fields(page)
    assert kept["split"] == "sigma"
    shot(page, "link_made.png")

    context = browser.new_context(viewport={"width": 1400, "height": 900})
    again = context.new_page()
    again.goto(page.url)
    again.get_by_text("Compute a box of this scene now").wait_for(timeout=60_000)
    again.locator(".caption").nth(1).get_by_text("expected reflectance error").wait_for(timeout=60_000)
    again.wait_for_timeout(2000)
    shot(again, "link_opened.png")
    assert again.evaluate("document.documentElement.dataset.theme") == "dark"
    restored = fields(again)
    for name in ("page", "tower", "split", "held", "day", "theme"):
        assert restored[name] == kept[name], name
    again.get_by_role("button", name="Series").click()
    again.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    again.wait_for_timeout(1500)
    # What the figures show, as Bokeh has it in the browser.
    ends = again.evaluate(
        "Bokeh.documents.flatMap((page) => [...page._all_models.values()])"
        ".filter((model) => model.type === 'Range1d').map((range) => [range.start, range.end])"
    )
    for low, high in (extent[:2], extent[2:], period):
        near = 0.02 * abs(high - low)
        shown = [abs(start - low) < near and abs(end - high) < near for start, end in ends]
        assert any(shown), (low, high, ends)
    context.close()
    assert page.wrong == []


def test_a_bad_part_is_named_and_the_rest_is_there(page, address):
    page.goto(f"{address}?entry=tiny&day=never&layer=sigma&pins=0:12,54")
    page.get_by_role("alert").get_by_text("day='never'").wait_for(timeout=60_000)
    page.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
    page.locator(".caption", has_text="Sigma").wait_for(timeout=60_000)


@pytest.mark.parametrize(
    ("query", "message"),
    [("entry=nowhere_at_all", "nowhere_at_all"), ("entry=tiny&snapshot=00000000000000000000", "snapshot")],
)
def test_what_is_gone_shows_the_entries_to_choose_from(page, address, query, message):
    page.goto(f"{address}?{query}")
    page.get_by_role("alert").get_by_text(message).wait_for(timeout=60_000)
    choice = page.get_by_role("link", name="later")
    choice.wait_for(timeout=60_000)
    shot(page, f"gone_{message}.png")
    choice.click()
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.wait_for_function("location.search.includes('entry=later')")
    assert page.get_by_role("alert").count() == 0
    assert page.wrong == []
