"""Prefill speed of SmolLM2-135M in float32 with transformers, one JSON line a length.

Usage: speed.py <SmolLM2-135M-Instruct.Q4_1.gguf> [--threads 2] [--lengths 128 512] [--repeats 5]
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch
import transformers

from randomness import tokens
from smollm2 import load_model


def best_seconds(model: torch.nn.Module, ids: torch.Tensor, repeats: int) -> float:
    """The shortest of several passes through all layers and the final norm, after one to warm up."""
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            model.model(input_ids=ids, use_cache=False)
            times.append(time.perf_counter() - start)
    return min(times[1:])


def processor() -> str:
    """The processor's name where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.gguf, torch.float32)
    for length in options.lengths:
        ids = torch.tensor([tokens(f"speed/{length}", length, model.config.vocab_size)])
        seconds = best_seconds(model, ids, options.repeats)
        print(json.dumps({
            "bench": "prefill", "peer": "transformers", "transformers": transformers.__version__,
            "torch": torch.__version__, "model": options.gguf.stem, "dtype": "float32", "tokens": length,
            "threads": options.threads, "processor": processor(), "seconds": round(seconds, 4),
            "tokens_per_second": round(length / seconds, 1),
        }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
