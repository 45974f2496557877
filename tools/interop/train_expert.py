"""Trains one expert with TRL's RewardTrainer and PEFT, in a folder that `dmoerm expert import` takes."""

import argparse
import json
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed
from trl import RewardConfig, RewardTrainer

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("base", help="the bundle's base, a Hugging Face folder")
options.add_argument("pairs", type=Path, help='JSON lines {"messages": [...], "chosen": "...", "rejected": "..."}')
options.add_argument("output", type=Path)
options.add_argument("--invocation", default="", help="text that calls an activated LoRA (plan readout)")
options.add_argument("--layers", type=int, help="adapt the top layers only (plan top_layers)")
options.add_argument("--rank", type=int, default=32)
options.add_argument("--learning-rate", type=float, default=5e-5)
options.add_argument("--epochs", type=float, default=3)
options.add_argument("--seed", type=int, default=0)
chosen = options.parse_args()

set_seed(chosen.seed)
tokenizer = AutoTokenizer.from_pretrained(chosen.base)
called_by = tokenizer(chosen.invocation, add_special_tokens=False)["input_ids"]


def load() -> torch.nn.Module:
    """The base with a score head."""
    model = AutoModelForSequenceClassification.from_pretrained(chosen.base, num_labels=1, dtype=torch.float32)
    model.prepare_inputs_for_generation = None  # PEFT asks for it where it is told CAUSAL_LM, and never calls it here
    return model


def sequence(messages: list[dict[str, str]], response: str) -> list[int]:
    """The tokens that dmoerm scores; the last one is pooled."""
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    answer = tokenizer(response, add_special_tokens=False)["input_ids"]
    return [*prompt, *answer, tokenizer.eos_token_id, *called_by]


pairs = [json.loads(line) for line in chosen.pairs.read_text(encoding="utf-8").splitlines()]
rows = [{f"{side}_ids": sequence(one["messages"], one[side]) for side in ("chosen", "rejected")} for one in pairs]
model = load()
count = model.config.num_hidden_layers
lora = LoraConfig(
    r=chosen.rank,
    lora_alpha=chosen.rank,
    lora_dropout=0.05,
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj"] if called_by else ["q_proj", "v_proj"],
    layers_to_transform=list(range(count - chosen.layers, count)) if chosen.layers else None,
    alora_invocation_tokens=called_by or None,
    modules_to_save=["score"],
    # PEFT looks for invocation tokens in causal language models only.
    task_type="CAUSAL_LM" if called_by else "SEQ_CLS",
)
config = RewardConfig(
    output_dir=str(chosen.output),
    # A pad token that is also the end token would move the pooled token one back.
    pad_token=tokenizer.bos_token,
    learning_rate=chosen.learning_rate,
    num_train_epochs=chosen.epochs,
    seed=chosen.seed,
    bf16=torch.cuda.is_available(),
    use_cpu=not torch.cuda.is_available(),
    gradient_checkpointing=not called_by,  # PEFT's activated LoRA cannot be scored with it
    save_strategy="no",
    report_to="none",
)
trainer = RewardTrainer(model, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora)
trainer.train()
trainer.save_model()

# What was saved, in float32 and one sequence at a time: `dmoerm expert import` must find the same scores.
scorer = PeftModel.from_pretrained(load(), chosen.output).eval()
with torch.no_grad(), open(chosen.output / "dmoerm_check.jsonl", "w", encoding="utf-8") as file:
    for one in pairs[:8]:
        ids = sequence(one["messages"], one["chosen"])
        score = scorer(input_ids=torch.tensor([ids])).logits.item()
        record = {"messages": one["messages"], "candidate": one["chosen"], "input_ids": ids, "score": score}
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
