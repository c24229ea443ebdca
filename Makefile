# Every target makes .venv and installs what it needs first; a machine needs only Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
# Of `make demo`: rsna-breast, rsna-ich, cbis-ddsm or rsna-lumbar.
TASK ?= rsna-breast
READY := .venv/.ready
# Torch takes three times as long to import from source, and tests start many processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint check proof backbone clean
.DEFAULT_GOAL := check

demo: $(READY)
	$(BIN)/radboost demo --task $(TASK) --out radboost-demo --overwrite

test: $(READY)
	$(BIN)/python -m pytest -m "not proof" -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

proof: $(READY)
	$(BIN)/python -m pytest -m proof -rA

# The small network that comes with radboost, made anew: a few minutes.
backbone: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/backbone.py

clean:
	rm -rf .venv radboost-demo build

# uv installs torch and its companions several times faster than pip; it comes from the same registry.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("radboost needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)
