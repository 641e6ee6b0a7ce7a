"""TLS records, between plain bytes and the memory BIOs of Python's ``ssl``. Nothing is left in the BIO of what
came between two calls: all peers may share it (openssl.pyx)."""

import ssl

cdef extern from "Python.h":
    enum:
        PyBUF_READ
        PyBUF_WRITE
    object PyMemoryView_FromMemory(char *memory, Py_ssize_t size, int flags)

cdef object SSLWantRead = ssl.SSLWantReadError
cdef object SSLError = ssl.SSLError


cdef Py_ssize_t decrypt(
    object tls, object incoming, const unsigned char *ciphered, Py_ssize_t count, unsigned char *into,
    bint *ended,
) except -3:
    """Decrypt what came, and all that came before: nothing waits inside `tls`. Returns how many bytes of plain text
    there are now, NOTHING_YET, or FAILED; `ended`: the other side has said that it sends no more."""
    cdef Py_ssize_t total = 0
    incoming.write(PyMemoryView_FromMemory(<char *> ciphered, count, PyBUF_READ))
    try:
        while True:
            count = tls.read(
                TLS_RECORD_LIMIT,
                PyMemoryView_FromMemory(<char *> into + total, TLS_RECORD_LIMIT, PyBUF_WRITE),
            )
            total += count
            ended[0] = count == 0
            if count == 0 or (not incoming.pending and not tls.pending()):
                break
    except SSLWantRead:
        if total == 0:
            total = NOTHING_YET
    except SSLError:
        if total == 0:
            total = FAILED
    finally:
        if incoming.pending:  # what nobody will read must not be there for others to read
            incoming.read()
    return total


cdef int encrypt(object tls, const unsigned char *data, Py_ssize_t count) except -1:
    """Encrypt plain bytes. Where the stream is broken the reading side notices, and says why."""
    cdef Py_ssize_t part
    try:
        while count:
            part = min(count, <Py_ssize_t> TLS_RECORD_BYTES)
            tls.write(PyMemoryView_FromMemory(<char *> data, part, PyBUF_READ))
            data += part
            count -= part
    except SSLError:
        pass
    return 0


cdef int say_goodbye(object tls) except -1:
    """close_notify is to be sent; the answer to it is not waited for."""
    try:
        tls.shutdown()
    except SSLError:
        pass
    return 0
