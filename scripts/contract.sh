#!/usr/bin/env bash
# Tests the running service against its own OpenAPI document with schemathesis: on SQLite and on PostgreSQL, as owner,
# administrator and device. Also generates a client from the document, and uses it. CONTRACT_EXAMPLES is the number of generated requests per route and phase. The seed is fixed,
# so runs are repeatable.
set -euo pipefail
cd "$(dirname "$0")/.."

examples=${CONTRACT_EXAMPLES:-15}
program=$(realpath "${CONTRACT_PROGRAM:-$(swift build --show-bin-path)/device-registry}")
kit=$PWD/Fuzzing/Contract
environment=$PWD/.build/contract

if ! cmp -s $kit/requirements.txt $environment/installed; then
  rm -rf $environment
  python3 -m venv $environment
  $environment/bin/pip install --quiet --disable-pip-version-check --requirement $kit/requirements.txt
  cp $kit/requirements.txt $environment/installed
fi

folder=$(mktemp -d)
chmod 755 "$folder"
(umask 077 && printf '%064d\n' 1 >"$folder/sealing-key" && printf '1:%035d\n' 1 >"$folder/bot-token")
service=""
postgres=""
end() {
  [ -z "$service" ] || kill "$service" 2>/dev/null || true
  [ -z "$postgres" ] || kill -INT "$postgres" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT
# schemathesis stores results in the current folder, which would change the next run.
cd "$folder"

# Starts a PostgreSQL without a port. As root, runs it as another user.
start_postgres() {
  local binaries user=() data=$folder/postgres
  binaries=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
  mkdir "$data"
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$data"
    user=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  fi
  "${user[@]}" "$binaries/initdb" -D "$data/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/initdb" 2>&1
  "${user[@]}" "$binaries/postgres" -D "$data/data" -k "$data" -c listen_addresses= -c fsync=off >"$folder/postgres.log" 2>&1 &
  postgres=$!
  for _ in $(seq 100); do
    ! "$binaries/psql" -q -h "$data" -U postgres -c 'SELECT 1' >/dev/null 2>&1 || return 0
    sleep 0.1
  done
  echo "PostgreSQL did not start" >&2
  return 1
}

# Prints a port that is free now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# member NAME: prints a member of the JSON object on standard input.
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# hold NAME DATABASE_URL
hold() {
  local name=$1 url="" registered cursor bot_port
  bot_port=$(free_port)
  export DATABASE_URL=$2 JWT_SECRET=0123456789abcdef0123456789abcdef LISTEN=127.0.0.1:0 ADMIN_LISTEN="" \
    ARGON2_MEMORY_KIB=8 ARGON2_TIME=1 MAX_DEVICES_PER_CLIENT=1000000 LLVM_PROFILE_FILE=/dev/null \
    TELEGRAM_BOT_TOKEN_FILE=$folder/bot-token TELEGRAM_API_URL=http://127.0.0.1:$bot_port \
    SEALING_KEY_FILE=$folder/sealing-key RATE_LIMIT_CLIENT=off RATE_LIMIT_DEVICE=off RATE_LIMIT_ADDRESS=off
  "$program" migrate >/dev/null
  for client in owner administrator machine; do "$program" client add --id $client >/dev/null; done
  "$program" serve 2>"$folder/$name.log" &
  service=$!
  for _ in $(seq 100); do
    url=$(grep -m1 '"listening"' "$folder/$name.log" | member address 2>/dev/null || true)
    [ -z "$url" ] || break
    sleep 0.1
  done
  [ -n "$url" ] || { cat "$folder/$name.log" >&2; return 1; }
  url=http://$url
  registered=$(curl -sS --fail "$url/api/v1/devices" -H "Authorization: Bearer $("$program" token --sub machine)" \
    -H 'Content-Type: application/json' -d '{"device_name": "schemathesis"}')
  cursor=$(curl -sS --fail "$url/api/v1/events" -H "Authorization: Bearer $("$program" token --sub owner)" | member next)
  CONTRACT_CURSOR=$cursor CONTRACT_DEVICE=$(member id <<<"$registered") CONTRACT_SECRET=$(member secret <<<"$registered") \
  CONTRACT_OWNER=$("$program" token --sub owner) CONTRACT_KEPT="owner administrator machine" \
  CONTRACT_ADMINISTRATOR=$("$program" token --sub administrator --scope registry:admin) \
  CONTRACT_BOT_PORT=$bot_port CONTRACT_ROUTES=$folder/$name.routes PYTHONPATH=$kit SCHEMATHESIS_HOOKS=hooks PYTHONDONTWRITEBYTECODE=1 \
    $environment/bin/st --config-file $kit/schemathesis.toml run "$url/openapi.json" --checks all \
      --max-examples "$examples" --warnings off --no-color
  if [ -s "$folder/$name.routes" ]; then
    echo "These routes never succeeded, so they were not tested:" >&2
    cat "$folder/$name.routes" >&2
    return 1
  fi
  generated_client "$name" "$url"
  kill "$service"
  wait "$service"
  service=""
}

# generated_client NAME URL
generated_client() {
  local packages=$folder/$1.packages
  mkdir "$packages"
  $environment/bin/openapi-python-client generate --url "$2/openapi.json" --meta none --fail-on-warning \
    --config $kit/generator.yaml --output-path "$packages/registry_client" >"$folder/$1.generator" \
    || { cat "$folder/$1.generator" >&2; return 1; }
  "$program" client add --id generated >/dev/null
  PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1 $environment/bin/python $kit/generated_client.py "$2" \
    "$("$program" token --sub generated)"
  echo "The generated client works."
}

echo "Contract, on SQLite:"
hold sqlite "sqlite:$folder/registry.db"
echo "Contract, on PostgreSQL:"
start_postgres
hold postgresql "postgresql:///postgres?host=$folder/postgres&user=postgres"
echo "The service conforms to its OpenAPI document."
