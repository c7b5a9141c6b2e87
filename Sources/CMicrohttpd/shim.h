#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <microhttpd.h>

// These take variable arguments, which Swift cannot pass.
static inline int daemon_epoll_descriptor(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return info == NULL ? -1 : info->epoll_fd;
}

static inline int connection_descriptor(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info == NULL ? -1 : info->connect_fd;
}

static inline void *connection_context(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == NULL ? NULL : info->socket_context;
}

// Bytes from the method's first to the last of the empty line behind the fields; 0 before that is here.
static inline size_t header_size(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info == NULL ? 0 : info->header_size;
}

// The connection's gnutls_session_t; NULL without TLS.
static inline void *connection_tls_session(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  return info == NULL ? NULL : info->tls_session;
}

// Drops whatever comes to a listening socket from now on (socket(7), SO_ATTACH_FILTER), as if nobody listened; what it has
// completed already can be accepted still.
static inline void turn_away_new_connections(int listening) {
  struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {.len = 1, .filter = &drop_all};
  setsockopt(listening, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

// tcpi_bytes_received of the kernel's struct tcp_info (tcp(7), TCP_INFO; linux/tcp.h): glibc's ends before that
// field, and the kernel's cannot be included beside it. Its place is part of the kernel's interface.
static inline uint64_t bytes_received(int descriptor) {
  unsigned char info[256] = {0};
  socklen_t length = sizeof info;
  uint64_t received = 0;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, info, &length) == 0) {
    memcpy(&received, info + 128, sizeof received);
  }
  return received;
}

// The peer's address (RFC 4291): an IPv4 one mapped (section 2.5.5.2), of any other family all zeros.
static inline void connection_peer(struct MHD_Connection *connection, unsigned char address[16]) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  memset(address, 0, 16);
  if (info == NULL || info->client_addr == NULL) return;
  if (info->client_addr->sa_family == AF_INET6) {
    memcpy(address, &((const struct sockaddr_in6 *)info->client_addr)->sin6_addr, 16);
  } else if (info->client_addr->sa_family == AF_INET) {
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, &((const struct sockaddr_in *)info->client_addr)->sin_addr, 4);
  }
}
