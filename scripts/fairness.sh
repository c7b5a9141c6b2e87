#!/usr/bin/env bash
# Tests on a release build that one client cannot hurt another, for FAIRNESS_SECONDS in each case, and prints the
# figures.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build -c release --product device-registry
[ -n "${SKIP_BUILD:-}" ] || swift build --build-tests
program=$(swift build -c release --show-bin-path)/device-registry
TEST_PROGRAM=$program FAIRNESS_SECONDS=${FAIRNESS_SECONDS:-20} swift test --skip-build --disable-xctest \
  --experimental-maximum-parallelization-width 1 --filter FairnessTests
