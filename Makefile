# PYTHON chooses the interpreter that builds .venv: any Python 3.10 to 3.14; left empty, one is looked for.
PYTHON ?=
CONFIG ?= configs/lgm_digits.yaml
ARGS ?=

VENV := .venv/bin/python
NUMERIC := tests/backbones tests/training tests/heads/test_contract.py tests/test_attacks.py tests/test_inference.py
SETUP := PYTHON="$(PYTHON)" sh .ci/setup.sh

.PHONY: help train test test-avx2 faults package floors results docs lint requirements clean

help:
	@echo "make train         build .venv and train L-GM on the embedded digits"
	@echo "                   (another experiment: make train CONFIG=configs/lgm_mnist.yaml ARGS=\"trainer.epochs=3\")"
	@echo "make test          lint, format check and all tests (a part of them: make test ARGS=\"-m 'not slow'\")"
	@echo "make test-avx2     the numeric tests once more, as on a processor without AVX-512"
	@echo "make faults        kills, full disks, damaged files, 10,000 random configs and a long training, for an hour"
	@echo "make package       sdist and wheel, installed into a clean environment and tried"
	@echo "make floors        the accuracies that the configs promise, trained for hours (one: make floors ARGS=\"-k lgm_mnist\")"
	@echo "make results       the tables, pages and drawings of docs/results, from the kept files of their runs"
	@echo "make docs          the pages as a site, in docs/_build/html"
	@echo "make lint          lint, format and type check alone"
	@echo "make requirements  resolve the pinned requirements anew (needs uv)"
	@echo "make clean         remove .venv and what was built; runs/, sweeps/ and data/ stay"
	@echo "PYTHON=python3.10 before or after the target chooses the interpreter."

train:
	@$(SETUP)
	$(VENV) scripts/train.py --config $(CONFIG) $(ARGS)

# A file's tests stay in one process: they share what was trained for them. tests/conftest.py orders the files.
PARALLEL = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: lint
	$(VENV) -m pytest $(PARALLEL) $(ARGS)

# Without AVX-512 oneDNN has other kernels, which round otherwise. Two threads, where `test` shares out the cores.
test-avx2:
	@$(SETUP) test
	DNNL_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=2 $(VENV) -m pytest -q $(PARALLEL) -m "not slow" $(NUMERIC)

faults:
	@$(SETUP) test
	LOSSBENCH_FAULTS=all $(VENV) -m pytest tests/faults $(ARGS)

package:
	@$(SETUP) test
	sh .ci/package.sh $(VENV)

floors:
	@$(SETUP) test
	$(VENV) -m pytest -s tests/floors.py $(ARGS)

results:
	@$(SETUP)
	for folder in docs/results/*/; do \
		name=$$(basename $$folder); $(VENV) scripts/sweep.py configs/sweeps/$$name.yaml --out docs/results/$$name --tables || exit 1; \
	done

docs:
	@$(SETUP) docs
	$(VENV) -m sphinx -q -W --keep-going -b html docs docs/_build/html

lint:
	@$(SETUP) test
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy

RESOLVE = uv pip compile --quiet --universal --python-version 3.10 --upgrade --no-annotate setup.py

requirements:
	$(RESOLVE) --extra cpu --output-file requirements.txt
	$(RESOLVE) --extra cu112 --constraint requirements.txt --output-file requirements-gpu.txt
	$(RESOLVE) --extra cpu --extra test --extra zoo --extra export --extra tensorboard --extra mpi --extra tune --constraint requirements.txt --output-file requirements-test.txt
	$(RESOLVE) --extra cpu --extra docs --constraint requirements-test.txt --output-file requirements-docs.txt

clean:
	rm -rf .venv build dist docs/_build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
