cdef enum:
    TLS_RECORD_BYTES = 8192  # of plain text in one record that Forebay writes
    TLS_RECORD_LIMIT = 16384  # of plain text in one record that it reads (RFC 8446, 5.1)
    # Instead of a number of bytes that were received:
    NOTHING_YET = -1
    FAILED = -2


cdef Py_ssize_t decrypt(
    object tls, object incoming, const unsigned char *ciphered, Py_ssize_t count, unsigned char *into,
    bint *ended,
) except -3
cdef int encrypt(object tls, const unsigned char *data, Py_ssize_t count) except -1
cdef int say_goodbye(object tls) except -1
