"""vLLM as a peer, on a GPU.

Usage: vllm_peer.py, then JSON lines:
  {op: "load", model, path, tokens}       a Hugging Face folder under a name of its own, for sequences of at most `tokens`
  {op: "prefill", model, tokens, repeats, sequences} one sequence, side by side -> {seconds: [...]}
It cannot be kept from choosing a token: a pass over the vocabulary for the last position is part of its times.
"""

import time
from typing import Any

import vllm
from json_lines import serve

models: dict[str, vllm.LLM] = {}


def load(model: str, path: str, tokens: int) -> dict[str, Any]:
    models[model] = vllm.LLM(
        path, skip_tokenizer_init=True, dtype="bfloat16", max_model_len=tokens + 1, enable_prefix_caching=False
    )
    return {}


def prefill(model: str, tokens: list[int], repeats: int, sequences: int) -> dict[str, Any]:
    prompts = [vllm.TokensPrompt(prompt_token_ids=tokens) for _ in range(sequences)]
    options = vllm.SamplingParams(max_tokens=1, temperature=0, detokenize=False)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        models[model].generate(prompts, options, use_tqdm=False)
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


if __name__ == "__main__":
    serve(vllm.__version__, {"load": load, "prefill": prefill})
