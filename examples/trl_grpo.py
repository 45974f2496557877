"""GRPO with TRL, rewards from a running mesh: the policy learns to answer everyday questions as the bundle's experts like it.

    torchrun --nproc-per-node 2 examples/trl_grpo.py --target 127.0.0.1:50051 --record grpo.jsonl

The policy is the small decoder that the default bundle embeds (3.1M parameters, trained on text, never on rewards), so that the run
needs no download and no GPU. `examples/grpo.mjs` starts a mesh, runs this on two ranks and kills a replica in the middle.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from dmoerm.adapters.trl import reward

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / "bundles" / "default" / "base"
PROMPTS = ROOT / "examples" / "recipes" / "made-up-routes.jsonl"
COLUMNS = {
    "reward": "reward",
    "reward_std": "reward_std",
    "completions/mean_length": "tokens",
    "dmoerm/uncertainty": "uncertainty",
    "dmoerm/degraded": "degraded",
}


def prompts() -> Dataset:
    """Made-up conversations of the task ``chat``, one user turn each."""
    rows = [json.loads(line) for line in PROMPTS.read_text().splitlines()]
    return Dataset.from_list([{"prompt": row["messages"]} for row in rows if row["label"] == "chat"])


class StepLog(TrainerCallback):
    """A line per step: what the mesh answered to all ranks together."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start = time.monotonic()

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if not state.is_world_process_zero or "reward" not in logs:
            return
        row = {"step": state.global_step, "seconds": round(time.monotonic() - self._start, 1)}
        row |= {short: round(float(logs[name]), 4) for name, short in COLUMNS.items()}
        with self._file.open("a") as out:
            out.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, help="the router: host:port")
    parser.add_argument("--record", type=Path, required=True, help="JSON lines are appended to it")
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()

    torch.set_num_threads(1)
    config = GRPOConfig(
        output_dir=str(args.record.parent / "trl"),
        max_steps=args.steps,
        per_device_train_batch_size=16,
        num_generations=8,
        max_completion_length=32,
        # A response has text: the server refuses an empty one, and nothing here turns a refusal into a number.
        generation_kwargs={"min_new_tokens": 8},
        learning_rate=1e-4,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=5,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        seed=7,
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(BASE, padding_side="left"),
        reward_funcs=reward(args.target, task="chat"),
        train_dataset=prompts(),
        args=config,
        callbacks=[StepLog(args.record)],
    )
    trainer.train()


if __name__ == "__main__":
    main()
