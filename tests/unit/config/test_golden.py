"""Documents in, snapshot and problems out. Run as a program, it writes anew what is expected: then read the diff."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from composemesh.config.compile import compile_mesh, rejected
from composemesh.config.loaders.compose import load_compose
from composemesh.config.loaders.labels import load_labels
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.yaml import parse
from composemesh.model.workload import Workload

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir())


def outcome(case: str) -> dict[str, Any]:
    text = (GOLDEN / case / "compose.yaml").read_text()
    file = Path("compose.yaml")
    document = load_compose(Resolved(text, (file,)), Sources({file: parse(text, str(file))}))
    snapshot, problems = compile_mesh("shop", document, filter(None, map(load_labels, containers(GOLDEN / case))))
    result = {
        "rejected": bool(rejected(document)),
        "problems": [asdict(problem) for problem in problems],
        "snapshot": asdict(snapshot),
    }
    written: dict[str, Any] = json.loads(json.dumps(result, default=sorted))
    return written


def containers(folder: Path) -> list[Workload]:
    file = folder / "containers.yaml"
    if not file.exists():
        return []
    (document,) = parse(file.read_text()).documents
    return [
        Workload(name, name, name.split("-")[1], "2026", 1, labels=labels) for name, labels in document.value.items()
    ]


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    assert outcome(case) == json.loads((GOLDEN / case / "expected.json").read_text())


if __name__ == "__main__":
    for name in CASES:
        (GOLDEN / name / "expected.json").write_text(json.dumps(outcome(name), indent=2) + "\n")
