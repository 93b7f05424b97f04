"""The tiny world all tests share."""

import os
from pathlib import Path

import pytest

from tests import signatures

ROOT = Path(__file__).parent.parent
CHECKED_PACKAGE = "fluxlens.models"
"""Package whose jaxtyping signatures are checked in all tests."""

# Here, since the hook rewrites modules as they are imported, and test modules import them after this file.
signatures.install(CHECKED_PACKAGE)


def pytest_collection_modifyitems(items):
    """Files with slow tests first: workers take whole files, and one taken last would keep a single core busy."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # stable: within both parts as collected


@pytest.fixture(scope="session")
def cache_of_run(tmp_path_factory) -> Path:
    """Folder for what is made once in this run: one for all its workers, so that what two of them want is made once."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(cache_of_run):
    """What is made once and kept goes to a folder of this run, never to the user's."""
    os.environ.setdefault("FLUXLENS_CACHE", str(cache_of_run))
    os.environ["FLUXLENS_TILES"] = ""  # no test asks another host


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of measured data; never part of the project."""
    folder = Path(os.environ.get("FLUXLENS_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"measured data not found at {folder}; set FLUXLENS_REAL_DATA")
    return folder
