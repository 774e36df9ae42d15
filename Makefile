# `make help` lists what can be made. Two commands matter: `make demo` and `make test`.
SHELL := /bin/bash
BIN := bin
TOOL := go tool -modfile=tools/go.mod
TOOL_RELEASE := go tool -modfile=deploy/release/go.mod
PROGRAMS := wholescale controller gateway provider
# A count, not a time: at the end of a time the go command sometimes reports its own deadline as a failure (golang/go#48591).
FUZZ_TIME ?= 20000x

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the four programs and devcluster into bin/
	@mkdir -p $(BIN)
	@for p in $(PROGRAMS); do echo "building $$p"; go build -trimpath -o $(BIN)/$$p ./cmd/$$p || exit 1; done
	@echo "building devcluster"; go build -trimpath -o $(BIN)/devcluster ./test/devcluster/cmd/devcluster

.PHONY: demo
demo: build ## the whole loop on this machine, about two minutes (the first time builds a control plane, about five more)
	@$(BIN)/wholescale demo --bin $(BIN) --report out/demo.html

.PHONY: test
test: drift vet unit docs monitoring image-check fuzz differential e2e ## all tests, as CI runs them

.PHONY: vet
vet: ## go vet and formatting
	go vet ./...
	@bad=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$bad" ]; then echo "not gofmt-ed: $$bad"; exit 1; fi

.PHONY: unit
unit: ## unit tests, scenarios, properties and conformance, with the race detector
	go test -race -short ./...
	cd deploy/helm/check && go test ./...

.PHONY: monitoring
monitoring: ## queries and alerts, with Prometheus's own parser and engine (the first time some minutes: Prometheus is large)
	cd deploy/monitoring/check && go vet . && go test ./...

.PHONY: docs
docs: build ## the documentation as a site in out/site; links, pictures and the commands in the texts are checked
	cd docs/site && go test . && go run . --root ../.. --to ../../out/site

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZ_TIME: so many runs (20000x) or so long (1m)
	@grep -rl '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
	  for name in $$(grep -o '^func Fuzz[A-Za-z0-9_]*' $$file | cut -c6-); do \
	    echo "fuzz $$(dirname $$file) $$name"; \
	    go test -short -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZ_TIME) ./$$(dirname $$file) || exit 1; \
	  done; \
	done

.PHONY: explore
explore: ## properties of the core over many more states than make test looks at, with a seed of its own each time
	go test ./autoscaler -timeout 30m -rapid.checks=3000 -rapid.seed=$$(date +%s) -rapid.nofailfile

.PHONY: differential
differential: ## where pods may run, against the real scheduler's plugins: tens of thousands of generated clusters
	cd test/devcluster/controlplane/differential && go vet . && go test -count=1 -v -timeout 20m .

.PHONY: e2e
e2e: ## the whole of it on a real control plane (builds one the first time)
	go test -count=1 -timeout 30m ./test/devcluster/... ./deploy/... ./cloudprovider/local/... ./autoscaler/live/... ./simulator/report/... ./test/browser/... ./test/e2e/...

.PHONY: bench
bench: build ## micro-benchmarks, then from-zero and step on devcluster; see docs/benchmarks.md
	go test -run '^$$' -bench . -benchmem ./autoscaler/... ./gateway/... ./simulator/...
	$(BIN)/wholescale bench from-zero --bin $(BIN) --repeat 20
	$(BIN)/wholescale bench step --bin $(BIN) --repeat 5

.PHONY: truth
truth: build ## the same traffic really and simulated, four shapes, about six minutes; wants a quiet machine
	go run ./test/truth/cmd/truth --bin $(BIN) --reports out/truth

.PHONY: generate
generate: ## protobuf, deepcopy and CRDs from their sources
	$(TOOL) buf generate
	$(TOOL) controller-gen object paths=./api/v1alpha1
	$(TOOL) controller-gen crd:allowDangerousTypes=true paths=./api/v1alpha1 output:crd:dir=deploy/crds


.PHONY: drift
drift: ## fail when generated code is not what its sources make
	@before=$$(git hash-object api/wire/*.pb.go api/v1alpha1/zz_generated.deepcopy.go deploy/crds/*.yaml | git hash-object --stdin); \
	$(MAKE) --no-print-directory generate; \
	after=$$(git hash-object api/wire/*.pb.go api/v1alpha1/zz_generated.deepcopy.go deploy/crds/*.yaml | git hash-object --stdin); \
	if [ "$$before" != "$$after" ]; then echo "generated code differs from its sources: commit what 'make generate' made"; exit 1; fi
	$(TOOL) buf lint

.PHONY: lint
lint: ## golangci-lint and known vulnerabilities (builds the tools the first time, some minutes)
	$(TOOL) golangci-lint run ./...
	$(TOOL) govulncheck ./...

.PHONY: clean
clean: ## remove bin/ and out/; the cached control plane stays in the user's cache folder
	rm -rf $(BIN) out

.PHONY: chart
chart: ## install.yaml, the kustomize base and the chart's table of values, from the chart
	cd deploy/helm/check && go test ./... -count=1 -update

.PHONY: man
man: ## manual pages of all commands into out/man
	@for p in $(PROGRAMS); do go build -trimpath -o $(BIN)/$$p ./cmd/$$p || exit 1; done
	cd deploy/release && go run ./man --bin ../../$(BIN) --to ../../out/man

.PHONY: release-check
release-check: ## build what is committed twice, the second time elsewhere and from nothing, and compare
	deploy/release/check

VERSION ?= 0.1.0

.PHONY: image
image: ## the image for amd64 and arm64 into out/image, an OCI layout; no container engine is needed
	for arch in amd64 arm64; do GOOS=linux GOARCH=$$arch deploy/release/build out/release/$$arch || exit 1; done
	cd deploy/image && go run . --goroot "$$(go env GOROOT)" --version $(VERSION) --to ../../out/image amd64=../../out/release/amd64 arm64=../../out/release/arm64

.PHONY: image-check
image-check: ## the image has what it should, twice the same, and its programs run from its own files
	cd deploy/image && go vet . && go test ./...

.PHONY: sbom
sbom: ## CycloneDX lists of what is in each program, into out/sbom
	@mkdir -p out/sbom
	deploy/release/build out/release
	@for p in $(PROGRAMS); do $(TOOL_RELEASE) cyclonedx-gomod bin -json -noserial -output out/sbom/$$p.cdx.json out/release/$$p || exit 1; done
