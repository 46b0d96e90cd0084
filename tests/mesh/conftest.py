"""The fixture of this folder: a mesh on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mesh.net import Net, running_net


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    async with running_net() as running:
        yield running
