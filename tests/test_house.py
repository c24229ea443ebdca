"""The house's own measures: rooms stay small, and the light ones stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "radboost"
FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_fit_a_reader(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 350, "a room to divide"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} is too long to understand in one screen"


def test_no_room_without_a_name():
    assert not [p for p in FILES if p.stem in {"utils", "util", "helpers", "common", "misc"}]


@pytest.mark.parametrize("heavy", ["torch", "timm", "sklearn", "lightgbm", "xgboost", "pandas"])
def test_the_command_line_imports_nothing_heavy(heavy):
    code = f"import sys, radboost.cli; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("order", ["torch, xgboost, lightgbm", "xgboost, lightgbm, torch"])
def test_torch_and_the_boosters_load_in_one_process_in_either_order(order):
    # Both torch and xgboost bring a libnccl into the same folder; whichever was installed last must serve both.
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", f"import {order}"], check=False).returncode == 0
