"""The token: made once, private, and never taken from a file that others could have written."""

from __future__ import annotations

import os
from pathlib import Path

from composemesh.admin.token import token_in


def test_it_is_made_once(tmp_path: Path) -> None:
    token = token_in(tmp_path)
    assert len(token) == 43
    assert token_in(tmp_path) == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_may_read_is_replaced(tmp_path: Path) -> None:
    token = token_in(tmp_path)
    (tmp_path / "token").chmod(0o644)
    assert token_in(tmp_path) != token


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("A" * 43)
    elsewhere.chmod(0o600)
    os.symlink(elsewhere, tmp_path / "token")
    assert token_in(tmp_path) != "A" * 43
    assert elsewhere.read_text() == "A" * 43
