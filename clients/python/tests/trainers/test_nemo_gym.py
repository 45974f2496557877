"""NeMo Gym: its web server, with the routes and the failsafe that it puts around ``verify``."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from nemo_gym.server_utils import ServerClient

import quick_starts
from conftest import Mesh
from contract import CHAT, PROMPT, RESPONSES, Contract
from dmoerm.adapters.nemo_gym import DmoermConfig, DmoermServer


def _server(target: str) -> TestClient:
    config = DmoermConfig(host="127.0.0.1", port=1, entrypoint="app.py", name="dmoerm", domain="agent", target=target)
    # The client for NeMo Gym's other servers, none of which this one asks.
    return TestClient(DmoermServer(config=config, server_client=ServerClient.model_construct()).setup_webserver())


def _body(response: str, prompt: Any = CHAT) -> dict[str, Any]:
    text = {"type": "output_text", "text": response, "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
    whole = {"id": "r", "created_at": 0.0, "model": "m", "object": "response", "output": [message]}
    return {
        "responses_create_params": {"input": prompt},
        "response": whole | {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []},
    }


class TestNemoGym(Contract):
    def ask(self, target: str, responses: list[str]) -> list[float]:
        rewards = []
        with _server(target) as server:
            for one in responses:
                row = server.post("/verify", json=_body(one)).raise_for_status().json()
                assert not row["mask_sample"]
                assert all(math.isfinite(value) and row[name] == value for name, value in row["reward_components"].items())
                rewards.append(row["reward"])
        return rewards

    def refusal(self, target: str, responses: list[str]) -> str:
        with _server(target) as server:
            rows = [server.post("/verify", json=_body(one)).raise_for_status().json() for one in responses]
        failed = [row for row in rows if row["mask_sample"]]
        # NeMo Gym's own mark: it writes a reward of 0.0 into the row, and leaves the row out.
        assert failed and all(row["_ng_failure_class"] == "judge_failed" and "reward_components" not in row for row in failed)
        return "\n".join(row["failure_reason"] for row in failed)


@pytest.mark.parametrize(
    "prompt",
    [
        PROMPT,
        [{"role": "user", "content": [{"type": "input_text", "text": PROMPT}]}],
        [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
    ],
)
def test_takes_the_inputs_of_the_responses_api(mesh: Mesh, prompt: Any) -> None:
    with _server(mesh.target) as server:
        row = server.post("/verify", json=_body(RESPONSES[0], prompt)).raise_for_status().json()
    assert not row.get("mask_sample"), row.get("failure_reason")
    assert math.isfinite(row["reward"])


def test_it_serves_the_other_routes(mesh: Mesh) -> None:
    with _server(mesh.target) as server:
        assert server.get("/reverify_mode").status_code == 200
        assert server.post("/seed_session", json={}).status_code == 200


def test_the_quick_start(mesh: Mesh) -> None:
    assert quick_starts.run("nemo_gym", mesh.target)["DmoermServer"] is DmoermServer
    settings = yaml.safe_load(quick_starts.blocks("nemo_gym", "yaml")[0])["dmoerm"]["resources_servers"]["dmoerm"]
    assert DmoermConfig(host="127.0.0.1", port=1, name="dmoerm", **settings).target == quick_starts.TARGET
