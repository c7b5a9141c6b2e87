#include <hiredis/async.h>

// The text lies in an array, which Swift sees as a tuple of 128 characters.
static inline const char *redis_error_text(const redisAsyncContext *context) { return context->c.errstr; }
