"""verifiers 0.4: a reward plugged into a task's configuration, run by the task's own scoring."""

from __future__ import annotations

import asyncio

import pytest
import verifiers.v1 as vf
from verifiers.v1.graph import MessageNode
from verifiers.v1.trace import AgentInfo, TraceTask

import quick_starts
from conftest import Mesh
from contract import CHAT, PROMPT, RESPONSES, Contract


class TestVerifiers(Contract):
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.environment = monkeypatch

    def ask(self, target: str, responses: list[str]) -> list[float]:
        traces = self._score(target, responses, raising=True)
        assert all(list(trace.rewards) == ["dmoerm"] for trace in traces)
        return [trace.reward for trace in traces]

    def refusal(self, target: str, responses: list[str]) -> str:
        with pytest.raises(vf.TaskError) as caught:
            self._score(target, responses, raising=True)
        traces = self._score(target, responses, raising=False)
        assert any(trace.rewards == {"dmoerm": None} for trace in traces)  # seeded, and not scored
        return str(caught.value)

    def _score(self, target: str, responses: list[str], raising: bool) -> list[vf.Trace]:
        self.environment.setenv("DMOERM_TARGET", target)
        config = vf.TaskConfig(rewards={"dmoerm": {"fn": "dmoerm.adapters.verifiers:reward"}})
        task = vf.Task(vf.TaskData(idx=0, prompt=PROMPT), config)
        traces = [_trace(task, one) for one in responses]

        async def step() -> None:
            await asyncio.gather(*(task.score(trace) for trace in traces), return_exceptions=not raising)

        asyncio.run(step())
        return traces


def _trace(task: vf.Task, response: str) -> vf.Trace:
    nodes = [
        MessageNode(message=vf.UserMessage(content=CHAT[0]["content"])),
        MessageNode(message=vf.AssistantMessage(content=response), parent=0, sampled=True),
    ]
    return vf.Trace(task=TraceTask(type="Task", data=task.data), agent=AgentInfo(config=vf.AgentConfig()), nodes=nodes)


def test_the_quick_start(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMOERM_TARGET", mesh.target)
    names = quick_starts.run("verifiers", mesh.target)
    first, _ = names["Questions"](vf.TasksetConfig())
    trace = _trace(first, RESPONSES[0])
    asyncio.run(first.score(trace))
    plain = trace.rewards["preference"]
    task = vf.Task(first.data, names["plugged"])
    asyncio.run(task.score(trace))
    assert trace.rewards["dmoerm"].value == plain.value / 2 != 0
