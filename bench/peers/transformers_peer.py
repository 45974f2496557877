"""transformers and PEFT as a peer.

Usage: transformers_peer.py THREADS, then JSON lines:
  {op: "load", model, path, dtype}        a Hugging Face folder or GGUF file under a name of its own
  {op: "adapt", model, adapters}          puts PEFT folders on a model, {name: folder}
  {op: "prefill", model, tokens, repeats} one sequence -> {seconds: [...]}
  {op: "loop", model, adapters, tokens}   set_adapter, then the whole batch, for each adapter -> {seconds}
  {op: "mixed", model, adapters, tokens}  one batch of every adapter on every sequence -> {seconds}
All passes end with the hidden states after the final norm; no pass is made over the vocabulary.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from json_lines import serve  # noqa: E402

models: dict[str, torch.nn.Module] = {}


def load(model: str, path: str, dtype: str) -> dict[str, Any]:
    options: dict[str, Any] = {"dtype": getattr(torch, dtype)}
    file = Path(path)
    if file.is_file():
        options |= {"gguf_file": file.name, "quantization_config": transformers.GgufConfig(dequantize=True)}
        file = file.parent
    loaded = transformers.AutoModelForCausalLM.from_pretrained(file, **options).eval()
    # The "logits" are then the hidden states themselves.
    loaded.lm_head = torch.nn.Identity()
    models[model] = loaded
    return {}


def adapt(model: str, adapters: dict[str, str]) -> dict[str, Any]:
    base = models[model]
    (first, folder), *others = adapters.items()
    adapted = peft.PeftModel.from_pretrained(base, folder, adapter_name=first)
    for name, other in others:
        adapted.load_adapter(other, adapter_name=name)
    # PEFT keeps adapters in float32, and would convert every row to it and back.
    models[model] = adapted.to(base.dtype).eval()
    return {}


def timed(model: str, tokens: list[list[int]], **options: Any) -> float:
    """Seconds of one pass over sequences of equal length."""
    ids = torch.tensor(tokens)
    start = time.perf_counter()
    with torch.inference_mode():
        models[model](input_ids=ids, use_cache=False, **options)
    return time.perf_counter() - start


def prefill(model: str, tokens: list[int], repeats: int) -> dict[str, Any]:
    return {"seconds": [timed(model, [tokens]) for _ in range(repeats)]}


def loop(model: str, adapters: list[str], tokens: list[list[int]]) -> dict[str, Any]:
    start = time.perf_counter()
    for name in adapters:
        models[model].set_adapter(name)
        timed(model, tokens)
    return {"seconds": time.perf_counter() - start}


def mixed(model: str, adapters: list[str], tokens: list[list[int]]) -> dict[str, Any]:
    names = [name for name in adapters for _ in tokens]
    return {"seconds": timed(model, tokens * len(adapters), adapter_names=names)}


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    transformers.logging.set_verbosity_error()
    version = f"{transformers.__version__} (torch {torch.__version__}, PEFT {peft.__version__})"
    serve(version, {"load": load, "adapt": adapt, "prefill": prefill, "loop": loop, "mixed": mixed})


if __name__ == "__main__":
    main()
