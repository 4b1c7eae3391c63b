"""The same targets under atheris, whose libFuzzer also sees what octets are compared with.

    .venv/bin/pip install '.[fuzz]'
    python -m bench.fuzz.guided --target receipt --cases 1000000 [--keep]

Optional: where atheris does not install, `python -m bench.fuzz` does without. Each target runs in
a process of its own, because libFuzzer ends the process that it runs in.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.fuzz.corpus import keep_cases, read_cases
from bench.fuzz.target import Target
from bench.fuzz.targets import TARGETS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz.guided")
    parser.add_argument("--target", action="append", choices=list(TARGETS), required=True)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--keep", action="store_true", help="add what it found to the corpus")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: .venv/bin/pip install '.[fuzz]'", file=sys.stderr)
        return 2
    return max([_run(TARGETS[name], options.cases, options.keep) for name in options.target])


def _run(target: Target, cases: int, keep: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        corpus, words = Path(folder, "corpus"), Path(folder, "words")
        corpus.mkdir()
        for number, case in enumerate((*target.seeds, *read_cases(target.name))):
            (corpus / str(number)).write_bytes(case)
        words.write_text("# words\n" + "".join(f'"{_quote(word)}"\n' for word in target.words))
        flags = [
            *(str(corpus), f"-dict={words}", f"-artifact_prefix={target.name}-"),
            *(f"-runs={cases}", f"-max_len={target.size_max}", "-timeout=10"),
        ]
        command = [sys.executable, "-m", "bench.fuzz.libfuzzer", target.name, *flags]
        done = subprocess.run(command, check=False)
        if keep and done.returncode == 0:
            found = (path.read_bytes() for path in corpus.iterdir())
            print(f"{target.name}: {keep_cases(target, found)} cases kept")
    return done.returncode


def _quote(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


if __name__ == "__main__":
    sys.exit(main())
