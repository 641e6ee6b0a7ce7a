cdef extern from *:
    """
    typedef struct ssl_st SSL;
    typedef struct bio_st BIO;
    """
    ctypedef struct SSL
    ctypedef struct BIO


cdef class SharedBios:
    cdef object incoming
    cdef object outgoing
    cdef object sslobj
    cdef BIO *reads_from
    cdef BIO *writes_to

    cdef tuple lend(self, object sslobj, object incoming, object outgoing)


cdef bint is_available
cdef SSL *ssl_of(object sslobj) except NULL
cdef int do_handshake(SSL *connection, const char **reason) noexcept nogil

cdef enum:
    HANDSHAKE_FAILED = -1
    HANDSHAKE_UNFINISHED = 0
    HANDSHAKE_DONE = 1
