"""Simulated pixel-days to fit the daily GPP head on: embeddings, drivers, true GPP, and GPP as a tower measures it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from fluxlens.embeddings import cache
from fluxlens.embeddings.gpp.drivers import daily_drivers, latitude, pixel_drivers
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.progress import Steps
from fluxlens.models.gpp.drivers import NORMALISATIONS, PIXEL

FIRST_SEED = 30_000
"""Seeds from here on are of landscapes for GPP; those of the embedder's own training lie below."""

SIZE_PX = 16
"""Side of a simulated landscape, pixels."""

PIXELS = 20
"""Pixels sampled from each."""

LOST_WEATHER = (
    ("sw_in", "tair", "vpd", "precip"),
    ("sw_in",),
    ("vpd",),
    ("precip",),
    ("vpd", "precip"),
    ("tair", "vpd", "precip"),
)
"""Variables hidden together from a pixel, so that the head learns to do without them."""

LOST_SHARE = 0.25
"""Share of pixels with hidden weather."""


@dataclass(frozen=True)
class Landscape:
    """Sampled pixels of one simulated landscape.

    Parameters
    ----------
    climate
        Name of the climate.
    z
        (pixel, day, feature) embedding, dequantised.
    sw
        (pixel, day) shortwave radiation, W m-2.
    drivers
        (pixel, day, driver) scaled, in the order of ``models.gpp.drivers.DRIVERS``.
    true
        (pixel, day) true GPP, gC m-2 d-1.
    measured
        (pixel, day) GPP as a tower would measure it; NaN in its gaps.
    days_from_s2
        (pixel, day) days to the nearest clear Sentinel-2 acquisition, -1 where there is none.
    has_all_weather
        (pixel,) whether no weather is hidden.
    """

    climate: str
    z: np.ndarray
    sw: np.ndarray
    drivers: np.ndarray
    true: np.ndarray
    measured: np.ndarray
    days_from_s2: np.ndarray
    has_all_weather: np.ndarray


def landscape(model, seed: int) -> Steps[Landscape]:
    """One simulated landscape, cached as long as simulator, drivers and model stay the same.

    Parameters
    ----------
    model
        ``models.embedder.Embedder``.
    seed
        Of the landscape.

    Yields
    ------
    message, share done

    Returns
    -------
    Landscape
        Of ``PIXELS`` pixels.
    """
    from fluxlens.embeddings import meteorology, simulate
    from fluxlens.embeddings.gpp import drivers as gpp_drivers

    scaling = {name: asdict(one) for name, one in NORMALISATIONS.items()}
    # The scaling of the drivers is not in these files: its numbers are part of the key by themselves.
    sources = cache.fingerprint(simulate, gpp_drivers, meteorology)
    facts = (seed, SIZE_PX, PIXELS, model.digest, scaling, sources)

    def build(path) -> Steps[None]:
        yield f"simulating landscape {seed}", 0.0
        made = simulate_landscape(model, seed)
        with path.open("wb") as file:
            np.savez_compressed(file, **made.__dict__)

    path = yield from cache.build_once(cache.key("gpp-pixel-days", *facts) + ".npz", build)
    with np.load(path) as archive:
        # A text comes back from the file as an array without axes.
        return Landscape(
            **{name: archive[name] for name in archive.files} | {"climate": str(archive["climate"])}
        )


def landscapes(model, count: int, share: float) -> Steps[list[Landscape]]:
    """The first landscapes, on which the shipped head and those of its evaluations are trained.

    Parameters
    ----------
    model
        ``models.embedder.Embedder``.
    count
        Number of landscapes.
    share
        Of the whole work, 0-1, that is done after them.

    Yields
    ------
    message, share done

    Returns
    -------
    list of Landscape
        Of ``PIXELS`` pixels each.
    """
    simulated = []
    for i in range(count):
        yield f"simulated landscape {i + 1} of {count}", share * i / count
        simulated.append((yield from landscape(model, FIRST_SEED + i)))
    return simulated


def simulate_landscape(model, seed: int) -> Landscape:
    """Simulate a landscape, embed it, sample pixels and measure their GPP.

    Parameters
    ----------
    model
        ``models.embedder.Embedder``.
    seed
        Of the landscape and of the sample.

    Returns
    -------
    Landscape
        The same for the same seed and model.
    """
    from fluxlens.embeddings.simulate import random_scene, tower

    scene = random_scene(seed, SIZE_PX, truth=True)
    cube = engine.compute(scene, model)
    # In the far east an acquisition may fall on the UTC day before the truth begins.
    cube = cube.sel(time=np.intersect1d(cube["time"].values, scene["truth"]["time"].values))
    # A stream of its own: drawing more from it does not change the landscape.
    rng = np.random.default_rng([seed, 5])
    flat = rng.choice(cube.sizes["y"] * cube.sizes["x"], PIXELS, replace=False)
    rows, cols = np.unravel_index(flat, (cube.sizes["y"], cube.sizes["x"]))
    days = pd.DatetimeIndex(cube["time"].values)
    true = scene["truth"]["gpp"].sel(time=days).values[:, rows, cols].T
    # (day, pixel, feature) to (pixel, day, feature), dequantised.
    z = (cube["embedding"].values[:, rows, cols] * cube["scale"].values).transpose(1, 0, 2)
    gap = cube["days_from_s2"].values[:, rows, cols].T  # (pixel, day)
    sigma = cube["sigma"].values[:, rows, cols].T  # (pixel, day)
    lost = [LOST_WEATHER[rng.integers(len(LOST_WEATHER))] if rng.random() < LOST_SHARE else () for _ in flat]
    weather, lat = scene["weather"].to_dataset(), latitude(cube)
    # Dropped as variables and not as numbers: hidden weather comes to the head as missing weather does.
    each = [daily_drivers(weather.drop_vars(list(names)), days, lat) for names in lost]
    sw, drivers = (
        np.stack(pixels) for pixels in zip(*each, strict=True)
    )  # (pixel, day), (pixel, day, driver)
    drivers[..., PIXEL] = pixel_drivers(gap, sigma, gap.shape)
    measured = np.stack(
        [
            tower.measure(rng, series.astype(float), days)["gpp_nt"].values.astype(np.float32)
            for series in true
        ]
    )
    return Landscape(
        climate=str(scene.attrs["climate"]),
        z=z.astype(np.float32),
        sw=sw,
        drivers=drivers,
        true=true,
        measured=measured,
        days_from_s2=gap,
        has_all_weather=np.array([not names for names in lost]),
    )


def flat(landscapes: list[Landscape], first_site: int = 0):
    """Join the pixel-days of landscapes.

    Parameters
    ----------
    landscapes
        With as many features each.
    first_site
        Number of the first landscape as a site; the others follow.

    Returns
    -------
    models.gpp.training.PixelDays
        float32; days without a measurement are left out.
    """
    import torch
    from fluxlens.models.gpp.training import PixelDays

    def rows(name: str) -> torch.Tensor:
        # Days without a measurement teach nothing.
        by_landscape = [getattr(one, name)[np.isfinite(one.measured)] for one in landscapes]
        return torch.from_numpy(np.concatenate(by_landscape).astype(np.float32))

    site = np.concatenate(
        # A landscape counts as a site: its rows are as alike as those of one tower.
        [np.full(int(np.isfinite(one.measured).sum()), first_site + i) for i, one in enumerate(landscapes)]
    )
    n = len(site)
    return PixelDays(
        *(rows(name) for name in ("z", "sw", "drivers", "true", "measured")),
        torch.from_numpy(site),
        torch.zeros(n, dtype=torch.bool),
        # Weights of rows, equal and summing to 1.
        torch.full((n,), 1 / n),
    )
