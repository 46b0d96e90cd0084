"""Resource documents: text → resources whose envelope (`apiVersion`, `kind`, `metadata`) is in order.

A file may hold several documents and Kubernetes' `List`. What is meant for Kubernetes alone is passed over with a
line that says so, so that a sample which brings its Deployments along can be applied as it is. What is of a group
that nobody knows may be a plugin's that is not there, so that line is a warning.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from typing import Any

from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.kinds.kind import Kind
from composemesh.config.kinds.resource import Resource
from composemesh.config.loaders.texts import Texts
from composemesh.config.schema.reading import nearest, show
from composemesh.config.yaml import MAX_BYTES, Document, KeyPath, parse
from composemesh.model.origin import Origin
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.runtime.failures import Mistaken

Loaded = tuple[tuple[Resource, ...], tuple[Problem, ...]]

ENVELOPE = ("apiVersion", "kind", "metadata", "spec", "status")
METADATA = ("name", "namespace", "labels", "annotations")
_SERVER_SIDE = frozenset(
    {
        *("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName"),
        *("generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
    }
)
"""What `kubectl get -o yaml` adds to `metadata`: taken without a word."""
_KUBERNETES = frozenset({"", "apps", "autoscaling", "batch", "extensions", "policy"})
"""Groups of Kubernetes itself, besides those under `k8s.io`; everybody else's have a dot."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""RFC 1123's subdomain, as Kubernetes has it."""


def load_documents(text: str | bytes, file: str = "", *, kinds: Kinds = KINDS, max_bytes: int = MAX_BYTES) -> Loaded:
    """The resources of a text (YAML or JSON), and everything wrong with their envelopes. Never raises.

    Where the text is no YAML there are no resources at all. A resource whose envelope is wrong is left out and has an
    error among the problems; whoever applies the text must look for those.
    """
    parsed = parse(text, file, max_bytes)
    loader = _Loader(file, kinds, Texts(text))
    for document in parsed.documents:
        loader.take(document, (), document.value)
    return tuple(loader.resources), (*parsed.problems, *loader.problems)


class _Loader:
    """One pass over the documents of a text."""

    def __init__(self, file: str, kinds: Kinds, texts: Texts) -> None:
        self.resources: list[Resource] = []
        self.problems: list[Problem] = []
        self._file = file
        self._kinds = kinds
        self._written = texts
        self._seen: dict[tuple[Any, ...], Resource] = {}

    def take(self, document: Document, at: KeyPath, value: Any) -> None:
        """A document, or an item of a List."""
        if value is None or value == {}:
            return  # `---` and comments alone
        if not isinstance(value, dict):
            self._refuse(document, at, "wrong-type", f"This is {show(value)}, and a document must be a mapping.")
            return
        version, kind = value.get("apiVersion"), value.get("kind")
        if not isinstance(kind, str) or not kind or not isinstance(version, str) or not version:
            self._unmarked(document, at, value)
        elif kind == "List" or (kind.endswith("List") and isinstance(value.get("items"), list)):
            for index, item in self._items(document, at, value):
                self.take(document, (*at, "items", index), item)
        else:
            found = self._kind(document, at, version, kind)
            if found is not None:
                self._resource(document, at, value, found)

    def _unmarked(self, document: Document, at: KeyPath, value: dict[str, Any]) -> None:
        """A mapping that does not say what it is."""
        if "services" in value and not at:
            hint = "This looks like a Compose file: resources stand in files of their own."
        else:
            hint = "Write apiVersion: networking.istio.io/v1 and the kind."
        missing = "kind" if value.get("apiVersion") else "apiVersion"
        self._refuse(document, at, "missing-field", f"This document has no `{missing}`, or it is not text.", hint)

    def _items(self, document: Document, at: KeyPath, value: dict[str, Any]) -> Iterator[tuple[int, Any]]:
        items = value.get("items")
        if items is None:
            return
        if not isinstance(items, list):
            message = f"`items` of a List is {show(items)}, and must be a list."
            self._refuse(document, (*at, "items"), "wrong-type", message)
            return
        yield from enumerate(items)

    # --- which kind ---

    def _kind(self, document: Document, at: KeyPath, api_version: str, name: str) -> Kind | None:
        """The kind of a document; None where it is not one of ours, which has been said."""
        group, _, version = api_version.rpartition("/")
        kinds = self._kinds
        if (group, name) in kinds:
            kind = self._loaded(document, at, group, name)
            if kind is None:
                return None
            if version in kind.versions:
                return kind
            message = f"{name} has no version {quotable(version)}."
            self._refuse(document, (*at, "apiVersion"), "wrong-api-version", message, f"Write {kind.api_version}.")
        elif group in kinds.groups:
            elsewhere = kinds.called(name)
            hint = f"Write apiVersion: {elsewhere[0].api_version}." if elsewhere else ""
            hint = hint or _nearest_kind(name, kinds.names_in(group))
            message = f"There is no kind {show(name)} in {group}."
            self._refuse(document, (*at, "kind"), "unknown-kind", message, hint)
        elif (meant := _meant(kinds, group, name)) is not None:
            message = f"{show(api_version)} is not the apiVersion of {name}."
            hint = f"Write apiVersion: {meant.api_version}."
            self._refuse(document, (*at, "apiVersion"), "wrong-api-version", message, hint)
        elif (near := difflib.get_close_matches(group, kinds.groups, 1, 0.85)) or group.endswith(".istio.io"):
            message = f"There is no API group {show(group)}."
            hint = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(kinds.groups)}."
            self._refuse(document, (*at, "apiVersion"), "wrong-api-version", message, hint)
        elif group not in _KUBERNETES and not group.endswith(".k8s.io"):
            message = f"Nobody here knows the kind {quotable(name)} ({quotable(api_version)}): it is passed over."
            hint = "A plugin's kind is known if the Compose file that names the plugin is named, too."
            self._say(Severity.WARNING, document, at, "unknown-kind", message, hint)
        else:
            message = f"{quotable(name)} ({quotable(api_version)}) is for Kubernetes and is passed over."
            self._say(Severity.INFO, document, at, "passed-over", message)
        return None

    def _loaded(self, document: Document, at: KeyPath, group: str, name: str) -> Kind | None:
        """The kind itself; None where the plugin that brings it along does not work, which has been said."""
        try:
            kind: object = self._kinds[group, name]
        except Exception as problem:  # whatever a plugin's module does when it is imported
            kind = problem
        if isinstance(kind, Kind):
            return kind
        message = f"The kind {quotable(name)} cannot be used: {quotable(repr(kind), 200)}."
        failures = self._kinds.failures_of(group, name)
        if failures is not None:
            wrong = kind if isinstance(kind, Exception) else Mistaken(f"it is no Kind: {kind!r:.100}")
            failures.count(wrong, Origin("kind", name, self._file))
        self._refuse(document, (*at, "kind"), "plugin-broken", message, "Mend the plugin, or take this out.")
        return None

    # --- the rest of the envelope ---

    def _resource(self, document: Document, at: KeyPath, value: dict[str, Any], kind: Kind) -> None:
        before = len(self.problems)
        metadata = value.get("metadata")
        name = self._name(document, (*at, "metadata"), metadata, kind)
        label = f"{kind.name} {quotable(name)}".strip()
        self._known(document, at, value, ENVELOPE, frozenset(), label)
        namespace = ""
        if isinstance(metadata, dict):
            self._known(document, (*at, "metadata"), metadata, METADATA, _SERVER_SIDE, label)
            namespace = metadata.get("namespace") or ""
            if not isinstance(namespace, str) or (namespace and not _NAME.fullmatch(namespace)):
                message = f"{label}: `metadata.namespace` is {show(namespace)}, and must be a name."
                self._refuse(document, (*at, "metadata", "namespace"), "wrong-value", message)
            for word in ("labels", "annotations"):
                self._texts(document, (*at, "metadata", word), metadata.get(word), label)
        if value.get("spec") is not None and not isinstance(value["spec"], dict):
            message = f"{label}: `spec` is {show(value['spec'])}, and must be a mapping."
            self._refuse(document, (*at, "spec"), "wrong-type", message)
        if len(self.problems) > before:
            return
        line = (document.values.get(at) or (0, 0))[0]
        origin = Origin(kind.name, name, self._file, line)
        text = self._written.around(line) if not at else ("", 1)
        failures = self._kinds.failures_of(kind.group, kind.name)
        resource = Resource(
            value["apiVersion"],
            kind.name,
            name,
            namespace,
            value,
            origin,
            kind,
            document,
            at,
            *text,
            failures=failures,
        )
        first = self._seen.setdefault((*resource.key, namespace or "default"), resource)
        if first is resource:
            self.resources.append(resource)
            return
        message = f"{label} stands here twice, first on line {first.origin.line}."
        self._refuse(document, at, "duplicate-name", message, "Give one of them another name.")

    def _name(self, document: Document, at: KeyPath, metadata: Any, kind: Kind) -> str:
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if name is None or name == "":
            message = f"{kind.name}: `metadata.name` is missing."
            self._refuse(document, at, "missing-field", message, "Give it a name.")
        elif not isinstance(name, str) or not _NAME.fullmatch(name):
            wanted = "lowercase letters, digits, `-` and `.`, at most 253, the first and last a letter or digit"
            message = f"{kind.name}: `metadata.name` is {show(name)}, and must be {wanted}."
            hint = "" if isinstance(name, str) else "Put it in quotes."
            self._refuse(document, (*at, "name"), "wrong-value", message, hint)
        else:
            return name
        return ""

    def _known(
        self,
        document: Document,
        at: KeyPath,
        value: dict[str, Any],
        words: Collection[str],
        silent: Collection[str],
        label: str,
    ) -> None:
        for word in value:
            if word not in words and word not in silent:
                within = " in `metadata`" if words is METADATA else ""
                message = f"{label}: unknown field {show(word)}{within}."
                self._refuse(document, (*at, word), "unknown-field", message, nearest(word, words))

    def _texts(self, document: Document, at: KeyPath, value: Any, label: str) -> None:
        """Labels and annotations: text by text."""
        if value is None:
            return
        if not isinstance(value, dict):
            message = f"{label}: `metadata.{at[-1]}` is {show(value)}, and must be a mapping."
            self._refuse(document, at, "wrong-type", message)
            return
        for word, text in value.items():
            if not isinstance(text, str):
                message = f"{label}: `metadata.{at[-1]}` has {show(word)} as {show(text)}, and it must be text."
                self._refuse(document, (*at, word), "wrong-type", message, "Put it in quotes.")

    # --- what is wrong ---

    def _refuse(self, document: Document, at: KeyPath, code: str, message: str, hint: str = "") -> None:
        self._say(Severity.ERROR, document, at, code, message, hint)

    def _say(
        self, severity: Severity, document: Document, at: KeyPath, code: str, message: str, hint: str = ""
    ) -> None:
        marks = (document.place(at[:length]) for length in range(len(at), -1, -1))
        line, column = next((mark for mark in marks if mark is not None), (0, 0))
        resource = message.partition(":")[0] if ": " in message else ""
        self.problems.append(Problem(severity, code, message, hint, self._file, line, column, resource))


def _meant(kinds: Kinds, group: str, name: str) -> Kind | None:
    """One of our kinds under somebody else's group: VirtualService at `v1`. `Gateway` may well be another's."""
    found = kinds.called(name)
    return found[0] if len(found) == 1 and not group.endswith(".k8s.io") else None


def _nearest_kind(name: str, words: list[str]) -> str:
    close = difflib.get_close_matches(name[:80].lower(), [word.lower() for word in words], 1)
    meant = next((word for word in words if close and word.lower() == close[0]), "")
    return f"Did you mean `{meant}`?" if meant else f"Use one of {', '.join(words)}."
