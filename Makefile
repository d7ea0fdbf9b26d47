# make lab      set up .venv, make the reader's edition in work/, open JupyterLab (LAB_ARGS=--no-browser)
# make test     the same set-up, then every test, every notebook included (TEST_ARGS='-k name')
# make help     the other targets

# The first Python that is new enough; if none is, bootstrap.py says what to do.
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then echo "$$python"; exit; fi; done; echo python3)
endif

ifeq ($(OS), Windows_NT)
VENV_PYTHON := .venv/Scripts/python.exe
else
VENV_PYTHON := .venv/bin/python
endif

# The environment is .venv and nothing else.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
ifeq ($(strip $(HOME)),)
unexport HOME
endif

STORED := LABKIT_STATIC=1 TQDM_DISABLE=1

.PHONY: help setup lab doctor test lint notebooks bench experiments readme

help:
	@echo 'make lab          set up, make the reader edition in work/, open JupyterLab'
	@echo 'make test         set up, then check the code and run every test and every notebook'
	@echo 'make doctor       say what is wrong with this machine'
	@echo 'make lint         check the code only'
	@echo 'make notebooks    execute the notebooks and store their outputs'
	@echo 'make bench        measure speed, into benchmarks/'
	@echo 'make experiments  record the long experiments, into experiments/'
	@echo 'make readme       renew the tables of README.md'

setup:
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo 'There is no Python here: install Python 3.11 or newer, then run this again.' >&2; exit 1; }
	@"$(PYTHON)" bootstrap.py

lab: setup
	@"$(VENV_PYTHON)" -m labkit lab $(LAB_ARGS)

doctor: setup
	@"$(VENV_PYTHON)" -m labkit doctor

lint: setup
	"$(VENV_PYTHON)" -m ruff check .
	"$(VENV_PYTHON)" -m mypy

test: lint
	$(STORED) OMP_NUM_THREADS=1 "$(VENV_PYTHON)" -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TEST_ARGS)

notebooks: setup
	$(STORED) "$(VENV_PYTHON)" -m tests.contract.execute

bench: setup
	"$(VENV_PYTHON)" -m benchmarks.run

experiments: setup
	"$(VENV_PYTHON)" -m experiments.run

readme: setup
	"$(VENV_PYTHON)" -m experiments.readme
