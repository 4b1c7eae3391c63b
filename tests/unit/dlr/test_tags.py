"""Our numbers of SMPP against those of an implementation that we did not write."""

from __future__ import annotations

from smpplib import consts

from gateway.dlr import tags


def test_tags_agree_with_smpplib() -> None:
    theirs = consts.OPTIONAL_PARAMS
    assert theirs["receipted_message_id"] == tags.TAG_RECEIPTED_MESSAGE_ID
    assert theirs["network_error_code"] == tags.TAG_NETWORK_ERROR_CODE
    assert theirs["message_payload"] == tags.TAG_MESSAGE_PAYLOAD
    assert theirs["message_state"] == tags.TAG_MESSAGE_STATE


def test_the_marks_of_a_receipt_are_apart_from_those_of_acknowledgements() -> None:
    acknowledgements = consts.SMPP_MSGTYPE_DELIVERYACK | consts.SMPP_MSGTYPE_USERACK
    assert (tags.ESM_CLASS_RECEIPT | tags.ESM_CLASS_INTERMEDIATE) & acknowledgements == 0
