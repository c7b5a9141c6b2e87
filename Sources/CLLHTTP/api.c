#include "../../.build/llhttp/api.c"
