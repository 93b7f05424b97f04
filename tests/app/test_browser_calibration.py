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
    page.get_by_role("button", name="Calibrate with this tower").click(timeout=20_000)
    page.get_by_text("GPP is calibrated with XX-Tst").wait_for(timeout=30_000)
    page.get_by_text("On days left out in blocks").wait_for(timeout=5_000)
    page.get_by_role("button", name="Without calibration").click()
    page.get_by_role("button", name="Calibrate with this tower").wait_for(timeout=30_000)
    assert page.get_by_text("GPP is calibrated with XX-Tst").count() == 0
    assert wrong == []
    page.close()
