"""A real JupyterLab and a real Voila: the explorer in a cell, in a widget and behind a path of its own."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest
from app_world import write_store
from fluxlens.app.palette import THEMES
from served import await_answer, stop
from test_browser import FLAGS, ROOT, chromium, figures, free_port, local, shot, until  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VOILA_OWN = "https://cdn.jsdelivr.net/npm/@fortawesome/"
"""Icons that the page of Voila 0.5 itself asks for, whatever its notebook shows."""
BASE = "/user/ada/"
"""Path under which a hub serves JupyterLab."""
CATALOG = """\
metadata: {version: 1}
sources:
  tiny: {driver: fluxlens_embeddings, description: A tiny world., args: {store: store}}
"""
OPEN = """\
from fluxlens import Explorer, open_catalog
explorer = Explorer(open_catalog("{catalog}"))
"""
LAB_CELLS = (
    OPEN
    + "seen = []\nexplorer.param.watch(lambda event: seen.append(dict(event.new.sizes)), 'selection')\nexplorer",
    "explorer.layer = 'sigma'\nexplorer.pixels = [(24, 18)]",
    "row, col = explorer.pixels[-1]\n"
    "print('read', len(explorer.series), (row, col), seen[-1]['time'], int(explorer.selection.row),"
    " explorer.layer, explorer.state.dark)",
    "import holoviews as hv\nhv.extension('bokeh', inline=True)\n"
    "x, y = explorer.data.centre(24, 18)\nexplorer.map * hv.Points([(x, y)]).opts(size=14, color='red')",
)
VOILA_CELLS = (
    OPEN
    + "import ipywidgets\nipywidgets.VBox([ipywidgets.Label('In a layout of widgets'), explorer.widget()])",
)


@contextmanager
def jupyter(folder, program: list[str], address: str, **settings: str):
    """A Jupyter server with all its own files in one folder."""
    own = {f"JUPYTER_{kind}_DIR": str(folder / f".{kind.lower()}") for kind in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [sys.executable, "-m", *program],
        cwd=folder,
        env={**os.environ, **own, "PYTHONPATH": str(ROOT), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_answer(address, server)
        yield
    finally:
        stop(server)


def write_notebook(path, cells: tuple[str, ...], catalog) -> None:
    made = [nbformat.v4.new_code_cell(cell.replace("{catalog}", str(catalog))) for cell in cells]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=kernel), path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A catalog in one folder; notebooks are in others."""
    folder = tmp_path_factory.mktemp("tiny_catalog")
    write_store(folder / "store")
    (folder / "catalog.yaml").write_text(CATALOG)
    return folder / "catalog.yaml"


@pytest.fixture(scope="module")
def browser(chromium):  # noqa: F811
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1500, "height": 1100})
    page.strange = []
    page.on("request", lambda request: None if local(request.url) else page.strange.append(request.url))
    yield page
    page.close()


def test_in_jupyterlab_the_explorer_is_shown_read_set_and_composed(tiny, tmp_path, page):
    write_notebook(tmp_path / "of" / "mine" / "look.ipynb", LAB_CELLS, tiny)
    port = free_port()
    program = ["jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=localhost"]
    program += [
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={tmp_path}",
        f"--ServerApp.base_url={BASE}",
    ]
    program += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
    program += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    address = f"http://localhost:{port}{BASE}"
    with jupyter(tmp_path, program, f"{address}api/status", JUPYTERLAB_SETTINGS_DIR=str(tmp_path / ".lab")):
        page.goto(f"{address}lab/tree/of/mine/look.ipynb")
        page.locator(".jp-Notebook").wait_for(timeout=90_000)
        page.get_by_text("| Idle").wait_for(timeout=90_000)

        def run(index: int) -> None:
            # Chosen anew, since a click into an output chooses its cell.
            page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {index}")
            page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")

        run(0)
        page.get_by_text("Pixel 20, 28").wait_for(timeout=60_000)
        page.wait_for_timeout(1500)
        page.locator(".bk-Figure").first.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        box = max(figures(page), key=lambda b: b["height"])
        page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.25 * box["height"])
        page.get_by_text(re.compile(r"Pixel (?!20, 28)\d+, \d+")).first.wait_for(timeout=60_000)

        # The Lab's theme, now and when it changes.
        theme = "document.documentElement.dataset.theme"
        assert page.evaluate(theme) == "light"
        page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.wait_for_function(f"{theme} === 'dark'", timeout=60_000)
        # The charts, too: their grid is that of the dark theme once the server has answered.
        page.wait_for_function(
            "(colour) => {"
            " const models = Bokeh.documents.flatMap((page) => [...page._all_models.values()]);"
            " const grids = models.filter((model) => model.type === 'Grid' && model.grid_line_color);"
            " return grids.length > 0 && grids.every((grid) => grid.grid_line_color === colour); }",
            arg=THEMES["dark"]["grid"],
            timeout=60_000,
        )
        shot(page, "lab_dark.png")

        run(1)
        page.get_by_text("Pixel 24, 18").first.wait_for(timeout=60_000)
        page.locator(".caption", has_text="Sigma").first.wait_for(timeout=60_000)
        run(2)
        page.get_by_text("read 245 (24, 18) 245 24 sigma True").wait_for(timeout=60_000)
        before = page.locator(".bk-Figure").count()
        run(3)
        page.wait_for_function(
            "(before) => [...document.querySelectorAll('.jp-OutputArea')].at(-1).innerHTML.length > before",
            arg=200,
            timeout=60_000,
        )
        page.locator(".jp-Cell").last.scroll_into_view_if_needed()
        until(page, lambda: page.locator(".bk-Figure").count() > before)
        shot(page, "lab_composed.png")
        assert page.strange == [], "\n".join(page.strange)


def test_in_voila_the_widget_stands_in_a_layout_and_a_tap_reaches_the_kernel(tiny, tmp_path, page):
    write_notebook(tmp_path / "app" / "dashboard.ipynb", VOILA_CELLS, tiny)
    port = free_port()
    program = ["voila", str(tmp_path / "app" / "dashboard.ipynb"), "--no-browser", f"--port={port}"]
    program += [f"--base_url={BASE}voila/", "--Voila.ip=localhost"]
    address = f"http://localhost:{port}{BASE}voila/"
    with jupyter(tmp_path, program, f"{address}static/"):
        page.goto(address, timeout=90_000)  # Voila answers when the kernel has run the notebook
        page.get_by_text("In a layout of widgets").wait_for(timeout=60_000)
        page.get_by_text("Pixel 20, 28").wait_for(timeout=60_000)
        page.wait_for_timeout(2000)
        box = max(figures(page), key=lambda b: b["height"])
        page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.25 * box["height"])
        page.get_by_text(re.compile(r"Pixel (?!20, 28)\d+, \d+")).first.wait_for(timeout=60_000)
        shot(page, "voila.png")
        strange = [address for address in page.strange if not address.startswith(VOILA_OWN)]
        assert strange == [], "\n".join(strange)
