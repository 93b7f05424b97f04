"""The cache: a fingerprint covers all code it names, and what is built is complete, one time, or not there."""

import importlib.util
import os
import shutil
import sys
import types

import pytest
from fluxlens.embeddings import cache


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An imported package of two modules and a table."""
    folder = tmp_path / "tiny_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "code.py").write_text("ONE = 1")
    (folder / "table.npz").write_bytes(b"table")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("tiny_package")
    importlib.import_module("tiny_package.code")
    yield module
    for name in ("tiny_package", "tiny_package.code"):
        sys.modules.pop(name, None)


def folder_of(package) -> str:
    return os.path.dirname(package.__file__)


@pytest.mark.parametrize("file", ["code.py", "table.npz"])
def test_a_fingerprint_changes_with_any_file_of_a_package(package, file):
    before = cache.fingerprint(package)
    assert cache.fingerprint(package) == before
    with open(os.path.join(folder_of(package), file), "ab") as out:
        out.write(b"#")
    assert cache.fingerprint(package) != before


def test_a_fingerprint_follows_a_moved_package_and_does_not_depend_on_where_it_lies(package, tmp_path):
    before = cache.fingerprint(package)
    shutil.copytree(folder_of(package), tmp_path / "elsewhere" / "tiny_package")
    package.__path__ = [str(tmp_path / "elsewhere" / "tiny_package")]
    assert cache.fingerprint(package) == before


def test_a_fingerprint_of_code_that_is_no_longer_there_fails(package):
    code = package.code
    shutil.rmtree(folder_of(package))
    for module in (package, code):
        with pytest.raises(RuntimeError, match="less code"):
            cache.fingerprint(module)


def test_a_fingerprint_takes_modules_and_not_their_names():
    with pytest.raises(RuntimeError, match="imported modules"):
        cache.fingerprint("engine.py")
    with pytest.raises(RuntimeError, match="no source file"):
        cache.fingerprint(types.ModuleType("made_up"))


def test_all_code_that_embeddings_follow_from_is_in_their_fingerprint():
    from fluxlens.embeddings.inference import engine, on_demand

    from fluxlens import models

    files = [file.name for module in (engine, models) for file in cache._source_files(module)]
    assert {"engine.py", "fusion.py", "fusion.safetensors"} <= set(files)
    assert len(on_demand.code_fingerprint()) == 16
