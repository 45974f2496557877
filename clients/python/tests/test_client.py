"""Both clients against a real mesh and against a server that misbehaves."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from conftest import ROOT, FaultServer, Mesh, abort, scores
from dmoerm import AsyncRewardClient, Item, RewardClient, RewardError, Score, _plan, _wire

PROMPT = "Why do rivers bend?"
ITEMS = [Item.pair(PROMPT, f"They erode their outer banks, {i} times.") for i in range(12)] + [
    Item.pair([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}], "Hello!")
]


class Sync:
    """The asyncio client behind the surface of the other, so that each test runs with both."""

    def __init__(self, target: str, **settings: Any) -> None:
        self._client = AsyncRewardClient(target, **settings)

    def score(self, *args: Any) -> Score:
        return asyncio.run(self._client.score(*args))

    def score_batch(self, *args: Any, **options: Any) -> Any:
        return asyncio.run(self._client.score_batch(*args, **options))

    def model(self) -> Any:
        return asyncio.run(self._client.model())

    def close(self) -> None: ...


@pytest.fixture(params=[RewardClient, Sync])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_scores_in_order_with_the_same_bits_alone_and_together(mesh: Mesh, kind: Any) -> None:
    client = kind(mesh.target)
    together = client.score_batch(ITEMS)
    assert [client.score(item).reward for item in ITEMS] == [score.reward for score in together]
    assert len({score.reward for score in together}) > 1
    first = together[0]
    assert math.isfinite(first.reward) and first.task in client.model().tasks
    assert set(first.capabilities) == set(client.model().tasks[first.task])
    assert first.value(next(iter(first.capabilities))) == first.value(f"{first.task}/{next(iter(first.capabilities))}")
    assert math.isnan(first.value("no_such_task/logic"))
    client.close()


def test_nothing_in_nothing_out(mesh: Mesh, kind: Any) -> None:
    assert kind(mesh.target).score_batch([]) == []


def test_a_bad_item_is_named_and_is_never_a_number(mesh: Mesh, kind: Any) -> None:
    client = kind(mesh.target)
    items = [ITEMS[0], Item.pair(PROMPT, ""), ITEMS[1]]
    with pytest.raises(RewardError) as caught:
        client.score_batch(items)
    assert caught.value.item_errors.keys() == {1}
    assert caught.value.item_errors[1].field == "items[1].response"
    good, bad, other = client.score_batch(items, on_error="skip")
    assert bad is None and isinstance(good, Score) and isinstance(other, Score)
    assert math.isnan(client.score_batch(items, on_error="nan")[1].reward)
    assert client.score_batch(items, on_error="zero")[1].reward == 0


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Item.pair(PROMPT, 7), "response"),  # type: ignore[arg-type]
        (lambda: Item.pair([{"role": "robot", "content": "x"}], "y"), "prompt[0].role"),
        (lambda: Item.pair([{"role": "user", "content": [{"type": "image"}]}], "y"), "prompt[0].content"),
        (lambda: Item.pair(PROMPT, "\ud800"), "response"),
        (lambda: Item.from_trl(PROMPT, [{"role": "user", "content": "x"}]), "completion"),
    ],
)
def test_what_cannot_be_an_item_is_refused_by_field(make: Any, field: str) -> None:
    with pytest.raises(RewardError) as caught:
        make()
    assert (caught.value.code, caught.value.field) == ("INVALID_ARGUMENT", field)


def test_unknown_options_are_refused_by_name(faulty: FaultServer, kind: Any) -> None:
    with pytest.raises(RewardError, match="routing is one of top_1, soft"):
        kind(faulty.target).score(Item.pair(PROMPT, "x", routing="best"))
    assert faulty.requests == []


def test_equal_prompts_share_a_request_within_the_limits(faulty: FaultServer, kind: Any) -> None:
    items = [Item.pair(f"prompt {i % 3}", "x" * i) for i in range(30)]
    rewards = [score.reward for score in kind(faulty.target).score_batch(items)]
    assert rewards == list(range(30))
    assert sum(len(request.items) for request in faulty.requests) == 9  # ten candidates, four at most in each
    assert all(len(item.candidates) <= 4 for request in faulty.requests for item in request.items)
    assert max(len(request.items) for request in faulty.requests) <= 8


def test_single_calls_of_many_threads_are_coalesced(faulty: FaultServer) -> None:
    client = RewardClient(faulty.target)
    with ThreadPoolExecutor(64) as pool:
        results = list(pool.map(lambda i: client.score(Item.pair("p", "x" * i)).reward, range(256)))
    assert results == list(range(256))
    assert len(faulty.requests) < 100
    client.close()


def test_single_calls_of_many_tasks_are_coalesced_and_cancelled_ones_not_sent(faulty: FaultServer) -> None:
    async def main() -> None:
        async with AsyncRewardClient(faulty.target) as client:
            tasks = [asyncio.ensure_future(client.score(Item.pair(f"p{i}", "x" * i))) for i in range(50)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one.reward for one in done[1::2] if isinstance(one, Score)] == list(range(1, 50, 2))

    asyncio.run(main())
    sent = [text for request in faulty.requests for item in request.items for text in item.candidates]
    assert sorted(map(len, sent)) == list(range(1, 50, 2))


def test_one_bad_item_fails_its_caller_alone(mesh: Mesh) -> None:
    async def main() -> None:
        async with AsyncRewardClient(mesh.target) as client:
            good, bad = await asyncio.gather(client.score(ITEMS[0]), client.score(Item.pair(PROMPT, "")), return_exceptions=True)
            assert isinstance(good, Score)
            assert isinstance(bad, RewardError) and (bad.reason, bad.field) == ("EMPTY_CANDIDATE", "response")

    asyncio.run(main())


def test_an_event_loop_per_step_works(mesh: Mesh) -> None:
    client = AsyncRewardClient(mesh.target)
    rewards = {asyncio.run(client.score(ITEMS[0])).reward for _ in range(3)}
    assert len(rewards) == 1
    asyncio.run(client.score(ITEMS[0]))
    assert len(client._loops) == 1  # closed loops are forgotten


def test_a_loop_per_step_keeps_the_pinned_revision_and_does_not_wait_for_who_has_gone(
    faulty: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_plan, "_AWAY_SECONDS", 0.5)
    client = AsyncRewardClient(faulty.target, pin=True)
    for _ in range(2):
        asyncio.run(client.score(ITEMS[0]))
    assert faulty.models == 1
    assert {item.options.revision for request in faulty.requests for item in request.items} == {"f" * 64}
    faulty.server.stop(None).wait()
    start = time.monotonic()
    with pytest.raises(RewardError, match="UNAVAILABLE"):
        asyncio.run(client.score(ITEMS[0]))
    assert time.monotonic() - start < 20


def test_overload_is_waited_out_within_the_timeout(faulty: FaultServer, kind: Any) -> None:
    refuse = abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.05)
    faulty.answer = lambda request, context: refuse(request, context) if len(faulty.requests) < 3 else scores(request)
    assert kind(faulty.target).score(Item.pair("p", "xyz")).reward == 3
    assert len(faulty.requests) == 3


def test_overload_beyond_the_timeout_is_an_error_that_says_when(faulty: FaultServer, kind: Any) -> None:
    faulty.answer = abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.5)
    with pytest.raises(RewardError) as caught:
        kind(faulty.target).score_batch([Item.pair("p", "x")], timeout=0.4, on_error="zero")
    assert (caught.value.reason, caught.value.retry_after) == ("QUEUE_FULL", 0.5)


def test_a_late_answer_is_an_error_of_this_package(faulty: FaultServer, kind: Any) -> None:
    over = threading.Event()
    faulty.answer = lambda request, _: over.wait(20) and scores(request)
    with pytest.raises(RewardError, match="DEADLINE_EXCEEDED"):
        kind(faulty.target).score(Item.pair("p", "x"), 0.3)
    over.set()


def test_what_does_not_pass_is_not_asked_again(faulty: FaultServer, kind: Any) -> None:
    faulty.answer = abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    with pytest.raises(RewardError, match="MESSAGE_TOO_LARGE"):
        kind(faulty.target).score(Item.pair("p", "x"))
    assert len(faulty.requests) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_an_error(faulty: FaultServer, kind: Any, value: float) -> None:
    def answer(request: Any, _: Any) -> Any:
        response = scores(request)
        response.results[0].response.results[0].score.reward = value
        return response

    faulty.answer = answer
    with pytest.raises(RewardError, match="no finite number"):
        kind(faulty.target).score(Item.pair("p", "x"))


@pytest.mark.parametrize("spoil", ["items", "candidates", "outcome"])
def test_an_answer_of_another_shape_is_an_error(faulty: FaultServer, kind: Any, spoil: str) -> None:
    def answer(request: Any, _: Any) -> Any:
        response = scores(request)
        if spoil == "items":
            del response.results[-1]
        elif spoil == "candidates":
            del response.results[0].response.results[-1]
        else:
            response.results[0].response.results[0].ClearField("score")
        return response

    faulty.answer = answer
    with pytest.raises(RewardError, match="BAD_ANSWER"):
        kind(faulty.target).score_batch([Item.pair("p", "x"), Item.pair("p", "y")])


def test_nobody_there_is_an_error_in_time_whatever_on_error_says(kind: Any) -> None:
    with pytest.raises(RewardError) as caught:
        kind("127.0.0.1:9").score_batch([Item.pair("p", "x")], timeout=0.5, on_error="zero")
    assert caught.value.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")


def test_a_pinned_client_refuses_another_revision(mesh: Mesh, faulty: FaultServer, kind: Any) -> None:
    with pytest.raises(RewardError, match="REVISION_NOT_ACTIVE"):
        kind(mesh.target, pin="0" * 64).score(ITEMS[0])
    assert kind(mesh.target, pin=True).score(ITEMS[0]).revision == kind(mesh.target).model().revision
    kind(faulty.target, pin=True).score(Item.pair("p", "x"))
    assert faulty.requests[0].items[0].options.revision == "f" * 64


def test_a_token_does_not_leave_the_machine_in_plaintext() -> None:
    with pytest.raises(RewardError, match="plaintext"):
        RewardClient("router.example:50051", token="secret")
    RewardClient("127.0.0.1:50051", token="secret")


def test_a_restarted_mesh_costs_no_call(mesh: Mesh) -> None:
    client = RewardClient(mesh.target)
    before = client.score(ITEMS[0]).reward
    answers: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(client.score(ITEMS[0], timeout=60).reward)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        mesh.kill()
        mesh.start()
        assert client.score(ITEMS[1]).reward != 0
        over.set()
        for one in asking:
            one.result()
    assert set(answers) == {before}
    client.close()


ACROSS = """
import multiprocessing, sys
from dmoerm import Item, RewardClient

ITEM = Item.pair("Why do rivers bend?", "They erode their outer banks.")

def score(client, queue):
    queue.put(client.score(ITEM).reward)

if __name__ == "__main__":
    client = RewardClient(sys.argv[2])
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    child = context.Process(target=score, args=(client, queue))
    child.start()
    reward = queue.get(timeout=60)
    child.join(60)
    # Not before: forking a process in which gRPC is at work is grpcio's own affair, and old ones crash.
    assert child.exitcode == 0 and client.score(ITEM).reward == reward
    client.close()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_clients_cross_processes(mesh: Mesh, method: str, tmp_path: Path) -> None:
    script = tmp_path / "across.py"
    script.write_text(ACROSS)
    run = subprocess.run([sys.executable, str(script), method, mesh.target], capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr


def test_a_fork_does_not_inherit_the_channel(faulty: FaultServer) -> None:
    client = RewardClient(faulty.target)
    client.score(Item.pair("p", "x"))
    here = client._here()
    pid, client._process.pid = client._process.pid, -1  # what a child sees
    assert client._here() is not here and client._here().pid == os.getpid() == pid


def test_errors_and_clients_pickle() -> None:
    inner = RewardError("NOT_FOUND", "UNKNOWN_TASK", "no such task", "items[2].options.task", 1.5)
    error = pickle.loads(pickle.dumps(RewardError("UNAVAILABLE", "X", "y", item_errors={2: inner})))
    assert error.item_errors[2].field == "items[2].options.task" and error.item_errors[2].retry_after == 1.5
    for client in (RewardClient("127.0.0.1:1"), AsyncRewardClient("127.0.0.1:1")):
        assert pickle.loads(pickle.dumps(client))._settings == client._settings


def test_the_default_descriptor_pool_is_left_alone() -> None:
    from google.protobuf import descriptor_pool

    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("dmoerm.reward.v1.ScoreRequest")
    assert _wire.ScoreRequest.DESCRIPTOR.full_name == "dmoerm.reward.v1.ScoreRequest"


def test_the_descriptors_are_those_of_the_protos() -> None:
    built = ROOT / "protos" / "src" / "gen" / "descriptors.binpb"
    if not built.exists():
        pytest.skip("protos are not generated: npm run build")
    shipped = ROOT / "clients" / "python" / "src" / "dmoerm" / "descriptors.binpb"
    assert shipped.read_bytes() == built.read_bytes(), "run clients/python/tools/descriptors.sh"
