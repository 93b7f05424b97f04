"""The factor of NIRv x light at other towers: what it is fitted to, and which tower it has not seen."""

import numpy as np
import pytest
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.table_days import row_drivers
from fluxlens.embeddings.gpp.tower_light_use import TOWER_SUMS, light_use_of_other_towers


def test_all_towers_count_for_one_that_is_not_among_them():
    found = light_use_of_other_towers("XX-New")
    assert (found.towers, found.rows) == (30, 751)
    assert found.k == pytest.approx(0.1292, abs=1e-4)
    assert light_use_of_other_towers() == found


def test_a_tower_among_them_is_left_out_whatever_its_case():
    rows, products, squares = TOWER_SUMS["IT-BFt"]
    found, every = light_use_of_other_towers("it-bft"), light_use_of_other_towers()
    assert (found.towers, found.rows) == (29, 751 - rows)
    total_squares = sum(sums[2] for sums in TOWER_SUMS.values())
    assert found.k == pytest.approx((every.k * total_squares - products) / (total_squares - squares))
    assert found.k < every.k  # a strong tower


@pytest.mark.real
def test_the_sums_are_those_of_the_public_table(real_data):
    table = tables.read(real_data / "flux_hls_table" / "hls_merra2_gpp.csv", need_gpp=True)
    sw, _ = row_drivers(table)
    red, nir, gpp = (table[name].values for name in ("b4", "b5", "gpp"))
    light = (nir - red) / np.maximum(nir + red, 1e-3) * nir * sw
    for site, rows in table.groupby("site").groups.items():
        sums = len(rows), (light[rows] * gpp[rows]).sum(), (light[rows] ** 2).sum()
        assert TOWER_SUMS[site] == pytest.approx(sums, abs=0.06)
    assert len(TOWER_SUMS) == table["site"].nunique()
