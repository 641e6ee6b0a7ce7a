"""For how long a database could be reached."""

from forebay.worker.pool.reach import Reach


def test_from_the_first_connection_until_none_can_be_opened() -> None:
    reach = Reach()
    assert not reach.is_reached
    assert reach.total_s(100.0) == 0.0
    reach.lost(100.0)
    reach.found(110.0)
    reach.found(115.0)  # another one
    assert reach.is_reached
    assert reach.total_s(130.0) == 20.0
    reach.lost(140.0)
    reach.lost(150.0)
    assert not reach.is_reached
    assert reach.total_s(1000.0) == 30.0
    reach.found(1000.0)
    assert reach.total_s(1001.0) == 31.0
