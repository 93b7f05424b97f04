"""The wheel, installed into a fresh environment, works in a folder whose own modules have the names of ours."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CATALOG = """\
metadata: {version: 1}
sources:
  small:
    driver: fluxlens_scene
    description: A small simulated scene.
    args: {scene: simulated, name: small, seed: 3, size_px: 16, start: "2020-04-01", end: "2020-07-31"}
"""
SCRIPT = """\
import intake
import fluxlens
from fluxlens import Explorer, open_catalog
from fluxlens.embeddings.catalog import default_path

assert list(intake.open_catalog(str(default_path()))), "the packaged catalog"
cat = intake.open_catalog("catalog.yaml")
scene = cat["small"].read()
assert list(open_catalog("catalog.yaml")) == ["small"]
import models
assert models.MINE, "the user's own package is the one that is imported by its name"
grid = fluxlens.embeddings.geometry.Grid.from_cube(scene["s2"].to_dataset())
lon, lat = grid.lonlat(grid.x[8], grid.y[8])
print(f"{float(lon):.6f},{float(lat):.6f}")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """``bin`` of a fresh environment with the wheel; its dependencies are those of the environment of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("fluxlens-*.whl")
    home = folder / "env"
    venv.create(home, with_pip=False)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    # A path file makes the dependencies importable, and not the checkout: path files in that folder are not followed.
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(packages) + "\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*install, "--force-reinstall", str(wheel)], check=True, capture_output=True)
    return scripts


@pytest.fixture
def folder(tmp_path) -> Path:
    """A user's project with modules of the names of our folders."""
    for package in ("models", "embeddings"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("MINE = True\n")
    (tmp_path / "app.py").write_text("raise RuntimeError\n")
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_wheel_opens_the_catalog_embeds_and_exports_beside_modules_of_the_same_names(environment, folder):
    where = run([str(environment / "python"), "-c", "import fluxlens; print(fluxlens.__file__)"], folder)
    assert str(ROOT) not in where
    at = run([str(environment / "python"), "-c", SCRIPT], folder).strip()
    fluxlens = str(environment / "fluxlens")
    run([fluxlens, "embed", "small", "--catalog", "catalog.yaml", "--out", "store"], folder)
    run([fluxlens, "export", "store", "--at", at, "--out", "pixel.csv"], folder)
    lines = (folder / "pixel.csv").read_text().splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    assert len(rows) > 100  # days from the first acquisition to the last
    assert rows[0].startswith("time,lon,lat,x,y")
    run([str(environment / "python"), "-m", "fluxlens.app.cli", "--help"], folder)


@pytest.mark.slow
def test_the_wheel_holds_the_packages_inside_fluxlens_alone(environment):
    script = "from importlib.metadata import files; print('\\n'.join(map(str, files('fluxlens'))))"
    names = run([str(environment / "python"), "-c", script], environment).split()
    tops = {name.split("/")[0] for name in names if not name.startswith("..")}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fluxlens"}
    for name in ("app/cli", "embeddings/catalog.yaml", "models/weights/README.md", "app/views/login.html"):
        assert any(file.startswith(f"fluxlens/{name}") for file in names), name
