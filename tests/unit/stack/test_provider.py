"""The provider protocol, to the letter: Compose stops at anything else."""

from __future__ import annotations

import io
import json

from composemesh.model.snapshot import CaptureMode
from composemesh.stack.provider import OPTIONS, metadata, say


def test_every_message_is_one_line_of_json() -> None:
    out = io.StringIO()
    say("setenv", "URL=http://127.0.0.1:15000", out)
    say("error", "two\nlines and ünïcode", out)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"type": "setenv", "message": "URL=http://127.0.0.1:15000"},
        {"type": "error", "message": "two\nlines and ünïcode"},
    ]


def test_the_metadata_has_what_compose_reads() -> None:
    said = metadata()
    assert said["description"]
    for command in ("up", "down", "stop"):
        for parameter in said[command]["parameters"]:
            assert set(parameter) <= {"name", "description", "required", "type", "default", "enum"}
            assert parameter["required"] is False
    assert [parameter["name"] for parameter in said["up"]["parameters"]] == list(OPTIONS)


def test_the_capture_modes_offered_exist() -> None:
    assert set(OPTIONS["capture"][1].split(",")) <= {mode.value for mode in CaptureMode}
