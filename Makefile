# Two commands do all set-up on a machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A plain `torch` brings gigabytes of CUDA libraries; this version is also served as a CPU build.
TORCH ?= torch==2.13.0
# Files of tests are UTF-8, whatever the locale is.
export PYTHONUTF8 := 1

.PHONY: demo test claims check versions format clean

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	touch $@

demo: $(BIN)/.installed
	$(BIN)/prensa demo

# One worker for each core, up to four: each holds PyTorch and the models that its tests share.
test: $(BIN)/.installed
	$(BIN)/python -m pytest -m "not claims and not cluster" --numprocesses=logical --maxprocesses=4 --dist=worksteal

# What is promised of real models (needs PRENSA_SHARED, a folder with models/ and data/), beside other libraries, and on a
# Ray cluster of this machine alone.
claims: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[peers]"
	# It declares an older transformers than it runs with, and all else that it needs is there.
	$(BIN)/python -m pip install --quiet --no-deps gliner
	$(BIN)/python -m pytest -m "claims or peers or cluster" -rs

check: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The tests of loading and evaluating on the oldest and the newest supported transformers, each in an environment of its own.
versions:
	for version in "==5.0.0" ">=5.0"; do \
		$(PYTHON) -m venv --clear $(VENV)-versions && \
		$(VENV)-versions/bin/python -m pip install --quiet "$(TORCH)" && \
		$(VENV)-versions/bin/python -m pip install --quiet --editable ".[all,dev]" "transformers$$version" && \
		$(VENV)-versions/bin/python -m pytest tests/integrations tests/formats tests/runtime tests/checkpoint tests/evaluation tests/texts \
			tests/pressing/test_pipeline.py || exit 1; \
	done
	rm -rf $(VENV)-versions

format: $(BIN)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(VENV)-versions prensa-demo
