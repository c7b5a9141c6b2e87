#!/usr/bin/env bash
# Runs the suites under a sanitizer, from a build of its own:  sanitize.sh address|thread [SUITE ...]
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=${1:-}
shift || true
# Suppressions name functions. Without this, programs that the tests start have none: nothing else is in their PATH.
symbolizer=external_symbolizer_path=$(command -v llvm-symbolizer) || {
  echo "llvm-symbolizer is needed. It is in Swift's toolchain: put that into the PATH." >&2
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
# Everything is several times slower: so much longer may take what a test holds to a time.
export TEST_SLOWNESS=${TEST_SLOWNESS:-5}

swift build --build-tests --sanitize "$sanitizer" --scratch-path $build
failed=""
for suite in $suites; do
  echo "$suite, under the $sanitizer sanitizer:"
  suppressions=$PWD/Tests/leak-sanitizer.suppressions
  # This one finds what the service's own use of libcurl leaks.
  [ "$suite" != JSONWebTokenTests ] || suppressions=
  # One suite at a time and few tests of it, for the service's own time-outs are as they are. The pass of XCTest, which
  # is empty, leaks.
  LSAN_OPTIONS=suppressions=$suppressions:print_suppressions=0 \
    swift test --sanitize "$sanitizer" --scratch-path $build --disable-xctest --skip-build --filter "^$suite\." \
    --experimental-maximum-parallelization-width $width 2>&1 |
    grep --line-buffered -aE '✘|Test run with|Sanitizer' || failed="$failed $suite"
done
[ -z "$failed" ] || { echo "Failed under the $sanitizer sanitizer:$failed" >&2; exit 1; }
echo "The suites hold under the $sanitizer sanitizer."
