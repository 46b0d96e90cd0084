"""What a start reads before anything is started: plugins that the files name are part of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from composemesh.config.loaders.resolved import Resolved
from composemesh.plugins import Plugins
from composemesh.stack.compose import ComposeProject
from composemesh.stack.configuration import good_configuration
from composemesh.stack.errors import UserError

PLUGIN = """
API = 1
class Silent:
    async def run(self, records):
        async for record in records:
            pass
def register(mesh):
    mesh.sink("silent", Silent)
"""
TEXT = "x-mesh:\n  plugins: [silent.py]\n  sinks:\n    {}: {{}}\nservices: {{web: {{image: x}}}}\n"


@pytest.fixture
def resolved(tmp_path: Path) -> Callable[[str], Resolved]:
    (tmp_path / "silent.py").write_text(PLUGIN)
    (tmp_path / "silent.py").chmod(0o600)

    def make(sink: str) -> Resolved:
        file = tmp_path / "compose.yaml"
        file.write_text(TEXT.format(sink))
        return Resolved(file.read_text(), (file,))

    return make


async def test_a_sink_of_a_file_that_is_named_is_known(resolved: Callable[[str], Resolved]) -> None:
    snapshot = await good_configuration(ComposeProject("shop"), resolved("silent"), Plugins())
    assert snapshot.mesh.sinks == {"silent": None}


async def test_one_that_nobody_brings_along_stops_the_start_at_its_line(resolved: Callable[[str], Resolved]) -> None:
    with pytest.raises(UserError, match=r'compose\.yaml:4: .* there is no sink "silnet". Did you mean `silent`'):
        await good_configuration(ComposeProject("shop"), resolved("silnet"), Plugins())
