cimport cython

from forebay.relay.census cimport Census, Demand, Group
from forebay.relay.tally cimport Tally


cdef class Waiter:
    # Links of the queue it waits in; None when it does not wait.
    cdef public MicroPool waiting_in
    cdef public Waiter waits_before
    cdef public Waiter waits_behind
    cdef public double waits_since


@cython.final
cdef class MicroPool(Demand):
    cdef readonly str database
    cdef readonly str user
    cdef readonly Census census
    cdef readonly object manager
    cdef readonly object changeover
    cdef readonly list idle
    cdef readonly Waiter first_waiter
    cdef readonly Waiter last_waiter
    cdef public Py_ssize_t clients
    cdef public Py_ssize_t borrowed
    cdef readonly Tally tally
    cdef public unsigned long long schema
    cdef public bint keeps_next

    cpdef begin_opening(self)
    cpdef end_opening(self, bint opened)
    cpdef take(self, object server)
    cpdef drop(self, object server)
    cpdef join(self, Group user_group, Group database_group)
    cpdef note_clients(self, Py_ssize_t change)

    @cython.locals(index=cython.Py_ssize_t)
    cpdef object borrow(self, object settings)

    @cython.locals(index=cython.Py_ssize_t)
    cpdef object borrow_last(self, int process_id, unsigned long long lease)

    @cython.locals(tail=Waiter)
    cpdef wait(self, Waiter waiter, double now)

    @cython.locals(at=Waiter, after=Waiter, more=bint)
    cpdef take_place(self, Waiter waiter, double since, double now)
    cdef note_wait(self, double wait_s)

    @cython.locals(before=Waiter, behind=Waiter, first=Waiter)
    cpdef leave(self, Waiter waiter)

    @cython.locals(waiter=Waiter)
    cpdef Waiter next_waiter(self)

    @cython.locals(keeps=bint, waiter=Waiter)
    cpdef Waiter give_back(self, object server, bint retired, double now)
