"""Charts in a real browser: saved as picture and numbers; names and colours of places; the feature space whole."""

import json
import re
import urllib.parse

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_browser import (  # noqa: F401  fixtures of the module
    browser,
    choose_entry,
    chromium,
    local,
    visit,
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(shared_url):
    return shared_url


def saved(page, folder, kind: str, key: str):
    with page.expect_download(timeout=30_000) as waiting:
        page.locator(f'button[data-save="{kind}"][data-chart="{key}"]').click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_every_chart_of_a_place_is_saved_as_picture_and_numbers(visit, tmp_path):  # noqa: F811
    for key in ("ndvi", "pc", "radar", "gpp"):
        picture = np.asarray(
            Image.open(saved(visit, tmp_path, "png", f"series/{key}")).convert("RGB")
        ).astype(int)
        assert picture.shape[1] > 400
        # Neither transparent nor empty: paper all round, and something in it.
        assert (picture[2, 2] == 255).all()
        assert (np.abs(picture - 255).max(-1) > 60).sum() > 500
        table = pd.read_csv(saved(visit, tmp_path, "csv", f"series/{key}"), comment="#")
        assert len(table) == 245
        assert set(table.name) == {"Pixel 1"}
    assert {"gpp", "gpp_lo", "gpp_hi", "tower_gpp_nt"} <= set(table.columns)
    assert visit.wrong == []


def test_the_scores_and_charts_of_a_tower_are_saved(visit, tmp_path):  # noqa: F811
    visit.get_by_role("button", name="Tower XX-Tst").click()
    visit.locator("table tr", has_text="Predicted").first.wait_for(timeout=60_000)
    scores = pd.read_csv(saved(visit, tmp_path, "csv", "tower/scores"), comment="#")
    assert {"daily", "weekly", "monthly"} <= set(scores["scale"])
    assert {"scale", "line", "n", "nse", "rmse"} <= set(scores.columns)
    shown = visit.locator("table tr", has_text="Predicted").first.inner_text().split()
    daily = scores[(scores["scale"] == "daily") & (scores["line"] == "Predicted")].iloc[0]
    assert f"{daily.rmse:.2f}" in shown
    table = pd.read_csv(saved(visit, tmp_path, "csv", "tower/scatter"), comment="#")
    assert {"time", "measured", "model"} <= set(table.columns)
    with Image.open(saved(visit, tmp_path, "png", "tower/scatter")) as picture:
        assert picture.width > 250
    assert visit.wrong == []


def test_a_name_goes_into_chips_legends_files_and_the_link(visit, tmp_path):  # noqa: F811
    field = visit.get_by_label("Name of the place")
    field.fill("old oak")
    field.press("Enter")
    visit.get_by_role("button", name="old oak").wait_for(timeout=60_000)
    table = pd.read_csv(saved(visit, tmp_path, "csv", "series/gpp"), comment="#")
    assert set(table.name) == {"old oak"}
    visit.wait_for_function("() => location.search.includes('old+oak')", timeout=60_000)
    visit.reload()
    visit.get_by_role("button", name="old oak").wait_for(timeout=60_000)
    assert visit.wrong == []


def test_chosen_colours_are_in_the_link(visit):  # noqa: F811
    visit.get_by_role("button", name="GPP", exact=True).first.click()
    visit.locator("button.bar").first.click()
    low = visit.get_by_label("Lowest").first
    low.fill("2")
    low.press("Enter")
    visit.wait_for_function("() => location.search.includes('colours=')", timeout=60_000)
    query = urllib.parse.parse_qs(urllib.parse.urlparse(visit.url).query)
    assert json.loads(query["colours"][0])["GPP"][0] == 2
    visit.reload()
    visit.locator("button.bar .ticks").first.get_by_text("2", exact=True).wait_for(timeout=60_000)
    assert visit.wrong == []


def test_the_header_leaves_the_title_of_an_entry_that_is_gone(visit):  # noqa: F811
    title = visit.get_by_text("Embeddings of a tiny made-up world").or_(
        visit.get_by_text("A tiny made-up world")
    )
    title.first.wait_for()
    choose_entry(visit, "missing")
    visit.get_by_text("Nothing to show yet").wait_for(timeout=60_000)
    assert title.count() == 0
    choose_entry(visit, "later")
    title.first.wait_for(timeout=60_000)


@pytest.mark.parametrize("width", [1400, 900, 390])
def test_the_feature_space_is_whole_with_its_colour_bar_on_every_screen(visit, width):  # noqa: F811
    visit.set_viewport_size({"width": width, "height": 900})
    visit.get_by_role("button", name="Feature space").click()
    visit.get_by_text(re.compile("draw a line around points")).wait_for(timeout=60_000)
    visit.wait_for_function(
        """() => [...Bokeh.documents[0]._all_models.values()].some((model) => model.type === "ColorBar")""",
        timeout=30_000,
    )
    visit.wait_for_timeout(1500)
    sizes = visit.evaluate(
        """() => {
          const out = [];
          const walk = (view) => {
            if (view.model.type === "Figure") {
              const { frame, el } = view, below = [...(view.model.below ?? [])];
              if (below.some((part) => part.type === "ColorBar")) {
                const at = el.getBoundingClientRect();
                const drawn = view.canvas_view.bbox.height;
                out.push({
                  width: frame.bbox.width, height: frame.bbox.height, start: at.left, end: at.right,
                  cut: at.height - drawn,
                });
              }
            }
            for (const child of view.children_views?.() ?? view.child_views ?? []) walk(child);
          };
          for (const root of Bokeh.index.roots) walk(root);
          return out;
        }"""
    )
    assert len(sizes) == 1
    assert min(sizes[0]["width"], sizes[0]["height"]) > 200
    assert 0 <= sizes[0]["start"] < sizes[0]["end"] <= width
    assert visit.evaluate("document.documentElement.scrollWidth") <= width
    # The colour bar is the lowest part of the canvas.
    assert abs(sizes[0]["cut"]) <= 1
    assert visit.wrong == []
