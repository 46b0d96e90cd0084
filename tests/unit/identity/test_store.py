"""The authority's file: private from its first moment, whole, and refused where it is not."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from composemesh.identity.ca import ROOT_LIFE, Authority
from composemesh.identity.store import FILE, Unusable, load_or_create

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    first = load_or_create(tmp_path, "shop", NOW)
    assert load_or_create(tmp_path, "shop", NOW + timedelta(days=1)).root == first.root
    assert os.listdir(tmp_path) == [FILE], "no draft is left behind"


def test_nobody_else_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create(tmp_path / "state", "shop", NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o620])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    load_or_create(tmp_path, "shop", NOW)
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(Unusable, match="chmod 600") as problem:
        load_or_create(tmp_path, "shop", NOW)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_is_none_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(Unusable, match="remove it"):
        load_or_create(tmp_path, "shop", NOW)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(Authority.new("shop", NOW).dump())
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unusable):
        load_or_create(tmp_path, "shop", NOW)


def test_a_root_that_has_ended_is_replaced(tmp_path: Path) -> None:
    first = load_or_create(tmp_path, "shop", NOW)
    assert load_or_create(tmp_path, "shop", NOW + ROOT_LIFE + timedelta(days=1)).root != first.root


def test_two_commands_at_once_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        roots = {each.root for each in pool.map(lambda _: load_or_create(tmp_path, "shop", NOW), range(16))}
    assert len(roots) == 1


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unusable, match="cannot be read or made"):
        load_or_create(tmp_path / "file" / "below", "shop", NOW)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unusable, match="No space left"):
        load_or_create(tmp_path, "shop", NOW)
    assert os.listdir(tmp_path) == []
