from __future__ import annotations

from bench.kill import Recorder
from bench.peers.kannel import SendSms


def test_only_what_was_accepted_is_remembered() -> None:
    recorder = Recorder(SendSms())
    recorder.judge(202, b"0: Accepted for delivery", [1])
    recorder.judge(503, b"Temporal failure", [2])
    recorder.judge(403, b"Authorization failed", [3])
    assert recorder.accepted == {1}
    assert recorder.write_request([4]) == SendSms().write_request([4])
