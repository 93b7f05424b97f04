"""The command line: `fluxlens VERB ...`; exit code 0 done, 2 the input is wrong, told in one sentence."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.errors import InputError
from models.sensors import SENSORS

# Everything heavy is imported by the verb that needs it: `fluxlens --help` answers at once.


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    arguments = _joined(sys.argv[1:] if argv is None else list(argv))
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except InputError as error:
        return _refuse(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _refuse(
            f"Got {error.filename}: {error.strerror}, need a file that can be used; check the path."
        )
    except KeyboardInterrupt:
        print("fluxlens: stopped; nothing half-written was left.", file=sys.stderr)
        return 130
    return 0


def _refuse(sentence: str) -> int:
    print(f"fluxlens: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def _joined(argv: list[str]) -> list[str]:
    """``--at -3.7,40.4`` as ``--at=-3.7,40.4``: argparse would take a western longitude for an option."""
    out: list[str] = []
    for word in argv:
        if out and out[-1] == "--at":
            out[-1] = f"--at={word}"
        else:
            out.append(word)
    return out


# --- verbs ---


def serve(args: argparse.Namespace) -> None:
    """The dashboard."""
    from embeddings import catalog

    path = Path(args.catalog) if args.catalog else catalog.default_path()
    catalog.check(path)
    if not 0 <= args.port <= 65535:
        raise InputError(f"Got port {args.port}, need 0 to 65535; choose another.")
    for origin in args.allow_origin:
        if not re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?", origin):
            raise InputError(
                f"Got --allow-origin {origin!r}, need HOST or HOST:PORT without a wildcard; correct it."
            )
    login = _users(args.login) if args.login else None
    from app import server

    server.serve(path.resolve(), args.port, args.open, args.address, tuple(args.allow_origin), login)


def _users(path: str) -> Path:
    """The file of names and passwords, sound and for its owner's eyes only."""
    file = Path(path).resolve()
    try:
        users = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"Got --login {path}, which is not JSON, need names and passwords.") from error
    sound = (
        isinstance(users, dict) and users and all(isinstance(p, str) and len(p) > 7 for p in users.values())
    )
    if not sound:
        raise InputError(
            f'Got --login {path}, need {{"NAME": "PASSWORD"}} with passwords of 8 letters or more; correct it.'
        )
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise InputError(f"Got --login {path}, which others may read, need it private; run chmod 600 {path}.")
    return file


def embed(args: argparse.Namespace) -> None:
    """A scene to a store of daily embeddings."""
    from embeddings.store import Store

    out = Path(args.out)
    if out.exists() and not args.resume:
        raise InputError(
            f"Got --out {out}, which exists already, need a new path; choose another or remove it."
        )
    if args.workers < 0:
        raise InputError(f"Got --workers {args.workers}, need 1 or more; choose another number.")
    if args.workers and args.scheduler:
        raise InputError("Got --workers and --scheduler, need one of them; leave one out.")
    if args.scheduler and not args.scheduler.startswith(("tcp://", "tls://", "ws://", "wss://")):
        raise InputError(f"Got --scheduler {args.scheduler!r}, need tcp://HOST:PORT; correct it.")
    scene = _scene(args.scene, args.catalog)
    from embeddings.embed import embed as embedding
    from models import checkpoints

    others = bool(args.workers or args.scheduler)
    model = checkpoints.load(args.model, "cpu" if others else args.device)
    theirs = "cuda" if others and args.device == "cuda" else "cpu"
    blocks = embedding(
        out, scene, model, args.start, args.end, args.workers, args.scheduler, args.resume, theirs
    )
    started, pixel_days, progress = time.monotonic(), 0, _Progress()
    while True:
        try:
            block = next(blocks)
        except StopIteration as stop:
            snapshot = stop.value
            break
        if block is None:
            continue
        pixel_days += block.pixel_days
        rate = pixel_days / max(time.monotonic() - started, 1e-9)
        told = f"{pixel_days:,} pixel-days, {rate:,.0f} per second"
        progress.tell(f"embedding: {told}", block.share)
    progress.end()
    store = Store.open(out, snapshot)
    if not pixel_days:
        print(f"{out} is whole already, nothing to do; snapshot {snapshot}")
        return
    print(f"{out}: {len(store.days)} days of {store.grid.ny} x {store.grid.nx} pixels, snapshot {snapshot}")


def scene_stac(args: argparse.Namespace) -> None:
    """A scene of Sentinel-2 and Sentinel-1 from a STAC API."""
    from app.export import parse_at
    from embeddings import stac
    from embeddings.readers import weather_table

    at = parse_at(args.at)
    request = stac.Request(
        at.lon, at.lat, args.size_m, args.start, args.end, args.provider, args.s1, args.clear
    )
    if not (args.dry_run or args.out):
        raise InputError(
            "Got scene stac without --out, need the path of the new scene; add it, or --dry-run."
        )
    if args.dry_run:
        found = stac.passes(request)
        for one in found:
            print(f"{str(one.time)[:10]}  {one.sensor}  images: {len(one.items)}  {one.orbit}".rstrip())
        fetched, stored = (round(bytes / 1e6) for bytes in stac.estimate(found, request))
        print(
            f"{len(found)} dates; about {fetched:,} MB to fetch and {stored:,} MB to keep, before compression"
        )
        return
    weather = None
    if args.weather:
        theirs = args.weather == stac.NASA_POWER
        weather = stac.weather(request) if theirs else weather_table.open(args.weather)
    for problem in _finish(stac.fetch(request, args.out, weather)):
        print(f"left out {problem}", file=sys.stderr)
    print(f"{args.out}: {request.grid.ny} x {request.grid.nx} pixels, {request.start} to {request.end}")


def scene_clear(args: argparse.Namespace) -> None:
    """A scene again, with what is clear of Sentinel-2 told by a detector that sees all dates together."""
    from embeddings import clear
    from embeddings.readers import zarr

    scene = _scene(args.scene, args.catalog)
    marked = clear.marked(scene, args.by)
    zarr.write(marked, args.out)
    before, after = (float(one["s2/clear"].mean()) for one in (scene, marked))
    print(f"{args.out}: {after:.1%} of Sentinel-2's pixels are clear, {before:.1%} were before")


def reconstruct(args: argparse.Namespace) -> None:
    """Hidden dates of a scene, as the model sees them."""
    from app import export

    export.check_path(args.out, {".nc"})
    scene = _scene(args.scene, args.catalog)
    from embeddings import reconstruct as reconstruction
    from models import checkpoints

    dates = [date.strip() for date in args.hide.split(",") if date.strip()]
    days = reconstruction.parse_days(scene, dates, args.hide_sensor)
    model = checkpoints.load(args.model, args.device)
    hidden = reconstruction.Hidden(args.hide_sensor, days)
    export.write(reconstruction.run(scene, model, hidden), args.out)
    print(f"{args.out}: {args.hide_sensor} on {', '.join(dates)}")


def export_points(args: argparse.Namespace) -> None:
    """Series of pixels as one tidy file, or a whole store as plain Zarr."""
    from app import export, replay

    if args.again:
        return _export_again(args)
    if not (args.store and args.out):
        raise InputError("Got export without STORE or --out, need both; add them.")
    path = export.check_path(args.out)
    if args.replay:
        replay.check_path(args.replay)
    store = _features(args) or _store(args.store, args.catalog, args.snapshot)
    if not (args.at or args.points or args.polygon):
        if args.radius_m or args.tower or args.replay:
            raise InputError(
                "Got --radius-m, --tower or --replay without a place, need --at, --points or --polygon; add one."
            )
        told = _finish(export.whole(store, args.out, args.start, args.end, args.layout))
        print(f"{args.out}: {told}")
        return
    if args.polygon:
        place: dict[str, Any] = {"polygon": export.read_polygon(args.polygon)}
    else:
        place = {"points": [export.parse_at(args.at)] if args.at else export.read_points(args.points)}
    sight = _sight(args)
    if sight is not None and args.polygon:
        raise InputError("Got --polygon with --radius-m or --tower, need points; leave one out.")
    found, told = export.answer(store, path.suffix.lower(), args.start, args.end, **place, sight=sight)
    export.write(found, path)
    if args.replay:
        name = replay.relative(args.store, args.replay) if Path(args.store).exists() else args.store
        seen = {"radius_m": args.radius_m, "height_m": args.height_m}
        if args.tower:
            seen["tower"] = replay.relative(args.tower, args.replay)
            seen["tower_sha256"] = replay.sha256(args.tower)
        replay.save(replay.of(found, path, name, **place, **seen), args.replay)
    print(f"{args.out}: {told}")


def _export_again(args: argparse.Namespace) -> None:
    """The export a replay file tells of; refused where snapshot, model or inputs are not those of then."""
    from app import export, replay

    others = ("start", "end", "radius_m", "tower", "height_m", "snapshot", "replay")
    given = [name for name in others if getattr(args, name) is not None]
    if given:
        raise InputError(f"Got --again with --{given[0].replace('_', '-')}, need it alone; leave one out.")
    asked, folder = replay.load(args.again), Path(args.again).parent
    path = export.check_path(args.out or folder / asked.out)
    if not args.out and path.exists():
        raise InputError(f"Got {path}, which exists already, need a new file; name one with --out.")
    name = args.store or asked.store
    if not name:
        raise InputError("Got a replay file that names no store, need STORE; add it before --again.")
    beside = folder / name
    if not args.store and beside.exists():
        name = str(beside)
    store = _store(name, args.catalog, asked.made.get("store_snapshot"))
    asked.check({"store_snapshot": store.snapshot} | store.attrs)
    sight = argparse.Namespace(radius_m=asked.radius_m, height_m=asked.height_m, tower=None)
    if asked.tower:
        sight.tower = str(folder / asked.tower)
        if not Path(sight.tower).is_file() or replay.sha256(sight.tower) != asked.tower_sha256:
            raise InputError(f"Got the tower file {sight.tower}, need the one of then; restore it.")
    place = asked.place() | {"sight": _sight(sight)}
    found, told = export.answer(store, path.suffix.lower(), asked.start, asked.end, **place)
    asked.check(dict.fromkeys(asked.made.keys() & replay.MADE_OF.keys(), "none") | found.attrs)
    export.write(found, path)
    same = replay.numbers(found) == asked.numbers
    print(f"{path}: {told}, {'the same numbers' if same else 'in another form or with other rounding'}")


def _store(name: str, catalog_path: str | None, snapshot: str | None) -> Any:
    """A store by path or catalog entry, made first where it is an entry that is not stored yet."""
    from embeddings import catalog
    from embeddings.store import Store

    if Path(name).exists():
        return Store.open(name, snapshot)
    path = Path(catalog_path) if catalog_path else catalog.default_path()
    if name not in catalog.check(path):
        return Store.open(name, snapshot)  # says what is missing
    source = catalog.source(catalog.open(path), name)
    if not hasattr(source, "store_steps"):
        raise InputError(f"Got the entry {name!r}, need one that holds embeddings; choose another.")
    store = _finish(source.store_steps())
    return Store.open(store.path, snapshot) if snapshot else store


def _features(args: argparse.Namespace) -> Any:
    """The cube of a published feature cube, by path or catalog entry; None of anything else."""
    from embeddings import catalog
    from embeddings.readers import feature_cube

    if Path(args.store).exists():
        found = feature_cube.open(args.store) if feature_cube.is_feature_cube(args.store) else None
    else:
        path = Path(args.catalog) if args.catalog else catalog.default_path()
        entry = catalog.check(path).get(args.store) or {}
        named = "features" in (entry.get("args") or {})
        found = catalog.source(catalog.open(path), args.store).read() if named else None
    if found is not None and (args.replay or args.snapshot or not (args.at or args.points or args.polygon)):
        raise InputError(
            "Got a feature cube with --replay or --snapshot or without a place, need --at, --points or --polygon"
            " alone; it is a plain file itself."
        )
    return found


def _sight(args: argparse.Namespace) -> Any:
    """What is seen from a point: a disc, a flux footprint, or nothing but its pixel."""
    from embeddings import footprint

    if (args.tower is None) != (args.height_m is None):
        raise InputError(
            "Got one of --tower and --height-m, need both or none; add the file, or the sensors' height above the"
            " displacement height."
        )
    if args.tower is not None:
        from embeddings import towers

        wind = towers.turbulence(args.tower)
        return lambda grid, at: footprint.flux(
            grid, at.lon, at.lat, footprint.Air.of(wind, args.height_m, at.lat)
        )
    return _within(args.radius_m)


def _within(radius_m: float | None) -> Any:
    """What is seen within a radius of a point; without one its pixel."""
    from embeddings import footprint

    if radius_m is None:
        return None
    return lambda grid, at: footprint.disc(grid, at.lon, at.lat, radius_m)


def catalog_list(args: argparse.Namespace) -> None:
    """What a catalog holds."""
    from embeddings import catalog

    entries = catalog.entries(catalog.open(args.catalog))
    widths = [
        max((len(text) for text in column), default=0)
        for column in zip(*((e.name, e.kind) for e in entries), strict=True)
    ]
    for entry in entries:
        print(f"{entry.name:<{widths[0]}}  {entry.kind:<{widths[1]}}  {entry.description}")


def catalog_check(args: argparse.Namespace) -> None:
    """Whether every entry of a catalog can be opened."""
    from embeddings import catalog

    wrong = 0
    for name, problem in catalog.problems(catalog.open(args.catalog)):
        wrong += bool(problem)
        print(f"{name}: {problem or 'ok'}")
    if wrong:
        raise InputError(
            f"Got a catalog with {wrong} of its entries wrong, need all sound; correct those above."
        )


def catalog_towers(args: argparse.Namespace) -> None:
    """A catalog of the tower files in a folder."""
    from app.export import replacing
    from embeddings import catalog

    out = Path(args.out)
    if out.suffix not in (".yaml", ".yml"):
        raise InputError(f"Got --out {out}, need a name that ends in .yaml; rename it.")
    text = catalog.of_towers(args.folder, out.resolve().parent, args.sites)
    with replacing(out) as beside:
        beside.write_text(text, encoding="utf-8")
    print(f"{out}: {len(catalog.check(out))} towers")


def train(args: argparse.Namespace) -> None:
    """Train a sensor's encoder, the fusion or the GPP head."""
    if (args.what == "sensor") != (args.name is not None):
        raise InputError(
            f"Got train {args.what} {args.name or 'without a name'}, need train sensor NAME, fusion or gpp."
        )
    out = Path(args.out)
    if out.suffix != ".safetensors" or not out.resolve().parent.is_dir():
        raise InputError(f"Got --out {out}, need a .safetensors file in a folder that exists; correct it.")
    if args.what == "gpp":
        from embeddings import gpp_training

        print(f"{out}: digest {_finish(gpp_training.run(out, args.table, args.seed, args.model))}")
        return
    from embeddings import training

    lesson = _lesson(args, tuple(args.cube))
    if args.what == "sensor":
        steps = training.sensor(args.name, out, lesson)
    else:
        encoders = Path(args.encoders) if args.encoders else None
        steps = training.fusion(out, lesson, tuple(args.sensors.split(",")), encoders)
    print(f"{out}: digest {_finish(steps)}")


def evaluate_reconstruction(args: argparse.Namespace) -> None:
    """Hidden dates beside linear interpolation and Whittaker smoothing."""
    from embeddings import evaluation

    scenes, model = _examined(args, 32)
    _report(evaluation.evaluate(scenes, dict.fromkeys(scenes, model)), args.json)


def evaluate_truth(args: argparse.Namespace) -> None:
    """Linear probes to the simulator's truth, and how honest sigma is."""
    from embeddings import truth
    from models import checkpoints

    _report(truth.evaluate(checkpoints.load(args.model, args.device)), args.json)


def evaluate_coherence(args: argparse.Namespace) -> None:
    """Jumps from day to day, seams, and whether all ways of asking agree."""
    from embeddings import coherence

    _report(coherence.evaluate(*_examined(args, coherence.SIMULATED_PX)), args.json)


def evaluate_left_out(args: argparse.Namespace) -> None:
    """Every cube of a folder told by a fusion trained without it."""
    from embeddings import leave_out

    encoders = Path(args.encoders) if args.encoders else None
    _report(leave_out.evaluate(args.data, _lesson(args), encoders, args.device), args.json)


def evaluate_probes(args: argparse.Namespace) -> None:
    """Linear probes of single spectra to GPP and plant type, beside raw bands."""
    from embeddings import probes
    from models import checkpoints

    _report(probes.evaluate(args.data, checkpoints.load(args.model, args.device)), args.json)


def evaluate_realism(args: argparse.Namespace) -> None:
    """Statistics of measured scenes beside simulated landscapes, and a classifier that tries to tell them apart."""
    from embeddings import evaluation, realism

    result = _finish(realism.compare(evaluation.open_scenes(args.data)))
    print(realism.report(result), file=sys.stderr)
    _tell(result, args.json)


def evaluate_gpp(args: argparse.Namespace) -> None:
    """GPP of single spectra at sites or in years never seen, or of a store at a tower, beside baselines."""
    from embeddings import gpp_evaluation

    if args.store:
        result = _at_tower(args)
        print(gpp_evaluation.tower_report(result), file=sys.stderr)
        return _tell(result, args.json)
    if not args.data:
        raise InputError(
            "Got evaluate gpp without --data or --store, need a table of measured rows, or a store; add one."
        )
    result = _finish(gpp_evaluation.evaluate(args.data, args.split, args.model))
    print(gpp_evaluation.report(result), file=sys.stderr)
    _tell(result, args.json)


def _at_tower(args: argparse.Namespace) -> dict:
    """Daily GPP of a store beside its own scene's tower, or that of a file."""
    from app import export
    from embeddings import gpp_evaluation, towers
    from embeddings.store import Store

    store = Store.open(args.store)
    if args.data:
        tower = towers.read(args.data, towers.sites(args.sites) if args.sites else None)
    else:
        scene = store.scene()
        if scene is None or "tower" not in scene.children:
            raise InputError(
                f"Got {args.store} without a tower in it, need a tower file; add --data FILE.csv."
            )
        tower = scene["tower"].to_dataset().load()
    if args.at:
        point = export.parse_at(args.at)
    elif {"lon", "lat"} <= set(tower.attrs):
        point = export.Point(float(tower.attrs["lon"]), float(tower.attrs["lat"]))
    else:
        raise InputError("Got a tower without a place, need one; add --at LON,LAT or --sites FILE.")
    found = export.cube_of(store, points=[point], sight=_within(args.radius_m))
    if "gpp" not in found:
        raise InputError(f"Got {args.store} whose GPP is {found.attrs['gpp']}, need GPP; embed it again.")
    predicted = found[["gpp", "gpp_lo", "gpp_hi"]].isel(point=0, drop=True)
    return gpp_evaluation.at_tower(predicted, tower, args.least_qc)


def predict_gpp(args: argparse.Namespace) -> None:
    """GPP with its band: maps of a store's days, or a table of spectra and weather."""
    if (args.store is None) == (args.table is None):
        raise InputError("Got neither or both of STORE and --table, need one of them; choose.")
    if args.table is not None:
        if args.start or args.end:
            raise InputError("Got --start or --end with --table, need STORE for them; leave them out.")
        from embeddings import gpp_table

        gpp_table.predict(args.table, args.out)
        return
    from app import export
    from embeddings.store import Store

    path = export.check_path(args.out, export.CUBES | export.MAPS)
    maps = _finish(export.gpp_maps(Store.open(args.store), args.start, args.end))
    days = maps.sizes["time"]
    if path.suffix.lower() in export.MAPS:
        told, maps = maps.attrs, maps.astype("float32").mean("time")
        maps.attrs = told
    export.write(maps, path)
    print(f"{path}: GPP of {maps.sizes['y']} x {maps.sizes['x']} pixels, {days} days")


def bench(args: argparse.Namespace) -> None:
    """How fast something is on this machine."""
    import importlib

    folder = Path(__file__).parent.parent / "benchmarks"
    if not (folder / f"bench_{args.what}.py").exists():
        raise InputError(
            f"Got bench {args.what} without bench_{args.what}.py, need a checkout of the project; run it there."
        )
    takes = {"embed": ("side_px", "days"), "screen": ("side_px", "days", "sessions", "seconds")}
    given = {name: value for name in takes["screen"] if (value := getattr(args, name)) is not None}
    if wrong := [f"--{name.replace('_', '-')}" for name in given if name not in takes.get(args.what, ())]:
        raise InputError(f"Got {wrong[0]} with bench {args.what}, which has no such size; leave it out.")
    if min(given.values(), default=1) < 1:
        raise InputError(f"Got {min(given.values())} as a size of the bench, need 1 or more; correct it.")
    sys.path.insert(0, str(folder))
    module = importlib.import_module(f"bench_{args.what}")
    _tell(module.run(**given), args.json)


# --- what verbs share ---


def _scene(name: str, catalog_path: str | None) -> Any:
    """A scene by entry or path, its making told on stderr."""
    from embeddings import catalog
    from embeddings.readers import open_scene

    path = Path(catalog_path) if catalog_path else catalog.default_path()
    if name not in catalog.check(path):
        if "://" not in name and not Path(name).exists():
            names = ", ".join(sorted(catalog.check(path)))
            raise InputError(f"Got the scene {name!r}, need a path or one of {names}; check the spelling.")
        return open_scene(name)
    import xarray as xr

    scene = _finish(catalog.steps(catalog.open(path), name))
    if not isinstance(scene, xr.DataTree):
        raise InputError(f"Got the entry {name!r}, need one that is a scene; choose another.")
    return scene


def _finish(steps: Any) -> Any:
    progress = _Progress()
    while True:
        try:
            message, fraction = next(steps)
        except StopIteration as stop:
            progress.end()
            return stop.value
        progress.tell(message, fraction)


class _Progress:
    """One line on stderr that changes in place, or, where stderr is a file, a line every few seconds."""

    EVERY_S = 5.0

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.told_at = -self.EVERY_S
        self.open = False

    def tell(self, message: str, fraction: float) -> None:
        """Show where the work is."""
        line = f"{fraction:4.0%} {message}"
        if self.live:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            self.open = True
        elif fraction >= 1 or time.monotonic() - self.told_at > self.EVERY_S:
            self.told_at = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self.open:
            print(file=sys.stderr)
            self.open = False


def _lesson(args: argparse.Namespace, cubes: tuple[str, ...] = ()) -> Any:
    """What teaches, of the options of ``_lesson_options``."""
    if args.simulated < 0 or args.steps < 1:
        raise InputError("Got --simulated or --steps below its least, need 0 and 1 at least; correct it.")
    from embeddings.training import Lesson
    from models.training import Recipe

    recipe = Recipe(steps=args.steps, learning_rate=args.learning_rate, seed=args.seed)
    return Lesson(args.simulated, cubes, recipe, Path(args.start) if args.start else None)


def _examined(args: argparse.Namespace, size_px: int) -> tuple[dict, Any]:
    """The scenes that are asked for, or simulated ones that never taught, and the model."""
    from embeddings import evaluation
    from models import checkpoints

    model = checkpoints.load(args.model, args.device)
    if args.data:
        return evaluation.open_scenes(args.data), model
    return _finish(evaluation.held_out(size_px)), model


def _report(steps: Any, file: str | None) -> None:
    """Runs an evaluation: its tables on stderr, its numbers on stdout and in a file when asked."""
    numbers, table = _finish(steps)
    print(table, file=sys.stderr)
    _tell(numbers, file)


def _tell(result: dict, file: str | None) -> None:
    """A flat object on stdout, and in a file when asked."""
    text = json.dumps(result, indent=2, default=float)
    print(text)
    if file:
        from app.export import replacing

        with replacing(file) as beside:
            beside.write_text(text + "\n")


# --- the parser ---


def _parser() -> argparse.ArgumentParser:
    from embeddings import __version__

    parser = argparse.ArgumentParser(
        prog="fluxlens",
        description="Every 10 m pixel of land, day by day: daily embeddings and the GPP they imply.",
    )
    parser.add_argument("--version", action="version", version=f"fluxlens {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for build in (
        _serve,
        _embed,
        _scene_verbs,
        _reconstruct,
        _export,
        _train,
        _evaluate,
        _predict,
        _catalog,
        _bench,
    ):
        build(verbs)
    return parser


def _verb(verbs: Any, name: str, run: Callable) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=run.__doc__, description=run.__doc__)
    parser.set_defaults(run=run)
    return parser


def _serve(verbs: Any) -> None:
    parser = _verb(verbs, "serve", serve)
    _catalog_option(parser)
    parser.add_argument("--port", type=int, default=5006, help="0 takes a free one (default 5006)")
    parser.add_argument("--address", default="localhost", help="to listen on (default localhost)")
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="under which browsers may reach the page; repeatable",
    )
    parser.add_argument("--login", metavar="FILE.json", help='names and passwords, {"NAME": "PASSWORD"}')
    parser.add_argument("--no-open", dest="open", action="store_false", help="do not open a browser")


def _embed(verbs: Any) -> None:
    parser = _verb(verbs, "embed", embed)
    _scene_argument(parser)
    parser.add_argument("--out", required=True, metavar="STORE", help="path of the new store")
    _model_options(parser)
    _days(parser)
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="compute in N processes")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="compute on a Dask scheduler, tcp://HOST:PORT")
    parser.add_argument(
        "--resume", action="store_true", help="keep finished blocks beside the store until it is whole"
    )


def _scene_verbs(verbs: Any) -> None:
    nested = _nested(verbs, "scene", "Scenes from elsewhere, and what is clear in them.")
    _scene_stac(nested)
    parser = _verb(nested, "clear", scene_clear)
    _scene_argument(parser)
    parser.add_argument("--by", required=True, metavar="D", help="haze, or an installed detector")
    parser.add_argument("--out", required=True, metavar="SCENE", help="path of the new scene")


def _scene_stac(nested: Any) -> None:
    parser = _verb(nested, "stac", scene_stac)
    parser.add_argument("--at", required=True, metavar="LON,LAT", help="the middle, degrees")
    parser.add_argument("--size-m", required=True, type=int, metavar="N", help="side, a multiple of 20")
    parser.add_argument("--start", required=True, metavar="D", help="first day, YYYY-MM-DD")
    parser.add_argument("--end", required=True, metavar="D", help="last day, YYYY-MM-DD")
    parser.add_argument(
        "--provider",
        default="planetary-computer",
        metavar="P",
        help="planetary-computer (default), earth-search or the URL of a STAC API",
    )
    parser.add_argument(
        "--s1",
        choices=("any", "rtc", "grd", "none"),
        default="any",
        help="which Sentinel-1 (default the best)",
    )
    parser.add_argument(
        "--clear",
        default="scl",
        metavar="D",
        help="what is clear: scl (default), haze, or an installed detector",
    )
    parser.add_argument(
        "--weather",
        metavar="CSV",
        help="daily: time and sw_in, tair, vpd, precip; or nasa-power, to fetch it from there",
    )
    parser.add_argument("--out", metavar="SCENE", help="path of the new scene")
    parser.add_argument("--dry-run", action="store_true", help="print dates and bytes, fetch nothing")


def _reconstruct(verbs: Any) -> None:
    parser = _verb(verbs, "reconstruct", reconstruct)
    _scene_argument(parser)
    parser.add_argument("--hide", required=True, metavar="D[,D...]", help="dates of acquisitions to hide")
    parser.add_argument(
        "--hide-sensor", choices=tuple(SENSORS), default="s2", help="whose dates (default s2)"
    )
    parser.add_argument("--out", required=True, metavar="FILE.nc")
    _model_options(parser)


def _export(verbs: Any) -> None:
    parser = _verb(verbs, "export", export_points)
    parser.add_argument("store", nargs="?", metavar="STORE", help="a path or a catalog entry")
    _catalog_option(parser)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--at", metavar="LON,LAT", help="one point, degrees")
    place.add_argument("--points", metavar="FILE", help="CSV with lon,lat[,name] or GeoJSON")
    place.add_argument("--polygon", metavar="FILE", help="GeoJSON; every pixel whose centre is inside")
    place.add_argument("--again", metavar="FILE.json", help="the export a replay file tells of")
    sight = parser.add_mutually_exclusive_group()
    sight.add_argument(
        "--radius-m", type=float, metavar="R", help="mean within R of each point, 10 to 5000 m"
    )
    sight.add_argument(
        "--tower", metavar="FILE", help="mean under the flux footprint of a half-hourly tower file"
    )
    parser.add_argument(
        "--height-m", type=float, metavar="Z", help="of the tower's sensors above the displacement height"
    )
    _days(parser)
    parser.add_argument(
        "--out", metavar="FILE", help=".csv .parquet .nc .zarr or .tif; .zarr alone: all of it"
    )
    parser.add_argument(
        "--layout",
        choices=("cf", "science-cube"),
        default="cf",
        help="of all of it: bytes decoded by CF attributes, or features (feature, time, y, x) as DeepFeatures has them",
    )
    parser.add_argument("--replay", metavar="FILE.json", help="write what was asked, for --again")
    parser.add_argument("--snapshot", metavar="ID", help="of the store; default the newest")


def _train(verbs: Any) -> None:
    parser = _verb(verbs, "train", train)
    parser.add_argument("what", choices=("sensor", "fusion", "gpp"))
    parser.add_argument("name", nargs="?", help=f"of the sensor: {', '.join(SENSORS)}")
    parser.add_argument("--out", required=True, metavar="FILE.safetensors")
    parser.add_argument(
        "--cube", action="append", default=[], metavar="PATH", help="a measured scene; repeatable"
    )
    parser.add_argument(
        "--sensors", default="s2,s1", metavar="A,B", help="fusion: of which sensors (default s2,s1)"
    )
    parser.add_argument(
        "--table", metavar="FILE.csv", help="gpp: measured rows (default: simulated landscapes)"
    )
    parser.add_argument("--model", default="default", help="gpp: weights whose embeddings teach it")
    _lesson_options(parser)


def _lesson_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--simulated", type=int, default=48, metavar="N", help="simulated scenes (default 48)"
    )
    parser.add_argument(
        "--encoders",
        metavar="FOLDER",
        help="fusion: weights of stage one; those it lacks are the shipped ones",
    )
    parser.add_argument("--start", metavar="FILE", help="weights to go on from (default: random ones)")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)


def _evaluate(verbs: Any) -> None:
    kinds = _nested(verbs, "evaluate", "How good the model is, as numbers.")
    scenes = "a measured scene or a folder of them (default: simulated ones that never taught)"
    reconstruction = _verb(kinds, "reconstruction", evaluate_reconstruction)
    truth = _verb(kinds, "truth", evaluate_truth)
    coherence = _verb(kinds, "coherence", evaluate_coherence)
    left_out = _verb(kinds, "leave-one-cube-out", evaluate_left_out)
    probes = _verb(kinds, "probes", evaluate_probes)
    realism = _verb(kinds, "realism", evaluate_realism)
    gpp = _verb(kinds, "gpp", evaluate_gpp)
    for parser in (reconstruction, coherence):
        parser.add_argument("--data", metavar="PATH", help=scenes)
    for parser in (left_out, realism):
        parser.add_argument("--data", required=True, metavar="FOLDER", help="of measured cubes")
    probes.add_argument("--data", required=True, metavar="FILE.csv", help="measured rows, spectra beside GPP")
    gpp.add_argument("--data", metavar="FILE", help="measured rows; with --store a tower file")
    for parser in (reconstruction, truth, coherence, probes, gpp):
        _model_options(parser)
    _lesson_options(left_out)
    _device_option(left_out)
    gpp.add_argument(
        "--split",
        choices=("leave-site-out", "leave-year-out"),
        default="leave-site-out",
        help="what is held out",
    )
    gpp.add_argument("--store", metavar="STORE", help="daily GPP beside its scene's tower or that of --data")
    gpp.add_argument("--at", metavar="LON,LAT", help="where the tower stands, unless it is known")
    gpp.add_argument("--sites", metavar="FILE", help="where towers stand: CSV, BIF or GeoJSON")
    gpp.add_argument("--radius-m", type=float, metavar="R", help="mean within R of the tower")
    gpp.add_argument(
        "--least-qc", type=float, default=0.75, metavar="Q", help="days of less quality do not count"
    )
    for parser in (reconstruction, truth, coherence, left_out, probes, realism, gpp):
        parser.add_argument("--json", metavar="FILE")


def _predict(verbs: Any) -> None:
    parser = _verb(_nested(verbs, "predict", "Predictions for stores and tables."), "gpp", predict_gpp)
    parser.add_argument("store", nargs="?", metavar="STORE", help="maps of its days")
    parser.add_argument("--table", metavar="IN.csv", help="spectra and weather, one row each")
    _days(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="maps: .nc, .zarr, or .tif (mean of the days); table: .csv",
    )


def _catalog(verbs: Any) -> None:
    nested = _nested(verbs, "catalog", "Look at a catalog, or make one of towers.")
    _catalog_option(_verb(nested, "list", catalog_list))
    _catalog_option(_verb(nested, "check", catalog_check))
    parser = _verb(nested, "towers", catalog_towers)
    parser.add_argument("folder", metavar="FOLDER", help="FLUXNET, AmeriFlux or ICOS files, .csv or .zip")
    parser.add_argument("--sites", metavar="FILE", help="where the towers stand: CSV, BIF or GeoJSON")
    parser.add_argument("--out", required=True, metavar="CATALOG.yaml")


def _bench(verbs: Any) -> None:
    parser = _verb(verbs, "bench", bench)
    parser.add_argument("what", choices=("embed", "store", "screen"))
    parser.add_argument(
        "--side-px",
        type=int,
        metavar="N",
        help="embed: also a scene this wide, and workers, 2048 takes an hour; screen: also a store this wide, 10980 "
        "takes minutes and 15 GB of the cache folder",
    )
    parser.add_argument("--days", type=int, metavar="N", help="of the wide one (default: embed 30, screen 3)")
    parser.add_argument(
        "--sessions", type=int, metavar="N", help="screen: also N visitors at once, then 10 N in turn"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="screen: how long they stay (default 120)")
    parser.add_argument("--json", metavar="FILE")


def _nested(verbs: Any, name: str, text: str) -> Any:
    return verbs.add_parser(name, help=text, description=text).add_subparsers(metavar="VERB", required=True)


def _scene_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", metavar="SCENE", help="a catalog entry or a path")
    _catalog_option(parser)


def _catalog_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--catalog", metavar="C", help="a catalog.yaml (default: the one of the package)")


def _model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="default", metavar="M", help="a name or a .safetensors file")
    _device_option(parser)


def _device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def _days(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", metavar="D", help="first day, YYYY-MM-DD")
    parser.add_argument("--end", metavar="D", help="last day, YYYY-MM-DD")


if __name__ == "__main__":
    sys.exit(main())
