"""The choices of one session: which entry, day, layer, places and labels. Knows neither data nor views."""

from fluxlens.app.state.labels import Label
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.app.state.place import Place
from fluxlens.app.state.selection import State

__all__ = ["Label", "LayerKey", "Place", "State"]
