"""The adapters as their trainers call them. Inside the trainers themselves: tests/trainers."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from conftest import FaultServer, Mesh, abort, scores
from dmoerm import Item, RewardClient, RewardError, _plan
from dmoerm.adapters import areal, openrlhf, slime, trl, trlx, verifiers, verl

PROMPT = "Why do rivers bend?"
RESPONSES = ["They erode their outer banks.", "No idea."]
CHAT = [{"role": "user", "content": PROMPT}]


@pytest.fixture
def target(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DMOERM_TARGET", mesh.target)
    return mesh.target


@pytest.fixture
def expected(mesh: Mesh) -> list[float]:
    with RewardClient(mesh.target) as client:
        return [score.reward for score in client.score_batch([Item.pair(PROMPT, one) for one in RESPONSES])]


def _ask(name: str, target: str, responses: list[str]) -> list[Any]:
    """Rewards of responses to the prompt, asked for as the trainer does."""

    async def gathered(calls: Any) -> list[Any]:
        return list(await asyncio.gather(*calls))

    if name == "trl":
        rewards = trl.reward(target, timeout=20)
        return asyncio.run(rewards(prompts=[PROMPT] * len(responses), completions=responses, completion_ids=[], trainer_state=None))
    if name == "trl, conversations":
        completions = [[{"role": "assistant", "content": one}] for one in responses]
        return asyncio.run(trl.reward(target, timeout=20)(prompts=[CHAT] * len(responses), completions=completions))
    if name == "verl":
        rows = [verl.compute_score("any", one, "", {"question": PROMPT}, target=target) for one in responses]
        return [row["score"] for row in asyncio.run(gathered(rows))]
    if name == "areal":
        return [areal.reward_fn("", one, [], [], messages=CHAT) for one in responses]
    if name == "slime":
        samples = [SimpleNamespace(prompt=PROMPT, response=one) for one in responses]
        return asyncio.run(gathered([slime.custom_rm(SimpleNamespace(), sample) for sample in samples]))
    if name == "slime, groups":
        samples = [SimpleNamespace(prompt=CHAT, response=one) for one in responses]
        return list(asyncio.run(slime.custom_rm(SimpleNamespace(reward_key=None), samples)))
    if name == "trlx":
        return trlx.reward_fn(target)(samples=[], prompts=[PROMPT] * len(responses), outputs=responses, tokenizer=None)
    if name == "verifiers, legacy":
        rubric = verifiers.legacy(target)
        return asyncio.run(gathered([rubric(prompt=CHAT, completion=one, answer="", state={}) for one in responses]))
    traces = [SimpleNamespace(messages=[_message("user", PROMPT), _message("assistant", one)]) for one in responses]
    return asyncio.run(gathered([verifiers.reward(trace) for trace in traces]))


def _message(role: str, content: str) -> SimpleNamespace:
    return SimpleNamespace(role=role, content=content)


NAMES = ["trl", "trl, conversations", "verl", "areal", "slime", "slime, groups", "trlx", "verifiers", "verifiers, legacy"]


@pytest.mark.parametrize("name", NAMES)
def test_gives_the_rewards_of_the_mesh(name: str, target: str, expected: list[float]) -> None:
    assert _ask(name, target, RESPONSES) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_item_is_an_exception(name: str, target: str) -> None:
    with pytest.raises(RewardError, match="EMPTY_CANDIDATE"):
        _ask(name, target, [RESPONSES[0], ""])


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_expert_is_an_exception(name: str, faulty: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMOERM_TARGET", faulty.target)

    def answer(request: Any, _: Any) -> Any:
        response = scores(request)
        response.results[0].response.results[0].score.reward = math.nan
        return response

    faulty.answer = answer
    with pytest.raises(RewardError, match="no finite number"):
        _ask(name, faulty.target, RESPONSES)


@pytest.mark.parametrize("name", NAMES)
def test_overload_is_waited_out(name: str, faulty: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMOERM_TARGET", faulty.target)
    refuse = abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.05)
    faulty.answer = lambda request, context: refuse(request, context) if len(faulty.requests) < 2 else scores(request)
    assert _ask(name, faulty.target, ["x", "xyz"]) == [1, 3]


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_goes_away_is_an_exception(name: str, faulty: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMOERM_TARGET", faulty.target)
    monkeypatch.setattr(_plan, "_AWAY_SECONDS", 0.2)
    assert _ask(name, faulty.target, ["x", "xyz"]) == [1, 3]
    faulty.server.stop(None).wait()
    with pytest.raises(RewardError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
        _ask(name, faulty.target, ["x", "xyz"])


def test_trl_finds_and_pickles_the_function(target: str) -> None:
    function = trl.reward(target)
    assert inspect.iscoroutinefunction(function) and isinstance(function, functools.partial)
    assert pickle.loads(pickle.dumps(function)).keywords == function.keywords


def test_trl_columns_share_one_call(faulty: FaultServer) -> None:
    columns = trl.rewards(faulty.target, ["chat/logic", "other/logic"])
    prompts, completions = ["p", "p"], ["x", "xy"]

    async def step() -> list[Any]:
        return list(await asyncio.gather(*(one(prompts=prompts, completions=completions) for one in columns)))

    own, other = asyncio.run(step())
    assert own == [1, 2] and all(math.isnan(value) for value in other)
    assert len(faulty.requests) == 1


def test_trl_skips_only_where_it_is_told_to(target: str) -> None:
    skipping = trl.reward(target, on_error="skip")
    rewards = asyncio.run(skipping(prompts=[PROMPT] * 2, completions=[RESPONSES[0], ""]))
    assert rewards[0] is not None and rewards[1] is None


def test_openrlhf_asks_one_at_a_time_from_threads(target: str) -> None:
    prompt = "<|user|>Why do rivers bend?<|assistant|>"

    def ask(response: str) -> dict[str, Any]:
        return openrlhf.reward_func([prompt + response], [prompt], [""])

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, RESPONSES))
    for answer in answers:
        values = [answer["rewards"], answer["scores"], *answer["extra_logs"].values()]
        assert all(len(one) == 1 and isinstance(one[0], float) and math.isfinite(one[0]) for one in values)
        assert 0 < answer["scores"][0] < 1
    assert answers[0]["extra_logs"].keys() == answers[1]["extra_logs"].keys()
    assert openrlhf.reward_func([], [], []) == {"rewards": [], "scores": [], "extra_logs": {}}
    cut = openrlhf.reward_func([prompt[9:] + RESPONSES[0]], [prompt], [""])
    assert cut["rewards"] == openrlhf.reward_func([prompt[9:] + RESPONSES[0]], [prompt[9:]], [""])["rewards"]
    assert openrlhf.reward_func(["nothing of the prompt"], ["another one"], [""])["rewards"]


def test_verl_names_the_key_that_is_missing(target: str) -> None:
    with pytest.raises(RewardError, match="prompt_key"):
        asyncio.run(verl.compute_score("any", "x", "", {"other": ""}, target=target))


def test_verl_gives_every_row_the_same_keys(target: str) -> None:
    async def rows() -> Any:
        questions = [PROMPT, "Write a poem about silver."]
        return await asyncio.gather(*(verl.compute_score("any", "Hm.", "", {"question": one}, target=target) for one in questions))

    first, second = asyncio.run(rows())
    assert list(first) == list(second) and all(math.isfinite(value) for value in first.values())


def test_verifiers_failures_come_up_again(target: str) -> None:
    verifiers._failures.clear()
    with pytest.raises(RewardError):
        asyncio.run(verifiers.legacy(target)(prompt=PROMPT, completion=""))
    with pytest.raises(RewardError, match="EMPTY_CANDIDATE"):
        verifiers.check()
    verifiers.check()


def test_a_target_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMOERM_TARGET", raising=False)
    with pytest.raises(RewardError, match="DMOERM_TARGET"):
        areal.reward_fn("p", "x", [], [])
