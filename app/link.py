"""The view as the query of an address, and back: a permalink that names data and model as well."""

import datetime as dt
import json
from typing import Any
from urllib.parse import parse_qs, urlencode

from app.data import Data
from app.labels import LABELS_AT_MOST, with_one
from app.state import COLOURS, LAYERS, Place, State
from models.errors import InputError

CHOICES = {
    "feature": int,
    "clusters": int,
    "threshold": float,
    "year": lambda text: text == "True",
    "page": str,
    "flux": str,
    "least_qc": float,
    "sight": str,
    "radius_m": float,
    "height_m": float,
}
LENGTH = 6000
"""Servers and chat windows cut longer addresses; areas and labels are then left out."""


def query(state: State, data: Data) -> str:
    """``?entry=...&day=...``: what is on screen, of which snapshot by which model."""
    said: dict[str, Any] = {"entry": state.entry, "day": state.day, "layer": state.layer}
    said |= {
        name: getattr(state, name) for name in CHOICES if getattr(state, name) != state.param[name].default
    }
    said |= {"charts": ",".join(state.charts), "current": state.current}
    said |= {"pins": _pins([place for place in state.places if not place.area])}
    said |= {"snapshot": data.store.snapshot, "model": data.attrs.get("model_digest", "")}
    if data.given:
        said |= {"given": data.given, "given_at": "{lon:.5f}, {lat:.5f}".format(**data.tower.attrs)}
    areas = {place.slot: place.area for place in state.places if place.area}
    labels = [[label.row, label.col, label.name] for label in state.labels]
    large = {"areas": areas, "labels": labels}
    whole = said | {name: json.dumps(held, separators=(",", ":")) for name, held in large.items() if held}
    text = urlencode({name: value for name, value in whole.items() if value != ""})
    if len(text) > LENGTH:
        text = urlencode({name: value for name, value in said.items() if value != ""})
    return f"?{text}"


def _pins(pins: list[Place]) -> str:
    return ";".join(f"{place.slot}:{place.row},{place.col}" for place in pins)


def read(text: str) -> dict[str, str]:
    """The parts of a query."""
    return {name: values[0] for name, values in parse_qs(text.lstrip("?")).items()}


def restore(said: dict[str, str], state: State, data: Data) -> None:
    """Chooses what a link says, as far as this store has it; anything else becomes a message."""
    from app.views.places import add_area

    try:
        _restore(said, state, data)
        for ring in json.loads(said.get("areas", "{}")).values():
            add_area(state, data, ring)
        if said.get("current", "").isdigit() and int(said["current"]) in {p.slot for p in state.places}:
            state.current = int(said["current"])
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        state.message = (
            f"Got a link that says {str(error)[:80]!r}, need one made here; the rest of the view is restored."
        )
    if said.get("given") and not data.given:
        state.message = (
            f"Got a link to a view with the tower file {said['given'][:100]}, need it again: files are not kept; "
            f"load it on the page Tower, at {said.get('given_at', '')[:30]}. All else is restored."
        )
    made = said.get("model", "")
    if made and made != data.attrs.get("model_digest", ""):
        state.message = (
            f"Got a link to embeddings of the model {made[:12]}, need the store it was made with; "
            f"this one is of {str(data.attrs.get('model_digest', 'no model'))[:12]}."
        )


def _restore(said: dict[str, str], state: State, data: Data) -> None:
    found: dict[str, Any] = {}
    if said.get("pins"):
        found["places"] = [_pin(text, data) for text in said["pins"].split(";")[: len(COLOURS)]]
        if len({place.slot for place in found["places"]}) < len(found["places"]):
            raise InputError("two pins of one colour")
        found["current"] = found["places"][-1].slot
    if "day" in said:
        found["day"] = min(max(dt.date.fromisoformat(said["day"]), data.first), data.last)
    if said.get("layer") in set(LAYERS) & set(data.layers):
        found["layer"] = said["layer"]
    if "charts" in said:
        found["charts"] = said["charts"].split(",")
    found |= {name: read(said[name]) for name, read in CHOICES.items() if name in said}
    if not 0 <= found.get("feature", 0) < len(data.features):
        raise InputError(f"feature {found['feature']}")
    for row, col, name in json.loads(said.get("labels", "[]"))[:LABELS_AT_MOST]:
        if not (0 <= int(row) < data.grid.ny and 0 <= int(col) < data.grid.nx):
            raise InputError(f"label {row}, {col}")
        found["labels"] = list(with_one(tuple(found.get("labels", ())), int(row), int(col), str(name)))
    state.param.update(**found)


def _pin(text: str, data: Data) -> Place:
    slot, at = text.split(":")
    row, col = (int(part) for part in at.split(","))
    if not (0 <= row < data.grid.ny and 0 <= col < data.grid.nx and 0 <= int(slot) < len(COLOURS)):
        raise InputError(f"pin {text}")
    return Place(int(slot), row, col)
