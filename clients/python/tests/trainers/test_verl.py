"""verl: its loader of custom rewards, and the reward manager of its reward loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
import verl
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from transformers import AutoTokenizer
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

import dmoerm.adapters.verl
import quick_starts
from conftest import ROOT, Mesh
from contract import CHAT, PROMPT, Contract
from dmoerm import RewardError

TOKENIZER = AutoTokenizer.from_pretrained(ROOT / "bundles" / "default" / "base")
PATHS = ["pkg://dmoerm.adapters.verl", str(Path(dmoerm.adapters.verl.__file__))]


def _manager(target: str, path: str) -> Any:
    function = {"path": path, "name": "compute_score", "reward_kwargs": {"target": target}}
    config = {"reward": {"custom_reward_function": function, "reward_manager": {"source": "register", "name": "naive"}}}
    return load_reward_manager(OmegaConf.create(config), TOKENIZER)


def _sample(response: str, question: Any) -> DataProto:
    ids = TOKENIZER(response, add_special_tokens=False)["input_ids"]
    tensors = {"prompts": [[0]], "responses": [[*ids, 0]], "attention_mask": [[1] * (len(ids) + 1) + [0]]}
    rows = {
        "data_source": "any",
        "reward_model": {"ground_truth": "", "style": "model"},
        "extra_info": {} if question is None else {"question": question},
    }
    return DataProto.from_dict(
        tensors={name: torch.tensor(value) for name, value in tensors.items()},
        non_tensors={name: np.array([value], dtype=object) for name, value in rows.items()},
    )


@pytest.mark.parametrize("path", PATHS)
class TestVerl(Contract):
    question: Any = CHAT

    @pytest.fixture(autouse=True)
    def _path(self, path: str) -> None:
        self.path = path

    def ask(self, target: str, responses: list[str]) -> list[float]:
        async def step() -> list[dict[str, Any]]:
            manager = _manager(target, self.path)
            return list(await asyncio.gather(*(manager.run_single(_sample(one, self.question)) for one in responses)))

        results = asyncio.run(step())
        keys = {tuple(one["reward_extra_info"]) for one in results}
        assert len(keys) == 1  # verl takes the first sample's
        assert all(isinstance(value, float) and np.isfinite(value) for one in results for value in one["reward_extra_info"].values())
        return [one["reward_score"] for one in results]


class TestVerlWithText(TestVerl):
    question = PROMPT


def test_a_row_without_its_prompt_is_named(mesh: Mesh) -> None:
    async def step() -> Any:
        return await _manager(mesh.target, PATHS[0]).run_single(_sample("Hm.", None))

    with pytest.raises(RewardError, match="prompt_key"):
        asyncio.run(step())


def test_the_quick_start(mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick_starts.run("verl", mesh.target)
    row = pandas.read_parquet("train.parquet").iloc[0].to_dict()
    overrides = [one.replace(quick_starts.TARGET, mesh.target) for one in quick_starts.arguments("verl") if "=" in one]
    with initialize_config_dir(str(Path(str(verl.__path__[0]), "trainer", "config"))):
        config = compose("ppo_trainer", overrides)  # its own names: others are an error
    sample = _sample("They erode.", row["extra_info"]["question"])
    result = asyncio.run(_scored(config, sample))
    assert np.isfinite(result["reward_score"]) and "cap/chat/helpfulness" in result["reward_extra_info"]


async def _scored(config: Any, sample: DataProto) -> dict[str, Any]:
    return dict(await load_reward_manager(config, TOKENIZER).run_single(sample))
