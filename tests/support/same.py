"""Equality of values that also asks for the same Python types, all the way down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any

__all__ = ["assert_same"]


def assert_same(mine: Any, theirs: Any, path: str = "value") -> None:
    """Fail unless both are equal and of the same types, their parts included.

    A named tuple is the same as one of another class with that name and those fields: the driver
    makes a class for each result.
    """
    if isinstance(theirs, tuple) and hasattr(theirs, "_fields"):
        assert mine._fields == theirs._fields, path
        assert isinstance(mine, tuple), path
    else:
        assert type(mine) is type(theirs), f"{path}: {type(mine)} is not {type(theirs)}"
    if isinstance(theirs, float) and math.isnan(theirs):
        assert math.isnan(mine), path
        return
    if isinstance(theirs, Mapping):
        _assert_same_items(list(mine.keys()), list(theirs.keys()), f"{path} keys")
        _assert_same_items(list(mine.values()), list(theirs.values()), f"{path} values")
        for key in theirs:
            assert_same(mine[key], theirs[key], f"{path}[{key!r}]")
        return
    if isinstance(theirs, list | tuple | Set):
        _assert_same_items(list(mine), list(theirs), path)
        if not _holds_nan(theirs):
            assert mine == theirs, path
        return
    assert mine == theirs, f"{path}: {mine!r} is not {theirs!r}"
    assert repr(mine) == repr(theirs), path


def _assert_same_items(mine: list[Any], theirs: list[Any], path: str) -> None:
    assert len(mine) == len(theirs), f"{path}: {len(mine)} items, not {len(theirs)}"
    for index, (my_item, their_item) in enumerate(zip(mine, theirs, strict=True)):
        assert_same(my_item, their_item, f"{path}[{index}]")


def _holds_nan(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Mapping):
        return any(map(_holds_nan, value.keys())) or any(map(_holds_nan, value.values()))
    return isinstance(value, list | tuple | Set) and any(map(_holds_nan, value))
