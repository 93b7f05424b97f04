"""A catalog of tower files: one entry per site of a folder."""

from __future__ import annotations

from pathlib import Path


def towers_catalog(folder: str | Path, catalog_folder: str | Path, sites: str | Path | None = None) -> str:
    """The text of a catalog with an entry for each site with a tower file in a folder.

    Parameters
    ----------
    folder
        With tower files.
    catalog_folder
        Where the catalog will lie: its paths are relative to it.
    sites
        Table of site coordinates.

    Returns
    -------
    str
        YAML.
    """
    import os

    import yaml
    from fluxlens.embeddings import towers

    place = towers.sites(sites) if sites is not None else None
    sources = {}
    for site, path_or_paths in towers.files(folder).items():
        paths = path_or_paths if isinstance(path_or_paths, list) else [path_or_paths]
        # Relative, so that folder and catalog can be moved together.
        relative = [os.path.relpath(path, catalog_folder) for path in paths]
        args: dict = {"path": relative if relative[1:] else relative[0]}
        text = f"Flux tower {site}"
        if place is not None:
            args["sites"] = os.path.relpath(sites, catalog_folder)
            if site in place.index:
                row = place.loc[site]
                text += f", {row['igbp']}" if "igbp" in row else ""
                text += f", {row['lon']:.4f} {row['lat']:.4f}"
        sources[site] = {
            "driver": "fluxlens_tower",
            "description": f"{text}: {', '.join(path.name for path in paths)}.",
            "args": args,
        }
    # In this order and in plain letters: people read and edit the file.
    return yaml.safe_dump(
        {"metadata": {"version": 1}, "sources": sources}, sort_keys=False, allow_unicode=True
    )
