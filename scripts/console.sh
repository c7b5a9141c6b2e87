#!/usr/bin/env bash
# Tests the web console in Chromium on the real service, which DEVICE_REGISTRY_PROGRAM names, on SQLite and PostgreSQL. What it
# needs of PyPI is installed into .build/console, once.
#
#   scripts/console.sh [ARGUMENTS OF PYTEST]
set -euo pipefail
cd "$(dirname "$0")/.."

DEVICE_REGISTRY_PROGRAM=$(realpath "${DEVICE_REGISTRY_PROGRAM:-$(swift build --show-bin-path)/device-registry}")
environment=$PWD/.build/console
modules=$PWD/clients/python/tests:$PWD/Fuzzing/Contract
cd Tests/ConsoleTests/Browser
if ! cmp -s requirements.txt "$environment/installed"; then
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
  cp requirements.txt "$environment/installed"
fi
export DEVICE_REGISTRY_PROGRAM PYTHONPATH=$modules PYTHONDONTWRITEBYTECODE=1

echo "Console, in Chromium:"
# A process for each database; each starts a service and a browser.
"$environment/bin/pytest" --quiet -p no:cacheprovider --numprocesses "${PYTEST_PROCESSES:-2}" --dist loadgroup "$@"
