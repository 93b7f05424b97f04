"""The surroundings of a measured scene in a real browser: tiles of the tests' own server, or quietly none."""

import threading
from http.server import ThreadingHTTPServer

import numpy as np
import pytest
from app_world import write_store
from test_browser import browser, chromium, free_port, map_box, serving, shot, tap  # noqa: F401 (fixtures)
from tile_world import Tiles

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A catalog with the tiny world as if it had been measured."""
    folder = tmp_path_factory.mktemp("measured")
    write_store(folder / "store", simulated=0)
    entry = "{driver: fluxlens_embeddings, description: As if measured., args: {store: store}}"
    (folder / "catalog.yaml").write_text(f"metadata: {{version: 1}}\nsources:\n  tiny: {entry}\n")
    return folder / "catalog.yaml"


@pytest.fixture
def tiles():
    """Tiles whose blue is their level: 18 or less, which no layer of the map is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tiles)
    server.requests, server.answer = [], None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def opened(browser, address: str):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(address)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.locator("canvas").first.wait_for()
    return page


def zoomed_out(page, name: str) -> np.ndarray:
    """The map, once the scene has become smaller than it."""
    box = map_box(page)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(2):
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(300)
    page.wait_for_timeout(1000)
    left, top, wide, high = (int(box[name]) for name in ("x", "y", "width", "height"))
    return shot(page, name)[top : top + high, left : left + wide]


def test_tiles_lie_around_a_measured_scene_with_their_credit(browser, measured, tiles):  # noqa: F811
    where = f"http://127.0.0.1:{tiles.server_port}/{{z}}/{{x}}/{{y}}.png"
    with serving(measured, FLUXLENS_TILES=where, FLUXLENS_TILES_CREDIT="© the tests") as address:
        page = opened(browser, address)
        page.get_by_text("Around the scene: © the tests").wait_for(timeout=60_000)
        drawn = zoomed_out(page, "tiles.png")
        z, x, y = (int(part) for part in tiles.requests[0][0].removesuffix(".png").strip("/").split("/"))
        near = np.abs(drawn - [x % 256, y % 256, z]).max(-1) <= 12  # neighbours differ by one or two
        assert near.mean() > 0.3
        assert page.wrong == []
        page.close()


def test_without_their_server_the_page_works_and_says_nothing(browser, measured):  # noqa: F811
    nobody = f"http://127.0.0.1:{free_port()}/{{z}}/{{x}}/{{y}}.png"
    with serving(measured, FLUXLENS_TILES=nobody, FLUXLENS_TILES_CREDIT="© the tests") as address:
        page = opened(browser, address)
        zoomed_out(page, "no_tiles.png")
        tap(page, 0.5, 0.5)
        page.get_by_text("Pixel 24, 30").wait_for(timeout=60_000)
        assert page.get_by_text("Around the scene").count() == 0
        assert page.get_by_role("alert").count() == 0
        assert page.wrong == []
        page.close()
