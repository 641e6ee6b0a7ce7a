"""OpenSSL beneath Python's ssl module, for the two things which that module cannot be asked for.

Contexts and connections are Python's own. But an ``ssl.SSLObject`` keeps the two memory BIOs it was
made with, whose buffers grow and never shrink, and a handshake in a thread takes the GIL twice, for
which the thread that serves everybody else has to stop. Here the BIOs of an established connection
are exchanged for a pair that all connections share, and a handshake step runs without the GIL.

The functions are those of the very library that ``_ssl`` is linked with: they are looked up in it,
so no headers are needed and no second OpenSSL comes in. The SSL pointer is read out of
``_ssl._SSLSocket``, whose first members have been the same since Python 3.6 (Modules/_ssl.c,
PySSLSocket); whether they are is checked once, without following the pointer. Where that, or the
library, is not as expected (OpenSSL linked into the interpreter, say), nothing of this is used.
"""

from cpython.object cimport PyObject

import _ssl
import ssl

cdef extern from "<dlfcn.h>" nogil:
    enum:
        RTLD_NOW
        RTLD_NOLOAD
    void *dlopen(const char *path, int flags)
    void *dlsym(void *library, const char *name)

cdef extern from *:
    """
    typedef struct {
        PyObject_HEAD
        PyObject *Socket;
        SSL *ssl;
        PyObject *ctx;
    } PySSLSocket;
    """
    ctypedef struct PySSLSocket:
        SSL *ssl
        PyObject *ctx

cdef enum:
    SSL_ERROR_WANT_READ = 2

# The prototypes of OpenSSL 1.1.1 and 3.
ctypedef int (*SSL_do_handshake_t)(SSL *ssl) noexcept nogil
ctypedef int (*SSL_get_error_t)(const SSL *ssl, int result) noexcept nogil
ctypedef BIO *(*SSL_get_bio_t)(const SSL *ssl) noexcept nogil
ctypedef void (*SSL_set0_bio_t)(SSL *ssl, BIO *bio) noexcept nogil
ctypedef int (*BIO_up_ref_t)(BIO *bio) noexcept nogil
ctypedef void (*ERR_clear_error_t)() noexcept nogil
ctypedef unsigned long (*ERR_peek_last_error_t)() noexcept nogil
ctypedef const char *(*ERR_reason_error_string_t)(unsigned long error) noexcept nogil

cdef SSL_do_handshake_t SSL_do_handshake
cdef SSL_get_error_t SSL_get_error
cdef SSL_get_bio_t SSL_get_rbio, SSL_get_wbio
cdef SSL_set0_bio_t SSL_set0_rbio, SSL_set0_wbio
cdef BIO_up_ref_t BIO_up_ref
cdef ERR_clear_error_t ERR_clear_error
cdef ERR_peek_last_error_t ERR_peek_last_error
cdef ERR_reason_error_string_t ERR_reason_error_string


cdef bint _look_up() except -1:
    """Whether every function was found where ``_ssl`` has its own from."""
    global SSL_do_handshake, SSL_get_error, SSL_get_rbio, SSL_get_wbio, SSL_set0_rbio, SSL_set0_wbio
    global BIO_up_ref, ERR_clear_error, ERR_peek_last_error, ERR_reason_error_string
    cdef void *library
    path = getattr(_ssl, "__file__", None)
    if path is None:
        return False
    library = dlopen(path.encode(), RTLD_NOW | RTLD_NOLOAD)
    if library == NULL:
        return False
    SSL_do_handshake = <SSL_do_handshake_t> dlsym(library, "SSL_do_handshake")
    SSL_get_error = <SSL_get_error_t> dlsym(library, "SSL_get_error")
    SSL_get_rbio = <SSL_get_bio_t> dlsym(library, "SSL_get_rbio")
    SSL_get_wbio = <SSL_get_bio_t> dlsym(library, "SSL_get_wbio")
    SSL_set0_rbio = <SSL_set0_bio_t> dlsym(library, "SSL_set0_rbio")
    SSL_set0_wbio = <SSL_set0_bio_t> dlsym(library, "SSL_set0_wbio")
    BIO_up_ref = <BIO_up_ref_t> dlsym(library, "BIO_up_ref")
    ERR_clear_error = <ERR_clear_error_t> dlsym(library, "ERR_clear_error")
    ERR_peek_last_error = <ERR_peek_last_error_t> dlsym(library, "ERR_peek_last_error")
    ERR_reason_error_string = <ERR_reason_error_string_t> dlsym(library, "ERR_reason_error_string")
    return (
        SSL_do_handshake != NULL and SSL_get_error != NULL and SSL_get_rbio != NULL
        and SSL_get_wbio != NULL and SSL_set0_rbio != NULL and SSL_set0_wbio != NULL
        and BIO_up_ref != NULL and ERR_clear_error != NULL and ERR_peek_last_error != NULL
        and ERR_reason_error_string != NULL
    )


cdef bint _is_laid_out_as_known(object sslobj, object context) except -1:
    """Returns whether the SSL pointer stands where it is expected: between NULL (there is no socket) and the
    context."""
    cdef PyObject **members = <PyObject **> (<char *> <PyObject *> sslobj + sizeof(PyObject))
    return (
        type(sslobj).__basicsize__ >= <Py_ssize_t> sizeof(PySSLSocket)
        and members[0] == NULL
        and members[1] != NULL
        and (<PySSLSocket *> sslobj).ctx == <PyObject *> context
    )


def _connection(incoming, outgoing):
    """The C object of a connection that nobody uses, on these BIOs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return context.wrap_bio(incoming, outgoing, server_side=True)._sslobj


cdef object SSLConnection = type(_connection(ssl.MemoryBIO(), ssl.MemoryBIO()))


cdef bint _check() except -1:
    sslobj = _connection(ssl.MemoryBIO(), ssl.MemoryBIO())
    return _look_up() and _is_laid_out_as_known(sslobj, sslobj.context)


is_available = _check()


def available() -> bool:
    """Whether OpenSSL can be reached here."""
    return is_available


cdef SSL *ssl_of(object sslobj) except NULL:
    """The SSL pointer of an ``ssl.SSLObject`` or of the C object in it. It lives as long as that."""
    sslobj = getattr(sslobj, "_sslobj", sslobj)
    if not is_available or type(sslobj) is not SSLConnection:
        raise TypeError("not a TLS connection of Python's ssl module")
    return (<PySSLSocket *> sslobj).ssl


cdef class SharedBios:
    """A pair of memory BIOs for all established TLS connections that one thread serves.

    Between two calls of OpenSSL nothing is left in them: what is received goes in and is consumed at
    once (the beginning of a record is kept by the connection), and what comes out is taken at once.
    So one pair serves any number of connections, and none of them has buffers of its own.
    """

    def __init__(self):
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        if is_available:
            self.sslobj = _connection(self.incoming, self.outgoing)
            self.reads_from = SSL_get_rbio(ssl_of(self.sslobj))
            self.writes_to = SSL_get_wbio(ssl_of(self.sslobj))

    cdef tuple lend(self, object sslobj, object incoming, object outgoing):
        """Let an established connection use this pair for the rest of its life, in place of its own BIOs.

        Returns the pair that it uses from now on: its own if the BIOs cannot be exchanged.
        """
        cdef SSL *connection
        if not is_available or type(sslobj) is not SSLConnection or incoming.pending or outgoing.pending:
            return incoming, outgoing
        connection = ssl_of(sslobj)
        BIO_up_ref(self.reads_from)
        SSL_set0_rbio(connection, self.reads_from)
        BIO_up_ref(self.writes_to)
        SSL_set0_wbio(connection, self.writes_to)
        return self.incoming, self.outgoing


cdef int do_handshake(SSL *connection, const char **reason) noexcept nogil:
    """One step of a handshake: HANDSHAKE_DONE, or _UNFINISHED until the other side has answered, or
    _FAILED with a reason that lives for ever, or NULL."""
    cdef int result, error
    ERR_clear_error()
    result = SSL_do_handshake(connection)
    if result == 1:
        return HANDSHAKE_DONE
    error = SSL_get_error(connection, result)
    if error == SSL_ERROR_WANT_READ:
        return HANDSHAKE_UNFINISHED
    reason[0] = ERR_reason_error_string(ERR_peek_last_error())
    ERR_clear_error()
    return HANDSHAKE_FAILED
