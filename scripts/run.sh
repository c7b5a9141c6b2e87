#!/usr/bin/env bash
# Starts the service on SQLite for a trial: keeps data, a generated JWT secret and sealing key under ./data, adds a client
# `demo` and prints commands to paste. Reads settings from the environment, for example LISTEN.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077

program=.build/release/device-registry
# A trial never touches the database that the environment names.
export DATABASE_URL=sqlite:data/registry.db
export LISTEN=${LISTEN:-127.0.0.1:8000}
export LOG_FORMAT=${LOG_FORMAT:-text}
# Writes 32 random bytes in hexadecimal to a file, if there is none.
make_key() {
  [ ! -e "$1" ] || return 0
  mkdir -p "$(dirname "$1")"
  (od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; echo) >"$1.new"
  mv "$1.new" "$1"
}
if [ -z "${JWT_SECRET:-}" ]; then
  export JWT_SECRET_FILE=${JWT_SECRET_FILE:-data/jwt-secret}
  make_key "$JWT_SECRET_FILE"
fi
export SEALING_KEY_FILE=${SEALING_KEY_FILE:-data/sealing-key}
make_key "$SEALING_KEY_FILE"

$program client add --create --id demo --if-absent >/dev/null
token=$($program token --sub demo --ttl 86400)
url=http://localhost:${LISTEN##*:}

cat <<END

The device registry listens at $url; Ctrl-C stops it. Open the console, as the client demo, for a day:

  $url/console/#token=$token

Or paste into a second terminal:

  # The program, the service's address, and a token of the client demo, valid for a day
  cd $(printf %q "$PWD"); PATH="\$PWD/.build/release:\$PATH"
  URL=$url
  TOKEN=$token

  # Register a device. Only this answer shows its secret; the next device needs another name
  DEVICE=\$(curl -s \$URL/api/v1/devices -H "Authorization: Bearer \$TOKEN" \\
    -H 'Content-Type: application/json' -d '{"device_name": "EA-Main"}'); echo "\$DEVICE"

  # Keep its id, and its secret in a file that only you can read
  ID=\$(echo "\$DEVICE" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
  SECRET=\$(echo "\$DEVICE" | python3 -c 'import json, sys; print(json.load(sys.stdin)["secret"])') &&
    (umask 077; printf %s "\$SECRET" >data/secret)

  # Act as the device
  device-registry device whoami --url \$URL --id \$ID --secret-file data/secret

  # List the devices
  curl -s \$URL/api/v1/devices -H "Authorization: Bearer \$TOKEN"

README.md shows what to do next.

END
exec $program serve
