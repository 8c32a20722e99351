# Every target with a comment behind ## is listed by `make help`. Nothing but Go and make is needed, for the tests also what the README
# names; targets that profit from another tool say so.

GO       ?= go
VERSION  ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
SQLC     := CGO_ENABLED=0 $(GO) run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
TSC      := typescript@5.9.3
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The race detector needs a C compiler. Go says whether it found one.
RACE     := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race,)

# Tests share one PostgreSQL server: that of TEST_DATABASE_URL, Docker, an installed or a fetched one, in this order.
WITHPG   := $(GO) run ./internal/testdb/withpg --

# What `make test` and `make test/versions` test.
PACKAGES ?= ./...
VERSIONS ?= 15 16 17 18

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z\/]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## a private PostgreSQL, the service and a live demo; Ctrl-C ends it (data stays in .data)
	@bin/taskrunner dev $(ARGS)

.PHONY: build
build: ## bin/taskrunner, one static binary
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/taskrunner ./cmd/taskrunner

.PHONY: test
test: test/go test/browser ## every test, on a real PostgreSQL and in a real browser

.PHONY: test/go
test/go: ## those without a browser; PACKAGES=./internal/sqltest: fewer
	$(if $(RACE),,@echo 'no C compiler found: testing without the race detector')
	$(WITHPG) $(GO) test $(RACE) -timeout 14m $(PACKAGES)

.PHONY: test/js
test/js: ## the modules of the web page without a browser; needs Node.js 20 or newer
	node --test internal/ui/web-tests/

.PHONY: test/browser
test/browser: ## those of the page, in Chromium, which has to be installed; ARGS="-run Live": fewer
	$(WITHPG) $(GO) test -C internal/browsertest $(RACE) -count=1 -timeout 10m $(ARGS) .

.PHONY: screenshots
screenshots: ## pictures of the page into bin/screenshots: light, dark, small, big, on a phone
	SCREENSHOTS=$(CURDIR)/bin/screenshots $(WITHPG) $(GO) test -C internal/browsertest -tags screenshots -count=1 -artifacts -outputdir $(CURDIR)/bin -run '^TestScreenshots$$' .
	@ls bin/screenshots

.PHONY: test/versions
test/versions: ## those without a browser on PostgreSQL 15, 16, 17 and 18, installed or fetched; VERSIONS="17 18", PACKAGES=./internal/sqltest: fewer
	@for major in $(VERSIONS); do \
		TEST_DATABASE_URL= TEST_POSTGRES_MAJOR=$$major $(MAKE) --no-print-directory test/go || exit 1; done

.PHONY: bench
bench: build ## rates on this machine beside a floor; ARGS=--scenario=report or submit: over HTTP; scheduled; rules; view: the page
	@bin/taskrunner bench $(ARGS)

.PHONY: generate
generate: generate/sqlc generate/schema generate/config ## all generated files

.PHONY: generate/sqlc
generate/sqlc: ## internal/db from queries/ and sql/
	$(SQLC) generate

.PHONY: generate/schema
generate/schema: ## sql/schema.sql, the flattened result of sql/, for review
	$(GO) run ./internal/sqltest/schemadump

.PHONY: generate/config
generate/config: ## config.example.toml from the tags of internal/config
	$(GO) run ./internal/config/exampledump

.PHONY: generate/swagger-ui
generate/swagger-ui: ## the files of Swagger UI, from the npm registry; internal/api/swaggerui/fetch names the release
	$(GO) run ./internal/api/swaggerui/fetch

.PHONY: verify
verify: verify/format verify/vet verify/sqlc verify/schema verify/config ## all that must hold before a commit, tests aside

.PHONY: verify/format
verify/format: ## gofmt has nothing to change
	@files="$$(gofmt -l cmd deploy internal sql)"; if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi

.PHONY: verify/vet
verify/vet: ## go vet
	$(GO) vet ./...
	$(GO) vet -C internal/browsertest ./...

.PHONY: verify/sqlc
verify/sqlc: ## internal/db is what queries/ and sql/ make
	$(SQLC) diff

.PHONY: verify/schema
verify/schema: ## sql/schema.sql is what sql/ makes
	$(GO) test ./internal/sqltest -run '^TestSchemaSnapshotIsUpToDate$$' -count=1

.PHONY: verify/config
verify/config: ## config.example.toml is what the tags make
	$(GO) test ./internal/config -run '^TestExampleIsUpToDate$$' -count=1

.PHONY: verify/deploy
verify/deploy: ## the files of deploy/, Dockerfile and docker-compose.yml; their libraries are in a module of their own
	cd deploy/verify && $(GO) vet ./... && $(GO) test -count=1 ./...

.PHONY: verify/js
verify/js: ## types of the web page's modules, by TypeScript; needs npx
	npx --yes --package=$(TSC) tsc --project internal/ui

.PHONY: lint
lint: ## golangci-lint, which has to be installed
	@command -v golangci-lint >/dev/null || { echo 'golangci-lint is not installed: go install $(GOLANGCI)'; exit 1; }
	golangci-lint run

.PHONY: ci
ci: ## what CI runs
	.ci/run
