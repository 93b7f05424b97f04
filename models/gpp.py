"""Daily GPP of a pixel: light times the absorbed share times efficiency, saturating, with a spread.

With A = PAR x absorbed(z), GPP = theory(t, d) x awake(t) x efficiency(z, s) x A / (1 + saturation(z, s) x L), L being
the light over that of a clear day: zero in the dark, never negative, rising and levelling off in light, whatever the
weights are (light-use efficiency: Monteith 1972; rectangular hyperbola: Michaelis and Menten 1913, as used for canopies
by Ruimy et al. 1995). Warmth ``t`` and dryness of the air ``d`` act through the P-model's light-use efficiency and by
frost alone. What departs from that is told by the plants ``z`` and the water in the ground ``s``: dry air goes with dry
ground in one climate and with watered fields in another, and a head that may take one for the other fails where it was
not taught.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PHOTONS = 86400 * 2.04e-6
"""mol m-2 d-1 of photosynthetic photons per W m-2 of shortwave (Meek et al. 1984)."""
DRIVERS = (
    "tair",
    "tair_recent",
    "vpd",
    "vpd_recent",
    "wet_thin",
    "wet_full",
    "day_length",
    "clear_sky",
    "no_tair",
    "no_vpd",
    "no_rain",
    "no_sw",
    "gap",
    "doubt",
)
"""What stands beside the embedding, each near -2..2; ``wet_*`` are the water in the ground under thin and full cover,
``no_*`` are 1 where the weather is missing, ``gap`` and ``doubt`` say how far the nearest acquisition is and how unsure
the embedding."""
WARMTH = [DRIVERS.index(name) for name in ("tair", "tair_recent")]
IN_THEORY = [
    DRIVERS.index(name) for name in ("tair", "tair_recent", "vpd", "vpd_recent", "day_length", "clear_sky")
]
"""Drivers that act through theory and frost alone; where warmth or dryness of the air is missing, the rest of them
stand in for it."""
NO_THEORY = [DRIVERS.index(name) for name in ("no_tair", "no_vpd")]
GROUND = [DRIVERS.index(name) for name in ("wet_thin", "wet_full")]
BELIED = 0.4
"""Share of rows that learn beside the ground water of other rows: where people water or roots go deep the rain does not
tell, so what it tells is a hint that plants may belie."""
EFFICIENCY_TOP = 2.5
"""Of the theory's light-use efficiency; above one for C4 plants and diffuse light."""


@dataclass(frozen=True)
class Config:
    """Sizes of the head."""

    features: int = 32
    hidden: int = 48


class DailyHead(nn.Module):
    """Mean and spread of daily GPP, gC m-2 d-1."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Config()
        self.register_buffer("centre", torch.zeros(config.features))
        self.register_buffer("size", torch.ones(config.features))
        # Measured over predicted errors at climates left out; set after training.
        self.register_buffer("widen", torch.ones(()))
        self.register_buffer("far", torch.full((), torch.inf))
        self.register_buffer("precision", torch.eye(config.features))
        self.leaf = nn.Sequential(nn.Linear(config.features, config.hidden), nn.SiLU())
        self.absorbed = nn.Linear(config.hidden, 1)
        self.awake = nn.Sequential(nn.Linear(len(WARMTH), 12), nn.SiLU(), nn.Linear(12, 1))
        self.of_leaf = nn.Linear(config.features, config.hidden)
        self.of_air = nn.Linear(len(DRIVERS), config.hidden)
        self.physiology = nn.Sequential(
            nn.SiLU(), nn.Linear(config.hidden, config.hidden), nn.SiLU(), nn.Linear(config.hidden, 2)
        )
        self.doubt_leaf = nn.Linear(config.features, 16)
        self.doubt_air = nn.Linear(len(DRIVERS), 16)
        self.doubt = nn.Sequential(nn.SiLU(), nn.Linear(16, 2))

    def forward(
        self, z: Float[Tensor, "*n f"], sw: Float[Tensor, "*#n"], air: Float[Tensor, "*#n w"]
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
        """``sw`` daily mean shortwave W m-2, ``air`` as ``DRIVERS``; both may be broadcast over pixels."""
        z = (z - self.centre) / self.size
        return self._answer(
            self.leaf(z),
            F.silu(self.of_leaf(z) + self.of_air(_beside_theory(air))),
            F.silu(self.doubt_leaf(z) + self.doubt_air(air)),
            *self._light(sw, air),
        )

    def of_days(
        self, scale: Float[Tensor, "f"], sw: Float[Tensor, "d"], air: Float[Tensor, "d w"]
    ) -> Callable[[slice, Float[Tensor, "d n f"], Float[Tensor, "d n 2"]], tuple[Tensor, Tensor, Tensor]]:
        """Asks many pixels of the same days: ``(days, steps, seen)`` to mean, spread and strangeness, each (d, n).

        As ``forward`` and ``strangeness`` tell them, with all that is linear in a pixel as one product.
        ``days`` is a slice of ``sw`` and ``air``; ``steps`` x ``scale`` is the embedding; ``seen`` holds the drivers
        that differ between pixels, which are 0 in ``air``.
        """
        layers = (self.leaf[0], self.of_leaf, self.doubt_leaf)
        sizes = [layer.out_features for layer in layers]
        leaf, physiology, doubt = (
            slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)
        )
        weight = torch.cat([layer.weight for layer in layers]) / self.size
        shift = torch.cat([layer.bias for layer in layers]) - weight @ self.centre
        shift, own = shift.repeat(len(air), 1), torch.zeros(len(weight), 2)
        for part, layer, told in (
            (physiology, self.of_air, _beside_theory(air)),
            (doubt, self.doubt_air, air),
        ):
            shift[:, part] += layer(told)
            own[part] = layer.weight[:, -2:]
        shift, most, bright = (part[:, None] for part in (shift, *self._light(sw, air)))
        first = torch.cat([weight * scale, own], 1).T.contiguous()
        step, middle = scale / self.size, self.centre / self.size

        def ask(days: slice, steps: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            hidden = _silu((torch.cat([steps, seen], -1) @ first).add_(shift[days]))
            parts = (hidden[..., part] for part in (leaf, physiology, doubt))
            mean, spread = self._answer(*parts, most[days], bright[days], _silu)
            return mean, spread, self._apart(steps * step - middle)

        return ask

    def _light(
        self, sw: Float[Tensor, "*#n"], air: Float[Tensor, "*#n w"]
    ) -> tuple[Float[Tensor, "*#n"], Float[Tensor, "*#n"]]:
        """GPP of a leaf cover that absorbs all light and works at its best; light over that of a clear day."""
        light = sw.clamp_min(0)
        awake = torch.sigmoid(self.awake(air[..., WARMTH])[..., 0])
        clear_sky = 90 * air[..., DRIVERS.index("clear_sky")] + 220
        return EFFICIENCY_TOP * theory(air) * awake * light * PHOTONS, light / clear_sky.clamp_min(20)

    def _answer(
        self,
        leaf: Float[Tensor, "*n h"],
        physiology: Float[Tensor, "*n h"],
        doubt: Float[Tensor, "*n k"],
        most: Float[Tensor, "*#n"],
        bright: Float[Tensor, "*#n"],
        silu: Callable[[Tensor], Tensor] = F.silu,
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
        """What follows from the three first layers, activated, and ``_light``."""
        absorbed = torch.sigmoid(self.absorbed(leaf)[..., 0])
        _, second, _, last = self.physiology
        efficiency, saturation = last(silu(second(physiology))).unbind(-1)
        mean = most * absorbed * torch.sigmoid(efficiency) / (1 + F.softplus(saturation) * bright)
        level, share = F.softplus(self.doubt[1](doubt)).unbind(-1)
        spread = (level.square() + (share * mean.detach()).square() + 1e-4).sqrt()
        return mean, spread

    def strangeness(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n"]:
        """Mahalanobis distance of an embedding from those that taught."""
        return self._apart((z - self.centre) / self.size)

    def _apart(self, scaled: Float[Tensor, "*n f"]) -> Float[Tensor, "*n"]:
        return ((scaled @ self.precision) * scaled).sum(-1).clamp_min(0).sqrt()

    def meet(self, z: Float[Tensor, "n f"], share: float = 0.995) -> None:
        """Learns scaling and what is usual from embeddings (n, feature)."""
        self.centre.copy_(z.mean(0))
        self.size.copy_(z.std(0).clamp_min(1e-4))
        scaled = (z - self.centre) / self.size
        cov = scaled.T @ scaled / len(scaled) + 0.02 * torch.eye(z.shape[1])
        self.precision.copy_(torch.linalg.inv(cov))
        distance = self.strangeness(z[torch.randperm(len(z))[:200_000]])
        self.far.copy_(torch.quantile(distance[:1_000_000], share))


def _beside_theory(air: Float[Tensor, "*n w"]) -> Float[Tensor, "*n w"]:
    """The drivers without those of the theory, unless it lacks one of its own."""
    out = air.clone()
    out[..., IN_THEORY] *= air[..., NO_THEORY].amax(-1, keepdim=True)
    return out


def theory(air: Float[Tensor, "*n w"]) -> Float[Tensor, "*n"]:
    """Light-use efficiency of C3 leaves used to the recent weather, gC per mol of absorbed photons.

    The P-model at sea level and 415 ppm CO2 (Stocker et al. 2020, doi:10.5194/gmd-13-1545-2020, equations 4 to 17),
    with the quantum yield of Bernacchi et al. (2003) and viscosity after Vogel. Missing weather is that of a mild day.
    """
    t = (10 * air[..., DRIVERS.index("tair_recent")] + 10).clamp(0, 42)
    vpd_pa = 100 * (torch.exp(air[..., DRIVERS.index("vpd_recent")] + 1.8) - 1).clamp(0.5, 60)
    warmth = (t - 25) / (298.15 * 8.314 * (t + 273.15))
    gamma = 4.332 * torch.exp(37_830 * warmth)
    rubisco = 39.97 * torch.exp(79_430 * warmth) * (1 + 21_228 / (27_480 * torch.exp(36_380 * warmth)))
    viscosity = 10 ** (247.8 / (t + 133.15) - 247.8 / 158.15)
    outside = 415e-6 * 101_325
    cost = 3 * gamma * (1.6 * viscosity * vpd_pa / (146 * (rubisco + gamma))).sqrt()
    m = (outside - gamma) / (outside + 2 * gamma + cost)
    limited = m * (1 - (0.41 / m).clamp(max=0.999) ** (2 / 3)).sqrt()
    quantum_yield = ((0.352 + 0.022 * t - 0.00034 * t**2) / 8).clamp_min(0)
    return 12.0107 * quantum_yield * limited


def _silu(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """SiLU in place, on the CPU: the activation is most of a map's time, and torch's takes five times as long."""
    _activate()(x.numpy().reshape(-1))
    return x


@cache
def _activate() -> Callable[[np.ndarray], None]:
    """x / (1 + exp(-x)), float32 within 3e-7: exp as a power of two times six terms of its series."""
    import numba

    one, per_e, ln2, rest = (
        np.float32(v) for v in (1, 1 / math.log(2), 0.693359375, math.log(2) - 0.693359375)
    )
    a2, a3, a4, a5, a6 = (np.float32(1 / math.factorial(n)) for n in range(2, 7))
    half, most, bias, bits = np.float32(0.5), np.float32(87), np.int32(127), np.int32(23)

    @numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
    def activate(x):
        for i in range(x.size):
            value = x[i]
            power = min(max(-value, -most), most)
            whole = np.floor(power * per_e + half)
            part = power - whole * ln2 - whole * rest  # ln 2 in two numbers, so that nothing is rounded away
            series = one + part * (one + part * (a2 + part * (a3 + part * (a4 + part * (a5 + part * a6)))))
            x[i] = value / (one + series * np.int32((np.int32(whole) + bias) << bits).view(np.float32))

    return activate


@dataclass(frozen=True)
class Lesson:
    """Pixel-days that teach: rows are alike in all parts."""

    z: Float[Tensor, "n f"]
    sw: Float[Tensor, "n"]
    air: Float[Tensor, "n w"]
    true: Float[Tensor, "n"]
    measured: Float[Tensor, "n"]
    """As a tower would measure ``true``."""

    def take(self, rows: Tensor) -> Lesson:
        return Lesson(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def _belied(air: Float[Tensor, "n w"], generator: torch.Generator) -> Float[Tensor, "n w"]:
    """The drivers, some rows with the ground water of others."""
    count = int(BELIED * len(air))
    others = torch.randint(len(air), (count,), generator=generator)
    out = air.clone()
    out[:count, GROUND] = air[others][:, GROUND]
    return out


def fit(
    head: DailyHead, lesson: Lesson, steps: int = 3000, rate: float = 5e-3, batch: int = 2048, seed: int = 0
) -> float:
    """Teaches the mean from the truth and the spread from what towers measure of it; returns the last mean loss."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head.meet(lesson.z)
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    recent = 0.0
    for _ in range(steps):
        part = lesson.take(torch.randint(len(lesson.z), (batch,), generator=generator))
        mean, spread = head(part.z, part.sw, _belied(part.air, generator))
        error = (mean - part.true).square() / (1 + 0.2 * part.true)
        surprise = 0.5 * ((part.measured - mean.detach()) / spread).square() + spread.log()
        loss = error.mean() + 0.2 * surprise.mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        recent += 0.01 * (float(error.mean().detach()) - recent)
    return recent
