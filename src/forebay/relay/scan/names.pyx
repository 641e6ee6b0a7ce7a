# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
"""Whether a text names one of the functions that an operator lists.

The glance knows the functions that matter everywhere; what one operator lists is looked for here,
and only where something is listed. As with the glance, False is certain and True is not: any word
counts, whatever stands around it, in strings and comments too.

That is certain because names that are listed hold nothing but ASCII letters, digits, _ and $. Such
a name stands in a text as it is, in some case, between bytes that are no part of it. The exceptions
(``U&"..."``, words glued to numbers, letters beyond ASCII outside quotes) do not pass the glance.
"""

from libc.string cimport memcmp, memset

cdef unsigned char FOLDED[256]  # bytes of words in lower case; 0: no part of a word


def _fill_table():
    for byte in range(256):
        character = chr(byte)
        is_part = byte < 128 and (character.isalnum() or character in "_$")
        FOLDED[byte] = ord(character.lower()) if is_part else 0


_fill_table()


cdef class FunctionNames:
    """Names to look for, without their schemas, in any case; longer ones are cut."""

    def __cinit__(self, names):
        folded = sorted({bytes(name[:NAME_BYTES]).lower() for name in names})
        self.packed = b"".join(bytes([len(name)]) + name for name in folded)
        for name in folded:
            self.lengths[<unsigned char> name[0]] |= (<uint64_t> 1) << <int> len(name)

    def named_in(self, bytes text not None) -> bool:
        """Whether `text` may name one of them."""
        return self.are_in(text, len(text))

    cdef bint are_in(self, const unsigned char *text, Py_ssize_t size) noexcept:
        """Whether a whole text may name one of them."""
        cdef Word word
        word.size = 0
        return self.go_on(&word, text, size) or self._is_one(&word)

    cdef bint go_on(self, Word *word, const unsigned char *text, Py_ssize_t size) noexcept:
        """As ``are_in``, for the next piece of a text; the last one ends with a zero byte. `word` carries an
        unfinished word from piece to piece."""
        cdef Py_ssize_t at
        cdef unsigned char byte
        for at in range(size):
            byte = FOLDED[text[at]]
            if byte:
                if word.size < NAME_BYTES:
                    word.text[word.size] = byte
                    word.size += 1
            elif word.size:
                if self._is_one(word):
                    return True
                word.size = 0
        return False

    cdef bint _is_one(self, const Word *word) noexcept:
        cdef const unsigned char *at = self.packed
        cdef const unsigned char *end = at + len(self.packed)
        if word.size == 0 or not (self.lengths[word.text[0]] >> word.size) & 1:
            return False
        while at < end:
            if at[0] == word.size and memcmp(at + 1, word.text, word.size) == 0:
                return True
            at += 1 + at[0]
        return False


cdef class NamesInPieces:
    """The same for a text that arrives in pieces."""

    cdef FunctionNames names
    cdef Word word

    def __cinit__(self, FunctionNames names not None):
        self.names = names
        memset(&self.word, 0, sizeof(Word))

    def feed(self, bytes piece not None) -> bool:
        """Whether one of the names may end in this piece; a zero byte ends the text."""
        return self.names.go_on(&self.word, piece, len(piece))
