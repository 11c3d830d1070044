"""Every instruction set gives the numbers of the plain code to the bit: products, small ops, the KV store, attention.

Compiles ``check_kernels.cpp``, ``check_ops.cpp`` and ``check_model.cpp`` (a whole forward pass) for this machine, and
for aarch64 where the cross compiler and qemu-user are installed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "native"
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni"]
DOTPROD = ["-march=armv8.2-a+dotprod+fp16"]
I8MM = ["-march=armv8.2-a+dotprod+fp16+i8mm"]
Sources = Mapping[str, Sequence[str]]  # file → the flags of its instruction set
ANY: Sources = {
    "isa": ["-DSMOLFORGE_EMULATE_AVXVNNI"],
    **dict.fromkeys(("pack", "scratch", "kv", "machine", "matmul_plain", "ops", "ops_plain", "ops_reference"), ()),
    **dict.fromkeys(("model", "weight", "pool", "forward", "attention"), ()),
}
# Without -mavxvnni the AVX-VNNI set computes its one instruction from AVX2 ones, so that any AVX2 machine can run it.
X86: Sources = {
    **ANY, "matmul_avx2": AVX2, "matmul_avxvnni": AVX2, "matmul_avx512": AVX512, "ops_avx2": AVX2, "ops_avx512": AVX512,
}  # fmt: skip
LOGITS = 2 * 4 * 2 * 500  # kinds of KV memory, passes, sequences, vocabulary
ARM: Sources = {**ANY, "matmul_neon": (), "matmul_dotprod": DOTPROD, "matmul_i8mm": I8MM, "ops_neon": DOTPROD}

pytestmark = pytest.mark.slow


def build(compiler: str, sources: Sources, folder: Path, *link: str) -> dict[str, Path]:
    """Compile everything one after another; the programs by name."""

    def compiled(name: str, flags: Sequence[str] = ()) -> str:
        source = next(file for file in (HERE / f"{name}.cpp", NATIVE / f"{name}.cpp") if file.exists())
        common = ["-std=c++17", "-O1", "-ffp-contract=off", f"-I{NATIVE}", "-c"]
        subprocess.run([compiler, *common, *flags, source, "-o", folder / f"{name}.o"], check=True, capture_output=True)
        return str(folder / f"{name}.o")

    objects = [compiled(name, flags) for name, flags in sources.items()]
    programs = {name: folder / name for name in ("check_kernels", "check_ops", "check_model")}
    for name, program in programs.items():
        subprocess.run([compiler, compiled(name), *objects, "-pthread", *link, "-o", program], check=True)
    return programs


def agreeing(*command: str | Path) -> dict[str, str]:
    """Run a program; each set it found to agree, and how: "same" or "near"."""
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    lines = [line.partition(":")[0].split() for line in result.stdout.splitlines()]
    return dict(lines)


def logits(isa: str, *command: str | Path) -> NDArray[np.float64]:
    """All logits of the whole model with one instruction set."""
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "SMOLFORGE_ISA": isa})
    assert result.returncode == 0, result.stderr
    return np.array(result.stdout.split(), np.float64)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The programs for this machine."""
    if platform.machine() not in ("x86_64", "AMD64") or not shutil.which("g++"):
        pytest.skip("needs g++ on x86-64")
    return build("g++", X86, tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def fast() -> bool:
    """Whether this machine has multiply-adds, and so the sets that agree to the bit."""
    return "avx2 " in Path("/proc/cpuinfo").read_text()


def test_sets_of_this_machine_equal_the_plain_one(here: dict[str, Path], fast: bool) -> None:
    products, ops = agreeing(here["check_kernels"]), agreeing(here["check_ops"])
    assert products["plain"] == "same"
    assert ops["plain"] == "near"  # it has no multiply-add that rounds once
    if fast:
        assert {products["avx2"], products["avxvnni"], ops["avx2"]} == {"same"}
    whole = {isa: logits(isa, here["check_model"]) for isa in products}
    assert whole["plain"].size == LOGITS
    if fast:
        assert all(np.array_equal(found, whole["avx2"]) for isa, found in whole.items() if isa != "plain")
        assert np.abs(whole["plain"] - whole["avx2"]).max() <= 1e-5 * np.abs(whole["avx2"]).max()


def test_aarch64_sets_equal_the_plain_one_under_qemu(
    tmp_path: Path, request: pytest.FixtureRequest, fast: bool
) -> None:
    compiler, qemu = "aarch64-linux-gnu-g++", "qemu-aarch64"
    if not shutil.which(compiler) or not shutil.which(qemu):
        pytest.skip("needs the Debian packages g++-aarch64-linux-gnu and qemu-user")
    programs = build(compiler, ARM, tmp_path, "-static")
    emulated = (qemu, "-cpu", "max")
    products, ops = (agreeing(*emulated, programs[name]) for name in ("check_kernels", "check_ops"))
    assert products == dict.fromkeys(("i8mm", "dotprod", "neon", "plain"), "same")
    assert agreeing(qemu, "-cpu", "cortex-a72", programs["check_kernels"]) == {"neon": "same", "plain": "same"}
    assert ops == dict.fromkeys(("neon", "plain"), "same")
    whole = {isa: logits(isa, *emulated, programs["check_model"]) for isa in products}
    assert whole["plain"].size == LOGITS
    if fast:  # the same numbers on both processors
        whole["avx2"] = logits("avx2", request.getfixturevalue("here")["check_model"])
    assert all(np.array_equal(found, whole["plain"]) for found in whole.values())
