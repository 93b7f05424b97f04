"""In a real browser: a scene in four stores is one map, on which both sides of an edge can be tapped."""

from urllib.parse import parse_qs, urlsplit

import mosaic_world
import pytest
from served import start, stop
from test_browser import browser, chromium, free_port, map_box  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder, port = mosaic_world.write_world(tmp_path_factory.mktemp("mosaic")), free_port()
    server = start(folder / "catalog.yaml", port)
    yield f"http://localhost:{port}/?entry=quarters"
    stop(server)


def test_the_map_pans_over_the_edges_and_is_tapped_on_both_sides(browser, address):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=90_000)
    page.wait_for_timeout(1000)
    box, links = map_box(page), []
    for across in (0.3, 0.7):
        before = page.url
        page.mouse.click(box["x"] + box["width"] * across, box["y"] + box["height"] * 0.5)
        page.wait_for_function("before => location.href !== before", arg=before, timeout=60_000)
        # Two clicks in less than 0.3 s are a double click to Bokeh, wherever they fall; the answer comes sooner.
        page.wait_for_timeout(600)
        links.append({name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()})
    assert links[0] != links[1]
    # The link names the snapshots of all four stores.
    assert links[1]["snapshot"].count(",") == 3
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4, steps=5)
    page.mouse.up()
    page.wait_for_function("new URLSearchParams(location.search).has('map')", timeout=60_000)
    assert not wrong
    page.close()
