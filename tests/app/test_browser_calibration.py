"""Calibrate with this tower, in a real browser."""

import pytest
from test_browser import browser, chromium  # noqa: F401 (fixtures)

pytestmark = pytest.mark.browser


def test_the_button_calibrates_and_the_other_goes_back(browser, shared_url):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(shared_url)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.get_by_text("Tower XX-Tst").first.click()
    page.get_by_role("button", name="Calibrate with this tower").click(timeout=60_000)
    page.get_by_text("GPP is calibrated with XX-Tst").wait_for(timeout=60_000)
    page.get_by_text("On days left out in blocks").wait_for(timeout=60_000)
    page.get_by_text("-time partitioned GPP (gpp_").wait_for(timeout=60_000)
    page.get_by_role("button", name="Without calibration").click()
    page.get_by_role("button", name="Calibrate with this tower").wait_for(timeout=60_000)
    assert page.get_by_text("GPP is calibrated with XX-Tst").count() == 0
    assert wrong == []
    page.close()


CANVAS_IN_FRAME = """() => {
  const views = [];
  const go = (view) => { views.push(view); for (const child of view.children?.() ?? []) go(child); };
  for (const root of Bokeh.index.roots) go(root);
  const map = views.find((view) => view.canvas_view && (view.model.tags || []).includes("map"));
  return [map.el.getBoundingClientRect().width, map.canvas_view.bbox.width];
}"""


def test_the_map_is_drawn_in_the_size_of_its_frame(browser, shared_url):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{shared_url}?page=tower")
    page.get_by_role("button", name="Calibrate with this tower").wait_for(timeout=60_000)
    # Sizes that come while the map draws are those that Bokeh may miss.
    for height in (700, 1000, 760, 900):
        page.set_viewport_size({"width": 1400, "height": height})
        page.wait_for_timeout(30)
    page.get_by_role("button", name="Calibrate with this tower").click()
    page.get_by_text("On days left out in blocks").wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    frame, canvas = page.evaluate(CANVAS_IN_FRAME)
    assert abs(frame - canvas) <= 1
    page.close()
