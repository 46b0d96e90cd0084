"""The Compose files of a project that is known by its name only: its containers' labels say which they were.

Compose's provider protocol names a project and starts its mesh before its containers. So the files are learned while
the mesh runs, and written down in a file of the state folder: it is among those that the configuration is watched by.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from composemesh.config.loaders.resolved import Resolved
from composemesh.discovery.docker.translate import PROJECT
from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest
from composemesh.stack.compose import ComposeProject
from composemesh.stack.state import StateFolder

HEAD = "# Written by composemesh: the Compose files that the labels of the project's containers name.\n"


def named_by_labels(name: str, workloads: Iterable[Workload]) -> ComposeProject:
    """The project as Compose was last called for it; only its name where none of the files are there any more.

    Labels that an image carries do not count: a workload has none of them.
    """
    for workload in sorted(workloads, key=lambda workload: workload.started, reverse=True):
        files = _present(workload.labels.get(f"{PROJECT}.config_files", ""))
        if files:
            directory = workload.labels.get(f"{PROJECT}.working_dir", "")
            return ComposeProject(
                name,
                files,
                Path(directory) if directory else None,
                env_files=_present(workload.labels.get(f"{PROJECT}.environment_file", "")),
            )
    return ComposeProject(name)


def _present(paths: str) -> tuple[Path, ...]:
    return tuple(path for name in paths.split(",") if name and (path := Path(name)).is_absolute() and path.is_file())


class LabelledProject:
    """A project whose files are still to be learned, and what resolves it until then and from then on."""

    def __init__(self, folder: StateFolder) -> None:
        self.project = ComposeProject(folder.project)
        self._folder = folder
        self._note = folder.replace("compose-files", HEAD)

    async def resolve(self) -> Resolved:
        """As `ComposeProject.resolve`; an empty project while nothing is known."""
        if not self.project.files:
            return Resolved("", (self._note,))
        resolved = await self.project.resolve()
        return Resolved(resolved.text, (*resolved.files, self._note))

    async def follow(self, discovered: Latest[Discovered]) -> None:
        """Learn the files from what runs, for ever. Containers that are gone leave what they said behind."""
        async for now in discovered:
            project = named_by_labels(self.project.name, now.workloads)
            if project.files and project != self.project:
                self.project = project
                self._folder.replace("compose-files", HEAD + "".join(f"# {path}\n" for path in project.files))
                if (entry := self._folder.entry()) is not None:
                    self._folder.write(entry.called_with(project.describe()))
