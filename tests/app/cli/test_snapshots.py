"""``fluxlens snapshots`` lists the commits of a store on disk, in an object store and of a mosaic."""

import json

import pytest
import s3_world
from fluxlens.app.cli import main
from fluxlens.embeddings.store import Store, write
from tiny_cube import blocks_of, random_cube


def write_twice(place) -> list[str]:
    """A store of all but the last day, then of all; returns the ids of both commits, the newest first."""
    cube = random_cube()
    parts = (cube.isel(time=slice(None, -1)), cube)
    ids = [
        write(place, part, blocks_of(part), message=message, overwrite=True)
        for part, message in zip(parts, ("first", "one day more"), strict=True)
    ]
    return ids[::-1]


def check_listed(capsys, place: str, ids: list[str], count: int) -> None:
    """The table has a line per commit: id, time, days, period, message."""
    capsys.readouterr()
    assert main(["snapshots", place]) == 0
    titles, *lines = capsys.readouterr().out.splitlines()
    assert titles.split() == ["id", "written", "(UTC)", "days", "from", "to", "message"]
    assert [line.split()[0] for line in lines] == ids
    assert [int(line.split()[3]) for line in lines] == [count, count - 1]
    assert [line.split(maxsplit=6)[6] for line in lines] == ["one day more", "first"]
    # The time is the one by which a snapshot can be named.
    written = [f"{commit.written_at:%Y-%m-%d %H:%M:%S}" for commit in Store.open(place).log()]
    assert [" ".join(line.split()[1:3]) for line in lines] == written


def test_commits_of_a_store_on_disk_and_their_days(tmp_path, capsys):
    ids, path = write_twice(tmp_path / "store"), str(tmp_path / "store")
    days = Store.open(path).days.astype("datetime64[D]")
    check_listed(capsys, path, ids, len(days))
    assert main(["snapshots", path, "--json", str(tmp_path / "list.json")]) == 0
    newest, oldest = json.loads((tmp_path / "list.json").read_text())["snapshots"]
    assert (newest["id"], newest["last_day"]) == (ids[0], str(days[-1]))
    assert (oldest["id"], oldest["last_day"], oldest["store"]) == (ids[1], str(days[-2]), path)


def test_commits_of_a_store_in_an_object_store(monkeypatch, capsys):
    with s3_world.running() as (_, proxy):
        for name, value in {**s3_world.ENVIRONMENT, "AWS_ENDPOINT_URL": proxy.endpoint}.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{s3_world.BUCKET}/listed/store"
        ids = write_twice(url)
        check_listed(capsys, url, ids, Store.open(url).days.size)


def test_of_a_mosaic_the_commits_of_each_store_are_listed(tmp_path, capsys):
    cube = random_cube()
    middle = cube.sizes["x"] // 2
    for name, cols in (("west", slice(0, middle)), ("east", slice(middle, None))):
        part = cube.isel(x=cols)
        write(tmp_path / name, part, blocks_of(part))
    (tmp_path / "catalog.yaml").write_text(
        "sources:\n  both: {driver: fluxlens_embeddings, args: {store: [west, east]}}\n"
    )
    assert main(["snapshots", "both", "--catalog", str(tmp_path / "catalog.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0::3] == [f"{tmp_path / name}:" for name in ("west", "east")]
    assert len(lines) == 6


@pytest.mark.parametrize("place", ["nowhere", "folder"])
def test_what_is_no_store_is_told_in_one_sentence(tmp_path, capsys, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert main(["snapshots", place]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "fluxlens embed" in said.err.splitlines()[-1]
