"""The cached results stay within their bytes, the newest is always kept."""

import numpy as np
from fluxlens.app.data.byte_cache import ByteLimitedCache, count_bytes


def test_what_was_not_asked_for_longest_is_forgotten():
    made = []

    def make(name: str) -> np.ndarray:
        made.append(name)
        return np.zeros(100, "uint8")

    cache = ByteLimitedCache(make, max_bytes=250)
    for name in "abacab":
        cache(name)
    assert made == ["a", "b", "c", "b"]
    assert cache.nbytes == 200


def test_an_answer_larger_than_all_stays_until_the_next():
    cache = ByteLimitedCache(lambda n: np.zeros(n, "uint8"), max_bytes=10)
    assert cache(99) is cache(99)
    cache(5)
    assert cache.nbytes == 5


def test_parts_weigh_together():
    assert count_bytes((np.zeros(3, "float32"), [np.zeros(2, "uint8")], "words")) == 14
