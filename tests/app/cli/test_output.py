"""What the commands print: a table to read, JSON to parse."""

import json

from fluxlens.app.cli import output
from fluxlens.app.cli.output import ProgressLine, print_table


def test_a_table_has_units_and_its_file_is_the_flat_object(capsys, tmp_path):
    result = {"256px_tap_median_ms": 18.61, "page_models": 691, "page_mb": 1.5, "device": "cpu"}
    print_table(result, str(tmp_path / "a.json"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["256px", "tap", "median", "18.61", "ms"]
    assert lines[1] == ["page", "models", "691"]
    assert lines[2] == ["page", "1.5", "MB"]
    assert lines[3] == ["device", "cpu"]
    assert json.loads((tmp_path / "a.json").read_text()) == result


def test_a_log_repeats_a_line_that_does_not_change_once_a_minute(capsys, monkeypatch):
    clock = 100.0
    monkeypatch.setattr(output.time, "monotonic", lambda: clock)
    line = ProgressLine()
    assert not line.is_terminal
    for _ in range(240):
        line.show("waiting for another process", 0.0)
        clock += 0.5
    clock += 6
    line.show("embedding", 0.25)
    printed = capsys.readouterr().err.splitlines()
    assert printed == ["  0% waiting for another process"] * 2 + [" 25% embedding"]
