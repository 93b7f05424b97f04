"""The interpolated canopy agrees with radiative transfer computed in full."""

import json
from pathlib import Path

import numpy as np
import pytest
from fluxlens.embeddings.simulate import canopy
from fluxlens.embeddings.simulate.canopy import LEAVES, CanopyTable

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "canopy.json").read_text())
"""PROSPECT-D + 4SAIL between the table's nodes, written by embeddings/simulate/make_canopy_table.py."""


def at(row: dict) -> np.ndarray:
    """(channel,) interpolated at one golden row."""
    table = CanopyTable.load()
    acquisition = table.at_geometry(row["sun_deg"], float(row["view"] == "hot"))
    state = (np.array([value]) for value in (list(LEAVES).index(row["leaf"]), row["brown"], row["water"]))
    units = table.at_units(acquisition, *state)
    return CanopyTable.at_pixels(units, np.array([0]), np.array([row["lai"]]), np.array([row["cab"]]))[0]


@pytest.mark.parametrize("row", GOLDEN, ids=[f"{r['leaf']}-lai{r['lai']:.1f}" for r in GOLDEN])
def test_table_reproduces_golden_canopies(row):
    reflectance = canopy.over_soil(at(row), np.float32(row["soil"]))
    # linear steps between eight leaf areas overshoot a curve by up to a hundredth or so of reflectance
    np.testing.assert_allclose(reflectance, row["reflectance"], atol=0.017)


def test_no_leaves_show_the_bare_soil():
    row = GOLDEN[0] | {"lai": 0.0}
    soil = np.linspace(0.05, 0.4, len(canopy.BANDS), dtype=np.float32)
    np.testing.assert_allclose(canopy.over_soil(at(row), soil), soil, atol=1e-4)
    assert canopy.absorbed(at(row)) == pytest.approx(0, abs=1e-4)


def test_more_leaves_absorb_more():
    absorbed = [float(canopy.absorbed(at(GOLDEN[0] | {"lai": lai}))) for lai in (0.2, 0.5, 1, 2, 4, 6)]
    assert absorbed == sorted(absorbed)
    assert 0 < absorbed[0] < absorbed[-1] < 1


def test_table_is_small():
    assert canopy.TABLE_FILE.stat().st_size < 300_000
