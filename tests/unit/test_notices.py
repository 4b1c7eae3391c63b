from __future__ import annotations

import msgspec

from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.notices import build_notice
from gateway.outcomes import Party

ACCOUNT = AccountId(7)
MESSAGE = MessageId(1001)
PARTY = Party("Shop", "447400123456", "order 17", "spring", "", 1)


def test_a_notice_says_what_became_of_which_message_and_has_an_id_of_its_own() -> None:
    notice = build_notice(ACCOUNT, MESSAGE, PARTY, Status.UNDELIVERED, "err 013", 5.0)
    assert (notice.account_id, notice.message_id, notice.url, notice.created_at) == (
        ACCOUNT,
        MESSAGE,
        "",
        5.0,
    )
    assert msgspec.json.decode(notice.body) == {
        "id": "1001-undelivered",
        "type": "message.undelivered",
        "message_id": "1001",
        "status": "undelivered",
        "to": "447400123456",
        "from": "Shop",
        "segments": 1,
        "client_ref": "order 17",
        "tag": "spring",
        "error": "err 013",
        "at": 5.0,
    }
