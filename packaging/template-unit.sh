#!/usr/bin/env bash
# Prints the unit of one of several instances, made from the unit of the service:
#   template-unit.sh packaging/debian/device-registry.service
#
# The instance N, from 1 to 9, listens at the port 801N and has its metrics at 811N. Its settings are those of all, then those
# of /etc/device-registry/N.env.
set -euo pipefail

sed -e 's/^Description=.*/Description=Device registry, instance %i/' \
  -e '/^Environment=DATABASE_URL=/i Environment=LISTEN=127.0.0.1:801%i ADMIN_LISTEN=127.0.0.1:811%i' \
  -e '/^EnvironmentFile=/a EnvironmentFile=-/etc/device-registry/%i.env' "$1"
