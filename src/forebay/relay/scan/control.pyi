"""What a text may do to a transaction."""

def control_in(text: bytes) -> int: ...

BEGINS_BIT: int
ENDS_BIT: int
ROLLS_BACK_BIT: int
HIDES_BIT: int
SEVERAL_BIT: int
