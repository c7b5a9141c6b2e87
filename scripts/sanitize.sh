#!/usr/bin/env bash
# Runs the suites under a sanitizer, from a build of its own:  sanitize.sh address|thread [ARGUMENTS OF SWIFT TEST ...]
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=${1:-}
shift || true
case $sanitizer in
  address) build=.build/asan ;;
  thread) build=.build/tsan; export TSAN_OPTIONS=suppressions=$PWD/Tests/thread-sanitizer.suppressions ;;
  *) echo "usage: $0 address|thread [ARGUMENTS OF SWIFT TEST ...]" >&2; exit 2 ;;
esac
# The pass of XCTest, which is empty, leaks.
swift test --sanitize "$sanitizer" --scratch-path $build --disable-xctest "$@"
echo "The suites hold under the $sanitizer sanitizer."
