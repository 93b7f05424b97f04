"""A replay file makes the same export again, or says what is no longer the same; it is read, never run."""

import json
import shutil

import pandas as pd
import pytest
import rasterio
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings.export import replay
from fluxlens.embeddings.store import Store, write
from test_export import centre, read_csv, square
from tiny_cube import blocks_of, random_cube


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a store."""
    folder = tmp_path_factory.mktemp("replay")
    write(folder / "store", random_cube(), blocks_of(random_cube()))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A store, an export of two points, one named like a formula, and its replay."""
    shutil.copytree(made / "store", tmp_path / "store")
    cube = random_cube()
    oak, ash = centre(cube, 3, 5), centre(cube, 20, 30)
    (tmp_path / "points.csv").write_text(f"lon,lat,name\n{oak.lon},{oak.lat},=oak\n{ash.lon},{ash.lat},ash\n")
    assert export(tmp_path, "--points", "points.csv", "--start", "2020-01-03", "--out", "a.csv") == 0
    return tmp_path


def export(folder, *words: str) -> int:
    names = ("store", "points.csv", "a.geojson", "a.csv", "a.tif", "a.nc")
    words = [str(folder / word) if word in names else word for word in words]
    return main(["export", str(folder / "store"), *words, "--replay", str(folder / "r.json")])


def again(folder, *words: str) -> int:
    return main(["export", "--again", str(folder / "r.json"), *words])


def refused(capsys, code: int) -> str:
    assert code == 2
    return capsys.readouterr().err


def change(folder, **parts) -> None:
    content = json.loads((folder / "r.json").read_text()) | parts
    (folder / "r.json").write_text(json.dumps(content))


def test_the_same_export_is_made_again_also_where_the_folder_has_moved(folder, tmp_path_factory, capsys):
    moved = tmp_path_factory.mktemp("moved") / "here"
    shutil.copytree(folder, moved)
    first = read_csv(moved / "a.csv")
    (moved / "points.csv").unlink()
    assert "exists already" in refused(capsys, again(moved))
    (moved / "a.csv").unlink()
    assert again(moved) == 0
    assert "the same numbers" in capsys.readouterr().out
    second = read_csv(moved / "a.csv")
    pd.testing.assert_frame_equal(first[1], second[1])
    assert first[0] | {"created": ""} == second[0] | {"created": ""}
    assert len(second[1]) == 2 * 7
    assert again(moved, "--out", str(moved / "b.parquet")) == 0
    assert "the same numbers" in capsys.readouterr().out
    assert len(pd.read_parquet(moved / "b.parquet")) == 2 * 7


@pytest.mark.parametrize("name", ["a.tif", "a.nc"])
def test_an_area_is_made_again(folder, name, capsys):
    shape = square(random_cube(), slice(4, 7), slice(10, 12))[0][0].tolist()
    (folder / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [shape]}))
    assert export(folder, "--polygon", "a.geojson", "--out", name) == 0
    assert again(folder, "--out", str(folder / f"b{name}")) == 0
    assert "the same numbers" in capsys.readouterr().out
    if name == "a.nc":
        with xr.open_dataset(folder / "a.nc") as one, xr.open_dataset(folder / "ba.nc") as two:
            xr.testing.assert_equal(one, two)
    else:
        with rasterio.open(folder / "a.tif") as one, rasterio.open(folder / "ba.tif") as two:
            assert (one.read() == two.read()).all()


def test_a_mean_within_a_radius_is_made_again(folder, capsys):
    assert export(folder, "--points", "points.csv", "--radius-m", "30", "--out", "a.csv") == 0
    assert again(folder, "--out", str(folder / "b.csv")) == 0
    assert "the same numbers" in capsys.readouterr().out
    assert "share" in read_csv(folder / "b.csv")[1]


def test_a_store_written_anew_is_read_at_the_snapshot_of_then(folder, capsys):
    other = random_cube(seed=1)
    write(folder / "store", other, blocks_of(other), overwrite=True)
    assert again(folder, "--out", str(folder / "b.csv")) == 0
    assert "the same numbers" in capsys.readouterr().out


def test_another_snapshot_model_scene_or_head_is_refused_by_name(folder, capsys):
    whole = json.loads((folder / "r.json").read_text())
    for part, word in (
        ("store_snapshot", "snapshot"),
        ("model_digest", "model"),
        ("scene_digest", "scene"),
        ("gpp_head_digest", "GPP model"),
    ):
        change(folder, made=whole["made"] | {part: "PCDBEYD8AMA1AVQCH00G"})
        message = refused(capsys, again(folder, "--out", str(folder / "b.csv")))
        assert f"the {word} " in message, message
        assert "PCDBEYD8AMA1AVQCH00G" in message
    assert not (folder / "b.csv").exists()


def test_another_store_is_refused_and_one_that_has_moved_is_named(folder, made, capsys):
    shutil.rmtree(folder / "store")
    write(folder / "store", random_cube(seed=2), blocks_of(random_cube(seed=2)))
    assert "snapshot" in refused(capsys, again(folder, "--out", str(folder / "b.csv")))
    shutil.rmtree(folder / "store")
    assert "does not exist" in refused(capsys, again(folder, "--out", str(folder / "b.csv")))
    words = ["export", str(made / "store"), "--again", str(folder / "r.json"), "--out", str(folder / "b.csv")]
    assert main(words) == 0
    assert "the same numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    "parts",
    [
        {"out": "../a.csv"},
        {"out": "/tmp/a.csv"},
        {"out": ".bashrc"},
        {"out": "a.py"},
        {"out": 3},
        {"store": "https://example.org/store"},
        {"store": "sto\0re"},
        {"store": ["a"]},
        {"points": [["x", 1, ""]]},
        {"points": [[float("nan"), 50, ""]]},
        {"points": [[1]]},
        {"points": []},
        {"points": "os.system('x')"},
        {"polygon": [[[[1, 2], [3]]]], "points": []},
        {"polygon": [[["a"]]], "points": []},
        {"start": "__import__('os')"},
        {"start": None},
        {"made": {"store_snapshot": ["a"]}},
        {"made": []},
        {"radius_m": "5"},
        {"radius_m": -5},
        {"run": "rm -r /"},
        {"fluxlens_replay": 2},
        {"fluxlens_replay": None},
    ],
)
def test_a_replay_from_a_stranger_is_one_sentence_and_no_file(folder, parts, capsys):
    change(folder, **parts)
    message = refused(capsys, again(folder))
    assert message.startswith("fluxlens: Got")
    assert "Traceback" not in message
    assert {path.name for path in folder.iterdir()} == {"store", "points.csv", "a.csv", "r.json"}


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"fluxlens_replay": 1}']
)
def test_a_file_that_is_no_replay_is_told(folder, content, capsys):
    (folder / "r.json").write_bytes(content)
    assert "replay" in refused(capsys, again(folder))


def test_a_replay_stands_alone(folder, capsys):
    assert "--again with --start" in refused(capsys, again(folder, "--start", "2020-01-01"))
    assert "need both" in refused(capsys, main(["export", "--at", "4,5", "--out", "a.csv"]))
    wrong = [
        "export",
        str(folder / "store"),
        "--at",
        "4,5",
        "--out",
        str(folder / "b.csv"),
        "--replay",
        "r.txt",
    ]
    assert "need a .json file" in refused(capsys, main(wrong))


def test_the_tower_file_of_a_footprint_must_be_that_of_then(folder, capsys):
    tower = folder / "tower.csv"
    tower.write_text("wind")
    change(folder, tower="tower.csv", height_m=3.0, tower_sha256=replay.sha256(tower))
    tower.write_text("other wind")
    assert "tower.csv, need the one of then" in refused(capsys, again(folder, "--out", str(folder / "b.csv")))


def test_numbers_have_one_digest_however_they_came(folder):
    store = Store.open(folder / "store")
    from fluxlens.embeddings.export.extract import tidy

    one, two = (tidy(where, points=[centre(random_cube(), 3, 5)]) for where in (store, random_cube()))
    assert replay.numbers(one) == replay.numbers(two)
    assert replay.numbers(one) != replay.numbers(one.assign(sigma=one.sigma + 1e-6))
