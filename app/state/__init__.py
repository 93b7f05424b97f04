"""The choices of one session: which entry, day, layer, places and labels. Knows neither data nor views."""

from app.state.labels import Label
from app.state.layer_key import LayerKey
from app.state.place import Place
from app.state.selection import State

__all__ = ["Label", "LayerKey", "Place", "State"]
