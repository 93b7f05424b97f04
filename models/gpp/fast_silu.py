"""SiLU on the CPU by a compiled loop: the activation takes most of the time of a GPP map.

``torch.nn.functional.silu`` computes the exponential in full precision and takes five times as long.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Float
from torch import Tensor


def silu_(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Replace each value by ``x * sigmoid(x)``, in place.

    Parameters
    ----------
    x
        Contiguous float32 tensor on the CPU, without gradient; any shape. It is overwritten.

    Returns
    -------
    Tensor
        ``x`` itself; within 3e-7 (relative) of the exact value, NaN stays NaN.
    """
    # A view: ``numpy`` shares the tensor's memory, and ``reshape`` copies nothing of a contiguous one.
    _compiled()(x.numpy().reshape(-1))
    return x


@cache
def _compiled() -> Callable[[np.ndarray], None]:
    """Loop over a flat float32 array, compiled at the first call; numba is imported here since it is slow to import."""
    import numba

    # exp(p) = 2^whole * exp(part) with |part| <= ln(2) / 2, where six terms of the Taylor series are below float32
    # rounding. ln(2) is split into a short number and its remainder, so that whole * ln(2) loses no digits (Cody and
    # Waite 1980); 2^whole is written straight into the exponent bits of a float32.
    one, per_ln2, ln2_high, ln2_low = (
        np.float32(v) for v in (1, 1 / math.log(2), 0.693359375, math.log(2) - 0.693359375)
    )
    a2, a3, a4, a5, a6 = (np.float32(1 / math.factorial(n)) for n in range(2, 7))
    half, exponent_bias, mantissa_bits = np.float32(0.5), np.int32(127), np.int32(23)
    limit = np.float32(87)  # exp(88) overflows to the exponent of infinity

    def activate(x):
        for i in range(x.size):
            value = x[i]
            power = min(max(-value, -limit), limit)
            whole = np.floor(power * per_ln2 + half)
            remainder = power - whole * ln2_high - whole * ln2_low
            series = one + remainder * (
                one
                + remainder * (a2 + remainder * (a3 + remainder * (a4 + remainder * (a5 + remainder * a6))))
            )
            two_to_whole = np.int32((np.int32(whole) + exponent_bias) << mantissa_bits).view(np.float32)
            x[i] = value / (one + series * two_to_whole)

    # Unwrapped: the tests wrap every function to check its signature, and numba compiles plain functions only.
    plain = inspect.unwrap(activate)
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(plain)
