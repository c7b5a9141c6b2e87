#!/usr/bin/env bash
# Checks the Python client library: style, types, and its tests on the real service, which DEVICE_REGISTRY_PROGRAM names
# (.build/debug/device-registry). What it needs of PyPI is installed into .build/clients/python, once.
#
#   clients/python/tests/run.sh [ARGUMENTS OF PYTEST]
set -euo pipefail
cd "$(dirname "$0")/../../.."

environment=$PWD/.build/clients/python
cd clients/python
if ! cmp -s requirements.txt "$environment/installed"; then
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
  cp requirements.txt "$environment/installed"
fi
PATH=$environment/bin:$PATH
export PYTHONPATH=$PWD/src PYTHONDONTWRITEBYTECODE=1

ruff check --no-cache --quiet .
ruff format --no-cache --check --quiet .
mypy --no-error-summary --cache-dir "$environment/mypy"
pytest --quiet --numprocesses "${PYTEST_PROCESSES:-2}" "$@"
