"""The tiny world all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of measured data; never part of the project."""
    folder = Path(os.environ.get("FLUXLENS_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"measured data not found at {folder}; set FLUXLENS_REAL_DATA")
    return folder
