"""Every kernel set gives the products of the plain set to the bit, for 1 to 33 rows and any split of the panels.

Compiles `check_kernels.cpp` for this machine, and for aarch64 where the cross compiler and qemu-user are installed.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
CHECK = Path(__file__).with_name("check_kernels.cpp")
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni"]
ANY = {"pack": [], "isa": ["-DSMOLFORGE_EMULATE_AVXVNNI"], "matmul_plain": [], "scratch": []}
# Without -mavxvnni the AVX-VNNI set computes its one instruction from AVX2 ones, so that any AVX2 machine can run it.
X86 = {**ANY, "matmul_avx2": AVX2, "matmul_avxvnni": AVX2, "matmul_avx512": AVX512}
ARM = {
    **ANY,
    "matmul_dotprod": ["-march=armv8.2-a+dotprod+fp16"],
    "matmul_i8mm": ["-march=armv8.2-a+dotprod+fp16+i8mm"],
}

pytestmark = pytest.mark.slow


def build(compiler: str, sources: dict[str, list[str]], folder: Path, *link: str) -> Path:
    """The program, its objects built one after another with the flags of their instruction set."""
    common = [compiler, "-std=c++17", "-O1", "-ffp-contract=off", f"-I{NATIVE}", "-c"]
    objects = []
    for name, flags in {**sources, CHECK.stem: []}.items():
        source = CHECK if name == CHECK.stem else NATIVE / f"{name}.cpp"
        objects.append(folder / f"{name}.o")
        subprocess.run([*common, *flags, str(source), "-o", str(objects[-1])], check=True, capture_output=True)
    subprocess.run([compiler, *map(str, objects), *link, "-o", str(folder / "check")], check=True)
    return folder / "check"


def same_sets(*command: str) -> set[str]:
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    return {line.split()[0] for line in result.stdout.splitlines()}


def test_sets_of_this_machine_equal_the_plain_one(tmp_path: Path) -> None:
    if platform.machine() not in ("x86_64", "AMD64") or not shutil.which("g++"):
        pytest.skip("needs g++ on x86-64")
    sets = same_sets(str(build("g++", X86, tmp_path)))
    assert "plain" in sets
    assert "avx2 " not in Path("/proc/cpuinfo").read_text() or {"avx2", "avxvnni"} <= sets


def test_aarch64_sets_equal_the_plain_one_under_qemu(tmp_path: Path) -> None:
    compiler, qemu = "aarch64-linux-gnu-g++", "qemu-aarch64"
    if not shutil.which(compiler) or not shutil.which(qemu):
        pytest.skip("needs the Debian packages g++-aarch64-linux-gnu and qemu-user")
    program = build(compiler, ARM, tmp_path, "-static")
    assert same_sets(qemu, "-cpu", "max", str(program)) == {"i8mm", "dotprod", "plain"}
