"""Writing files whose bytes depend on their content alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np


def fresh_folder(path: Path) -> Path:
    """An empty folder at the path; what was there is removed."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def shortest(values: np.ndarray) -> list[Any]:
    """Float32 values as the shortest decimals that give the same float32 back; nested as the array is."""
    if values.ndim > 1:
        return [shortest(row) for row in values]
    return [float(str(value)) for value in values.astype(np.float32)]


def write_json(path: Path, value: Any) -> None:
    """JSON with sorted keys, indented."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def records_text(records: list[dict[str, Any]]) -> str:
    """A JSON array with one record a line, keys sorted: readable differences without a line per number."""
    return "[\n" + ",\n".join(json.dumps(record, sort_keys=True, ensure_ascii=False) for record in records) + "\n]"


def write_records(path: Path, records: list[dict[str, Any]]) -> None:
    """A JSON array, one record a line."""
    path.write_text(records_text(records) + "\n", encoding="utf-8")


def write_sections(path: Path, sections: dict[str, list[dict[str, Any]]]) -> None:
    """A JSON object of arrays, one record a line."""
    parts = [f"{json.dumps(name)}: {records_text(records)}" for name, records in sorted(sections.items())]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def edit_json(path: Path, change) -> None:
    """Reads a JSON file, lets `change` edit the object in place, and writes it back."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    write_json(path, value)
