"""The peers' side of the protocol: requests and answers are JSON objects, one a line, on standard input and output."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

# Libraries that print on standard output must not disturb the answers.
_ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def serve(version: str, operations: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Greets, then answers each request `{op, **arguments}` until standard input ends."""
    _say({"version": version})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            _say(operations[request.pop("op")](**request))
        except Exception as error:  # noqa: BLE001: the bench reports it
            _say({"error": f"{type(error).__name__}: {error}"})


def _say(answer: dict[str, Any]) -> None:
    _ANSWERS.write(json.dumps(answer) + "\n")
    _ANSWERS.flush()
