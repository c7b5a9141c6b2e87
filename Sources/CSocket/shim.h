#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

// A filter that drops everything (socket(7), SO_ATTACH_FILTER).
static inline struct sock_fprog drop_everything(void) {
  static struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {.len = 1, .filter = &drop};
  return program;
}

// Sends a text and descriptors in one datagram (unix(7), SCM_RIGHTS). The macros of cmsg(3) are not imported. At most
// MAXIMUM_SENT_DESCRIPTORS. Returns -1 with errno after an error.
#define MAXIMUM_SENT_DESCRIPTORS 128
static inline ssize_t send_descriptors(
    int socket, const struct sockaddr *address, socklen_t length, const char *text, size_t text_length,
    const int *descriptors, size_t count) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MAXIMUM_SENT_DESCRIPTORS)];
  struct iovec part = {.iov_base = (void *)text, .iov_len = text_length};
  struct msghdr message = {
      .msg_name = (void *)address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
  if (count > 0 && count <= MAXIMUM_SENT_DESCRIPTORS) {
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}
