"""The pages to learn from run from the first block to the last, each in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tutorial_runner

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in (ROOT / "docs" / "tutorials").glob("*.md") if path.stem != "index")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_blocks_of_a_tutorial_run(page, tmp_path):
    # The command of this environment, whatever else is on the path.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "tutorial_runner.py"), str(page)],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_tutorial_has_something_to_run_and_says_what_is_simulated(page):
    languages = [block.language for block in tutorial_runner.blocks(page)]
    assert "bash" in languages or "python" in languages
    assert "simulated" in page.read_text()


def test_the_six_tutorials_are_there():
    assert {page.stem for page in PAGES} == {
        "my_field",
        "my_tower",
        "earth_engine_plots",
        "my_region",
        "add_a_sensor",
        "on_a_cluster",
    }


def test_a_block_that_fails_stops_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError):
        tutorial_runner.main(page)
    page.write_text("```bash\nfalse | true\n```\n")
    with pytest.raises(subprocess.CalledProcessError):
        tutorial_runner.main(page)
    page.write_text("```bash\nfluxlens catalog check --catalog missing.yaml\n```\n")
    with pytest.raises(SystemExit, match="ended with 2"):
        tutorial_runner.main(page)


def test_blocks_for_the_eye_are_not_run(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\nfluxlens serve\n```\n\n    fluxlens serve\n\n```text\n1/0\n```\n")
    tutorial_runner.main(page)
