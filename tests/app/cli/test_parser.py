"""The parser: wrong usage, help that answers at once, warnings as lines, exit codes."""

import json
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest
from fluxlens.app.cli import main
from fluxlens.app.cli.parser import COMMANDS, fluxlens
from fluxlens.models.errors import DataWarning

ROOT = Path(__file__).parents[3]
HELP_CPU_S = 0.15
"""Beyond an interpreter that does nothing."""


def usage_of(capsys, *words: str) -> str:
    """The one sentence of a command line that the parser does not take."""
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1
    assert re.match(r"fluxlens: Got .*(need|correct)", lines[0])
    return lines[0]


def cpu_s(*words: str) -> float:
    """Processor seconds of a Python process; the best of three, since other work shares the caches."""
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def test_help_answers_at_once():
    assert cpu_s("-m", "fluxlens.app.cli", "--help") - cpu_s("-c", "pass") < HELP_CPU_S


def test_every_command_has_its_own_name_and_shows_all_of_its_summary(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        assert fluxlens.get_command(click.Context(fluxlens), name).name == name
        assert re.search(rf"(?m)^  {name} +\S.*[^.]\.$", shown), name


@pytest.mark.parametrize("command", [[name] for name in COMMANDS])
def test_no_help_shows_docstrings_meant_for_engineers(command, capsys):
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: fluxlens ")
    assert "Parameters" not in shown
    assert "-----" not in shown


def test_a_command_loads_no_other_command():
    code = (
        "import sys; from app.cli import main; main(['catalog', '--help'])\n"
        "loaded = {name.rpartition('.')[2] for name in sys.modules if '.cli.' in name}\n"
        "assert 'catalog' in loaded and not {'embed', 'export', 'serve'} & loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_version_is_printed(capsys):
    from fluxlens.embeddings import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fluxlens {__version__}\n"


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("", "need one of serve, embed, update, snapshots"),
        ("fly", "'fly', need one of serve, embed"),
        ("evaluate sky", "fluxlens evaluate: .*'sky', need one of .*probes"),
        ("embed", "without SCENE"),
        ("embed scene", "without --out"),
        ("embed scene --ou store", "with --ou, need --out"),
        ("embed scene --frobnicate", "with --frobnicate, need an option it has"),
        ("serve --port http", "--port of fluxlens serve: 'http' is not a valid integer"),
        ("bench sleep", "'sleep' is not one of 'embed', 'store', 'update', 'screen'"),
        ("export --at", "'--at' requires an argument"),
        ("catalog list a b", "unexpected extra arguments"),
        ("export x --at 1,1 --again r.json", "--at and --again"),
        ("export x --at 1,1 --radius-m 20 --tower t.csv", "--radius-m and --tower"),
    ],
)
def test_wrong_usage_is_one_sentence(words, match, capsys):
    assert re.search(match, usage_of(capsys, *words.split()))


def test_a_western_longitude_is_no_option(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["--at", "-3.7,40.4"], ["--at=-3.7,40.4"]):
        assert main(["export", "nowhere", *words, "--out", "a.csv"]) == 2
        assert "nowhere" in capsys.readouterr().err


def probe(monkeypatch, callback) -> None:
    """Lets the command ``bench`` do something else."""
    from fluxlens.app.cli.bench import bench

    monkeypatch.setattr(bench, "callback", lambda **_: callback())


def test_data_warnings_are_single_lines_and_others_stay_warnings(capsys, monkeypatch):
    def warn() -> None:
        for _ in range(2):
            warnings.warn("left out\n  3 rows without a date.", DataWarning, stacklevel=2)
        warnings.warn("not about data", UserWarning, stacklevel=2)

    probe(monkeypatch, warn)
    with pytest.warns(UserWarning, match="not about data"):
        assert main(["bench", "store"]) == 0
    line = "fluxlens: warning: left out 3 rows without a date.\n"
    assert capsys.readouterr().err == 2 * line


def test_python_warns_of_data_again_after_a_command(monkeypatch):
    probe(monkeypatch, lambda: None)
    shown = warnings.showwarning
    assert main(["bench", "store"]) == 0
    assert warnings.showwarning is shown


def test_ctrl_c_is_130_and_a_missing_file_is_2(capsys, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    probe(monkeypatch, interrupt)
    assert main(["bench", "store"]) == 130
    assert capsys.readouterr().err == "fluxlens: stopped; nothing half-written was left.\n"
    probe(monkeypatch, Path("/nowhere/file").read_text)
    assert main(["bench", "store"]) == 2
    assert "Got /nowhere/file: No such file" in capsys.readouterr().err


def test_an_error_of_ours_is_not_hidden(monkeypatch):
    def fail() -> None:
        raise ConnectionResetError("reset by peer")

    probe(monkeypatch, fail)
    with pytest.raises(ConnectionResetError):
        main(["bench", "store"])


def test_the_shell_completes_commands_and_options():
    environment = {
        "_FLUXLENS_COMPLETE": "bash_complete",
        "COMP_WORDS": "fluxlens embed --sch",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "fluxlens.app.cli"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "plain,--scheduler\n", done.stderr


def test_options_are_those_of_the_release():
    """Names, defaults, choices and types that scripts of users rely on, as release 45e744a parsed them."""
    recorded = json.loads((ROOT / "tests" / "golden" / "options.json").read_text())
    today = options_of(fluxlens, ())
    for command, options in recorded.items():
        for name, facts in options.items():
            # Choices may be added, never taken away.
            assert set(today[command][name]["choices"]) >= set(facts["choices"]), (command, name)
            now = today[command][name] | {"choices": facts["choices"]}
            assert now == facts, (command, name)


def options_of(command: click.Command, path: tuple[str, ...]) -> dict[str, dict]:
    """Of each command: its options and arguments by name, with default, type, choices and whether it must be given."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        nested = (options_of(command.get_command(context, name), (*path, name)) for name in names)
        return {name: options for part in nested for name, options in part.items()}
    found = {}
    for parameter in command.params:
        default = None if parameter.multiple else parameter.get_default(context)
        kind = "flag" if getattr(parameter, "is_flag", False) else parameter.type.name
        # A flag is off and an option unset by None or False, by the version of click.
        found[parameter.opts[0]] = {
            "default": default if isinstance(default, str | int | float) and default is not False else None,
            "type": kind,
            "choices": list(getattr(parameter.type, "choices", ())),
            "required": parameter.required,
        }
    return {" ".join(path): found}
