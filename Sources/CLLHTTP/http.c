#include "../../.build/llhttp/http.c"
