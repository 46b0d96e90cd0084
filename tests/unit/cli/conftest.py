from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Commands send the log of the whole process elsewhere; the tests after them may want to read it."""
    yield
    structlog.reset_defaults()
