"""transformers and PEFT as a peer.

Usage: transformers_peer.py THREADS DEVICE, then JSON lines:
  {op: "load", model, path, dtype}        a Hugging Face folder or GGUF file under a name of its own
  {op: "adapt", model, adapters}          puts PEFT folders on a model, {name: folder}
  {op: "prefill", model, tokens, repeats, sequences} one sequence, side by side -> {seconds: [...]}
  {op: "loop", model, adapters, tokens}   set_adapter, then the whole batch, for each adapter -> {seconds}
  {op: "mixed", model, adapters, tokens}  one batch of every adapter on every sequence -> {seconds}
  {op: "learners", model, source, adapters} PEFT adapters to be learned, {name: LoraConfig}, on a copy of a loaded model
  {op: "learn", model, adapters, first, second} a step of each adapter on the same pairs, sequences of equal length:
                                          forward, pairwise loss, backward, AdamW -> {seconds}
All passes end with the hidden states after the final norm; no pass is made over the vocabulary.
"""

import copy
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

DEVICE = sys.argv[2]

models: dict[str, torch.nn.Module] = {}
heads: dict[str, dict[str, torch.Tensor]] = {}
optimizers: dict[str, dict[str, torch.optim.Optimizer]] = {}


def load(model: str, path: str, dtype: str) -> dict[str, Any]:
    options: dict[str, Any] = {"dtype": getattr(torch, dtype)}
    file = Path(path)
    if file.is_file():
        options |= {"gguf_file": file.name, "quantization_config": transformers.GgufConfig(dequantize=True)}
        file = file.parent
    loaded = transformers.AutoModelForCausalLM.from_pretrained(file, **options).eval()
    # The "logits" are then the hidden states themselves.
    loaded.lm_head = torch.nn.Identity()
    models[model] = loaded.to(DEVICE)
    return {}


def adapt(model: str, adapters: dict[str, str]) -> dict[str, Any]:
    base = models[model]
    (first, folder), *others = adapters.items()
    adapted = peft.PeftModel.from_pretrained(base, folder, adapter_name=first)
    for name, other in others:
        adapted.load_adapter(other, adapter_name=name)
    # PEFT keeps adapters in float32, and would convert every row to it and back.
    models[model] = adapted.to(DEVICE, base.dtype).eval()
    return {}


def timed(model: str, tokens: list[list[int]], **options: Any) -> float:
    """Seconds of one pass over sequences of equal length."""
    start = time.perf_counter()
    ids = torch.tensor(tokens, device=DEVICE)
    with torch.inference_mode():
        models[model](input_ids=ids, use_cache=False, **options).logits[0, -1, 0].item()  # waits for a GPU
    return time.perf_counter() - start


def prefill(model: str, tokens: list[int], repeats: int, sequences: int) -> dict[str, Any]:
    return {"seconds": [timed(model, [tokens] * sequences) for _ in range(repeats)]}


def loop(model: str, adapters: list[str], tokens: list[list[int]]) -> dict[str, Any]:
    start = time.perf_counter()
    for name in adapters:
        models[model].set_adapter(name)
        timed(model, tokens)
    return {"seconds": time.perf_counter() - start}


def mixed(model: str, adapters: list[str], tokens: list[list[int]]) -> dict[str, Any]:
    names = [name for name in adapters for _ in tokens]
    return {"seconds": timed(model, tokens * len(adapters), adapter_names=names)}


def learners(model: str, source: str, adapters: dict[str, dict[str, Any]]) -> dict[str, Any]:
    base = copy.deepcopy(models[source]).train()
    names = list(adapters)
    adapted = peft.get_peft_model(base, peft.LoraConfig(**adapters[names[0]]), adapter_name=names[0])
    for name in names[1:]:
        adapted.add_adapter(name, peft.LoraConfig(**adapters[name]))
    models[model] = adapted.to(base.dtype).train()
    width = base.config.hidden_size
    heads[model] = {name: torch.randn(width, device=DEVICE, requires_grad=True) for name in names}
    optimizers[model] = {}
    for name in names:
        adapted.set_adapter(name)
        own = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        optimizers[model][name] = torch.optim.AdamW([*own, heads[model][name]], lr=1e-4)
    return {}


def learn(model: str, adapters: list[str], first: list[list[int]], second: list[list[int]]) -> dict[str, Any]:
    ids = torch.tensor([*first, *second], device=DEVICE)
    start = time.perf_counter()
    for name in adapters:
        models[model].set_adapter(name)
        hidden = models[model](input_ids=ids, use_cache=False).logits[:, -1].float()
        scores = hidden @ heads[model][name]
        better, worse = scores.chunk(2)
        torch.nn.functional.softplus(worse - better).mean().backward()
        optimizers[model][name].step()
        optimizers[model][name].zero_grad()
    if DEVICE != "cpu":
        torch.cuda.synchronize()
    return {"seconds": time.perf_counter() - start}


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    transformers.logging.set_verbosity_error()
    version = f"{transformers.__version__} (torch {torch.__version__}, PEFT {peft.__version__})"
    operations = [load, adapt, prefill, loop, mixed, learners, learn]
    serve(version, {operation.__name__: operation for operation in operations})


if __name__ == "__main__":
    main()
