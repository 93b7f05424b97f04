"""Runs the code blocks of a page in order, as a reader would type them: ``python tests/tutorial_runner.py PAGE.md``.

Blocks marked ``python`` share one namespace; those marked ``bash`` go to a shell. Lines of ``fluxlens`` alone run in
this process, which has loaded PyTorch already: a page of ten commands would otherwise load it ten times. Everything is
written to the current folder. A comment ``<!-- needs: fluxlens NAME -->`` above a block leaves it out where there is no
such command.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUN = ("python", "bash")
"""Languages of the blocks that are run; all others are for the eye."""
FENCE = re.compile(
    r"^(?:<!-- needs: fluxlens (?P<needs>\w+) -->\n)?"
    r"(?P<fence>```+)(?P<language>[\w{}-]*)[^\n]*\n(?P<code>.*?)^(?P=fence)[ ]*$",
    re.M | re.S,
)
SHELL_SYNTAX = set("|&;<>$`*?(){}")
"""Characters that make a line one for the shell."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Parameters
    ----------
    language
        The word behind the fence.
    code
        Its lines.
    line
        Number of its first line, from 1.
    needs
        A command of ``fluxlens`` without which the block is left out.
    """

    language: str
    code: str
    line: int
    needs: str | None = None

    @property
    def is_runnable(self) -> bool:
        """Whether the command that it needs is there."""
        from fluxlens.app.cli.parser import COMMANDS

        return self.needs is None or self.needs in COMMANDS


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks of a page, in order.

    Parameters
    ----------
    page
        A Markdown file.
    """
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield Block(
            found["language"], found["code"], text.count("\n", 0, found.start("code")) + 1, found["needs"]
        )


def commands(code: str) -> list[str]:
    """Commands of ``fluxlens`` in a block, continued lines joined and comments left out.

    Parameters
    ----------
    code
        Lines of a shell.
    """
    joined = re.sub(r"\\\n\s*", " ", code)
    return [line.split(" #")[0].strip() for line in joined.splitlines() if line.startswith("fluxlens ")]


def run_bash(code: str) -> None:
    """Run a block as a shell would, and stop where a command fails.

    Parameters
    ----------
    code
        Lines of a shell.
    """
    lines = re.sub(r"\\\n\s*", " ", code).strip().splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "EOF" not in code]
    # Plain commands of ours only: anything that needs a shell goes to one, whole.
    if words and all(one[:1] == ["fluxlens"] or not one for one in words) and not SHELL_SYNTAX & set(code):
        from fluxlens.app import cli

        for one in filter(None, words):
            print("$", *one, flush=True)
            if exit_code := cli.main(one[1:]):
                raise SystemExit(f"{' '.join(one)} ended with {exit_code}")
        return
    print("$", code, flush=True)
    subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)


def main(page: Path) -> None:
    """Run all blocks of a page.

    Parameters
    ----------
    page
        A Markdown file.
    """
    namespace: dict = {"__name__": "__main__"}
    for block in blocks(page):
        if not block.is_runnable:
            continue
        if block.language == "bash":
            run_bash(block.code)
        elif block.language == "python":
            # Padded, so that a traceback names the line of the page.
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
