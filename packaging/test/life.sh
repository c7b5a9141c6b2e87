#!/usr/bin/env bash
# Tests the package on a machine: installs it, uses it, follows docs/operations.md for TLS, PostgreSQL, backup and restore,
# upgrades, removes and purges it. Runs in a machine of machine.sh; /test has the package, the page and a newer package.
set -Eeuo pipefail

cd /test
service=device-registry.service
data=/var/lib/device-registry
drop_ins=/etc/systemd/system/$service.d
api=http://127.0.0.1:8000/api/v1

step() { echo "  $*"; }
fail() {
  echo "    FAILED: $*"
  journalctl --no-pager -o cat -n 40 -u $service || true
  exit 1
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR

# Fails if a command succeeds: bash ignores the status of a command after `!`.
never() {
  if "$@"; then fail "succeeded: $*"; fi
}

# Waits up to 60 s for a condition.
wait_until() {
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "never came true: $*"
    sleep 0.2
  done
}

# page MARK: prints the block of the page after a mark. try_page NAME: runs it.
page() {
  awk -v mark="<!-- $1 -->" '$0 == mark { on = 1; next } on && /^(    |$)/ { print substr($0, 5); next } { on = 0 }' \
    operations.md
}
try_page() {
  local lines
  lines=$(page "tried: $1")
  [ -n "$lines" ] || fail "the page has no block named $1"
  bash -euo pipefail -c "$lines"
}

property() { systemctl show --value --property "$1" $service; }
of_process() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(property MainPID)/status"; }
json() { python3 -c 'import json, sys; value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[int(key) if key.isdigit() else key]
print(value)' "$@"; }

owner() { curl --silent --show-error --fail-with-body --max-time 20 -H "Authorization: Bearer $TOKEN" "$@"; }
register() { owner "$api/devices" -H 'Content-Type: application/json' -d "{\"device_name\": \"$1\"}"; }
# new_device NAME: registers a device, and keeps its id and secret in NAME.id and NAME.secret.
new_device() {
  local answer
  answer=$(register "$1")
  json id <<<"$answer" >"$1.id"
  (umask 077; json secret <<<"$answer" >"$1.secret")
}
as_device() {
  local name=$1 action=$2
  shift 2
  device-registry device "$action" --id "$(cat "$name.id")" --secret-file "$name.secret" "$@"
}
names() { owner "$api/devices" | python3 -c 'import json, sys; print(*sorted(d["device_name"] for d in json.load(sys.stdin)))'; }
is_refused() {
  local answer
  if answer=$(as_device "$1" whoami 2>&1); then fail "$1 is let in"; fi
  grep -E '401|403' <<<"$answer" >/dev/null
}

# A call outside the filter is an error to the program; here it is its end, and so cannot be missed.
mkdir -p $drop_ins
printf '[Service]\nSystemCallErrorNumber=kill\n' >$drop_ins/test.conf

step "installation starts the service"
dpkg -i device-registry.deb >dpkg.log 2>&1 || fail "$(cat dpkg.log)"
[ "$(property ActiveState)" = active ]
[ "$(systemctl is-enabled $service)" = enabled ]
systemd-analyze verify $service
[ "$(stat -c '%a %U' /etc/device-registry/jwt-secret)" = "600 root" ]
[ "$(stat -c '%a %U' /etc/device-registry/sealing-key)" = "600 root" ]
for key in jwt-secret sealing-key; do
  [ "$(stat -c %s /etc/device-registry/$key)" = 65 ]
  never grep -qFf /etc/device-registry/$key dpkg.log
done

step "the service has a dynamic user, no capability, and access only to its data"
[ "$(of_process Uid | cut -f 1)" -ge 61184 ]
[ "$(of_process CapPrm) $(of_process CapBnd)" = "0000000000000000 0000000000000000" ]
[ "$(of_process NoNewPrivs) $(of_process Seccomp)" = "1 2" ]
inside() { nsenter --target "$(property MainPID)" --mount "$@"; }
never inside test -e /etc/device-registry/jwt-secret
never inside test -e /etc/device-registry/sealing-key
never inside touch /usr/here 2>/dev/null
never inside touch /etc/here 2>/dev/null
[ "$(stat -c '%a' $data/registry.db)" = 600 ]

step "the first steps of the page register a device"
try_page "first device" | tail -n 1 >first
[ "$(json device_name <first)" = EA-Main ]
TOKEN=$(device-registry-admin token --sub alice)
new_device EA-Polls
new_device EA-Revoked-Before
new_device EA-Revoked-After
new_device EA-Rotated
owner -X POST "$api/devices/$(cat EA-Revoked-Before.id)/revoke"
wait_until as_device EA-Polls whoami
curl --silent --fail http://127.0.0.1:8001/metrics | grep '^devices_registered_total 5' >/dev/null

step "the operator's commands look at the running service"
device-registry-admin serve --check >check
grep '^ok  *database  *the sealing key is that of its secrets$' check >/dev/null
grep '^no problem was found$' check >/dev/null
device-registry-admin status >status
grep '^devices  *5$' status >/dev/null
grep '^serving  *process [1-9]' status >/dev/null
grep '^process  *http://127.0.0.1:8001/metrics$' status >/dev/null

step "a signal reaches its device"
signal() { owner "$api/signals" -H 'Content-Type: application/json' -d '{"payload": {"side": "buy"}, "all": true}' | json id; }
signal >signal.id
as_device EA-Polls poll --wait 20 | grep "$(cat signal.id)" >/dev/null

step "the owner's commands work, and shells complete them"
(umask 077; echo "$TOKEN" >token)
device-registry devices list --token-file token --output csv | grep '^EA-Polls,active,' >/dev/null
bash -c '. /usr/share/bash-completion/completions/device-registry; complete -p device-registry' >/dev/null
[ -s /usr/share/zsh/vendor-completions/_device-registry ] && [ -s /usr/share/fish/vendor_completions.d/device-registry.fish ]

step "the sealing key is changed, as on the page"
cp /etc/device-registry/sealing-key sealing-key
try_page "a new sealing key" | grep "^all secrets in the database are sealed with the key" >/dev/null
[ "$(wc -l </etc/device-registry/sealing-key)" = 1 ]
never cmp --silent sealing-key /etc/device-registry/sealing-key
[ "$(stat -c '%a %U' /etc/device-registry/sealing-key)" = "600 root" ]
wait_until as_device EA-Polls whoami

step "the key of tokens is changed, as on the page, and nobody is logged out"
try_page "a new JWT secret"
names >/dev/null
old=$TOKEN
TOKEN=$(device-registry-admin token --sub alice)
names >/dev/null
rm $drop_ins/previous-secret.conf
systemctl daemon-reload
systemctl restart $service
names >/dev/null
never curl --silent --fail --output /dev/null -H "Authorization: Bearer $old" "$api/devices"
(umask 077; echo "$TOKEN" >token)

step "the settings file has every setting with its default"
settings=/etc/device-registry/device-registry.env
device-registry serve --help | grep -oE '^  --[a-z0-9-]+, [A-Z0-9_]+' | sed 's/.* //' >known
grep -oE '^#[A-Z0-9_]+' $settings | cut -c 2- | diff known -
cp $settings settings
sed -i -E 's/^#([A-Z0-9_]+=.)/\1/' $settings
systemctl restart $service
[ "$(names)" = "EA-Main EA-Polls EA-Revoked-After EA-Revoked-Before EA-Rotated" ]
cp settings $settings
echo 'LOG_LEVEL=debug' >>$settings

step "a wrong setting is reported once, without restarts"
echo 'EVENT_LOOPS=many' >>$settings
never systemctl restart $service 2>/dev/null
[ "$(property ActiveState) $(property ExecMainStatus)" = "failed 2" ]
journalctl --no-pager -u $service | grep EVENT_LOOPS >/dev/null
sed -i '$d' $settings
systemctl restart $service

step "a restart under load fails no request"
touch load
for number in 1 2 3 4; do
  while [ -e load ]; do
    curl --silent --output /dev/null --write-out '%{http_code} %{time_total}\n' --max-time 60 http://127.0.0.1:8000/readyz
  done >"load.$number" &
done
while [ -e load ]; do
  if as_device EA-Polls whoami >/dev/null 2>&1; then echo "200 0"; else echo "000 0"; fi
done >load.device &
goal=0
has_answers() { [ "$(wc -l <load.1)" -ge $goal ] && [ "$(wc -l <load.device)" -ge $((goal / 10)) ]; }
for _ in 1 2 3; do
  goal=$((goal + 50))
  wait_until has_answers
  systemctl restart $service
done
goal=$((goal + 50))
wait_until has_answers
rm load
wait
never grep -v '^200 ' load.*
longest=$(cut -d ' ' -f 2 load.[1-4] | sort -n | tail -n 1)
step "  $(cat load.* | wc -l) requests, the longest took $longest s"
# A second where the machine has nothing else to do.
awk -v longest="$longest" 'BEGIN { exit !(longest < 3) }'

step "systemd restarts a service that hangs"
printf '[Service]\nWatchdogSec=4\nTimeoutAbortSec=1\n' >$drop_ins/watchdog.conf
systemctl daemon-reload
systemctl restart $service
[ "$(property NRestarts)" = 0 ]
kill -STOP "$(property MainPID)"
started_anew() { [ "$(property NRestarts)" = 1 ] && [ "$(property ActiveState)" = active ]; }
wait_until started_anew
rm $drop_ins/watchdog.conf
systemctl daemon-reload
systemctl restart $service
[ "$(names)" = "EA-Main EA-Polls EA-Revoked-After EA-Revoked-Before EA-Rotated" ]

# Changes between a backup and its restore, and the state after the restore.
after_backup() {
  new_device EA-Registered-After
  owner -X POST "$api/devices/$(cat EA-Revoked-After.id)/revoke"
  cp -p EA-Rotated.secret EA-Rotated-Old.secret
  cp EA-Rotated.id EA-Rotated-Old.id
  (umask 077; owner -X POST "$api/devices/$(cat EA-Rotated.id)/rotate" -H 'Content-Type: application/json' \
    -d '{"grace_seconds": 0}' | json secret >EA-Rotated.secret)
  wait_until as_device EA-Rotated whoami
  is_refused EA-Rotated-Old
  is_refused EA-Revoked-After
}
is_restored() {
  [ "$(names)" = "EA-Main EA-Polls EA-Revoked-After EA-Revoked-Before EA-Rotated" ]
  wait_until as_device EA-Polls whoami
  is_refused EA-Revoked-Before
  is_refused EA-Registered-After
  is_refused EA-Rotated
  as_device EA-Rotated-Old whoami >/dev/null
  as_device EA-Revoked-After whoami >/dev/null
  [ "$(as_device EA-Polls poll | json signals)" = "[]" ]
  [ "$(owner "$api/signals" | json 0 id)" = "$(cat signal.id)" ]
  # The page advises to revoke again.
  owner -X POST "$api/devices/$(cat EA-Revoked-After.id)/revoke"
  is_refused EA-Revoked-After
  mv EA-Rotated-Old.secret EA-Rotated.secret
}

step "SQLite: backup and restore, as on the page"
try_page "backup of SQLite"
[ "$(stat -c %a /var/backups/device-registry.db)" = 600 ]
after_backup
try_page "restore of SQLite"
is_restored

if ! command -v nginx >/dev/null; then
  step "(nginx is not installed: the page's proxy is not tested)"
else
  step "nginx, as on the page"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=registry.example.com \
    -addext subjectAltName=DNS:registry.example.com -keyout proxy-key.pem -out proxy.pem 2>/dev/null
  mkdir -p /etc/letsencrypt/live/registry.example.com
  cp proxy.pem /etc/letsencrypt/live/registry.example.com/fullchain.pem
  cp proxy-key.pem /etc/letsencrypt/live/registry.example.com/privkey.pem
  printf 'events {}\nhttp {\n%s\n}\n' "$(page nginx)" >nginx.conf
  cp $settings settings
  page "nginx settings" >>$settings
  systemctl restart $service
  nginx -c /test/nginx.conf
  echo 127.0.0.1 registry.example.com >>/etc/hosts
  curl --silent --fail --cacert proxy.pem https://registry.example.com/readyz | grep ok >/dev/null
  cat proxy.pem >>/etc/ssl/certs/ca-certificates.crt
  wait_until as_device EA-Polls whoami --url https://registry.example.com
  nginx -c /test/nginx.conf -s quit 2>/dev/null
  cp settings $settings
  systemctl restart $service
fi

step "TLS, as on the page, also on a low port"
make_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem 2>/dev/null
}
make_certificate
cp key.pem certificate.pem /etc/device-registry/tls
try_page TLS
curl --silent --fail --cacert certificate.pem https://127.0.0.1:8000/readyz | grep ok >/dev/null
if getent group ssl-cert >/dev/null; then
  try_page "TLS that is reloaded"
  curl --silent --fail --cacert certificate.pem https://127.0.0.1:8000/readyz | grep ok >/dev/null
  if device-registry serve --help | grep SIGHUP >/dev/null; then
    before=$(property MainPID)
    make_certificate
    install --group=ssl-cert --mode=640 certificate.pem key.pem /etc/ssl/private/
    systemctl reload $service
    wait_until curl --silent --fail --cacert certificate.pem https://127.0.0.1:8000/readyz
    [ "$(property MainPID)" = "$before" ]
  fi
fi
try_page "a low port"
systemctl daemon-reload
systemctl restart $service
curl --silent --fail --cacert certificate.pem https://127.0.0.1/readyz | grep ok >/dev/null
rm $drop_ins/tls.conf $drop_ins/port.conf
systemctl daemon-reload
systemctl restart $service

step "an upgrade keeps data, settings and secret"
before=$(property MainPID)
dpkg -i newer.deb >dpkg.log 2>&1 || fail "$(cat dpkg.log)"
[ "$(dpkg-query --show --showformat='${Version}' device-registry)" = 9.0 ]
[ "$(property ActiveState)" = active ]
[ "$(property MainPID)" != "$before" ]
[ "$(names)" = "EA-Main EA-Polls EA-Revoked-After EA-Revoked-Before EA-Rotated" ]
grep -q '^LOG_LEVEL=debug' $settings

step "removal keeps data and settings, and a new installation uses them"
dpkg -r device-registry >dpkg.log 2>&1 || fail "$(cat dpkg.log)"
never systemctl is-active --quiet $service
never test -e /usr/bin/device-registry
[ -s $data/registry.db ]
[ -s /etc/device-registry/jwt-secret ]
[ -s /etc/device-registry/sealing-key ]
[ -s $settings ]
dpkg -i newer.deb >dpkg.log 2>&1 || fail "$(cat dpkg.log)"
[ "$(names)" = "EA-Main EA-Polls EA-Revoked-After EA-Revoked-Before EA-Rotated" ]

step "PostgreSQL: backup and restore, as on the page"
pg_createcluster "$(ls /usr/lib/postgresql | sort -n | tail -1)" registry --port 5432 >/dev/null
pg_ctlcluster "$(ls /usr/lib/postgresql | sort -n | tail -1)" registry start
try_page PostgreSQL
device-registry-admin client add --id alice >/dev/null
for name in EA-Main EA-Polls EA-Revoked-After EA-Revoked-Before EA-Rotated; do new_device $name; done
owner -X POST "$api/devices/$(cat EA-Revoked-Before.id)/revoke"
signal >signal.id
try_page "backup of PostgreSQL"
after_backup
try_page "restore of PostgreSQL"
is_restored

if ! command -v nginx redis-server >/dev/null; then
  step "(nginx or Redis is not installed: the page's cluster is not tested)"
else
  step "a cluster, as on the page, is rolled without a failed request"
  redis-server --bind 127.0.0.1 --save '' --appendonly no --daemonize yes >/dev/null
  cp $settings settings
  echo REPLAY_STORE=redis://127.0.0.1:6379/0 >>$settings
  try_page "a cluster" 2>cluster.log
  printf 'events {}\nhttp {\n%s\nserver {\nlisten 127.0.0.1:8080;\n%s\n}\n}\n' "$(page "nginx upstream")" \
    "$(page "nginx locations")" >nginx.conf
  nginx -c /test/nginx.conf
  [ "$(device-registry-admin status | grep -o '(shared)' | wc -l)" = 2 ]
  touch load
  for number in 1 2 3 4; do
    while [ -e load ]; do
      curl --silent --output /dev/null --write-out '%{http_code}\n' --max-time 60 -H "Authorization: Bearer $TOKEN" \
        http://127.0.0.1:8080/api/v1/devices
    done >"load.$number" &
  done
  goal=0
  has_answers() { [ "$(wc -l <load.1)" -ge $goal ]; }
  for _ in 1 2; do
    goal=$((goal + 50))
    wait_until has_answers
    try_page "a rolling restart"
  done
  goal=$((goal + 50))
  wait_until has_answers
  rm load
  wait
  never grep -v '^200$' load.[1-4]
  step "  $(cat load.[1-4] | wc -l) requests"
  # One instance may have other settings.
  echo ADMIN_LISTEN= >/etc/device-registry/2.env
  systemctl restart device-registry@2
  curl --silent --fail http://127.0.0.1:8111/metrics >/dev/null
  never curl --silent --fail http://127.0.0.1:8112/metrics
  nginx -c /test/nginx.conf -s quit 2>/dev/null
  systemctl disable --now device-registry@1 device-registry@2 2>/dev/null
  cp settings $settings
  systemctl enable --now $service 2>/dev/null
  [ "$(names)" = "EA-Main EA-Polls EA-Revoked-After EA-Revoked-Before EA-Rotated" ]
fi

step "no system call was filtered, and the service failed only when it hung"
[ "$(property NRestarts)" = 0 ]
journalctl --no-pager >journal
never grep -q SIGSYS journal
[ "$(journalctl --no-pager -o cat -u $service | grep -c 'Failed with result')" = 2 ]

step "a purge removes everything"
dpkg -P device-registry >dpkg.log 2>&1 || fail "$(cat dpkg.log)"
rm -r $drop_ins
left=$(find /etc /var/lib /usr/bin /usr/sbin /usr/share /lib/systemd /run/systemd/system -xdev \
  -name 'device-registry*' -not -path '/var/lib/systemd/*')
[ -z "$left" ] || fail "left: $left"
