"""What is held stays within its bytes, the newest always."""

import numpy as np
from fluxlens.app.data.byte_cache import ByteLimitedCache, count_bytes


def test_what_was_not_asked_for_longest_is_forgotten():
    made = []

    def make(name: str) -> np.ndarray:
        made.append(name)
        return np.zeros(100, "uint8")

    held = ByteLimitedCache(make, max_bytes=250)
    for name in "abacab":
        held(name)
    assert made == ["a", "b", "c", "b"]
    assert held.nbytes == 200


def test_an_answer_larger_than_all_stays_until_the_next():
    held = ByteLimitedCache(lambda n: np.zeros(n, "uint8"), max_bytes=10)
    assert held(99) is held(99)
    held(5)
    assert held.nbytes == 5


def test_parts_weigh_together():
    assert count_bytes((np.zeros(3, "float32"), [np.zeros(2, "uint8")], "words")) == 14
