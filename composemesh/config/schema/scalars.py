"""Single values of Istio's messages: texts of a form, numbers, durations, words, expressions."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from composemesh.config.schema.reading import Finding, Reading, dotted, nearest
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity, quotable
from composemesh.routing.predicates import regex_problem

UINT32 = (1 << 32) - 1
INT32 = (1 << 31) - 1
MAX_REGEX = 1024
"""As Istio has it: a program of RE2 grows with its expression."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text, as it is or of a form."""

    pattern: re.Pattern[str] | None = None
    wanted: str = "text"
    empty: bool = False
    """Whether it may be empty."""

    def read(self, path: KeyPath, value: Any, reading: Reading) -> str | None:
        if not isinstance(value, str):
            hint = "" if isinstance(value, Mapping | list) else "Put it in quotes."
            reading.wrong_type(path, value, "text", hint)
        elif not (self._fits(value) if value else self.empty):
            reading.wrong_value(path, value, self.wanted)
        else:
            return value
        return None

    def _fits(self, value: str) -> bool:
        return self.pattern is None or self.pattern.fullmatch(value) is not None

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
ANY_TEXT = Text(empty=True)
LABEL = Text(_LABEL, "up to 63 lowercase letters, digits and `-`, the first and last a letter or digit")
SUBSET_NAME = Text(
    re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?"), "up to 63 letters, digits, `-`, `_` and `.`"
)
HEADER_NAME = Text(re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"), "the name of a header")
MATCH_NAME = Text(
    re.compile(r":(method|scheme|authority|path)|@request\.auth\.claims.*|[-!#$%&'*+.^_`|~0-9a-zA-Z]+"),
    "the name of a header, or :method, :scheme, :authority or :path",
)
HEADER_VALUE = Text(re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*"), "text without control characters", empty=True)
LABEL_VALUE = Text(
    re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?"),
    "letters, digits, `-`, `_` and `.` (no wildcard)",
    empty=True,
)
LABEL_NAME = Text(
    re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9.]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"),
    "the name of a label (no wildcard)",
)
ABSOLUTE_PATH = Text(re.compile(r"/.*"), "an absolute path")


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    wanted: str = "true or false"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> bool | None:
        if isinstance(value, bool):
            return value
        hint = f"Write {value.lower()}, without quotes." if str(value).lower() in ("true", "false") else ""
        reading.wrong_type(path, value, self.wanted, hint)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two others, both included."""

    minimum: float = 0
    maximum: float = UINT32
    whole: bool = True

    @property
    def wanted(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.minimum:g} to {self.maximum:.10g}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            digits = isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value)
            reading.wrong_type(path, value, self.wanted, f"Write {value}, without quotes." if digits else "")
        elif (self.whole and value != int(value)) or not self.minimum <= value <= self.maximum:
            reading.wrong_value(path, value, self.wanted)
        else:
            return int(value) if self.whole else float(value)
        return None

    def schema(self) -> dict[str, Any]:
        return {
            "type": "integer" if self.whole else "number",
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


COUNT = Number(0, INT32)
UNSIGNED = Number(0, UINT32)
SHARE = Number(0, 100, whole=False)
"""Percent, with fractions."""
PERCENT = Number(0, 100)


_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{0,9})?(?:ns|us|µs|ms|s|m|h)){1,6}|0")
_STEP = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration as Go writes it, in seconds. At least a millisecond, as Istio has it."""

    zero: bool = False
    """Whether `0s` may be said, for none."""
    wanted: str = "a duration like 2s, 100ms or 1m30s"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> float | None:
        if not isinstance(value, str):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            reading.wrong_type(path, value, self.wanted, f"Write {value}s." if number else "")
            return None
        if not _DURATION.fullmatch(value):
            hint = f"Write {value}s." if re.fullmatch(r"[0-9.]{1,9}", value) else ""
            reading.wrong_value(path, value, self.wanted, hint)
            return None
        seconds = round(sum(float(number) * _SECONDS[unit] for number, unit in _STEP.findall(value)), 9)
        if seconds < 0.001 and not (self.zero and seconds == 0):
            reading.wrong_value(path, value, "a duration of at least 1ms")
            return None
        return seconds

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "examples": ["2s"]}


@dataclass(frozen=True, slots=True)
class Words:
    """One word of a few, and what it means to the model."""

    words: Mapping[str, Any]
    later: tuple[str, ...] = ()
    """Words that a later version carries out."""
    deprecated: Mapping[str, str] = field(default_factory=dict)
    """Old words that mean a new one."""

    @property
    def wanted(self) -> str:
        *others, last = [word for word in (*self.words, *self.later) if word not in self.deprecated]
        return f"{', '.join(others)} or {last}" if others else last

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Any:
        if not isinstance(value, str):
            reading.wrong_type(path, value, self.wanted)
        elif value in self.later:
            message = f"{dotted(path)}: {value} is not carried out by this version and changes nothing."
            reading.findings.append(Finding(path, "not-carried-out", message, severity=Severity.WARNING))
        elif value in self.deprecated:
            message, hint = f"{dotted(path)}: {value} is deprecated.", f"Write {self.deprecated[value]}."
            reading.findings.append(Finding(path, "deprecated-field", message, hint, Severity.WARNING))
            return self.words[self.deprecated[value]]
        elif value in self.words:
            return self.words[value]
        else:
            reading.wrong_value(path, value, self.wanted, nearest(value, (*self.words, *self.later)))
        return None

    def schema(self) -> dict[str, Any]:
        return {"enum": [*self.words, *self.later, *self.deprecated]}


def words(*names: str) -> Words:
    """Words that mean themselves."""
    return Words({name: name for name in names})


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression in RE2's syntax."""

    wanted: str = "a regular expression"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> str | None:
        if not isinstance(value, str):
            reading.wrong_type(path, value, self.wanted, "Put it in quotes.")
        elif not value or len(value) > MAX_REGEX:
            reading.wrong_value(path, value, f"{self.wanted} of 1 to {MAX_REGEX} letters")
        elif problem := regex_problem(value):
            message = f"{dotted(path)} is no regular expression: {quotable(problem)}."
            hint = "Write it in RE2's syntax, which has no look-around and no back-references."
            reading.refuse(path, "wrong-regex", message, hint)
        else:
            return value
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "regex"}


@dataclass(frozen=True, slots=True)
class Base64:
    """Bytes."""

    wanted: str = "base64"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> bytes | None:
        try:
            if isinstance(value, str):
                return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
        reading.wrong_value(path, value, self.wanted)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "contentEncoding": "base64"}
