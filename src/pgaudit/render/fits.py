"""A value and a type annotation → whether they agree, for values that came from outside."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, cast


def fits(value: object, wanted: Any) -> bool:
    """Say whether a value is what an annotation promises, through dataclasses and collections.

    >>> fits(("a", "b"), tuple[str, ...]), fits(("a", 1), tuple[str, ...]), fits(True, int)
    (True, False, False)
    >>> fits(1, float), fits(float("nan"), float), fits(None, str | None)
    (True, False, True)
    """
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(one, inner[0]) for one in value)
    if origin is frozenset:
        return isinstance(value, frozenset) and all(fits(one, inner[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            fits(key, inner[0]) and fits(one, inner[1]) for key, one in value.items()
        )
    if wanted is float:
        return _number(value) and math.isfinite(cast(float, value))
    if wanted is int:
        return _number(value) and isinstance(value, int)
    if not isinstance(value, wanted):
        return False
    if not dataclasses.is_dataclass(value):
        return True
    return all(
        fits(getattr(value, name), hint) for name, hint in _hints(cast(Any, type(value))).items()
    )


def _number(value: object) -> bool:
    """Tell numbers that a server can have from truth values, and from ones without a float."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
