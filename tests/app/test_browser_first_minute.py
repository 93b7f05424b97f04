"""The first minute in a real browser: the opening day, layers and their explanations, dates, colours, entries, help."""

import datetime as dt

import numpy as np
import pytest
from test_browser import browser, chromium, map_box, shot, until  # noqa: F401 (fixtures)

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(browser, shared_url):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(shared_url)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.locator("[role=application]").first.wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    yield page
    assert page.wrong == []
    page.close()


def day_of(page) -> str:
    return page.locator("button.day").inner_text()


@pytest.fixture(scope="module")
def clear_days(catalog) -> list[dt.date]:
    """Days of the tiny world on which at least 90 % are clear."""
    from fluxlens.embeddings.store import Store

    clear = Store.open(catalog.parent / "store").scene()["s2"].clear.load()
    share = clear.mean(("y", "x"))
    return [time.date() for time in share.time.to_index()[share.values >= 0.9]]


def test_it_opens_on_a_clear_day_of_the_growing_season(visit, clear_days):
    day = dt.datetime.strptime(day_of(visit), "%d %b %Y").date()
    assert day in clear_days
    assert dt.date(2020, 4, 15) < day < dt.date(2020, 9, 15)
    assert "clear" in visit.locator("button.day").get_attribute("aria-label")


def test_layers_stand_in_groups_and_say_what_they_show(visit):
    bar = visit.get_by_role("group", name="Layer of the map")
    groups = [group.get_attribute("aria-label") for group in bar.get_by_role("group").all()]
    assert groups == ["See", "Carbon", "Compare", "Trust"]
    trust = bar.get_by_role("group", name="Trust").get_by_role("button").all_inner_texts()
    assert trust == ["Sigma", "Days from S2"]
    tip = visit.get_by_role("tooltip").filter(has_text="Expected error of the reflectance")
    assert not tip.is_visible()
    visit.get_by_role("button", name="Sigma", exact=True).hover()
    tip.wait_for(state="visible", timeout=60_000)
    shot(visit, "layer_tip.png")
    # It covers no layer and none of the controls below them.
    assert tip.bounding_box()["y"] + tip.bounding_box()["height"] <= bar.bounding_box()["y"]
    visit.get_by_role("button", name="Sigma", exact=True).click()
    visit.locator(".caption", has_text="Sigma").wait_for(timeout=60_000)
    assert visit.get_by_role("button", name="Sigma", exact=True).get_attribute("aria-pressed") == "true"
    assert (
        visit.get_by_role("button", name="Embedding", exact=True).first.get_attribute("aria-pressed")
        == "false"
    )


def test_a_date_is_typed_and_a_wrong_one_is_explained(visit):
    visit.locator("button.day").click()
    field = visit.get_by_role("dialog", name="Day of the map").get_by_label("Date")
    for typed, shown in (
        ("2020-05-03", "3 May 2020"),
        ("4 Jun 2020", "4 Jun 2020"),
        ("5.7.2020", "5 Jul 2020"),
    ):
        if not field.is_visible():
            visit.locator("button.day").click()
        field.fill(typed)
        field.press("Enter")
        visit.locator("button.day", has_text=shown).wait_for(timeout=60_000)
        assert not field.is_visible()
    visit.locator("button.day").click()
    field.fill("31.2.2020")
    field.press("Enter")
    visit.get_by_role("alert").get_by_text("need a date from 2020-03-01 to 2020-10-31").wait_for(
        timeout=60_000
    )
    field.fill("2019-07-01")
    field.press("Enter")
    visit.get_by_role("alert").get_by_text("Got “2019-07-01”").wait_for(timeout=60_000)
    visit.keyboard.press("Escape")
    assert not field.is_visible()
    assert day_of(visit) == "5 Jul 2020"


def test_the_calendar_marks_clear_days_and_is_used_by_keys(visit, clear_days):
    visit.locator("button.day").click()
    calendar = visit.get_by_role("dialog", name="Day of the map")
    calendar.get_by_label("Month", exact=True).select_option("2020-05")
    marked = [int(cell.inner_text()) for cell in calendar.locator("td button.clear").all()]
    assert marked == [day.day for day in clear_days if day.month == 5]
    assert 0 < len(marked) < 31
    shot(visit, "calendar.png")
    calendar.get_by_label("Month", exact=True).select_option("2020-07")
    calendar.locator('[data-day="2020-07-01"]').focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        visit.keyboard.press(key)
    visit.locator("button.day", has_text="9 Jul 2020").wait_for(timeout=60_000)


def test_keys_jump_to_the_next_clear_day(visit, clear_days):
    day = dt.datetime.strptime(day_of(visit), "%d %b %Y").date()
    following = min(one for one in clear_days if one > day)
    visit.keyboard.press("n")
    visit.locator("button.day", has_text=f"{following.day} {following:%b %Y}").wait_for(timeout=60_000)
    visit.keyboard.press("p")
    visit.locator("button.day", has_text=f"{day.day} {day:%b %Y}").wait_for(timeout=60_000)
    visit.wait_for_function(f"location.search.includes('day={day}')", timeout=60_000)


def test_the_colour_bar_sets_range_and_palette_and_gives_them_back(visit):
    visit.get_by_role("button", name="Sigma", exact=True).click()
    visit.locator(".caption", has_text="Sigma").wait_for(timeout=60_000)
    visit.wait_for_timeout(800)
    box = map_box(visit)
    inside = np.s_[
        int(box["y"]) + 150 : int(box["y"] + box["height"]) - 60, int(box["x"]) + 50 : int(box["x"]) + 250
    ]
    before = shot(visit, "bar_before.png")[inside]
    bar = visit.locator("button.bar").first
    ticks = bar.inner_text()
    bar.click()
    dialog = visit.get_by_role("dialog", name="Range and palette")
    dialog.get_by_role("button", name="Grey").click()
    assert np.ptp(before, axis=-1).min() > 30
    until(visit, lambda: np.ptp(shot(visit, "bar_grey.png")[inside], axis=-1).max() < 6)
    grey = shot(visit, "bar_grey.png")[inside]
    dialog.get_by_label("Highest").fill("0.5")
    dialog.get_by_label("Highest").press("Enter")
    until(visit, lambda: bar.inner_text().split()[-1] == "0.5")
    until(visit, lambda: shot(visit, "bar_range.png")[inside].mean() < grey.mean() - 5)
    dialog.get_by_label("Lowest").fill("2")
    dialog.get_by_label("Lowest").press("Enter")
    dialog.get_by_role("alert").get_by_text("need a lowest below a highest value").wait_for(timeout=60_000)
    dialog.get_by_role("button", name="Back to its own").click()
    until(visit, lambda: bar.inner_text() == ticks)
    visit.keyboard.press("Escape")
    visit.mouse.move(5, 5)
    until(visit, lambda: np.abs(shot(visit, "bar_back.png")[inside] - before).max() < 3)


def test_entries_are_searched_by_their_descriptions(visit):
    visit.locator("button.entry").click()
    search = visit.get_by_role("combobox", name="Search the entries")
    options = visit.get_by_role("listbox", name="Entries").get_by_role("option")
    assert options.all_inner_texts() == [
        "tiny\nA tiny world.",
        "later\nIt again.",
        "theirs\nTheirs.",
        "missing\nNothing there.",
    ]
    shot(visit, "entries.png")
    search.fill("no such thing")
    visit.get_by_text("No entry has “no such thing”").wait_for(timeout=60_000)
    search.fill("again")
    assert options.all_inner_texts() == ["later\nIt again."]
    search.press("Enter")
    visit.wait_for_function("location.search.includes('entry=later')", timeout=60_000)
    assert visit.locator("button.entry").inner_text() == "later"


def test_the_help_explains_terms_keys_and_layers(visit):
    visit.get_by_role("button", name="Help").click()
    help_panel = visit.get_by_role("dialog", name="How to read this page")
    terms = help_panel.locator("dt").all_inner_texts()
    assert {"NT", "DT", "PC", "Sigma", "Band", "N, P", "GPP band", "Days from S2"} <= set(terms)
    shot(visit, "help.png")
    visit.keyboard.press("ArrowRight")  # not for the page behind it
    visit.keyboard.press("Escape")
    assert not help_panel.is_visible()
    assert day_of(visit) == visit.locator("button.day").inner_text()
