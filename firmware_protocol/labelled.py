"""Frozen dataclasses as CBOR maps with integer labels. A label's number is frozen and never reused.

@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    device_id: str = label(1, most=12)
    up_to_seq: int = label(3)
"""

import dataclasses
import types
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from firmware_protocol.errors import Malformed, UnknownClaim

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    number: int
    kind: Any
    optional: bool
    size: int | None
    most: int | None
    fits: Callable[[Any], bool]  # quickly true for a plain value that may stay as it is; `_typed` decides the rest
    item: "_Field | None"  # of an array: what each of its items must be


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """What is read again for every message of a class."""

    fields: dict[int, _Field]
    required: tuple[_Field, ...]
    grows: bool
    shapes: dict[tuple[int, ...], "_Shape"]  # of maps read before, by their labels


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    """All that can be said of a map from its labels: one comparison instead of one a field."""

    names: tuple[str, ...]
    kinds: tuple[type, ...]  # of the labels, then of the values
    numbers: tuple[int, ...]  # places of integers, none of them negative
    sizes: tuple[tuple[int, int], ...]  # place, exact length
    mosts: tuple[tuple[int, int], ...]  # place, longest
    enums: tuple[tuple[int, Mapping[int, IntEnum]], ...]  # place, what a number means
    deeper: tuple[_Field, ...]  # arrays and maps


_MOST_SHAPES = 64
"""Remembered for one class; a class with more optional fields than that is read the long way."""


def label(number: int, *, size: int | None = None, most: int | None = None, optional: bool = False) -> Any:  # noqa: ANN401 - dataclass field
    """A field with its wire label. `size`: exact bytes; `most`: longest string, or most items of an array."""
    metadata = {"number": number, "size": size, "most": most}
    if optional:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(metadata=metadata)


def to_map(value: Any) -> dict[int, Any]:  # noqa: ANN401 - any labelled dataclass
    """Absent optional fields are left out; labels rise."""
    cls: Any = type(value)
    return {
        number: item if type(item) in _LEAVES else _plain(item)
        for name, number in _cached_labels(cls)
        if (item := getattr(value, name)) is not None
    }


def from_map(cls: type[T], data: Mapping[int, Any]) -> T:
    """A class with GROWS = True may say more than this side knows; of every other an unknown label is refused.

    Raises: UnknownClaim for an unknown label, Malformed for anything else that does not fit.
    """
    plan = _plan(cls)
    labels = tuple(data)
    shape = plan.shapes.get(labels)
    if shape is not None:
        arguments = _quickly(shape, data)
        if arguments is not None:
            for field in shape.deeper:
                arguments[field.name] = _typed(cls.__name__, field, field.kind, arguments[field.name])
            return cls(**arguments)
    return _from_map_slowly(cls, plan, data)


def _from_map_slowly(cls: type[T], plan: "_Plan", data: Mapping[int, Any]) -> T:
    """Field by field, with words for what does not fit; what fits is remembered by its shape."""
    if not (plan.grows or data.keys() <= plan.fields.keys()):
        raise _no_label(cls, plan, data)
    arguments: dict[str, Any] = {}
    for number, raw in data.items():
        if type(number) is not int:  # true would pass for 1
            raise _no_label(cls, plan, data)
        field = plan.fields.get(number)
        if field is not None:
            arguments[field.name] = raw if field.fits(raw) else _typed(cls.__name__, field, field.kind, raw)
    for field in plan.required:
        if field.name not in arguments:
            raise Malformed(f"{cls.__name__} lacks label {field.number} ({field.name})")
    if len(plan.shapes) < _MOST_SHAPES and len(arguments) == len(data):
        plan.shapes[tuple(data)] = _shape_of([plan.fields[number] for number in data])
    return cls(**arguments)


def _quickly(shape: _Shape, data: Mapping[int, Any]) -> dict[str, Any] | None:
    """The arguments, with arrays and maps as they came; None when a value does not fit."""
    values = list(data.values())
    if (*map(type, data), *map(type, values)) != shape.kinds:
        return None
    for place in shape.numbers:
        if values[place] < 0:
            return None
    for place, size in shape.sizes:
        if len(values[place]) != size:
            return None
    for place, most in shape.mosts:
        if len(values[place]) > most:
            return None
    for place, meanings in shape.enums:
        if values[place] not in meanings:
            return None
        values[place] = meanings[values[place]]
    return dict(zip(shape.names, values, strict=True))


def _shape_of(fields: list[_Field]) -> _Shape:
    enums = [
        (place, {int(member): member for member in field.kind})
        for place, field in enumerate(fields)
        if isinstance(field.kind, type) and issubclass(field.kind, IntEnum)
    ]
    enumerated = {place for place, _ in enums}
    deeper = {place: _container(field.kind) for place, field in enumerate(fields) if _container(field.kind)}
    kinds = [int if place in enumerated else deeper.get(place) or field.kind for place, field in enumerate(fields)]
    plain = [(place, field) for place, field in enumerate(fields) if place not in deeper]
    return _Shape(
        names=tuple(field.name for field in fields),
        kinds=(*(int for _ in fields), *kinds),
        numbers=tuple(place for place, kind in enumerate(kinds) if kind is int and place not in enumerated),
        sizes=tuple((place, field.size) for place, field in plain if field.size is not None),
        mosts=tuple((place, field.most) for place, field in plain if field.most is not None),
        enums=tuple(enums),
        deeper=tuple(fields[place] for place in deeper),
    )


def _container(kind: Any) -> type | None:  # noqa: ANN401 - a type or alias
    """What CBOR has for an array or a labelled class; None for a plain value."""
    if get_origin(kind) is tuple:
        return list
    return dict if dataclasses.is_dataclass(kind) else None


def _no_label(cls: type, plan: "_Plan", data: Mapping[int, Any]) -> Malformed:
    if not all(type(key) is int for key in data):
        return Malformed(f"{cls.__name__} has a label that is no integer")
    return UnknownClaim(f"{cls.__name__} has no label {min(set(data) - set(plan.fields))}")


_LEAVES: Final = frozenset((int, bool, bytes, str))


def _plain(item: Any) -> Any:  # noqa: ANN401
    if type(item) in _LEAVES:
        return item
    if isinstance(item, IntEnum):
        return int(item)
    if isinstance(item, tuple):
        return [_plain(part) for part in item]
    if dataclasses.is_dataclass(item):
        return to_map(item)
    return item


def _typed(owner: str, field: _Field, kind: Any, raw: Any) -> Any:  # noqa: ANN401
    where = f"{owner}.{field.name}"
    if get_origin(kind) is tuple:
        return _typed_tuple(where, field, raw)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(raw, dict):
            raise Malformed(f"{where} must be a map")
        return from_map(kind, raw)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return _typed_enum(where, kind, raw)
    if type(raw) is not kind:
        raise Malformed(f"{where} must be {kind.__name__}, not {type(raw).__name__}")
    if isinstance(raw, int) and not isinstance(raw, bool) and raw < 0:
        raise Malformed(f"{where} must not be negative")
    if isinstance(raw, bytes | str):
        _check_size(where, field, len(raw))
    return raw


def _typed_enum(where: str, kind: type[IntEnum], raw: Any) -> IntEnum:  # noqa: ANN401
    if type(raw) is not int:
        raise Malformed(f"{where} must be int, not {type(raw).__name__}")
    try:
        return kind(raw)
    except ValueError as error:
        raise UnknownClaim(f"{where} has no value {raw}") from error


def _typed_tuple(where: str, field: _Field, raw: Any) -> tuple[Any, ...]:  # noqa: ANN401
    item = field.item
    if item is None or not isinstance(raw, list):
        raise Malformed(f"{where} must be an array")
    if field.most is not None and len(raw) > field.most:
        raise Malformed(f"{where} has {len(raw)} items, at most {field.most}")
    return tuple([each if item.fits(each) else _typed(where, item, item.kind, each) for each in raw])


def _check_size(where: str, field: _Field, length: int) -> None:
    if field.size is not None and length != field.size:
        raise Malformed(f"{where} must have {field.size} bytes, has {length}")
    if field.most is not None and length > field.most:
        raise Malformed(f"{where} has {length}, at most {field.most}")


def fields_of(cls: type) -> tuple[_Field, ...]:
    """What the class's labels say, in the order of their numbers."""
    return _cached_fields(cls)


def _plan(cls: type) -> _Plan:
    return _cached_plan(cls)


@cache
def _cached_labels(cls: Any) -> tuple[tuple[str, int], ...]:  # noqa: ANN401 - as below
    return tuple((field.name, field.number) for field in _cached_fields(cls))


@cache
def _cached_fields(cls: Any) -> tuple[_Field, ...]:  # noqa: ANN401 - mypy does not take a class for Hashable
    hints = get_type_hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        optional = False
        if get_origin(kind) in (Union, types.UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
            optional = True
        meta = field.metadata
        size, most = meta["size"], meta["most"]
        fields.append(_field(field.name, meta["number"], kind, optional=optional, size=size, most=most))
    return tuple(sorted(fields, key=lambda field: field.number))


def _field(name: str, number: int, kind: Any, *, optional: bool, size: int | None, most: int | None) -> _Field:  # noqa: ANN401
    item = None
    if get_origin(kind) is tuple:
        item = _field(name, number, get_args(kind)[0], optional=False, size=size, most=None)
    return _Field(name, number, kind, optional, size, most, _quick_check(kind, size, most), item)


@cache
def _cached_plan(cls: Any) -> _Plan:  # noqa: ANN401 - as above
    fields = fields_of(cls)
    return _Plan(
        fields={field.number: field for field in fields},
        required=tuple(field for field in fields if not field.optional),
        grows=getattr(cls, "GROWS", False),
        shapes={},
    )


def _quick_check(kind: Any, size: int | None, most: int | None) -> Callable[[Any], bool]:  # noqa: ANN401 - a type or alias
    """The plain cases of `_typed`, without its words."""
    if kind is int:
        return lambda raw: type(raw) is int and raw >= 0
    if kind is bool:
        return lambda raw: type(raw) is bool
    if kind is bytes and size is not None:
        return lambda raw: type(raw) is bytes and len(raw) == size
    if kind in (bytes, str) and size is None and most is not None:
        return lambda raw: type(raw) is kind and len(raw) <= most
    return lambda _raw: False
