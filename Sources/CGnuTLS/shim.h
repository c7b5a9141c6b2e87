#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

// gnutls_free is a variable, which Swift cannot use safely.
static inline void wipe_and_free(const gnutls_datum_t *datum) {
  gnutls_memset(datum->data, 0, datum->size);
  gnutls_free(datum->data);
}
