#include "../../.build/llhttp/llhttp.c"
