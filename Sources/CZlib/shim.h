#include <zlib.h>

// A macro, which passes the size of the structure.
static inline int zlib_begin_gzip(z_stream *stream) {
  // 15 is the largest window; 16 more ask for a gzip header (RFC 1952).
  return deflateInit2(stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
}
