"""TRL: its trainers' own calls of reward functions, a real step of GRPO and of RLOO, and what async GRPO does to pickle them."""

from __future__ import annotations

import asyncio
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.experimental.async_grpo.async_rollout_worker import is_async_callable

import quick_starts
from conftest import ROOT, FaultServer, Mesh
from contract import CHAT, PROMPT, RESPONSES, Contract
from dmoerm.adapters.trl import reward, rewards

BASE = ROOT / "bundles" / "default" / "base"


def _trainer(kind: Any, config: Any, functions: Any, folder: Path, prompt: Any = CHAT, **options: Any) -> Any:
    return kind(
        model=AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(BASE, padding_side="left"),
        reward_funcs=functions,
        train_dataset=Dataset.from_list([{"prompt": prompt, "level": "easy"}] * 8),
        args=config(
            output_dir=str(folder),
            max_steps=1,
            per_device_train_batch_size=2,
            num_generations=2,
            max_completion_length=12,
            generation_kwargs={"min_new_tokens": 6},
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            **options,
        ),
    )


@pytest.mark.parametrize(("kind", "config"), [(GRPOTrainer, GRPOConfig), (RLOOTrainer, RLOOConfig)], ids=["grpo", "rloo"])
@pytest.mark.parametrize("prompt", [CHAT, PROMPT], ids=["conversations", "text"])
class TestTrl(Contract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind: Any, config: Any, prompt: Any, tmp_path: Path) -> None:
        self.kind, self.config, self.prompt, self.folder = kind, config, prompt, tmp_path

    def ask(self, target: str, responses: list[str]) -> list[float]:
        trainer = _trainer(self.kind, self.config, reward(target), self.folder, self.prompt)
        chat = not isinstance(self.prompt, str)
        completions: list[Any] = [[{"role": "assistant", "content": one}] if chat else one for one in responses]
        inputs = [{"prompt": self.prompt, "level": "easy"} for _ in responses]
        values = trainer._calculate_rewards(inputs, [self.prompt] * len(responses), completions, [[1]] * len(responses))
        assert values.shape == (len(responses), 1)
        return list(values[:, 0].tolist())


@pytest.mark.parametrize(("kind", "config"), [(GRPOTrainer, GRPOConfig), (RLOOTrainer, RLOOConfig)], ids=["grpo", "rloo"])
def test_a_step_of_training(mesh: Mesh, kind: Any, config: Any, tmp_path: Path) -> None:
    trainer = _trainer(kind, config, reward(mesh.target, task="chat"), tmp_path)
    trainer.train()
    row = next(one for one in trainer.state.log_history if "reward" in one)
    assert math.isfinite(row["reward"]) and row["reward"] != 0
    assert row["dmoerm/degraded"] == 0 and row["dmoerm/uncertainty"] > 0


def test_columns_of_capabilities_cost_one_call(faulty: FaultServer, tmp_path: Path) -> None:
    functions = rewards(faulty.target, ["chat/logic", "chat/logic"])
    trainer = _trainer(GRPOTrainer, GRPOConfig, functions, tmp_path, multi_objective_aggregation="normalize_then_sum")
    values = trainer._calculate_rewards(
        [{"prompt": CHAT}] * 2, [CHAT] * 2, [[{"role": "assistant", "content": one}] for one in ("x", "xyz")], [[1]] * 2
    )
    assert values.tolist() == [[1, 1], [3, 3]]
    assert len(faulty.requests) == 1


def test_a_skipped_item_is_no_zero(mesh: Mesh, tmp_path: Path) -> None:
    trainer = _trainer(GRPOTrainer, GRPOConfig, reward(mesh.target, on_error="skip"), tmp_path, PROMPT)
    values = trainer._calculate_rewards([{"prompt": PROMPT}] * 2, [PROMPT] * 2, [RESPONSES[0], ""], [[1]] * 2)
    assert math.isfinite(values[0, 0]) and math.isnan(values[1, 0])  # TRL: unscorable, so no advantage


def test_async_grpo_can_spawn_with_it(mesh: Mesh) -> None:
    function = pickle.loads(pickle.dumps(reward(mesh.target)))
    assert is_async_callable(function)
    answers = asyncio.run(function(completions=RESPONSES, prompts=[PROMPT] * 3, completion_ids=[[1]] * 3, level=["easy"] * 3))
    assert len(answers) == 3 and all(math.isfinite(one) for one in answers)


def test_the_quick_start(mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = quick_starts.run("trl", mesh.target, {"output_dir=": "use_cpu=True, bf16=False, output_dir="})
    steps = [row for row in names["trainer"].state.log_history if "reward" in row]
    assert len(steps) == 2 and all(math.isfinite(row["reward"]) for row in steps)
    assert len(names["columns"]) == 2
