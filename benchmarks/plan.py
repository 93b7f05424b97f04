"""What an area takes on a cluster: core-seconds, GPU-seconds, bytes, requests and money, from measured rates.

``python benchmarks/plan.py`` prints both plans of docs/cluster.md; ``--embed FILE`` and ``--store FILE`` take the JSON
of `fluxlens bench embed --json FILE` and `fluxlens bench store --json FILE` of another machine in place of the
rates below, and each price is an option.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

PIXEL_M = 10.0

TILE_PX, SHARD_BYTES, MAP_PX = 2048, 128 * 2**20, 128
"""Side of a store, raw bytes of a shard of its series, side of a chunk of its maps (embeddings/store/layout.py)."""

BYTES_PER_PIXEL_DAY = 35
"""Features and quality of one pixel and day before compression."""

AREAS = {"100 km x 100 km": 1e10, "a continent (10 million km2 of land)": 1e13}
"""m2."""


@dataclass(frozen=True)
class Rates:
    """Measured with one core for each worker on simulated scenes, docs/cluster.md; prices are list prices."""

    core_s_per_pixel_day: float = 7.1e-6
    """To read, embed and store."""
    gpu_pixel_days_per_s: float = 0.0
    """Of `bench embed --device cuda`; 0: not measured, then there is no plan for a GPU."""
    store_core_s_per_pixel_day: float = 1 / 1_160_000
    """Storing alone, which cores do where a GPU computes."""
    bytes_per_pixel_year: float = 11_200.0
    scene_bytes_per_pixel_year: float = 1_600.0
    usd_per_core_h: float = 0.048
    """On-demand general purpose core (m7i, half a physical core's thread pair counted as one), us-east-1."""
    usd_per_gpu_h: float = 6.88
    """One H100 of a p5 instance, on demand, us-east-1."""
    usd_per_gb_month: float = 0.023
    """S3 Standard, first 50 TB, us-east-1."""
    usd_per_1000_put: float = 0.005
    priced: str = "2025-06"
    """Month of the list prices: look them up again before money is spent."""


def plan(area_m2: float, days: int, rates: Rates) -> dict[str, float]:
    """What one area and period take.

    Parameters
    ----------
    area_m2
        Of land to embed.
    days
        Of the period.
    rates
        Measured on the machines that will be used, and prices.

    Returns
    -------
    dict
        One flat object: counts, seconds, bytes, requests and US dollars, by name with its unit.
    """
    pixels = area_m2 / PIXEL_M**2
    pixel_days, years = pixels * days, days / 365
    core_s = pixel_days * rates.core_s_per_pixel_day
    store_bytes = pixels * years * rates.bytes_per_pixel_year
    tiles = math.ceil(pixels / TILE_PX**2)
    # A shard of the series is one object with all days; a map's chunk is one object with one day, and overviews add
    # a third. Both arrays, embedding and quality, have their own.
    shard_px = max(1, SHARD_BYTES // (BYTES_PER_PIXEL_DAY * days))
    puts = 2 * (pixels / shard_px + days * pixels / MAP_PX**2 * 4 / 3)
    out = {
        "area_km2": area_m2 / 1e6,
        "days": days,
        "pixel_days": pixel_days,
        "stores": tiles,
        "core_s": core_s,
        "core_h": core_s / 3600,
        "scene_bytes": pixels * years * rates.scene_bytes_per_pixel_year,
        "store_bytes": store_bytes,
        "put_requests": puts,
        "usd_cores": core_s / 3600 * rates.usd_per_core_h,
        "usd_requests": puts / 1000 * rates.usd_per_1000_put,
        "usd_store_per_year": store_bytes / 1e9 * rates.usd_per_gb_month * 12,
    }
    if rates.gpu_pixel_days_per_s:
        gpu_s = pixel_days / rates.gpu_pixel_days_per_s
        # Cores beside the GPU still write the store.
        store_s = pixel_days * rates.store_core_s_per_pixel_day
        out |= {"gpu_s": gpu_s, "usd_gpu": gpu_s / 3600 * rates.usd_per_gpu_h, "core_s_beside_gpu": store_s}
    return out


def measured(rates: Rates, embed: Path | None, store: Path | None) -> Rates:
    """Rates of another machine.

    Parameters
    ----------
    rates
        Those that stay where a file says nothing.
    embed, store
        JSON of `fluxlens bench embed` and `fluxlens bench store`.

    Returns
    -------
    Rates
    """
    if embed is not None:
        found = json.loads(embed.read_text())
        speed = found["pixel_days_per_s"]
        # `bench embed` names its device only where it is a GPU.
        on_gpu = "cuda" in str(found.get("device", ""))
        # On cores the bench says what computing takes; storing comes on top.
        rates = (
            replace(rates, gpu_pixel_days_per_s=speed)
            if on_gpu
            else replace(rates, core_s_per_pixel_day=1 / speed + rates.store_core_s_per_pixel_day)
        )
    if store is not None:
        found = json.loads(store.read_text())
        rates = replace(
            rates, bytes_per_pixel_year=found.get("bytes_per_pixel_year", rates.bytes_per_pixel_year)
        )
    return rates


def table(plans: dict[str, dict[str, float]]) -> str:
    """Plans side by side in Markdown.

    Parameters
    ----------
    plans
        By the name of the area.

    Returns
    -------
    str
    """
    rows = [f"| | {' | '.join(plans)} |", "|---|" + "---|" * len(plans)]
    for name in next(iter(plans.values())):
        rows.append(f"| {name} | " + " | ".join(f"{one[name]:,.4g}" for one in plans.values()) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--area-km2", type=float, help="instead of the two areas of the documentation")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--embed", type=Path, help="JSON of bench embed")
    parser.add_argument("--store", type=Path, help="JSON of bench store")
    parser.add_argument("--gpu-pixel-days-per-s", type=float)
    for name in ("usd_per_core_h", "usd_per_gpu_h", "usd_per_gb_month", "usd_per_1000_put"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Rates, name))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    prices = {name: value for name, value in vars(options).items() if name.startswith("usd_")}
    rates = measured(replace(Rates(), **prices), options.embed, options.store)
    if options.gpu_pixel_days_per_s:
        rates = replace(rates, gpu_pixel_days_per_s=options.gpu_pixel_days_per_s)
    areas = {f"{options.area_km2:g} km2": options.area_km2 * 1e6} if options.area_km2 else AREAS
    plans = {name: plan(area, options.days, rates) for name, area in areas.items()}
    print(table(plans))
    print(f"\nList prices of {rates.priced}; {json.dumps(vars(rates))}")
    if options.json:
        options.json.write_text(json.dumps(plans, indent=1))


if __name__ == "__main__":
    main()
