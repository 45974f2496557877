"""The quick starts of docs/trainers: all of them compile and name what is there; those that want no trainer run here, the others in
tests/trainers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dmoerm
from conftest import Mesh
from quick_starts import FOLDER, blocks, run

PAGES = sorted(page.stem for page in FOLDER.glob("*.md") if page.stem != "README")
PACKAGE = Path(dmoerm.__file__).parent


def test_every_adapter_has_a_page_and_every_page_is_listed() -> None:
    adapters = {file.stem for file in (PACKAGE / "adapters").glob("[!_]*.py")}
    assert set(PAGES) == adapters
    listed = (FOLDER / "README.md").read_text()
    assert all(f"({page}.md)" in listed for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_compiles_and_imports_what_is_there(page: str) -> None:
    code = blocks(page, "python")
    assert code
    for block in code:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dmoerm."):
                assert {one.name for one in node.names} <= _defined(str(node.module))


@pytest.mark.parametrize("page", ["openrlhf", "slime", "trlx"])
def test_the_code_runs(page: str, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMOERM_TARGET", mesh.target)
    run(page, mesh.target)


def _defined(module: str) -> set[str]:
    """Names of a module that may not import here."""
    tree = ast.parse((PACKAGE / (module.removeprefix("dmoerm.").replace(".", "/") + ".py")).read_text())
    functions = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return functions | {target.id for target in targets if isinstance(target, ast.Name)}
