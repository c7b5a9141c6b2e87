#!/usr/bin/env bash
# A device in plain shell: polls, verifies that the answer comes from the registry, and acknowledges the first signal.
#
#   ID=01a20a5b-... SECRET_FILE=secret [URL=http://localhost:8000] examples/device.sh
#
# Needs curl, openssl and coreutils. The signature (form of RFC 9421, proof of RFC 5802):
#   ClientKey = HMAC(secret, "Client Key"), StoredKey = SHA256(ClientKey), ServerKey = HMAC(secret, "Server Key")
#   of a request:  ClientKey XOR HMAC(StoredKey, base);  the base has a line for each signed component
#   of an answer:  HMAC(ServerKey, base);  its parameters name the nonce of the request
# HMAC is computed in the shell (RFC 2104), because other users can see keys in the arguments of programs.
set -euo pipefail

hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() { printf "$(sed 's/../\\x&/g')"; }
sha256() { openssl dgst -sha256 -binary; }
xor() { local i; for ((i = 0; i < ${#1}; i += 2)); do printf %02x $((0x${1:i:2} ^ 0x${2:i:2})); done; }

# hmac KEY: the HMAC of standard input. Key (64 bytes at most) and result are hexadecimal.
hmac() {
  local key inner
  key=$(printf %-128s "$1") && key=${key// /0}
  inner=$({ xor "$key" "$(printf '36%.0s' {1..64})" | unhex; cat; } | sha256 | hex)
  { xor "$key" "$(printf '5c%.0s' {1..64})"; printf %s "$inner"; } | unhex | sha256 | hex
}

derive_keys() { # SECRET
  local secret; secret=$(printf %s "$1" | hex)
  client_key=$(printf 'Client Key' | hmac "$secret")
  stored_key=$(printf %s "$client_key" | unhex | sha256 | hex)
  server_key=$(printf 'Server Key' | hmac "$secret")
}

# proof BASE, answer_signature BASE: the value between the colons of Signature.
proof() { xor "$client_key" "$(printf %s "$1" | hmac "$stored_key")" | unhex | base64 -w0; }
answer_signature() { printf %s "$1" | hmac "$server_key" | unhex | base64 -w0; }
digest() { printf 'sha-256=:%s:' "$(sha256 | base64 -w0)"; }

# request METHOD PATH QUERY BODY: prints the answer's body; fails if the status is not 2xx or the signature is wrong.
request() {
  local covered='"@method" "@path"' base="\"@method\": $1"$'\n'"\"@path\": $2" fields='' nonce parameters status field
  nonce=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)
  if [ -n "$3" ]; then covered+=' "@query"' base+=$'\n'"\"@query\": $3"; fi
  if [ -n "$4" ]; then
    field=$(printf %s "$4" | digest)
    covered+=' "content-digest"' base+=$'\n'"\"content-digest\": $field"
    fields="Content-Type: application/json"$'\n'"Content-Digest: $field"$'\n'
  fi
  parameters="($covered);created=$(date +%s);keyid=\"$ID\";nonce=\"$nonce\""
  base+=$'\n'"\"@signature-params\": $parameters"
  fields+="Signature-Input: sig1=$parameters"$'\n'"Signature: sig1=:$(proof "$base"):"
  status=$(printf '%s\n' "$fields" | curl -sS -m 60 --max-filesize 16777216 -X "$1" -H @- ${4:+--data-binary "$4"} \
    -D "$scratch/head" -o "$scratch/body" -w '%{http_code}' "$URL$2$3")
  case $status in 2??) ;; *) cat "$scratch/body" >&2; echo >&2; return 1 ;; esac

  answer_field() { tr -d '\r' <"$scratch/head" | sed -n "s/^$1: *//Ip"; }
  parameters=$(answer_field signature-input) && parameters=${parameters#sig=}
  field=$(answer_field content-digest)
  base="\"@status\": $status"$'\n'"\"content-digest\": $field"$'\n'"\"@signature-params\": $parameters"
  [[ $parameters =~ ^'("@status" "content-digest");created='[0-9]+";keyid=\"$ID\";nonce=\"$nonce\""$ ]] &&
    [ "$field" = "$(digest <"$scratch/body")" ] &&
    [ "$(answer_field signature)" = "sig=:$(answer_signature "$base"):" ] ||
    { echo "the answer's signature does not verify; the answer is ignored" >&2; return 1; }
  cat "$scratch/body"
}

# When sourced, only define the functions.
[ "${BASH_SOURCE[0]}" = "$0" ] || return 0

URL=${URL:-http://localhost:8000}
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
derive_keys "$(cat "$SECRET_FILE")"
answer=$(request GET /api/v1/device/poll '?wait=20&max=10' '')
echo "$answer"
first=$(grep -o '"id":"[0-9a-f-]*"' <<<"$answer" | head -n 1 | cut -d '"' -f 4 || true)
[ -z "$first" ] || request POST /api/v1/device/ack '' "{\"acks\":[{\"signal_id\":\"$first\",\"status\":\"placed\"}]}"
