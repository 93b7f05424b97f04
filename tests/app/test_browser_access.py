"""For everybody, in a real browser: names and states, keys on the map, charts in words, what axe-core finds."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_browser import browser, chromium, free_port, serving, shot  # noqa: F401 (fixtures)

pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(browser, shared_url):  # noqa: F811
    contexts = []

    def opened(theme: str = "light", query: str = "?day=2020-07-01"):
        context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(shared_url + query)
        page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
        page.locator("[role=application]").first.wait_for(timeout=60_000)
        page.wait_for_timeout(600)
        return page

    yield opened
    for context in contexts:
        context.close()


def violations(page, *rules: str) -> list[str]:
    """Serious and critical findings of axe-core on the page as it is; only of some rules where these are named."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_axe_finds_what_is_wrong(browser):  # noqa: F811
    page = browser.new_page()
    page.set_content("<html><body><main><input><p style='color: #ccc'>pale</p></main></body></html>")
    assert {line.split(":")[0] for line in violations(page)} >= {"critical label", "serious color-contrast"}
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(open_page, theme):
    page = open_page(theme)
    found = {"series": violations(page)}
    # In the dark only colours are others; of what is open for a moment nothing else is looked at again.
    rules = ("color-contrast",) if theme == "dark" else ()
    page.get_by_role("button", name="Weather").click()
    page.get_by_role("button", name="Feature", exact=True).click()
    page.get_by_role("button", name="Split").click()
    page.wait_for_timeout(1500)
    found["split maps, all charts"] = violations(page)
    page.get_by_role("button", name="Labels", exact=True).click()
    page.wait_for_timeout(800)
    found["labels"] = violations(page, *rules)
    page.get_by_role("button", name="Split").click()
    page.get_by_role("button", name="Sigma", exact=True).click()
    page.locator("button.bar").first.click()
    page.wait_for_timeout(300)
    found["colour bar"] = violations(page, *rules)
    page.keyboard.press("Escape")
    for name, control in (("calendar", "button.day"), ("entries", "button.entry")):
        page.locator(control).click()
        page.wait_for_timeout(300)
        found[name] = violations(page, *rules)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Help").click()
    page.wait_for_timeout(300)
    found["help"] = violations(page, *rules)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Tower XX-Tst").click()
    page.get_by_text("1:1 line").wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    found["tower"] = violations(page)
    page.get_by_role("button", name="Compute", exact=True).click()
    page.get_by_text("Compute a box of this scene now").wait_for(timeout=60_000)
    page.wait_for_timeout(600)
    found["compute"] = violations(page)
    page.locator("input.bk-input:not([type=hidden])[aria-label='First day']").click()
    page.wait_for_timeout(300)
    found["calendar of a date field"] = violations(page, *rules)
    page.keyboard.press("Escape")
    page.locator("button.entry").click()
    page.get_by_role("listbox", name="Entries").get_by_role("option").filter(has_text="missing").click()
    page.get_by_role("alert").get_by_text("does not exist").wait_for(timeout=60_000)
    page.wait_for_timeout(600)
    found["message, nothing to show"] = violations(page)
    shot(page, f"message_{theme}.png")
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert page.wrong == []


def test_the_login_page_is_named_and_follows_the_theme(browser, catalog, tmp_path):  # noqa: F811
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"ada": "a long secret"}))
    users.chmod(0o600)
    with serving(catalog, arguments=("--login", str(users))) as address:
        for theme in ("light", "dark"):
            for width in (1400, 390):
                context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=theme)
                page = context.new_page()
                page.goto(address)
                page.get_by_role("textbox", name="Name").fill("ada")
                page.get_by_label("Password").fill("wrong")
                page.get_by_role("button", name="Log in").click()
                page.get_by_role("alert").wait_for(timeout=60_000)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert violations(page) == []
                picture = shot(page, f"login_{theme}_{width}.png")
                assert (picture[5, 5].max() < 60) == (theme == "dark")
                context.close()


def test_the_page_has_landmarks_a_heading_and_a_language(open_page):
    page = open_page()
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("banner").count() == page.get_by_role("main").count() == 1
    assert page.get_by_role("heading", level=1).inner_text() == "fluxlens"
    for name in ("Map", "Charts and scores"):
        assert page.get_by_role("region", name=name).count() == 1


def test_buttons_selects_and_sliders_say_their_names_and_values(open_page):
    page = open_page()
    assert page.get_by_role("button", name="NDVI").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="NDVI").click()
    page.locator("button[aria-pressed=false]", has_text="NDVI").wait_for(timeout=60_000)
    pin = page.get_by_role("button", name="+ Pin")
    assert pin.get_attribute("aria-pressed") == "false"
    pin.click()
    page.locator("button[aria-pressed=true]", has_text="+ Pin").wait_for(timeout=60_000)
    page.get_by_role("button", name="Split").click()
    for name in ("Days of a step", "Speed", "Format of the export", "Layer of the second map"):
        page.get_by_role("combobox", name=name).wait_for(timeout=60_000)
    slider = page.get_by_role("slider", name="Day", exact=True)
    assert slider.get_attribute("aria-valuetext") == "01 Jul 2020"
    page.keyboard.press("ArrowRight")
    page.locator("[aria-valuetext='02 Jul 2020']").wait_for(timeout=60_000)
    for group in ("Charts", "Places", "Pages", "View of the map"):
        assert page.get_by_role("group", name=group, exact=True).first.is_visible()
    assert page.get_by_role("button", name="‹ Earlier", exact=True).is_visible()


def test_arrow_keys_move_the_pixel_while_the_map_has_the_focus(open_page):
    page = open_page()
    page.get_by_text("Pixel 20, 28").wait_for()
    page.get_by_role("application").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowUp"):
        page.keyboard.press(key)
    page.get_by_text("Pixel 11, 30").wait_for(timeout=60_000)
    assert page.locator("button.day").inner_text() == "1 Jul 2020"  # the day stays
    for _ in range(7):
        page.keyboard.press("Shift+ArrowLeft")
    page.get_by_text("Pixel 11, 0").wait_for(timeout=60_000)
    page.keyboard.press("Tab")  # away from the map, where the arrows step the day again
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Split").focus()
    page.keyboard.press("ArrowRight")
    page.locator("button.day", has_text="2 Jul 2020").wait_for(timeout=60_000)
    assert page.get_by_text("Pixel 11, 0").count() == 1
    assert page.wrong == []


def test_charts_are_told_in_words_that_follow_the_pixel(open_page):
    page = open_page()
    ndvi = page.get_by_role("img", name=re.compile("^Chart: NDVI"))
    text = ndvi.get_attribute("aria-label")
    assert "pixel 20, 28, simulated" in text
    numbers = re.search(r"(\d+) values from (.*) to (.*), between (−?[\d.]+) and (−?[\d.]+)", text)
    assert int(numbers[1]) > 5
    assert re.search("rises until .* 2020, then falls", text)
    for name in ("Principal components", "Radar backscatter", "GPP"):
        assert page.get_by_role("img", name=re.compile(f"^Chart: {name}")).count() == 1
    page.get_by_role("application").first.focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    moved = page.get_by_role("img", name=re.compile("^Chart: NDVI.*pixel 20, 0"))
    moved.wait_for(timeout=60_000)
    assert moved.get_attribute("aria-label").replace("20, 0", "20, 28") != text
    page.get_by_role("button", name="Tower XX-Tst").click()
    page.get_by_text("1:1 line").wait_for(timeout=60_000)
    scatter = page.get_by_role("img", name=re.compile("^Chart: Each day, predicted against measured"))
    scatter.wait_for(timeout=60_000)
    before = scatter.get_attribute("aria-label")
    assert "Predicted: 163 days, correlation" in before
    page.get_by_role("button", name="Day-time").click()
    page.wait_for_function(
        "(before) => { const find = (root) => [...root.querySelectorAll('*')].some((el) =>"
        " (el.getAttribute('aria-label') || '').startsWith('Chart: Each day') &&"
        " el.getAttribute('aria-label') !== before || (el.shadowRoot && find(el.shadowRoot)));"
        " return find(document); }",
        arg=before,
        timeout=60_000,
    )
