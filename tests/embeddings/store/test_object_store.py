"""A store in an S3-compatible server holds what one on disk holds, and a lost connection is told in one sentence."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import app_world
import pytest
import s3_world
import test_crash
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.app.data import ExplorerData
from fluxlens.embeddings import catalog
from fluxlens.embeddings.store import Conflict, ObjectUrl, Store, locate, location, write
from fluxlens.embeddings.store import layout as store_layout
from fluxlens.models.errors import InputError
from test_crash import FORKS, PRELOADED
from tiny_cube import blocks_of, random_cube

world = test_crash.world
"""Its fixture: a folder with a small scene and untrained weights."""

KILLS = int(os.environ.get("FLUXLENS_KILLS", 4))

WAIT_S, HANG_S = 120, 60
"""What is told at once, or after the tries of `location` (10 s), and how long a server hangs: with room for machines
that are slow, or busy with other tests."""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[s3_world.S3Server, s3_world.CountingProxy]]:
    with s3_world.running() as both:
        yield both


@pytest.fixture
def proxy(servers, monkeypatch) -> Iterator[s3_world.CountingProxy]:
    """The proxy before the server, and an environment in which it is the endpoint."""
    for name, value in {**s3_world.ENVIRONMENT, "AWS_ENDPOINT_URL": servers[1].endpoint}.items():
        monkeypatch.setenv(name, value)
    yield servers[1]
    servers[1].cut = servers[1].cut_after = None
    servers[1].delay_s = 0.0


@pytest.fixture
def url(request) -> str:
    """A place of its own for each test."""
    return f"s3://{s3_world.BUCKET}/{abs(hash(request.node.name))}/store"


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return random_cube()


def refused(capsys, *words: str) -> str:
    """What a command says that ends with exit code 2, one line and no traceback."""
    capsys.readouterr()
    assert main(list(words)) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1, said
    assert "Traceback" not in said[0]
    return said[0]


def test_what_was_written_is_read_back_as_from_disk(proxy, url, cube, tmp_path):
    first = write(url, cube, blocks_of(cube), message="first")
    store = Store.open(url)
    assert str(store.path) == url
    assert store.snapshot == first
    assert [commit.message for commit in store.log()] == ["first"]
    assert 0 < store.nbytes < 10**7
    for layout in ("maps", "series"):
        xr.testing.assert_identical(store.cube(layout).compute(), cube)
    for place in (f"{url}-with-scene", tmp_path / "store"):
        app_world.write_store(place)
    remote, disk = Store.open(f"{url}-with-scene"), Store.open(tmp_path / "store")
    xr.testing.assert_identical(remote.map("2020-05-04"), disk.map("2020-05-04"))
    xr.testing.assert_identical(remote.series(3, 4), disk.series(3, 4))
    for name in ("s2", "s1", "weather", "tower"):
        xr.testing.assert_identical(*(one.scene()[name].to_dataset().compute() for one in (remote, disk)))


def test_commands_write_and_export_the_same_bits_as_on_disk(proxy, url, world, tmp_path, capsys):
    common = ["--model", str(world / "m.safetensors"), *test_crash.ASKED]
    for out in (url, str(tmp_path / "store")):
        assert main(["embed", str(world / "scene"), "--out", out, *common]) == 0
    for layout in ("maps", "series"):
        pair = (Store.open(place).cube(layout).compute() for place in (url, tmp_path / "store"))
        xr.testing.assert_identical(*pair)
    grid = Store.open(url).grid
    lon, lat = grid.lonlat(grid.x[2], grid.y[3])
    tables = []
    for place in (url, str(tmp_path / "store")):
        file = tmp_path / "pixel.csv"
        file.unlink(missing_ok=True)
        assert main(["export", place, "--at", f"{float(lon)},{float(lat)}", "--out", str(file)]) == 0
        tables.append([line for line in file.read_text().splitlines() if not line.startswith("#")])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 5
    assert "exists already" in refused(capsys, "embed", str(world / "scene"), "--out", url, *common[:2])
    assert main(["embed", str(world / "scene"), "--out", url, *common]) == 0  # resumed: nothing to do
    assert "whole already" in capsys.readouterr().out


def test_two_processes_write_tiles_that_one_commits(proxy, url, world, tmp_path):
    common = ["--model", str(world / "m.safetensors"), *test_crash.ASKED]
    assert main(["embed", str(world / "scene"), "--out", url, *common, "--workers", "2"]) == 0
    assert main(["embed", str(world / "scene"), "--out", str(tmp_path / "store"), *common]) == 0
    pair = (Store.open(place).cube("series").compute() for place in (url, tmp_path / "store"))
    xr.testing.assert_identical(*pair)


def test_opening_taps_and_frames_ask_for_few_objects(proxy, url):
    app_world.write_store(url)
    stores: list[Store] = []
    opening, _ = proxy.count(lambda: stores.append(Store.open(url)))
    assert 0 < opening <= 15
    store = stores[0]
    first_tap, _ = proxy.count(lambda: store.series(1, 2))
    assert 0 < first_tap <= 6
    frame, _ = proxy.count(lambda: store.frame(store.days[3], slice(None), slice(None)))
    assert 0 < frame <= 12
    data = ExplorerData(Store.open(url), app_world.predict)
    data.load_images()
    data.preload()
    proxy.delay_s = 0.03
    tap, seconds = proxy.count(lambda: data.pixel_series(30, 50))
    assert 0 < tap <= 6
    print(
        f"opening {opening}, tap {first_tap} and {tap}, frame {frame}; a tap with 30 ms each: {seconds:.3f} s"
    )


def test_a_frame_of_a_wide_store_asks_for_few_objects(proxy, url, monkeypatch):
    # Chunks of less than 512 bytes would lie in the lists of chunks.
    monkeypatch.setattr(store_layout, "MAP_PX", 16)
    monkeypatch.setattr("fluxlens.embeddings.store.routing.FRAME_BYTES", 16 * 16 * (4 + 3) * 7)
    wide = random_cube(3, days=2, ny=74, nx=128)
    write(url, wide, blocks_of(wide))
    for rows, cols in (
        (slice(None), slice(None)),
        (slice(0, 48), slice(16, 80)),
        (slice(16, 40), slice(60, 80)),
    ):
        store = Store.open(url)
        assert store.days.size == 2
        frame, _ = proxy.count(lambda: store.frame(store.days[1], rows, cols))  # noqa: B023 (called at once)
        assert 2 < frame <= 12


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bits_there(proxy, world, tmp_path):
    FORKS.set_forkserver_preload(PRELOADED)
    log = tmp_path / "log"
    place = f"s3://{s3_world.BUCKET}/killed"
    for name in ("warm", "whole"):
        began = time.monotonic()
        child = FORKS.Process(target=embed_there, args=(world, f"{place}/{name}", log, dict(os.environ)))
        child.start()
        child.join()
        assert child.exitcode == 0
        whole_s = time.monotonic() - began
    whole = Store.open(f"{place}/whole").cube().compute()
    draw, kills, turn = random.Random(0), 0, 0
    while kills < KILLS:
        out, exitcode = f"{place}/turn{turn}", None
        while exitcode != 0:
            child = FORKS.Process(target=embed_there, args=(world, out, log, dict(os.environ)))
            child.start()
            child.join(draw.uniform(0, 1.2 * whole_s) if kills < KILLS else None)
            if child.exitcode is None:
                child.kill()
                child.join()
                kills += 1
            exitcode = child.exitcode
            assert exitcode in (0, -signal.SIGKILL)
        for layout in ("maps", "series"):
            xr.testing.assert_identical(Store.open(out).cube(layout).compute(), whole)
        assert len(Store.open(out).log()) == 1
        turn += 1


def embed_there(world: Path, out: str, log: Path, environment: dict[str, str]) -> None:
    """A child that embeds to an object store, with the environment of this test."""
    os.environ.update(environment)
    test_crash.embed(world, out, log)


def test_of_two_writers_of_one_new_store_the_second_is_told(proxy, url, cube, monkeypatch, tmp_path):
    other = random_cube(1)

    def interrupted_by_another() -> Iterator:
        yield from blocks_of(cube)
        # Another machine has another cache folder, so that no lock keeps it from writing meanwhile.
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("FLUXLENS_CACHE", str(tmp_path / "elsewhere"))
            write(url, other, blocks_of(other), message="other")

    with pytest.raises(Conflict, match="another process committed meanwhile"):
        write(url, cube, interrupted_by_another())
    xr.testing.assert_identical(Store.open(url).cube().compute(), other)
    write(url, cube, blocks_of(cube), message="again", overwrite=True)
    assert [commit.message for commit in Store.open(url).log()] == ["again", "other"]
    xr.testing.assert_identical(Store.open(url).cube("series").compute(), cube)


def test_of_two_runs_of_the_same_embedding_the_second_takes_the_first(
    proxy, url, world, monkeypatch, tmp_path
):
    from fluxlens.embeddings.inference.embed import embed
    from fluxlens.embeddings.inference.workers import Execution
    from fluxlens.embeddings.readers import zarr
    from fluxlens.models import checkpoints

    scene, model = zarr.open(world / "scene"), checkpoints.load(str(world / "m.safetensors"), "cpu")
    days = ("2020-06-05", "2020-06-08")
    slow = embed(url, scene, model, *days, execution=Execution(resume=True))
    next(slow)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("FLUXLENS_CACHE", str(tmp_path / "elsewhere"))
        fast = embed(url, scene, model, *days, execution=Execution(resume=True))
        first = finish(fast)
    assert finish(slow) == first
    assert len(Store.open(url).log()) == 1


def test_an_update_there_holds_the_bits_of_a_whole_embedding_and_meets_another_in_a_conflict(
    proxy, url, world, monkeypatch, tmp_path
):
    from fluxlens.embeddings.inference.embed import embed
    from fluxlens.embeddings.inference.update import update
    from fluxlens.embeddings.readers import zarr
    from fluxlens.models import checkpoints

    scene, model = zarr.open(world / "scene"), checkpoints.load(str(world / "m.safetensors"), "cpu")
    nodes = {node.path: node.to_dataset(inherit=False) for node in scene.subtree}
    for name in ("/s2", "/s1"):
        nodes[name] = nodes[name].sel(time=slice(None, "2020-06-15"))
    part = xr.DataTree.from_dict(nodes, name=scene.name)
    old = finish(embed(url, part, model, start="2020-06-10"))
    slow = update(url, scene, model)
    next(slow)
    # Another machine has another cache folder, so that no lock keeps it from writing meanwhile.
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("FLUXLENS_CACHE", str(tmp_path / "elsewhere"))
        done = finish(update(url, scene, model))
    with pytest.raises(Conflict, match="another process committed meanwhile"):
        finish(slow)
    assert [commit.id for commit in Store.open(url).log()] == [done.snapshot, old]
    finish(embed(tmp_path / "whole", scene, model, start="2020-06-10"))
    for layout in ("maps", "series"):
        pair = (Store.open(place).cube(layout).compute() for place in (url, tmp_path / "whole"))
        xr.testing.assert_identical(*pair)
    assert len(Store.open(url, old).days) < len(Store.open(url).days)


def finish(steps) -> str:
    """The result of a generator."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_a_commit_whose_answer_is_lost_is_found_to_be_made(proxy, url, cube):
    lost: list[str] = []

    def once(method: str, path: str) -> bool:
        # The first request for the branch creates it; the second commits the cube.
        if method == "PUT" and "refs/branch.main" in path:
            lost.append(path)
        return method == "PUT" and "refs/branch.main" in path and len(lost) == 2

    proxy.cut_after = once
    snapshot = write(url, cube, blocks_of(cube))
    assert len(lost) == 3
    assert Store.open(url).snapshot == snapshot
    xr.testing.assert_identical(Store.open(url).cube().compute(), cube)


@pytest.mark.slow
def test_a_reader_there_only_ever_sees_whole_snapshots(proxy, url):
    cubes = [random_cube(seed) for seed in range(4)]
    write(url, cubes[0], blocks_of(cubes[0]), message="0")
    pinned = Store.open(url)
    writer = threading.Thread(
        target=lambda: [
            write(url, cubes[seed], blocks_of(cubes[seed]), overwrite=True, message=str(seed))
            for seed in (1, 2, 3)
        ]
    )
    writer.start()
    seeds = set()
    while writer.is_alive() or not seeds:
        newest = Store.open(url)
        seed = int(next(commit for commit in newest.log() if commit.id == newest.snapshot).message)
        xr.testing.assert_identical(newest.cube().compute(), cubes[seed])
        seeds.add(seed)
    writer.join()
    xr.testing.assert_identical(Store.open(url).cube().compute(), cubes[3])
    xr.testing.assert_identical(pinned.cube("series").compute(), cubes[0])


def test_an_unfinished_store_is_told(proxy, url, cube):
    def broken() -> Iterator:
        yield from list(blocks_of(cube))[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(url, cube, broken())
    with pytest.raises(InputError, match="holds no embeddings yet"):
        Store.open(url)
    write(url, cube, blocks_of(cube))
    xr.testing.assert_identical(Store.open(url).cube().compute(), cube)


def test_what_is_not_there_is_told_in_one_sentence(proxy, url, world, cube, capsys, tmp_path):
    out, at = str(tmp_path / "x.csv"), "9,50"
    assert "does not exist" in refused(capsys, "export", url, "--at", at, "--out", out)
    nowhere = "s3://no-such-bucket/a/store"
    assert "there is no bucket no-such-bucket" in refused(capsys, "export", nowhere, "--at", at, "--out", out)
    said = refused(
        capsys, "embed", str(world / "scene"), "--out", nowhere, "--model", str(world / "m.safetensors")
    )
    assert "there is no bucket no-such-bucket" in said
    assert "need an embedding" not in said


def test_a_place_with_other_objects_is_not_touched(servers, proxy, url, cube):
    servers[0].request("PUT", f"/{url.removeprefix('s3://')}/notes.txt", b"mine")
    with pytest.raises(InputError, match="where objects lie that are no store"):
        write(url, cube, blocks_of(cube))
    assert servers[0].request("GET", f"/{url.removeprefix('s3://')}/notes.txt") == b"mine"


def test_wrong_credentials_are_told(monkeypatch, cube, capsys, tmp_path):
    # After the bucket is made this server checks who asks.
    with s3_world.running(INITIAL_NO_AUTH_ACTION_COUNT="1") as (_, proxy):
        for name, value in {**s3_world.ENVIRONMENT, "AWS_ENDPOINT_URL": proxy.endpoint}.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{s3_world.BUCKET}/a/store"
        with pytest.raises(InputError, match="refuses these credentials"):
            Store.open(url)
        with pytest.raises(InputError, match="refuses these credentials"):
            write(url, cube, blocks_of(cube))
        said = refused(capsys, "export", url, "--at", "9,50", "--out", str(tmp_path / "x.csv"))
        assert "refuses these credentials" in said
        assert list(tmp_path.iterdir()) == []


def publish(server: s3_world.S3Server, url: str) -> None:
    """Let everybody read the objects of a store."""
    for key in server.objects(url.removeprefix(f"s3://{s3_world.BUCKET}/")):
        server.request("PUT", f"/{s3_world.BUCKET}/{key}?acl", **{"x-amz-acl": "public-read"})


def test_anonymous_reading_signs_nothing(servers, proxy, url, cube, monkeypatch):
    write(url, cube, blocks_of(cube))
    publish(servers[0], url)
    assert any(signed for *_, signed in proxy.log)
    for name in s3_world.ENVIRONMENT:
        monkeypatch.delenv(name)
    proxy.log.clear()
    options = {"anonymous": True, "endpoint_url": proxy.endpoint}
    xr.testing.assert_identical(Store.open(url, storage_options=options).series(1, 2), cube.isel(y=1, x=2))
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "true")
    xr.testing.assert_identical(Store.open(url).series(1, 2), cube.isel(y=1, x=2))
    assert proxy.log
    assert not any(signed for *_, signed in proxy.log)


def test_a_catalog_names_the_store_with_its_options(servers, proxy, url, cube, monkeypatch, tmp_path):
    write(url, cube, blocks_of(cube))
    publish(servers[0], url)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    file = tmp_path / "catalog.yaml"
    entry = f"{{driver: fluxlens_embeddings, args: {{store: '{url}', storage_options: OPTIONS}}}}"
    text = f"sources:\n  far: {entry}\n"
    file.write_text(text.replace("OPTIONS", f"{{endpoint_url: '{proxy.endpoint}', anonymous: true}}"))
    opened = catalog.open(file)
    xr.testing.assert_identical(opened["far"].read().compute(), cube)
    assert list(catalog.problems(opened)) == [("far", "")]
    file.write_text(text.replace("OPTIONS", "{secret_access_key: abc}"))
    ((_, problem),) = catalog.problems(catalog.open(file))
    assert "credentials come from the environment" in problem


def test_a_connection_lost_while_reading_is_told_within_seconds(proxy, url, cube):
    app_world.write_store(url)
    store = Store.open(url)
    lazy, scene = store.cube(), store.scene()
    proxy.cut = lambda method, path: True
    for read in (
        lambda: store.series(0, 0),
        lambda: store.map(store.days[0]),
        lambda: lazy.isel(time=0).compute(),
        lambda: scene["s2"]["reflectance"].isel(time=0).compute(),
    ):
        began = time.monotonic()
        with pytest.raises(InputError, match="does not answer"):
            read()
        assert time.monotonic() - began < WAIT_S
    proxy.cut = None
    assert store.series(0, 0).sizes["time"] == len(store.days)


@pytest.mark.parametrize("part", ["chunks/", "manifests/", "snapshots/", "refs/"])
def test_a_connection_lost_while_writing_leaves_the_store_as_it_was(proxy, url, cube, part):
    first = write(url, cube, blocks_of(cube))
    proxy.cut = lambda method, path: method == "PUT" and part in path
    other = random_cube(1)
    began = time.monotonic()
    with pytest.raises(InputError, match="does not answer"):
        write(url, other, blocks_of(other), overwrite=True)
    assert time.monotonic() - began < WAIT_S
    proxy.cut = None
    assert Store.open(url).snapshot == first
    xr.testing.assert_identical(Store.open(url).cube().compute(), cube)
    write(url, other, blocks_of(other), overwrite=True)
    xr.testing.assert_identical(Store.open(url).cube().compute(), other)


def test_a_server_that_was_stopped_or_hangs_is_told(monkeypatch, cube, world, capsys, tmp_path):
    with s3_world.running() as (server, proxy):
        for name, value in {**s3_world.ENVIRONMENT, "AWS_ENDPOINT_URL": proxy.endpoint}.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{s3_world.BUCKET}/a/store"
        write(url, cube, blocks_of(cube))
        store = Store.open(url)
        # It accepts connections and answers nothing.
        proxy.cut = lambda method, path: time.sleep(HANG_S) is None
        monkeypatch.setattr(location, "READ_DEADLINE_S", 2.0)
        began = time.monotonic()
        with pytest.raises(InputError, match="no answer"):
            store.series(0, 0)
        assert time.monotonic() - began < HANG_S
        proxy.cut = None
        server.stop()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
        began = time.monotonic()
        said = refused(capsys, "export", url, "--at", "9,50", "--out", str(tmp_path / "x.csv"))
        assert "does not answer" in said
        assert f"127.0.0.1:{server.port}" in said
        assert time.monotonic() - began < WAIT_S
        model = str(world / "m.safetensors")
        assert "does not answer" in refused(
            capsys, "embed", str(world / "scene"), "--out", url, "--model", model
        )
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("ftp://host/store", None, "s3://, gs:// or az://"),
        ("s3://bucket", None, "s3://BUCKET/PATH"),
        ("s3:///store", None, "s3://BUCKET/PATH"),
        ("s3://key:secret@bucket/store", None, "s3://BUCKET/PATH"),
        ("s3://bucket/store", {"token": "x"}, "credentials come from the environment"),
        ("s3://bucket/store", {"endpoint_url": "localhost:9000"}, r"http\(s\)://HOST"),
        ("gs://bucket/store", {"endpoint_url": "http://localhost"}, "need some of anonymous"),
        ("some/folder", {"anonymous": True}, "need them for a URL"),
    ],
)
def test_what_is_no_url_of_a_store_is_told(path, options, message):
    with pytest.raises(InputError, match=message):
        Store.open(path, storage_options=options)


def test_each_scheme_has_its_storage(monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(locate("s3://bucket/a/b/"), ObjectUrl)
    assert str(locate(Path("s3://bucket/a"))) == "s3://bucket/a"
    assert "bucket" in str(locate("s3://bucket/a", {"region": "eu-central-1"}).storage())
    assert locate("gs://bucket/a", {"anonymous": True}).storage() is not None
    assert locate("az://container/a", {"account": "someone", "anonymous": True}).storage() is not None
    with pytest.raises(InputError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        locate("az://container/a").storage()
    assert locate("folder/store") == Path("folder/store")


@pytest.fixture
def bare_environment(monkeypatch) -> pytest.MonkeyPatch:
    """No credentials of any provider."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("url", "options", "variables", "parts"),
    [
        (
            "s3://fields/a/b",
            {"region": "eu-central-1", "anonymous": True, "requester_pays": True},
            {},
            ["bucket=fields", "prefix=a/b", "region=eu-central-1", "requester_pays=true"],
        ),
        (
            "s3://fields/a",
            {"endpoint_url": "http://127.0.0.1:9", "force_path_style": False},
            {},
            ["endpoint_url=http://127.0.0.1:9", "allow_http=true", "force_path_style=false"],
        ),
        (
            "s3://fields/a",
            None,
            {"AWS_ENDPOINT_URL": "https://minio.example", "AWS_REGION": "x"},
            [
                "endpoint_url=https://minio.example",
                "allow_http=false",
                "region=x",
                "force_path_style=true",
            ],
        ),
        ("gs://fields/a/b", {"anonymous": True}, {}, ["fields", "a/b"]),
        ("az://fields/a/b", {"account": "someone", "anonymous": True}, {}, ["someone", "fields", "a/b"]),
        ("az://fields/a", None, {"AZURE_STORAGE_ACCOUNT_NAME": "another"}, ["another", "fields"]),
    ],
)
def test_options_and_environment_become_those_of_icechunks_own_storage(
    bare_environment, url, options, variables, parts
):
    for name, value in variables.items():
        bare_environment.setenv(name, value)
    shown = repr(locate(url, options).storage())
    for part in parts:
        assert part in shown


@pytest.mark.parametrize(
    ("url", "options", "variables", "message"),
    [
        (
            "gs://fields/a",
            {},
            {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"},
            "no readable file of credentials",
        ),
        (
            "gs://fields/a",
            {},
            {"GOOGLE_SERVICE_ACCOUNT": "/nowhere.json"},
            "cannot be asked with this environment",
        ),
        ("gs://Fields!/a", {"anonymous": True}, {}, "no name of a bucket"),
        ("s3://fie lds/a", {"anonymous": True}, {}, "no name of a bucket"),
        ("s3://fields:80/a", {"anonymous": True}, {}, "no name of a bucket"),
        ("az://my_fields/a", {"anonymous": True, "account": "someone"}, {}, "no name of a container"),
        ("az://fields/a", {}, {}, "without an account"),
        ("az://fields/a", {"account": "Some One"}, {}, "3 to 24 small letters"),
        # else the key would be sent to a host that a stranger's catalog names
        ("az://fields/a", {"account": "evil.example/x"}, {}, "3 to 24 small letters"),
        ("az://fields/a", {"account": "someone"}, {"AZURE_STORAGE_ACCOUNT_KEY": "no key!"}, "not Base64"),
    ],
)
def test_credentials_and_names_that_cannot_be_used_are_told_before_a_request(
    bare_environment, url, options, variables, message
):
    for name, value in variables.items():
        bare_environment.setenv(name, value)
    began = time.monotonic()
    with pytest.raises(InputError, match=message) as raised:
        Store.open(url, storage_options=options)
    assert len(str(raised.value).splitlines()) == 1
    assert "no key!" not in str(raised.value)
    assert time.monotonic() - began < WAIT_S


def test_a_scene_in_an_object_store_needs_a_package_or_is_read(capsys, tmp_path, monkeypatch):
    # nobody listens at this port
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = refused(capsys, "embed", "s3://bucket/scene", "--out", str(tmp_path / "store"))
    assert "s3://bucket/scene" in said
    assert list(tmp_path.iterdir()) == []


def put_scene(server: s3_world.S3Server, folder: Path, url: str) -> None:
    """Copy a scene to the bucket, as a user does with the provider's own tool."""
    for file in filter(Path.is_file, folder.rglob("*")):
        server.request("PUT", f"/{url.removeprefix('s3://')}/{file.relative_to(folder)}", file.read_bytes())


def test_a_scene_of_the_bucket_is_embedded_as_one_on_disk(servers, proxy, url, world, tmp_path):
    pytest.importorskip("s3fs", reason="s3fs, which reads scenes from a bucket, is not installed")
    common = ["--model", str(world / "m.safetensors"), *test_crash.ASKED]
    put_scene(servers[0], world / "scene", f"{url}.zarr")
    for scene, out in ((f"{url}.zarr", url), (str(world / "scene"), str(tmp_path / "store"))):
        assert main(["embed", scene, "--out", out, *common]) == 0
    for layout in ("maps", "series"):
        pair = (Store.open(place).cube(layout).compute() for place in (url, tmp_path / "store"))
        xr.testing.assert_identical(*pair)


def test_a_scene_that_cannot_be_asked_for_is_one_sentence(
    servers, proxy, url, world, capsys, monkeypatch, tmp_path
):
    pytest.importorskip("s3fs", reason="s3fs, which reads scenes from a bucket, is not installed")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    options = ["--out", str(tmp_path / "store"), "--model", str(world / "m.safetensors")]
    assert "no-such-bucket" in refused(capsys, "embed", "s3://no-such-bucket/scene.zarr", *options)
    assert f"{url}.zarr" in refused(capsys, "embed", f"{url}.zarr", *options)
    # found, and the connection lost while its pixels are read
    put_scene(servers[0], world / "scene", f"{url}.zarr")
    proxy.cut = lambda method, path: ".zarr/" in path and "/c/" in path
    assert "does not answer" in refused(capsys, "embed", f"{url}.zarr", *options)
    proxy.cut = None
    with s3_world.running(INITIAL_NO_AUTH_ACTION_COUNT="1") as (_, strict):
        monkeypatch.setenv("AWS_ENDPOINT_URL", strict.endpoint)
        said = refused(capsys, "embed", f"{url}.zarr", *options)
        assert "refuses these credentials" in said
