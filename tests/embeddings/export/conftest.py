"""The tiny world as a fixture."""

import pytest
from app_world import TinyStore


@pytest.fixture
def store() -> TinyStore:
    return TinyStore()
