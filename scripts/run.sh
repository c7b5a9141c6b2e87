#!/usr/bin/env bash
# Starts the service on SQLite for a trial: keeps data and a generated JWT secret under ./data, adds a client `demo` and
# prints commands to paste. Reads settings from the environment, for example LISTEN.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077

program=.build/release/device-registry
# A trial never touches the database that the environment names.
export DATABASE_URL=sqlite:data/registry.db
export LISTEN=${LISTEN:-127.0.0.1:8000}
export LOG_FORMAT=${LOG_FORMAT:-text}
if [ -z "${JWT_SECRET:-}" ]; then
  export JWT_SECRET_FILE=${JWT_SECRET_FILE:-data/jwt-secret}
  if [ ! -e "$JWT_SECRET_FILE" ]; then
    mkdir -p "$(dirname "$JWT_SECRET_FILE")"
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$JWT_SECRET_FILE.new"
    mv "$JWT_SECRET_FILE.new" "$JWT_SECRET_FILE"
  fi
fi

$program client add --id demo --if-absent >/dev/null
token=$($program token --sub demo --ttl 86400)
url=http://localhost:${LISTEN##*:}

cat <<END

The device registry listens at $url; Ctrl-C stops it. Paste into a second terminal:

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
