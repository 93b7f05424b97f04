"""Damaged NetCDF files are named; they never take this process with them."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from fluxlens.embeddings.readers import probe
from fluxlens.embeddings.readers.probe import check_readable
from fluxlens.models.errors import InputError


@pytest.fixture
def cube(tmp_path):
    path = tmp_path / "cube.nc"
    values = np.random.default_rng(1).integers(0, 4000, (6, 32, 32)).astype("uint16")
    encoding = {"B04": {"zlib": True, "chunksizes": (1, 16, 16)}}
    xr.Dataset({"B04": (("time", "y", "x"), values)}).to_netcdf(path, encoding=encoding)
    return path


@pytest.fixture(autouse=True)
def _own_process():
    """No process that other tests left."""
    probe.stop_idle()


def test_a_whole_file_is_read_once_and_remembered(cube, monkeypatch):
    check_readable([cube])
    probe.stop_idle()
    monkeypatch.setattr(sys, "executable", "/nothing/that/runs")
    check_readable([cube])
    cube.write_bytes(cube.read_bytes() + b" ")
    with pytest.raises(FileNotFoundError):
        check_readable([cube])


def test_files_of_other_formats_are_left_to_their_readers(tmp_path):
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(
        tmp_path / "old.nc", format="NETCDF3_64BIT", engine="scipy"
    )
    (tmp_path / "text.nc").write_text("no cube")
    check_readable([tmp_path / "old.nc", tmp_path / "text.nc"])


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_read_or_named(cube, tmp_path, seed):
    random = np.random.default_rng(seed)
    data = bytearray(cube.read_bytes())
    for at in random.integers(8, len(data), 40):
        data[at] ^= 1 << int(random.integers(8))
    path = tmp_path / f"damaged_{seed}.nc"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"Got .*damaged_{seed}.nc.*need a file that is whole"):
        check_readable([path])


def test_a_file_cut_off_is_named_and_those_before_it_are_not(cube, tmp_path):
    cut = tmp_path / "cut.nc"
    cut.write_bytes(cube.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cut\.nc, which is damaged"):
        check_readable([cube, cut])


def test_values_that_were_declared_and_never_written_are_refused(tmp_path):
    import netCDF4

    path = tmp_path / "huge.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in {"time": 3000, "y": 10980, "x": 10980}.items():
            file.createDimension(name, size)
        file.createVariable("B04", "u2", ("time", "y", "x"), chunksizes=(1, 1024, 1024), zlib=True)
    with pytest.raises(InputError, match=r"huge\.nc, which declares 723\.4 GB of values in 0\.0 MB"):
        check_readable([path])


@pytest.mark.parametrize(
    ("code", "message", "silent_s"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            r"crashes the HDF5 library .exit code -11",
            probe.SILENT_S,
        ),
        ("import time; time.sleep(600)", "on which the HDF5 library hangs", 1.5),
    ],
)
def test_a_crash_or_a_hang_of_the_library_is_told(cube, tmp_path, monkeypatch, code, message, silent_s):
    # The library's own crashes depend on its version, so the process that reads is made to crash or to hang.
    reader = tmp_path / "reader.py"
    reader.write_text(code)
    monkeypatch.setattr(probe, "__file__", str(reader))
    monkeypatch.setattr(probe, "SILENT_S", silent_s)
    with pytest.raises(InputError, match=message):
        check_readable([cube])


def test_one_process_reads_one_file_after_the_other_and_ends(cube, tmp_path, monkeypatch):
    other = tmp_path / "two\nlines.nc"
    other.write_bytes(cube.read_bytes())
    check_readable([cube])
    (reader,) = probe._idle
    check_readable([other])
    assert probe._idle == [reader]
    monkeypatch.setattr(probe, "IDLE_S", 0.05)
    other.write_bytes(cube.read_bytes() + b" ")
    check_readable([other])
    assert reader.child.wait(10) == -9


def test_a_process_that_was_killed_while_it_waited_blames_no_file(cube, tmp_path):
    check_readable([cube])
    probe._idle[0].child.kill()
    (tmp_path / "other.nc").write_bytes(cube.read_bytes())
    check_readable([tmp_path / "other.nc"])


def test_a_forked_process_reads_by_one_of_its_own(cube, tmp_path):
    (tmp_path / "other.nc").write_bytes(cube.read_bytes())
    check_readable([cube])
    code = f"""
import os
from fluxlens.embeddings.readers import probe
probe.check_readable([{str(cube)!r}])
pid = os.fork()
if not pid:
    assert not probe._idle
    probe.check_readable([{str(tmp_path / "other.nc")!r}])
    probe.stop_idle()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert probe._idle[0].find_fault(probe.Path({str(cube)!r})) == ""
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
