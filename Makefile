# `make demo` and `make test` make the virtual environment by themselves; a second time it is there in no time.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: demo study-report test faults reference tools lint types clean

demo: .venv/.runtime
	$(BIN)/rein sweep demo
	$(BIN)/rein report demo

# Every table and figure of docs/study from the results beside them: no run, no data.
study-report: .venv/.runtime
	rm -rf build/study
	$(BIN)/rein unpack docs/study/results --runs build/study
	$(BIN)/rein report study --runs build/study --out docs/study --no-track --no-pdf

test: lint types
	$(BIN)/pytest -n 3 --dist worksteal # on two cores: tests of Ray wait a lot

faults: .venv/.dev
	$(BIN)/python -m tests.faults --seed 0 --faults 51

# The pages below docs/reference, from the code; a test fails where they lag behind it.
reference: .venv/.dev
	$(BIN)/python -m docs.generate

# LaTeX and a browser, for the tests that compile a report and click through its page; they skip where these are not.
tools:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium poppler-utils latexmk lmodern \
	    texlive-latex-base texlive-latex-recommended texlive-fonts-recommended

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/.dev
	$(BIN)/basedpyright

.venv/.runtime: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install --constraint constraints.txt --editable .
	touch $@

.venv/.dev: .venv/.runtime
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	# The tests read its list of labels alone, which needs none of its dependencies (one shadows `typing`).
	$(PIP) install --constraint constraints.txt --no-deps cityscapesscripts
	touch $@

clean:
	rm -rf .venv runs data/toy reports/out
