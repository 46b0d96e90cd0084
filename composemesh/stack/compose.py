"""Docker Compose, asked itself: what a project is called, what its files come to, and to start and stop it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from composemesh.config.loaders.resolved import Resolved, Unresolved
from composemesh.stack.errors import CallError, UserError
from composemesh.stack.files import compose_files

_NAME = re.compile(r"^name: [\"']?([a-z0-9][a-z0-9_-]*)[\"']?$", re.MULTILINE)
EVERY_PROFILE = ("*",)
INSTALL = "https://docs.docker.com/compose/install/linux/"
NO_PLUGIN = f"Docker has no Compose plugin: install it ({INSTALL})."


class NoComposeFile(CallError):
    """There is no Compose file where Compose looks for one."""

    def __init__(self, project: str) -> None:
        """`project`: its name, where it was said and is not enough, so that -p is no advice."""
        what, more = "", ", or name a running project with -p."
        if project:
            what, more = f" of project {project}", "; if it runs, `composemesh attach` needs none."
        super().__init__(f"There is no Compose file{what} here: go to its folder, name it with -f{more}")


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """One project, as the options of `docker compose` choose it. Empty fields are Compose's own defaults."""

    name: str = ""
    files: tuple[Path, ...] = ()
    project_directory: Path | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[Path, ...] = ()

    @classmethod
    def remembered(cls, name: str, said: Mapping[str, Any]) -> ComposeProject:
        """What `describe` wrote into mesh.json."""
        directory = said.get("project_directory")
        return cls(
            name,
            tuple(map(Path, said.get("files", ()))),
            Path(directory) if directory else None,
            tuple(said.get("profiles", ())),
            tuple(map(Path, said.get("env_files", ()))),
        )

    def describe(self) -> dict[str, Any]:
        """For mesh.json."""
        return {
            "files": [str(path) for path in self.files],
            "project_directory": str(self.project_directory or ""),
            "profiles": list(self.profiles),
            "env_files": [str(path) for path in self.env_files],
        }

    def arguments(self, *more_files: Path) -> list[str]:
        """The options that choose this project, as `docker compose` takes them."""
        options: Sequence[tuple[str, Sequence[object]]] = (
            ("--project-name", [self.name] if self.name else []),
            ("--project-directory", [self.project_directory] if self.project_directory else []),
            ("--file", [*self.files, *more_files]),
            ("--profile", self.profiles),
            ("--env-file", self.env_files),
        )
        return [f"{option}={value}" for option, values in options for value in values]

    async def resolve(self) -> Resolved:
        """What the files come to once Compose has merged, extended, included and interpolated them.

        Services of every profile are in it: one that is started later is configured from the beginning.
        Raises Unresolved with Compose's own words, UserError where Compose is not there.
        """
        files = self.files or await self._default_files()
        answer = await _ask(*replace(self, profiles=EVERY_PROFILE).arguments(), "config")
        if answer.returncode:
            # Compose checks what it prints. What nobody asked for may be broken, and stays out then.
            answer = await _ask(*self.arguments(), "config")
        if answer.returncode:
            raise Unresolved(answer.stderr)
        return Resolved(answer.stdout, files)

    async def pinned(self) -> tuple[ComposeProject, Resolved]:
        """The same project with everything said that Compose would look for, name and files, and what it comes to.

        It means the same from any folder. Raises NoComposeFile, UserError.
        """
        try:
            resolved = await self.resolve()
        except Unresolved as refused:
            raise await self._refusal(str(refused)) from refused
        return replace(self, name=self.name or project_name(resolved), files=resolved.files), resolved

    async def run(self, *command: str, files: Sequence[Path] = (), own_session: bool = False) -> int:
        """Run a command with the terminal that we have, and return its exit code. Cancelled, it is terminated.

        `own_session` keeps the terminal's Ctrl-C from it; cancelled, it is killed, and writes nothing more.
        """
        how = {"start_new_session": True, "deliver_cancel": _kill_session} if own_session else {}
        process = await _docker(*self.arguments(*files), *command, stdin=subprocess.DEVNULL, **how)
        return process.returncode

    async def _default_files(self) -> tuple[Path, ...]:
        """Where Compose finds its files when nobody names them; only it knows whether `.env` does."""
        answer = await _ask(*self.arguments(), "config", "--environment")
        pairs = (line.partition("=") for line in answer.stdout.splitlines())
        return compose_files({name: value for name, _, value in pairs}, self.project_directory or Path.cwd())

    async def _refusal(self, stderr: str) -> UserError:
        """Compose's complaint in one line, with the place it is about and what to do."""
        if "no configuration file provided" in stderr:
            return NoComposeFile(self.name)
        if "unknown command" in stderr or "unknown flag: --project" in stderr or "is not a docker command" in stderr:
            return UserError(NO_PLUGIN)

        # Late: who reads YAML brings the whole language of `x-mesh` along, and most commands only ask what runs.
        from composemesh.config.loaders.compose import explain
        from composemesh.config.loaders.sources import read_sources

        files = self.files or await self._default_files()
        problem = explain(stderr, await trio.to_thread.run_sync(read_sources, files))
        text = str(problem).rstrip(".")
        if "invalid project name" in text:
            return CallError(f"{text}.")
        return UserError(f"{text}. Mend it, then try again." if not problem.hint else f"{text}.")


def project_name(resolved: Resolved) -> str:
    """The name that Compose gave the project. Compose always prints it, at the top level."""
    found = _NAME.search(resolved.text)
    if found is None:
        raise UserError("Docker Compose did not name the project: name it with -p.")
    return found[1]


async def compose_version() -> str:
    """E.g. ``2.40.3``. Raises UserError where there is no Compose."""
    answer = await _ask("version", "--short")
    if answer.returncode:
        raise UserError(NO_PLUGIN)
    return answer.stdout.strip()


async def _ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    answer = await _docker(*arguments, stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True)
    out, err = (text.decode(errors="replace") for text in (answer.stdout, answer.stderr))
    return subprocess.CompletedProcess(answer.args, answer.returncode, out, err)


async def _kill_session(process: trio.Process) -> None:
    """Kill `docker` and the Compose plugin, its child, which would outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _docker(*arguments: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    try:
        return await trio.run_process(["docker", "compose", *arguments], check=False, **how)
    except FileNotFoundError:
        raise UserError(
            f"There is no `docker` command on PATH: install Docker and its Compose plugin ({INSTALL})."
        ) from None
