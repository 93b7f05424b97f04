"""``fluxlens serve``: the dashboard."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import click
from fluxlens.app.cli.options import catalog_option
from fluxlens.models.errors import InputError

SHORTEST_PASSWORD = 8
"""Letters; the same length as NIST SP 800-63B asks of passwords that people choose."""


@click.command("serve")
@catalog_option
@click.option("--port", type=int, default=5006, help="0 takes a free one (default 5006).")
@click.option("--address", default="localhost", help="To listen on (default localhost).")
@click.option(
    "--allow-origin",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Under which browsers may reach the page; repeatable.",
)
@click.option("--login", metavar="FILE.json", help='Names and passwords, {"NAME": "PASSWORD"}.')
@click.option(
    "--prefix",
    default="",
    metavar="/PATH",
    help="Of a hub that hands on whole paths; its own part of the URL.",
)
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def serve(
    catalog: str | None,
    port: int,
    address: str,
    allow_origin: tuple[str, ...],
    login: str | None,
    prefix: str,
    no_open: bool,
) -> None:
    """The dashboard.
    \f

    Parameters
    ----------
    catalog, login : str or None
        Paths.
    port : int
        0 to 65535.
    address : str
        Name or IP address of this machine.
    allow_origin : tuple of str
        Hosts without a wildcard.
    prefix : str
        Path without query; empty where the page is at the root.
    no_open : bool
        Whether the browser stays closed.
    """
    from fluxlens.embeddings.catalog import check, default_path

    path = Path(catalog) if catalog else default_path()
    # Everything is checked before Panel is imported and a port is taken.
    check(path)
    if not 0 <= port <= 65535:
        raise InputError(f"Got port {port}, need 0 to 65535; choose another.")
    for origin in allow_origin:
        # A wildcard would let any page of the web talk to this server through the visitor's browser.
        if not re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?", origin):
            raise InputError(
                f"Got --allow-origin {origin!r}, need HOST or HOST:PORT without a wildcard; correct it."
            )
    # No query, fragment or empty part: the prefix becomes part of every URL of the page.
    if not re.fullmatch(r"/?([A-Za-z0-9._~%@-]+/)*[A-Za-z0-9._~%@-]*", prefix):
        raise InputError(f"Got --prefix {prefix!r}, need a path such as /user/ada/fluxlens; correct it.")
    login_file = check_login_file(login) if login else None
    from fluxlens.app import server  # Panel takes a second to import: not before all is known to be right

    server.serve(path.resolve(), port, not no_open, address, allow_origin, login_file, prefix.rstrip("/"))


def check_login_file(path: str) -> Path:
    """A file of names and passwords that is sound and that only its owner can read.

    Parameters
    ----------
    path : str
        JSON, ``{"NAME": "PASSWORD", ...}``.

    Returns
    -------
    pathlib.Path
        Absolute.

    Raises
    ------
    InputError
        Where it is no such file, a password is too short, or others may read it.
    """
    file = Path(path).resolve()
    try:
        users = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"Got --login {path}, which is not JSON, need names and passwords.") from error
    is_sound = (
        isinstance(users, dict)
        and users
        and all(
            isinstance(password, str) and len(password) >= SHORTEST_PASSWORD for password in users.values()
        )
    )
    if not is_sound:
        raise InputError(
            f'Got --login {path}, need {{"NAME": "PASSWORD"}} with passwords of {SHORTEST_PASSWORD} letters or more;'
            " correct it."
        )
    # Windows has no such bits: its files belong to the user's own profile.
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise InputError(f"Got --login {path}, which others may read, need it private; run chmod 600 {path}.")
    return file
