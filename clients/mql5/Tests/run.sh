#!/usr/bin/env bash
# Tests the MQL5 client on Linux: a second parser over every file, unit tests and the signature vectors, and the shipped
# programs against the real service, which DEVICE_REGISTRY_PROGRAM names (.build/debug/device-registry). What it builds and
# installs of PyPI is in .build/clients/mql5. `scenarios.py WORD` and `kills.py` also run alone.
set -euo pipefail
cd "$(dirname "$0")/../../.."

build=$PWD/.build/clients/mql5
tests=clients/mql5/Tests
export PYTHONDONTWRITEBYTECODE=1
if ! cmp -s $tests/requirements.txt "$build/python/installed"; then
  rm -rf "$build/python"
  python3 -m venv "$build/python"
  "$build/python/bin/pip" install --quiet --disable-pip-version-check --requirement $tests/requirements.txt
  cp $tests/requirements.txt "$build/python/installed"
fi
$tests/build.sh "$build" &
"$build/python/bin/python" $tests/parse.py clients/mql5/*/*.mq5 clients/mql5/*/*/*.mqh
wait $!

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
SHIM_COMMON=$folder "$build/bin/unit"
$tests/kills.py >"$folder/kills" 2>&1 &
kills=$!
status=0
$tests/scenarios.py || status=$?
wait $kills || status=$?
cat "$folder/kills"
[ $status = 0 ]
