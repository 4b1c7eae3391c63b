"""The numbers of SMPP that make a `deliver_sm` a receipt (SMPP 3.4 §5.2.12, §5.3.2)."""

from __future__ import annotations

ESM_CLASS_RECEIPT = 0x04
ESM_CLASS_INTERMEDIATE = 0x20

TAG_RECEIPTED_MESSAGE_ID = 0x001E
TAG_NETWORK_ERROR_CODE = 0x0423
TAG_MESSAGE_PAYLOAD = 0x0424
TAG_MESSAGE_STATE = 0x0427
