#!/usr/bin/env bash
# Prints the path of a Python that has the library of Standard Webhooks, which verifies deliveries in tests. Installs it
# once, under .build.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$PWD/.build/standardwebhooks
requirement="standardwebhooks==1.0.1"

# Several tests may want it at once.
mkdir -p .build
exec 9>.build/standardwebhooks.lock
flock 9
if [ "$(cat $environment/installed 2>/dev/null)" != "$requirement" ]; then
  rm -rf $environment
  python3 -m venv $environment
  $environment/bin/pip install --quiet --disable-pip-version-check "$requirement"
  echo "$requirement" >$environment/installed
fi
echo $environment/bin/python
