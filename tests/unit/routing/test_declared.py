"""Who declares a host: by name, else by the longest pattern that has the port."""

from __future__ import annotations

from composemesh.model.entry import EntryPort, ServiceEntry
from composemesh.routing.declared import Declarations, Declared

HTTP, TLS = EntryPort(80, "http"), EntryPort(443, "tls")


def entry(host: str, *ports: EntryPort) -> ServiceEntry:
    return ServiceEntry((host,), ports=ports)


def test_a_name_before_patterns_and_patterns_by_length() -> None:
    every, wide, narrow, exact = map(entry, ("*", "*.example", "*.api.example", "eu.api.example"))
    known = Declarations([every, wide, narrow, exact])
    assert known.find("eu.api.example") == Declared("eu.api.example", exact, None)
    assert known.find("us.api.example") == Declared("*.api.example", narrow, None)
    assert known.find("api.example") == Declared("*.example", wide, None)
    assert known.find("example") == Declared("*", every, None)
    assert Declarations([exact]).find("us.api.example") is None


def test_a_pattern_without_the_port_leaves_it_to_a_shorter_one_and_a_name_does_not() -> None:
    wide, narrow, exact = entry("*.example", TLS), entry("*.api.example", HTTP), entry("api.example", HTTP)
    known = Declarations([wide, narrow, exact])
    assert known.find("eu.api.example", 443) == Declared("*.example", wide, TLS)
    assert known.find("eu.api.example", 80) == Declared("*.api.example", narrow, HTTP)
    assert known.find("api.example", 443) is None


def test_the_first_entry_with_the_port() -> None:
    plain, secure, any_port = entry("Api.Example.", HTTP), entry("api.example", TLS), entry("api.example")
    known = Declarations([plain, secure])
    assert list(known.hosts) == ["api.example"]
    assert known.with_port("api.example", 443) == Declared("api.example", secure, TLS)
    assert known.with_port("api.example", 0) == Declared("api.example", plain, None)
    assert known.with_port("api.example", 8080) is None
    assert Declarations([plain, any_port]).with_port("api.example", 443) == Declared("api.example", any_port, None)
