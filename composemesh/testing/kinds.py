"""The conformance suite of kinds of resources."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, cast

from composemesh.config.kinds import KINDS, Kinds, built_in
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.loaders.documents import load_documents
from composemesh.config.schema.messages import Message, rows
from composemesh.config.schema.settings import Settings
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Problem, Severity
from composemesh.testing.broken import Broken
from composemesh.testing.values import HOSTILE_TEXTS

PROJECT = "shop"
FILE = "checked.yaml"
HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1 << 70, 1.5, -0.0, 1e308),
    *([], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, ["a"] * 300),
    *(text for text in HOSTILE_TEXTS if "\ud800" not in text),
)
"""What somebody may write in the place of anything."""


def check_kind(make: Callable[[], Kind], sound: str, *, milliseconds: float = 5.0) -> Draft:
    """Test that a kind keeps its contract; return what the `sound` document put into the draft, for further tests.

    `sound` is the YAML of one document of the kind, with as many fields as you can think of. The steps: the kind has
    names that nobody else has, and says of each field what it is for; its JSON Schema is one; the sound document
    compiles without an error, twice to the same; whatever else stands in the place of any of its values, it says so
    at a line of the file and never raises; a field that does not exist is named; and it takes `milliseconds` at most.

    Raises Broken, an AssertionError that says what was seen and what to do.
    """
    kind = make()
    _is_named(kind)
    _is_explained(kind)
    catalog = built_in()
    if (kind.group, kind.name) not in KINDS:
        catalog.add(f"{kind.group}/{kind.name}", kind, "checked")
    kinds = Kinds(catalog)
    draft, problems = _compiled(kind, kinds, sound)
    if errors := [problem for problem in problems if problem.severity is Severity.ERROR]:
        raise Broken(kind.name, f"refuses the sound document: {errors[0]}", "Mend the document, or the kind.")
    _is_the_same_each_time(kind, kinds, sound, draft)
    document = _document(kinds, sound)
    for path in _paths(document.get("spec")):
        for value in HOSTILE_VALUES:
            _bears(kind, kinds, _replaced(document, path, value), path, value)
    _names_what_it_does_not_know(kind, kinds, document)
    _is_quick(kind, kinds, sound, milliseconds)
    return draft


def _is_named(kind: Kind) -> None:
    if (kind.group, kind.name) in KINDS or kind.group in KINDS.groups:
        own = next((built_in for built_in in KINDS if built_in is kind), None)
        if own is None:
            raise Broken(
                kind.name,
                f"stands in the group {kind.group}, which is another's.",
                "Use a domain of your own: `plugins.example.com`. Documents say it as `apiVersion: GROUP/v1`.",
            )
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,62}", kind.name):
        raise Broken(kind.name, "is no name of a kind.", "Write it in CamelCase, like RetryBudget.")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+", kind.group):
        raise Broken(kind.name, f"has the group {kind.group!r}.", "Use a domain of your own: `plugins.example.com`.")
    if not kind.versions or not all(re.fullmatch(r"v[0-9]+((alpha|beta)[0-9]+)?", each) for each in kind.versions):
        raise Broken(kind.name, f"has the versions {kind.versions}.", "Write them as Kubernetes does: v1, v1beta1.")


def _is_explained(kind: Kind) -> None:
    if (message := _message(kind)) is not None:
        for path, field in rows(message):
            if not field.doc:
                raise Broken(
                    kind.name,
                    f"does not say what `spec.{'.'.join(path)}` is for.",
                    "Give each setting(doc, …) or Field(type, doc) a sentence: editors and the reference show it.",
                )
    try:
        schema = json.dumps(kind.schema())
    except (TypeError, ValueError) as problem:
        raise Broken(
            kind.name, f"has a schema that is no JSON: {problem}.", "schema() gives JSON Schema's words."
        ) from problem
    if kind.name not in schema:
        raise Broken(kind.name, "is not named in its own schema.", "Leave Kind.schema as it is.")


def _message(kind: Kind) -> Message | None:
    """The table of its fields; None where its spec is read by something else."""
    spec = kind.spec.message if isinstance(kind.spec, Settings) else kind.spec
    return spec if isinstance(spec, Message) else None


def _compiled(kind: Kind, kinds: Kinds, text: str) -> tuple[Draft, tuple[Problem, ...]]:
    """What one document means, and what is wrong with it. Raises Broken where the kind raises."""
    try:
        resources, problems = load_documents(text, FILE, kinds=kinds)
        draft = Draft()
        for resource in resources:
            context = Context(resource, frozenset({"reviews", "ratings"}), PROJECT)
            kind.take(context, draft)
            problems = (*problems, *context.problems())
    except Exception as problem:
        raise Broken(
            kind.name,
            f"raised {problem!r} for {text:.300}",
            "Say what is wrong by context.refuse(path, code, message, hint): its author wants to know the line.",
        ) from problem
    return draft, problems


def _document(kinds: Kinds, text: str) -> dict[str, Any]:
    resources, _ = load_documents(text, FILE, kinds=kinds)
    if len(resources) != 1:
        raise Broken("the sound text", f"holds {len(resources)} documents of known kinds.", "Give exactly one.")
    return json.loads(json.dumps(resources[0].document))  # type: ignore[no-any-return]


def _is_the_same_each_time(kind: Kind, kinds: Kinds, text: str, before: Draft) -> None:
    after, _ = _compiled(kind, kinds, text)
    if _shown(before) != _shown(after):
        raise Broken(
            kind.name,
            "made something else of the same document the second time.",
            "Use neither clock nor chance, and keep nothing: a snapshot that differs makes every proxy work.",
        )


def _shown(draft: Draft) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(draft))


def _paths(inner: Any, path: KeyPath = ("spec",)) -> Iterator[KeyPath]:
    """Every place below `spec`, and `spec` itself."""
    yield path
    if isinstance(inner, dict):
        for word, value in cast("dict[str, Any]", inner).items():
            yield from _paths(value, (*path, word))
    elif isinstance(inner, list):
        for index, value in enumerate(_listed(inner)):
            yield from _paths(value, (*path, index))


def _listed(value: Any) -> list[Any]:
    return list(value)


def _replaced(document: dict[str, Any], path: KeyPath, value: Any) -> str:
    changed = deepcopy(document)
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return json.dumps(changed)


def _bears(kind: Kind, kinds: Kinds, text: str, path: KeyPath, value: Any) -> None:
    _, problems = _compiled(kind, kinds, text)
    for problem in problems:
        if problem.severity is Severity.ERROR and not (problem.file == FILE and problem.line):
            raise Broken(
                kind.name,
                f"refused {value!r:.80} at {path} without a line: {problem}",
                "Give context.refuse the path of what is wrong: `said.at('field')`, or ('spec', 'field', 0).",
            )


def _names_what_it_does_not_know(kind: Kind, kinds: Kinds, document: dict[str, Any]) -> None:
    if _message(kind) is None:
        return
    changed = deepcopy(document)
    changed["spec"] = {**(changed.get("spec") or {}), "noSuchField": 1}
    _, problems = _compiled(kind, kinds, json.dumps(changed))
    if not any("noSuchField" in problem.message for problem in problems):
        raise Broken(
            kind.name,
            "took a field that it does not know in silence.",
            "Describe `spec` by settings(…) or a Message: they name the rest, with the nearest word.",
        )


def _is_quick(kind: Kind, kinds: Kinds, text: str, milliseconds: float) -> None:
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        _compiled(kind, kinds, text)
        best = min(best, time.process_time() - began)
    if best * 1000 > milliseconds:
        raise Broken(
            kind.name,
            f"took {best * 1000:.1f} ms for one document, and {milliseconds:g} are allowed.",
            "Hundreds of documents are compiled at each edit: neither read files nor ask the network.",
        )
