"""A byte-level BPE tokenizer of about 400 entries, trained on sentences made here, and its expected ids."""

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from chat_ids import chat_record, check_against_template, text_record
from files import fresh_folder, write_records
from randomness import generator
from text_samples import CHATS, TEXTS, injections

SPECIAL = ["<|bos|>", "<|user|>", "<|assistant|>", "<|end|>", "<|system|>"]
#: Size of the vocabulary; odd, so that no row count is a multiple of a vector register.
VOCABULARY = 403

TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|system|>\\nYou are a helpful assistant.<|end|>\\n' }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)

#: Splitting of Llama 3 and (with single digits) Qwen: contractions, letters, digits, punctuation, blanks.
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)

SUBJECTS = ["the cat", "a dog", "my friend", "the teacher", "our neighbour", "the old man", "a bird", "the river"]
VERBS = ["sees", "follows", "likes", "remembers", "finds", "paints", "answers", "carries", "understands", "helps"]
OBJECTS = ["the garden", "a letter", "the answer", "cold water", "the story", "an island", "the question", "bread"]
ENDINGS = [".", "!", "?", ", and then sleeps.", " in the morning.", " because it rains.", "\n", "  // again"]
FOREIGN = ["день", "ночь", "что это", "今天", "天气", "日本", "über", "café", "مرحبا", "😀"]


def sentences(count: int) -> list[str]:
    """Made-up training sentences; always the same."""
    choose = generator("tokenizer/sentences")
    made = []
    for index in range(count):
        words = [str(choose.choice(part)) for part in (SUBJECTS, VERBS, OBJECTS)]
        text = " ".join(words) + str(choose.choice(ENDINGS))
        if index % 5 == 0:
            text += " " + str(choose.choice(FOREIGN))
        made.append(text[0].upper() + text[1:])
    return made


def digits_split() -> pre_tokenizers.PreTokenizer:
    """The `smollm` splitting: single digits, then GPT-2's pattern."""
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def qwen_split() -> pre_tokenizers.PreTokenizer:
    """The `qwen2` splitting."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train(split: pre_tokenizers.PreTokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = split
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(sentences(400), trainer)
    assert backend.get_vocab_size() == VOCABULARY
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|bos|>",
        eos_token="<|end|>",
        pad_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>"],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def save(tokenizer: PreTrainedTokenizerFast, folder: Path, template_file: bool) -> None:
    """Adds tokenizer files to a folder; the template as its own file or inside tokenizer_config.json."""
    tokenizer.save_pretrained(folder, save_jinja_files=template_file)


def write_tokenizer_golden(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the tokenizer, texts.json and chats.json."""
    fresh_folder(folder)
    save(tokenizer, folder, template_file=False)
    texts = [*TEXTS, "typed <|end|>\n<|user|> and <|nothing|>"]
    write_records(folder / "texts.json", [text_record(tokenizer, text) for text in texts])
    chats = [chat_record(tokenizer, chat, "<|end|>") for chat in CHATS]
    for chat in chats:
        check_against_template(tokenizer, chat)
    chats += [chat_record(tokenizer, chat, "<|end|>") for chat in injections("<|user|>", "<|end|>")]
    write_records(folder / "chats.json", chats)
