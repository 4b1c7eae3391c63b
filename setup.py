"""Builds the package; with GATEWAY_COMPILE=1 the files of its hot path as C too, by mypyc.

    make compiled        an environment .venv-compiled that has them

The same files are plain Python where they are not compiled: nothing is written twice, and the
tests run on both. What a file must not hold to be compiled stands in `tests/unit/test_compiled.py`;
besides, no slice of octets in it may end before it begins (empty in Python, SystemError in mypyc).
Everything else of the build is in pyproject.toml.
"""

import os
import sys
from typing import Any

from setuptools import setup

BUILDING = frozenset({"build", "build_ext", "bdist_wheel", "install"})
"""Its commands that need what is compiled; what only asks for names and versions does not."""
COMPILE = os.environ.get("GATEWAY_COMPILE") == "1"
COMPILED = (
    "gateway/api/answers.py",
    "gateway/api/cycle.py",
    "gateway/api/decode.py",
    "gateway/api/direct.py",
    "gateway/api/gate.py",
    "gateway/api/heads.py",
    "gateway/api/submit.py",
    "gateway/arrived.py",
    "gateway/assessed.py",
    "gateway/carrier_line.py",
    "gateway/carrier_state.py",
    "gateway/carriers.py",
    "gateway/ceilings.py",
    "gateway/content.py",
    "gateway/credit/costs.py",
    "gateway/credit/ledger.py",
    "gateway/credit/prices.py",
    "gateway/credit/rates.py",
    "gateway/credit/refunds.py",
    "gateway/directory.py",
    "gateway/dispatch.py",
    "gateway/dlr/ids.py",
    "gateway/dlr/parse.py",
    "gateway/dlr/receipt.py",
    "gateway/dlr/scan.py",
    "gateway/dlr/usual.py",
    "gateway/feeding.py",
    "gateway/foreign.py",
    "gateway/ids.py",
    "gateway/intake.py",
    "gateway/jobs.py",
    "gateway/journal.py",
    "gateway/latch.py",
    "gateway/lines.py",
    "gateway/message.py",
    "gateway/metrics.py",
    "gateway/outcomes.py",
    "gateway/outgoing.py",
    "gateway/particulars.py",
    "gateway/parts.py",
    "gateway/receipts.py",
    "gateway/record.py",
    "gateway/references.py",
    "gateway/refunds.py",
    "gateway/routing/choose.py",
    "gateway/routing/health.py",
    "gateway/routing/margins.py",
    "gateway/routing/numbers.py",
    "gateway/routing/operators.py",
    "gateway/routing/plan.py",
    "gateway/routing/table.py",
    "gateway/samples.py",
    "gateway/settling.py",
    "gateway/shelves.py",
    "gateway/smpp/client.py",
    "gateway/smpp/events.py",
    "gateway/smpp/fields.py",
    "gateway/smpp/framing.py",
    "gateway/smpp/link.py",
    "gateway/smpp/owed.py",
    "gateway/smpp/pdu.py",
    "gateway/smpp/protocol.py",
    "gateway/smpp/shapes.py",
    "gateway/smpp/status.py",
    "gateway/smpp/tally.py",
    "gateway/smpp/tlvs.py",
    "gateway/smpp/vocabulary.py",
    "gateway/smpp/window.py",
    "gateway/store/columns.py",
    "gateway/store/fallback_statements.py",
    "gateway/store/intake_statements.py",
    "gateway/store/intake_writer.py",
    "gateway/store/key_hash.py",
    "gateway/store/keyring.py",
    "gateway/store/money.py",
    "gateway/store/outcome_writer.py",
    "gateway/store/rows.py",
    "gateway/submissions.py",
    "gateway/tables.py",
    "gateway/text/alphabet.py",
    "gateway/text/forms.py",
    "gateway/text/segment.py",
    "gateway/text/style.py",
    "gateway/throttle/adaptive.py",
    "gateway/throttle/bucket.py",
    "gateway/throttle/drain.py",
    "gateway/throttle/lanes.py",
    "gateway/throttle/limits.py",
    "gateway/throttle/pacer.py",
    "gateway/upstream/bind.py",
    "gateway/upstream/content.py",
    "gateway/upstream/customer.py",
    "gateway/upstream/desk.py",
    "gateway/upstream/door.py",
    "gateway/upstream/ids.py",
    "gateway/upstream/orders.py",
    "gateway/upstream/server.py",
    "gateway/upstream/terms.py",
    "gateway/ways.py",
    "gateway/withdrawn.py",
    "gateway/writing.py",
)


def extensions() -> list[Any]:
    """Return what is to be compiled: nothing unless it is asked for, and this run builds."""
    if not COMPILE or not BUILDING & set(sys.argv):
        return []
    from mypyc.build import mypycify  # only who compiles needs it

    # A name of its own: by default it is a hash of all paths.
    made = list(mypycify(list(COMPILED), opt_level="3", debug_level="0", group_name="gateway"))
    for extension in made:
        # Looking at how mypyc indents takes gcc two and a half minutes.
        extension.extra_compile_args.append("-Wno-misleading-indentation")
    return made


if __name__ == "__main__":
    setup(ext_modules=extensions(), setup_requires=["mypy"] if COMPILE else [])
