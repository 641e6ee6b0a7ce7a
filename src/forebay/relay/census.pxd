cimport cython

from forebay.relay.histogram cimport Histogram

cdef Py_ssize_t _UNKNOWN  # a C integer when compiled; census.py gives it its value

cdef class Demand
cdef class Group


cdef class Line:
    cdef readonly Demand first
    cdef readonly Demand last

    @cython.locals(at=Demand)
    cdef put(self, Demand pool)

    @cython.locals(after=Demand)
    cdef put_behind(self, Demand at, Demand pool)

    @cython.locals(before=Demand, behind=Demand)
    cdef take_out(self, Demand pool)

    @cython.locals(at=Demand)
    cdef move_back(self, Demand pool, double since)

    @cython.locals(at=Demand, pool=Demand, behind=Demand, after=Demand)
    cdef take_over(self, Line other)


cdef class Demand:
    cdef public Py_ssize_t size
    cdef public Py_ssize_t opening
    cdef public Py_ssize_t waiting
    cdef public double waits_since
    cdef public double retry_at
    cdef public bint held_back
    cdef public object line  # a Line
    cdef public Demand before
    cdef public Demand behind
    cdef public object user_group  # a Group, or None
    cdef public object database_group


cdef class Group(Line):
    cdef public Py_ssize_t limit
    cdef public Py_ssize_t size
    cdef public Py_ssize_t idle
    cdef public Py_ssize_t in_demand
    cdef public Py_ssize_t clients
    cdef readonly Demand kept

    @cython.locals(kept=bint)
    cpdef bint is_full(self, Demand pool)
    cpdef bint has_room(self, Demand pool)


cdef class Census(Line):
    cdef public Py_ssize_t limit
    cdef public Py_ssize_t waiting_limit
    cdef public bint on_hold
    cdef public Py_ssize_t size
    cdef public Py_ssize_t opening
    cdef public Py_ssize_t idle
    cdef public Py_ssize_t waiting
    cdef public Py_ssize_t in_demand
    cdef public bint has_others
    # How long clients have waited for a connection (but for those that got one at once), and requests took.
    cdef readonly Histogram waits
    cdef readonly Histogram queries
    cdef readonly Histogram database

    @cython.locals(group=Group)
    cpdef bint is_over_for(self, Demand pool)

    @cython.locals(was_in_demand=bint)
    cpdef resize(self, Demand pool, Py_ssize_t change)
    cdef _resize_group(self, Group group, Demand pool, Py_ssize_t change)

    @cython.locals(group=Group)
    cpdef note_idle(self, Demand pool, Py_ssize_t change)

    @cython.locals(group=Group)
    cpdef bint joined(self, Demand pool, double now)

    @cython.locals(line=Line)
    cpdef move_forward(self, Demand pool, double since)

    @cython.locals(line=Line, group=Group)
    cpdef bint left(self, Demand pool, double since)

    @cython.locals(group=Group)
    cdef _demand(self, Demand pool, Py_ssize_t change)

    @cython.locals(line=Line)
    cpdef regroup(
        self, Demand pool, Group user_group, Group database_group, Py_ssize_t idle,
        Py_ssize_t clients
    )

    @cython.locals(group=Group)
    cdef _count(self, Demand pool, Py_ssize_t sign, Py_ssize_t idle, Py_ssize_t clients)
    cpdef release(self, Group group)

    @cython.locals(group=Group)
    cdef Group _obstacle(self, Demand pool, Demand owner)
    cpdef Demand neediest(self, Demand owner, double now)

    @cython.locals(pool=Demand, behind=Demand, group=Group)
    cdef Demand _first_able(self, Line line, Demand owner, double now)
    cpdef Demand claimant(self, Demand owner, double now)

    @cython.locals(other=Demand, found=Demand, group=Group, limit=Py_ssize_t, sharing=Py_ssize_t, share=Py_ssize_t)
    cdef Demand _claimant(self, Demand owner, double now, bint is_full)

    @cython.locals(is_full=bint)
    cpdef bint takes(self, Demand owner, double now)

    @cython.locals(group=Group, pool=Demand, other=Group, share=Py_ssize_t)
    cdef bint _keeps(self, Demand owner, double now)


cdef bint may_open(Demand pool, double now)
