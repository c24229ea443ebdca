"""Every module says in `__all__` what it exports (ruff keeps it sorted), and all that it names is there."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import radboost

MODULES = [m.name for m in pkgutil.walk_packages(radboost.__path__, "radboost.") if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_all_names_what_is_there(name):
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    assert [n for n in exported if not hasattr(module, n)] == []


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_are_exported(name):
    # A public function that no __all__ names is either private by mistake or forgotten.
    module = importlib.import_module(name)
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    public = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")}
    assert public - set(getattr(module, "__all__", [])) <= {"main"}
