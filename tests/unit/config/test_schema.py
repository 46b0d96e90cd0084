"""What `x-mesh` may say: each kind of value right, wrong, and nearly right."""

from __future__ import annotations

from typing import Any

import pytest

from composemesh.config.schema import MESH, SERVICE, read
from composemesh.config.schema.shapes import MAX_ITEMS, Later
from composemesh.model.problem import Severity
from composemesh.model.snapshot import AccessLog, CaptureMode, Protocol


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, {}),
        ({}, {}),
        ({"capture": "netns"}, {("capture",): CaptureMode.NETNS}),
        ({"access_log": "json"}, {("access_log",): AccessLog.JSON}),
        ({"access_log": False}, {("access_log",): AccessLog.OFF}),  # a bare `off` in YAML 1.1
        ({"admin": "127.0.0.1:15001"}, {("admin",): ("127.0.0.1", 15001)}),
        ({"admin": "[::1]:15000"}, {("admin",): ("::1", 15000)}),
        ({"admin": "localhost:80"}, {("admin",): ("127.0.0.1", 80)}),
        ({"xds": "[::1]:15011"}, {("xds",): ("::1", 15011)}),
        ({"xds": "off"}, {("xds",): ("", 0)}),
        ({"xds": False}, {("xds",): ("", 0)}),
        ({"exclude": None}, {}),
        ({"exclude": {"ports": [22, "25", 22]}}, {("exclude", "ports"): (22, 25)}),
        ({"exclude": {"ports": []}}, {("exclude", "ports"): ()}),
        ({"exclude": {"cidrs": ["10.0.0.0/8"]}}, {("exclude", "cidrs"): ("10.0.0.0/8",)}),
        ({"exclude": {"cidrs": ["10.1.2.3", "FD00:0::/8"]}}, {("exclude", "cidrs"): ("10.1.2.3/32", "fd00::/8")}),
        ({"exclude": {"ports": "22,25", "cidrs": "10.0.0.0/8"}}, {  # as a label says it
            ("exclude", "ports"): (22, 25), ("exclude", "cidrs"): ("10.0.0.0/8",)}),
    ],
)  # fmt: skip
def test_what_the_mesh_may_say(value: Any, said: dict[Any, Any]) -> None:
    reading = read(MESH, value)
    assert reading.findings == []
    assert reading.said == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (False, {("meshed",): False}),
        (True, {("meshed",): True}),
        ("off", {("meshed",): False}),
        ("False", {("meshed",): False}),
        ({"service": "reviews", "version": "v1"}, {("service",): "reviews", ("version",): "v1"}),
        ({"version": 2}, {("version",): "2"}),
        ({"ports": {"9080": "http", "5432": "tcp"}}, {
            ("ports", "9080"): Protocol.HTTP, ("ports", "5432"): Protocol.TCP}),
        ({"exclude": {"ports": [1]}}, {("exclude", "ports"): (1,)}),
    ],
)  # fmt: skip
def test_what_a_service_may_say(value: Any, said: dict[Any, Any]) -> None:
    reading = read(SERVICE, value)
    assert reading.findings == []
    assert reading.said == said


@pytest.mark.parametrize(
    ("value", "code", "hint"),
    [
        (5, "wrong-type", ""),
        (["capture"], "wrong-type", ""),
        ({"capture": "netnz"}, "wrong-value", "Did you mean `netns`?"),
        ({"capture": 5}, "wrong-type", ""),
        ({"access_log": True}, "wrong-value", "Say which one you want."),
        ({"access_log": "on"}, "wrong-value", "Say which one you want."),
        ({"access_log": {}}, "wrong-type", ""),
        ({"admin": 15000}, "wrong-type", "Write 127.0.0.1:15000."),
        ({"admin": ":15000"}, "wrong-value", "Write 127.0.0.1:15000."),
        ({"admin": "127.0.0.1"}, "wrong-value", "Write 127.0.0.1:15000."),
        ({"admin": "127.0.0.1:0"}, "wrong-value", "Write 127.0.0.1:15000."),
        ({"admin": "127.0.0.1:\u0665"}, "wrong-value", "Write 127.0.0.1:15000."),
        ({"admin": "0.0.0.0:15000"}, "wrong-value", "Write 127.0.0.1:15000."),
        ({"admin": "example.org:80"}, "wrong-value", "Write 127.0.0.1:80."),
        ({"admin": "off"}, "wrong-value", "Write 127.0.0.1:15000."),
        ({"xds": 0}, "wrong-type", ""),
        ({"xds": "0.0.0.0:15010"}, "wrong-value", "Write 127.0.0.1:15010."),
        ({"xds": "on"}, "wrong-value", "Write 127.0.0.1:15010."),
        ({"exclude": {"ports": 22}}, "wrong-type", "Write [22]."),
        ({"exclude": {"ports": [0]}}, "wrong-value", ""),
        ({"exclude": {"ports": [65536]}}, "wrong-value", ""),
        ({"exclude": {"ports": [True]}}, "wrong-type", ""),
        ({"exclude": {"ports": [1.5]}}, "wrong-type", ""),
        ({"exclude": {"ports": ["022"]}}, "wrong-value", ""),
        ({"exclude": {"ports": list(range(1, MAX_ITEMS + 2))}}, "wrong-value", ""),
        ({"exclude": {"cidrs": ["10.0.0.5/8"]}}, "wrong-value", "Write 10.0.0.0/8."),
        ({"exclude": {"cidrs": ["fe80::1%eth0"]}}, "wrong-value", ""),
        ({"exclude": {"cidrs": ["everything"]}}, "wrong-value", ""),
        ({"exclude": {"cidrs": [10]}}, "wrong-type", ""),
        ({"exclude": {"port": [1]}}, "unknown-key", "Did you mean `ports`?"),
        ({"acces-log": "text"}, "unknown-key", "Did you mean `access_log`?"),
        (
            {"zzz": 1},
            "unknown-key",
            "Use one of capture, exclude, admin, xds, access_log, sinks, egress, listeners, resources, gateways, "
            "external, discovery, publish, filters, plugins.",
        ),
    ],
)
def test_what_the_mesh_may_not_say(value: Any, code: str, hint: str) -> None:
    (finding,) = read(MESH, value).findings
    assert (finding.code, finding.hint, finding.severity) == (code, hint, Severity.ERROR)
    assert finding.message.endswith(".")


@pytest.mark.parametrize(
    ("value", "path", "code", "hint"),
    [
        (5, (), "wrong-type", ""),
        ("maybe", (), "wrong-type", ""),
        ({"version": 1.1}, ("version",), "wrong-type", "Put it in quotes."),
        ({"version": True}, ("version",), "wrong-type", "Put it in quotes."),
        ({"version": ["v1"]}, ("version",), "wrong-type", ""),
        ({"version": ""}, ("version",), "wrong-value", ""),
        ({"version": "v1\r\n"}, ("version",), "wrong-value", ""),
        ({"service": "-x"}, ("service",), "wrong-value", ""),
        ({"service": "x" * 64}, ("service",), "wrong-value", ""),
        ({"service": None}, ("service",), "wrong-type", ""),
        ({"ports": ["9080"]}, ("ports",), "wrong-type", 'Write ports: {"9080": http}.'),
        ({"ports": {"http": "9080"}}, ("ports", "http"), "wrong-value", ""),
        ({"ports": {"9080": "htpp"}}, ("ports", "9080"), "wrong-value", "Did you mean `http`?"),
        ({"ports": {str(port): "tcp" for port in range(1, MAX_ITEMS + 2)}}, ("ports",), "wrong-value", ""),
        ({"verison": "v1"}, ("verison",), "unknown-key", "Did you mean `version`?"),
    ],
)
def test_what_a_service_may_not_say(value: Any, path: tuple[str, ...], code: str, hint: str) -> None:
    (finding,) = read(SERVICE, value).findings
    assert (finding.path, finding.code, finding.hint) == (path, code, hint)


def test_what_is_understood_is_kept_beside_what_is_not() -> None:
    reading = read(SERVICE, {"version": "v1", "ports": {"80": "http", "x": "http"}, "exclude": {"ports": [1, "y"]}})
    assert reading.said == {("version",): "v1", ("ports", "80"): Protocol.HTTP, ("exclude", "ports"): (1,)}
    assert [finding.path for finding in reading.findings] == [("ports", "x"), ("exclude", "ports", 1)]


@pytest.mark.parametrize(
    ("shape", "word"),
    [(MESH, word) for word, key in MESH.keys.items() if isinstance(key.shape, Later)]
    + [(SERVICE, word) for word, key in SERVICE.object.keys.items() if isinstance(key.shape, Later)],
)
def test_words_of_later_versions_are_named_and_change_nothing(shape: Any, word: str) -> None:
    reading = read(shape, {word: {"any": "thing"}})
    (finding,) = reading.findings
    assert reading.said == {}
    assert (finding.code, finding.severity, finding.path) == ("not-carried-out", Severity.WARNING, (word,))
    assert f"`{word}`" in finding.message


def test_capture_hosts_is_a_word_of_a_later_version() -> None:
    reading = read(MESH, {"capture": "hosts"})
    assert reading.said == {}
    assert [finding.code for finding in reading.findings] == ["not-carried-out"]


def test_messages_quote_what_was_given_on_one_bounded_line() -> None:
    (finding,) = read(SERVICE, {"service": "a\x1b[31m\n" + "b" * 5000}).findings
    assert "\x1b" not in finding.message
    assert "\n" not in finding.message
    assert len(finding.message) < 250
