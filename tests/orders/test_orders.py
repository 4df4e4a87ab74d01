"""The order path as a whole, on virtual time: what a caller of `orders` is promised."""

import pytest
from tests.orders.puppets import House, entry

from allstop.actors.protocols.records import IntentCommitted

pytestmark = pytest.mark.virtual


async def test_an_order_is_answered_when_it_is_durable_and_before_it_is_sent() -> None:
    async with House(commit_s=0.05) as house:
        view = await house.place(entry("a"))
        assert view.state == "INTENT"
        assert [record.intent.id for record in house.records(IntentCommitted)] == ["a"]
        assert house.strings.sent == []


async def test_an_accepted_order_is_new_with_the_venues_id() -> None:
    async with House() as house:
        await house.place(entry("a"))
        view = await house.until("a", "NEW")
        assert view.report is not None
        assert view.report.order_id == "O1"
        assert house.strings.sent == ["ENTRY a 1"]
