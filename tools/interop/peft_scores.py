"""Prints what transformers and PEFT score with an exported expert: peft_scores.py BASE ADAPTER < token sequences, JSON both ways."""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

base, adapter = sys.argv[1:]
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
model.prepare_inputs_for_generation = None  # PEFT asks for it where it is told CAUSAL_LM, and never calls it here
model = PeftModel.from_pretrained(model, adapter).eval()
with torch.no_grad():
    scores = [model(input_ids=torch.tensor([ids])).logits.item() for ids in json.load(sys.stdin)]
print(json.dumps(scores))
