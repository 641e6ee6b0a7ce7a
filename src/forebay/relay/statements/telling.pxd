from ..connection cimport Borrower, Connection
from ..frames cimport Frame
from .entries cimport Held, Named, Unnamed
from .prepared cimport Question
from .statement cimport Statement, Told


cdef Statement as_told(Borrower client, Statement statement, Told told)
cdef bint keeps(Borrower client, Statement statement, Named entry) except -1
cdef int ask(Connection server, Question question, Borrower client, bytes describe) except -1
cdef Question owe_question(
    Connection server, int action, Statement statement, Held there, Named named, Unnamed unnamed
)
cdef bint describe_portal(Borrower client, Frame *frame) except -1
