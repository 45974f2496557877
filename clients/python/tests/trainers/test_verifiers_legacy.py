"""verifiers 0.3: rubrics, which turn every exception into 0.0."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import verifiers.legacy as vf

from contract import CHAT, Contract
from dmoerm import RewardError
from dmoerm.adapters import verifiers


class TestVerifiersLegacy(Contract):
    def ask(self, target: str, responses: list[str]) -> list[float]:
        states = self._score(target, responses)
        verifiers.check()
        return [state["reward"] for state in states]

    def refusal(self, target: str, responses: list[str]) -> str:
        states = self._score(target, responses)
        assert any(state["reward"] == 0.0 for state in states)  # what check() is for
        with pytest.raises(RewardError) as caught:
            verifiers.check()
        verifiers._failures.clear()
        return str(caught.value)

    def _score(self, target: str, responses: list[str]) -> list[dict[str, Any]]:
        rubric = vf.Rubric()
        rubric.add_reward_func(verifiers.legacy(target))
        completions = ([{"role": "assistant", "content": one}] for one in responses)
        states: list[Any] = [vf.State(prompt=CHAT, completion=one, answer="", task="any", info={}) for one in completions]

        async def step() -> None:
            await asyncio.gather(*(rubric.score_rollout(state) for state in states))

        asyncio.run(step())
        return states
