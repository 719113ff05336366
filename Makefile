# Every target sets itself up: it needs Python 3.11+ (the pinned versions need it) and a C++ compiler, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_VERSION := 26.3
KERNEL_SOURCES := $(shell find kernels -name '*.cpp' -o -name '*.h')

.PHONY: demo test check kernel-tests bench calibrate kernels openvino-extension format clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    the whole road on handwritten digits: table, bundle and report in ./edgekit-demo"
	@echo "make test    every test that needs no GPU"
	@echo "make check   ruff, clang-format, mypy, import rules"
	@echo "make kernel-tests  the C++ code under sanitizers, and on emulated older and ARM CPUs; says what it skips"
	@echo "make bench   the shipped recipes against torch, onnxruntime and OpenVINO, and the suites in benchmarks/"
	@echo "make calibrate  what the gate can tell apart on this machine, in a minute; more trials: edgekit bench calibrate"
	@echo "make kernels build the C++ code again"
	@echo "make openvino-extension  edgekit's kernels as an op of the installed OpenVINO"

# The venv, rebuilt when what is installed into it changes.
$(VENV)/.installed: pyproject.toml constraints.txt CMakeLists.txt $(KERNEL_SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==$(PIP_VERSION)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --build-constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/edgekit demo -o edgekit-demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(KERNEL_SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

kernel-tests: $(VENV)/.installed
	$(BIN)/python kernels/tests/run_all.py build/kernel-tests

bench: $(VENV)/.installed
	$(BIN)/edgekit bench simple-cnn ds-cnn resnet8 --json benchmarks/results.json
	$(BIN)/python -m pytest benchmarks --benchmark-json=benchmarks/suites.json

calibrate: $(VENV)/.installed
	$(BIN)/edgekit bench calibrate simple-cnn --only f32 --trials 2 --slowdown 0 --slowdown 0.1

kernels:
	touch CMakeLists.txt
	$(MAKE) $(VENV)/.installed

openvino-extension: $(VENV)/.installed
	$(BIN)/python -m edgekit.backends.openvino_extension

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(KERNEL_SOURCES)

clean:
	rm -rf $(VENV) build dist edgekit-demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
