"""The entry point of atheris: ``python -m tests.formats.guided_fuzzing gguf|safetensors [libFuzzer options] SEEDS``."""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found, unused-ignore]

with atheris.instrument_imports(include=["smolforge.formats"]):
    from tests.formats.test_fuzzed_files import read_gguf, read_safetensors, survives


def main() -> None:
    """Fuzz one reader; any error but our own ends the process with a report."""
    read = {"gguf": read_gguf, "safetensors": read_safetensors}[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: survives(read, bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
