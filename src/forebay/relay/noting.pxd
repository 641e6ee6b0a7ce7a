from .connection cimport Connection


cdef bytes UNKNOWN_STATEMENT

cdef bint note_parameter(Connection server, const unsigned char *body, Py_ssize_t count) except -1
cdef int note_tag(Connection server, const unsigned char *tag, Py_ssize_t count) except -1
cdef bint note_forgotten(Connection server, const unsigned char *tag, Py_ssize_t count) except -1
cdef bint is_last_word(const unsigned char *frame, Py_ssize_t total) except -1
cdef bint is_read_only(const unsigned char *frame, Py_ssize_t total) except -1
cdef bint note_ending(Connection server, const unsigned char *frame, Py_ssize_t total) except -1
cdef int note_notice(Connection server, const unsigned char *frame, Py_ssize_t total) except -1
cdef int note_error(Connection server, const unsigned char *frame, Py_ssize_t total) except -1
