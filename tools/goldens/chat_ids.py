"""Token ids of texts and chats, with the rule that text of users never becomes a special token."""

import re
from typing import Any

from transformers import PreTrainedTokenizerFast


def plain_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Ids of a text in which special tokens are ordinary characters."""
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True
    try:
        return backend.encode(text, add_special_tokens=False).ids
    finally:
        backend.encode_special_tokens = False


def rendered_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Ids of a text in which special tokens are recognised."""
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def safe_prompt_ids(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> list[int]:
    """Ids of the rendered messages up to the generation prompt; only the template's own special tokens count.

    The template is rendered over markers, cut at its special tokens, and the markers are then replaced by the texts.
    """
    markers = {f"\ue000{index}\ue001": message["content"] for index, message in enumerate(messages)}
    marked = [{**message, "content": marker} for message, marker in zip(messages, markers)]
    rendered = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True)
    special = "|".join(re.escape(token) for token in sorted(tokenizer.all_special_tokens, key=len, reverse=True))
    ids: list[int] = []
    for piece in re.split(f"({special})", rendered):
        if re.fullmatch(special, piece):
            ids.append(tokenizer.convert_tokens_to_ids(piece))
        else:
            text = re.sub("\ue000[0-9]+\ue001", lambda match: markers[match.group()], piece)
            ids += plain_ids(tokenizer, text)
    return ids


def chat_record(tokenizer: PreTrainedTokenizerFast, chat: dict[str, Any], end_token: str) -> dict[str, Any]:
    """A chat with the ids of its prompt (up to the assistant's header) and of its candidate (with the end token)."""
    prompt = safe_prompt_ids(tokenizer, chat["messages"])
    end = tokenizer.convert_tokens_to_ids(end_token)
    return {**chat, "prompt_ids": prompt, "candidate_ids": plain_ids(tokenizer, chat["candidate"]) + [end]}


def check_against_template(tokenizer: PreTrainedTokenizerFast, record: dict[str, Any]) -> None:
    """A chat without typed special tokens has exactly apply_chat_template's ids."""
    messages = record["messages"]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert record["prompt_ids"] == prompt, record["name"]
    answer = {"role": "assistant", "content": record["candidate"]}
    whole = tokenizer.apply_chat_template([*messages, answer], return_dict=False)
    expected = record["prompt_ids"] + record["candidate_ids"]
    assert whole[: len(expected)] == expected, record["name"]


def text_record(tokenizer: PreTrainedTokenizerFast, text: str) -> dict[str, Any]:
    return {"text": text, "ids": plain_ids(tokenizer, text), "rendered_ids": rendered_ids(tokenizer, text)}
