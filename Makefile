# The two commands are `make demo` and `make test`. LAB=name names the lab that up, demo, ssh and down mean, as for
# the command `lab` and for inventory/lab.
NODE ?= zk1
# SEEDS are the same schedules each time, FRESH are new ones at each commit.
SEEDS ?= 40000
FRESH ?= 200
EDGE_SEEDS ?= 1000
EDGE_FRESH ?= 20
# Each process has the processor for so many minutes at most: a slow machine tries as many as it can, and says so.
MINUTES ?= 5
EDGE_MINUTES ?= 1
SCENARIOS ?= default operations failover archive standalone peers collection
OLDEST := $(CURDIR)/.venv/oldest/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup setup-python setup-podman setup-oldest setup-tests provision up demo ssh down lint lint-style \
	lint-types lint-ansible lint-oldest lint-sanity docs unit processes model simulate coverage mutants integration \
	lab-test molecule $(SCENARIOS:%=molecule-%) test bench collection sanity clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: ## install what the lab needs (Debian packages, .venv)
	@scripts/bootstrap

setup-python:
	@scripts/bootstrap --python

setup-podman:
	@scripts/bootstrap --podman

setup-oldest: setup-python
	@scripts/bootstrap --oldest

setup-tests:
	@scripts/bootstrap --tests

provision: setup
	@lab up
	@ansible-playbook playbooks/site.yml

up: provision ## boot six hosts and provision them
	@scripts/next_steps

demo: provision ## the same, then the story of failures, told as it happens
	@python -m demo

ssh: ## a shell on a host: make ssh NODE=mw1
	@lab ssh $(NODE)

down: ## remove the hosts and every trace of them
	@lab --name "$${LAB:-lab}" down

# What waits for servers and hosts is done two at a time; the lab's own tests begin, and mostly there is no other lab
# yet (two of them skip if there is). That still leaves a part of the processors: there the proof runs.
test: setup-tests lint unit processes ## all tests
	@scripts/beside "$(MAKE) --no-print-directory model simulate MINUTES=15 EDGE_MINUTES=3" \
		"$(MAKE) --no-print-directory --jobs=2 --output-sync=target lab-test integration molecule"

# Its parts beside each other, one on each core; what one of them says is shown whole when it ends.
lint: export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/playbooks/collections
lint: setup-python setup-oldest ## ansible-lint, ansible-test sanity, yamllint, ruff, mypy, roles as specified
	@$(MAKE) --no-print-directory --jobs=$$(nproc) --output-sync=target \
		lint-ansible lint-oldest lint-types lint-sanity lint-style

lint-style:
	yamllint --strict .
	ruff check .
	ruff format --check .
	python scripts/role_docs.py --check

lint-types:
	mypy
	mypy --package ansible_collections.zklab.zookeeper.plugins
	mypy roles/*/files/*.py molecule/conftest.py
	set -e; for tests in molecule/*/tests; do mypy $$tests; done # each has modules named as another's are

lint-ansible:
	ansible-lint --offline --profile production

lint-oldest: # it and ansible-doc, with the oldest ansible-core
	PATH=$(OLDEST):$$PATH ansible-lint --offline --profile production
	$(OLDEST)/ansible-doc --type role --roles-path roles --json zookeeper mwapp >/dev/null

lint-sanity:
	@scripts/sanity

docs: setup-python ## the roles' tables of variables, from their specifications
	python scripts/role_docs.py

# What one of their processes has compiled the others need not.
unit processes: export PYTHONDONTWRITEBYTECODE :=
unit: setup-python ## logic, without root, processes and servers
	pytest -n $$(expr $$(nproc) + 1) --dist worksteal -m "not processes and not servers" tests/unit

# They wait: more processes than there are cores.
processes: setup-python ## the unit tests that start processes or servers: handlers, commands, modules, endpoints
	pytest -n $$(expr $$(nproc) + 3) --dist worksteal -m "processes or servers" tests/unit

# First whether it notices planted bugs. Compiled if it can be.
simulate: setup-python ## the protocol under seeded faults: make simulate FRESH=100000
	pytest -n $$(nproc) --dist worksteal tests/proof
	python -m tests.simulation.compiled --seeds $(SEEDS) --fresh $(FRESH) --minutes $(MINUTES)
	python -m tests.simulation.shards --seeds 300 --fresh $(EDGE_FRESH)
	python -m tests.edge --seeds $(EDGE_SEEDS) --fresh $(EDGE_FRESH) --minutes $(EDGE_MINUTES)

model: setup-tests ## the protocol as a model, every state of it: python -m tests.model 2 for larger bounds
	pytest -n $$(nproc) --dist worksteal tests/model

coverage: setup-python ## how much of mwapp/core the simulation alone reaches, and what it does not
	python -m tests.simulation.covered --seeds 3000

mutants: setup-python ## mistakes planted in the code, one at a time: how many do the tests notice? ONLY=text SAMPLE=300
	python -m tests.mutants --only "$(ONLY)" $(if $(SAMPLE),--sample $(SAMPLE))

# They wait a third of the time. Each process has the tests of one file, with servers of their own.
integration: setup-tests ## a real ensemble on loopback, attacked
	pytest -n $$(expr $$(nproc) + 1) --dist loadfile tests/integration

lab-test: setup-tests ## the lab's own verbs
	pytest tests/lab

molecule: $(SCENARIOS:%=molecule-%) ## real hosts: SCENARIOS="default failover"

$(SCENARIOS:%=molecule-%): molecule-%: setup-tests setup-oldest
	LAB_PREFIX=$$(scripts/lab-prefix) molecule test -s $*

bench: setup-tests ## what it costs, against the floor; figures in build/bench: make bench PART=tasks
	python -m bench $(PART)

collection: setup-python ## the roles, playbooks and application as a file for ansible-galaxy, in build/collection
	@scripts/collection

sanity: setup-python ## ansible-test sanity on that collection
	@scripts/sanity

clean: ## remove what was built here
	rm -rf build .venv .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info lab/*.egg-info
