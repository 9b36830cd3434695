"""One replica's decisions, and two replicas joined directly."""

from common.protocol import Done, Value, View
from lab1_pbservice.pbservice import core
from lab1_pbservice.pbservice.core import Replica
from lab1_pbservice.pbservice.messages import Accepted, Forward, NotBackup, NotSynced, Read, TooLong, Transfer, Write


def put(seq: int, value: str, client: int = 1, key: str = "k") -> Write:
    return Write(client, seq, key, value, append=False)


def append(seq: int, value: str, client: int = 1, key: str = "k") -> Write:
    return Write(client, seq, key, value, append=True)


def pair() -> tuple[Replica, Replica]:
    """Primary a and backup b of view 2, with "k" = "1" from before b came, and everything transferred."""
    a, b = Replica("a"), Replica("b")
    a.learn(View(1, "a", ""))
    a.execute([put(1, "1")])
    for replica in (a, b):
        replica.learn(View(2, "a", "b"))
    hand_over(a, b)
    return a, b


def hand_over(a: Replica, b: Replica) -> None:
    for part in a.transfer():
        assert b.transferred(part) == Accepted()
    a.backup_is_synced = True


def test_a_write_is_executed_once() -> None:
    replica = Replica("a")
    assert replica.execute([append(1, "x"), append(1, "x"), Read("k")]) == [Done(), Done(), Value("x")]
    assert replica.execute([append(2, "x"), append(1, "x"), Read("k")]) == [Done(), Done(), Value("xx")]


def test_the_duplicate_table_has_one_entry_a_client() -> None:
    replica = Replica("a")
    for seq in range(1, 1000):
        replica.execute([append(seq, "x", client=seq % 3)])
    assert len(replica.newest) == 3


def test_a_value_that_would_be_too_long_changes_nothing() -> None:
    replica = Replica("a")
    half = "x" * (core.MAX_VALUE // 2 + 1)
    assert replica.execute([append(1, half), append(2, half)]) == [Done(), TooLong(core.MAX_VALUE)]
    assert replica.execute([Read("k"), append(3, "y")]) == [Value(half), Done()]


def test_a_write_that_was_refused_stays_refused_should_a_copy_come_later() -> None:
    replica = Replica("a")
    half = "x" * (core.MAX_VALUE // 2 + 1)
    replica.execute([append(1, half), append(2, half), put(1, "short", client=2)])
    assert replica.execute([append(2, half), Read("k")]) == [TooLong(core.MAX_VALUE), Value("short")]


def test_the_first_primary_is_valid_and_a_later_newcomer_is_not() -> None:
    first, late = Replica("a"), Replica("a")
    first.learn(View(1, "a", ""))
    late.learn(View(2, "a", ""))
    assert first.is_primary
    assert not late.is_primary
    assert late.ping_viewnum == 1, "it must not acknowledge a view whose data it does not have"


def test_primary_and_backup_say_that_a_view_is_done_when_the_data_has_arrived() -> None:
    a, b = Replica("a"), Replica("b")
    for replica in (a, b):
        replica.learn(View(1, "a", ""))
        replica.learn(View(2, "a", "b"))
    assert (a.ping_viewnum, b.ping_viewnum) == (1, 1)
    hand_over(a, b)
    assert (a.ping_viewnum, b.ping_viewnum) == (2, 2)


def test_a_batch_is_executed_once_however_often_it_comes() -> None:
    a, b = pair()
    request = a.forward([append(2, "2"), Read("k")])
    assert [b.forwarded(request), b.forwarded(request)] == [Accepted(), Accepted()]
    assert b.execute([Read("k")]) == [Value("12")]


def test_a_batch_after_a_gap_is_not_executed() -> None:
    _, b = pair()
    assert b.forwarded(Forward(2, 2, [append(9, "later")])) == NotSynced()


def test_a_backup_without_the_data_says_so() -> None:
    b = Replica("b")
    b.learn(View(2, "a", "b"))
    assert b.forwarded(Forward(2, 1, [])) == NotSynced()


def test_only_the_backup_of_the_very_view_listens() -> None:
    a, b = pair()
    old = a.forward([])
    b.learn(View(3, "b", ""))
    assert b.forwarded(old) == NotBackup(3)
    assert b.transferred(a.transfer()[0]) == NotBackup(3)
    assert b.is_primary


def test_a_backup_that_has_everything_can_take_over_and_knows_the_duplicates() -> None:
    a, b = pair()
    b.forwarded(a.forward([append(2, "2")]))
    b.learn(View(3, "b", ""))
    assert b.execute([append(2, "2"), put(1, "1"), Read("k")])[-1] == Value("12")


def test_who_is_left_out_forgets() -> None:
    a, _ = pair()
    a.learn(View(3, "b", ""))
    assert not a.values
    assert not a.newest
    a.learn(View(4, "b", "a"))
    a.learn(View(5, "a", ""))
    assert not a.is_primary, "it was promoted without ever getting the data"


def test_old_news_is_no_news() -> None:
    a, _ = pair()
    assert not a.learn(View(1, "a", ""))
    assert not a.learn(View(2, "a", "b"))
    assert a.is_primary


def test_a_transfer_in_parts_counts_when_the_last_has_come_in_any_order() -> None:
    a = Replica("a")
    a.learn(View(1, "a", ""))
    a.execute([put(seq, "v" * (core.MAX_PART // 2), key=f"k{seq}") for seq in range(1, 6)])
    a.learn(View(2, "a", "b"))
    parts = a.transfer()
    assert len(parts) == 3
    b = Replica("b")
    b.learn(View(2, "a", "b"))
    for part in (parts[2], parts[0], parts[2], parts[0]):
        b.transferred(part)
        assert not b.is_valid
    b.transferred(parts[1])
    assert b.is_valid
    assert (b.values, b.newest) == (a.values, a.newest)


def test_a_late_part_of_an_older_state_does_not_undo_anything() -> None:
    a, b = pair()
    late = a.transfer()
    request = a.forward([append(2, "2")])
    b.forwarded(request)
    a.execute([append(2, "2")])
    for part in late:
        assert b.transferred(part) == Accepted()
    assert b.values == {"k": "12"}


def test_parts_of_two_states_are_never_mixed() -> None:
    """b restarted within the view, and the first part of what its predecessor got comes late."""
    b = Replica("b")
    b.learn(View(2, "a", "b"))
    b.transferred(Transfer(2, 0, 0, 2, {"x": "old"}, {}))
    b.transferred(Transfer(2, 5, 1, 2, {"y": "new"}, {1: 1}))
    assert not b.is_valid
    b.transferred(Transfer(2, 0, 1, 2, {"y": "old"}, {}))
    assert not b.is_valid
    b.transferred(Transfer(2, 5, 0, 2, {"x": "new"}, {}))
    assert b.values == {"x": "new", "y": "new"}
    assert b.batch == 5
