#include <linux/filter.h>

// A filter that drops everything (socket(7), SO_ATTACH_FILTER).
static inline struct sock_fprog drop_everything(void) {
  static struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {.len = 1, .filter = &drop};
  return program;
}
