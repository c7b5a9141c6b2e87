#!/usr/bin/env bash
# Runs the suites under a sanitizer, from a separate build:  sanitize.sh address|thread [SUITE ...]
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=${1:-}
shift || true
# Suppressions name functions. Programs that the tests start have an empty PATH, and find the symbolizer only here.
symbolizer=external_symbolizer_path=$(command -v llvm-symbolizer) || {
  echo "llvm-symbolizer is missing. It is part of Swift's toolchain: add that to the PATH." >&2
  exit 1
}
case $sanitizer in
  address) build=.build/asan; export ASAN_OPTIONS=$symbolizer ;;
  thread)
    build=.build/tsan
    export TSAN_OPTIONS=$symbolizer:suppressions=$PWD/Tests/thread-sanitizer.suppressions
    ;;
  *) echo "usage: $0 address|thread [SUITE ...]" >&2; exit 2 ;;
esac
width=3
suites=${*:-$(cd Tests && ls -d *Tests)}
# Everything is several times slower, so time limits of tests are multiplied by this.
export TEST_SLOWNESS=${TEST_SLOWNESS:-5}

swift build --build-tests --sanitize "$sanitizer" --scratch-path $build
failed=""
for suite in $suites; do
  echo "$suite, under the $sanitizer sanitizer:"
  # One suite and few tests at a time, because the service's time-outs are not multiplied. XCTest is disabled: its empty
  # pass leaks.
  LSAN_OPTIONS=suppressions=$PWD/Tests/leak-sanitizer.suppressions:print_suppressions=0 \
    swift test --sanitize "$sanitizer" --scratch-path $build --disable-xctest --skip-build --filter "^$suite\." \
    --experimental-maximum-parallelization-width $width 2>&1 |
    grep --line-buffered -aE '✘|Test run with|Sanitizer' || failed="$failed $suite"
done
[ -z "$failed" ] || { echo "Failed under the $sanitizer sanitizer:$failed" >&2; exit 1; }
echo "All suites passed under the $sanitizer sanitizer."
