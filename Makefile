# Each target installs the Debian packages that it needs, once.

.PHONY: help run build deb test test-clients test-console test-fairness bench bench-micro test-asan test-tsan fuzz contract lint format clean

help:
	@echo 'make run      builds and starts the service on SQLite at http://localhost:8000, with commands to paste'
	@echo 'make test     builds and runs every test, on its own SQLite, PostgreSQL and Redis, and tests the package; prints the coverage'
	@echo 'make test-fairness   tests on a release build that one client cannot hurt another, for FAIRNESS_SECONDS (20) in each case'
	@echo 'make test-clients   tests the clients in other languages on the running service'
	@echo 'make test-console   tests the web console in Chromium on the running service'
	@echo 'make fuzz     fuzzes each parser for FUZZ_SECONDS (60)'
	@echo 'make contract tests the running service against its OpenAPI document, with CONTRACT_EXAMPLES (15) per route'
	@echo 'make test-asan, make test-tsan   run the suites under Address Sanitizer, Thread Sanitizer'
	@echo 'make bench    compares the service with its limits and FastAPI (BENCH_CASES, BENCH_SECONDS, BENCH_ROUNDS)'
	@echo 'make bench-micro   measures the parts of one request, in nanoseconds and allocations'
	@echo 'make build    builds device-registry, device-registry-device and device-registry-owner in .build/release'
	@echo 'make deb      builds a Debian package that contains the Swift runtime, and prints its path'
	@echo 'make lint     checks layout, style and prose (swift format, scripts/prose.txt)'
	@echo 'make format   formats the code'
	@echo 'make clean    removes build products; your data in ./data stays'

run: build
	@scripts/run.sh

build:
	@scripts/install-packages.sh build
	swift build -c release --product device-registry
	swift build -c release --product device-registry-device
	swift build -c release --product device-registry-owner

deb:
	@scripts/install-packages.sh build package
	@packaging/build.sh

test:
	@scripts/install-packages.sh build test console package
	@scripts/test.sh

test-clients:
	@scripts/install-packages.sh build test
	swift build --product device-registry
	@scripts/clients.sh

test-console:
	@scripts/install-packages.sh build console
	swift build --product device-registry
	@scripts/console.sh

test-fairness:
	@scripts/install-packages.sh build test
	@scripts/fairness.sh

fuzz:
	@scripts/install-packages.sh build
	@scripts/fuzz.sh

contract:
	@scripts/install-packages.sh build test
	swift build --product device-registry
	@scripts/contract.sh

bench: build
	@scripts/install-packages.sh bench
	swift build -c release --product benchmark-load
	swift build -c release --product benchmark-constant
	@python3 Benchmarks/run.py

bench-micro: build
	@scripts/install-packages.sh bench
	swift build -c release --product benchmark-micro
	@python3 Benchmarks/micro.py

test-asan:
	@scripts/install-packages.sh build test
	@scripts/sanitize.sh address

test-tsan:
	@scripts/install-packages.sh build test
	@scripts/sanitize.sh thread

lint:
	swift format lint --strict --recursive --parallel Package.swift Sources Tests Benchmarks Fuzzing/Targets
	@scripts/prose.sh

format:
	swift format --in-place --recursive --parallel Package.swift Sources Tests Benchmarks Fuzzing/Targets

clean:
	rm -rf .build
