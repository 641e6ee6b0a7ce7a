from .examiner cimport Examiner


cdef bytes READY_IDLE


cdef class ClientState(Examiner):
    cdef public int protocol_minor
    cdef readonly bint greeted
    cdef readonly object startup  # the settings it logged in with
    cdef public object evacuation  # of databases that its statement needs for itself; mostly None
    cdef public double connected_at
    cdef public double last_active
    cdef public Py_ssize_t unsent_seen  # what had not been taken when somebody looked last
    cdef int last_kind  # of the messages that have gone to a connection
    cdef object judged  # the settings that it had when `is_under` was found
    cdef object is_under  # pg_temp, by its own search_path; None: it has none of its own
    cdef bint held_back  # a connection is lent, and its settings are not confirmed yet
    cdef int losses  # connections in a row that ended before they were
    cdef int refusals  # ... or would not take its settings
    cdef bint skipping  # an error was sent in the extended protocol: everything up to Sync is discarded
    cdef object refusal  # the error that answers the next message that would need a connection
    cdef object farewell  # the FATAL error that ends the client when its transaction is over

    cdef bint _borrow(self) except -1
    cdef int _recover(self) except -1
    cdef int _terminate(self) except -1
    cdef int _end_if_gone(self) except -1
    cdef int _end(self, object reason, bint vanished) except -1
    cdef bint _may_part(self) except -1
    cpdef set_pinned(self, bint pinned)
    cpdef start(self, bytes early)
    cpdef welcome(self, bytes greeting)
    cpdef say(self, bytes message)
    cpdef refuse(self, bytes error)
    cpdef answer(self, bytes error)
    cpdef fail(self, bytes error, str reason)
    cpdef part(self, bytes farewell)
    cpdef drop(self)
