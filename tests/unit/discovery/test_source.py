"""Conversations with an engine: it said this, the registry knew that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from composemesh.discovery.docker.client import DockerClient
from composemesh.discovery.docker.ledger import STOP_MARGIN
from composemesh.discovery.docker.source import PATIENCE, RELIST_EVERY, DockerSource
from composemesh.model.workload import Discovered, Health, State
from composemesh.runtime.latest import Latest
from unit.discovery.engine import Engine, answer, event, identity, inspected


class Watched:
    """A source at work, and everything that it published."""

    def __init__(self, engine: Engine) -> None:
        self.source = DockerSource(DockerClient(engine.endpoint), "shop")
        self.feed = Latest(Discovered(trouble="nothing published yet"))
        self.history: list[Discovered] = []

    def publish(self, state: Discovered) -> None:
        if self.feed.publish(state):
            self.history.append(state)

    @property
    def now(self) -> Discovered:
        return self.feed.value

    @property
    def states(self) -> dict[str, State]:
        return {workload.name: workload.state for workload in self.now.workloads}

    async def until(self, condition: Callable[[], object], seconds: int = 60) -> None:
        with trio.fail_after(seconds):
            while not condition():
                await self.feed.after(self.feed.version)

    async def live(self) -> None:
        await self.until(lambda: not self.now.trouble)


@pytest.fixture
def watched(engine: Engine, nursery: trio.Nursery) -> Watched:
    made = Watched(engine)
    nursery.start_soon(made.source.watch, made.publish)
    return made


# -- the first look ------------------------------------------------------------------------------------------


async def test_it_subscribes_before_it_lists(engine: Engine, watched: Watched, autojump_clock: MockClock) -> None:
    engine.put(inspected(1), inspected(2, service="api"))
    async with engine.running():
        await watched.live()
        assert watched.states == {"shop-api-2": State.RUNNING, "shop-web-1": State.RUNNING}
        assert engine.asked[:3] == ["/version", "/events", "/containers/json"]
        assert [len(state.workloads) for state in watched.history if state.workloads] == [2], "everything at once"


async def test_a_project_without_containers_is_known_to_have_none(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    async with engine.running():
        await watched.live()
        assert watched.now == Discovered()


async def test_replicas_share_one_look_at_their_image(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(*(inspected(number) for number in range(1, 4)))
    async with engine.running():
        await watched.live()
        engine.heads.clear()
        engine.put(inspected(4))
        await engine.say(event("start", 4))
        await watched.until(lambda: "shop-web-4" in watched.states)
        assert engine.asked == [f"/containers/{identity(4)}/json"]


async def test_a_container_that_the_engine_is_slow_about_does_not_hide_the_others(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    async def slow(stream: trio.SocketStream) -> None:
        await trio.sleep(5)
        await stream.send_all(answer(engine.containers[identity(1)]))

    engine.scripts[f"/containers/{identity(1)}/"] = slow
    engine.put(inspected(1), inspected(2))
    async with engine.running():
        await engine.subscribed()
        asked = trio.current_time()
        await watched.until(lambda: watched.states)
        assert list(watched.states) == ["shop-web-2"]
        assert watched.now.trouble
        assert trio.current_time() - asked == pytest.approx(PATIENCE, abs=0.1)
        await watched.live()
        assert list(watched.states) == ["shop-web-1", "shop-web-2"]


async def test_one_that_ends_between_the_list_and_the_look_is_no_trouble(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1))
    engine.scripts[f"/containers/{identity(1)}/"] = _sends(answer({"message": "No such container"}, 404, "Not Found"))
    async with engine.running():
        await watched.live()
        assert watched.now == Discovered()


async def test_an_impostor_is_named_and_not_taken_in(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    inspect = inspected(1, service="billing", image="sha256:evil")
    engine.put(inspect)
    engine.images["sha256:evil"] = {"Config": {"Labels": inspect["Config"]["Labels"]}}
    async with engine.running():
        await watched.live()
        assert watched.now.workloads == ()
        assert [(found.claims, found.image) for found in watched.now.impostors] == [("billing", "shop/web:1")]


async def test_without_the_image_there_is_no_proof(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1))
    engine.images.clear()
    async with engine.running():
        await watched.live()
        assert [impostor.claims for impostor in watched.now.impostors] == ["web"]


# -- changes ---------------------------------------------------------------------------------------------------


async def test_a_life_from_start_to_end(engine: Engine, watched: Watched, autojump_clock: MockClock) -> None:
    async with engine.running():
        await watched.live()
        engine.put(inspected(1, state={"Health": {"Status": "starting"}}))
        await engine.say(event("start", 1))
        await watched.until(lambda: watched.states == {"shop-web-1": State.RUNNING})
        assert watched.now.workloads[0].health is Health.STARTING

        engine.put(inspected(1, state={"Health": {"Status": "healthy"}}))
        await engine.say(event("health_status: healthy", 1))
        await watched.until(lambda: {each.health for each in watched.now.workloads} == {Health.HEALTHY})

        engine.put(inspected(1, state={"Paused": True, "Status": "paused"}))
        await engine.say(event("pause", 1))
        await watched.until(lambda: watched.states == {"shop-web-1": State.PAUSED})
        engine.put(inspected(1))
        await engine.say(event("unpause", 1))
        await watched.until(lambda: watched.states == {"shop-web-1": State.RUNNING})

        engine.put(inspected(1, name="shop-front"))
        await engine.say(event("rename", 1))
        await watched.until(lambda: watched.states == {"shop-front": State.RUNNING})

        inspect = inspected(1, name="shop-front")
        inspect["NetworkSettings"]["Networks"] = {}
        engine.put(inspect)
        await engine.say(event("disconnect", 1, type="network"))
        await watched.until(lambda: watched.now.workloads[0].attachments == ())

        engine.heads.clear()
        await engine.say(event("kill", 1, signal="15"))
        await watched.until(lambda: watched.states == {"shop-front": State.STOPPING})
        await engine.say(event("die", 1))
        await watched.until(lambda: watched.now == Discovered())
        assert engine.asked == [], "neither the drain nor the end waits for an answer"


async def test_a_restart_is_a_new_life_with_the_same_id(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1))
    async with engine.running():
        await watched.live()
        engine.put(inspected(1, state={"StartedAt": "2026-11-20T19:20:00Z", "Pid": 4321}))
        started = 1795202400.0
        await engine.say(
            event("kill", 1, signal="15", at=started - 1),
            event("die", 1, at=started - 0.5),
            event("start", 1, at=started),
        )
        await watched.until(lambda: watched.now.workloads and watched.now.workloads[0].pid == 4321)
        lives = [state.workloads[0].state if state.workloads else None for state in watched.history[-3:]]
        assert lives == [State.STOPPING, None, State.RUNNING]


async def test_one_that_survives_its_stop_serves_on(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1))
    async with engine.running():
        await watched.live()
        told = trio.current_time()
        await engine.say(event("kill", 1, signal="15"))
        await watched.until(lambda: watched.states == {"shop-web-1": State.STOPPING})
        await watched.until(lambda: watched.states == {"shop-web-1": State.RUNNING})
        assert trio.current_time() - told == pytest.approx(3 + STOP_MARGIN, abs=0.1)


async def test_an_answer_from_before_the_end_does_not_bring_the_dead_back(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1))
    asked, ended = trio.Event(), trio.Event()

    async def late(stream: trio.SocketStream) -> None:
        asked.set()
        await ended.wait()
        await stream.send_all(answer(inspected(1)))

    async with engine.running():
        await watched.live()
        engine.scripts[f"/containers/{identity(1)}/"] = late
        await engine.say(event("oom", 1))
        await asked.wait()
        await engine.say(event("die", 1))
        await watched.until(lambda: not watched.states)
        engine.containers.clear()
        engine.scripts.clear()
        ended.set()
        engine.put(inspected(2))
        await engine.say(event("start", 2))
        await watched.until(lambda: watched.states)
        assert list(watched.states) == ["shop-web-2"]


async def test_what_happens_during_a_look_is_looked_at_again(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1))
    asked, changed = trio.Event(), trio.Event()

    async def overtaken(stream: trio.SocketStream) -> None:
        answered = answer(engine.containers[identity(1)])
        engine.scripts.clear()
        asked.set()
        await changed.wait()
        await stream.send_all(answered)

    async with engine.running():
        await watched.live()
        engine.scripts[f"/containers/{identity(1)}/"] = overtaken
        await engine.say(event("oom", 1))
        await asked.wait()
        engine.put(inspected(1, state={"Paused": True}))
        await engine.say(event("pause", 1), event("oom", 1), event("oom", 1))
        await trio.testing.wait_all_tasks_blocked(0.01)
        changed.set()
        await watched.until(lambda: watched.states == {"shop-web-1": State.PAUSED}, seconds=1)


async def test_containers_of_others_are_never_asked_about(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    async with engine.running():
        await watched.live()
        engine.heads.clear()
        foreign = {"com.docker.compose.project": "bank"}
        await engine.say(
            event("start", 7, at=None, **foreign), event("connect", 8, type="network"), event("start", 1)
        )
        await engine.until(lambda: engine.heads)
        assert engine.asked == [f"/containers/{identity(1)}/json"]


async def test_a_crowd_starts_at_once(engine: Engine, watched: Watched, autojump_clock: MockClock) -> None:
    async with engine.running():
        await watched.live()
        crowd = range(1, 61)
        engine.put(*(inspected(number) for number in crowd))
        await engine.say(*(event("start", number) for number in crowd))
        await watched.until(lambda: len(watched.states) == len(crowd), seconds=1)


# -- a missed event ------------------------------------------------------------------------------------------


async def test_what_no_event_told_is_found_all_the_same(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1), inspected(2))
    async with engine.running():
        await watched.live()
        began, told = trio.current_time(), len(watched.history)
        del engine.containers[identity(1)]
        engine.put(inspected(3))
        await watched.until(lambda: list(watched.states) == ["shop-web-2", "shop-web-3"])
        assert trio.current_time() - began == pytest.approx(RELIST_EVERY, abs=1)
        assert all(not state.trouble for state in watched.history[told:])


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b"{}\n"])
async def test_an_unreadable_event_makes_it_look_at_everything(
    engine: Engine, watched: Watched, autojump_clock: MockClock, line: bytes
) -> None:
    async with engine.running():
        await watched.live()
        began = trio.current_time()
        engine.put(inspected(1))
        await engine.say_bytes(line)
        await watched.until(lambda: watched.states)
        assert trio.current_time() - began < 1.1


async def test_a_flood_of_unreadable_events_costs_one_list_a_second(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    async with engine.running():
        await watched.live()
        engine.heads.clear()
        with trio.move_on_after(5.5):
            while True:
                await engine.say_bytes(b"nonsense\n")
                await trio.sleep(0.05)
        assert 4 <= engine.asked.count("/containers/json") <= 6


async def test_a_container_that_cannot_be_looked_at_is_asked_about_again(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1), inspected(2))
    script = f"/containers/{identity(1)}/"
    engine.scripts[script] = _sends(answer({"message": "layer broken"}, 500, "Internal Server Error"))
    async with engine.running():
        await watched.until(lambda: watched.states)
        assert list(watched.states) == ["shop-web-2"]
        assert "Docker answered 500: layer broken." in watched.now.trouble
        await trio.sleep(600)
        assert engine.asked.count("/containers/json") < 40, "patiently"
        del engine.scripts[script]
        await watched.live()
        assert list(watched.states) == ["shop-web-1", "shop-web-2"]


async def test_a_failed_look_after_an_event_is_made_up_for_soon(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    async with engine.running():
        await watched.live()
        engine.put(inspected(1))
        script = f"/containers/{identity(1)}/"
        engine.scripts[script] = _sends(answer({"message": "busy"}, 500, "Internal Server Error"))
        await engine.say(event("start", 1))
        await engine.until(lambda: f"{script}json" in engine.asked)
        del engine.scripts[script]
        await watched.until(lambda: watched.states, seconds=3)


# -- an engine that goes away ------------------------------------------------------------------------------------


async def test_an_engine_that_is_not_there_yet(engine: Engine, watched: Watched, autojump_clock: MockClock) -> None:
    await watched.until(lambda: "does not exist: start Docker" in watched.now.trouble)
    await trio.sleep(60)
    engine.put(inspected(1))
    async with engine.running():
        began = trio.current_time()
        await watched.live()
        assert list(watched.states) == ["shop-web-1"]
        assert trio.current_time() - began < 2.5

        began = trio.current_time()
        await engine.end_events()
        await engine.subscribed(2)
        assert trio.current_time() - began < 0.5, "patience is for engines that stay away"


async def test_while_the_engine_restarts_the_last_known_state_stays(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1), inspected(2))
    async with engine.running():
        await watched.live()
        before = watched.now
    await watched.until(lambda: watched.now.trouble)
    assert replace(watched.now, trouble="") == before
    assert "Docker" in watched.now.trouble
    await trio.sleep(60)
    assert watched.now.workloads == before.workloads
    del engine.containers[identity(1)]
    engine.put(inspected(3))
    engine.scripts["/version"] = _sends(answer({"ApiVersion": "1.30", "MinAPIVersion": "1.12"}))
    async with engine.running():
        await watched.live()
        assert list(watched.states) == ["shop-web-2", "shop-web-3"]
        assert b"GET /v1.30/containers/json?" in engine.heads[-4] + engine.heads[-3] + engine.heads[-2]
        engine.put(inspected(4))
        await engine.say(event("start", 4))
        await watched.until(lambda: "shop-web-4" in watched.states)


@pytest.mark.parametrize("cut", [b"", b'{"Type": "contai'])
async def test_an_event_stream_that_ends_is_taken_up_again(
    engine: Engine, watched: Watched, autojump_clock: MockClock, cut: bytes
) -> None:
    async with engine.running():
        await watched.live()
        if cut:
            await engine.say_bytes(cut)
        await engine.end_events()
        await engine.subscribed(2)
        await watched.live()
        engine.put(inspected(1))
        await engine.say(event("start", 1))
        await watched.until(lambda: watched.states)


async def test_an_engine_that_hangs_is_noticed_without_any_event(
    engine: Engine, watched: Watched, autojump_clock: MockClock
) -> None:
    engine.put(inspected(1))
    async with engine.running():
        await watched.live()
        engine.scripts["/"] = _is_silent
        await watched.until(lambda: "did not answer within" in watched.now.trouble)
        assert list(watched.states) == ["shop-web-1"]
        engine.scripts.clear()
        await watched.live()


async def test_an_engine_that_refuses_says_so(engine: Engine, watched: Watched, autojump_clock: MockClock) -> None:
    engine.scripts["/events"] = _sends(answer({"message": "denied by policy"}, 403, "Forbidden"))
    async with engine.running():
        await watched.until(lambda: "403: denied by policy" in watched.now.trouble)


async def test_cancelled_it_leaves_no_connection(engine: Engine, autojump_clock: MockClock) -> None:
    watched = Watched(engine)
    async with engine.running(), trio.open_nursery() as nursery:
        nursery.start_soon(watched.source.watch, watched.publish)
        await watched.live()
        nursery.cancel_scope.cancel()
        await engine.until(lambda: not engine.connections)


def _sends(data: bytes) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def script(stream: trio.SocketStream) -> None:
        await stream.send_all(data)

    return script


async def _is_silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()
