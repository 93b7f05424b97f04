"""What is alike in several stores is read and decoded once, and never taken for what another store holds."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings.store import Store, opening, write
from fluxlens.models.errors import InputError
from tiny_cube import blocks_of, random_cube


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Stores of one size: two that lie beside each other, and ones of other days, scales and attributes."""
    folder = tmp_path_factory.mktemp("opening")
    cube = random_cube()
    cubes = {
        "here": cube,
        "beside": cube.assign_coords(x=cube["x"] + 560),
        "later": cube.assign_coords(time=cube["time"] + np.timedelta64(3, "D")),
        "scaled": cube.assign_coords(scale=cube["scale"] * 2),
        "named": cube.assign_attrs(title="another"),
    }
    for name, one in cubes.items():
        write(folder / name, one, blocks_of(one))
        one.load().to_netcdf(folder / f"{name}.nc")
    return folder


@pytest.fixture
def chunks_read(monkeypatch) -> list[str]:
    """Coordinates whose values are read from a store."""
    read = []
    coordinate = opening._coordinate

    async def counted(store, name, document):
        read.append(name)
        return await coordinate(store, name, document)

    monkeypatch.setattr(opening, "_coordinate", counted)
    opening.forget()
    return read


def expected(folder: Path, name: str) -> xr.Dataset:
    return random_cube().coords.to_dataset().assign_coords(xr.open_dataset(folder / f"{name}.nc").coords)


@pytest.mark.parametrize(
    "names", [("here", "later", "scaled", "named", "beside"), ("scaled", "here", "later")]
)
def test_each_store_has_its_own_coordinates_whichever_was_opened_before(folder, names, chunks_read):
    for name in names:
        found, own = Store.open(folder / name), expected(folder, name)
        for coord in ("time", "y", "x", "feature", "scale"):
            np.testing.assert_array_equal(found.coords[coord].values, own[coord].values)
        assert found.attrs["title"] == ("another" if name == "named" else "tiny")
        assert found.coords.identical(Store.open(folder / name).coords)


def test_of_a_store_like_the_one_before_only_the_place_is_read(folder, chunks_read):
    Store.open(folder / "here")
    assert sorted(chunks_read) == ["feature", "scale", "spatial_ref", "time", "x", "y"]
    chunks_read.clear()
    Store.open(folder / "beside")
    assert sorted(chunks_read) == ["x", "y"]
    chunks_read.clear()
    # The digest tells that its scales, which are described alike, are others.
    Store.open(folder / "scaled")
    assert sorted(chunks_read) == ["feature", "scale", "spatial_ref", "time", "x", "x", "y", "y"]


def test_what_is_changed_in_one_store_s_coordinates_stays_there(folder, chunks_read):
    first = Store.open(folder / "here")
    first.coords["scale"].values[:] = 7
    first.coords["time"].attrs["note"] = "mine"
    for name in ("beside", "here"):
        other = Store.open(folder / name)
        assert other.coords["scale"].values.max() < 1
        assert "note" not in other.coords["time"].attrs


def test_a_coordinate_changed_by_another_program_is_never_taken_for_the_writer_s(
    folder, tmp_path, chunks_read
):
    import icechunk
    import zarr

    cube = random_cube()
    write(tmp_path / "store", cube, blocks_of(cube))
    storage = icechunk.local_filesystem_storage(str(tmp_path / "store"))
    session = icechunk.Repository.open(storage).writable_session("main")
    zarr.open_group(session.store, mode="r+")["maps/scale"][:] = np.float32(0.5)
    session.commit("by another program")
    opening.forget()  # what was written here
    with pytest.raises(InputError, match="attributes or coordinates are not those written"):
        Store.open(tmp_path / "store")
    # With a store beside it whose scale is the one that the writer's digest is of, that one is known to be right.
    Store.open(folder / "here")
    np.testing.assert_array_equal(Store.open(tmp_path / "store").coords["scale"], cube["scale"])
