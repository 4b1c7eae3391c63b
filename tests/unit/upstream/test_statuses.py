"""Every refusal of intake has its status, and a status that clients take for what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gateway.routing.numbers import Reason
from gateway.smpp import vocabulary as v
from gateway.smpp.status import StatusClass, classify
from gateway.upstream.statuses import STATUS_OF_CODE, status_of

ROOT = Path(__file__).parents[3]

# Refusals of what only an HTTP request can say.
OF_HTTP_ALONE = {
    *("priority_unknown", "encoding_unknown", "text_missing", "udh_without_data", "text_and_data"),
    *("data_empty", "callback_url_not_usable", "message_class_unknown"),
    *("tlv_not_usable", "tlv_not_allowed", "tlvs_too_long"),
}


DECIDING = ("intake", "ways", "particulars", "content")
"""The files in which a request or an order is refused."""


def codes_in_intake() -> set[str]:
    trees = [ast.parse((ROOT / f"gateway/{name}.py").read_text("utf-8")) for name in DECIDING]
    return {
        str(call.args[0].value)
        for tree in trees
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Rejected"
        and isinstance(call.args[0], ast.Constant)
    }


def test_every_refusal_that_an_order_can_meet_is_in_the_table() -> None:
    met = (codes_in_intake() | {reason.value for reason in Reason}) - OF_HTTP_ALONE
    assert len(met) > 15
    assert met - STATUS_OF_CODE.keys() == set()


def test_a_refusal_to_come_is_refused_all_the_same() -> None:
    assert status_of("opted_out") == v.ESME_RSUBMITFAIL


@pytest.mark.parametrize("code", ["number_not_valid", "no_route", "text_too_long", "sender_empty"])
def test_what_will_never_do_is_told_for_good(code: str) -> None:
    assert classify(status_of(code)) is StatusClass.PERMANENT


def test_what_may_do_later_is_tried_again() -> None:
    assert classify(status_of("no_credit")) is StatusClass.RETRY
