// llhttp's sources are Debian's; scripts/install-packages.sh unpacks them under .build.
#if !__has_include("../../../.build/llhttp/llhttp.h")
#error "llhttp's sources are missing: run `make build`, which fetches them once"
#endif
#include "../../../.build/llhttp/llhttp.h"
