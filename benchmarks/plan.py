"""What a year of an area takes: core-seconds, GPU-seconds, bytes, requests and money, from rates that were measured.

Rates are of one core of the machine at hand: flags, or the JSON of ``fluxlens bench embed --json`` and ``fluxlens bench
store --json``. Prices are the assumptions that ``PRICES_ARE`` names; every one is a flag.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

PIXEL_M = 10
"""Side of a pixel."""
BLOCK_PX, TILE_PX = 32, 2048
"""Side of a block, which is computed at once, and of a store that one process commits."""
AREAS_KM2 = {"100 km x 100 km": 1e4, "Europe": 10.2e6}
"""Printed without ``--area-km2``; Europe up to the Urals, as geographies give it."""
PRICES_ARE = (
    "storage and requests as published for S3 Standard in us-east-1, read in November 2026; hours are assumed"
)
"""Where the defaults come from, on demand, without discounts; look yours up."""


@dataclass(frozen=True)
class Rates:
    """Of one machine; the defaults are those of docs/cluster.md."""

    core_us_per_pixel_day: float = 7.1
    """To read, embed and store, both layouts, in microseconds of one core."""
    store_pixel_days_per_core_s: float = 1.16e6
    """Storing alone, which stays on cores where a GPU embeds."""
    gpu_pixel_days_per_s: float = 0.0
    """``pixel_days_per_s`` of ``bench embed --device cuda``; 0: not measured, so no GPU is planned."""
    store_bytes_per_pixel_year: float = 11.2e3
    """The store, all layouts and quality layers."""
    scene_bytes_per_pixel_year: float = 1.6e3
    """The scene before compression."""
    flop_per_pixel_day: float = 185e3
    """Of the shipped weights."""
    store_mb_per_put: float = 1.0
    """Mean size of an object that is written."""
    scene_mb_per_get: float = 1.0
    """Mean size of a range that is read, of the scene."""


@dataclass(frozen=True)
class Prices:
    """In US dollars; another currency is as good."""

    core_hour: float = 0.048
    """A core of a general-purpose machine; assumed."""
    gpu_hour: float = 1.006
    """A machine with one GPU of the smallest kind with 16 or 24 GB; assumed."""
    store_gb_month: float = 0.023
    """Object store, standard class, the first 50 TB."""
    put_per_1000: float = 0.005
    """Requests that write."""
    get_per_1000: float = 0.0004
    """Requests that read."""


def plan(area_km2: float, days: int = 365, rates: Rates = Rates(), prices: Prices = Prices()) -> dict:
    """What it takes to embed an area once and to keep the store.

    Parameters
    ----------
    area_km2
        Area, km2.
    days
        Days that are embedded.
    rates
        Measured.
    prices
        Of a provider.

    Returns
    -------
    dict
        Pixel-days, ``*_s`` of cores and GPU, ``*_bytes``, ``flop``, requests, blocks, stores and money.

    Raises
    ------
    ValueError
        For an area, a number of days or a rate that is not positive.
    """
    required = {"area": area_km2, "days": days} | {
        name: value for name, value in asdict(rates).items() if name != "gpu_pixel_days_per_s"
    }
    for name, value in required.items():
        # written so that NaN is refused too
        if not 0 < value < float("inf"):
            raise ValueError(f"Got {value} as {name}, need a positive number; correct it.")
    for name, value in {"gpu_pixel_days_per_s": rates.gpu_pixel_days_per_s, **asdict(prices)}.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"Got {value} as {name}, need 0 or more; correct it.")
    pixels = area_km2 * 1e6 / PIXEL_M**2
    years = days / 365
    pixel_days = pixels * days
    core_s = pixel_days * rates.core_us_per_pixel_day / 1e6
    storing_s = pixel_days / rates.store_pixel_days_per_core_s
    gpu_s = pixel_days / rates.gpu_pixel_days_per_s if rates.gpu_pixel_days_per_s else None
    store_bytes = pixels * years * rates.store_bytes_per_pixel_year
    scene_bytes = pixels * years * rates.scene_bytes_per_pixel_year
    puts, gets = store_bytes / rates.store_mb_per_put / 1e6, scene_bytes / rates.scene_mb_per_get / 1e6
    money = {
        "money_cores": core_s / 3600 * prices.core_hour,
        "money_requests": (puts * prices.put_per_1000 + gets * prices.get_per_1000) / 1000,
        "money_store_per_month": store_bytes / 1e9 * prices.store_gb_month,
    }
    # a GPU does not store: its own time, and the cores that then only write
    with_gpu = (
        {
            "gpu_s": gpu_s,
            "money_gpu_and_storing_cores": gpu_s / 3600 * prices.gpu_hour
            + storing_s / 3600 * prices.core_hour,
        }
        if gpu_s is not None
        else {}
    )
    return {
        "area_km2": area_km2,
        "days": days,
        "pixel_days": pixel_days,
        "core_s": core_s,
        "storing_core_s": storing_s,
        "flop": pixel_days * rates.flop_per_pixel_day,
        "store_bytes": store_bytes,
        "scene_bytes": scene_bytes,
        "put_requests": puts,
        "get_requests": gets,
        "blocks": pixels / BLOCK_PX**2,
        "stores": pixels / TILE_PX**2,
        **money,
        **with_gpu,
    }


def measured(embed_json: Path | None = None, store_json: Path | None = None, is_gpu: bool = False) -> dict:
    """Rates from what benchmarks printed; what they did not measure is left out.

    Parameters
    ----------
    embed_json
        Of ``fluxlens bench embed --json FILE``, with ``--side-px`` for the whole way to the store.
    store_json
        Of ``fluxlens bench store --json FILE``.
    is_gpu
        Whether ``embed_json`` was measured on a GPU, whose rate it then gives.

    Returns
    -------
    dict
        Fields of :class:`Rates`.
    """
    out = {}
    if embed_json:
        found = _numbers(embed_json)
        whole = [
            value
            for name, value in found.items()
            if name.startswith("embed_") and name.endswith("days_cpu_us_per_pixel_day")
        ]
        if is_gpu:
            out["gpu_pixel_days_per_s"] = found["pixel_days_per_s"]
        elif whole:
            # of the sizes that were measured the dearest is the safe plan
            out["core_us_per_pixel_day"] = max(whole)
        out["flop_per_pixel_day"] = found["flop_per_pixel_day"]
    if store_json:
        found = _numbers(store_json)
        out["store_pixel_days_per_core_s"] = found["write_pixel_days_per_s"]
        out["store_bytes_per_pixel_year"] = found["bytes_per_pixel_year"]
    return out


def _numbers(path: Path) -> dict[str, float]:
    """A benchmark's flat object."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"Got {path}, need the JSON of a benchmark; write it with --json.")
    return found


def table(name: str, found: dict) -> list[str]:
    """Lines of Markdown for people: one quantity a line, in units that read well.

    Parameters
    ----------
    name
        Of the area.
    found
        Of :func:`plan`.

    Returns
    -------
    list of str
    """
    rows = [
        ("pixel-days", f"{found['pixel_days']:.3g}"),
        (
            "cores: read, embed, store",
            f"{found['core_s']:,.0f} core-s = {found['core_s'] / 3600:,.0f} core-h",
        ),
        ("of that storing", f"{found['storing_core_s']:,.0f} core-s"),
        (
            "GPU",
            f"{found['gpu_s']:,.0f} GPU-s" if "gpu_s" in found else "not measured: --gpu-pixel-days-per-s",
        ),
        ("arithmetic", f"{found['flop']:.2g} FLOP"),
        ("the store", f"{found['store_bytes'] / 1e12:,.2f} TB"),
        ("the scene, before compression", f"{found['scene_bytes'] / 1e12:,.2f} TB"),
        ("requests that write / read", f"{found['put_requests']:,.0f} / {found['get_requests']:,.0f}"),
        ("blocks / stores", f"{found['blocks']:,.0f} / {found['stores']:,.0f}"),
        ("money: cores", f"{found['money_cores']:,.2f}"),
        ("money: requests", f"{found['money_requests']:,.2f}"),
        ("money: the store, a month", f"{found['money_store_per_month']:,.2f}"),
    ]
    if "gpu_s" in found:
        rows.append(("money: GPU, and cores that store", f"{found['money_gpu_and_storing_cores']:,.2f}"))
    return [
        f"| {name}, {found['days']} days | |",
        "|---|---|",
        *(f"| {what} | {much} |" for what, much in rows),
    ]


def main(words: list[str] | None = None) -> int:
    """Print the plan; 2 for bad input.

    Parameters
    ----------
    words
        Of the command line; None: this process's.

    Returns
    -------
    int
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--area-km2", type=float, help="default: 100 km x 100 km, and Europe")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--embed-json", type=Path, help="of fluxlens bench embed --json")
    parser.add_argument("--gpu-json", type=Path, help="the same, measured on a GPU")
    parser.add_argument("--store-json", type=Path, help="of fluxlens bench store --json")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    for kind in (Rates, Prices):
        for field in fields(kind):
            parser.add_argument(
                f"--{field.name.replace('_', '-')}", type=float, help=f"default {field.default}"
            )
    given = vars(parser.parse_args(words))
    try:
        known = measured(given["embed_json"], given["store_json"])
        if given["gpu_json"]:
            known |= measured(given["gpu_json"], is_gpu=True)
        # what is written on the command line goes before what was measured
        rates, prices = (
            replace(
                kind(**start), **{f.name: given[f.name] for f in fields(kind) if given[f.name] is not None}
            )
            for kind, start in ((Rates, known), (Prices, {}))
        )
        own = given["area_km2"]
        areas = AREAS_KM2 if own is None else {f"{own:,g} km2": own}
        plans = {name: plan(area, given["days"], rates, prices) for name, area in areas.items()}
    except KeyError as error:
        print(
            f"Got a benchmark's JSON without {error}, need one of this version; measure again.",
            file=sys.stderr,
        )
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for name, found in plans.items():
        print("\n".join(table(name, found)), end="\n\n")
    print(f"Money in US dollars ({PRICES_ARE}); transfers out of a region not counted.")
    if given["json"]:
        given["json"].write_text(json.dumps(plans, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
