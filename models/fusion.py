"""The fusion: what all sensors saw around a day becomes the embedding of that day.

Two rounds of kernel regression over time, both learned. In the first every acquisition is set beside what all the
others say of its own day, and is corrected and weighed by that: haze, snow and speckle that disagree with their
neighbours lose weight, the learned counterpart of a robust local regression (Cleveland 1979). In the second the asked
day takes a locally linear average (Fan 1993) of the corrected acquisitions, per head with its own reach in time.

A kernel depends on dates alone, not on the pixel, so that both rounds are plain matrix products over whole blocks of
pixels; and it is smooth in time, so that an embedding moves when the land does, not when a satellite passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.batch import Answer, Tokens
from models.sensors import SensorSpec

WINDOW_DAYS = 200
"""Acquisitions farther from an asked day than this are not looked at."""
MONTH = 30.0
"""Unit of time inside the networks, days."""
PACE = 10.0
"""Shapes of kernels are few and far from their best at the start: they learn this much faster than other weights."""
TINY = 1e-14
"""Weight of nothing seen: a value told by less fades away, and its gradient stays finite."""
LEAST_CORE_DAYS = 1.5
"""No kernel is narrower: a day with an acquisition is told like the days beside it."""
CYCLES_DAYS = (5, 10, 6, 12)
"""Repeat of Sentinel-2 and Sentinel-1 orbits: passes this far apart look from the same side."""


def _reaches(heads: int) -> tuple[Tensor, Tensor]:
    """Cores (days beyond the least) and sides that kernels start from; every fourth looks back, every fourth ahead."""
    core = torch.logspace(-0.3, 1.3, heads)
    side = torch.tensor([(0.0, 0.0, 3.0, -3.0)[i % 4] for i in range(heads)])
    return core, side


class Kernel(nn.Module):
    """Log weight of an acquisition by its distance in time: per head a power law with a smooth core and a side."""

    def __init__(self, heads: int, cycles: bool = False) -> None:
        super().__init__()
        core, side = _reaches(heads)
        self.log_core = nn.Parameter(core.log() / PACE)
        self.power = nn.Parameter(torch.full((heads,), 4.0 / PACE))
        self.side = nn.Parameter(side / PACE)
        self.cycle = nn.Parameter(torch.zeros(heads, len(CYCLES_DAYS))) if cycles else None

    def shape(self) -> tuple[Tensor, Tensor, Tensor]:
        """Core (days), power and side per head, (h, 1, 1) each."""
        core, power, side = (PACE * p[:, None, None] for p in (self.log_core, self.power, self.side))
        return LEAST_CORE_DAYS + core.exp(), nn.functional.softplus(power), side

    def forward(self, dt: Float[Tensor, "a q t"]) -> Float[Tensor, "a h q t"]:
        """``dt``: acquisition's day minus asked day, days."""
        dt = dt[:, None]
        core, power, side = self.shape()
        far = (dt / core).square()
        log_weight = side * dt * torch.rsqrt(dt.square() + core.square() + 4) - 0.5 * power * torch.log1p(far)
        if self.cycle is not None:
            phases = torch.stack([torch.cos(2 * torch.pi * dt / days) for days in CYCLES_DAYS], -1)
            log_weight = log_weight + torch.einsum("aoqtc,hc->ahqt", phases, PACE * self.cycle)
        return log_weight


class Memory(nn.Module):
    """Acquisitions of one sensor as weighted values, ready to be averaged for any day."""

    def __init__(self, width: int, heads: int, value: int, hidden: int, cycles: bool = False) -> None:
        super().__init__()
        self.heads, self.value = heads, value
        self.kernel = Kernel(heads, cycles)
        self.read = nn.Sequential(nn.Linear(width, hidden), nn.GELU())
        self.trust = nn.Linear(hidden, heads)
        self.bend = nn.Linear(hidden, heads * value)
        self.straight = nn.Linear(width, heads * value, bias=False)
        self.log_ridge = nn.Parameter(torch.full((heads,), -2.0 / PACE))
        nn.init.zeros_(self.trust.weight)
        nn.init.zeros_(self.trust.bias)

    @property
    def width(self) -> int:
        """Numbers per day: the values, and per head the evidence for them and its centre in time."""
        return self.heads * (self.value + 2)

    def write(self, x: Float[Tensor, "a t p w"], usable: Tensor) -> Float[Tensor, "a h t p c"]:
        """Per head each acquisition's weight, followed by its weighted values; zeros where it is not usable."""
        hidden = self.read(x)
        weight = torch.exp(self.trust(hidden).clamp(-8, 4)) * usable[..., None]  # a t p h
        values = (self.bend(hidden) + self.straight(x)).unflatten(-1, (self.heads, self.value))
        return (
            torch.cat([weight[..., None], weight[..., None] * values], -1).permute(0, 3, 1, 2, 4).contiguous()
        )

    def ask(
        self, dt: Float[Tensor, "a q t"], seen: Tensor, written: Float[Tensor, "a h t p c"]
    ) -> tuple[Float[Tensor, "a q p hv"], Float[Tensor, "a q p h2"]]:
        """Locally linear values per head, and evidence (log weight, centre in time); zeros where nothing is seen."""
        a, h, t, p, c = written.shape
        q = dt.shape[1]
        near = dt[:, None] / MONTH
        kernel = torch.exp(self.kernel(dt)) * seen[:, None]  # a h q t
        lagged = kernel * near
        sums = torch.matmul(torch.cat([kernel, lagged], 2), written.reshape(a, h, t, p * c)).view(
            a, h, 2, q, p, c
        )
        zeroth, first = sums[:, :, 0], sums[:, :, 1]
        second = torch.matmul(lagged * near, written[..., 0])  # a h q p
        total = zeroth[..., 0]
        one_over = 1 / (total + TINY)
        centre = first[..., 0] * one_over
        variance = (second * one_over - centre.square()).clamp(min=0)
        ridge = torch.exp(PACE * self.log_ridge)[:, None, None]  # month2
        tilt = centre / (variance + ridge)
        level, slope = one_over * (1 + centre * tilt), -one_over * tilt
        values = level[..., None] * zeroth[..., 1:] + slope[..., None] * first[..., 1:]  # a h q p v
        evidence = torch.stack([torch.log(total + TINY) / 8, centre / (1 + centre.abs())], -1)
        return values.permute(0, 2, 3, 1, 4).flatten(3), evidence.permute(0, 2, 3, 1, 4).flatten(3)

    def nothing(self, like: Tensor, a: int, q: int, p: int) -> tuple[Tensor, Tensor]:
        """The answer where the sensor never looked: what ``ask`` gives when nothing is seen."""
        evidence = like.new_tensor([TINY, 1.0]).log() * like.new_tensor([1 / 8, 0.0])
        return like.new_zeros(a, q, p, self.heads * self.value), evidence.repeat(self.heads).expand(
            a, q, p, -1
        )


@dataclass(frozen=True)
class Written:
    """One sensor's corrected acquisitions, made once and asked for any day."""

    day: Int[Tensor, "a t"]
    values: Float[Tensor, "a h t p c"]

    def around(self, days: Int[Tensor, "a q"]) -> Written:
        """Without the acquisitions at either end that no asked day looks at."""
        near = (self.day >= days.min() - WINDOW_DAYS) & (self.day <= days.max() + WINDOW_DAYS)
        at = near.any(0).nonzero().flatten().tolist() or [0]
        part = slice(at[0], at[-1] + 1)
        return Written(self.day[:, part], self.values[:, :, part])


class Fusion(nn.Module):
    """Tokens of all sensors to the embedding of any day, and how far off what it tells may be."""

    CONTEXT_HEADS, CONTEXT_VALUE = 4, 6

    def __init__(self, specs: dict[str, SensorSpec], features: int, hidden: int) -> None:
        super().__init__()
        self.sensors = tuple(specs)
        self.bands = {name: len(spec.bands) for name, spec in specs.items()}
        self.context = nn.ModuleDict(
            {
                name: Memory(spec.token, self.CONTEXT_HEADS, self.CONTEXT_VALUE, 24, cycles=True)
                for name, spec in specs.items()
            }
        )
        beside = sum(memory.width for memory in self.context.values())
        self.memory = nn.ModuleDict(
            {name: Memory(spec.token + beside, spec.heads, 8, 64) for name, spec in specs.items()}
        )
        values = sum(memory.heads * memory.value for memory in self.memory.values())
        evidence = sum(memory.heads * 2 for memory in self.memory.values())
        self.straight = nn.Linear(values, features)
        self.first = nn.Linear(values + evidence, hidden)
        self.bend = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, features)
        )
        self.doubt = nn.Sequential(
            nn.Linear(evidence + features, 32), nn.GELU(), nn.Linear(32, sum(self.bands.values()))
        )

    def adopt(self, taught: Fusion) -> None:
        """Starts from a fusion of fewer sensors: gives its very answers, what it did not know counting for nothing.

        A sensor both know brings its kernels and readings; the network that joins sensors is taken over where it
        is still untaught, from the fusion whose sensors come first here.
        """
        first = self.sensors[: len(taught.sensors)] == taught.sensors
        for name in taught.sensors:
            self.context[name].load_state_dict(taught.context[name].state_dict())
            _take(self.memory[name], taught.memory[name], self._read_from(name), taught._read_from(name))
        if not first:
            return
        mine, theirs = self._joins(), taught._joins()
        _take(self.straight, taught.straight, mine["values"], theirs["values"])
        _take(
            self.first, taught.first, mine["values"] + mine["evidence"], theirs["values"] + theirs["evidence"]
        )
        self.bend.load_state_dict(taught.bend.state_dict())

    def _read_from(self, name: str) -> list[str]:
        """What each input of a memory's reading is."""
        own = [f"token {i}" for i in range(self.memory[name].read[0].in_features)]
        beside = []
        for other, memory in self.context.items():
            beside += [f"{other} {i}" for i in range(memory.width)]
        return own[: len(own) - len(beside)] + beside

    def _joins(self) -> dict[str, list[str]]:
        """What each input of the joining network is."""
        labels: dict[str, list[str]] = {"values": [], "evidence": []}
        for name, memory in self.memory.items():
            labels["values"] += [f"{name} value {i}" for i in range(memory.heads * memory.value)]
            labels["evidence"] += [f"{name} evidence {i}" for i in range(memory.heads * 2)]
        return labels

    def forward(self, tokens: dict[str, Tokens], days: Int[Tensor, "a q"], causal: bool = False) -> Answer:
        """Embeddings of ``days``, the same for all pixels of an area."""
        return self.answer(self.write(tokens, causal), days, causal)

    def write(self, tokens: dict[str, Tokens], causal: bool = False) -> dict[str, Written]:
        """Round one: every acquisition beside what all the others say of its own day."""
        tokens = {name: t for name, t in tokens.items() if name in self.memory and t.day.shape[1]}
        context = {name: self.context[name].write(t.token, t.usable) for name, t in tokens.items()}
        written = {}
        for name, own in tokens.items():
            beside = [own.token]
            for other, memory in self.context.items():
                if other not in tokens:
                    beside += memory.nothing(own.token, *own.usable.shape)
                    continue
                dt, seen = _distance(tokens[other].day, own.day, causal)
                if other == name:
                    seen = seen & (dt != 0)
                beside += memory.ask(dt, seen, context[other])
            written[name] = Written(own.day, self.memory[name].write(torch.cat(beside, -1), own.usable))
        return written

    def answer(self, written: dict[str, Written], days: Int[Tensor, "a q"], causal: bool = False) -> Answer:
        """Round two: the asked days from the corrected acquisitions."""
        like = self.straight.weight
        p = next((w.values.shape[3] for w in written.values()), 1)
        values, evidence = [], []
        for name, memory in self.memory.items():
            if name in written:
                one = written[name].around(days)
                dt, seen = _distance(one.day, days, causal)
                told = memory.ask(dt, seen, one.values)
            else:
                told = memory.nothing(like, *days.shape, p)
            values.append(told[0])
            evidence.append(told[1])
        x, known = torch.cat(values, -1), torch.cat(evidence, -1)
        z = self.straight(x) + self.bend(self.first(torch.cat([x, known], -1)))
        # Doubt is told from the answer, it does not shape it.
        doubt = self.doubt(torch.cat([known.detach(), z.detach()], -1))
        return Answer(z, dict(zip(self.bands, doubt.split(list(self.bands.values()), -1), strict=True)))


@torch.no_grad()
def _take(mine: nn.Module, theirs: nn.Module, inputs: list[str], known: list[str]) -> None:
    """Weights of ``theirs`` for the inputs it knows, zero for the others; everything else as it is."""
    state, taught = mine.state_dict(), theirs.state_dict()
    at = [inputs.index(label) for label in known]
    for key, value in taught.items():
        if value.shape == state[key].shape:
            state[key] = value
        else:
            state[key] = torch.zeros_like(state[key])
            state[key][:, at] = value
    mine.load_state_dict(state)


def _distance(
    there: Int[Tensor, "a t"], asked: Int[Tensor, "a q"], causal: bool
) -> tuple[Float[Tensor, "a q t"], Tensor]:
    """Acquisition's day minus asked day, days, and which acquisitions may be looked at."""
    dt = (there[:, None] - asked[:, :, None]).to(torch.float32)
    seen = dt.abs() <= WINDOW_DAYS
    return dt, seen & (dt <= 0) if causal else seen
