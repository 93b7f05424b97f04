"""The command line ``fluxlens COMMAND ...``: one file per command group, options beside the function they belong to.

``main`` runs one command and returns its exit code. Nothing heavy is imported before a command needs it, so that
``fluxlens --help`` and shell completion answer at once.
"""

from fluxlens.app.cli.parser import main

__all__ = ["main"]
