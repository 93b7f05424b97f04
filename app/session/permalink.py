"""The view as the query of a URL, and back: a permalink that names the data and the model as well.

Keys of the query are a contract: links written by earlier versions must open.
"""

import datetime as dt
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode

import colorcet
import shapely
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.palette import PLACE_COLOURS
from fluxlens.app.places import add_area
from fluxlens.app.state.labels import MAX_LABELS, toggle_label
from fluxlens.app.state.layer_key import LAYERS
from fluxlens.app.state.place import Place
from fluxlens.app.state.selection import State
from fluxlens.embeddings.export.polygons import polygon_from_rings
from fluxlens.models.errors import InputError


def _parse_boolean(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


def _parse_number(text: str) -> float:
    number = float(text)
    # Bounds of parameters do not refuse NaN: no comparison with it is true.
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _parse_numbers(text: str) -> tuple[float, ...]:
    return tuple(_parse_number(item) for item in text.split(","))


def _format(value: Any) -> Any:
    """A value as the query has it: extents without digits below a centimetre or a millisecond."""
    return (
        ",".join(f"{number:.2f}".rstrip("0").rstrip(".") for number in value)
        if isinstance(value, tuple)
        else value
    )


class UrlChoice(NamedTuple):
    """A choice that is written into the URL where it differs from its default."""

    key: str
    """Key in the query."""
    parameter: str
    """Parameter of ``State``."""
    parse: Callable[[str], Any]
    """Reads the text of the query; raises ValueError."""


CHOICES = (
    UrlChoice("feature", "feature", int),
    UrlChoice("clusters", "clusters", int),
    UrlChoice("threshold", "threshold", _parse_number),
    # Keys that no longer are the names of their parameters (year, sight, held ...) are those of links in use.
    UrlChoice("year", "whole_period", _parse_boolean),
    UrlChoice("page", "page", str),
    UrlChoice("flux", "flux", str),
    UrlChoice("least_qc", "min_qc", _parse_number),
    UrlChoice("sight", "footprint_kind", str),
    UrlChoice("radius_m", "radius_m", _parse_number),
    UrlChoice("height_m", "height_m", _parse_number),
    UrlChoice("tower", "show_tower", _parse_boolean),
    UrlChoice("map", "map_extent", _parse_numbers),
    UrlChoice("time", "chart_extent", _parse_numbers),
    UrlChoice("split", "second_layer", str),
    UrlChoice("held", "fixed_day", dt.date.fromisoformat),
)
LINKED_PARAMETERS = (
    "day",
    "layer",
    "places",
    "labels",
    "current",
    "charts",
    "colours",
    "dark",
    *(choice.parameter for choice in CHOICES),
)
"""Parameters of ``State`` on which the link depends."""
PARSE_ERRORS = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What a part of another shape than ours raises: a list for a dict, a word for a number, JSON a million deep."""
MAX_NAMED = 4
"""Wrong parts that the message names."""
MAX_COLOURS = 100
"""Layers of which a link can hold the colours: each feature is one."""
MAX_LENGTH = 6000
"""Servers and chat programs cut longer URLs; areas and labels are then left out."""


def to_query(state: State, data: ExplorerData) -> str:
    """``?entry=...&day=...``: what is on screen, of which snapshot by which model.

    Parameters
    ----------
    state : State
        The choices.
    data : ExplorerData
        The store on screen, and the uploaded tower if there is one.
    """
    fields: dict[str, Any] = {"entry": state.entry, "day": state.day, "layer": state.layer}
    # Defaults stay out of the link: it stays short, and a default that is improved later reaches old links.
    for choice in CHOICES:
        value = getattr(state, choice.parameter)
        if value != state.param[choice.parameter].default:
            fields[choice.key] = _format(value)
    # Always written, unlike the choices above: a reader's own theme would else be taken for the link's.
    fields["theme"] = "dark" if state.dark else "light"
    fields |= {"charts": ",".join(state.charts), "current": state.current}
    fields["pins"] = ";".join(
        f"{place.slot}:{place.row},{place.col}" for place in state.places if not place.area
    )
    fields |= {"snapshot": data.store.snapshot, "model": data.attrs.get("model_digest", "")}
    if data.observations.uploaded_file:
        location = "{lon:.5f}, {lat:.5f}".format(**data.tower.attrs)
        fields |= {"given": data.observations.uploaded_file, "given_at": location}
    areas = {
        place.slot: shapely.geometry.mapping(place.area)["coordinates"]
        for place in state.places
        if place.area
    }
    # Names that are not those of the slot by itself; by slot, as the pins are.
    names = {
        place.slot: place.name for place in state.places if place.label != f"{place.kind} {place.slot + 1}"
    }
    if state.colours:
        fields["colours"] = json.dumps(
            {label: list(colours) for label, colours in state.colours.items()}, separators=(",", ":")
        )
    labels = [[label.row, label.col, label.name] for label in state.labels]
    long_fields = {
        name: json.dumps(value, separators=(",", ":"))
        for name, value in {"names": names, "areas": areas, "labels": labels}.items()
        if value
    }
    # Measured after encoding: brackets and commas of JSON take three bytes each in a URL.
    text = _encode(fields | long_fields)
    # Pins and day are the view that was meant; areas and labels are what a reader can draw again.
    return f"?{text if len(text) <= MAX_LENGTH else _encode(fields)}"


def _encode(fields: dict[str, Any]) -> str:
    return urlencode({name: value for name, value in fields.items() if value != ""})


def parse_query(text: str) -> dict[str, str]:
    """Fields of the query ``text``, with or without its question mark; of a repeated key the first."""
    return {name: values[0] for name, values in parse_qs(text.lstrip("?")).items()}


def restore(fields: dict[str, str], state: State, data: ExplorerData) -> None:
    """Set the choices of a link, as far as this store has them; anything else becomes ``state.message``.

    Parameters
    ----------
    fields : dict
        As ``parse_query`` gives them; written by anyone.
    state : State
        Gets the choices.
    data : ExplorerData
        The store on screen.
    """
    names: dict[int, str] = {}
    wrong = []
    try:
        names = {
            int(slot): " ".join(str(name).split())
            for slot, name in json.loads(fields.get("names", "{}")).items()
        }
    except PARSE_ERRORS:
        wrong.append("names")
    wrong += _restore_choices(fields, state, data, names)
    try:
        for slot, coordinates in json.loads(fields.get("areas", "{}")).items():
            at = int(slot) if slot.isdigit() else None
            # Older links have no names; their areas were called by their slots.
            name = names.get(at, "" if at is None else f"Area {at + 1}")
            add_area(state, data, polygon_from_rings(coordinates), name, at)
    except PARSE_ERRORS:
        wrong.append("areas")
    # After the areas: the current place may be one of them.
    slots = {place.slot for place in state.places}
    if fields.get("current", "").isdigit() and int(fields["current"]) in slots:
        state.current = int(fields["current"])
    if wrong:
        wrong_fields = " and ".join(f"{key}={fields[key][:40]!r}" for key in wrong[:MAX_NAMED])
        more = f" and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
        state.message = (
            f"Got a link with {wrong_fields}{more}, which this store does not have or which is no such value; "
            "need one made here. The rest of the view is restored."
        )
    if fields.get("given") and not data.observations.uploaded_file:
        state.message = (
            f"Got a link to a view with the tower file {fields['given'][:100]}, need it again: files are not kept; "
            f"load it on the page Tower, at {fields.get('given_at', '')[:30]}. All else is restored."
        )
    # Last, so that this message wins: with another model all numbers on screen are others.
    model = fields.get("model", "")
    if model and model != data.attrs.get("model_digest", ""):
        state.message = (
            f"Got a link to embeddings of the model {model[:12]}, need the store it was made with; "
            f"this one is of {str(data.attrs.get('model_digest', 'no model'))[:12]}."
        )


def _restore_choices(
    fields: dict[str, str], state: State, data: ExplorerData, names: dict[int, str]
) -> list[str]:
    """Set all choices but areas at once; a part that is wrong keeps its default. Returns the keys of wrong parts."""
    choices: list[tuple[str, str, Callable[[str], Any]]] = [
        ("pins", "places", lambda text: _parse_pins(text, data, names)),
        # Clipped and not refused: the store may have been written anew for another period.
        ("day", "day", lambda text: min(max(dt.date.fromisoformat(text), data.first), data.last)),
        ("layer", "layer", lambda text: _parse_layer(text, data)),
        ("charts", "charts", _parse_charts),
        ("theme", "dark", lambda text: {"dark": True, "light": False}[text]),
        ("colours", "colours", _parse_colours),
        ("labels", "labels", lambda text: _parse_labels(text, data)),
        *CHOICES,
    ]
    chosen: dict[str, Any] = {}
    wrong = []
    for key, parameter, parse in choices:
        if key in fields:
            try:
                value = parse(fields[key])
                # Checked on a state of its own: one value that is refused would refuse the update of all.
                State(**{parameter: value})
                if parameter == "feature" and not 0 <= value < len(data.features):
                    raise InputError(f"feature {value}")
                if parameter == "second_layer" and value:
                    _parse_layer(value, data)
                chosen[parameter] = value
            except PARSE_ERRORS:
                wrong.append(key)
    if chosen.get("places"):
        chosen["current"] = chosen["places"][-1].slot
    # All in one update: watchers of single parameters would draw the map once for each.
    state.param.update(**chosen)
    return wrong


def _parse_layer(text: str, data: ExplorerData) -> str:
    if text not in set(LAYERS) & set(data.layers):
        raise InputError(f"layer {text}")
    return text


def _parse_colours(text: str) -> dict[str, tuple[float, float, str]]:
    """Lowest value, highest value and palette by the label of a layer."""
    out = {}
    for label, (low, high, palette) in list(json.loads(text).items())[:MAX_COLOURS]:
        # What a link says must not reach the drawing code unchecked: comparisons with NaN are false.
        if not (math.isfinite(low) and math.isfinite(high) and low < high and palette in colorcet.palette):
            raise InputError(f"colours {label}")
        out[str(label)] = float(low), float(high), str(palette)
    return out


def _parse_charts(text: str) -> list[str]:
    """Charts by name; of none the text is empty."""
    return [name for name in text.split(",") if name]


def _parse_pins(text: str, data: ExplorerData, names: dict[int, str]) -> list[Place]:
    # Cut before parsing: a link is written by anyone and may hold a million pins.
    places = [_parse_pin(pin, data) for pin in text.split(";")[: len(PLACE_COLOURS)]]
    if len({place.slot for place in places}) < len(places):
        raise InputError("two pins of one colour")
    places = [replace(place, name=names.get(place.slot, "")) for place in places]
    if len({place.label for place in places}) < len(places):
        raise InputError("two pins of one name")
    return places


def _parse_labels(text: str, data: ExplorerData) -> list:
    labels: tuple = ()
    for row, col, name in json.loads(text)[:MAX_LABELS]:
        if not (0 <= int(row) < data.grid.ny and 0 <= int(col) < data.grid.nx):
            raise InputError(f"label {row}, {col}")
        labels = toggle_label(labels, int(row), int(col), str(name))
    return list(labels)


def _parse_pin(text: str, data: ExplorerData) -> Place:
    """The place of ``SLOT:ROW,COL``."""
    slot, at = text.split(":")
    row, col = (int(index) for index in at.split(","))
    # The link may be of a larger scene; a pin outside would index from the end.
    if not (0 <= row < data.grid.ny and 0 <= col < data.grid.nx and 0 <= int(slot) < len(PLACE_COLOURS)):
        raise InputError(f"pin {text}")
    return Place(int(slot), row, col)
