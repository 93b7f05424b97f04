"""Checks the jaxtyping signatures of a package at every call: shapes and dtypes of all arguments and results.

``typeguard.typechecked`` of typeguard 4 rewrites the source of a function and cannot parse shapes such as
``"*n band"`` (jaxtyping asks for typeguard 2 for that reason); ``typeguard.check_type`` compares a value with an
annotation, which is all that is needed here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import jaxtyping
from typeguard import check_type


def install(package: str) -> None:
    """Check the package's signatures from here on; before any of its modules is imported."""
    jaxtyping.install_import_hook(package, f"{__name__}.checked")


def checked(function: Callable) -> Callable:
    """Decorator that compares arguments and result with the annotations, inside jaxtyping's memory of shapes."""
    signature = inspect.signature(function)
    hints = {name: one.annotation for name, one in signature.parameters.items()}

    @functools.wraps(function)
    def call(*args, **kwargs):
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            kind = signature.parameters[name].kind
            each = {kind.VAR_POSITIONAL: lambda v: v, kind.VAR_KEYWORD: lambda v: v.values()}
            for one in each.get(kind, lambda v: [v])(value):
                _check(one, hints[name])
        result = function(*args, **kwargs)
        _check(result, signature.return_annotation)
        return result

    return call


def _check(value: object, annotation: object) -> None:
    if annotation is not inspect.Signature.empty:
        check_type(value, annotation)
