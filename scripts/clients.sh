#!/usr/bin/env bash
# Tests the clients in other languages on the real service.
set -euo pipefail
cd "$(dirname "$0")/.."

DEVICE_REGISTRY_PROGRAM=$(realpath "${DEVICE_REGISTRY_PROGRAM:-$(swift build --show-bin-path)/device-registry}")
export DEVICE_REGISTRY_PROGRAM

echo "MQL5 client:"
clients/mql5/Tests/run.sh
echo "Python client:"
clients/python/tests/run.sh
