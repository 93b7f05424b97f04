"""A path holds all of what is written to it, or what it held before."""

import pytest
from fluxlens.models.atomic import atomic_path, remove


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_when_it_is_complete(tmp_path, durable):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with atomic_path(path, durable) as temporary:
        assert temporary.suffix == ".csv"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_nothing_is_left_of_it(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()

    def fail():
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / "half").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [file.name for file in tmp_path.rglob("*")] == ["a", "old"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [file.name for file in tmp_path.rglob("*")] == ["a.zarr", "new"]


def test_removing_says_whether_there_was_anything(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    assert remove(tmp_path / "file")
    assert remove(tmp_path / "folder")
    assert not remove(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
