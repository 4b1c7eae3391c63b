"""The OpenAPI document: what the framework generated, made complete.

Pure. The framework can't know what fields mean, which words they take and how a refused batch
looks. `lower_to_30` makes the copy for the pages under /docs: the bundled Swagger UI reads
OpenAPI 3.0 only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.api.openapi import BEARER
from gateway.api.problems import title_of
from gateway.api.queries import READABLE_STATUSES
from gateway.fallback.terms import TRIGGERS, FallbackState
from gateway.lifecycle import EventKind
from gateway.model import ENCODINGS, LANES, Encoding
from gateway.views import EMAIL_EVENTS

Json = dict[str, Any]

_RECIPIENT = {"description": "The recipient in international form."}
_CONTENT_FIELDS: dict[str, Json] = {
    "from": {
        "description": "The sender: a number, a short code or up to 11 GSM characters. Without it "
        "the account's own."
    },
    "text": {"description": "The text; long ones are split into segments."},
    "data": {"description": "Binary content in hex, instead of `text`."},
    "udh": {"description": "User data header in hex with its length octet; goes with `data`."},
    "encoding": {
        "description": "auto takes GSM 03.38 where the text fits into it, else UCS-2.",
        "enum": ["auto", *ENCODINGS],
    },
    "message_class": {
        "description": "0 is shown at once and kept nowhere (flash), 1 is for the phone, 2 for the "
        "SIM card, 3 for what is connected to it.",
    },
    "smart": {
        "description": "Replaces curly quotes, dashes, ellipses, special spaces and the like, "
        "where that is enough for the text to need no UCS-2. The text that is kept is what is "
        "sent. Without it as the carrier's settings say.",
    },
    "client_ref": {"description": "Your own reference; it also makes a repeat harmless."},
    "tag": {"description": "Your own label, to search by."},
    "send_at": {
        "description": "When to send, RFC 3339 with an offset: up to 35 days ahead, unless the "
        "settings say otherwise. What is up to 15 minutes past is sent at once, older is refused.",
        "format": "date-time",
    },
    "validity_s": {"description": "How long it may wait and be retried, in seconds."},
    "priority": {"description": "The lane that it leaves by.", "enum": list(LANES)},
    "callback_url": {"description": "Where this message's own events go.", "format": "uri"},
    "fallback": {
        "description": "What happens when the message does not reach its phone. Without it, what "
        "the account's rule says."
    },
    "tlvs": {
        "description": "SMPP TLVs for the carrier, as on submissions over SMPP: by tag, such as "
        "`0x1401`, or by SMPP's name; a text (a number where SMPP wants one), or octets in hex "
        "behind `0x`. They go with every segment; a carrier's settings may leave them out.",
        "examples": [{"0x1400": "1101234567890", "0x1401": "1107160000000000001"}],
    },
}
_EMAIL_FIELDS: dict[str, Json] = {
    "to": {"description": "The address; a template of id, to, sender, client_ref, tag, country."},
    "subject": {"description": "A template; without it the account's rule's."},
    "text": {"description": "A template; text or html is needed, and both are fine."},
    "html": {"description": "A template, into which variables are escaped."},
    "after_s": {
        "description": "How long after it could leave the message has to be delivered; then it "
        "counts as without receipt. Without it, `messages.receipt_timeout_s` of the settings "
        "decides.",
    },
    "on": {
        "description": "What the email is sent for; without it, for any of them.",
        "items": {"type": "string", "enum": list(TRIGGERS)},
    },
    "reply_to": {"description": "Where answers go.", "format": "email"},
}

_PROBLEM_FIELDS: dict[str, Json] = {
    "code": {"description": "A stable word for programs."},
    "field": {"description": "The path of what is wrong in the request; empty: all of it."},
    "detail": {"description": "A sentence for people."},
    "retry_after_s": {"description": "When to try again, as in Retry-After."},
}
_SUMMARY_FIELDS: dict[str, Json] = {
    "to": {"description": "The recipient in E.164 digits."},
    "status": {"enum": list(READABLE_STATUSES)},
    "encoding": {"enum": [encoding.wire for encoding in Encoding]},
    "priority": {"enum": list(LANES)},
    "price": {"description": "What the whole message costs; an exact decimal."},
    "country": {"description": "ISO 3166 alpha-2 of the recipient's number, or empty."},
}
_FIELDS: dict[str, dict[str, Json]] = {
    "SendRequest": {**_CONTENT_FIELDS, "to": _RECIPIENT},
    "Content": _CONTENT_FIELDS,
    "FallbackRequest": {
        "email": {"description": "An email. Null: nothing, also if the account has a rule."}
    },
    "EmailRequest": _EMAIL_FIELDS,
    "QuoteRequest": {
        **_CONTENT_FIELDS,
        "to": {"description": "One recipient, or many of the same message."},
        "messages": {"description": "Each message written out."},
        "defaults": {"description": "What all messages of `to` have in common."},
    },
    "BatchRequest": {
        "messages": {"description": "Each message written out.", "minItems": 1},
        "defaults": {"description": "What all messages of `to` have in common."},
        "to": {"description": "The recipients of `defaults`, a message each.", "minItems": 1},
    },
    "Problem": _PROBLEM_FIELDS,
    "ReadinessProblem": _PROBLEM_FIELDS,
    "MessageSummary": _SUMMARY_FIELDS,
    "MessageView": {
        **_SUMMARY_FIELDS,
        "parts": {"description": "One a segment."},
        "events": {"description": "In order."},
        "fallback": {"description": "Its fallback, where it has one."},
        "tlvs": {"description": "SMPP TLVs that go with it, in hex by tag."},
    },
    "FallbackView": {
        "state": {"enum": [state.wire for state in FallbackState]},
        "on": {"items": {"type": "string", "enum": list(TRIGGERS)}},
        "due_at": {"description": "When it is sent or tried next, where that is known."},
        "reason": {"description": "What it was sent for, or tried."},
        "settled_at": {"description": "When it was sent, failed, or turned out not to be needed."},
        "reply": {"description": "What the mail server said last, or why it could not be asked."},
    },
    "EventView": {
        "kind": {"enum": [*(kind.wire for kind in EventKind), *EMAIL_EVENTS]},
        "segment": {"description": "1 … segments; 0 when it concerns the whole message."},
        "status": {"description": "The message's status after this event."},
        "command_status": {"description": "The SMPP command_status by name."},
        "error": {"description": "The receipt's err or network error, or the reason in a word."},
        "posted": {"description": "What of the price it charged; empty for nothing."},
        "voided": {"description": "What of it is not charged, as it was not sent."},
        "refunded": {"description": "What was charged and is given back."},
    },
    "Balance": {
        "available": {"description": "What is neither spent nor reserved; below 0 it is owed."},
        "spendable": {"description": "What can still be spent: to the floor, or to the limit."},
        "reserved": {"description": "Accepted messages that no carrier has taken yet."},
        "posted": {"description": "Messages that carriers took."},
        "refunded": {"description": "What of the posted was given back."},
        "floor": {"description": "What `available` may never go below."},
    },
    "InboundView": {
        "from": {"description": "The phone's number."},
        "to": {"description": "The account's number that it came to."},
        "data": {"description": "All octets in hex, where the text does not say them."},
        "udh": {"description": "User data header in hex, without what numbers segments."},
        "encoding": {
            "description": "How its octets were read: gsm7, ucs2, binary or a character set."
        },
        "partial": {"description": "Whether segments did not come in time."},
        "missing": {"description": "Their numbers."},
        "received_at": {"description": "When its first segment came."},
    },
    "DeadEventView": {
        "url": {"description": "The message's own callback_url; empty: the account's endpoint."},
        "error": {"description": "Why the last call failed."},
        "event": {"description": "The event as your endpoint would have got it; JSON."},
    },
    "DeadPage": {"next_cursor": {"description": "Empty on the last page."}},
    "ReplayedView": {
        "more": {"description": "Whether there are others that were asked for: ask again."}
    },
    "DepositRequest": {
        "amount": {
            "description": "A decimal text of the account's unit; negative: a correction.",
            "examples": ["100", "-2.5"],
        },
        "author": {"description": "Who decided it; kept behind the key's account and address."},
    },
    "DepositMade": {
        "replayed": {"description": "Whether an earlier call with the same key did this already."}
    },
    "ReplayRequest": {
        "ids": {"description": "Ids of dead events, at most 1,000."},
        "since": {"description": "Those that happened then or later.", "format": "date-time"},
        "all": {"description": "All of them."},
    },
    "InboundPage": {"next_cursor": {"description": "Empty on the last page."}},
    "Page": {"next_cursor": {"description": "Empty on the last page, and on no other."}},
    "CarrierView": {
        "state": {
            "description": "degraded: some binds are down.",
            "enum": ["up", "degraded", "down", "elsewhere"],
        }
    },
    "Quote": {
        "segments": {"description": "Of what can be sent, as the price."},
        "reasons": {"description": "Why numbers can't be sent to, the most frequent first."},
        "spendable": {"description": "What the account could spend now."},
        "covered": {"description": "Whether that is enough for all of it."},
    },
    "Statement": {
        "from": {"description": "The first day, UTC."},
        "to": {"description": "The last day."},
        "complete": {"description": "False when there are more lines than are shown and summed."},
        "deposited": {"description": "Top-ups of these days."},
        "withdrawn": {"description": "Corrections of these days that took credit back."},
    },
    "StatementLine": {
        "key": {"description": "The day, the country, the operator's MCC and MNC, or the tag."},
        "price": {"description": "What was accepted."},
        "voided": {"description": "What of it was not sent."},
        "refunded": {"description": "What of it was sent and given back."},
        "net": {"description": "What it comes to: spent, or still reserved."},
    },
    "QuoteItem": {"code": {"description": "Why it can't be sent; empty when it can."}},
}

_EXPORT_FIELDS: dict[str, Json] = {
    "number": {"description": "In international form, or a short code.", "maxLength": 64},
    "reason": {"description": "Why; it is kept.", "minLength": 1, "maxLength": 500},
    "account": {"description": "Whose messages; every account's unless said."},
    "author": {"description": "Who asks for it; kept behind the key's account and address."},
}
_ERASURE_FIELDS: dict[str, Json] = {
    "account": {"description": "Whose messages; empty: every account's."},
    "number_hash": {"description": "HMAC-SHA-256 of the number's digits, in hex."},
    "cancel": {"description": "Whether what had not left was to be withdrawn."},
    "looked_at": {"description": "When it was last gone through; empty: it has not begun."},
    "finished_at": {"description": "Empty as long as something waits to be erased."},
    "messages_waiting": {"description": "Messages that were found and are not erased yet."},
    "erased": {"description": "How many rows of what."},
}
_FIELDS |= {
    "ExportRequest": _EXPORT_FIELDS,
    "ErasureRequest": {
        **_EXPORT_FIELDS,
        "cancel": {
            "description": "Whether what has not left is withdrawn, and what waits to be told to "
            "customers dropped."
        },
    },
    "NumberSearch": {"number": _EXPORT_FIELDS["number"]},
    "ErasureView": _ERASURE_FIELDS,
    "ErasureStatus": {
        **_ERASURE_FIELDS,
        "waiting_for": {"description": "The first of the messages that have to end before."},
    },
    "ExportView": {
        "account": _ERASURE_FIELDS["account"],
        "number_hash": _ERASURE_FIELDS["number_hash"],
        "ended_at": {"description": "Empty: it was not written to its end, or is being written."},
    },
}

_STRICT = (
    *("SendRequest", "Content", "BatchRequest", "QuoteRequest"),
    *("FallbackRequest", "EmailRequest", "ReplayRequest"),
    *("DepositRequest", "ErasureRequest", "ExportRequest", "NumberSearch"),
)
"""Requests whose unknown fields are refused."""

_IDEMPOTENCY_KEY = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}

_BATCH_PATH = "/v1/messages/batch"
_NEVER_ACCEPTED = ("402", "409", "410", "422", "429", "503")
"""The statuses that a batch of which nothing was accepted can have."""


def complete_document(generated: Mapping[str, Any]) -> Json:
    """Return the document with everything that the framework could not know."""
    document: Json = _tidy(copy.deepcopy(dict(generated)))
    schemas = document["components"]["schemas"]
    for name, fields in _FIELDS.items():
        for field, words in fields.items():
            schemas[name]["properties"][field].update(words)
    for name in _STRICT:
        schemas[name]["additionalProperties"] = False
    for _path, _method, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "Idempotency-Key":
                # The framework says that it may be null, which a header can't be.
                parameter["schema"] = dict(_IDEMPOTENCY_KEY)
        _describe_scope(operation)
    _describe_refused_batch(document)
    _describe_csv(document)
    _describe_lines(document)
    return document


def lower_to_30(document: Mapping[str, Any]) -> Json:
    """Return the same document in the words of OpenAPI 3.0.3."""
    lowered: Json = _lower(copy.deepcopy(dict(document)))
    lowered["openapi"] = "3.0.3"
    lowered["info"].pop("summary", None)
    for _path, _method, operation in operations(lowered):
        for requirement in operation.get("security", ()):
            requirement[BEARER] = []  # 3.0 has scopes for OAuth alone; the description says them
    return lowered


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    """Yield every operation as path, method and its object."""
    for path, item in document["paths"].items():
        for method in ("get", "put", "post", "delete", "options", "head", "patch", "trace"):
            if method in item:
                yield path, method, item[method]


def _describe_scope(operation: Json) -> None:
    for requirement in operation.get("security", ()):
        (scope,) = requirement[BEARER]
        words = f"Needs a key with the scope `{scope}`."
        operation["description"] = f"{operation.get('description', '')} {words}".lstrip()


def _describe_csv(document: Json) -> None:
    content = document["paths"]["/v1/statement"]["get"]["responses"]["200"]["content"]
    content["text/csv"] = {"schema": {"type": "string"}}


def _describe_lines(document: Json) -> None:
    answers = document["paths"]["/v1/admin/privacy/exports"]["post"]["responses"]
    line = {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}}
    answers["200"]["content"] = {
        "application/jsonl": {
            "schema": {**line, "description": "Each line by itself."},
            "example": {"kind": "end", "rows": 0},
        }
    }


def _describe_refused_batch(document: Json) -> None:
    document["components"]["schemas"]["BatchProblem"] = {
        "title": "BatchProblem",
        "description": "No item of a batch was accepted; results says why, one an item.",
        "allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"$ref": "#/components/schemas/BatchAnswer"},
        ],
    }
    responses = document["paths"][_BATCH_PATH]["post"]["responses"]
    for status in _NEVER_ACCEPTED:
        responses[status] = {
            "description": title_of(int(status)),
            "content": {
                "application/problem+json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/BatchProblem"},
                            {"$ref": "#/components/schemas/Problem"},
                        ]
                    }
                }
            },
        }


def _tidy(node: Any) -> Any:
    """Say shorter what the generator says at length; the meaning stays."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _tidy(value) for key, value in node.items()}
    choices = node.get("oneOf")
    if isinstance(choices, list):
        if len(choices) == 1:
            node.pop("oneOf")
            node = {**choices[0], **node}
        elif len(choices) == 2 and choices[1] == {"type": "null"} and "type" in choices[0]:
            node.pop("oneOf")
            node = {**choices[0], **node, "type": [choices[0]["type"], "null"]}
    if node.get("required") == []:
        node.pop("required")
    return node


def _lower(node: Any) -> Any:
    if isinstance(node, list):
        return [_lower(item) for item in node]
    if not isinstance(node, dict):
        return node
    choices = node.get("oneOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        # Beside a reference 3.0 reads nothing, so it goes one deeper.
        others = [choice for choice in choices if choice != {"type": "null"}]
        words = {key: value for key, value in node.items() if key != "oneOf"}
        node = {**words, "nullable": True, "allOf" if len(others) == 1 else "oneOf": others}
    node = {key: _lower(value) for key, value in node.items()}
    kind = node.get("type")
    if isinstance(kind, list):
        node["type"] = next(word for word in kind if word != "null")
        node["nullable"] = True
    # In 3.1 a schema has a list of examples; named ones (a dict) are the same in both.
    examples = node.get("examples")
    if isinstance(examples, list):
        node.pop("examples")
        node["example"] = examples[0]
    return node
