"""From a scene to a store: engine and store joined, block by block."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import xarray as xr

from embeddings.cache import Steps


def embed(
    path: str | Path,
    scene: xr.DataTree,
    model: Any,
    start: str | None = None,
    end: str | None = None,
    overwrite: bool = False,
) -> Generator[Any, None, str]:
    """Write a scene's embeddings to a store; yields each ``engine.Block``, returns the snapshot id."""
    from embeddings import engine, store

    template = engine.template(scene, model, start, end)
    days = template["time"].values.astype("datetime64[D]")
    message = f"{template.attrs['title']}, {days[0]} to {days[-1]}, model {model.name} {model.digest}"
    blocks = engine.run(scene, model, start, end)
    return (yield from store.write_steps(path, template, blocks, scene, message, overwrite))


def into_store(
    path: str | Path, scene: xr.DataTree, model: str, start: str | None = None, end: str | None = None
) -> Steps[str]:
    """As ``embed`` with the model by name, yielding (message, fraction)."""
    yield "loading the model", 0.0
    from models import checkpoints

    blocks = embed(path, scene, checkpoints.load(model), start, end)
    while True:
        try:
            block = next(blocks)
        except StopIteration as stop:
            return stop.value
        yield f"embedding, block {block.done} of {block.total}", block.done / block.total
