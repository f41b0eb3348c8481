# Everything here is Go and shell: `make` alone lists what there is.
# GOOS and GOARCH choose the machine that `make build` builds for (default: this one).

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Go's installer leaves PATH alone; a fresh machine may have Go only there.
export PATH := $(PATH):/usr/local/go/bin

GO ?= go
GOOS ?= $(shell $(GO) env GOHOSTOS)
GOARCH ?= $(shell $(GO) env GOHOSTARCH)

# A release names itself by its tag; between tags the version is "devel" and the commit tells.
VERSION ?= $(shell git describe --tags --exact-match 2>/dev/null)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)$(shell test -z "$$(git status --porcelain 2>/dev/null)" || echo -dirty)
stamps := -X slipway.dev/slipway/internal/version.version=$(VERSION) -X slipway.dev/slipway/internal/version.commit=$(COMMIT)

# Version control is stamped above, in the same way for every checkout, so Go need not look (and fail on a checkout
# that belongs to another user).
go_build := CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags "-s -w $(stamps)"
exe := $(if $(filter windows,$(GOOS)),.exe)
layer := embedded/slipwayd/slipwayd-linux-$(GOARCH).tar.gz
static_layer := embedded/staticserver/slipway-static-linux-$(GOARCH).tar.gz
platforms := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
# Programs of the build itself run here, whatever is built.
host := env -u GOOS -u GOARCH
e2e_timeout ?= 45m
api_packages := ./cmd/slipwayd/... ./internal/supplychain/controller/... ./internal/supplychain/webhook/... ./internal/stages/... ./internal/fulfil/... ./internal/kube/...

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: layer ## build bin/slipway, with slipwayd inside, for GOOS and GOARCH
	@mkdir -p bin
	@echo "building bin/slipway$(exe) for $(GOOS)/$(GOARCH)"
	@GOOS=$(GOOS) GOARCH=$(GOARCH) $(go_build) -o bin/slipway$(exe) ./cmd/slipway

.PHONY: layer
layer: upstream ## build slipwayd, slipway-init and slipway-static for linux and pack them as the layers that slipway embeds
	@mkdir -p out
	@echo "building slipwayd for linux/$(GOARCH)"
	@GOOS=linux GOARCH=$(GOARCH) $(go_build) -o out/slipwayd-linux-$(GOARCH) ./cmd/slipwayd
	@GOOS=linux GOARCH=$(GOARCH) CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags "-s -w" -o out/slipway-init-linux-$(GOARCH) ./cmd/slipway-init
	@$(host) $(GO) run -buildvcs=false ./scripts/layer -stamp out/slipwayd-linux-$(GOARCH).stamp $(layer) \
	  slipwayd=out/slipwayd-linux-$(GOARCH) slipway-init=out/slipway-init-linux-$(GOARCH)
	@# Without a version in it, images of sites keep their digests from one slipway to the next.
	@GOOS=linux GOARCH=$(GOARCH) CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags "-s -w" -o out/slipway-static-linux-$(GOARCH) ./cmd/slipway-static
	@$(host) $(GO) run -buildvcs=false ./scripts/layer -stamp out/slipway-static-linux-$(GOARCH).stamp $(static_layer) \
	  slipway-static=out/slipway-static-linux-$(GOARCH)

.PHONY: upstream
upstream: ## fetch what slipway embeds of other projects (embedded/upstream)
	@scripts/upstream.sh

.PHONY: cross
cross: ## build out/slipway-OS-ARCH for every platform
	@for platform in $(platforms); do \
	  os=$${platform%/*} arch=$${platform#*/}; \
	  $(MAKE) --no-print-directory layer GOARCH=$$arch; \
	  echo "building slipway for $$platform"; \
	  GOOS=$$os GOARCH=$$arch $(go_build) -o out/slipway-$$os-$$arch$$([ $$os != windows ] || echo .exe) ./cmd/slipway; \
	done

.PHONY: engine
engine: ## arrange a Docker engine if none answers
	@scripts/engine.sh

.PHONY: images
images: engine ## pull the node image and cert-manager's, or build them where no registry is reachable
	@scripts/images/ensure.sh

.PHONY: demo
demo: ## from nothing to a running app: engine, build, images, up, dev --once
	@scripts/demo.sh

.PHONY: test
test: ## run all tests: unit (with the race detector), API server, end to end
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-api
	@$(MAKE) --no-print-directory e2e

.PHONY: test-unit
test-unit: upstream ## run the unit tests, with the race detector
	@scripts/need.sh gcc gcc libc6-dev
	CGO_ENABLED=1 $(host) -u KUBEBUILDER_ASSETS -u SLIPWAY_E2E $(GO) test -race ./...

.PHONY: test-api
test-api: upstream ## run the tests that need a Kubernetes API server
	@scripts/test-api.sh $(api_packages)

.PHONY: e2e
e2e: images build ## run the tests on a real kind cluster
	SLIPWAY_E2E=1 SLIPWAY_BIN=$(CURDIR)/bin/slipway $(host) $(GO) test ./internal/e2e/... -count=1 -timeout $(e2e_timeout) -v

.PHONY: verify
verify: ## check format, vet, staticcheck, generated files, go.mod, shell scripts and every platform
	@scripts/verify.sh

.PHONY: generate
generate: ## make the generated files again
	@scripts/generate.sh

.PHONY: bench
bench: images build ## measure, and write docs/benchmarks.md; ONLY=NAME for one figure
	SLIPWAY_BIN=$(CURDIR)/bin/slipway scripts/bench.sh $(ONLY)

.PHONY: clean
clean: ## remove what the build made (caches and images stay)
	rm -rf bin out embedded/slipwayd/*.tar.gz embedded/staticserver/*.tar.gz
	find embedded/upstream -mindepth 1 -maxdepth 1 ! -name PLACEHOLDER -exec rm -rf {} +
