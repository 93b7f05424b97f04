"""In a real browser: a lost or refused connection is said, messages can be closed, players end with their store."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import pytest
from bokeh.util.token import get_token_payload
from served import await_answer, line_to, start, stop
from test_browser import browser, choose_entry, chromium, free_port, local, map_box, shot, tap, until  # noqa: F401

pytestmark = pytest.mark.browser


def open_page(browser, address: str):  # noqa: F811
    """A page with the explorer on it."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(address)
    page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
    page.wait_for_timeout(800)
    return page


@pytest.fixture(scope="module")
def port(catalog):
    """The dashboard on a port."""
    port = free_port()
    server = start(catalog, port)
    yield port
    stop(server)


def test_a_restarted_server_is_said_and_its_view_comes_back(browser, catalog):  # noqa: F811
    port = free_port()
    server = start(catalog, port)
    try:
        page = open_page(browser, f"http://localhost:{port}/")
        tap(page, 0.9, 0.25)
        page.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
        page.wait_for_function("location.search.includes('12%2C54')")
        head = map_box(page)["y"]
        page.evaluate("window.isOld = true")
        stop(server)
        line = page.locator(".connection-line")
        line.get_by_text("The connection to the server is lost").wait_for(timeout=60_000)
        # It moves the page down instead of lying on it.
        assert map_box(page)["y"] >= head + line.bounding_box()["height"] - 1
        shot(page, "connection_lost.png")
        page.get_by_role("button", name="Close this message").click()
        assert line.count() == 0
        server = start(catalog, port)
        page.wait_for_function("!window.isOld", timeout=60_000)
        page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
        page.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
        # The page is alive again.
        tap(page, 0.3, 0.5)
        page.get_by_text("Pixel 24, 18").wait_for(timeout=60_000)
        page.close()
    finally:
        stop(server)


def test_a_refused_origin_says_what_to_start_the_server_with(browser, port):  # noqa: F811
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    # A proxy that writes its own Host: the server cannot see that page and socket have one origin.
    with line_to(port, host=f"localhost:{port}") as proxy:
        page.goto(f"http://fields.localhost:{proxy}/")
        line = page.locator(".connection-line")
        line.get_by_text(f"--allow-origin fields.localhost:{proxy}").wait_for(timeout=60_000)
        shot(page, "origin_refused.png")
        page.keyboard.press("Escape")
        assert line.count() == 0
        page.close()


LATE_S = 12
"""Longer than the token of the test's server lives."""


def test_a_page_that_loads_longer_than_its_token_lives_says_so_and_comes_back(browser, catalog):  # noqa: F811
    port = free_port()
    program = (
        f"from fluxlens.app import server; server.SESSION_TOKEN_S = {LATE_S - 4}; "
        f"server.serve({str(catalog)!r}, {port})"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=catalog.parent,
        env=os.environ | {"FLUXLENS_CACHE": str(catalog.parent / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    late = []

    def delay(route) -> None:
        # The first time alone, as on a slow line: then the browser has the file.
        if route.request.method == "GET" and not late:
            late.append(True)
            time.sleep(LATE_S)
        route.continue_()

    try:
        await_answer(f"http://localhost:{port}/", server)
        page.route("**/bokeh.min.js*", delay)
        page.goto(f"http://localhost:{port}/")
        page.locator(".connection-line").get_by_text("This page took too long to load.").wait_for(
            timeout=60_000
        )
        page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=120_000)
        assert page.locator(".connection-line").count() == 0
    finally:
        page.close()
        stop(server)


def test_a_page_has_an_hour_to_open_its_connection(port):
    with urllib.request.urlopen(f"http://localhost:{port}/", timeout=60) as answer:
        token = re.search(r'"token":"([^"]+)"', answer.read().decode())[1]
    left_s = get_token_payload(token)["session_expiry"] - time.time()
    assert 3500 < left_s <= 3600


def test_an_allowed_origin_opens_the_page(browser, catalog):  # noqa: F811
    port = free_port()
    with line_to(port, host=f"localhost:{port}") as proxy:
        server = start(catalog, port, "--allow-origin", f"fields.localhost:{proxy}")
        try:
            page = open_page(browser, f"http://fields.localhost:{proxy}/")
            assert page.locator(".connection-line").count() == 0
            page.close()
        finally:
            stop(server)


@pytest.mark.parametrize("strip", [True, False], ids=["proxy takes the prefix off", "hub leaves it"])
def test_a_page_under_a_prefix_is_alive(browser, catalog, strip):  # noqa: F811
    prefix, port = "/user/ada/proxy/fluxlens", free_port()
    server = start(catalog, port, *(() if strip else ("--prefix", prefix)))
    try:
        with line_to(port, prefix=prefix, strip=strip) as proxy:
            # The proxy has its own port, of which the server was not told, but hands the browser's Host on.
            page = open_page(browser, f"http://localhost:{proxy}{prefix}/")
            tap(page, 0.9, 0.25)
            page.get_by_text("Pixel 12, 54").wait_for(timeout=60_000)
            assert f"{prefix}/?entry=" in page.url
            assert page.wrong == []
            page.close()
    finally:
        stop(server)


def test_a_message_covers_nothing_and_goes_by_button_by_key_and_with_its_cause(browser, port):  # noqa: F811
    page = open_page(browser, f"http://localhost:{port}/?layer=sigma&day=never")  # a link with a bad part
    alert = page.get_by_role("alert")
    alert.wait_for(timeout=60_000)
    until(page, lambda: "day" in alert.inner_text())
    shot(page, "message_in_flow.png")
    box = alert.bounding_box()
    for other in (map_box(page), page.get_by_role("button", name="Sigma", exact=True).bounding_box()):
        assert other["y"] >= box["y"] + box["height"] or other["y"] + other["height"] <= box["y"]
    page.keyboard.press("Escape")
    alert.wait_for(state="detached", timeout=60_000)

    def make_message() -> None:
        page.goto(f"http://localhost:{port}/?layer=sigma&day=never")
        alert.wait_for(timeout=60_000)
        page.locator("canvas").first.wait_for()
        page.wait_for_timeout(1500)

    make_message()
    page.get_by_role("button", name="×").click()
    alert.wait_for(state="detached", timeout=60_000)
    make_message()
    # Its cause goes: a tap inside.
    tap(page, 0.5, 0.5)
    alert.wait_for(state="detached", timeout=60_000)
    make_message()
    page.get_by_role("button", name="Days from S2", exact=True).click()
    alert.wait_for(state="detached", timeout=60_000)
    assert page.wrong == []
    page.close()


def test_the_player_ends_with_its_store(browser, port):  # noqa: F811
    page = open_page(browser, f"http://localhost:{port}/?day=2020-07-05")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for(timeout=60_000)
    page.wait_for_function("location.search.includes('day=2020-07-1')", timeout=60_000)
    choose_entry(page, "later")
    page.wait_for_function("location.search.includes('entry=later')", timeout=60_000)
    page.get_by_role("button", name="Play").wait_for(timeout=60_000)
    day = page.evaluate("new URLSearchParams(location.search).get('day')")
    page.wait_for_timeout(2500)
    assert page.evaluate("new URLSearchParams(location.search).get('day')") == day
    assert page.get_by_role("button", name="Pause").count() == 0
    assert page.wrong == []
    page.close()


def test_who_logs_in_can_log_out(browser, catalog):  # noqa: F811
    users, port = catalog.parent / "users_of_browser.json", free_port()
    users.write_text(json.dumps({"ada": "lovelace1843"}))
    users.chmod(0o600)
    server = start(catalog, port, "--login", str(users))
    try:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        foreign = []
        page.on("request", lambda request: None if local(request.url) else foreign.append(request.url))
        page.goto(f"http://localhost:{port}/")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("lovelace1843")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=60_000)
        shot(page, "logged_in.png")
        page.get_by_role("link", name="Log out").click()
        page.get_by_text("You are logged out").wait_for(timeout=60_000)
        page.goto(f"http://localhost:{port}/")
        page.get_by_label("Password").wait_for(timeout=60_000)
        assert foreign == []
        page.close()
    finally:
        stop(server)


def test_without_a_login_there_is_nothing_to_log_out_of(browser, port):  # noqa: F811
    page = open_page(browser, f"http://localhost:{port}/")
    assert page.get_by_role("link", name="Log out").count() == 0
    page.close()


def test_an_answer_that_the_page_cannot_show_is_said(browser, port):  # noqa: F811
    page = open_page(browser, f"http://localhost:{port}/")
    # A change of what the page does not know, as of a message that came before the one which defines it.
    patch = json.dumps({"events": [{"kind": "ModelChanged", "model": {"id": "p0"}, "attr": "x", "new": 1}]})
    page.evaluate(f"setTimeout(() => Bokeh.documents[0].apply_json_patch({patch}))")
    line = page.locator(".connection-line")
    line.get_by_text("may show something old").wait_for(timeout=60_000)
    assert len(page.wrong) == 1
    page.evaluate("window.isOld = true")
    line.get_by_role("button", name="Reload").click()
    page.wait_for_function("!window.isOld", timeout=60_000)
    page.close()
