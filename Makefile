# The ways in. Each installs the Debian packages that it needs, once.

.PHONY: help run build deb test bench bench-micro test-asan test-tsan fuzz contract lint format clean

help:
	@echo 'make run      builds and starts the service on SQLite at http://localhost:8000, with commands to paste'
	@echo 'make test     builds and runs every test, on SQLite and on a PostgreSQL that it starts, and the package; prints the coverage'
	@echo 'make fuzz     feeds the parsers for FUZZ_SECONDS each (60)'
	@echo 'make contract holds the running service against its OpenAPI document (CONTRACT_EXAMPLES for each route: 15)'
	@echo 'make test-asan, make test-tsan   run the suites under Address Sanitizer, Thread Sanitizer'
	@echo 'make bench    measures the service beside its limits and FastAPI (BENCH_CASES, BENCH_SECONDS, BENCH_ROUNDS)'
	@echo 'make bench-micro   measures the parts of one request, in nanoseconds and allocations'
	@echo 'make build    builds .build/release/device-registry, and device-registry-device beside it'
	@echo 'make deb      builds a Debian package with the Swift runtime inside, and prints its path'
	@echo 'make lint     checks layout and style (swift format), warnings as errors'
	@echo 'make format   lays the code out'
	@echo 'make clean    removes what was built; your data in ./data stays'

run: build
	@scripts/run.sh

build:
	@scripts/install-packages.sh build
	swift build -c release --product device-registry
	swift build -c release --product device-registry-device

deb:
	@scripts/install-packages.sh build package
	@packaging/build.sh

test:
	@scripts/install-packages.sh build test package
	@scripts/test.sh

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

format:
	swift format --in-place --recursive --parallel Package.swift Sources Tests Benchmarks Fuzzing/Targets

clean:
	rm -rf .build
