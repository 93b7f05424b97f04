"""A widget and a choice are kept equal, both ways, until another store comes."""

import panel as pn
import param
import pytest
from fluxlens.app.state import State
from fluxlens.app.views.binding import bind_widget


@pytest.fixture
def bound():
    state = State(flux="gpp_dt")
    widget = pn.widgets.RadioButtonGroup(options={"Night": "gpp_nt", "Day": "gpp_dt"})
    bind_widget(state, "flux", widget)
    return state, widget


def test_the_widget_starts_with_the_choice_and_follows_it_both_ways(bound):
    state, widget = bound
    assert widget.value == "gpp_dt"
    state.flux = "gpp_nt"
    assert widget.value == "gpp_nt"
    widget.value = "gpp_dt"
    assert state.flux == "gpp_dt"


def test_a_choice_that_is_no_option_is_not_shown():
    state = State(footprint_kind="footprint")
    widget = pn.widgets.RadioButtonGroup(options={"Pixel": "pixel", "Radius": "radius"}, value="pixel")
    bind_widget(state, "footprint_kind", widget)
    assert (widget.value, state.footprint_kind) == ("pixel", "footprint")


def test_a_slider_with_a_slow_answer_writes_only_when_it_is_let_go():
    state = State(radius_m=100)
    widget = pn.widgets.IntSlider(start=50, end=500, value=50)
    bind_widget(state, "radius_m", widget, "value_throttled")
    assert widget.value == 100
    widget.value = 300
    assert state.radius_m == 100
    with param.edit_constant(widget):
        widget.value_throttled = 300
    assert state.radius_m == 300


def test_views_of_another_store_are_not_called(bound):
    state, widget = bound
    state.unwatch_all()
    state.flux = "gpp_nt"
    assert widget.value == "gpp_dt"
