"""What the README says can be typed, can be typed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.app import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CODE = re.findall(r"(?m)^    (.+)$", README)
COMMANDS = [line.split("#")[0].split("   ")[0].strip() for line in CODE if line.startswith("fluxlens ")]
MAKE = sorted({line.split()[1] for line in CODE if line.startswith("make ")})
CUBE = "s1s2_daily_cubes/0000280849BAC91C"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_is_understood(command, monkeypatch):
    understood = []
    # The words are parsed as always, only the command itself does not run.
    monkeypatch.setattr(click.Command, "invoke", lambda _, context: understood.append(context.command.name))
    assert cli.main(shlex.split(command)[1:]) == 0
    assert understood


@pytest.mark.parametrize("target", MAKE)
def test_a_make_target_of_the_readme_exists(target):
    assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text())


def test_the_readme_shows_commands_at_all():
    assert len(COMMANDS) >= 8
    assert {"serve", "test"} <= set(MAKE)


def test_every_file_the_readme_names_is_there():
    for link in re.findall(r"\]\((?!http)([\w./-]+)\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.slow
def test_the_python_lines_of_the_readme_run(tmp_path):
    start = CODE.index("import fluxlens")
    lines = CODE[start : next(i for i, line in enumerate(CODE) if "Explorer(cat)" in line) + 1]
    script = "\n".join(lines) + "\nprint('explored', Explorer(cat).panel() is not None)\n"
    # In a folder of the user, which holds no catalog.
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "explored True" in done.stdout


@pytest.mark.slow
def test_on_demand_is_the_stored_cube(tmp_path):
    import intake

    cat = intake.open_catalog(str(ROOT / "catalog.yaml"))
    days = {"start": "2020-05-01", "end": "2020-05-31"}
    lazy = cat["embeddings_on_demand"](scene="demo_scene", **days).read()
    stored = cat["demo_embeddings"].read().sel(time=slice(*days.values()))
    window = {"y": slice(30, 34), "x": slice(30, 34)}
    assert lazy.sizes["time"] == 31
    xr.testing.assert_identical(lazy.isel(window).compute(), stored.isel(window).compute())


@pytest.mark.slow
@pytest.mark.real
def test_a_measured_cube_is_embedded_exported_and_reconstructed(real_data, tmp_path):
    def run(*words: str) -> str:
        command = [sys.executable, "-m", "fluxlens.app.cli", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    store, csv, hidden = tmp_path / "STORE", tmp_path / "pixel.csv", tmp_path / "hidden.nc"
    run("embed", str(real_data / CUBE), "--out", str(store))
    run("export", str(store), "--at", "4.0631,50.7460", "--out", str(csv))
    table = pd.read_csv(csv, comment="#", parse_dates=["time"])
    assert {
        "time",
        "lon",
        "lat",
        "x",
        "y",
        "e00",
        "e31",
        "sigma",
        "days_from_s2",
        "gpp",
        "gpp_lo",
        "gpp_hi",
    } <= set(table.columns)
    assert table["time"].iloc[0] == pd.Timestamp("2018-08-02")
    assert (table["time"].diff().dropna() == pd.Timedelta("1D")).all()
    assert table.drop(columns=["gpp", "gpp_lo", "gpp_hi"]).notna().all(axis=None)
    run("reconstruct", str(real_data / CUBE), "--hide", "2019-07-05", "--out", str(hidden))
    with xr.open_dataset(hidden) as data:
        assert data["reflectance"].shape == (1, 10, 64, 64)
        assert np.isfinite(data["reflectance"].values).all()
    catalog = tmp_path / "my_catalog.yaml"
    catalog.write_text(
        "sources:\n  mine:\n    driver: fluxlens_embeddings\n    args:\n"
        '      store: "{{ CATALOG_DIR }}/STORE"\n'
    )
    assert "mine: ok" in run("catalog", "check", "--catalog", str(catalog))


@pytest.mark.slow
def test_the_embedding_bench_reaches_its_mark(tmp_path):
    out = tmp_path / "bench.json"
    words = ["bench", "embed", "--repeats", "1", "--json", str(out)]
    subprocess.run(
        [sys.executable, "-m", "fluxlens.app.cli", *words], cwd=ROOT, capture_output=True, check=True
    )
    numbers = json.loads(out.read_text())
    assert numbers["flop_per_pixel_day"] <= 200_000
    assert {"pixel_days_per_s", "matmul_peak_gflops", "share_of_peak"} <= set(numbers)
