#!/usr/bin/env bash
# Runs every test: the suites, whose line coverage is held for the rooms that matter most; the service against its
# OpenAPI document; the fuzz targets, for a few seconds each; the package. Whatever fails, fails the whole.
set -euo pipefail
cd "$(dirname "$0")/.."

rooms="Registry API PostgresStore SQLiteStore RedisReplayStore"
minimum=90
# Tests that run at once. Most of them wait, but each has its own service or database to start, and what has a bound in
# time does not hold beside hundreds of others.
width=6

swift test --disable-xctest --enable-code-coverage --experimental-maximum-parallelization-width $width

bin=$(swift build --show-bin-path)
llvm_cov=$(dirname "$(readlink -f "$(command -v swift)")")/llvm-cov
echo
echo "Line coverage:"
failed=0
for room in $(ls Sources); do
  ls "Sources/$room"/*.swift >/dev/null 2>&1 || continue
  line=$("$llvm_cov" report -instr-profile "$bin/codecov/default.profdata" \
    "$bin/device-registryPackageTests.xctest" "Sources/$room" | awk '$1 == "TOTAL" { sub("%", "", $10); print $10 }')
  printf '  %-16s %6s %%\n' "$room" "${line:-none}"
  case " $rooms " in
    *" $room "*)
      awk "BEGIN { exit !(${line:-0} < $minimum) }" && { failed=1; echo "    below $minimum %"; } ;;
  esac
done
[ $failed = 0 ] || exit 1

echo
scripts/contract.sh
echo
FUZZ_SECONDS=${FUZZ_SECONDS:-4} scripts/fuzz.sh
packaging/test/test.sh
echo
echo "All tests passed."
