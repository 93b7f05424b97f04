"""What a notebook writes after ``import fluxlens`` alone is there, whatever else was imported before."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "line",
    [
        "fluxlens.embeddings.catalog.open",
        "fluxlens.embeddings.towers.read",
        "fluxlens.open_catalog",
    ],
)
def test_a_function_is_found_by_its_full_name_in_a_fresh_process(line):
    code = f"import fluxlens; assert callable({line})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_name_that_is_no_subpackage_stays_an_attribute_error():
    from fluxlens import embeddings

    with pytest.raises(AttributeError, match=r"fluxlens\.embeddings.*nothing"):
        _ = embeddings.nothing


def test_importing_the_package_loads_none_of_the_heavy_libraries():
    code = "import sys, fluxlens; print(*{'torch', 'panel', 'xarray', 'zarr', 'pandas'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""
