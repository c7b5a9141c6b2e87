#!/usr/bin/env bash
# Converts the shipped files and compiles the tests and programs with Address and Undefined Behaviour Sanitizer:
#   build.sh OUT
# A program is compiled again when something that it is made from changed.
set -euo pipefail
cd "$(dirname "$0")"

out=$1
mkdir -p "$out/Include" "$out/bin"
python3 vectors.py ../../../Tests/RequestSignatureTests/request-signatures.json "$out/Include/Vectors.mqh"
python3 mql5_to_cpp.py ../Include "$out/Include" ../Include/DeviceRegistry/*.mqh
python3 mql5_to_cpp.py .. "$out" ../Experts/*.mq5 ../Services/*.mq5 ../Scripts/*.mq5 ../Tests/*.mq5

# compile NAME SOURCE MAIN FLAGS...
compile() {
  local name=$1 source=$2 main=$3 made
  shift 3
  printf '#include "terminal.h"\n#include "%s"\nint main() { %s }\n' "$out/$source" "$main" >"$out/$name.cpp"
  made=$(cat "$out/$name.cpp" "$out/$source" "$out"/Include/*.mqh "$out"/Include/*/*.mqh shim/*.h shim/Trade/* build.sh | sha256sum)
  [ ! -x "$out/bin/$name" ] || [ "$(cat "$out/bin/$name.made" 2>/dev/null)" != "$made" ] || return 0
  g++ -std=c++17 -Wall -Wextra -Wno-unused-function -Wno-unused-variable -Werror -Ishim -I"$out/Include" "$@" \
    "$out/$name.cpp" -lcrypto -lcurl -o "$out/bin/$name"
  echo "$made" >"$out/bin/$name.made"
}
# -Og compiles in a third of the time of -O1.
sanitized="-Og -g1 -fsanitize=address,undefined -fno-sanitize-recover=all"
expert="return ShimRunExpert(OnInit, OnTimer, OnDeinit);"
# The example of the README, with an order.
{
  echo 'bool SendMyOrder(const string payload,const string tag,ulong &ticket,string &error) { return(payload==tag); }'
  awk '/^```cpp/ { code = 1; next } /^```/ { code = 0 } code' ../README.md
} >"$out/Example.mq5"
python3 mql5_to_cpp.py "$out" "$out/example" "$out/Example.mq5"

# Two at a time.
compile demo Experts/DeviceRegistryDemo.mq5 "$expert" $sanitized &
compile unit Tests/Unit.mq5 "return OnStart();" $sanitized
wait $!
compile service Services/DeviceRegistryService.mq5 "return OnStart();" $sanitized &
compile check Scripts/DeviceRegistryCheck.mq5 "return OnStart();" $sanitized
wait $!
# Without sanitizers, to measure the time.
compile demo-fast Experts/DeviceRegistryDemo.mq5 "$expert" -O2 &
compile example example/Example.mq5 "$expert" -fsyntax-only -Wno-unused-parameter
wait $!
