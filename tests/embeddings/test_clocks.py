"""Clocks with words for their zone, stamps at the end of steps, and nights in which summer time ends."""

import pandas as pd
import pytest
from fluxlens.embeddings import clocks, text_cells


@pytest.mark.parametrize(
    ("stamp", "written"),
    [
        ("2019-06-01 00:30 CEST", "2019-06-01 00:30+02:00"), ("01.06.2019 00:30:00 MEZ", "01.06.2019 00:30:00+01:00"),
        ("2019-06-01 00:30 (EST)", "2019-06-01 00:30-05:00"), ("2019-06-01 00:30 UTC+1", "2019-06-01 00:30+01:00"),
        ("2019-06-01 00:30 ACST", "2019-06-01 00:30+09:30"), ("2019-06-01 00:30 ABC", "2019-06-01 00:30 ABC"),
        ("2019-06-01 CET", "2019-06-01 CET"), ("2019-06-01 00:30", "2019-06-01 00:30"),
    ],
)  # fmt: skip
def test_a_word_for_a_zone_becomes_its_offset(stamp, written):
    assert clocks.to_offsets(pd.Series([stamp]))[0] == written


def test_words_tell_standard_time_also_where_all_are_of_summer():
    assert clocks.standard_minutes(pd.Series(["2019-06-01 00:30 CEST"])) == 60
    assert clocks.standard_minutes(pd.Series(["2019-01-01 00:30 EST", "2019-06-01 00:30 EDT"])) == -300
    assert clocks.standard_minutes(pd.Series(["2019-01-01 00:30 EST", "2019-06-01 00:30 CEST"])) is None
    assert clocks.standard_minutes(pd.Series(["2019-01-01 00:30"])) is None


def test_acquisitions_with_a_zone_are_moved_to_utc():
    times = text_cells.to_times(pd.Series(["2019-06-01 00:30 CEST", "2019-01-01 12:00 CET"]), "the table")
    assert list(times.astype(str)) == ["2019-05-31T22:30:00", "2019-01-01T11:00:00"]


def test_whole_days_that_begin_with_the_first_step_are_stamped_at_the_end():
    step = pd.Timedelta("30min")
    ends = pd.date_range("2019-06-01 00:30", periods=96, freq=step)
    assert clocks.are_ends(ends, step)
    assert not clocks.are_ends(ends - step, step)
    assert clocks.are_ends(ends.delete(40), step)
    assert not clocks.are_ends(ends.delete(range(20, 40)), step)
    assert not clocks.are_ends(ends.delete(95), step)


@pytest.mark.parametrize(
    ("stamps", "is_summer"),
    [
        (["2019-10-27 02:00", "2019-10-27 02:30"], True), (["2018-11-04 01:00", "2019-11-03 01:00"], True),
        (["2019-04-07 02:30"], True), (["2019-10-28 02:00"], False), (["2019-10-27 14:00"], False),
        (["2019-10-27 02:00", "2019-10-20 02:00"], False), ([], False),
    ],
)  # fmt: skip
def test_nights_in_which_summer_time_ends_are_known(stamps, is_summer):
    assert clocks.are_of_summer_time(pd.DatetimeIndex(stamps)) is is_summer
