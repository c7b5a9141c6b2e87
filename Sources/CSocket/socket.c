#include "CSocket.h"

#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

void drop_everything(int socket) {
  struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {.len = 1, .filter = &drop};
  setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int send_datagram(const char *path, const char *text, size_t length, const int *descriptors, size_t count) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t path_length = strlen(path);
  if (path_length >= sizeof address.sun_path || count > MAXIMUM_SENT_DESCRIPTORS) return 0;
  memcpy(address.sun_path, path, path_length);
  // An abstract name begins with a NUL, which systemd writes as @, and has no final NUL.
  if (path[0] == '@') address.sun_path[0] = 0;

  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MAXIMUM_SENT_DESCRIPTORS)] = {0};
  struct iovec part = {.iov_base = (void *)text, .iov_len = length};
  struct msghdr message = {
      .msg_name = &address,
      .msg_namelen = offsetof(struct sockaddr_un, sun_path) + path_length,
      .msg_iov = &part,
      .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
  }
  int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sender < 0) return 0;
  ssize_t sent = sendmsg(sender, &message, MSG_NOSIGNAL);
  close(sender);
  return sent >= 0;
}
