"""What leaves the project says one version, holds all that is needed, and shows commands that can be typed."""

import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import pytest
import tutorial_runner
import yaml
from fluxlens.app import cli
from fluxlens.app.cli.output import print_table
from fluxlens.app.cli.parser import COMMANDS

import fluxlens

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"])
"""Pages people read; those made at build time are not of the checkout."""
INDENTED = re.compile(r"(?m)^    (fluxlens .+)$")


def shown_commands(page: Path) -> list[str]:
    """Commands of ``fluxlens`` that a page shows, in fences or indented, but those whose command is not there yet."""
    fenced = [block for block in tutorial_runner.blocks(page) if block.language in ("bash", "console")]
    found = [line for block in fenced if block.is_runnable for line in tutorial_runner.commands(block.code)]
    indented = [line.split(" #")[0].split("   ")[0].strip() for line in INDENTED.findall(page.read_text())]
    return [line for line in [*found, *indented] if line.split()[1] in COMMANDS or line.split()[1][0] == "-"]


def test_one_version_stands_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text())[1]
    assert citation["version"] == newest == fluxlens.__version__ == fluxlens.embeddings.__version__


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_of_a_page_are_understood(page, monkeypatch):
    understood = []
    monkeypatch.setattr(click.Command, "invoke", lambda _, context: understood.append(context.command.name))
    commands = shown_commands(page)
    for command in commands:
        assert cli.main(shlex.split(command)[1:]) == 0, command
    assert len(understood) >= len(commands)


def test_pages_show_many_commands():
    assert sum(len(shown_commands(page)) for page in PAGES) > 50


def test_the_readme_is_short_and_its_links_lead_somewhere():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 150
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"):
        for link in re.findall(r"\]\((?!http)([\w./-]+)\)", page.read_text()):
            assert (ROOT / link).exists(), link
    # Every page of the documentation but indexes and what has a link from one of these.
    assert readme.count("docs/") > 20


def test_pages_name_no_machine_of_ours():
    for page in [*PAGES, *ROOT.glob("*.md")]:
        text = page.read_text()
        assert not re.search(r"/(home|work|root|Users)/\w", text), page


@pytest.mark.slow
def test_the_sdist_holds_what_the_wheel_is_built_from(tmp_path):
    build = f"from hatchling.build import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("fluxlens-*.tar.gz")
    assert path.name == f"fluxlens-{fluxlens.__version__}.tar.gz"
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        facts = archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO").read().decode()
    for name in (
        "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "catalog.yaml",
        "fluxlens/__init__.py", "app/cli/parser.py", "embeddings/driver.py", "models/weights/fusion.safetensors",
    ):  # fmt: skip
        assert name in names, name
    # Neither tests nor caches nor what an editor left.
    tops = {name.split("/")[0] for name in names if "/" in name}
    assert tops == {"fluxlens", "app", "embeddings", "models"}
    assert not any("__pycache__" in name for name in names)
    assert {"notebook", "gpu", "test", "docs"} <= set(re.findall(r"Provides-Extra: (\S+)", facts))


def test_a_table_of_a_benchmark_names_units(capsys):
    print_table(
        {"pixel_days_per_s": 314_000.0, "tap_ms": 48.2, "peak_gb": 0.95, "card": "none", "ratio": 1.0}, None
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["pixel", "days", "3.14e+05", "per", "s"]
    assert lines[1] == ["tap", "48.2", "ms"]
    assert lines[2] == ["peak", "0.95", "GB"]
    assert lines[3:] == [["card", "none"], ["ratio", "1"]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_gets_a_completion_script(shell):
    import os

    command = str(Path(sys.executable).parent / "fluxlens")
    environment = os.environ | {"_FLUXLENS_COMPLETE": f"{shell}_source"}
    done = subprocess.run([command], env=environment, capture_output=True, text=True, check=False)
    assert "_FLUXLENS_COMPLETE" in done.stdout
