"""Checks of a catalog file before intake opens it: size, keys, drivers and plain arguments only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fluxlens.models.errors import InputError

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
    # Before it is read: a parser expands a file to many times its size.
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"Got the catalog {path} of more than 1 MiB, need a smaller one; split it.")
    try:
        text = path.read_text(encoding="utf-8")
        # Safe: the full loader would make any Python object that a tag names.
        loader = yaml.SafeLoader(text)
        # The nodes are looked at before they become a dict, which keeps the last of two names alone.
        node = loader.get_single_node()
        repeated = _repeated_key(node)
        data = None if node is None else loader.construct_document(node)
    # ValueError: a date such as 2020-13-45, which YAML makes a date of; RecursionError: nested without end
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        # Exactly ValueError: that of a wrong date says which one; those of a decoder, its subclasses, speak of bytes.
        why = f" ({error})" if type(error) is ValueError else ""
        raise InputError(
            f"Got the catalog {path}, which is not valid YAML{line}{why}; correct it."
        ) from error
    if repeated:
        raise InputError(
            f"Got {repeated[0]!r} a second time at line {repeated[1]} of the catalog {path}, need each name once;"
            " rename or remove one."
        )
    if not isinstance(data, dict) or not isinstance(data.get("sources"), dict):
        raise InputError(f"Got the catalog {path} without sources, need a mapping 'sources'; add it.")
    _only(f"the catalog {path}", data, TOP_KEYS)
    if odd := [key for key in _keys(data) if not isinstance(key, str)]:
        raise InputError(f"Got the name {odd[0]!r} in the catalog {path}, need a text; put it in quotes.")
    # intake renders every text as a template, which could read the environment or run a command.
    for text in _texts(data):
        _plain(text)
    metadata = data.get("metadata") or {}
    # Parameters of a catalog are templates of arguments, with defaults that may be commands.
    if not isinstance(metadata, dict) or metadata.get("parameters") or metadata.get("version", 1) != 1:
        raise InputError(f"Got the catalog {path} with other metadata than version 1, need that; correct it.")
    for name, entry in data["sources"].items():
        _check_entry(name, entry)
    return data["sources"]


def _repeated_key(node: Any) -> tuple[str, int] | None:
    """First key that a mapping has twice, and its line: of two, YAML would silently keep the last."""
    import yaml

    visited: set[int] = set()
    waiting = [node]
    while waiting:
        item = waiting.pop()
        # an alias is the same node again
        if not isinstance(item, yaml.CollectionNode) or id(item) in visited:
            continue
        visited.add(id(item))
        if isinstance(item, yaml.SequenceNode):
            waiting += item.value
            continue
        names: set[str] = set()
        for key, value in item.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    return key.value, key.start_mark.line + 1
                names.add(key.value)
            waiting += [key, value]
    return None


def _check_entry(name: Any, entry: Any) -> None:
    """InputError where an entry has another driver or other arguments than ours."""
    from fluxlens.embeddings.driver import argument_names

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
    # A misspelt argument would be ignored or fail with a traceback of intake.
    known = argument_names(driver)
    if known is not None:
        _only(f"the args of entry {name!r}", args, known)


def _only(where: str, mapping: dict, allowed: set[str]) -> None:
    """InputError where a mapping has other keys than the known ones."""
    other = [str(key) for key in mapping if key not in allowed]
    if other:
        raise InputError(
            f"Got {', '.join(other)} in {where}, need only {', '.join(sorted(allowed))}; remove the rest."
        )


def _plain(text: str) -> None:
    """InputError where intake would run a text as a template."""
    # The one template that is allowed: the catalog's own folder.
    rest = _CATALOG_DIR.sub("", text)
    # ``env(...)`` and ``shell(...)`` are intake's own notation, without braces.
    if any(mark in rest for mark in ("{{", "{%", "{#", "!template")) or re.match(
        r"(client_)?(env|shell)\(", rest
    ):
        raise InputError(
            f"Got {text[:60]!r} in the catalog, need plain text or {{{{ CATALOG_DIR }}}}; remove it."
        )


def _texts(data: Any) -> Iterator[str]:
    """All strings of nested data, names among them."""
    for item in _containers(data):
        values = [*item.keys(), *item.values()] if isinstance(item, dict) else item
        yield from (value for value in values if isinstance(value, str))


def _keys(data: Any) -> Iterator[Any]:
    """All names in the mappings of nested data."""
    for item in _containers(data):
        if isinstance(item, dict):
            yield from item


def _containers(data: Any) -> Iterator[dict | list]:
    """All mappings and lists of nested data; one that YAML repeats by reference is visited once."""
    # aliases may nest so deeply that walking every path would take for ever (a billion laughs)
    visited: set[int] = set()
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict | list) and id(item) not in visited:
            visited.add(id(item))
            yield item
            waiting += item.values() if isinstance(item, dict) else item
