"""How fast scenes become daily embeddings, beside what the machine's own matrix product reaches in the same run."""

from __future__ import annotations

import time

import numpy as np
import torch

from embeddings import engine
from embeddings.simulate import simulate
from models import checkpoints
from models.embedder import Embedder

PUBLISHED_FLOP = 13.7e9
"""Per pixel and date: Peters et al. (2025, arXiv 2511.11706), counted from their public code."""


def run(side_px: int = 64, device: str = "auto", repeats: int = 3) -> dict[str, float]:
    """Embeds a simulated year and prints nothing; returns one flat object. Scene reading is part of the time."""
    model = checkpoints.load("default", device)
    scene = simulate(
        "bench", seed=1, size_px=side_px, start="2020-01-01", end="2020-12-31", truth=False
    ).load()
    first, last = engine.Request.of(scene, model).days[[0, -1]]
    pixel_days = side_px**2 * int(last - first + 1)
    peak = matmul_peak(model.scale.device)
    for _ in engine.run(scene, model, window=(slice(0, 32), slice(0, 32))):
        pass  # warm: allocator, kernels chosen
    seconds = [_seconds(lambda: _drain(scene, model)) for _ in range(repeats)]
    flop = flop_per_pixel_day(scene, model)
    rate = pixel_days / float(np.median(seconds))
    return {
        "pixel_days_per_s": rate,
        "flop_per_pixel_day": flop,
        "matmul_peak_gflops": peak / 1e9,
        "share_of_peak": rate * flop / peak,
        "published_flop_ratio": PUBLISHED_FLOP / flop,
        "threads": torch.get_num_threads(),
        "weights_mb": sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6,
    }


def matmul_peak(device: torch.device, size: int = 2048) -> float:
    """FLOP per second of a float32 matrix product, the best of five."""
    a, b = torch.randn(2, size, size, device=device)

    def product() -> None:
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()

    product()
    return 2 * size**3 / min(_seconds(product) for _ in range(5))


def flop_per_pixel_day(scene, model: Embedder) -> float:
    """Multiplications and additions of convolutions and matrix products, all of a block's encoding shared out."""
    from torch.utils.flop_counter import FlopCounterMode

    window = (slice(0, 64), slice(0, 64))
    with FlopCounterMode(display=False) as counter:
        blocks = list(engine.run(scene, model, window=window))
    days = sum(block.cube["sigma"].size for block in blocks)
    return counter.get_total_flops() / days


def _drain(scene, model: Embedder) -> None:
    for _ in engine.run(scene, model):
        pass


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:24}{value:14.4g}")
