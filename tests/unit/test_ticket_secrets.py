"""Secrets and blocks."""

import datetime as dt

import pytest
from sample_orders import EVENT, NOW, order, position

from engine.domain.errors import NotFound
from engine.domain.ticket_secrets import add_block, regenerate, regenerate_all, remove_block

LATER = NOW + dt.timedelta(minutes=1)


def records(current):
    return [(record.secret, record.blocked, record.updated) for record in current.blocked_secrets]


def test_all_live_tickets_and_the_order_get_new_secrets():
    current = order(positions=(position(1), position(2, canceled=True)))
    done = regenerate_all(current, EVENT, NOW).order
    assert done.secret != current.secret
    assert done.positions[0].secret != "s1"
    assert done.positions[1].secret == "s2"


def test_one_ticket_gets_a_new_secret():
    current = order(positions=(position(1), position(2)))
    done = regenerate(102)(current, EVENT, NOW).order
    assert (done.secret, done.positions[0]) == (current.secret, current.positions[0])
    assert len(done.positions[1].secret) == 32


def test_blocks_collect_and_the_secret_is_good_again_after_the_last():
    blocked = add_block(101, "admin")(order(), EVENT, NOW).order
    assert add_block(101, "admin")(blocked, EVENT, LATER).order == blocked
    twice = add_block(101, "api:x")(blocked, EVENT, NOW).order
    assert twice.positions[0].blocked == ("admin", "api:x")
    once = remove_block(101, "admin")(twice, EVENT, LATER).order
    assert records(once) == [("s1", True, NOW)]
    none = remove_block(101, "api:x")(once, EVENT, LATER).order
    assert none.positions[0].blocked is None
    assert records(none) == [("s1", False, LATER)]
    assert remove_block(101, "api:x")(none, EVENT, LATER).order == none


def test_a_replaced_secret_stays_on_record():
    blocked = add_block(101, "admin")(order(), EVENT, NOW).order
    done = regenerate(101)(blocked, EVENT, LATER).order
    assert done.positions[0].blocked == ("admin",)
    assert records(done) == [("s1", True, NOW)]
    assert records(remove_block(101, "admin")(done, EVENT, LATER).order) == [("s1", True, NOW)]


def test_canceled_and_unknown_tickets_have_no_secrets_to_change():
    current = order(positions=(position(1, canceled=True), position(2)))
    for rule in (regenerate(101), add_block(101, "admin"), remove_block(109, "admin")):
        with pytest.raises(NotFound):
            rule(current, EVENT, NOW)
