# Every target makes the virtual environment it needs first. `make` alone lists the targets.
#
# Another interpreter: make demo PYTHON=/path/to/python3.11

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
WHEELS_ENV := build/wheels-env
WHEELS_STAMP := $(WHEELS_ENV)/.complete
SITE_ENV := build/site-env
SITE_STAMP := $(SITE_ENV)/.complete
PYTHON := python3.11 python3.12 python3.10 python3 python

# Asked by running it: a name on the PATH may be a shim without an interpreter behind it.
PROBE := import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo prepare test test-slow coverage lint wheels docs web benchmark peers notebooks beexrun header arduino android firmware emulate clean stale

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

demo: $(STAMP) ## Train, calibrate, convert and compare on real text, in minutes
	@$(BIN)/python examples/demo.py

# Two files at a time: fixtures of a file are costly.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile

prepare: $(STAMP) ## Install what the tests need
	@tools/install_emulators.sh

test: prepare ## Run the tests that a commit has to pass, in minutes
	@$(PYTEST) -m "not slow"

test-slow: prepare $(WHEELS_STAMP) $(SITE_STAMP) ## Run the others: killed trainings, clusters, all boards and compilers, long sweeps
	@tools/install_web.sh
	@$(PYTEST) -m slow

coverage: prepare $(WHEELS_STAMP) $(SITE_STAMP) ## Run all tests, and count the lines of Python and C that they reach
	@tools/coverage.sh $(BIN)

lint: $(STAMP) ## Check style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

wheels: $(WHEELS_STAMP) ## Build and check the wheels of all platforms, into dist
	@$(WHEELS_ENV)/bin/python tools/wheels

# Without TensorFlow and without a network: what the site shows of the package is read, not run.
docs: $(SITE_STAMP) ## Build the documentation's site, into build/site; make web docs: with the playground
	@PYTHONPATH=. NO_MKDOCS_2_WARNING=true $(SITE_ENV)/bin/mkdocs build --strict

web: $(STAMP) ## Build the npm package and the playground, into build/web
	@tools/install_web.sh
	@$(BIN)/python tools/web

# A suite that benchmarks/suite/suites has, or a .toml file; the folder of its data, if it needs one.
SUITE ?= paper
DATA ?=
OUTPUT ?= runs/$(basename $(notdir $(SUITE)))
JOBS ?= 1
THREADS ?= 1

benchmark: $(STAMP) ## Train and measure: make benchmark SUITE=paper DATA=folder JOBS=1 THREADS=1 OUTPUT=runs/paper
	@$(BIN)/python benchmarks/suite --suite $(SUITE) $(if $(DATA),--data-dir $(DATA)) \
	    --jobs $(JOBS) --threads $(THREADS) -o $(OUTPUT)

PEERS_ENV := build/peers-env

peers: $(PEERS_ENV)/.complete ## Train the classifiers that docs/peers.md compares with, and measure: make peers DATA=folder
	@$(PEERS_ENV)/bin/python benchmarks/peers fit $(if $(DATA),--data-dir $(DATA))
	@$(PEERS_ENV)/bin/python benchmarks/peers measure $(if $(DATA),--data-dir $(DATA))

$(PEERS_ENV)/.complete: benchmarks/peers/requirements.txt
	@$(call make_venv,$(PEERS_ENV) benchmarks/peers/requirements.txt)

notebooks: $(STAMP) ## Run the notebooks and keep their output
	@$(BIN)/python tools/notebooks.py

# The C engine alone, without Python. Static: make beexrun LDFLAGS=-static
ENGINE := $(wildcard tflite/kernels/*.c tflite/engine/*.c)
CFLAGS ?= -O3

beexrun: build/beexrun ## Build the C program that classifies standard input by a .beex file

build/beexrun: tflite/beexrun.c $(ENGINE) $(wildcard tflite/*/*.h tflite/*/*.inc)
	@mkdir -p build
	@$(CC) -std=c99 $(CFLAGS) $(LDFLAGS) $(filter %.c,$^) -lm -o $@

header: $(STAMP) ## Join the C engine into one header, build/beex.h
	@$(BIN)/python beex_keras/export/mcu/single_header.py build/beex.h

arduino: header ## Make a library for Arduino of it, build/beex-arduino.zip
	@rm -rf build/arduino && mkdir -p build/arduino && cp -r tflite/arduino build/arduino/BEEx
	@mkdir build/arduino/BEEx/src && cp LICENSE build/arduino/BEEx
	@cp build/beex.h build/arduino/BEEx/src && cp tflite/firmware/engine.c build/arduino/BEEx/src/beex.c
	@cd build/arduino && $(abspath $(BIN))/python -m zipfile -c ../beex-arduino.zip BEEx

android: $(STAMP) ## Build the AAR for Android, without an NDK, and run it here and in emulators: build/android/maven
	@$(BIN)/python -m pytest -q -s tests/test_android.py

# A model on an emulated board; by default one that is trained here first, in minutes.
RUN ?= runs/micro
BOARD ?= netduinoplus2
PROJECT := build/firmware/$(notdir $(RUN))

firmware: $(PROJECT)/model.c ## Build a model for a board: make firmware RUN=runs/reviews BOARD=mps2-an500
	@$(MAKE) -s -C $(PROJECT) BOARD=$(BOARD)
	@arm-none-eabi-size $(PROJECT)/build/$(BOARD)/firmware.elf

emulate: $(PROJECT)/model.c ## Run it under QEMU: make emulate RUN=runs/reviews BOARD=mps2-an500 < texts
	@$(MAKE) -s -C $(PROJECT) BOARD=$(BOARD) emulate

$(PROJECT)/model.c: $(RUN)/results.json $(wildcard tflite/*/*) | $(STAMP)
	@rm -rf $(PROJECT)
	@$(BIN)/beex convert $(RUN) --target mcu --board $(BOARD) -o $(PROJECT) >&2

runs/micro/results.json: | $(STAMP)
	@$(BIN)/beex train rotten_tomatoes --preset micro --bits fully-binary -o runs/micro >&2

clean: ## Remove the environment, caches and builds (trained models stay)
	@rm -rf $(VENV) $(VENV).lock build dist *.egg-info beex_keras/runtime/_engine*.so beex_keras/runtime/_engine.d* .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp appears only when everything is installed and holds the place it was made for, so an
# interrupted set-up, a removed interpreter or a moved checkout leads to a new one.
usable = $(shell $(1)/bin/python -c '' 2>/dev/null && cat $(1)/.complete 2>/dev/null)
ifneq ($(call usable,$(VENV)),$(CURDIR))
$(STAMP): stale
endif
ifneq ($(call usable,$(WHEELS_ENV)),$(CURDIR))
$(WHEELS_STAMP): stale
endif
ifneq ($(call usable,$(SITE_ENV)),$(CURDIR))
$(SITE_STAMP): stale
endif

$(STAMP): requirements.txt setup.py $(wildcard tflite/kernels/* tflite/engine/*)
	@$(call make_venv,$(VENV))

$(WHEELS_STAMP): tools/wheels/requirements.txt
	@$(call make_venv,$(WHEELS_ENV) tools/wheels/requirements.txt)

$(SITE_STAMP): tools/site/requirements.txt
	@$(call make_venv,$(SITE_ENV) tools/site/requirements.txt)

define make_venv
for python in $(PYTHON); do \
	    if "$$python" -c '$(PROBE)' >/dev/null 2>&1; then \
	        exec "$$python" tools/make_venv.py $(1); \
	    fi; \
	done; \
	echo "error: no Python 3.10, 3.11 or 3.12 with venv and ensurepip found among:" \
	    "$(PYTHON); install python3.11 (and python3.11-venv on Debian or Ubuntu)," \
	    "or name one with PYTHON=/path/to/python." >&2; \
	exit 1
endef
