"""The random draws of land units keep their rows, and the season's calendar runs across the turn of the year."""

from dataclasses import fields

import numpy as np
from fluxlens.embeddings.simulate.farming import DayForcing, UnitDraws, in_window


def test_named_draws_are_the_rows_that_every_seed_has_always_had():
    draws = UnitDraws.draw(np.random.default_rng(3), 5)
    rng = np.random.default_rng(3)
    normal, uniform = rng.standard_normal((16, 5)), rng.random((16, 5))
    for name, row in {
        "calendar": 0,
        "leaf_chlorophyll": 6,
        "root_depth": 13,
        "tillage_roughness": 15,
    }.items():
        np.testing.assert_array_equal(getattr(draws, name), normal[row])
    for name, row in {"summer_crop": 0, "irrigation": 7, "grazing": 8, "stubble_lai": 9}.items():
        np.testing.assert_array_equal(getattr(draws, name), uniform[row])
    assert len(fields(UnitDraws)) == 26


def test_draws_leave_the_stream_where_it_was_left_before():
    rng, same = (np.random.default_rng(4) for _ in range(2))
    UnitDraws.draw(rng, 7)
    same.standard_normal((16, 7))
    same.random((16, 7))
    assert rng.random() == same.random()


def test_a_window_may_lie_across_the_winter_solstice():
    start = np.array([350.0, 350.0, 10.0])
    assert in_window(5.0, start, 30).tolist() == [True, True, False]
    assert in_window(340.0, start, 30).tolist() == [False, False, False]


def test_a_rainy_day_keeps_machines_off_the_field():
    days = [DayForcing(15.0, rain, 200.0, 180.0, 16.0, 0) for rain in (0.0, 10.0)]
    assert [day.is_dry for day in days] == [True, False]
