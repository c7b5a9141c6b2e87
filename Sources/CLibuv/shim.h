#include <sys/prctl.h>
#include <uv.h>

// prctl takes variable arguments, which Swift cannot pass.
static inline void set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
static inline void refuse_core_dumps(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
