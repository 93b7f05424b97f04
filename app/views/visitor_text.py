"""Sentences as visitors of a served page read them: without the folders of the server's disk."""

import logging
import re

import panel as pn

LOG = logging.getLogger(__name__)
_NAME = r"[^\s/\\,;:()'\"`<>]+"
_PATHS = re.compile(
    # An address such as s3://bucket/key is none of the disk: its slashes follow a colon, a slash or a letter.
    rf"(?:file://|(?<![\w:/.~\\])[A-Za-z]:(?=[\\/])|(?<![\w:/.~<}}]))[/\\](?:{_NAME}(?: {_NAME})*[/\\])+({_NAME})?"
)
"""A path from the root of a disk with at least one folder; its last part is the group."""


def hide_folders(text: str) -> str:
    """``text`` with the last part of each absolute path in place of the path."""
    return _PATHS.sub(lambda path: path[1] or "a folder", text)


def visitor_text(text: str) -> str:
    """``text`` for the page on screen: as it is in a notebook, without folders on a served page, which logs the whole.

    Parameters
    ----------
    text : str
        A sentence of a reader, with paths as the server has them.
    """
    document = pn.state.curdoc
    if document is None or document.session_context is None:
        return text
    hidden = hide_folders(text)
    if hidden != text:
        # Who runs the server needs the path, and reads it there.
        LOG.warning("fluxlens: %s", text)
    return hidden
