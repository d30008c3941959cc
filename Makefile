# kubescribe. `make` alone lists the targets.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
SERVICES := watcher router stream reconciler git-writer
BINARIES := kubescribe $(SERVICES)
MODULES  := shared $(addprefix services/,$(BINARIES)) test/integration
COVERED  := github.com/kubescribe/kubescribe/shared/...,github.com/kubescribe/kubescribe/services/...
APART    := test/controlplane test/e2e test/sops
GO       ?= go
BUILD    := ../../test/scripts/progress $(GO) build -v

# One set of flags for all that is compiled, so that Go's cache has each package once; and
# once more for the race detector, which needs C.
export CGO_ENABLED := 0
override export GOFLAGS := $(strip $(filter-out -trimpath,$(shell $(GO) env GOFLAGS 2>/dev/null)) -trimpath)

KUBERNETES := v1.37.2
KUBE_LDFLAGS := -s -w \
  -X k8s.io/component-base/version.gitVersion=$(KUBERNETES) \
  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37 \
  -X k8s.io/client-go/pkg/version.gitVersion=$(KUBERNETES) \
  -X k8s.io/client-go/pkg/version.gitMajor=1 -X k8s.io/client-go/pkg/version.gitMinor=37

GOLANGCI  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULN    := golang.org/x/vuln/cmd/govulncheck@v1.9.0
GENERATE  := CONTROLLER_GEN=sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 \
  CRD_REF_DOCS=github.com/elastic/crd-ref-docs@v0.3.0 GO='$(GO)' test/scripts/generate
FUZZTIME  ?= 100000x
RACES     ?= 100
MODEL_STATES ?= 3000000
MODEL_WALKS  ?= 5000
COMMITS      ?= 10000,100000,1000000
SECONDS      ?= 60

.DEFAULT_GOAL := help
.PHONY: help need need-build demo bench-reconcile bench-capture bench-e2e bench-git bench-growth soak run build test unit integration controlplane sops e2e races bus long crashes crash-cells-odd crash-cells-even crash-cells-three-nodes faults mutants faulty cover check generate generate-check lint tidy-check vuln verify fuzz model images need-docker need-compose up down clean FORCE

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

need:
	@test/scripts/need

need-build:
	@test/scripts/need build

demo: need ## build all, run a cluster, a repository and kubescribe, and watch commits land (KEEP=1 leaves it running)
	@test/scripts/first-build
	@$(MAKE) --no-print-directory build bin/demo
	@bin/demo $(if $(KEEP),--keep)

bench-reconcile: need ## measure the comparison of up to 100,000 objects against its targets (ARGS="-json FILE")
	@test/scripts/first-build
	@$(MAKE) --no-print-directory build bin/bench-reconcile
	@bin/bench-reconcile $(ARGS)

bench-capture: need ## measure a start beside 5,000 objects of 50 types against its targets (ARGS="-json FILE")
	@test/scripts/first-build
	@$(MAKE) --no-print-directory build bin/bench-capture
	@bin/bench-capture $(ARGS)

bench-e2e: need ## measure changes of a real cluster on their way to the remote against targets (ARGS="-only 'separate/1/50'")
	@test/scripts/first-build
	@$(MAKE) --no-print-directory build bin/bench-e2e
	@bin/bench-e2e $(ARGS)

bench-git: need ## measure commits and pushes against git's own, and the lag behind 500 changes a second
	cd services/git-writer/internal/repo && $(GO) test -run '^$$' -bench '^BenchmarkGit$$' -benchtime 1x -timeout 60m
	@$(MAKE) --no-print-directory bin/git-writer bin/bench-rate
	@bin/bench-rate $(ARGS)

bench-growth: need ## measure size, clone and fetch of repositories with COMMITS commits
	cd services/git-writer/internal/branch && KUBESCRIBE_GROWTH='$(COMMITS)' $(GO) test -run '^$$' -bench '^BenchmarkGrowth$$' -benchtime 1x -timeout 60m

soak: need ## two replicas of each service bring 20 changes a second for HOURS=1 or MINUTES: what they hold must not grow
	@test/scripts/first-build
	@$(MAKE) --no-print-directory build bin/soak
	@bin/soak -minutes $(or $(MINUTES),$(shell expr 60 \* $(or $(HOURS),1))) $(ARGS)

run: ## mirror the current kubectl context: make run REPO=URL [ARGS="--namespace shop"]
	@test -n "$(REPO)" || { echo 'where to? make run REPO=https://git.example.com/me/live.git (or a path)'; exit 2; }
	@$(MAKE) --no-print-directory bin/kubescribe
	bin/kubescribe run --repo '$(REPO)' $(ARGS)

build: $(addprefix bin/,$(BINARIES)) bin/controlplane bin/kubectl bin/nats-server ## put every binary into bin/

# Go knows best what is out of date; building what is not takes a second.
$(addprefix bin/,$(BINARIES)): bin/%: FORCE | need-build
	@echo "build $@"
	@cd services/$* && GOWORK=off $(BUILD) \
	  -ldflags '-s -w$(if $(filter kubescribe,$*), -X main.version=$(VERSION))' -o ../../$@ ./cmd/$*

# The services with fault points (shared/faultpoint), for tests alone.
faulty: $(addprefix bin/faulty/,$(SERVICES))

$(addprefix bin/faulty/,$(SERVICES)): bin/faulty/%: FORCE | need-build
	@echo "build $@"
	@cd services/$* && GOWORK=off $(BUILD) -tags faultpoints -ldflags '-s -w' -o ../../$@ ./cmd/$*

bin/controlplane: FORCE | need-build
	@echo "build $@ (the first time: minutes)"
	@cd test/controlplane && GOWORK=off $(BUILD) -ldflags '$(KUBE_LDFLAGS)' -o ../../$@ .

bin/kubectl: FORCE | need-build
	@echo "build $@"
	@cd test/controlplane && GOWORK=off $(BUILD) -ldflags '$(KUBE_LDFLAGS)' -o ../../$@ k8s.io/kubernetes/cmd/kubectl

bin/sops: FORCE | need-build
	@echo "build $@ (the first time: minutes)"
	@cd test/sops && GOWORK=off $(BUILD) -ldflags '-s -w' -o ../../$@ github.com/getsops/sops/v3/cmd/sops

bin/demo bin/bench-reconcile bin/bench-capture bin/bench-e2e bin/bench-rate bin/soak: bin/%: FORCE | need-build
	@echo "build $@"
	@cd test/e2e && GOWORK=off $(BUILD) -o ../../$@ ./cmd/$*

test: need ## unit, integration and end-to-end tests on real parts
	@test/scripts/first-build
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory cover controlplane sops e2e

# What is all services in one is told from what it does as a whole.
unit: ## shared and the services, with the race detector
	@test/scripts/covered unit -short $(patsubst %,./%/...,$(filter-out services/kubescribe test/%,$(MODULES)))
	@cd shared && ../test/scripts/covered faultpoints -tags faultpoints -count=1 ./faultpoint
	@test/scripts/covered kubescribe -coverpkg='$(COVERED)' ./services/kubescribe/...

# In a package's own directory go test shows what its tests print: how many states the
# model has, and the seed of the chaos. The model has one goroutine: no races.
integration: ## the roles on real NATS servers, with the race detector, and a model of their runs
	cd test/integration/layout && $(GO) test -count=1
	cd test/integration/model && $(GO) test -count=1
	cd test/integration/mutants && $(GO) test -count=1
	cd test/integration/cases && $(GO) test -count=1
	@cd test/integration/bus && ../../scripts/covered bus -coverpkg='$(COVERED)' -short -count=1 -parallel 6 -timeout 20m
	@cd test/integration && ../scripts/covered integration -coverpkg='$(COVERED)' -short -count=1 -parallel 6 -timeout 20m

controlplane: ## the control plane that the tests run on
	cd test/controlplane && GOWORK=off $(GO) test -count=1 ./acceptance

sops: bin/sops ## what is encrypted, read and rewritten by the stock sops
	cd services/git-writer/internal/sops && KUBESCRIBE_SOPS='$(CURDIR)/bin/sops' $(GO) test -count=1 -run '^TestStock'

e2e: bin/sops faulty ## the binaries on a real API server and real Git servers
	cd test/e2e && GOWORK=off $(GO) test -short -count=1 -parallel 3 -timeout 20m ./...

cover: need unit integration ## what these two reach: over 90 % of all statements, 80 % of each package
	@test/scripts/cover-table

check: need-build generate-check lint tidy-check ## what is generated, format, lint, vet, tidiness, separate builds, import rules, mutants and tests that are none
	$(GO) vet work
	$(GO) test -count=1 ./test/integration/layout ./test/integration/cases
	$(GO) test -count=1 -run '^TestList$$' ./test/integration/mutants

generate: need-build ## deep copies, CustomResourceDefinitions and docs/reference, from the code
	@$(GENERATE) '$(CURDIR)'
	cd shared && $(GO) test -count=1 -run '^TestReference$$' ./exclusion ./bus -update

generate-check:
	@echo 'is what is generated of this code?'
	@$(GENERATE) --check
	cd shared && $(GO) test -count=1 -run '^TestReference$$' ./exclusion ./bus

vuln: ## known vulnerabilities, from vuln.go.dev: needs the internet
	@for m in $(addprefix services/,$(BINARIES)) shared; do echo "govulncheck $$m"; (cd $$m && GOWORK=off $(GO) run $(GOVULN) ./...) || exit 1; done

lint:
	@for m in $(MODULES) test/e2e; do echo "lint $$m"; (cd $$m && GOWORK=off $(GO) run $(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

# Releases build each module by itself: a newer dependency of a neighbour in the
# workspace must not be what makes it work.
tidy-check:
	@for m in $(MODULES) $(APART); do echo "tidy $$m"; (cd $$m && GOWORK=off $(GO) mod tidy -diff) || exit 1; done
	@for m in $(MODULES); do echo "build $$m alone"; (cd $$m && GOWORK=off $(GO) build ./...) || exit 1; done

unless = $(if $(filter file,$(origin $1)),$1=$2)# it was given

verify: ## longer proofs: the long tests, the crash table, faults at random, the mutants, the demo; a part of the fuzzing, the model and the races
	@$(MAKE) --no-print-directory mutants fuzz model long crashes faults $(call unless,FUZZTIME,20000x) $(call unless,MODEL_STATES,300000) $(call unless,RACES,20)
	@$(MAKE) --no-print-directory demo

races: ## each service, and the NATS server, killed at each instant of a run, with each change: on real parts
	@$(MAKE) --no-print-directory build
	cd test/e2e && KUBESCRIBE_RACES=$(RACES) GOWORK=off $(GO) test -count=1 -timeout 40m -run '^(TestRaces|TestClusterRestored)' .

bus: ## the bus on NATS servers that are killed, and on three of which one after the other is
	cd test/integration/bus && $(GO) test -count=1 -parallel 6 -timeout 20m -run '^TestBus(Killed|OnThree)$$'

long: bin/sops faulty ## the tests that make test leaves out because they take long
	@$(MAKE) --no-print-directory build
	cd services/git-writer/internal/repo && CGO_ENABLED=1 $(GO) test -race -count=1 -run "$$(../../../../test/scripts/long)"
	cd test/integration/bus && $(GO) test -count=1 -parallel 6 -timeout 20m -run "$$(../../scripts/long)"
	cd test/integration && CGO_ENABLED=1 $(GO) test -race -count=1 -parallel 6 -timeout 40m -run "$$(../scripts/long)" .
	cd test/e2e && KUBESCRIBE_RACES=$(RACES) GOWORK=off $(GO) test -count=1 -parallel 3 -timeout 60m -run "$$(../scripts/long)" .
	cd test/e2e/bench && GOWORK=off $(GO) test -count=1 -timeout 20m -run "$$(../../scripts/long)"

crashes: ## the crash table: each service, and the NATS server, killed at each durable step: on one node, a third on three
	@$(MAKE) --no-print-directory build faulty
	@$(MAKE) --no-print-directory -j2 crash-cells-odd crash-cells-even crash-cells-three-nodes

# Two at once: they wait for half of their time.
crash-cells-odd crash-cells-even crash-cells-three-nodes: crash-cells-%:
	cd test/e2e && KUBESCRIBE_CRASH_CELLS=$* GOWORK=off $(GO) test -count=1 -timeout 60m -run '^TestCrashes$$' -v .

mutants: need-build ## break the code in each of some fifty ways, and see that a test fails each time (ARGS="-only lease")
	@$(GO) run ./test/integration/cmd/mutants $(ARGS)

# Disks of memory and networks are made where nobody else sees them, and gone with the run.
# From there nothing else is reached, so what is run is built before.
APART_FAULTS := unshare $(if $(filter-out 0,$(shell id -u)),--map-root-user) --mount --net

faults: ## faults at random for SECONDS, several at once, under load: SEED=N plays the same again
	@$(APART_FAULTS) true || { echo 'make faults makes disks to fill and cables to pull out: run it as root, or where users may unshare; in a container with the capabilities SYS_ADMIN and NET_ADMIN'; exit 2; }
	@$(MAKE) --no-print-directory build
	cd test/e2e && GOWORK=off $(GO) test -c -o ../../bin/faults.test .
	cd test/e2e && KUBESCRIBE_FAULTS_SECONDS='$(SECONDS)' KUBESCRIBE_FAULTS_SEED='$(SEED)' \
	  $(APART_FAULTS) ../../bin/faults.test -test.timeout $$(($(SECONDS) + 600))s -test.run '^TestFaults$$' -test.v

fuzz: ## every fuzz target, with FUZZTIME inputs each
	@FUZZTIME='$(FUZZTIME)' GO='$(GO)' test/scripts/fuzz $(MODULES)

model: ## the protocol of runs as a model, in more orders than the tests play
	MODEL_STATES=$(MODEL_STATES) MODEL_WALKS=$(MODEL_WALKS) $(GO) test -count=1 -timeout 60m -v ./test/integration/model

need-docker:
	@test/scripts/need docker

need-compose:
	@test/scripts/need docker compose

images: need-docker build ## container images of every program, from scratch
	@for p in $(BINARIES) nats-server; do docker build -q -t kubescribe/$$p --build-arg PROGRAM=$$p -f deploy/docker/Dockerfile . || exit 1; done

bin/nats-server: FORCE | need-build
	@echo "build $@"
	@cd test/integration && GOWORK=off $(BUILD) -o ../../$@ github.com/nats-io/nats-server/v2

up: need-compose images ## run the services in containers: make up KUBECONFIG=FILE CONFIG=FILE
	KUBECONFIG='$(KUBECONFIG)' CONFIG='$(CONFIG)' docker-compose up -d

down: need-compose ## stop them; their volumes stay
	KUBECONFIG=/dev/null CONFIG=/dev/null docker-compose down

clean: ## remove what was built
	rm -rf bin

FORCE:
