"""The room that maps take in a real browser, what their hover says, and what visitors read of a missing entry."""

from types import SimpleNamespace

import pytest
from app_world import GRID, make_cube, make_scene, write_store
from fluxlens.embeddings.store import write
from test_browser import browser, chromium, serving, tap  # noqa: F401

pytestmark = pytest.mark.browser

WIDE, TALL = (slice(0, 12), slice(0, 60)), (slice(0, 48), slice(20, 36))


def write_part(path, rows: slice, cols: slice) -> None:
    """A part of the tiny world as a store."""
    part = {"y": rows, "x": cols}
    cube = make_cube().assign_coords(GRID.coords()).isel(part)
    scene = make_scene().copy()
    for name in ("s2", "s1"):
        scene[name] = scene[name].to_dataset().assign_coords(GRID.coords()).isel(part)
    shape = cube.sizes["y"], cube.sizes["x"]
    whole = SimpleNamespace(rows=slice(0, shape[0]), cols=slice(0, shape[1]), cube=cube)
    write(path, cube, [whole], scene)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret folder")
    write_store(folder / "store")
    write_part(folder / "wide", *WIDE)
    write_part(folder / "tall", *TALL)
    names = {"tiny": "store", "wide": "wide", "tall": "tall", "missing": "deep/nowhere"}
    lines = [
        f"  {name}: {{driver: fluxlens_embeddings, args: {{store: {at}}}}}\n" for name, at in names.items()
    ]
    (folder / "catalog.yaml").write_text("metadata: {version: 1}\nsources:\n" + "".join(lines))
    return folder / "catalog.yaml"


@pytest.fixture(scope="module")
def address(catalog):
    with serving(catalog) as found:
        yield found


@pytest.fixture
def open_entry(browser, address):  # noqa: F811
    """Opens an entry in a window of a size; closes the pages."""
    pages = []

    def opened(entry: str, width: int, height: int, wait: str = "NDVI, Sentinel-2"):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(120_000)
        pages.append(page)
        page.goto(f"{address}?entry={entry}&day=2020-07-01")
        page.get_by_text(wait).first.wait_for()
        return page

    yield opened
    for page in pages:
        page.close()


def maps(page) -> list[dict]:
    """Rectangles of the maps on screen."""
    found = page.evaluate(
        """() => {
          const boxes = [];
          const search = (root) => root.querySelectorAll("*").forEach((one) => {
            if (one.shadowRoot) search(one.shadowRoot);
            if (one.classList.contains("map-buttons")) {
              const host = one.getRootNode().host.getRootNode().host.getBoundingClientRect();
              const box = [host.left, host.top, host.width, host.height];
              if (host.width && !boxes.some((other) => String(other) === String(box))) boxes.push(box);
            }
          });
          search(document);
          return boxes;
        }"""
    )
    return [dict(zip(("x", "y", "width", "height"), box, strict=True)) for box in found]


def card(page) -> dict:
    return page.get_by_role("region", name="Map").bounding_box()


def settled_maps(page, count: int) -> list[dict]:
    """The maps once their places no longer change."""
    before = None
    for _ in range(40):
        page.wait_for_timeout(500)
        boxes = [{key: round(value) for key, value in box.items()} for box in maps(page)]
        if len(boxes) == count and boxes == before:
            return boxes
        before = boxes
    raise AssertionError(f"the maps did not come to rest: {before}")


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (900, 1000), (390, 844)])
@pytest.mark.parametrize(("entry", "is_stacked"), [("wide", True), ("tall", False)])
def test_split_maps_of_wide_and_tall_scenes_use_the_card(open_entry, entry, is_stacked, width, height):
    page = open_entry(entry, width, height)
    page.get_by_role("button", name="Split", exact=True).click()
    first, second = settled_maps(page, 2)
    assert (first["width"], first["height"]) == (second["width"], second["height"])
    assert (second["y"] >= first["y"] + first["height"]) == is_stacked
    assert (second["x"] >= first["x"] + first["width"]) != is_stacked
    room = card(page)["width"] - 30
    across = first["width"] if is_stacked else first["width"] + second["width"] + 10
    # Across, or down as far as the window goes.
    assert across > 0.9 * room or first["height"] > 0.4 * height
    assert second["x"] + second["width"] <= card(page)["x"] + card(page)["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_maps_in_a_low_window_are_not_covered_by_their_buttons(open_entry):
    page = open_entry("tiny", 900, 900)
    page.get_by_role("button", name="Split", exact=True).click()
    first, second = settled_maps(page, 2)
    assert second["y"] >= first["y"] + first["height"]
    assert min(first["width"], first["height"]) >= 199
    zoom_in, home = (
        page.get_by_role("button", name=name).first.bounding_box() for name in ("Zoom in", "Whole scene")
    )
    assert zoom_in["y"] == home["y"] < first["y"] + 0.2 * first["height"]


def hover(page) -> str:
    box = maps(page)[0]
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.55 * box["height"])
    page.mouse.move(box["x"] + 0.52 * box["width"], box["y"] + 0.55 * box["height"])
    tip = page.locator(".bk-Tooltip").filter(has_text="place").first
    tip.wait_for()
    # What is written into its shadow root, which the text of the element itself leaves out.
    return tip.evaluate(
        "tip => tip.shadowRoot.querySelector('.bk-tooltip-content').innerText.replace(/\\s+/g, ' ')"
    )


def test_the_hover_names_the_class_its_place_its_date_and_the_pixels(open_entry):
    page = open_entry("tiny", 1400, 900)
    page.get_by_role("button", name="Labels", exact=True).click()
    field = page.get_by_role("textbox", name="Label")
    # The forest lies in the middle, the field in the east.
    for name, across in (("maize", 0.5), ("grass", 0.9)):
        field.fill(name)
        field.press("Enter")
        page.wait_for_timeout(500)
        tap(page, across, 0.4)
        page.wait_for_timeout(500)
    page.get_by_text("1 maize").first.wait_for()
    text = hover(page)
    assert "class: 1 maize" in text
    assert "date: 1 Jul 2020" in text
    assert "50.5" in text
    assert "one pixel of 10 m" in text
    page.get_by_role("button", name="GPP", exact=True).first.click()
    page.get_by_role("heading", name="GPP", exact=True).first.wait_for()
    page.mouse.move(5, 5)
    assert "GPP: " in (text := hover(page)), text
    assert "gC m⁻² d⁻¹" in text


def test_a_missing_entry_is_told_by_its_name_and_not_by_the_servers_folders(open_entry, catalog):
    page = open_entry("missing", 1400, 900, wait="Nothing to show yet")
    alert = page.get_by_role("alert").inner_text()
    assert alert.startswith(
        "Got the entry 'missing', which cannot be opened: got the store nowhere, which does not exist"
    )
    assert "secret" not in page.content()
    assert "deep" not in alert
    assert str(catalog.parent) not in alert
