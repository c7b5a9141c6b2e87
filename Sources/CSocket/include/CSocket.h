#pragma once

#include <stddef.h>

// What Glibc's module lacks: socket filters and messages with descriptors. No header of the system is included here, so
// that their declarations stay in that module.

/// Lets the system drop everything that arrives at a socket (socket(7), SO_ATTACH_FILTER).
void drop_everything(int socket);

/// Descriptors that a datagram can have.
#define MAXIMUM_SENT_DESCRIPTORS 128

/// Sends a text and descriptors (unix(7), SCM_RIGHTS) to the socket at a path, which begins with @ for an abstract name.
/// Returns whether it was sent.
int send_datagram(const char *path, const char *text, size_t length, const int *descriptors, size_t count);
