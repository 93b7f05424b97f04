"""The tiny made-up world as one store and as four, with a catalog of both."""

from pathlib import Path

import yaml
from app_world import GRID, make_cube, make_scene, write_store
from fluxlens.embeddings.store import write
from tiny_cube import blocks_of


def write_world(folder: Path) -> Path:
    """Write the stores ``whole`` and ``part0`` ... ``part3`` and ``catalog.yaml``; returns the folder."""
    write_store(folder / "whole")
    cube = make_cube().assign_coords(GRID.coords())
    scene = make_scene().copy()
    for name in ("s2", "s1"):
        scene[name] = scene[name].to_dataset().assign_coords(GRID.coords())
    entry = []
    for i, (rows, cols) in enumerate(
        (rows, cols) for rows in (slice(0, 20), slice(20, None)) for cols in (slice(0, 28), slice(28, None))
    ):
        part = cube.isel(y=rows, x=cols)
        write(folder / f"part{i}", part, blocks_of(part, 60), scene)
        entry.append(f"part{i}")
    stores = {"whole": "whole", "quarters": entry, "gap": entry[:3], "none": [], "mixed": ["whole", 3]}
    entries = {
        name: {"driver": "fluxlens_embeddings", "args": {"store": store}} for name, store in stores.items()
    }
    (folder / "catalog.yaml").write_text(yaml.safe_dump({"sources": entries}))
    return folder
