"""What every adapter promises inside its trainer. A module per trainer says how the trainer asks, through the trainer's own code."""

from __future__ import annotations

import math
from typing import Any

import grpc
import pytest

from conftest import FaultServer, Mesh, abort, scores
from dmoerm import Item, RewardClient, RewardError, _plan

PROMPT = "Why do rivers bend?"
CHAT = [{"role": "user", "content": PROMPT}]
RESPONSES = ["They erode their outer banks.", "No idea.", "Rivers bend because water is faster on the outside."]


class Contract:
    """The tests of one trainer: subclasses say how it asks, and how it says that it has no reward."""

    def ask(self, target: str, responses: list[str]) -> list[float]:
        """The rewards that the trainer would learn from, one per response to the prompt."""
        raise NotImplementedError

    def refusal(self, target: str, responses: list[str]) -> str:
        """Asks for what has no reward; gives what the trainer is told. Fails if any number comes of it."""
        with pytest.raises(RewardError) as caught:
            self.ask(target, responses)
        return str(caught.value)

    def item(self, response: str) -> Item:
        """What the mesh should be asked."""
        return Item.pair(CHAT, response)

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A server that has gone is waited for half a minute, which says nothing about a trainer.
        monkeypatch.setattr(_plan, "_AWAY_SECONDS", 0.5)

    def test_learns_from_the_rewards_of_the_mesh(self, mesh: Mesh) -> None:
        with RewardClient(mesh.target) as client:
            expected = [score.reward for score in client.score_batch([self.item(one) for one in RESPONSES])]
        assert len(set(expected)) == len(expected)
        assert self.ask(mesh.target, RESPONSES) == pytest.approx(expected, rel=1e-6)
        # Trainers make event loops and threads as they go: a second step is another one.
        assert self.ask(mesh.target, RESPONSES[::-1]) == pytest.approx(expected[::-1], rel=1e-6)

    def test_one_bad_item_is_no_number(self, mesh: Mesh) -> None:
        assert "EMPTY_CANDIDATE" in self.refusal(mesh.target, [RESPONSES[0], ""])

    def test_a_nan_expert_is_no_number(self, faulty: FaultServer) -> None:
        def answer(request: Any, _: Any) -> Any:
            response = scores(request)
            for result in response.results:
                for one in result.response.results:
                    one.score.reward = math.nan
            return response

        faulty.answer = answer
        assert "no finite number" in self.refusal(faulty.target, RESPONSES[:2])

    def test_overload_is_waited_out(self, faulty: FaultServer) -> None:
        refuse = abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.05)
        faulty.answer = lambda request, context: refuse(request, context) if len(faulty.requests) < 3 else scores(request)
        assert self.ask(faulty.target, ["x", "xyz"]) == [1, 3]
        assert len(faulty.requests) >= 3

    def test_a_server_that_goes_away_is_no_number(self, faulty: FaultServer) -> None:
        assert self.ask(faulty.target, ["x", "xyz"]) == [1, 3]
        faulty.server.stop(None).wait()
        assert any(code in self.refusal(faulty.target, RESPONSES[:2]) for code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"))
