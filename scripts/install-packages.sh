#!/usr/bin/env bash
# Installs the Debian packages of a purpose where they are missing:  install-packages.sh build|test|package|bench ...
set -euo pipefail

build="libc6-dev pkg-config libmicrohttpd-dev libgnutls28-dev libuv1-dev libpq-dev libsqlite3-dev libsodium-dev
  nettle-dev libssl-dev libcjose-dev libjansson-dev libcurl4-openssl-dev libhiredis-dev"
test="postgresql redis-server openssl python3 python3-venv python3-requests-oauthlib curl faketime systemd dbus
  libnss-systemd nftables sqlite3"
package="debhelper dpkg-dev"
# pgbench is one of PostgreSQL's.
bench="postgresql openssl python3 python3-venv nginx-light"

wanted=""
for purpose in "$@"; do
  case $purpose in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    package) wanted="$wanted $package" ;;
    bench) wanted="$wanted $bench" ;;
    *) echo "usage: $0 build|test|package|bench ..." >&2; exit 2 ;;
  esac
done

if ! command -v swift >/dev/null; then
  echo "Swift 6.3 is needed: https://www.swift.org/install/linux/" >&2
  exit 1
fi
if ! command -v dpkg-query >/dev/null; then
  echo "This is not Debian; what is needed, by Debian's names:$(echo $wanted | sed 's/^/ /')" >&2
  exit 0
fi

missing=""
for package in $wanted; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    echo "Packages are missing, and this user may not install them. As root:" >&2
    echo "  apt-get install$missing" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "Installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
