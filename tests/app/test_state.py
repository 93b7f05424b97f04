"""Choices: one set per session, days kept inside the period."""

import datetime as dt

import pytest

from app.state import State


def test_two_sessions_share_no_choice():
    mine, yours = State(), State()
    mine.pin(3, 4)
    mine.param.layer.objects.append("mine")
    mine.layer = "gpp"
    assert yours.pins == []
    assert yours.layer == "pca"
    assert "mine" not in yours.param.layer.objects


def test_a_new_pixel_takes_the_old_message_away():
    state = State(message="Got a tap outside.")
    state.pin(1, 2)
    assert state.pixel == (1, 2)
    assert state.message == ""


@pytest.mark.parametrize(("days", "expected"), [(1, 16), (-7, 10), (400, 20)])
def test_a_step_stays_inside_the_period(days, expected):
    state = State(day=dt.date(2020, 6, 15))
    state.step(days, dt.date(2020, 6, 10), dt.date(2020, 6, 20))
    assert state.day == dt.date(2020, 6, expected)
