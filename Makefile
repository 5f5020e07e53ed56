# Every target sets itself up: packages of the system (.ci/prepare), then a virtual environment in the checkout with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
CORE := $(VENV)/.core
STAMP := $(VENV)/.installed
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

# Python keeps what it compiled, and pytest what it made of the tests: half of the time that it takes
# to collect them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo clouds test unit conformance cov site crash fuzz walls mutants installed fresh soak engines bench lint docs clean
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: $(CORE) ## The main job, from containers' ports to a firewall, without an account
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" sh examples/demo/run.sh

clouds: $(STAMP) ## The same at four clouds at once: their own libraries, against doubles on this machine
	@$(VENV)/bin/python examples/demo/four_clouds.py

# Most tests wait for an answer more than they compute. A file's tests stay together (tests/conftest.py).
TESTS_AT_ONCE ?= 3

test: $(STAMP) ## All tests; the ones on a real engine need root and dockerd, and skip with the reason elsewhere
	$(VENV)/bin/python -m pytest --numprocesses=$(TESTS_AT_ONCE) --dist=loadscope --junitxml=.pytest-report/junit.xml

unit: $(STAMP) ## The unit tests, in seconds: property tests try a tenth of their examples
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target .unit-other-than-a-m .unit-other-than-n-z

# Two processes with half of the files each: workers would collect all of them twice and report test by test.
.unit-other-than-%:
	CLOUDSYNC_FAST=1 $(VENV)/bin/python -m pytest tests/unit --ignore-glob='*/test_[$*]*' --numprocesses=0 --quiet

conformance: $(STAMP) ## The conformance suite for every provider, in some three minutes
	$(VENV)/bin/python -m pytest tests/conformance/test_conformance.py tests/openstack/test_conformance.py \
		--numprocesses=$(TESTS_AT_ONCE) --dist=worksteal --quiet

cov: $(STAMP) ## What the tests execute, line by line, in .coverage-report/index.html (TESTS="tests/unit tests/laws" for some)
	$(VENV)/bin/python -m pytest $(or $(TESTS),tests) --numprocesses=$(TESTS_AT_ONCE) --dist=loadscope --quiet \
		--cov=cloudsync --cov=providers --cov-branch --cov-report=term --cov-report=html:.coverage-report

crash: $(STAMP) ## Every mishap at every call of every kind of run; `make test` has most of it
	CLOUDSYNC_LONG=1 $(VENV)/bin/python -m pytest tests/crash --timeout=0

fuzz: $(STAMP) ## Input nobody meant and anything in any order, for an hour and at random; `make test` has a little of it
	CLOUDSYNC_LONG=1 $(VENV)/bin/python -m pytest tests/fuzz tests/crash/test_any_order.py --timeout=0

walls: $(STAMP) ## Every port of a machine over its whole day: engines, ufw, firewalld, flush, reboot, 1,000 changes; needs root
	CLOUDSYNC_LONG=1 $(VENV)/bin/python -m pytest tests/host --timeout=0

mutants: $(STAMP) ## Break the code on purpose and tell what no test noticed; takes hours (TARGETS="guards holds" for some)
	$(VENV)/bin/python tests/mutants/run.py $(TARGETS)

installed: $(STAMP) ## Paste the install pages on every system they name, in roots that systemd-nspawn starts; needs root
	CLOUDSYNC_LONG=1 $(VENV)/bin/python -m pytest tests/installed --timeout=0

fresh: $(STAMP) ## `make test` on minimal Debian 12, 13 and sid, as root and as a plain user; needs root and slirp4netns, takes hours (MACHINES="trixie and root" for one)
	CLOUDSYNC_LONG=1 $(VENV)/bin/python -m pytest tests/fresh/test_whole_suite.py -k "$(or $(MACHINES),test)"

soak: $(STAMP) ## watch on a real engine that is killed and restarted, for MINUTES=2; needs root and dockerd
	$(VENV)/bin/python -m tests.engine.soak --minutes $(or $(MINUTES),2)

engines: $(STAMP) ## Docker 20.10 to 28 and Podman 4.3 to 6.1, and the table of them in docs/engines.md; needs root, takes half an hour
	CLOUDSYNC_ENGINES=all $(VENV)/bin/python -m pytest tests/engine tests/engines --numprocesses=$(TESTS_AT_ONCE) \
		--dist=loadscope --timeout=0 --quiet --junitxml=.pytest-report/engines.xml
	$(VENV)/bin/python -m tests.engines.table .pytest-report/engines.xml

bench: $(STAMP) ## Measure beside Ansible and bare scripts at the doubles, and write docs/benchmarks.md; over an hour (PARTS="startup small")
	$(VENV)/bin/python -m benchmarks.run $(PARTS)

WORKFLOWS := $(wildcard .github/workflows/*.yml examples/github/*.yml)

lint: $(STAMP) ## ruff, mypy --strict, pyright, import-linter; the Compose examples, the action, the workflows and the Dockerfile
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target .lint-types .lint-rest

.lint-types:
	$(VENV)/bin/mypy

.lint-rest:
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(VENV)/bin/python .ci/filler_names.py cloudsync providers
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec $$(grep -rLE '!(reset|override)' --include='*compose*.y*ml' tests/unit/fixtures/compose | grep -vE '/(37|45)-')
	$(VENV)/bin/zizmor --offline --quiet --persona auditor action.yml .github examples/github
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-actions action.yml
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/hadolint Dockerfile
	sh .ci/actionlint.sh $(WORKFLOWS)

docs: $(STAMP) ## Write the reference pages from the code, and record the picture of a plan
	$(VENV)/bin/python docs/generate.py
	$(VENV)/bin/python docs/picture.py
	$(VENV)/bin/python docs/cast.py
	command -v chromium >/dev/null && $(VENV)/bin/python docs/screenshots.py || echo "the screenshots need chromium" >&2

site: $(STAMP) ## The documentation as a site in .site/, and nothing in it that leads nowhere
	$(PIP) install --quiet -c constraints.txt --group site
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

clean: ## Remove the virtual environment and all caches
	rm -rf $(VENV) .bench .site .coverage-report .mutants .mypy_cache .ruff_cache .pytest_cache .pytest-report .hypothesis dist build

# What a user installs, for the demo; then everything else on top. Each says what it does, since it takes a while.
# Who wants everything is asked for the system's packages once: the first step inherits WANT.
WANT := demo
$(STAMP): WANT := test
$(CORE): pyproject.toml constraints.txt
	@PYTHON=$(PYTHON) sh .ci/prepare $(WANT)
	@echo "Setting up $(VENV): cloudsync and what it needs ..."
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet -c constraints.txt --upgrade pip
	@$(PIP) install --quiet -c constraints.txt -e .
	@touch $(CORE)

$(STAMP): $(CORE)
	@PYTHON=$(PYTHON) sh .ci/prepare test
	@echo "Setting up $(VENV): four clouds' libraries, test and lint tools (1 GB) ..."
	@# Most of these modules are never imported; Python compiles those that are.
	@$(PIP) install --quiet --no-compile -c constraints.txt -e '.[all]' --group dev
	@touch $(STAMP)
