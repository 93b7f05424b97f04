"""Catalogs: entries that name stores, scenes, towers and published cubes, checked before they are opened."""

from fluxlens.embeddings.catalog.loading import (
    Entry,
    add_store,
    default_path,
    entries,
    open,
    problems,
    read_steps,
)
from fluxlens.embeddings.catalog.tower_entries import towers_catalog
from fluxlens.embeddings.catalog.validation import check
from fluxlens.embeddings.driver import source

__all__ = [
    "Entry",
    "add_store",
    "check",
    "default_path",
    "entries",
    "open",
    "problems",
    "read_steps",
    "source",
    "towers_catalog",
]
