#!/usr/bin/env bash
# Installs missing Debian packages for a purpose:  install-packages.sh build|test|console|package|bench ...
# For `build` it also unpacks the sources of llhttp into .build/llhttp.
set -euo pipefail
cd "$(dirname "$0")/.."

build="libc6-dev pkg-config libgnutls28-dev libuv1-dev libpq-dev libsqlite3-dev libsodium-dev
  nettle-dev libssl-dev libcjose-dev libjansson-dev libcurl4-openssl-dev libhiredis-dev zlib1g-dev"
test="postgresql pgbouncer redis-server openssl python3 python3-venv python3-requests-oauthlib python3-h11 curl faketime
  systemd dbus libnss-systemd nftables sqlite3 nginx-light g++ nodejs php-cli zsh fish"
console="chromium postgresql python3 python3-venv"
package="debhelper dpkg-dev"
# pgbench is part of postgresql.
bench="postgresql openssl python3 python3-venv nginx-light"

wanted=""
for purpose in "$@"; do
  case $purpose in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    console) wanted="$wanted $console" ;;
    package) wanted="$wanted $package" ;;
    bench) wanted="$wanted $bench" ;;
    *) echo "usage: $0 build|test|console|package|bench ..." >&2; exit 2 ;;
  esac
done

if ! command -v swift >/dev/null; then
  echo "Swift 6.3 is needed: https://www.swift.org/install/linux/" >&2
  exit 1
fi
if ! command -v dpkg-query >/dev/null; then
  echo "This is not Debian. Install the equivalents of these Debian packages:$(echo $wanted | sed 's/^/ /')" >&2
  exit 0
fi

missing=""
for package in $wanted; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done

as_root=""
if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
export DEBIAN_FRONTEND=noninteractive
if [ -n "$missing" ]; then
  if [ -n "$as_root" ] && { ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; }; then
    echo "Packages are missing, and this user may not install them. Run as root:" >&2
    echo "  apt-get install$missing" >&2
    exit 1
  fi
  echo "Installing$missing"
  $as_root apt-get update -qq
  $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# The package with llhttp's sources depends on Node.js, and only four of its files are needed. So it is downloaded, which
# verifies its signature and needs no root, and unpacked. A newer version replaces the files.
llhttp=.build/llhttp
llhttp_package=node-llhttp
unpack_llhttp() {
  local version
  version=$(llhttp_version)
  if [ -z "$version" ]; then
    [ ! -e $llhttp/version ] || return 0
    if [ -z "$as_root" ] || sudo -n true 2>/dev/null || [ -t 0 ]; then $as_root apt-get update -qq; fi
    version=$(llhttp_version)
  fi
  if [ -z "$version" ]; then
    echo "The list of packages has no $llhttp_package. Run as root: apt-get update" >&2
    exit 1
  fi
  [ "$(cat $llhttp/version 2>/dev/null)" != "$version" ] || return 0
  echo "Fetching llhttp $version"
  rm -rf $llhttp
  mkdir -p $llhttp/package
  # As root, apt-get would download as another user, which may not write here.
  (cd $llhttp/package && apt-get download -qq -o APT::Sandbox::User=root "$llhttp_package=$version" >/dev/null)
  dpkg-deb --fsys-tarfile $llhttp/package/*.deb | tar -x -C $llhttp --strip-components=4 --wildcards \
    './usr/share/llhttp/*.c'
  dpkg-deb --fsys-tarfile $llhttp/package/*.deb | tar -x -C $llhttp --strip-components=5 \
    ./usr/share/include/llhttp/llhttp.h
  rm -r $llhttp/package
  # Written last, so that an interrupted run is repeated.
  echo "$version" >$llhttp/version
}
llhttp_version() { apt-cache policy $llhttp_package 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

case " $* " in *" build "*) unpack_llhttp ;; esac
