"""A frozen dataclass as a table of fields: how a plugin says what its part of `x-mesh` may be.

Annotations are the types: `str`, `int`, `float`, `bool`, `Path`, `Literal` and enumerations of text, `tuple[T, ...]`,
`Mapping[str, T]`, `T | None`, other dataclasses; and `Annotated[T, type]`, where the type is one of this room's own.
What has no default must be said. `__post_init__` may raise ValueError for what annotations cannot say.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from composemesh.config.schema.fields import Field, Type
from composemesh.config.schema.messages import Message, Repeated, Table
from composemesh.config.schema.reading import Reading, dotted
from composemesh.config.schema.scalars import ANY_TEXT, Flag, Number, Text, Words, words
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity
from composemesh.model.setting import DOC
from composemesh.runtime.failures import said as said_of

_LARGE = 2**53
"""Beyond it, JSON's numbers are not exact."""


class Untold(TypeError):
    """A dataclass that cannot be read: our words to the author of a plugin."""


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes: `512`, `16k`, `64m` or `1g`, as Compose writes sizes."""

    wanted: str = "a size like 512, 16k, 64m or 1g"
    minimum: int = 0
    maximum: int = _LARGE

    def read(self, path: KeyPath, value: Any, reading: Reading) -> int | None:
        said = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
        size = int(said[1]) << _UNITS[said[2].lower()] if said is not None else -1
        if self.minimum <= size <= self.maximum:
            return size
        reading.wrong_value(path, value, self.wanted)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "integer"], "examples": ["64m"]}


@dataclasses.dataclass(frozen=True, slots=True)
class FilePath:
    """The path of a file or a folder. A relative one counts from the folder of the first Compose file."""

    wanted: str = "a path"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Path | None:
        text = _PATH.read(path, value, reading)
        if text is None:
            return None
        if reading.folder is None and not Path(text).is_absolute():
            hint = "A relative path counts from the first Compose file, and there is none here."
            reading.wrong_value(path, value, "a whole path", hint)
            return None
        return Path(os.path.normpath(Path(reading.folder or "/", text)))

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_PATH = Text(re.compile(r"[^\0]{1,4095}"), "a path")
_SIZE = re.compile(r"([0-9]{1,12})(b|kb?|mb?|gb?|)", re.IGNORECASE)
_UNITS = {"": 0, "b": 0, "k": 10, "kb": 10, "m": 20, "mb": 20, "g": 30, "gb": 30}


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The type of a dataclass's values."""

    config: type
    message: Message

    @property
    def wanted(self) -> str:
        return self.message.wanted

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Any:
        """An instance; nothing at all stands for a mapping that says nothing."""
        before = len(reading.findings)
        said = self.message.read(path, {} if value is None else value, reading)
        if said is None or any(finding.severity is Severity.ERROR for finding in reading.findings[before:]):
            return None
        try:
            return self.config(
                **{name: dict(each) if isinstance(each, dict) else each for name, each in said.items()}
            )
        except ValueError as problem:
            reading.refuse(path, "wrong-value", f"{dotted(path)}: {problem}.")
        except (Exception, SystemExit) as problem:  # a bug of the plugin's, and no mistake of whoever wrote this
            message = f"{dotted(path)}: the plugin failed to make its settings: {said_of(problem)}."
            reading.refuse(path, "plugin-broken", message, "Mend the plugin, or take it out.")
        return None

    def schema(self) -> dict[str, Any]:
        schema = self.message.schema()
        return schema if "required" in schema else {**schema, "type": ["object", "null"]}


@dataclasses.dataclass(frozen=True, slots=True)
class Nothing:
    """The settings of what has none."""

    wanted: str = "left empty"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if value not in (None, {}):
            reading.wrong_type(path, value, self.wanted, "It has no settings.")

    def schema(self) -> dict[str, Any]:
        return {"type": ["object", "null"], "maxProperties": 0}


@lru_cache(256)
def settings_of(what: type) -> Type:
    """What the configuration of a class may say: its `Config`, a dataclass; without one, nothing. Raises Untold."""
    config = getattr(what, "Config", None)
    return Nothing() if config is None else settings(config)


def settings(config: type) -> Settings:
    """The table of a dataclass's fields. Raises Untold where one has a type that configuration cannot have."""
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise Untold(f"{config!r} is no dataclass")
    if not config.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise Untold(f"{config.__qualname__} is not frozen: write @dataclass(frozen=True)")
    try:
        hints = get_type_hints(config, include_extras=True)
    except NameError as problem:
        raise Untold(f"{config.__qualname__}: {problem}; its annotations must be names of the module") from None
    fields = {}
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        type_ = _type(hints[field.name], f"{config.__qualname__}.{field.name}")
        fields[field.name] = Field(type_, str(field.metadata.get(DOC, "")), required=needed)
    return Settings(config, Message(fields))


def _type(hint: Any, where: str) -> Type:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return next((each for each in arguments[1:] if hasattr(each, "read")), None) or _type(arguments[0], where)
    if origin in (Union, UnionType):
        others = [each for each in arguments if each is not NoneType]
        if len(others) == 1:
            return _type(others[0], where)
    if origin is Literal and all(isinstance(each, str) for each in arguments):
        return words(*arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Repeated(_type(arguments[0], where))
    if origin in (dict, Mapping) and arguments[0] is str:
        return Table(_type(arguments[1], where))
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return settings(hint)
        if issubclass(hint, enum.StrEnum):
            return Words({word.value: word for word in hint})
        if hint in _PLAIN:
            return _PLAIN[hint]
    raise Untold(f"{where} is {hint!r}, which configuration cannot be")


_PLAIN: Mapping[type, Type] = {
    bool: Flag(),
    int: Number(-_LARGE, _LARGE),
    float: Number(-_LARGE, _LARGE, whole=False),
    str: ANY_TEXT,
    Path: FilePath(),
}
