#!/usr/bin/env bash
# Fuzzes each target of Fuzzing/Targets, or the named ones, for FUZZ_SECONDS (60 by default), one per core at a time. A
# failing input is stored in .build/fuzz-found and fails the run: fix the failure, and add the input to
# Fuzzing/Corpus/TARGET.
#   fuzz.sh [TARGET ...]          fuzzes
#   fuzz.sh --renew [TARGET ...]  reduces all inputs that were found to the fewest with the same coverage, in Fuzzing/Corpus
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
renew=""
if [ "${1:-}" = --renew ]; then
  renew=yes
  shift
fi
targets=${*:-$(ls Fuzzing/Corpus)}
maximum_input=4096
progress_seconds=30

fuzzer=.build/fuzz/release/fuzz
corpus=.build/fuzz-corpus
found=.build/fuzz-found
logs=.build/fuzz-logs
rm -rf $found $logs
mkdir -p $found $logs

# Optimised like the service; with Address Sanitizer, because unsafe buffers do not check their bounds in release builds.
# The fuzzer provides main. Testing is enabled because the parsers are internal to their modules.
FUZZING=1 swift build -c release --scratch-path .build/fuzz --product fuzz --sanitize fuzzer \
  -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing -Xswiftc -parse-as-library \
  -Xlinker --defsym=fuzz_main=main >$logs/build 2>&1 || { cat $logs/build >&2; exit 1; }
# The fuzzer reports crashes itself, and sooner.
export SWIFT_BACKTRACE=enable=no
export LSAN_OPTIONS=suppressions=Fuzzing/leak-sanitizer.suppressions:print_suppressions=0

# The certificate of the TLS target.
export FUZZ_CERTIFICATE=.build/fuzz-certificate.pem FUZZ_KEY=.build/fuzz-key.pem
[ -e $FUZZ_CERTIFICATE ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
  -subj /CN=localhost -keyout $FUZZ_KEY -out $FUZZ_CERTIFICATE 2>/dev/null

if [ -n "$renew" ]; then
  for target in $targets; do
    kept=$(mktemp -d)
    # Edges only: with their counts, ten times as many inputs would remain.
    FUZZ_TARGET=$target $fuzzer -set_cover_merge=1 -use_counters=0 -max_len=$maximum_input "$kept" \
      "Fuzzing/Corpus/$target" "$corpus/$target" >"$logs/$target" 2>&1
    rm -rf "Fuzzing/Corpus/$target"
    mv "$kept" "Fuzzing/Corpus/$target"
    chmod 755 "Fuzzing/Corpus/$target"
    echo "  $target: $(ls "Fuzzing/Corpus/$target" | wc -l) inputs"
  done
  exit 0
fi

feed() {
  local dictionary=Fuzzing/Dictionaries/$1
  mkdir -p "$corpus/$1"
  FUZZ_TARGET=$1 $fuzzer -max_total_time="$seconds" -max_len=$maximum_input -timeout=10 -print_final_stats=1 \
    $([ ! -e "$dictionary" ] || echo "-dict=$dictionary") -artifact_prefix="$found/$1-" \
    "$corpus/$1" "Fuzzing/Corpus/$1" >"$logs/$1" 2>&1 || touch "$logs/$1.failed"
  touch "$logs/$1.done"
}

# say TARGET WORDS: prints a target's progress, from the last line of its log.
say() {
  local executions edges
  executions=$(grep -aoE '^#[0-9]+|number_of_executed_units: [0-9]+' "$logs/$1" | tail -1 | grep -oE '[0-9]+$' || true)
  edges=$(grep -aoE ' cov: [0-9]+' "$logs/$1" | tail -1 | grep -oE '[0-9]+$' || true)
  printf '  %-17s %11s executions %6s edges  %s\n' "$1" "${executions:-0}" "${edges:-0}" "$2"
}

tell_progress() {
  while sleep $progress_seconds; do
    for target in $targets; do
      [ ! -e "$logs/$target" ] || [ -e "$logs/$target.done" ] || say "$target" "so far"
    done
  done
}

echo "Fuzzing $(echo $targets | wc -w) targets for $seconds s each:"
tell_progress &
progress=$!
trap 'kill $progress $(jobs -rp) 2>/dev/null || true' EXIT
for target in $targets; do
  # One job reports the progress.
  while [ "$(jobs -rp | wc -l)" -gt "$(nproc)" ]; do wait -n; done
  feed "$target" &
done
while [ "$(jobs -rp | wc -l)" -gt 1 ]; do wait -n; done

failed=0
for target in $targets; do
  if [ -e "$logs/$target.failed" ]; then
    failed=$((failed + 1))
    say "$target" "FAILED"
    grep -aE 'Fatal error|ERROR: |SUMMARY: ' "$logs/$target" | head -3 | sed 's/^/    /'
    ls -d "$found/$target"-* 2>/dev/null | sed 's/^/    /' || true
  else
    say "$target" "nothing found"
  fi
done
if [ $failed != 0 ]; then
  echo "$failed fuzz targets failed; logs are in $logs, inputs in $found" >&2
  exit 1
fi
echo "No fuzz target failed."
