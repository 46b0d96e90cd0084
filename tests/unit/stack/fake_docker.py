"""A `docker` that is somebody else's: it records how it is called and answers as a test says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

SCRIPT = """#!{python}
import json, pathlib, sys
here = pathlib.Path({here!r})
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
for words, out, err, code in json.loads((here / "answers").read_text()):
    if all(word in sys.argv for word in words):
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""


class FakeDocker:
    """A program called `docker`, first on PATH. What no answer fits ends well and says nothing."""

    def __init__(self, here: Path) -> None:
        self._here = here
        self._answers: list[tuple[tuple[str, ...], str, str, int]] = []
        program = here / "docker"
        program.write_text(SCRIPT.format(python=sys.executable, here=str(here)))
        program.chmod(0o755)
        self._write()

    def answer(self, *words: str, out: str = "", err: str = "", code: int = 0) -> None:
        """To a call that has all these words. The first answer that fits is given."""
        self._answers.append((words, out, err, code))
        self._write()

    def _write(self) -> None:
        (self._here / "answers").write_text(json.dumps(self._answers))

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call, in order."""
        calls = self._here / "calls"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
