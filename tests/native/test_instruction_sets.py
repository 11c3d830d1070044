"""Every instruction set gives the numbers of the plain code to the bit: products, small ops, the KV store, attention.

Compiles ``check_kernels.cpp`` and ``check_ops.cpp`` for this machine, and for aarch64 where the cross compiler and
qemu-user are installed.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "native"
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni"]
DOTPROD = ["-march=armv8.2-a+dotprod+fp16"]
I8MM = ["-march=armv8.2-a+dotprod+fp16+i8mm"]
Sources = Mapping[str, Sequence[str]]  # file → the flags of its instruction set
ANY: Sources = {
    "isa": ["-DSMOLFORGE_EMULATE_AVXVNNI"],
    **dict.fromkeys(("pack", "scratch", "kv", "machine", "matmul_plain", "ops_plain", "ops_reference"), ()),
}
# Without -mavxvnni the AVX-VNNI set computes its one instruction from AVX2 ones, so that any AVX2 machine can run it.
X86: Sources = {
    **ANY, "matmul_avx2": AVX2, "matmul_avxvnni": AVX2, "matmul_avx512": AVX512, "ops_avx2": AVX2, "ops_avx512": AVX512,
}  # fmt: skip
ARM: Sources = {**ANY, "matmul_dotprod": DOTPROD, "matmul_i8mm": I8MM, "ops_neon": DOTPROD}

pytestmark = pytest.mark.slow


def build(compiler: str, sources: Sources, folder: Path, *link: str) -> dict[str, Path]:
    """Compile everything one after another; the two programs by name."""

    def compiled(name: str, flags: Sequence[str] = ()) -> str:
        source = next(file for file in (HERE / f"{name}.cpp", NATIVE / f"{name}.cpp") if file.exists())
        common = ["-std=c++17", "-O1", "-ffp-contract=off", f"-I{NATIVE}", "-c"]
        subprocess.run([compiler, *common, *flags, source, "-o", folder / f"{name}.o"], check=True, capture_output=True)
        return str(folder / f"{name}.o")

    objects = [compiled(name, flags) for name, flags in sources.items()]
    programs = {name: folder / name for name in ("check_kernels", "check_ops")}
    for name, program in programs.items():
        subprocess.run([compiler, compiled(name), *objects, "-pthread", *link, "-o", program], check=True)
    return programs


def agreeing(*command: str | Path) -> dict[str, str]:
    """Run a program; each set it found to agree, and how: "same" or "near"."""
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    lines = [line.partition(":")[0].split() for line in result.stdout.splitlines()]
    return dict(lines)


def test_sets_of_this_machine_equal_the_plain_one(tmp_path: Path) -> None:
    if platform.machine() not in ("x86_64", "AMD64") or not shutil.which("g++"):
        pytest.skip("needs g++ on x86-64")
    programs = build("g++", X86, tmp_path)
    products, ops = (agreeing(program) for program in programs.values())
    assert products["plain"] == "same"
    assert ops["plain"] == "near"  # it has no multiply-add that rounds once
    if "avx2 " in Path("/proc/cpuinfo").read_text():
        assert {products["avx2"], products["avxvnni"], ops["avx2"]} == {"same"}


def test_aarch64_sets_equal_the_plain_one_under_qemu(tmp_path: Path) -> None:
    compiler, qemu = "aarch64-linux-gnu-g++", "qemu-aarch64"
    if not shutil.which(compiler) or not shutil.which(qemu):
        pytest.skip("needs the Debian packages g++-aarch64-linux-gnu and qemu-user")
    programs = build(compiler, ARM, tmp_path, "-static")
    products, ops = (agreeing(qemu, "-cpu", "max", program) for program in programs.values())
    assert products == dict.fromkeys(("i8mm", "dotprod", "plain"), "same")
    assert ops == dict.fromkeys(("neon", "plain"), "same")
