"""Any part of the world as JSON values and back, by the annotations of its dataclasses.

A room's state is dataclasses, dicts, lists, sets, texts and numbers; a field that is only derived
says so with `metadata=DERIVED`. Nothing else is needed to have it saved.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

Json = Any
Reader = Callable[[Json], Any]

SIMPLE = frozenset((str, int, float, bool, NoneType))

DERIVED = {"saved": False}
"""`metadata` of a dataclass field that is not saved, since it follows from the others."""


@cache
def saved_fields(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind) if one.metadata.get("saved", True))


def recorded(value: Any) -> Json:
    """A value as JSON values. Keys that are no texts are written as texts, a map whose keys are
    tuples as a list of pairs. TypeError for what is no plain data."""
    kind = value.__class__
    if kind in SIMPLE:
        return value
    if isinstance(value, dict):
        return _recorded_map(value)
    if isinstance(value, (list, tuple)):
        return [one if one.__class__ in SIMPLE else recorded(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(recorded(one) for one in value)
    if isinstance(value, random.Random):
        version, words, gauss = value.getstate()
        return [version, list(words), gauss]
    if is_dataclass(kind):
        return {name: recorded(getattr(value, name)) for name in saved_fields(value.__class__)}
    raise TypeError(f"{kind.__name__}: the world holds plain data only")


def _recorded_map(value: Mapping[Any, Any]) -> Json:
    if value and isinstance(next(iter(value)), tuple):
        return [[list(key), recorded(one)] for key, one in value.items()]
    return {
        str(key): one if one.__class__ in SIMPLE else recorded(one) for key, one in value.items()
    }


def restored(kind: Any, saved: Json) -> Any:
    """The value of that type of which `saved` is the record. What the record lacks gets the
    dataclass's default, what it has too much is left out."""
    return reader(kind)(saved)


@cache
def reader(kind: Any) -> Reader:
    """The function that reads values of one annotated type."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if not isinstance(origin, type):
        return _reader_of_union(arguments) if origin is Union else _same
    if origin is UnionType:
        return _reader_of_union(arguments)
    if issubclass(origin, dict):
        return _reader_of_map(origin, arguments or _map_arguments(origin))
    if issubclass(origin, (list, tuple, set, frozenset)) and arguments:
        return partial(_sequence, origin, reader(arguments[0]))
    if origin is random.Random:
        return _generator
    return partial(_instance, origin) if is_dataclass(origin) else _same


def _same(saved: Json) -> Any:
    return saved


def _sequence(kind: Callable[[Any], Any], read: Reader, saved: Json) -> Any:
    return kind(saved if read is _same else map(read, saved))


def _map_arguments(kind: type) -> tuple[Any, ...]:
    """Key and value types of a class that inherits from `dict[K, V]`."""
    bases = getattr(kind, "__orig_bases__", ())
    return next((get_args(one) for one in bases if get_args(one)), ())


def _reader_of_map(kind: type, arguments: tuple[Any, ...]) -> Reader:
    if not arguments:
        return _same if kind is dict else kind
    key, value = arguments
    read = reader(value)
    if get_origin(key) is tuple:
        return lambda saved: kind((tuple(name), read(one)) for name, one in saved)
    if key is int:
        return lambda saved: kind((int(name), read(one)) for name, one in saved.items())
    if read is _same:
        return kind
    return lambda saved: kind((name, read(one)) for name, one in saved.items())


def _reader_of_union(arguments: tuple[Any, ...]) -> Reader:
    """`X | None` for one X; unions of simple types are read as they are."""
    readers = [one for one in map(reader, arguments) if one is not _same]
    if not readers:
        return _same
    if len(readers) > 1:
        raise TypeError(f"{arguments}: a record does not tell which of these it is")
    read = readers[0]
    return lambda saved: saved if saved.__class__ in SIMPLE else read(saved)


def _generator(saved: Json) -> random.Random:
    found = random.Random()
    version, words, gauss = saved
    found.setstate((version, tuple(words), gauss))
    return found


@cache
def _readers(kind: type) -> dict[str, Reader]:
    hints = get_type_hints(kind)
    return {name: reader(hints[name]) for name in saved_fields(kind)}


def _instance(kind: Callable[..., Any], saved: Json) -> Any:
    assert isinstance(kind, type)
    known = _readers(kind)
    given = {name: known[name](one) for name, one in saved.items() if name in known}
    late = {name: given.pop(name) for name in _made_later(kind) if name in given}
    found = kind(**given)
    for name, value in late.items():
        setattr(found, name, value)
    return found


@cache
def _made_later(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind) if not one.init)
