"""Scenes to score on: folders of measured cubes, and simulated landscapes no training has drawn."""

from __future__ import annotations

from pathlib import Path

import xarray as xr
from fluxlens.embeddings.progress import Steps

FIRST_HELD_OUT = 7_000
"""Seed of the first simulated landscape for scoring; seeds for training begin at ``training.simulated.FIRST_SEED``."""

PLACES = {
    "temperate": ("temperate", 10.5, 49.2),
    "boreal": ("boreal", 26.0, 62.3),
    "mediterranean": ("mediterranean", -3.5, 39.2),
    "semi-arid": ("semi-arid", 1.5, 13.6),
    "southern": ("southern", 172.0, -42.5),
    "mediterranean-south": ("mediterranean", 19.0, -33.4),
    "semi-arid-south": ("semi-arid", 24.5, -19.0),
}
"""Climate of the simulator, longitude and latitude; the last two climates are not trained on in that hemisphere."""


def open_scenes(data: str | Path) -> dict[str, xr.DataTree]:
    """Scenes by id: every folder of a scene in the folder ``data``, or the one scene that ``data`` is."""
    from fluxlens.embeddings.readers import open_scene

    scenes = [open_scene(path) for path in scene_paths(data)]
    return {str(scene.attrs["id"]): scene for scene in scenes}


def scene_paths(data: str | Path) -> list[Path]:
    """Folders of measured scenes in the folder ``data``, or ``data`` itself."""
    folder = Path(data)
    # Folders of DeepFeatures exports, which are named by sensor; anything else is one scene.
    inside = folder.is_dir() and [
        f for f in sorted(folder.glob("*")) if f.is_dir() and any(f.glob("S2_*.nc"))
    ]
    return inside or [folder]


def simulate_held_out(size_px: int = 32, each: int = 1) -> Steps[dict[str, xr.DataTree]]:
    """Simulate one year of landscapes that no model was trained on, at every place of ``PLACES``.

    Parameters
    ----------
    size_px
        Side length, pixels of 10 m.
    each
        Landscapes per place.

    Returns
    -------
    Scenes with truth by name; yields progress.
    """
    from fluxlens.embeddings.simulate import random_scene

    scenes = {}
    for i, (name, (climate, lon, lat)) in enumerate(PLACES.items()):
        for k in range(each):
            yield f"simulating {name}", (i + k / each) / len(PLACES)
            # Different years, so that no single leap year or calendar decides.
            year = 2018 + (i + k) % 3
            scenes[f"{name}-{k + 1}"] = random_scene(
                # A seed for each landscape, apart from all others whatever ``each`` is.
                FIRST_HELD_OUT + i + len(PLACES) * k,
                size_px,
                climate=climate,
                lon=lon,
                lat=lat,
                start=f"{year}-01-01",
                end=f"{year}-12-31",
                truth=True,
            )
    return scenes
