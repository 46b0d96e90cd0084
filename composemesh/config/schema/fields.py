"""A row of a message's table: what a field takes, and what becomes of it.

A field's fate is part of its row, so no field is taken in silence: it is carried out, or a finding names it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Protocol

from composemesh.config.schema.reading import Finding, Reading, dotted
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity


class Type(Protocol):
    """What a field can take."""

    @property
    def wanted(self) -> str:
        """How a message names it: "… must be {wanted}"."""

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Any:
        """The value as the model has it, or None and a finding. Never raises."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema's words for it."""


class Fate(enum.StrEnum):
    """What becomes of a field."""

    CARRIED_OUT = "carried out"
    DEPRECATED = "carried out, with a warning"
    """There is a newer form, which the note names."""
    LATER = "accepted with a warning"
    """Its shape is checked; this version does not carry it out."""
    WITHOUT_EFFECT = "accepted with a note"
    """It means something in Kubernetes only; the note says what is the case here."""
    REFUSED = "refused"
    """Istio refuses it too."""


@dataclass(frozen=True, slots=True)
class Field:
    """One row: what the field takes, and what becomes of it."""

    type: Type
    doc: str
    fate: Fate = Fate.CARRIED_OUT
    note: str = ""
    """The newer form of a deprecated field; why another has no effect, or is refused."""
    required: bool = False


def later(type_: Type, doc: str) -> Field:
    return Field(type_, doc, Fate.LATER)


def deprecated(type_: Type, doc: str, instead: str) -> Field:
    return Field(type_, doc, Fate.DEPRECATED, instead)


def without_effect(type_: Type, doc: str, why: str) -> Field:
    return Field(type_, doc, Fate.WITHOUT_EFFECT, why)


def refused(type_: Type, doc: str, why: str) -> Field:
    return Field(type_, doc, Fate.REFUSED, why)


def required(type_: Type, doc: str) -> Field:
    return Field(type_, doc, required=True)


def judge(path: KeyPath, field: Field, reading: Reading) -> bool:
    """Say what becomes of a field; whether its value is to be kept."""
    if field.fate is Fate.CARRIED_OUT:
        return True
    name = dotted(path)
    if field.fate is Fate.REFUSED:
        reading.refuse(path, "refused-field", f"{name} is not supported: {field.note}")
        return False
    if field.fate is Fate.DEPRECATED:
        code, message, severity = "deprecated-field", f"{name} is deprecated.", Severity.WARNING
        hint = field.note
    elif field.fate is Fate.LATER:
        code, severity, hint = "not-carried-out", Severity.WARNING, ""
        message = f"{name} is not carried out by this version and changes nothing."
    else:
        code, message, severity, hint = "without-effect", f"{name} has no effect: {field.note}", Severity.INFO, ""
    reading.findings.append(Finding(path, code, message, hint, severity))
    return field.fate is Fate.DEPRECATED
