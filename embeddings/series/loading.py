"""The model of series tables, and what their files say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fluxlens.embeddings.readers.series_table import SeriesTable
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError

from fluxlens import embeddings


def load_model(model: str | Path | Embedder, device: str = "auto") -> Embedder:
    """The model of a name, a path, or itself.

    Parameters
    ----------
    model : str, path or Embedder
        See ``models.checkpoints.load``.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    """
    return model if isinstance(model, Embedder) else checkpoints.load(model, device)


def attributes(model: Embedder, title: str) -> dict[str, Any]:
    """What tables of this model's numbers say of themselves.

    Parameters
    ----------
    model : Embedder
        Loaded model.
    title : str
        What the rows are.
    """
    return {
        "title": title,
        "model": model.name,
        "model_digest": model.digest,
        "software": f"fluxlens {embeddings.__version__}",
    }


def check_sensors(table: SeriesTable, model: Embedder) -> None:
    """Refuse a table of which the model knows no sensor.

    Parameters
    ----------
    table : SeriesTable
        Series of one or more sensors.
    model : Embedder
        Loaded model.

    Raises
    ------
    InputError
        Where no sensor is known to the model.
    """
    # A table of Sentinel-1 alone cannot be embedded by a model of Sentinel-2 alone.
    known = set(table.sensors) & set(model.config.sensors)
    if not known:
        raise InputError(
            f"Got series of {', '.join(table.sensors)}, need one of {', '.join(model.config.sensors)}, which"
            f" {model.name} knows; choose another model."
        )
