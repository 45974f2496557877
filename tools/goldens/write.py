"""Writes every golden of packages/testing/goldens (see README.md)."""

import os
import sys
from functools import cache
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
import transformers  # noqa: E402

from adapters import ADAPTERS, model_for, write_adapter  # noqa: E402
from cases import cases  # noqa: E402
from expected import write_cases  # noqa: E402
from files import fresh_folder  # noqa: E402
from generation import write_generation  # noqa: E402
from gguf_bases import gguf_bases, read_gguf_base, write_gguf_base  # noqa: E402
from gradients import write_gradients  # noqa: E402
from hf_bases import hf_bases, write_hf_base  # noqa: E402
from oracle import load_base  # noqa: E402
from tiny_tokenizer import VOCABULARY, digits_split, qwen_split, save, train, write_tokenizer_golden  # noqa: E402

GOLDENS = Path(__file__).resolve().parents[2] / "packages" / "testing" / "goldens"


def main() -> None:
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    tokenizers = {"smollm": train(digits_split()), "qwen2": train(qwen_split())}
    for split, tokenizer in tokenizers.items():
        write_tokenizer_golden(tokenizer, GOLDENS / "tokenizer" / split)

    bases, adapters = fresh_folder(GOLDENS / "bases"), fresh_folder(GOLDENS / "adapters")
    folders = {base.name: write_hf_base(base, bases) for base in hf_bases(VOCABULARY)}
    save(tokenizers["smollm"], folders["llama"], template_file=False)
    save(tokenizers["qwen2"], folders["qwen3"], template_file=True)
    ggufs = {base.name: base for base in gguf_bases(VOCABULARY)}
    files = {name: write_gguf_base(base, bases / name, tokenizers) for name, base in ggufs.items()}

    def load(name: str) -> torch.nn.Module:
        return load_base(folders[name]) if name in folders else read_gguf_base(ggufs[name], files[name])

    for adapter in ADAPTERS:
        in_folder = adapter.base in folders
        base = model_for(adapter, folders[adapter.base]) if in_folder else load(adapter.base)
        write_adapter(adapter, base, adapters)
    write_cases(cases([*folders, *files]), cache(load), GOLDENS)
    write_gradients(cache(load), GOLDENS)
    write_generation(cache(load), GOLDENS)


if __name__ == "__main__":
    main()
