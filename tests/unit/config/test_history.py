"""Changes taken back: what comes again, how far back, and when it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from composemesh.config import history
from composemesh.config.history import MOST_STEPS, CannotUndo
from composemesh.config.publish import Publisher
from composemesh.config.resources import Resource, ResourceKey, load_documents
from composemesh.config.trying import Conflict
from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest

ENTRY = """\
# kept
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %s}
spec: {hosts: [%s.example]}
"""


def key(name: str) -> ResourceKey:
    return ResourceKey("networking.istio.io", "ServiceEntry", name)


def documents(**hosts: str) -> tuple[Resource, ...]:
    resources, problems = load_documents("---\n".join(ENTRY % pair for pair in hosts.items()), "given.yaml")
    assert not problems
    return resources


def publisher_of(folder: Path) -> Publisher:
    return Publisher("shop", Latest(Discovered()), applied=folder / "resources.yaml")


def hosts(publisher: Publisher) -> dict[str, str]:
    return {each.name: each.document["spec"]["hosts"][0] for each in publisher.resources.values()}


async def test_steps_are_taken_back_one_by_one_with_their_comments(tmp_path: Path) -> None:
    publisher = publisher_of(tmp_path)
    await publisher.change(documents(a="one", b="one"))
    await publisher.change(documents(a="two"))
    await publisher.change(documents(c="one"), [key("b")])
    assert hosts(publisher) == {"a": "two.example", "c": "one.example"}

    change = await publisher.undo()
    assert (change.created, change.deleted) == ((key("b"),), (key("c"),))
    assert hosts(publisher) == {"a": "two.example", "b": "one.example"}
    change = await publisher.undo()
    assert (change.configured, hosts(publisher)["a"]) == ((key("a"),), "one.example")
    assert publisher.resources[key("a")].text == ENTRY % ("a", "one")
    await publisher.undo()
    assert hosts(publisher) == {}
    with pytest.raises(CannotUndo, match="no change"):
        await publisher.undo()


async def test_a_restart_knows_the_steps(tmp_path: Path) -> None:
    first = publisher_of(tmp_path)
    await first.change(documents(a="one"))
    await first.change(documents(a="two"))
    second = publisher_of(tmp_path)
    await second.load()
    assert [step.id for step in second.steps] == [step.id for step in first.steps]
    await second.undo()
    assert hosts(second) == {"a": "one.example"}
    assert (tmp_path / "undo.json").stat().st_mode & 0o777 == 0o600


async def test_only_the_change_that_is_meant_is_taken_back(tmp_path: Path) -> None:
    publisher = publisher_of(tmp_path)
    await publisher.change(documents(a="one"))
    seen = publisher.steps[-1].id
    await publisher.change(documents(b="one"))
    with pytest.raises(CannotUndo, match="not the last change"):
        await publisher.undo(seen)
    await publisher.undo(publisher.steps[-1].id)
    assert hosts(publisher) == {"a": "one.example"}


async def test_what_was_changed_behind_our_back_is_not_undone(tmp_path: Path) -> None:
    first = publisher_of(tmp_path)
    await first.change(documents(a="one"))
    await first.change(documents(a="two"))
    kept = tmp_path / "resources.yaml"
    kept.write_text(kept.read_text().replace("two.example", "three.example"))
    second = publisher_of(tmp_path)
    await second.load()
    with pytest.raises(CannotUndo, match="changed since"):
        await second.undo()
    assert hosts(second) == {"a": "three.example"}


async def test_what_changes_nothing_is_no_step(tmp_path: Path) -> None:
    publisher = publisher_of(tmp_path)
    await publisher.change(documents(a="one"))
    await publisher.change(documents(a="one"))
    await publisher.change(documents(a="two"), carry_out=False)
    assert len(publisher.steps) == 1


async def test_steps_are_bounded_in_number_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = publisher_of(tmp_path)
    for number in range(MOST_STEPS + 3):
        await publisher.change(documents(a=f"host{number}"))
    assert len(publisher.steps) == MOST_STEPS
    monkeypatch.setattr(history, "MOST_BYTES", 2 * len(ENTRY))
    await publisher.change(documents(a="last"))
    assert len(publisher.steps) <= 2
    monkeypatch.setattr(history, "MOST_BYTES", 1)
    await publisher.change(documents(a="too-large"))
    assert publisher.steps == []


@pytest.mark.parametrize("text", ["{", "[1]", '[{"id": 1}]', "{}", '[{"left": [[1]]}]', "\ud800"])
async def test_steps_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "undo.json").write_bytes(text.encode(errors="surrogatepass"))
    publisher = publisher_of(tmp_path)
    assert await publisher.load() == ()
    assert publisher.steps == []
    await publisher.change(documents(a="one"))
    assert len(json.loads((tmp_path / "undo.json").read_text())) == 1


async def test_an_undoing_that_would_be_wrong_is_refused_whole(tmp_path: Path) -> None:
    """A version of the mesh that knows fewer fields was started meanwhile."""
    publisher = publisher_of(tmp_path)
    await publisher.change(documents(a="one"))
    await publisher.change(delete=[key("a")])
    step = publisher.steps[-1]
    broken = step.before.replace("hosts:", "hostz:")
    publisher.steps[-1] = history.Step(step.id, step.time, (), (), step.deleted, broken, step.left)  # type: ignore[index]
    change = await publisher.undo()
    assert (change.accepted, hosts(publisher), len(publisher.steps)) == (False, {}, 2)


async def test_two_editors_of_one_resource_notice_each_other(tmp_path: Path) -> None:
    publisher = publisher_of(tmp_path)
    await publisher.change(documents(a="one"), expect={key("a"): ""})
    read = publisher.resources[key("a")].version
    with pytest.raises(Conflict, match="is there already"):
        await publisher.change(documents(a="two"), expect={key("a"): ""})
    await publisher.change(documents(a="two"), expect={key("a"): read})
    with pytest.raises(Conflict, match="has changed"):
        await publisher.change(documents(a="three"), expect={key("a"): read})
    await publisher.change(delete=[key("a")])
    with pytest.raises(Conflict, match="was deleted"):
        await publisher.change(documents(a="three"), expect={key("a"): read})
    assert hosts(publisher) == {}


async def test_a_disk_that_does_not_take_the_steps_costs_no_change(tmp_path: Path) -> None:
    publisher = publisher_of(tmp_path)
    (tmp_path / "undo.json").mkdir()
    assert (await publisher.change(documents(a="one"))).accepted
    await publisher.undo()
    assert hosts(publisher) == {}
