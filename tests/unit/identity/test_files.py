"""Certificates that users bring: each mistake is one Problem that names its file and what to do."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from composemesh.identity.ca import Authority, new_key
from composemesh.identity.files import LARGEST, load_credentials, load_roots
from composemesh.model.problem import Problem, Severity

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
AUTHORITY = Authority.new("shop", NOW)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    leaf = AUTHORITY.issue(["shop.test"], NOW)
    certificate, key = tmp_path / "shop.pem", tmp_path / "shop.key"
    certificate.write_bytes(leaf.chain)
    key.write_bytes(leaf.key)
    return certificate, key


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, problems
    assert problems[0].hint
    return problems[0]


def test_what_is_right_is_loaded(pair: tuple[Path, Path]) -> None:
    credentials, problems = load_credentials(*pair, NOW)
    assert credentials is not None
    assert problems == []
    assert credentials.chain == pair[0].read_bytes()
    assert credentials.not_after == NOW + timedelta(hours=24)


def test_one_file_may_hold_both(pair: tuple[Path, Path]) -> None:
    both = pair[0]
    both.write_bytes(pair[1].read_bytes() + both.read_bytes() + AUTHORITY.root)
    credentials, problems = load_credentials(both, both, NOW)
    assert credentials is not None
    assert problems == []
    assert credentials.chain.count(b"BEGIN CERTIFICATE") == 2, "the chain, in its order"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "unreadable-file"),
        (b"", "not-pem"),
        (b"\x30\x82\x01\x01", "not-pem"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not-pem"),
        (b"#" * (LARGEST + 1), "not-pem"),
    ],
    ids=["absent", "empty", "der", "torn", "huge"],
)
@pytest.mark.parametrize("which", [0, 1], ids=["certificate", "key"])
def test_what_cannot_be_used_says_why(pair: tuple[Path, Path], which: int, content: bytes | None, code: str) -> None:
    file = pair[which]
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    credentials, problems = load_credentials(*pair, NOW)
    problem = only(problems)
    assert credentials is None
    assert (problem.code, problem.file, problem.severity) == (code, str(file), Severity.ERROR)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_that_may_not_be_read(pair: tuple[Path, Path]) -> None:
    pair[1].chmod(0)
    _, problems = load_credentials(*pair, NOW)
    assert "Permission denied" in only(problems).message


def test_a_folder_is_no_file(pair: tuple[Path, Path], tmp_path: Path) -> None:
    _, problems = load_credentials(tmp_path, pair[1], NOW)
    assert only(problems).code == "unreadable-file"


def test_a_key_of_another_certificate(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(AUTHORITY.issue(["else"], NOW).key)
    credentials, problems = load_credentials(*pair, NOW)
    problem = only(problems)
    assert credentials is None
    assert (problem.code, problem.file) == ("key-mismatch", str(pair[1]))
    assert str(pair[0]) in problem.message


def test_a_key_under_a_passphrase(pair: tuple[Path, Path]) -> None:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pair[1].write_bytes(new_key().private_bytes(pem, form, serialization.BestAvailableEncryption(b"secret")))
    _, problems = load_credentials(*pair, NOW)
    assert only(problems).code == "encrypted-key"


@pytest.mark.parametrize(
    ("at", "code"),
    [(timedelta(days=2), "certificate-expired"), (timedelta(days=-2), "certificate-not-yet-valid")],
)
def test_a_certificate_out_of_its_time_is_served_with_a_warning(
    pair: tuple[Path, Path], at: timedelta, code: str
) -> None:
    credentials, problems = load_credentials(*pair, NOW + at)
    problem = only(problems)
    assert credentials is not None
    assert (problem.code, problem.severity) == (code, Severity.WARNING)


def test_authorities(tmp_path: Path) -> None:
    file = tmp_path / "roots.pem"
    file.write_bytes(AUTHORITY.root + Authority.new("other", NOW).root)
    roots, problems = load_roots(file, NOW)
    assert problems == []
    assert roots == file.read_bytes()
    file.write_bytes(b"nothing")
    roots, problems = load_roots(file, NOW)
    assert roots == b""
    assert only(problems).code == "not-pem"
