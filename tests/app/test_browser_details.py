"""Details of the page in a real browser: the tower's lines, uploads, tabs of a phone, split maps, palettes, labels."""

import io
import zipfile
from contextlib import suppress

import pytest
from app_world import GRID
from playwright.sync_api import TimeoutError
from test_browser import browser, chromium, map_box, shot  # noqa: F401

pytestmark = pytest.mark.browser

BUTTON_STATES = """names => {
  const found = {};
  const search = (root) => {
    for (const one of root.querySelectorAll("*")) {
      if (one.shadowRoot) search(one.shadowRoot);
      const text = one.matches("button") ? one.textContent.trim() : "";
      if (names.includes(text)) found[text] = one.classList.contains("bk-active");
    }
  };
  search(document);
  return found;
}"""


MAP_RANGES = """(() => {
  const figures = [...Bokeh.documents[0]._all_models.values()].filter((model) => model.type === "Figure");
  const map = figures.find((figure) => figure.renderers.some((one) => one.glyph.type === "ImageRGBA"
    && one.data_source.data.v0));
  return [map.x_range.start, map.x_range.end, map.y_range.start, map.y_range.end];
})()"""
"""Left, right, bottom, top of the map's view, metres."""


@pytest.fixture
def open_page(browser, shared_url):  # noqa: F811
    """Opens the page in a context of its own; closes what it opened."""
    contexts = []

    def opened(
        width: int, height: int, query: str = "?day=2020-07-01", wait: str = "NDVI, Sentinel-2", **options
    ):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        # Machines that run many tests at once take their time.
        context.set_default_timeout(180_000)
        page = context.new_page()
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(shared_url + query)
        page.get_by_text(wait).first.wait_for()
        page.locator("[role=application]").first.wait_for()
        page.wait_for_timeout(500)
        return page

    yield opened
    for context in contexts:
        context.close()


def test_a_kmz_becomes_named_areas_and_a_damaged_file_a_sentence(open_page):
    page = open_page(1400, 900)
    marks = ""
    for name, col in (("meadow", 5), ("oaks", 25)):
        x, y = GRID.left_m + 10 * col, GRID.top_m - 100
        ring = [(x, y), (x + 60, y), (x + 60, y - 60), (x, y - 60), (x, y)]
        corners = " ".join("{},{},0".format(*GRID.lonlat(*corner)) for corner in ring)
        marks += (
            f"<Placemark><name>{name}</name><Polygon><outerBoundaryIs><LinearRing><coordinates>{corners}"
            "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("doc.kml", f"<kml><Document>{marks}</Document></kml>")
    field = page.get_by_label("Places from file")
    field.set_input_files({"name": "a.kml", "mimeType": "", "buffer": b"<kml></kml>"})
    page.get_by_text(
        "Got a.kml, a KML file without a placemark, need points or polygons; save those."
    ).wait_for()
    field.set_input_files({"name": "fields.kmz", "mimeType": "", "buffer": packed.getvalue()})
    page.get_by_text("PC1 of meadow").wait_for()
    for name in ("meadow", "oaks"):
        page.get_by_role("button", name=name).wait_for()
    page.get_by_text("Area of 36 pixels").wait_for()
    assert page.get_by_text("without a placemark").count() == 0  # its cause is gone
    shot(page, "kmz_areas.png")
    assert page.wrong == []


@pytest.mark.parametrize("width", [390, 360])
def test_the_pages_of_a_phone_are_one_line_of_tabs(open_page, width):
    page = open_page(width, 844, device_scale_factor=2)
    tabs = [
        page.get_by_role("button", name=name, exact=True).bounding_box()
        for name in ("Series", "Tower XX-Tst", "Feature space", "Compute")
    ]
    assert len({round(box["y"]) for box in tabs}) == 1
    if width == 390:
        assert tabs[-1]["x"] + tabs[-1]["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shot(page, f"tabs_{width}.png")


def test_split_maps_take_the_larger_part_of_a_wide_page(open_page):
    page = open_page(1400, 900)
    alone = map_box(page)
    page.get_by_role("button", name="Split", exact=True).click()
    page.locator("[role=application]").nth(1).wait_for()
    page.wait_for_timeout(2000)
    boxes = [one.bounding_box() for one in page.locator("[role=application]").all()]
    assert len(boxes) == 2
    assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=1)
    assert sum(box["width"] for box in boxes) > 1.25 * alone["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    shot(page, "split_wide.png")
    page.get_by_role("button", name="Split", exact=True).click()
    page.wait_for_timeout(1500)
    assert map_box(page)["width"] == pytest.approx(alone["width"], abs=2)
    assert page.wrong == []


def test_palettes_have_names_beside_their_colours(open_page):
    page = open_page(1400, 900, "?day=2020-07-01&layer=sigma")
    page.locator("button.bar").first.click()
    group = page.get_by_role("group", name="Palette")
    names = group.locator(".name").all_inner_texts()
    assert {"Black, blue, yellow, white", "Black, blue, ochre, pale", "Grey"} <= set(names)
    assert len(set(names)) == len(names) == group.get_by_role("button").count()
    for ramp in group.locator(".ramp").all():
        assert ramp.bounding_box()["width"] > 150
        assert "gradient" in ramp.evaluate("el => getComputedStyle(el).backgroundImage")
    shot(page, "palettes.png")
    page.keyboard.press("Escape")
    group.wait_for(state="hidden")


def test_labels_have_a_legend_in_the_colours_of_their_markers(open_page):
    page = open_page(1400, 900, "?day=2020-07-01&layer=labels")
    field = page.get_by_placeholder("class or number")
    for name, at, shown in (
        ("water", (0.1, 0.3), "water 1"),
        ("water", (0.15, 0.6), "water 2"),
        ("field", (0.9, 0.7), "field 1"),
    ):
        field.fill(name)
        # A tap on a map that is still being drawn is lost; the legend, which comes with a label, moves the map.
        for _ in range(5):
            box = map_box(page)
            page.mouse.click(box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"])
            with suppress(TimeoutError):
                page.get_by_text(shown).wait_for(timeout=20_000)
                break
        page.wait_for_timeout(800)
    page.get_by_text("Your classes").wait_for()
    keys = page.locator(".key", has=page.locator("i.square"))
    assert keys.all_inner_texts() == ["water 2", "field 1"]
    colours = [key.locator("i").evaluate("el => getComputedStyle(el).backgroundColor") for key in keys.all()]
    assert colours == ["rgb(0, 114, 178)", "rgb(230, 159, 0)"]
    page.mouse.move(5, 5)  # the hover covers a marker
    page.wait_for_timeout(800)
    box = map_box(page)  # below a legend that came with the labels
    picture = shot(page, "label_legend.png")
    # A marker on a map of its own colour: white and a dark rim around it.
    x, y = int(box["x"] + 0.9 * box["width"]), int(box["y"] + 0.7 * box["height"])
    around = picture[y - 16 : y + 17, x - 16 : x + 17].reshape(-1, 3).astype(int)
    assert (around.min(1) > 225).sum() > 20
    assert (around.max(1) < 80).sum() > 20
    page.get_by_role("button", name="Clear").click()
    page.wait_for_timeout(1000)
    assert keys.count() == 0
    assert page.wrong == []


def test_the_prediction_never_stands_without_nirv_times_light_and_its_factor_is_named(open_page):
    page = open_page(1400, 900, "?day=2020-07-01&page=tower", "1:1 line")
    note = page.get_by_text("NIRv × light has its factor, 0.129 gC m⁻² d⁻¹ per W m⁻², from 30 other towers")
    chart = page.get_by_text("Daily GPP, gC m⁻² d⁻¹", exact=True)
    assert 0 < chart.bounding_box()["y"] - note.bounding_box()["y"] < 80  # beside the chart
    calibrate = page.get_by_role("button", name="Calibrate with this tower").bounding_box()
    assert calibrate["y"] + calibrate["height"] < note.bounding_box()["y"]  # above all charts and scores
    names = ["Predicted", "NIRv × light", "P-model"]
    assert all(page.evaluate(BUTTON_STATES, names).values())
    page.get_by_role("button", name="NIRv × light").click()
    page.get_by_text("Predicted and NIRv × light are shown together; press either to see both.").wait_for()
    assert page.evaluate(BUTTON_STATES, names) == dict.fromkeys(names[:2], False) | {"P-model": True}
    page.get_by_role("button", name="Predicted").click()
    page.get_by_text("are shown together").wait_for(state="hidden")
    assert all(page.evaluate(BUTTON_STATES, names).values())
    page.get_by_role("button", name="P-model").click()
    page.wait_for_timeout(1000)
    assert page.evaluate(BUTTON_STATES, names) == dict.fromkeys(names[:2], True) | {"P-model": False}
    assert page.wrong == []


def test_a_phone_held_sideways_shows_the_map_and_no_empty_card(open_page):
    page = open_page(844, 390, device_scale_factor=2)
    page.get_by_role("button", name="Got it").click()  # the explanation of a first visit takes room, too
    page.get_by_role("button", name="Got it").wait_for(state="hidden")
    page.wait_for_timeout(800)
    assert map_box(page)["y"] < 250  # of 390
    layers = page.get_by_role("group", name="Layer of the map")
    assert len({round(one.bounding_box()["y"]) for one in layers.get_by_role("button").all()}) == 1
    layers.get_by_role("button", name="Days from S2").focus()  # scrolled to by the keyboard
    box = layers.get_by_role("button", name="Days from S2").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 844
    assert page.evaluate("document.documentElement.scrollWidth") <= 844
    shot(page, "landscape.png")
    assert page.wrong == []


def test_typed_coordinates_lead_to_their_pixel_and_into_the_link(open_page):
    page = open_page(1400, 900)
    field = page.get_by_label("Go to latitude, longitude")
    x, y = float(GRID.x[54]), float(GRID.y[12])
    lon, lat = (float(part) for part in GRID.lonlat(x, y))
    field.fill(f"{lat:.6f}N {lon:.6f}E")
    field.press("Enter")
    page.get_by_text("Pixel 12, 54").wait_for()
    page.wait_for_function("location.search.includes('12') && location.search.includes('54')")
    assert field.input_value() == ""
    # Zoomed to where that pixel is not, the map moves until it is in view, at the same zoom.
    box = map_box(page)
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"])
    for _ in range(6):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(100)
    page.wait_for_function("location.search.includes('map=')")
    before = page.evaluate(MAP_RANGES)
    assert before[1] < x
    assert before[3] < y
    field.fill(f"{lat:.6f}, {lon:.6f}")
    field.press("Enter")
    page.wait_for_function(
        f"() => {{ const r = {MAP_RANGES}; return r[0] < {x} && {x} < r[1] && r[2] < {y} && {y} < r[3]; }}"
    )
    after = page.evaluate(MAP_RANGES)
    assert after[1] - after[0] == pytest.approx(before[1] - before[0], rel=1e-6)
    shot(page, "go_to_zoomed.png")
    field.fill("10, 20")
    field.press("Enter")
    page.get_by_role("alert").get_by_text("Got 10.00000, 20.00000, which is outside the scene").wait_for()
    field.fill("north of the barn")
    field.press("Enter")
    page.get_by_role("alert").get_by_text("need latitude and longitude in degrees").wait_for()
    assert page.get_by_text("Pixel 12, 54").count() > 0
    assert page.wrong == []
