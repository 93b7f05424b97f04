"""The command line ends with 0 and a file, or with 2 and one sentence and nothing."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import xarray as xr
import yaml
from fluxlens.app.cli import main
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers import zarr
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import Store, write
from tiny_cube import blocks_of, random_cube

ROOT = Path(__file__).parents[2]
DAYS = ["--start", "2020-06-05", "--end", "2020-06-08"]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    cube = random_cube()
    path = tmp_path_factory.mktemp("cli") / "store"
    write(path, cube, blocks_of(cube))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a catalog of one small simulated scene, untrained weights and its own cache."""
    import torch
    from fluxlens.models import checkpoints
    from fluxlens.models.embedder import Embedder

    folder = tmp_path_factory.mktemp("world")
    torch.manual_seed(0)
    checkpoints.save(Embedder(), folder / "m.safetensors", "untrained", {})
    scene = {"scene": "simulated", "seed": 3, "size_px": 8, "start": "2020-06-01", "end": "2020-06-20"}
    sources = {"tiny": {"driver": "fluxlens_scene", "args": scene, "description": "a tiny scene"}}
    (folder / "catalog.yaml").write_text(yaml.safe_dump({"sources": sources}))
    patch = pytest.MonkeyPatch()
    patch.setenv("FLUXLENS_CACHE", str(folder / "cache"))
    yield folder
    patch.undo()


def model_of(world: Path) -> list[str]:
    return [
        "--catalog",
        str(world / "catalog.yaml"),
        "--model",
        str(world / "m.safetensors"),
        "--device",
        "cpu",
    ]


def refused(capsys, arguments: list[str]) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert lines[-1].startswith("fluxlens: ")
    assert "Traceback" not in printed.err
    return lines[-1]


def centre_text(store: Path) -> str:
    grid = Grid.from_cube(Store.open(store).cube())
    lon, lat = grid.lonlat(grid.x[3], grid.y[4])
    return f"{lon},{lat}"


def test_help_loads_neither_torch_nor_panel():
    code = (
        "import sys; from app.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'panel', 'xarray', 'intake', 'zarr'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for verb in (
        "serve",
        "embed",
        "scene",
        "reconstruct",
        "export",
        "train",
        "evaluate",
        "predict",
        "catalog",
        "bench",
    ):
        assert verb in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["embed"],
        ["export", "x", "--at", "1,1", "--again", "r.json"],
        ["bench", "sleep"],
        ["evaluate"],
        ["evaluate", "sky"],
    ],
)
def test_wrong_usage_ends_with_2(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_an_evaluation_tells_numbers_on_stdout_and_in_a_file_and_its_table_beside(tmp_path, capsys):
    scene, numbers = tmp_path / "scene.zarr", tmp_path / "numbers.json"
    zarr.write(simulate("exam", seed=1, size_px=16, start="2020-05-01", end="2020-06-15"), scene)
    assert main(["evaluate", "coherence", "--data", str(scene), "--json", str(numbers)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads(numbers.read_text())
    assert json.loads(printed.out)["SIM-exam-1_month_difference"] <= 1e-5
    assert "16 x 16 px" in printed.err


def test_an_evaluation_that_cannot_be_is_one_sentence(capsys):
    arguments = ["evaluate", "leave-one-cube-out", "--data", "nowhere"]
    assert "--steps" in refused(capsys, [*arguments, "--steps", "0"])
    assert "nowhere" in refused(capsys, arguments)
    assert "nowhere" in refused(capsys, ["evaluate", "probes", "--data", "nowhere"])
    assert "no model" in refused(capsys, ["evaluate", "truth", "--model", "nowhere"])


def test_a_point_becomes_a_table(store, tmp_path, capsys):
    assert main(["export", str(store), "--at", centre_text(store), "--out", str(tmp_path / "a.csv")]) == 0
    assert "9 rows" in capsys.readouterr().out
    assert (tmp_path / "a.csv").read_text().startswith("# title: tiny")


def test_maps_of_a_store_of_wrong_reflectance_say_so(tmp_path, capsys, monkeypatch):
    import torch
    import xarray as xr
    from fluxlens.embeddings import gpp
    from fluxlens.embeddings.gpp import cubes
    from fluxlens.embeddings.scenes.reflectance_check import ATTR, TOO_HIGH
    from fluxlens.models.gpp.daily_head import Config, DailyHead

    torch.manual_seed(3)
    head = gpp.DailyGppHead(DailyHead(Config(4)).eval().requires_grad_(False), "0" * 8, "abc", {})
    monkeypatch.setattr(cubes, "load", lambda *_: head)
    cube = random_cube(ny=6, nx=8).assign_attrs({ATTR: TOO_HIGH})
    write(tmp_path / "store", cube, blocks_of(cube))
    assert main(["predict", "gpp", str(tmp_path / "store"), "--out", str(tmp_path / "maps.nc")]) == 0
    assert f"fluxlens: warning: Got a store with {TOO_HIGH}: all" in capsys.readouterr().err
    with xr.open_dataset(tmp_path / "maps.nc") as maps:
        assert maps["ood"].values.all()


def test_gpp_maps_of_a_period_and_their_mean(store, tmp_path, capsys, monkeypatch):
    import numpy as np
    import rasterio
    import torch
    import xarray as xr
    from fluxlens.embeddings import gpp
    from fluxlens.embeddings.export import selection
    from fluxlens.embeddings.gpp import cubes
    from fluxlens.models.gpp.daily_head import Config, DailyHead

    torch.manual_seed(3)
    head = gpp.DailyGppHead(DailyHead(Config(4)).eval().requires_grad_(False), "0" * 8, "abc", {})
    monkeypatch.setattr(cubes, "load", lambda *_: head)
    monkeypatch.setattr(selection, "PIXEL_DAYS", 2500)  # a day at a time
    period = ["--start", "2020-01-02", "--end", "2020-01-04"]
    for name in ("maps.nc", "maps.zarr", "mean.tif"):
        assert main(["predict", "gpp", str(store), *period, "--out", str(tmp_path / name)]) == 0
    assert "40 x 56 pixels, 3 days" in capsys.readouterr().out
    with (
        xr.open_dataset(tmp_path / "maps.nc") as maps,
        xr.open_zarr(tmp_path / "maps.zarr", consolidated=False) as again,
    ):
        assert dict(maps.sizes) == {"time": 3, "y": 40, "x": 56}
        assert set(maps) == {"gpp", "gpp_lo", "gpp_hi", "ood"} == set(again)
        assert maps.attrs["simulated"] == 1
        assert "clear-sky" in maps.attrs["weather"]
        assert maps.attrs["days"] == "2020-01-02 to 2020-01-04"
        np.testing.assert_allclose(again["gpp_hi"], maps["gpp_hi"])
        with rasterio.open(tmp_path / "mean.tif") as file:
            np.testing.assert_allclose(file.read(1), maps["gpp"].mean("time"), rtol=1e-5)


def test_a_store_is_scored_at_a_tower(store, tmp_path, capsys, monkeypatch):
    import json

    import numpy as np
    import pandas as pd
    import torch
    import xarray as xr
    from fluxlens.embeddings import gpp
    from fluxlens.embeddings.export import selection
    from fluxlens.embeddings.gpp import cubes
    from fluxlens.models.gpp.daily_head import Config, DailyHead

    torch.manual_seed(3)
    head = gpp.DailyGppHead(DailyHead(Config(4)).eval().requires_grad_(False), "0" * 8, "abc", {})
    monkeypatch.setattr(cubes, "load", lambda *_: head)
    assert "--data or --store" in refused(capsys, ["evaluate", "gpp"])
    evaluated = ["evaluate", "gpp", "--store", str(store)]
    assert "without a tower" in refused(capsys, evaluated)
    time = pd.date_range("2020-01-01", periods=9, unit="ns")
    table = {"TIMESTAMP": time.strftime("%Y%m%d"), "GPP_NT_VUT_REF": np.arange(9.0), "NEE_VUT_REF_QC": 1.0}
    tower = tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2020-2020_1-4.csv"
    pd.DataFrame(table).to_csv(tower, index=False)
    evaluated += ["--data", str(tower), "--radius-m", "50"]
    assert "--at" in refused(capsys, evaluated)
    evaluated += ["--at", centre_text(store)]
    assert "no weather" in refused(capsys, evaluated)
    weather = xr.Dataset({"sw_in": ("time", np.full(9, 150.0, np.float32))}, {"time": time})
    monkeypatch.setattr(selection.CubeSelection, "_weather", lambda _: weather)
    assert main(evaluated) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["site"], scores["days"], scores["model.daily.n"]) == ("XX-Abc", 9, 9)
    assert np.isfinite(scores["model.daily.rmse"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--out", "a.nc"], "STORE and --table"),
        (["STORE", "--table", "a.csv", "--out", "a.nc"], "STORE and --table"),
        (["--table", "a.csv", "--start", "2020-01-01", "--out", "a.csv"], "--start"),
        (["STORE", "--out", "a.csv"], ".nc"),
        (["STORE", "--end", "2019-01-01", "--out", "a.nc"], "need it on or after"),
    ],
)
def test_wrong_gpp_maps_are_one_sentence_and_no_file(store, tmp_path, capsys, monkeypatch, arguments, match):
    monkeypatch.chdir(tmp_path)
    message = refused(capsys, ["predict", "gpp", *(str(store) if a == "STORE" else a for a in arguments)])
    assert match in message
    assert not list(tmp_path.iterdir())


def test_a_point_may_stand_for_what_a_tower_sees(store, tmp_path, capsys):
    import numpy as np
    import pandas as pd

    time = pd.date_range("2020-01-01", periods=48, freq="30min")
    wind = {"WS_F": 3.0, "WD": 200.0, "USTAR": 0.4, "H_F_MDS": 50.0, "TA_F": 10.0}
    table = pd.DataFrame({"TIMESTAMP_START": time.strftime("%Y%m%d%H%M"), **wind})
    table.to_csv(tmp_path / "FLX_XX-Abc_FLUXNET2015_FULLSET_HH_2020.csv", index=False)
    tower = str(next(tmp_path.glob("FLX*")))
    for name, how in (("r", ["--radius-m", "100"]), ("f", ["--tower", tower, "--height-m", "3"])):
        out = tmp_path / f"{name}.csv"
        assert main(["export", str(store), "--at", centre_text(store), *how, "--out", str(out)]) == 0
        rows = pd.read_csv(out, comment="#")
        assert np.isfinite(rows["spread"]).all()
        assert (rows["share"] > 0.5).all()
    assert "# seen: flux footprint" in out.read_text()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"store": "nowhere"}, "does not exist"),
        ({"--at": "0,0"}, "inside lon"),
        ({"--at": "-500,0"}, "degrees"),
        ({"--at": "here"}, "LON,LAT"),
        ({"--out": "a.xls"}, ".csv"),
        ({"--out": "no/a.csv"}, "folder"),
        ({"--start": "2020-01-05", "--end": "2020-01-01"}, "before the start"),
        ({"--start": "2030-01-01"}, "need"),
        ({"--snapshot": "X"}, "snapshot"),
        ({"--radius-m": "1"}, "radius"),
        ({"--tower": "nowhere.csv"}, "--height-m"),
        ({"--tower": "nowhere.csv", "--height-m": "3"}, "no file"),
        ({"--at": None}, "without a place"),
        ({"--at": None, "--radius-m": "50"}, "without a place"),
    ],
)
def test_a_wrong_export_is_one_sentence_and_no_file(store, tmp_path, capsys, monkeypatch, change, match):
    monkeypatch.chdir(tmp_path)
    options = {"--at": centre_text(store), "--out": "a.csv"} | change
    where = options.pop("store", str(store))
    message = refused(
        capsys, ["export", where, *(word for pair in options.items() if pair[1] for word in pair)]
    )
    assert match in message
    assert list(tmp_path.iterdir()) == []


def test_a_scene_is_embedded_and_the_second_run_has_nothing_to_do(world, tmp_path, capsys):
    out = tmp_path / "store"
    arguments = ["embed", "tiny", "--out", str(out), *DAYS, *model_of(world)]
    assert main([*arguments, "--resume"]) == 0
    printed = capsys.readouterr()
    assert "256 pixel-days" in printed.err
    store = Store.open(out)
    assert store.snapshot in printed.out
    assert len(store.days) == 4
    assert store.scene() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert main([*arguments, "--resume"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert "exists already" in refused(capsys, arguments)
    assert "another scene, model, mode, area or days" in refused(
        capsys, ["embed", "tiny", "--out", str(out), *model_of(world), "--resume"]
    )


def test_an_interrupted_embedding_resumes_with_the_same_numbers(world, tmp_path, capsys, monkeypatch):
    from fluxlens.embeddings.inference import engine, request

    monkeypatch.setattr(request, "BLOCK_PX", 4)
    arguments = ["embed", "tiny", *DAYS, *model_of(world)]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    computed, original = [], engine.BlockTask.steps

    def failing(work, part, *more):
        computed.append(part)
        if len(computed) == 3:
            raise KeyboardInterrupt
        return original(work, part, *more)

    monkeypatch.setattr(engine.BlockTask, "steps", failing)
    assert main([*arguments, "--out", str(tmp_path / "cut"), "--resume"]) == 130
    assert not (tmp_path / "cut").exists()
    assert main([*arguments, "--out", str(tmp_path / "cut"), "--resume"]) == 0
    assert len(computed) < 3 + 4
    xr.testing.assert_identical(
        Store.open(tmp_path / "cut").cube().compute(), Store.open(tmp_path / "whole").cube().compute()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "whole"]


def test_ctrl_c_leaves_nothing(world, tmp_path, capsys, monkeypatch):
    from fluxlens.embeddings.inference import engine

    monkeypatch.setattr(engine.BlockTask, "steps", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["embed", "tiny", "--out", str(tmp_path / "store"), *DAYS, *model_of(world)]) == 130
    assert "stopped" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_workers_compute_the_same(world, tmp_path, monkeypatch):
    from fluxlens.embeddings.inference import request

    monkeypatch.setattr(request, "BLOCK_PX", 4)
    arguments = ["embed", "tiny", *DAYS, *model_of(world)]
    for name, more in [("one", []), ("two", ["--workers", "2"])]:
        assert main([*arguments, "--out", str(tmp_path / name), *more]) == 0
    one, two = (Store.open(tmp_path / name).cube().compute() for name in ("one", "two"))
    xr.testing.assert_identical(one, two)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU is what this is about")
def test_workers_without_the_gpu_that_is_asked_for_say_so(world, tmp_path, capsys):
    from distributed import LocalCluster

    arguments = [
        "embed",
        "tiny",
        "--out",
        str(tmp_path / "store"),
        *DAYS,
        *model_of(world),
        "--device",
        "cuda",
    ]
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        message = refused(capsys, [*arguments, "--scheduler", cluster.scheduler_address])
    assert "PyTorch finds no CUDA device" in message
    if importlib.util.find_spec("dask_cuda") is None:
        assert "pip install dask-cuda" in refused(capsys, [*arguments, "--workers", "2"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device")
def test_workers_with_a_gpu_compute_what_this_process_does_with_it(world, tmp_path):
    pytest.importorskip("dask_cuda", reason="dask-cuda is not installed")
    arguments = ["embed", "tiny", *DAYS, *model_of(world), "--device", "cuda"]
    for name, more in [("here", []), ("there", ["--workers", "1"])]:
        assert main([*arguments, "--out", str(tmp_path / name), *more]) == 0
    first, second = (Store.open(tmp_path / name).cube().compute() for name in ("here", "there"))
    xr.testing.assert_identical(first, second)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (["nowhere"], "need a path or one of tiny"),
        (["tiny", "--start", "2020-06-08", "--end", "2020-06-05"], "before start"),
        (["tiny", "--start", "2031-01-01"], "outside|before start"),
        (["tiny", "--model", "nowhere"], "no model"),
        (["tiny", "--workers", "-1"], "--workers"),
        (["tiny", "--workers", "2", "--scheduler", "tcp://x:1"], "one of them"),
        (["tiny", "--scheduler", "rubbish"], "tcp://HOST:PORT"),
        (["tiny", "--out", "no/where"], "folder"),
        (["tiny", "--catalog", "nowhere.yaml"], "catalog"),
    ],
)
def test_a_wrong_embedding_is_one_sentence_and_no_store(world, tmp_path, capsys, monkeypatch, change, match):
    import re

    monkeypatch.chdir(tmp_path)
    message = refused(capsys, ["embed", "--out", "store", *model_of(world), *change])
    assert re.search(match, message)
    assert list(tmp_path.iterdir()) == []


def test_hidden_dates_are_written(world, tmp_path, capsys):
    import fluxlens.embeddings.catalog.loading as catalogs

    scene = catalogs.open(world / "catalog.yaml")["tiny"].read()
    date = str(scene["s2"]["time"].values[0])[:10]
    out = tmp_path / "a.nc"
    assert main(["reconstruct", "tiny", "--hide", date, "--out", str(out), *model_of(world)]) == 0
    with xr.open_dataset(out, engine="netcdf4") as back:
        assert back["reflectance"].dims == ("time", "band", "y", "x")
        assert str(back["time"].values[0])[:10] == date
        assert not back["reflectance"].isnull().any()
    out.unlink()
    wrong = ["reconstruct", "tiny", "--hide", "1999-01-01", "--out", str(out), *model_of(world)]
    assert "no s2 acquisition" in refused(capsys, wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_scene_is_planned_and_fetched_from_a_stac_api(tmp_path, capsys, monkeypatch):
    from fluxlens.embeddings.readers import open_scene
    from fluxlens.embeddings.stac import access
    from stac_world import LAT, LON, World

    monkeypatch.setattr(access, "WAIT_S", 0.02)
    files, out = tmp_path / "files", tmp_path / "scene.zarr"
    files.mkdir()
    api = World(files)
    api.s2("A", "2020-06-01T10:40:21")
    api.s2("B", "2020-06-06T10:40:21", lacks=("B04",))
    api.s1("S", "2020-06-02T17:31:51")
    days = ["--start", "2020-06-01", "--end", "2020-06-30"]
    command = ["scene", "stac", "--at", f"{LON},{LAT}", "--size-m", "160", *days, "--provider", api.url]
    assert "without --out" in refused(capsys, command)
    assert main([*command, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["2020-06-01", "s2", "images:", "1"]
    assert lines[1].split() == ["2020-06-02", "s1", "images:", "1", "ascending"]
    assert lines[3].startswith("3 dates; about")
    assert main([*command, "--out", str(out)]) == 0
    assert "1 of 3 images left out: B: it has no B04" in capsys.readouterr().err
    assert set(open_scene(out).children) == {"s1", "s2"}
    assert "exists already" in refused(capsys, [*command, "--out", str(out)])
    api.close()
    assert "no answer from 127" in refused(capsys, [*command, "--out", str(tmp_path / "other")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "scene.zarr"]


def test_a_catalog_is_listed_and_checked(world, tmp_path, capsys):
    assert main(["catalog", "list", "--catalog", str(world / "catalog.yaml")]) == 0
    assert "a tiny scene" in capsys.readouterr().out
    assert main(["catalog", "check", "--catalog", str(world / "catalog.yaml")]) == 0
    assert "tiny: ok" in capsys.readouterr().out
    wrong = tmp_path / "catalog.yaml"
    wrong.write_text(
        yaml.safe_dump({"sources": {"a": {"driver": "fluxlens_scene", "args": {"path": "nowhere"}}}})
    )
    assert "1 of its entries" in refused(capsys, ["catalog", "check", "--catalog", str(wrong)])


def test_a_folder_of_tower_files_becomes_a_catalog(tmp_path, capsys):
    from fluxlens.embeddings import catalog

    files = tmp_path / "files" / "deep"
    files.mkdir(parents=True)
    day = "TIMESTAMP,GPP_NT_VUT_REF,NEE_VUT_REF_QC\n20200101,2,1\n20200102,3,1\n"
    for name in (
        "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2020-2020_1-4.csv",
        "FLX_XX-Abc_FLUXNET2015_FULLSET_MM_2020-2020_1-4.csv",
        "FLX_XX-Abc_FLUXNET2015_ERAI_DD_2020-2020_1-4.csv",
        "AMF_YY-Def_FLUXNET_SUBSET_DD_2020-2020_3-5.csv",
        "notes.csv",
    ):
        (files / name).write_text(day)
    (tmp_path / "sites.csv").write_text("site,lat,lon,igbp\nXX-Abc,50.5,4.25,GRA\n")
    out = tmp_path / "towers.yaml"
    made = ["catalog", "towers", str(tmp_path / "files"), "--sites", str(tmp_path / "sites.csv")]
    assert main([*made, "--out", str(out)]) == 0
    assert "2 towers" in capsys.readouterr().out
    assert main(["catalog", "check", "--catalog", str(out)]) == 0
    tower = catalog.open(out)["XX-Abc"].read()
    assert (tower.attrs["lon"], tower.attrs["igbp"]) == (4.25, "GRA")
    assert tower.attrs["source"].startswith("FLX_XX-Abc_FLUXNET2015_FULLSET_DD")
    assert "lon" not in catalog.open(out)["YY-Def"].read().attrs
    assert "no folder" in refused(capsys, ["catalog", "towers", str(out), "--out", str(out)])
    (tmp_path / "empty").mkdir()
    assert "without tower" in refused(
        capsys, ["catalog", "towers", str(tmp_path / "empty"), "--out", str(out)]
    )


def test_serving_a_bad_catalog_ends_before_it_starts(tmp_path, capsys):
    assert "not a file" in refused(capsys, ["serve", "--catalog", str(tmp_path / "nowhere.yaml")])
    assert "port" in refused(capsys, ["serve", "--port", "99999"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["sensor", "landsat9"], "no sensor 'landsat9'"),
        (["fusion", "--sensors", "s2,landsat9"], "s2,landsat9"),
        (["fusion", "--sensors", "s1,s2"], "s2 first"),
        (["fusion", "--sensors", "s2,s1,landsat8", "--encoders", "nowhere"], "folder of weights"),
    ],
)
def test_training_of_what_is_not_there_is_refused(arguments, match, tmp_path, capsys):
    assert match in refused(capsys, ["train", *arguments, "--out", str(tmp_path / "w.safetensors")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bench", "store", "--side-px", "64"], "--side-px with bench store"),
        (["bench", "embed", "--sessions", "2"], "--sessions with bench embed"),
        (["bench", "screen", "--sessions", "0"], "need 1 or more"),
    ],
)
def test_a_size_a_bench_does_not_take_is_told(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
