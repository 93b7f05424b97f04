"""Makes docs/dashboard.png: the running dashboard on the demo, one pixel tapped; `python docs/picture.py`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
PORT = 5987


def main(out: Path = ROOT / "docs" / "dashboard.png", width: int = 1400, height: int = 980) -> None:
    command = [sys.executable, "-m", "fluxlens.app.cli", "serve", "--port", str(PORT), "--no-open"]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("FLUXLENS_CHROMIUM") or shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = browser.new_page(viewport={"width": width, "height": height})
            _visit(page)
            page.get_by_text("NDVI, Sentinel-2").wait_for(timeout=300_000)
            page.get_by_role("button", name="Got it").click()
            page.wait_for_timeout(2500)
            page.screenshot(path=out)
            browser.close()
    finally:
        server.terminate()


def _visit(page, tries: int = 120) -> None:
    """Until the server answers."""
    for _ in range(tries):
        try:
            page.goto(f"http://localhost:{PORT}/")
            return
        except Exception:
            page.wait_for_timeout(500)
    raise SystemExit("the dashboard did not answer")


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:2]), *(int(word) for word in sys.argv[2:]))
