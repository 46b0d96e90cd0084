"""Whatever goes wrong: one line, the right exit code, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from composemesh.cli.guard import BUG, INTERRUPTED, answer_to, guarded
from composemesh.stack.errors import CallError, UserError


def raising(problem: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise problem

    return command


@pytest.fixture(autouse=True)
def in_a_state_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSEMESH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("COMPOSEMESH_DEBUG", raising=False)
    monkeypatch.setattr(sys, "argv", ["composemesh"])


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (UserError("It is so. Do this."), 1, "composemesh: It is so. Do this.\n"),
        (CallError("Not so."), 2, "composemesh: Not so.\n"),
        (UserError("two\n  lines"), 1, "composemesh: two lines\n"),
        (ExceptionGroup("", [ExceptionGroup("", [UserError("Deep.")])]), 1, "composemesh: Deep.\n"),
        (ExceptionGroup("", [ValueError("x"), CallError("This.")]), 2, "composemesh: This.\n"),
        (click.UsageError("Nope."), 2, "composemesh: Nope. See `composemesh --help`.\n"),
        (KeyboardInterrupt(), INTERRUPTED, "\n"),  # the terminal's ^C ends its line
        (BaseExceptionGroup("", [KeyboardInterrupt()]), INTERRUPTED, ""),
        (click.Abort(), INTERRUPTED, ""),
        (click.exceptions.Exit(3), 3, ""),
    ],
)
def test_what_users_can_mend(
    problem: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(problem)) == code
    assert capsys.readouterr().err == said


def test_a_bug_is_confessed_with_the_place_of_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(ValueError("of\ncourse"))) == BUG
    said = capsys.readouterr().err
    place = tmp_path / "state" / "crash.log"
    assert (
        said == f"composemesh: this is a bug in composemesh: ValueError: of course. Please report it, with {place}.\n"
    )
    assert "Traceback" in place.read_text()
    assert place.stat().st_mode & 0o777 == 0o600


def test_a_bug_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("COMPOSEMESH_STATE_DIR", str(tmp_path / "file"))
    assert guarded(raising(ValueError())) == BUG
    assert capsys.readouterr().err.count("\n") == 1


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COMPOSEMESH_DEBUG", "1")
    assert guarded(raising(ValueError("x"))) == BUG
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_usage_error_points_to_the_help() -> None:
    context = click.Context(click.Command("up"), info_name="up")
    assert answer_to(click.UsageError("No such option '--x'.", context)) == (
        2,
        "No such option '--x'. See `up --help`.",
    )
