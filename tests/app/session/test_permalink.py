"""Permalinks: there and back, and whatever a visitor writes into one."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
import shapely
from fluxlens.app.session import permalink
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.state import Label, Place, State

GOLDEN = Path(__file__).parents[2] / "golden"


def test_a_link_restores_the_view(data):
    mine = State(
        entry="tiny", day=dt.date(2020, 5, 2), layer="clusters", clusters=7, whole_period=True, charts=["gpp"]
    )
    mine.places = [Place(0, 3, 4), Place(4, 7, 8)]
    mine.current = 0
    mine.param.update(page="tower", flux="gpp_dt", min_qc=0.5)
    yours = State()
    permalink.restore(permalink.parse_query(permalink.to_query(mine, data)), yours, data)
    for name in ("day", "layer", "clusters", "whole_period", "charts", "places", "current", "page", "min_qc"):
        assert getattr(yours, name) == getattr(mine, name), name
    assert yours.flux == "gpp_dt"
    assert yours.message == ""


def test_a_link_carries_areas_and_pins_data_and_model(data):
    mine = State(places=[Place(0, 1, 1)])
    lon, lat = data.grid.lonlat(data.grid.x[[5, 15, 15]], data.grid.y[[5, 5, 15]])
    ring = np.round(np.column_stack([lon, lat]), 7)
    mine.pin(8, 12, area=shapely.MultiPolygon([shapely.Polygon(ring)]))
    yours = State()
    fields = permalink.parse_query(permalink.to_query(mine, data))
    assert fields["snapshot"] == data.store.snapshot
    permalink.restore(fields, yours, data)
    assert yours.place.area == mine.place.area


def test_a_link_tells_of_the_tower_file_it_does_not_carry_and_restores_all_else(data):
    tower = data.tower.assign_attrs(source="FLX_YY-Own_DD.csv")
    mine = State(places=[Place(0, 3, 4)], layer="sigma", page="tower")
    fields = permalink.parse_query(permalink.to_query(mine, data.with_tower(tower)))
    yours = State()
    permalink.restore(fields, yours, data)
    assert "FLX_YY-Own_DD.csv" in yours.message
    assert "load it on the page Tower" in yours.message
    assert (yours.layer, yours.page, yours.places) == ("sigma", "tower", mine.places)
    again = State()
    permalink.restore(fields, again, data.with_tower(tower))
    assert again.message == ""


@pytest.mark.parametrize(
    "query",
    [
        "pins=9:1,1",
        "pins=0:999,1",
        "pins=x",
        "day=never",
        "feature=77",
        "threshold=9",
        "areas={",
        "areas=[[1]]",
    ],
)
def test_a_broken_link_is_a_message_and_not_the_end(data, query):
    state = State(places=[Place(0, 1, 1)])
    permalink.restore(permalink.parse_query(query), state, data)
    assert state.message.startswith("Got a link")
    assert state.places == [Place(0, 1, 1)]


def test_a_link_to_another_model_says_so(data):
    state = State(places=[Place(0, 1, 1)])
    permalink.restore({"model": "feedbeef"}, state, data)
    assert "feedbeef" in state.message


def test_an_unknown_layer_is_not_taken(data):
    state = State()
    permalink.restore({"layer": "<b>"}, state, data)
    assert state.layer == "pca"


def test_a_link_of_an_earlier_version_opens_with_all_its_choices(data):
    """The golden link was written by version 0.1.0, before choices had their present names."""
    query = (GOLDEN / "permalink_0.1.0.txt").read_text().strip()
    state = State()
    permalink.restore(permalink.parse_query(query), state, data)
    assert state.message == ""
    expected = {
        "day": dt.date(2020, 5, 2),
        "layer": "labels",
        "feature": 3,
        "clusters": 7,
        "threshold": 0.5,
        "whole_period": True,
        "page": "tower",
        "flux": "gpp_dt",
        "min_qc": 0.5,
        "footprint_kind": "radius",
        "radius_m": 80,
        "height_m": 3.0,
        "charts": ["gpp", "pc"],
        "labels": [Label(5, 5, "lake"), Label(20, 28, "forest")],
    }
    assert {name: getattr(state, name) for name in expected} == expected
    assert [(place.slot, place.row, place.col) for place in state.places[:2]] == [(0, 3, 4), (4, 7, 8)]
    assert state.place.area == state.places[2].area is not None


def test_a_link_is_written_with_the_keys_of_earlier_versions(data):
    query = (GOLDEN / "permalink_0.1.0.txt").read_text().strip()
    state = State(entry="tiny")
    permalink.restore(permalink.parse_query(query), state, data)
    assert permalink.parse_query(permalink.to_query(state, data)).keys() == permalink.parse_query(
        query
    ).keys() | {"theme"}


def test_a_link_keeps_extents_split_tower_and_theme(data):
    left, bottom, right, top = data.grid.extent
    mine = State(
        map_extent=(left + 50.0, right - 50.0, bottom + 40.0, top - 40.0),
        chart_extent=(1588291200000.0, 1593561600000.0),
        second_layer="sigma",
        fixed_day=dt.date(2020, 4, 3),
        show_tower=False,
        dark=True,
        places=[Place(0, 3, 4)],
    )
    yours = State()
    permalink.restore(permalink.parse_query(permalink.to_query(mine, data)), yours, data)
    assert yours.message == ""
    for name in ("map_extent", "chart_extent", "second_layer", "fixed_day", "show_tower", "dark"):
        assert getattr(yours, name) == getattr(mine, name), name


@pytest.mark.parametrize(
    "bad",
    [
        "pins=0:999,1",
        "day=never",
        "layer=<b>",
        "clusters=77",
        "map=1,2,3",
        "map=1,2,3,nan",
        "time=a,b",
        "split=nothing",
        "held=soon",
        "least_qc=nan",
        "radius_m=nan",
        "height_m=inf",
        "theme=pink",
        "tower=maybe",
        "areas={",
        'labels=[[9999,1,"x"]]',
        "labels=" + "[" * 100_000,
    ],
)
def test_a_bad_part_is_named_and_the_good_parts_are_restored(data, bad):
    state = State(places=[Place(0, 1, 1)])
    good = {"pins": "2:5,6", "day": "2020-05-02", "layer": "sigma", "threshold": "0.5"}
    key, _, value = bad.partition("=")
    permalink.restore(good | {key: value}, state, data)
    assert f"Got a link with {key}=" in state.message
    assert len(state.message) < 300
    kept = {
        "pins": state.places == [Place(2, 5, 6)],
        "day": state.day == dt.date(2020, 5, 2),
        "layer": state.layer == "sigma",
        "threshold": state.threshold == 0.5,
    }
    assert kept == {name: name != key for name in good}


@pytest.mark.parametrize("radius_m", ["100", "75.5"])
def test_a_link_with_another_radius_opens_the_page_of_the_tower(data, radius_m):
    explorer = Explorer()
    explorer._link_fields = {"page": "tower", "sight": "radius", "radius_m": radius_m}
    explorer.show_store(data)
    assert explorer.state.message == ""
    assert explorer.state.radius_m == float(radius_m)
    assert explorer.tower_view.radius.value == round(float(radius_m))
    assert f"within {float(radius_m):g} m" in explorer.tower_view.head.object


def test_several_bad_parts_are_named_together(data):
    state = State(places=[Place(0, 1, 1)])
    permalink.restore({"day": "never", "clusters": "no", "layer": "sigma"}, state, data)
    assert "day='never' and clusters='no'" in state.message
    assert state.layer == "sigma"


def test_an_area_is_written_as_earlier_versions_wrote_it(data):
    fields = permalink.parse_query((GOLDEN / "permalink_0.1.0.txt").read_text().strip())
    state = State(entry="tiny")
    permalink.restore(fields, state, data)
    assert (
        permalink.parse_query(permalink.to_query(state, data))["areas"].partition(":")[2]
        == fields["areas"].partition(":")[2]
    )


@pytest.mark.parametrize(
    "areas",
    [
        '{"1":[[[[9,50],[9,NaN],[9.001,50.5],[9,50]]]]}',
        '{"1":[[[[9,50],[9.1,50]]]]}',
        '{"1":[[1]]}',
        '{"1":[]}',
        '{"1":"x"}',
    ],
)
def test_a_broken_area_of_a_link_is_a_message_and_no_place(data, areas):
    state = State(places=[Place(0, 1, 1)])
    permalink.restore({"areas": areas}, state, data)
    assert state.message.startswith("Got a")
    assert state.places == [Place(0, 1, 1)]


def test_chosen_colours_come_back_and_wrong_ones_are_named(data):
    state = State(places=[Place(0, 1, 1)], colours={"GPP": (1.0, 8.0, "CET_L1")})
    fields = permalink.parse_query(permalink.to_query(state, data))
    again = State(places=[Place(0, 1, 1)])
    permalink.restore(fields, again, data)
    assert again.colours == state.colours
    for wrong in (
        '{"GPP":[8,1,"CET_L1"]}',
        '{"GPP":[1,8,"no"]}',
        '{"GPP":[1,NaN,"CET_L1"]}',
        '{"GPP":1}',
        "[1]",
        "{",
    ):
        other = State(places=[Place(0, 1, 1)])
        permalink.restore({"colours": wrong}, other, data)
        assert "colours=" in other.message
        assert other.colours == {}
