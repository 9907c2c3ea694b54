# make demo [LANGUAGE=python|kotlin|java|swift|rust]   a real license on a real server, on this machine
# make test                                            lints and all test suites
# make lint                                            formatting, lints and dependency rules alone
# make bench                                           every benchmark, and docs/performance.md; an hour
# make audit                                           known vulnerabilities of the dependencies

# `=`, for the environment variable LANGUAGE is gettext's; the command line still wins.
LANGUAGE = python

.PHONY: demo test lint bench audit

demo:
	@scripts/demo $(LANGUAGE)

test:
	@scripts/test-all

lint:
	@scripts/lint

bench:
	@scripts/bench

# Apart from `lint`, because the advisory database is a git repository that a build machine limited
# to package registries cannot reach.
audit:
	@scripts/cargo-deny check advisories
