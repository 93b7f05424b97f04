"""Catalogs: every scene, cube and tower by name, opened only after their YAML was checked to be harmless.

A catalog may come from a stranger. intake would import modules a catalog names and run its templates, so a
file is read as plain YAML first: only the drivers of this project, only their arguments, and no template
except ``{{ CATALOG_DIR }}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxlens.embeddings.catalog.validation import KINDS, check
from fluxlens.embeddings.driver import source
from fluxlens.embeddings.progress import Steps
from fluxlens.models.errors import InputError


@dataclass(frozen=True)
class Entry:
    """One line of a catalog."""

    name: str
    kind: str
    """One of ``KINDS``."""
    description: str


def default_path() -> Path:
    """Path of the catalog that comes with the package: beside this file in a wheel, one folder up in a checkout."""
    # A wheel holds the file in the package embeddings, a checkout at its top level.
    packaged = Path(__file__).parents[1] / "catalog.yaml"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "catalog.yaml"


def open(path: str | Path | None = None) -> Any:
    """Open an intake catalog, checked before intake sees it.

    Parameters
    ----------
    path
        Of the YAML file; None: the package's own.

    Returns
    -------
    intake.Catalog

    Raises
    ------
    InputError
        As of :func:`check`.
    """
    path = Path(path) if path is not None else default_path()
    check(path)
    import intake

    # Neither environment nor shell: a template could read credentials or run a command.
    catalog = intake.open_catalog(str(path.resolve()), ttl=None, getenv=False, getshell=False)
    catalog.autoreload = False  # what was checked is what is used
    return catalog


def entries(catalog: Any) -> list[Entry]:
    """The entries of a catalog.

    Parameters
    ----------
    catalog
        Of :func:`open`.

    Returns
    -------
    list of Entry
        In the catalog's own order.
    """
    listed = []
    for name in catalog:
        # Described and not instantiated: a source would open its file.
        facts = _raw_entries(catalog)[name].describe()
        driver = facts["driver"][0] if facts["driver"] else ""
        listed.append(Entry(name, KINDS.get(driver, driver), facts["description"] or ""))
    return listed


def add_store(catalog: Any, name: str, path: Path, description: str) -> None:
    """Add an entry for a store to an opened catalog, not to its file.

    Parameters
    ----------
    catalog
        Of :func:`open`.
    name, description
        Of the entry.
    path
        Of the store.
    """
    from intake.catalog.local import LocalCatalogEntry

    # intake renders these arguments too: braces in a path must not read the environment.
    _raw_entries(catalog)[name] = LocalCatalogEntry(
        name, description, "fluxlens_embeddings", args={"store": str(path)}, getenv=False, catalog=catalog
    )


def _raw_entries(catalog: Any) -> Any:
    """Entries of an opened catalog by name.

    Private in intake 0.7, whose public access makes the source of each entry: listing would import every driver, and
    nothing public adds an entry.
    """
    return catalog._entries


def read_steps(catalog: Any, name: str, **arguments: Any) -> Steps[Any]:
    """Read an entry.

    Parameters
    ----------
    catalog, name, arguments
        As of :func:`source`.

    Yields
    ------
    Progress

    Returns
    -------
    What the source's ``read`` returns.
    """
    return source(catalog, name, **arguments).steps()


def problems(catalog: Any) -> Iterator[tuple[str, str]]:
    """Check every entry without computing anything.

    Parameters
    ----------
    catalog
        Of :func:`open`.

    Yields
    ------
    tuple of str
        The entry's name, and what is wrong with it, "" for nothing.
    """
    for name in catalog:
        try:
            source(catalog, name).check()
            yield name, ""
        # Anything else is a fault of the program, and not of the entry.
        except InputError as error:
            yield name, str(error)
