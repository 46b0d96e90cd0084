"""Twenty services on one machine: soon ready, small, and captured as soon as they start."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.stack import SERVICES, Figures, measure

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]

MIB = 1 << 20
ATTEMPTS = 3
"""What else the machine does can only make it slower, so the best of a few measurements is the one that counts."""


def test_twenty_services(tmp_path: Path, python_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where it is set, every start compiles the mesh anew, which takes as long as the start itself.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    for _ in range(ATTEMPTS):
        figures = measure(tmp_path)
        assert figures.services == SERVICES == 20
        assert figures.resident_bytes < 120 * MIB
        if soon_enough(figures):
            return
    pytest.fail(f"too slow in each of {ATTEMPTS} measurements, the last of them {figures}")


READY = 1.5
"""Seconds. The goal is one, which two quiet cores keep by little: a test must not fail for what else runs there."""


def soon_enough(figures: Figures) -> bool:
    return min(figures.ready_seconds) < READY and figures.capture_median_ms < 50
