"""Prints what transformers and PEFT score with exported experts.

peft_scores.py BASE, on standard input [{"adapter": folder, "sequences": [[token ids]]}]; prints [[scores]].
"""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification


def score(base: str, adapter: str, sequences: list[list[int]]) -> list[float]:
    """Scores of the sequences, one at a time: without padding the last token is pooled."""
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
    model.prepare_inputs_for_generation = None  # PEFT asks for it where it is told CAUSAL_LM, and never calls it here
    model = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        return [model(input_ids=torch.tensor([ids])).logits.item() for ids in sequences]


print(json.dumps([score(sys.argv[1], **job) for job in json.load(sys.stdin)]))
