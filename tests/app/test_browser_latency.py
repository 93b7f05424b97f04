"""In a real browser on a slow line, 250 ms each way: what a drag does changes with the press of the button."""

import re

import pytest
from served import line_to, start, stop
from test_browser import around, browser, chromium, free_port, map_box, shot, tap  # noqa: F401

pytestmark = pytest.mark.browser
DELAY_S = 0.25
BEGIN_MS = 300
"""Between the press of a button and the drag: less than one way there and back."""


@pytest.fixture(scope="module")
def slow_url(catalog):
    """The dashboard at the other end of a slow line."""
    port = free_port()
    server = start(catalog, port)
    with line_to(port, DELAY_S) as line:
        yield f"http://localhost:{line}/"
    stop(server)


@pytest.fixture
def slow(browser, slow_url):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.goto(slow_url)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=90_000)
    page.wait_for_timeout(2000)
    yield page
    page.close()


def test_a_drag_after_the_press_of_draw_area_makes_an_area(slow):
    slow.get_by_role("button", name="Draw area").click()
    slow.wait_for_timeout(BEGIN_MS)
    around(slow, (0.3, 0.3), (0.5, 0.3), (0.5, 0.5), (0.3, 0.5), (0.3, 0.32))
    slow.get_by_text(re.compile(r"Area of \d+ pixels")).wait_for(timeout=60_000)
    slow.wait_for_timeout(1500)
    # The button has come up, and a drag moves the map again.
    before = shot(slow, "slow_area.png")
    box = map_box(slow)
    around(slow, (0.5, 0.7), (0.2, 0.7))
    slow.wait_for_timeout(1500)
    rows, cols = (
        slice(int(box[at] + 10), int(box[at] + box[size] - 10))
        for at, size in (("y", "height"), ("x", "width"))
    )
    assert (abs(before - shot(slow, "slow_moved.png"))[rows, cols].max(-1) > 20).sum() > 300
    assert slow.get_by_text(re.compile(r"Area of \d+ pixels")).count() == 1
    assert slow.get_by_role("button", name="Area 2").count() == 0
    assert slow.wrong == []


def test_pressed_twice_a_drag_moves_the_map(slow):
    draw = slow.get_by_role("button", name="Draw area")
    draw.click()
    slow.wait_for_timeout(BEGIN_MS)
    draw.click()
    slow.wait_for_timeout(1500)  # the server's word on the first press comes back in between
    around(slow, (0.3, 0.3), (0.5, 0.3), (0.5, 0.5), (0.3, 0.5), (0.3, 0.32))
    slow.wait_for_timeout(2000)
    assert slow.get_by_text(re.compile(r"Area of \d+ pixels")).count() == 0
    assert slow.wrong == []


def test_a_drag_after_the_press_of_draw_box_makes_a_box(slow):
    slow.get_by_role("button", name="Compute", exact=True).click()
    slow.get_by_text("Compute a box of this scene now").wait_for(timeout=60_000)
    slow.wait_for_timeout(1000)
    slow.get_by_role("button", name="Draw box").click()
    slow.wait_for_timeout(BEGIN_MS)
    around(slow, (0.05, 0.05), (0.92, 0.95))
    slow.locator(".cost").get_by_text("56 × 48 px").wait_for(timeout=60_000)
    assert slow.wrong == []


def test_a_tap_after_the_press_of_labels_is_a_label(slow):
    slow.get_by_role("button", name="Labels", exact=True).click()
    slow.wait_for_timeout(BEGIN_MS)
    tap(slow, 0.1, 0.3)
    slow.get_by_role("alert").get_by_text("type a class or a number").wait_for(timeout=60_000)
    slow.get_by_text("Pixel 20, 28").wait_for()
    assert slow.wrong == []
