"""Twenty services on one machine: soon ready, small, and captured as soon as they start."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.stack import SERVICES, measure

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]

MIB = 1 << 20


def test_twenty_services(tmp_path: Path, python_image: str) -> None:
    figures = measure(tmp_path)
    assert figures.services == SERVICES == 20
    assert figures.ready_median_seconds < 1
    assert figures.resident_bytes < 120 * MIB
    assert figures.capture_median_ms < 50
