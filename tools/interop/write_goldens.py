"""Trains the golden experts of packages/testing/goldens/experts with train_expert.py (see README.md)."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "goldens"))

from files import edit_json, fresh_folder  # noqa: E402
from tiny_tokenizer import sentences  # noqa: E402

GOLDENS = HERE.parents[1] / "packages" / "testing" / "goldens"
#: Name of the folder -> options of train_expert.py.
EXPERTS = {
    "trl-lora": ["--rank", "4"],
    "trl-top2": ["--rank", "3", "--layers", "2"],
    "trl-alora": ["--rank", "5", "--invocation", " the question?"],
}
KEPT = {"adapter_config.json", "adapter_model.safetensors", "dmoerm_check.jsonl"}


def made_up_pairs() -> list[dict[str, object]]:
    """Questions with two answers; the shorter one is better."""
    made = sentences(96)
    pairs = []
    for question, *answers in zip(made[0::3], made[1::3], made[2::3]):
        chosen, rejected = sorted(answers, key=len)
        pairs.append({"messages": [{"role": "user", "content": question}], "chosen": chosen, "rejected": rejected})
    return pairs


def tidy(config: dict[str, object]) -> None:
    """What depends on the machine or the order of a set."""
    config["base_model_name_or_path"] = "llama"
    config["target_modules"] = sorted(config["target_modules"])
    config["modules_to_save"] = sorted(set(config["modules_to_save"]))


def main() -> None:
    with tempfile.TemporaryDirectory() as drafts:
        pairs = Path(drafts) / "pairs.jsonl"
        pairs.write_text("".join(json.dumps(pair) + "\n" for pair in made_up_pairs()), encoding="utf-8")
        for name, options in EXPERTS.items():
            folder = fresh_folder(GOLDENS / "experts" / name)
            command = [sys.executable, HERE / "train_expert.py", GOLDENS / "bases" / "llama", pairs, folder, *options]
            environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
            subprocess.run([*command, "--learning-rate", "1e-2", "--epochs", "8"], check=True, env=environment)
            for file in folder.iterdir():
                if file.name not in KEPT:
                    file.unlink()
            edit_json(folder / "adapter_config.json", tidy)


if __name__ == "__main__":
    main()
