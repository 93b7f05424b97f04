"""Small tensors for the networks."""

import pytest
import torch
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.sensors import SENSORS


@pytest.fixture(scope="session")
def model() -> Embedder:
    """An untrained embedder of both sensors: what is tested here must hold for any weights."""
    torch.manual_seed(1)
    return Embedder().eval().requires_grad_(False)


@pytest.fixture
def tokens() -> dict[str, Tokens]:
    """Five pixels, forty acquisitions each; half of Sentinel-2 clouded."""
    generator = torch.Generator().manual_seed(2)

    def make(name: str, every: int, clear: float) -> Tokens:
        shape = (1, 40, 5)
        return Tokens(
            torch.randn(*shape, SENSORS[name].token, generator=generator),
            torch.rand(*shape, generator=generator) < clear,
            torch.arange(40)[None] * every + 18_000,
        )

    return {"s2": make("s2", 5, 0.5), "s1": make("s1", 6, 1.0)}
