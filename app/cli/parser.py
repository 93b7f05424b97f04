"""The command ``fluxlens``: its groups, loaded only when they are used, and what becomes of errors and warnings."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from fluxlens.app.cli.options import ExclusiveOptions
from fluxlens.models.errors import DataWarning, InputError

COMMANDS = {
    "serve": "serve",
    "embed": "embed",
    "update": "update",
    "snapshots": "snapshots",
    "scene": "scene_commands",
    "reconstruct": "reconstruct",
    "export": "export_points",
    "train": "train",
    "evaluate": "evaluate_commands",
    "predict": "predict_commands",
    "calibrate": "calibrate_commands",
    "catalog": "catalog_commands",
    "bench": "bench",
}
"""Commands in the order of ``--help``: each has a module of its name in this package, which defines the function."""
COMPLETION_VARIABLE = "_FLUXLENS_COMPLETE"
"""Set by the shell's completion script, which click writes; see ``main``."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are looked up: running one does not import the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of ``COMMANDS``.

        Parameters
        ----------
        ctx : click.Context
            Of this group; not used.
        """
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now; None where there is none.

        Parameters
        ----------
        ctx : click.Context
            Of this group; not used.
        cmd_name : str
            As typed.
        """
        # None and no error: click then names the group and the word in its own usage error.
        if cmd_name not in COMMANDS:
            return None
        # Relative to this package, which may be imported under another name.
        return getattr(importlib.import_module(f"{__package__}.{cmd_name}"), COMMANDS[cmd_name])


def print_version(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
    """Print the version and end; the number is imported only then.

    Parameters
    ----------
    ctx : click.Context
        Ended here.
    is_set : bool
        Whether ``--version`` was given.
    """
    if is_set:
        from fluxlens.embeddings import __version__

        print(f"fluxlens {__version__}")
        ctx.exit()


# Docstrings of commands are their `--help` up to the form feed, where click stops: what follows is for readers of code.
@click.group(
    "fluxlens",
    cls=LazyGroup,
    # Without a command: one sentence and exit code 2, as for any other wrong usage, not a page of help.
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    # Eager: it answers before a missing command is complained of.
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print the version and exit.",
)
def fluxlens() -> None:
    """Every 10 m pixel of land, day by day: daily embeddings and the GPP they imply."""


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : list of str, optional
        Words after ``fluxlens``; those of the process when not given.

    Returns
    -------
    int
        Exit code: 0 done; 2 the input is wrong, with one sentence on stderr that starts with ``fluxlens:`` and says
        what was got, what is needed and what to do; 130 stopped by Ctrl-C.

    Raises
    ------
    SystemExit
        With code 2, after the same kind of sentence, where commands or options are not what the parser knows.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    # click answers the shell's questions itself and ends the process.
    if COMPLETION_VARIABLE in os.environ:
        return fluxlens.main(arguments, prog_name="fluxlens", complete_var=COMPLETION_VARIABLE)
    try:
        # Not click's own `main`: it would end with code 1 on Ctrl-C, and without a word when a connection breaks.
        with data_warnings_as_lines(), fluxlens.make_context("fluxlens", arguments) as context:
            fluxlens.invoke(context)
    except click.exceptions.Exit as ended:  # of --help and --version
        return ended.exit_code
    except click.UsageError as error:
        raise SystemExit(print_refusal(usage_sentence(error))) from None
    except InputError as error:
        return print_refusal(str(error))
    except OSError as error:
        # Only errors that name a file are the user's: a broken connection or a full queue is ours, with a traceback.
        if error.filename is None:
            raise
        return print_refusal(
            f"Got {error.filename}: {error.strerror}, need a file that can be used; check the path."
        )
    except KeyboardInterrupt:
        print("fluxlens: stopped; nothing half-written was left.", file=sys.stderr)
        return 130
    return 0


def print_refusal(sentence: str) -> int:
    """Print one sentence on one line of stderr.

    Parameters
    ----------
    sentence : str
        What was got, what is needed, what to do; line breaks become spaces.

    Returns
    -------
    int
        2, the exit code of wrong input.
    """
    print(f"fluxlens: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def usage_sentence(error: click.UsageError) -> str:
    """What click finds wrong with the words of a command line, as got, need and do.

    Parameters
    ----------
    error : click.UsageError
        As raised while parsing, or by a command about options that do not go together.
    """
    if isinstance(error, ExclusiveOptions):
        return error.message
    # The parser of options knows no context, so that some errors cannot name their command.
    command = error.ctx.command_path if error.ctx else "fluxlens"
    see = f"see `{command} --help`."
    # Click's sentences begin in capitals and end in a stop; ours go on.
    message = (error.message[:1].lower() + error.message[1:]).removeprefix("got ").rstrip(".")
    if isinstance(error, click.NoSuchOption):
        # Click's own guess at what was meant.
        near = ", ".join(sorted(error.possibilities or ()))
        return f"Got {command} with {error.option_name}, need {near or 'an option it has'}; {see}"
    if isinstance(error, click.MissingParameter) and error.param:
        name = (
            error.param.opts[0] if isinstance(error.param, click.Option) else error.param.human_readable_name
        )
        return f"Got {command} without {name}, need it; {see}"
    if isinstance(error, click.BadParameter):
        name = f"{error.param.opts[0]} of {command}" if isinstance(error.param, click.Option) else command
        return f"Got {name}: {message}; correct it, {see}"
    # A word that is no command: the commands of the group are named.
    if error.ctx and isinstance(error.ctx.command, click.Group):
        names = ", ".join(error.ctx.command.list_commands(error.ctx))
        return f"Got {command}: {message}, need one of {names}; {see}"
    return f"Got {command}: {message}; correct it, {see}"


@contextmanager
def data_warnings_as_lines() -> Iterator[None]:
    """While it lasts, a ``DataWarning`` becomes one line of stderr; other warnings are shown as Python does."""
    with warnings.catch_warnings():
        # Restored by `catch_warnings` on leaving, like the filters.
        default_showwarning = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, DataWarning):
                print(f"fluxlens: warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                default_showwarning(message, category, *where, **more)

        # "always": Python would show a text of one line of code only once, and two files may deserve the same text.
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = show
        yield
