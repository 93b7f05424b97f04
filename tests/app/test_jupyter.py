"""Real kernels: an explorer shows itself; in JupyterLab notebook 01 runs and a tap on its map reaches the kernel."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import pytest
from app_world import GRID, make_scene, write_store
from fluxlens.embeddings.readers import zarr
from test_browser import FLAGS, ROOT, chromium, figures, free_port, shot  # noqa: F401

CATALOG = """\
metadata: {version: 1}
sources:
  demo_scene: {driver: fluxlens_scene, description: A tiny world., args: {path: scene}}
  demo_embeddings: {driver: fluxlens_embeddings, description: Its store., args: {store: store}}
"""


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a copy of the notebook next to a catalog of the tiny world; all its own files in one folder."""
    write_store(tmp_path / "store")
    scene = make_scene().copy()
    for name in ("s2", "s1"):
        scene[name] = scene[name].to_dataset().assign_coords(GRID.coords())
    zarr.write(scene, tmp_path / "scene")
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "01_look.ipynb", tmp_path / "notebooks")
    port = free_port()
    own = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **own, "JUPYTERLAB_SETTINGS_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ip=127.0.0.1", "--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=10).close()
                break
            except OSError:
                assert server.poll() is None, "JupyterLab ended"
                assert time.monotonic() < until, "JupyterLab did not answer in 300 s"
                time.sleep(0.5)
        yield f"{address}/lab/tree/notebooks/01_look.ipynb"
        server.terminate()


@pytest.mark.browser
@pytest.mark.slow
def test_notebook_01_runs_and_a_tap_reaches_the_kernel(lab, chromium):  # noqa: F811
    from playwright.sync_api import TimeoutError, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        urls = []
        page.on("request", lambda request: urls.append(request.url))
        page.goto(lab)
        page.locator(".jp-Notebook").wait_for(timeout=90_000)
        page.get_by_text("| Idle").wait_for(timeout=90_000)
        choose = page.get_by_role("button", name="Select", exact=True)  # asked where the kernels come late
        page.add_locator_handler(choose, lambda button: button.click())
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        # The first of two: the last cell shows a second explorer as an ipywidget.
        page.get_by_text("Pixel 20, 28").first.wait_for(timeout=120_000)
        page.wait_for_timeout(1500)
        # The cells after it load scripts and change the page.
        page.get_by_text("| Idle").wait_for(timeout=120_000)
        page.locator(".bk-Figure").first.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        shot(page, "jupyterlab.png")
        other = page.get_by_text(re.compile(r"Pixel (?!20, 28)\d+, \d+")).first
        # Again where the page still moved: cells below the map grow while their scripts load.
        for _ in range(5):
            box = max((b for b in figures(page)), key=lambda b: b["height"])
            page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.25 * box["height"])
            with suppress(TimeoutError):
                other.wait_for(timeout=20_000)
                break
        assert other.is_visible()
        shot(page, "jupyterlab_tapped.png")
        assert [url for url in urls if re.search(r"//cdn\.(bokeh|holoviz)", url)] == []
        browser.close()


def test_in_a_kernel_an_explorer_shows_itself_and_becomes_an_ipywidget(tmp_path, monkeypatch):
    """The last expression of a cell is drawn without ``.panel()``, and drawn again by the next cell."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    cells = (
        "from app_world import TinyStore, predict\nfrom fluxlens import Explorer\n"
        "from fluxlens.app.data import ExplorerData\nexplorer = Explorer(data=ExplorerData(TinyStore(), predict))",
        "explorer",
        "explorer.widget()",
        "explorer.pixels = [(5, 55)]\nexplorer.layer = 'similar'\n"
        "explorer.state.pixel, explorer.map_view.layers.value",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    done = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()

    def formats(cell) -> set[str]:
        return {name for output in cell.outputs for name in output.get("data", {})}

    assert "application/vnd.holoviews_exec.v0+json" in formats(done.cells[1])
    assert "application/vnd.jupyter.widget-view+json" in formats(done.cells[2])
    assert done.cells[3].outputs[0]["data"]["text/plain"] == "((5, 55), 'similar')"
