"""Values between the server and its sandboxed children, as CBOR.

Not pickle: a child that a hostile PDF has taken over chooses the bytes it answers with, and unpickling runs code. Here
the worst a child can do is to return a wrong value of a known type: plain data, arrays, and dataclasses, enums and
exceptions of the modules on the allow-list.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

import cbor2

MAX_DEPTH: Final = 32
_SCALARS: Final = (type(None), bool, int, float, str, bytes)
_MAKERS: Final[dict[str, Callable[[Iterable[object]], object]]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}
_SEQUENCES: Final[dict[type, str]] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}


class NotPlain(Exception):
    """A value that may not cross: wrong type, unknown class, or bytes that are not this encoding."""


class Codec:
    """Encodes and decodes for one allow-list of module prefixes."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(modules)

    def allowed(self, module: str) -> bool:
        """Whether `module` is one of the listed ones or inside one of them."""
        return any(module == name or module.startswith(f"{name}.") for name in self._modules)

    def dumps(self, value: object) -> bytes:
        """Raises: NotPlain."""
        return cbor2.dumps(self._lower(value, 0))

    def loads(self, data: bytes) -> Any:  # noqa: ANN401 - whatever was sent
        """Raises: NotPlain."""
        try:
            return self._lift(cbor2.loads(data), 0)
        except NotPlain:
            raise
        except Exception as error:
            raise NotPlain("broken bytes from the other side") from error

    def resolve(self, path: str) -> Any:  # noqa: ANN401 - a class or function
        """The object at "module:Outer.inner" of an allowed module.

        Raises: NotPlain.
        """
        module, _sep, qualname = path.partition(":")
        if not self.allowed(module):
            raise NotPlain(f"{module} is not on the allow-list")
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        if getattr(found, "__module__", None) != module:
            raise NotPlain(f"{path} is imported there, not defined there")
        return found

    def name_of(self, thing: Any) -> str:  # noqa: ANN401 - a class or function
        """The "module:qualname" of a class or function.

        Raises: NotPlain, when its module is not on the list.
        """
        if not self.allowed(thing.__module__):
            raise NotPlain(f"{thing.__module__} is not on the allow-list")
        return f"{thing.__module__}:{thing.__qualname__}"

    def _lower(self, value: object, depth: int) -> object:  # noqa: C901, PLR0911 - one line per type
        if depth > MAX_DEPTH:
            raise NotPlain("nested too deeply")
        deeper = depth + 1
        match value:
            case Enum():
                return ["enum", self.name_of(type(value)), self._lower(value.value, deeper)]
            case BaseException():
                return ["error", self.name_of(type(value)), self._lower([list(value.args), vars(value)], deeper)]
            case UUID():
                return ["uuid", value.bytes]
            case datetime():
                return ["datetime", value.isoformat()]
            case bytearray() | memoryview():
                return bytes(value)
            case dict():
                pairs = [[self._lower(key, deeper), self._lower(item, deeper)] for key, item in value.items()]
                return ["dict", pairs]
        if type(value) in _SCALARS:
            return value
        if type(value) in _SEQUENCES:
            items = cast("Iterable[object]", value)
            return [_SEQUENCES[type(value)], [self._lower(item, deeper) for item in items]]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
            return ["class", self.name_of(type(value)), self._lower(fields, deeper)]
        if type(value).__module__ == "numpy":
            return self._lower_numpy(value)
        raise NotPlain(f"{type(value).__name__} cannot cross")

    def _lower_numpy(self, value: Any) -> object:  # noqa: ANN401 - numpy is not imported here
        if value.dtype.kind not in "biuf":
            raise NotPlain("only numbers and truth values cross in arrays")
        if value.ndim == 0:
            return value.item()
        return ["array", value.dtype.str, list(value.shape), value.tobytes()]

    def _lift(self, value: Any, depth: int) -> Any:  # noqa: ANN401, PLR0911, C901 - one line per type
        if depth > MAX_DEPTH:
            raise NotPlain("nested too deeply")
        deeper = depth + 1
        match value:
            case None | bool() | int() | float() | str() | bytes():
                return value
            case [("list" | "tuple" | "set" | "frozenset") as kind, [*items]]:
                return _MAKERS[kind](self._lift(item, deeper) for item in items)
            case ["dict", [*pairs]]:
                return {self._lift(key, deeper): self._lift(item, deeper) for key, item in pairs}
            case ["uuid", bytes(raw)]:
                return UUID(bytes=raw)
            case ["datetime", str(text)]:
                return datetime.fromisoformat(text)
            case ["array", str(dtype), [*shape], bytes(raw)]:
                return _array(dtype, shape, raw)
            case ["enum", str(path), plain]:
                return self._class(path, Enum)(self._lift(plain, deeper))
            case ["class", str(path), fields]:
                return self._class(path, object)(**self._lift(fields, deeper))
            case ["error", str(path), parts]:
                return self._error(path, self._lift(parts, deeper))
        raise NotPlain("unknown kind of value")

    def _class(self, path: str, base: type) -> Any:  # noqa: ANN401 - a class of the allow-list
        found = self.resolve(path)
        fits = isinstance(found, type) and issubclass(found, base)
        if not fits or not (base is not object or dataclasses.is_dataclass(found)):
            raise NotPlain(f"{path} is not a class that may cross")
        return found

    def _error(self, path: str, parts: Any) -> BaseException:  # noqa: ANN401 - checked here
        found = self._class(path, Exception)
        arguments, facts = parts
        error: BaseException = found.__new__(found, *arguments)
        error.args = tuple(arguments)
        vars(error).update(facts)
        return error


def _array(dtype: str, shape: list[int], raw: bytes) -> object:
    import numpy as np

    kind = np.dtype(dtype)
    if kind.kind not in "biuf":
        raise NotPlain("only numbers and truth values cross in arrays")
    return np.frombuffer(raw, dtype=kind).reshape(shape).copy()
