"""What a text may do to a transaction."""


cdef enum CONTROL:
    NO_CONTROL = 1  # it is sent, and neither begins nor ends one
    BEGINS = 2
    ENDS = 4  # otherwise than by rolling it back
    ROLLS_BACK = 8
    HIDES = 16  # it may begin one somewhere in its middle
    SEVERAL = 32  # more than one statement, or not seen as a whole

cdef int control_of(const unsigned char *text, Py_ssize_t size) noexcept
cpdef int control_in(bytes text)
