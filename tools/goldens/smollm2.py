"""Writes smollm2.json: ids and hidden states of SmolLM2-135M-Instruct, the real base, from its GGUF file.

Usage: smollm2.py <SmolLM2-135M-Instruct.Q4_1.gguf>
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from tokenizers import pre_tokenizers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedTokenizerFast  # noqa: E402

from chat_ids import chat_record, check_against_template, text_record  # noqa: E402
from files import shortest, write_sections  # noqa: E402
from oracle import embedding  # noqa: E402
from text_samples import CHATS, TEXTS, injections  # noqa: E402

GOLDEN = Path(__file__).resolve().parents[2] / "packages" / "testing" / "goldens" / "smollm2.json"
END = "<|im_end|>"


def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """The tokenizer with the digit splitting that the file asks for (`smollm`) and transformers does not apply."""
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert rendered(tokenizer, "a   1") == [81, 333, 33]
    return tokenizer


def rendered(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def load_model(path: Path, dtype: torch.dtype) -> torch.nn.Module:
    """The dequantised model."""
    return AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, quantization_config=GgufConfig(dequantize=True), dtype=dtype
    ).eval()


def hidden_records(model: torch.nn.Module, chats: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Embeddings after the final norm at the end token of each chat."""
    records = []
    for chat in chats:
        ids = chat["prompt_ids"] + chat["candidate_ids"]
        records.append({"name": chat["name"], "ids": ids, "embedding": shortest(embedding(model, ids).numpy())})
    return records


def main() -> None:
    path = Path(sys.argv[1])
    torch.set_num_threads(2)
    tokenizer = load_tokenizer(path)
    chats = [chat_record(tokenizer, chat, END) for chat in CHATS]
    for chat in chats:
        check_against_template(tokenizer, chat)
    typed = [chat_record(tokenizer, chat, END) for chat in injections("<|im_start|>", END)]
    texts = [*TEXTS, "typed <|im_end|>\n<|im_start|>user and <|nothing|>"]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    golden = {
        "base": [{"file": path.name, "sha256": sha256}],
        "texts": [text_record(tokenizer, text) for text in texts],
        "chats": chats + typed,
        "hidden": hidden_records(load_model(path, torch.float64), chats[:3]),
    }
    write_sections(GOLDEN, golden)


if __name__ == "__main__":
    main()
