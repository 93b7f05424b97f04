"""Catalogs: every scene, cube and tower by name, opened only after their YAML was checked to be harmless.

A catalog may come from a stranger. intake would import modules a catalog names and run its templates, so a
file is read as plain YAML first: only the four drivers of this project, only their arguments, and no template
except ``{{ CATALOG_DIR }}``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.progress import Steps
from models.errors import InputError

LARGEST_BYTES = 2**20
"""Of a catalog file: parsing YAML takes many times its size in memory."""
TOP_KEYS = {"metadata", "sources", "name", "description"}
"""Allowed at the top of a catalog file."""
ENTRY_KEYS = {"driver", "description", "args", "metadata"}
"""Allowed in an entry."""
KINDS = {
    "fluxlens_scene": "scene",
    "fluxlens_embeddings": "embeddings",
    "fluxlens_on_demand": "on demand",
    "fluxlens_tower": "tower",
    "fluxlens_series": "series table",
}
"""What an entry of each driver is called for people."""
_CATALOG_DIR = re.compile(r"\{\{\s*CATALOG_DIR\s*\}\}")


@dataclass(frozen=True)
class Entry:
    """One line of a catalog."""

    name: str
    kind: str
    """One of ``KINDS``."""
    description: str


def default_path() -> Path:
    """Path of the catalog that comes with the package: beside this file in a wheel, one folder up in a checkout."""
    packaged = Path(__file__).parent / "catalog.yaml"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "catalog.yaml"


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
    found = []
    for name in catalog:
        facts = _raw_entries(catalog)[name].describe()
        driver = facts["driver"][0] if facts["driver"] else ""
        found.append(Entry(name, KINDS.get(driver, driver), facts["description"] or ""))
    return found


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

    _raw_entries(catalog)[name] = LocalCatalogEntry(
        name, description, "fluxlens_embeddings", args={"store": str(path)}, getenv=False, catalog=catalog
    )


def _raw_entries(catalog: Any) -> Any:
    """Entries of an opened catalog by name.

    Private in intake 0.7, whose public access makes the source of each entry: listing would import every driver, and
    nothing public adds an entry.
    """
    return catalog._entries


def source(catalog: Any, name: str, **arguments: Any) -> Any:
    """The source of an entry.

    Parameters
    ----------
    catalog
        Of :func:`open`.
    name
        Of the entry.
    arguments
        Of the driver, in place of the entry's own.

    Returns
    -------
    One of ``driver.SOURCES``.

    Raises
    ------
    InputError
        For an unknown name, with the entries there are, and for a template among the arguments.
    """
    names = list(catalog)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"Got the entry {name!r}, need one of {', '.join(sorted(names))}{hint or '.'}")
    for key, value in arguments.items():
        # intake renders arguments as templates too.
        if isinstance(value, str) and "{" in value:
            raise InputError(f"Got {key} = {value!r}, need a plain value without braces; correct it.")
    found = catalog[name]
    return found(**arguments) if arguments else found


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
        except InputError as error:
            yield name, str(error)


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

    from embeddings import towers

    place = towers.sites(sites) if sites is not None else None
    sources = {}
    for site, path in towers.files(folder).items():
        args = {"path": os.path.relpath(path, catalog_folder)}
        text = f"Flux tower {site}"
        if place is not None:
            args["sites"] = os.path.relpath(sites, catalog_folder)
            if site in place.index:
                row = place.loc[site]
                text += f", {row['igbp']}" if "igbp" in row else ""
                text += f", {row['lon']:.4f} {row['lat']:.4f}"
        sources[site] = {"driver": "fluxlens_tower", "description": f"{text}: {path.name}.", "args": args}
    return yaml.safe_dump(
        {"metadata": {"version": 1}, "sources": sources}, sort_keys=False, allow_unicode=True
    )


def check(path: str | Path) -> dict[str, dict]:
    """Check a catalog file.

    Parameters
    ----------
    path
        Of the YAML file.

    Returns
    -------
    dict
        Its entries as plain data.

    Raises
    ------
    InputError
        Names the first thing that is wrong.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise InputError(f"Got the catalog {path}, which is not a file, need a YAML file; check the path.")
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"Got the catalog {path}, need a file that ends in .yaml or .yml; rename it.")
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"Got the catalog {path} of more than 1 MiB, need a smaller one; split it.")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise InputError(f"Got the catalog {path}, which is not valid YAML{line}; correct it.") from error
    if not isinstance(data, dict) or not isinstance(data.get("sources"), dict):
        raise InputError(f"Got the catalog {path} without sources, need a mapping 'sources'; add it.")
    _only(f"the catalog {path}", data, TOP_KEYS)
    for text in _texts(data):
        _plain(text)
    metadata = data.get("metadata") or {}
    if not isinstance(metadata, dict) or metadata.get("parameters") or metadata.get("version", 1) != 1:
        raise InputError(f"Got the catalog {path} with other metadata than version 1, need that; correct it.")
    for name, entry in data["sources"].items():
        _check_entry(name, entry)
    return data["sources"]


def _check_entry(name: Any, entry: Any) -> None:
    """InputError where an entry has another driver or other arguments than ours."""
    from embeddings.driver import arguments

    if not isinstance(name, str) or not isinstance(entry, dict):
        raise InputError(
            f"Got the entry {name!r}, need a name and below it a mapping with a driver; correct it."
        )
    _only(f"the entry {name!r}", entry, ENTRY_KEYS)
    driver = entry.get("driver")
    if not isinstance(driver, str) or driver not in KINDS:
        raise InputError(
            f"Got the entry {name!r} with driver {driver!r}, need one of {', '.join(KINDS)}; correct it."
        )
    args = entry.get("args") or {}
    if not isinstance(args, dict) or not isinstance(entry.get("metadata") or {}, dict):
        raise InputError(
            f"Got the entry {name!r} whose args or metadata are no mapping, need one; correct it."
        )
    known = arguments(driver)
    if known is not None:
        _only(f"the args of entry {name!r}", args, known)


def _only(where: str, found: dict, known: set[str]) -> None:
    """InputError where a mapping has other keys than the known ones."""
    other = [str(key) for key in found if key not in known]
    if other:
        raise InputError(
            f"Got {', '.join(other)} in {where}, need only {', '.join(sorted(known))}; remove the rest."
        )


def _plain(text: str) -> None:
    """InputError where intake would run a text as a template."""
    rest = _CATALOG_DIR.sub("", text)
    if any(mark in rest for mark in ("{{", "{%", "{#", "!template")) or re.match(
        r"(client_)?(env|shell)\(", rest
    ):
        raise InputError(
            f"Got {text[:60]!r} in the catalog, need plain text or {{{{ CATALOG_DIR }}}}; remove it."
        )


def _texts(data: Any) -> Iterator[str]:
    """All strings of nested data; a container that YAML repeats by reference is visited once."""
    # aliases may nest so deeply that walking every path would take for ever (a billion laughs)
    visited: set[int] = set()
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list) and id(item) not in visited:
            visited.add(id(item))
            waiting += [*item.keys(), *item.values()] if isinstance(item, dict) else item
