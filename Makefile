# Go is all that is needed to build. The tests run as root or as an ordinary user; those that need namespaces are
# skipped where these cannot be made, and fail for it where CI is set.
PREFIX ?= /usr/local
GO ?= go
export CGO_ENABLED := 0

TOOLS := $(notdir $(wildcard cmd/*))
PAGES := $(wildcard man/*.[17])
RESTRICTED ?= /proc/sys/kernel/apparmor_restrict_unprivileged_userns
# The race detector needs a C compiler.
RACE := $(if $(shell command -v gcc),-race)

.DEFAULT_GOAL := build
.PHONY: help build demo test soak fuzz lint bench install uninstall clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the programs into bin/
	$(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...
	$(GO) build -trimpath -o bin/ ./e2e/probe

demo: build ## a ping behind 50 ms of delay and 10 % loss
	@PATH="$(CURDIR)/bin:$$PATH"; export PATH; \
	if command -v ping >/dev/null; then set -- 'ping -c 10 -n $$GM_BASE'; else set -- 'probe ping -c 10 $$GM_BASE'; fi; \
	echo "$$ gm-delay 50 gm-loss uplink 0.1 sh -c '$$1'"; gm-delay 50 gm-loss uplink 0.1 sh -c "$$1"

# An ordinary user's tests run as root in a user namespace, where they may make the namespaces that they need. Those end to
# end measure times, and run when the others are done. With
# GOMAHI_TEST_WEB=50 those of recorded web sites load their page, and kill the recorder, fifty times in place of a few: for
# a quiet machine, of which all load times then count.
TEST = CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -timeout 60m $(if $(shell id -u | grep -v '^0$$'),-exec "$(CURDIR)/bin/probe rootly")
test: ## run all tests
	$(GO) build -o bin/ ./e2e/probe
	$(TEST) $$($(GO) list ./... | grep -v '/e2e$$')
	$(TEST) ./e2e

# As root, nested and in one process, and likewise as an ordinary user. A seed has the same traffic and faults again.
soak: ## traffic of every kind while the machine makes trouble (SOAK=10m, SOAK_SEED=N, SOAK_USER=1|0: as a user, as root)
	$(GO) build -o bin/ ./e2e/probe
	SOAK=$(or $(SOAK),10m) SOAK_SEED=$(SOAK_SEED) SOAK_USER=$(SOAK_USER) $(if $(filter 1,$(SOAK_USER)),GOMAHI_TEST_AS_USER=1) \
		$(GO) test -count 1 -timeout 0 -v -run '^TestSoak$$' $(if $(shell id -u | grep -v '^0$$'),-exec "$(CURDIR)/bin/probe rootly") ./e2e

fuzz: ## fuzz every fuzz target for a while (FUZZTIME=30s)
	@set -e; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
		echo $$p $$f; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(or $(FUZZTIME),30s) -fuzzminimizetime 10x $$p; done; done

lint: ## check the form of the code, and known vulnerabilities where their list can be reached
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these"; exit 1; }
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) tool staticcheck ./...
	@out=$$($(GO) tool govulncheck ./... 2>&1); status=$$?; \
	case "$$status $$out" in \
	0*) echo "govulncheck: nothing known";; \
	*"fetching vulnerabilities"*|*"dial tcp"*|*"Forbidden"*) echo "govulncheck: its list is out of reach here, skipped";; \
	*) echo "$$out"; exit $$status;; esac

bench: build ## measure, and print a table (BENCH="-rounds 3 -only scale"; also bench-results/bench.json and pictures)
	$(GO) build -trimpath -o bin/bench ./bench
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./packet ./effects/... ./shell
	PATH="$(CURDIR)/bin:$$PATH" bin/bench $(BENCH)

# Where shells look for completions of programs of one prefix, by shell, and what they call the file of a program.
SHARE := $(DESTDIR)$(PREFIX)/share
BASH_COMPLETIONS := $(SHARE)/bash-completion/completions
ZSH_COMPLETIONS := $(SHARE)/zsh/site-functions
FISH_COMPLETIONS := $(SHARE)/fish/vendor_completions.d

install: build ## install programs, manual pages, completions and traces (PREFIX=/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 755 $(addprefix bin/,$(TOOLS)) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(filter %.1,$(PAGES)) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(filter %.7,$(PAGES)) $(DESTDIR)$(PREFIX)/share/man/man7
	install -d $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS)
	set -e; for t in $(TOOLS); do bin/$$t --completion=bash >$(BASH_COMPLETIONS)/$$t; \
		bin/$$t --completion=zsh >$(ZSH_COMPLETIONS)/_$$t; bin/$$t --completion=fish >$(FISH_COMPLETIONS)/$$t.fish; done
	install -d $(DESTDIR)$(PREFIX)/share/gomahi/traces
	install -m 644 traces/* $(DESTDIR)$(PREFIX)/share/gomahi/traces
# Where AppArmor lets only programs with a profile use user namespaces (Ubuntu from 23.10 on).
	if [ -e $(RESTRICTED) ]; then install -d $(DESTDIR)/etc/apparmor.d && \
		sed 's|@PREFIX@|$(PREFIX)|g' apparmor/gomahi >$(DESTDIR)/etc/apparmor.d/gomahi && \
		{ [ -n "$(DESTDIR)" ] || apparmor_parser -r /etc/apparmor.d/gomahi; }; fi

uninstall: ## remove what install installed
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(TOOLS))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man1/,$(notdir $(filter %.1,$(PAGES))))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man7/,$(notdir $(filter %.7,$(PAGES))))
	rm -f $(addprefix $(BASH_COMPLETIONS)/,$(TOOLS)) $(addprefix $(ZSH_COMPLETIONS)/_,$(TOOLS)) \
		$(addprefix $(FISH_COMPLETIONS)/,$(addsuffix .fish,$(TOOLS)))
	rm -rf $(DESTDIR)$(PREFIX)/share/gomahi
	if [ -e $(DESTDIR)/etc/apparmor.d/gomahi ]; then \
		[ -n "$(DESTDIR)" ] || apparmor_parser -R /etc/apparmor.d/gomahi; rm -f $(DESTDIR)/etc/apparmor.d/gomahi; fi

clean: ## remove what was built
	rm -rf bin
