"""Choices: one set per session, days kept inside the period."""

import datetime as dt

import numpy as np
import pytest
import shapely
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.state import Place, State


def test_two_sessions_share_no_choice():
    mine, yours = State(), State()
    mine.pin(3, 4)
    mine.param.layer.objects.append("mine")
    mine.layer = "gpp"
    assert yours.places == []
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


def test_a_tap_moves_the_current_pin_and_adding_keeps_it():
    state = State()
    state.pin(1, 1)
    state.pin(2, 2)
    assert [(p.row, p.col) for p in state.places] == [(2, 2)]
    state.pin(3, 3, add=True)
    assert [(p.slot, p.row) for p in state.places] == [(0, 2), (1, 3)]
    assert state.pixel == (3, 3)


def test_a_colour_stays_with_its_pin_and_is_free_again_after_it():
    state = State()
    for row in range(3):
        state.pin(row, 0, add=True)
    state.current = 1
    state.remove()
    assert [(p.slot, p.row) for p in state.places] == [(0, 0), (2, 2)]
    state.pin(9, 9, add=True)
    assert state.place.slot == 1


def test_more_places_than_colours_are_refused_and_the_last_one_stays():
    state = State()
    for row in range(len(PLACE_COLOURS) + 1):
        state.pin(row, 0, add=True)
    assert len(state.places) == len(PLACE_COLOURS)
    assert state.message.startswith("Got ")
    for _ in PLACE_COLOURS:
        state.remove()
    assert len(state.places) == 1


def test_a_question_holds_only_what_the_picture_depends_on():
    state = State()
    state.pin(1, 2)
    key = state.layer_key
    state.pin(3, 4)
    assert state.layer_key == key
    state.layer = "similar"
    key = state.layer_key
    state.pin(5, 6)
    assert state.layer_key != key
    state.whole_period = True
    key = state.layer_key
    state.day = dt.date(2021, 5, 5)
    assert state.layer_key == key


def test_areas_of_the_same_corners_are_one_cache_key_and_others_are_not():
    corners = [(9.0, 50.0), (9.1, 50.0), (9.1, 50.1)]
    hole = [(9.06, 50.01), (9.08, 50.01), (9.08, 50.03)]
    place, same = (Place(1, 2, 3, shapely.Polygon(corners, [hole])) for _ in range(2))
    assert place == same
    assert len({place, same, Place(1, 2, 3), Place(1, 2, 3, shapely.Polygon(corners))}) == 3
    assert isinstance(place.area, shapely.MultiPolygon)
    np.testing.assert_array_equal(place.outlines, [[*corners, corners[0]]])
    assert Place(1, 2, 3).outlines == []


def test_names_of_places_are_their_own_and_stay():
    state = State()
    state.pin(3, 4)
    state.pin(5, 6, add=True)
    assert [place.label for place in state.places] == ["Pixel 1", "Pixel 2"]
    state.rename("  old   oak ")
    assert state.place.label == "old oak"
    state.pin(7, 8)
    assert (state.place.label, state.place.row) == ("old oak", 7)
    state.rename("Pixel 1")
    assert "another place has" in state.message
    assert state.place.label == "old oak"
    state.rename("x" * 41)
    assert "need at most 40" in state.message
    square = shapely.Polygon([(0, 0), (1, 0), (1, 1)])
    state.pin(1, 1, square)
    state.pin(2, 2, square, name="old oak")
    assert [place.label for place in state.places[2:]] == ["Area 1", "old oak 2"]
    # The number of a place that is gone is free again; others keep theirs.
    state.current = 0
    state.remove()
    state.pin(9, 9, add=True)
    assert [place.label for place in state.places] == ["old oak", "Area 1", "old oak 2", "Pixel 1"]
