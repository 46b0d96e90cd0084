"""What is known of a project's containers, and what an event changes before the engine is asked. No I/O, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from composemesh.discovery.docker.stop import DEFAULT_STOP, Stop, signal_number
from composemesh.discovery.docker.translate import PROJECT, instant
from composemesh.model.workload import Discovered, Impostor, State, Workload

ENDS = frozenset({"die", "stop", "destroy"})
STOP_MARGIN = 2.0
"""Seconds that the engine may need, beyond the stop timeout, to kill a container and say so."""
IDENTITY = re.compile(r"[0-9a-f]{12,64}")
"""A container's id: nothing else out of an event gets into the path of a request."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One container as the engine last showed it."""

    found: Workload | Impostor
    stop: Stop = DEFAULT_STOP
    image: str = ""
    """The image's id."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an event asks of its hearer."""

    changed: bool = False
    """The state is another one now."""
    look: str = ""
    """The id of a container to ask the engine about."""
    until: float = 0.0
    """When the state changes again by itself."""


NOTHING = Heard()


class Ledger:
    """The containers of one project. `now` is seconds on any clock that only goes forward."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.seen: dict[str, Seen] = {}
        self._draining: dict[str, tuple[str, float]] = {}
        """Containers told to stop: which life (its start), and until when to believe it."""
        self._questions: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"<Ledger {self.project} {len(self.seen)} seen {len(self._draining)} draining>"

    def discovered(self, now: float, trouble: str = "") -> Discovered:
        """The whole state, as the other rooms want it."""
        workloads, impostors = [], []
        for seen in sorted(self.seen.values(), key=lambda seen: (seen.found.name, seen.found.id)):
            if isinstance(seen.found, Workload):
                workloads.append(self._drained(seen.found, now))
            else:
                impostors.append(seen.found)
        return Discovered(tuple(workloads), tuple(impostors), trouble)

    def ask(self, identity: str) -> object:
        """Note that the engine is being asked about a container; the question goes to `answer`."""
        question = self._questions[identity] = object()
        return question

    def answer(self, identity: str, question: object, seen: Seen | None) -> None:
        """Take in what the container is now; None where it is none of ours, or gone.

        Void where the container ended after it was asked about: such an answer may show the life before.
        """
        if self._questions.get(identity) is not question:
            return
        del self._questions[identity]
        if seen is None:
            self._strike(identity)
        else:
            self.seen[identity] = seen

    def hear(self, event: Mapping[str, Any], now: float) -> Heard:
        """Take in one event of the engine (Docker API, GET /events), which may be of any shape."""
        actor, action = event.get("Actor"), event.get("Action")
        attributes = actor.get("Attributes") if isinstance(actor, dict) else None
        if not isinstance(actor, dict) or not isinstance(attributes, dict) or not isinstance(action, str):
            return NOTHING
        if event.get("Type") == "network":
            # A container that is not running is left alone: its start event is still to come.
            identity = attributes.get("container")
            return Heard(look=identity) if isinstance(identity, str) and identity in self.seen else NOTHING
        identity = actor.get("ID")
        if not isinstance(identity, str) or IDENTITY.fullmatch(identity) is None:
            return NOTHING
        if identity not in self.seen and attributes.get(PROJECT) != self.project:
            return NOTHING
        if self._is_of_an_earlier_life(identity, event.get("timeNano")):
            return Heard(look=identity)
        if action in ENDS:
            self._questions.pop(identity, None)
            return Heard(changed=self._strike(identity))
        if action == "kill":
            return self._told(identity, signal_number(attributes.get("signal")), now)
        return Heard(look=identity)

    def _strike(self, identity: str) -> bool:
        self._draining.pop(identity, None)
        return self.seen.pop(identity, None) is not None

    def _told(self, identity: str, signal: int, now: float) -> Heard:
        """A signal was sent. One that is meant to end the container starts its drain, before the process dies."""
        seen = self.seen.get(identity)
        if seen is None or not isinstance(seen.found, Workload) or not seen.stop.ends_with(signal):
            return NOTHING
        until = now + seen.stop.timeout + STOP_MARGIN
        self._draining[identity] = (seen.found.started, until)
        return Heard(changed=True, until=until)

    def _drained(self, workload: Workload, now: float) -> Workload:
        started, until = self._draining.get(workload.id, ("", 0.0))
        return replace(workload, state=State.STOPPING) if started == workload.started and now < until else workload

    def _is_of_an_earlier_life(self, identity: str, nanoseconds: object) -> bool:
        """Whether the event happened before the start that we have seen already: an answer may overtake events."""
        seen = self.seen.get(identity)
        if seen is None or not isinstance(seen.found, Workload) or type(nanoseconds) is not int:
            return False
        return nanoseconds < instant(seen.found.started)
