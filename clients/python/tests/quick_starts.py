"""The code of docs/trainers, as tests read it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from conftest import ROOT

FOLDER = ROOT / "docs" / "trainers"
TARGET = "127.0.0.1:50051"
MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
BASE = str(ROOT / "bundles" / "default" / "base")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a page, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (FOLDER / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL)


def run(name: str, target: str, swaps: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Runs a page's Python from top to bottom, with a mesh and a model that are there. Gives what it has defined."""
    swaps = {TARGET: target, MODEL: BASE, **(swaps or {})}
    namespace: dict[str, Any] = {"__name__": f"docs.{name}"}
    for block in blocks(name, "python"):
        for old, new in swaps.items():
            block = block.replace(old, new)
        exec(compile(block, f"docs/trainers/{name}.md", "exec"), namespace)
    return namespace


def arguments(name: str) -> list[str]:
    """The arguments of a page's last command."""
    commands = [line for line in blocks(name, "sh")[-1].replace("\\\n", " ").splitlines() if "--" in line or " +" in line]
    return shlex.split(commands[-1])


def flags(name: str) -> list[str]:
    """Its options, without their dashes."""
    return [one[2:] for one in arguments(name) if one.startswith("--")]
