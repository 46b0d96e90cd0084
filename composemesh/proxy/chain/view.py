"""What a filter sees of an exchange. See `composemesh.plugin.Exchange`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from composemesh.proxy.chain.fields import FieldView, joined
from composemesh.proxy.codec.grammar import TARGET
from composemesh.proxy.codec.parts import NO_FIELDS
from composemesh.proxy.refuse import Refused

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.proxy.chain.hooks import Bound
    from composemesh.proxy.codec.parts import Fields, ResponseHead
    from composemesh.proxy.exchange import Downstream, Exchange

_TARGET = re.compile(TARGET + rb"++")


def new_target(path: str, old: str) -> bytes:
    """What is asked for when a filter writes another path. Raises ValueError for what can't be asked for."""
    target = path.encode("latin-1", "replace")
    if not target.startswith(b"/") or not old.startswith("/") or _TARGET.fullmatch(target) is None:
        raise ValueError(f"{path!r:.80} is no path that can be asked for instead of {old!r:.80}")
    return target


class View:
    """One exchange, and what the chains that it meets have yet to do to its answer."""

    __slots__ = ("_down", "_fields", "_state", "_x", "answers", "complete", "kept", "refusal", "refused", "status")

    def __init__(self, x: Exchange, down: Downstream) -> None:
        self._x = x
        self._down = down
        self.answers: tuple[Bound, ...] = ()
        """Who is to see the answer, the first one first."""
        self.complete = False
        """Whether all chains have seen the request already: those that it meets on the lane."""
        self.refusal: Refused | None = None
        """What was made of it there, for the task to carry out."""
        self.status = 0
        self.kept: set[object] | None = None
        """Filters that leave the body as it is, of the message that is on its way."""
        self.refused = False
        """Whether the answer is a refusal in place of one that filters have seen: they don't see another."""
        self._fields: Fields = NO_FIELDS
        self._state: dict[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<View of {self._x!r}>"

    @property
    def method(self) -> str:
        return self._x.head.method.decode("latin-1")

    @property
    def path(self) -> str:
        return self._x.head.path.decode("latin-1")

    @path.setter
    def path(self, path: str) -> None:
        """Raises ValueError for what can't be asked for."""
        head = self._x.head
        head.path = head.target = new_target(path, self.path)

    @property
    def authority(self) -> str:
        return self._x.head.authority.decode("latin-1")

    @property
    def headers(self) -> FieldView:
        return FieldView(self._x.head.fields, self._change_request)

    @property
    def response_headers(self) -> FieldView:
        return FieldView(self._fields, self._change_response)

    @property
    def source(self) -> Peer:
        return self._x.record.source

    @property
    def destination(self) -> Peer:
        return self._x.record.destination

    @property
    def client(self) -> str:
        return self._down.peer_text

    @property
    def http_version(self) -> int:
        return self._x.head.version

    @property
    def is_grpc(self) -> bool:
        return self._x.record.protocol == "grpc"

    @property
    def state(self) -> dict[Any, Any]:
        if self._state is None:
            self._state = {}
        return self._state

    def keep_body(self, who: object) -> None:
        if self.kept is None:
            self.kept = set()
        self.kept.add(who)

    def check(self) -> None:
        """Raises what filters have made of the request, or of its answer, on the lane."""
        if self.refusal is not None:
            raise self.refusal

    def answered(self, head: ResponseHead, fields: Fields) -> Fields:
        """The fields of an answer as the filters want them. Raises Refused where they want another answer."""
        self.status = head.status
        self._fields = fields
        self.kept = None
        for hook, stage in self.answers:
            try:
                hook(self)
            except (Exception, SystemExit) as problem:
                self.refused = True
                stage.caught(problem, self._x)
                self.refused = False
        return self._fields

    def answered_instead(self, head: ResponseHead, fields: Fields) -> Fields:
        """The same for a refusal, whose fields nothing that a filter does can keep from being sent."""
        if self.refused or self.status:
            self.refused = True
            return fields
        try:
            return self.answered(head, fields)
        except Refused:
            return fields

    def _change_request(self, fields: Fields) -> None:
        head = self._x.head
        head.fields, head.values = fields, joined(fields)

    def _change_response(self, fields: Fields) -> None:
        self._fields = fields
