"""The child that runs generated code: ``python -I -S -B sandbox_child.py``, the job as JSON on standard input.

It gives up rights before it runs a line: limits on memory, CPU time, files and output, a system call filter (seccomp)
that leaves computing, printing and reading, and where the kernel has Landlock, every file but Python's own. Writing,
deleting, sockets, processes and signals fail with PermissionError. The filter lists what is allowed; whatever it does
not know fails. It uses the standard library alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

# System calls that a running interpreter needs to compute, read files and print, by machine: x86-64, AArch64 (None: the
# machine has no such call).
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "stat": (4, None), "lstat": (6, None),
    "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "access": (21, None), "mremap": (25, 216),
    "madvise": (28, 233), "dup": (32, 23), "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93),
    "uname": (63, 160), "getcwd": (79, 17), "readlink": (89, None), "gettimeofday": (96, 169),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173), "sigaltstack": (131, 132),
    "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123), "getdents64": (217, 61),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48), "getrandom": (318, 278),
    "statx": (332, 291), "rseq": (334, 293), "faccessat2": (439, 439),
}  # fmt: skip
_OPEN: dict[str, tuple[int | None, int | None]] = {"open": (2, None), "openat": (257, 56)}
_FLAGS_ARGUMENT = {"open": 1, "openat": 2}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Calls with a command as second argument: descriptors are copied and marked, terminals asked for their size. F_SETOWN
# and F_SETSIG would send signals to other processes, TIOCSTI would type into a terminal.
_COMMANDS: dict[tuple[int, int], tuple[int, ...]] = {
    (72, 25): (0, 1, 2, 3, 1030),  # fcntl: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
    (16, 29): (0x5401, 0x5413, 0x5450, 0x5451),  # ioctl: TCGETS, TIOCGWINSZ, FIONCLEX, FIOCLEX
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
_LOAD, _EQUAL, _SET, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06  # BPF: ld abs, jeq, jset, jge, ret
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # SECCOMP_RET_*: ERRNO with EPERM
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same number on every machine
_FILE_RIGHTS, _READ_FILE, _READ_FOLDER, _BENEATH = (
    (1 << 13) - 1,
    1 << 2,
    1 << 3,
    1,
)  # LANDLOCK_ACCESS_FS_*, first version
_END = "smolforge.end"
_REFLECTION = (
    "gc.",
    "ctypes.",
    "code.__new__",
    "sys.settrace",
    "sys.setprofile",
    "sys.monitoring",
    "sys._current_frames",
)
UNSUPPORTED = 3  # exit status where this system cannot hold the code in


def _program(machine: str) -> bytes:
    """Return the filter: allowed calls pass, opening for reading passes, the rest is refused (BPF, linux/filter.h)."""
    column, architecture = _MACHINES[machine]

    def step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
        return struct.pack("HBBI", code, true, false, value)

    steps = [step(_LOAD, 4), step(_EQUAL, architecture, 1, 0), step(_RETURN, _KILL), step(_LOAD, 0)]
    steps += [step(_AT_LEAST, 0x40000000, 0, 1), step(_RETURN, _KILL)]  # the x32 interface has numbers of its own
    for name, numbers in _OPEN.items():
        number = numbers[column]
        if number is not None:
            flags = 16 + 8 * _FLAGS_ARGUMENT[name]
            steps += [step(_EQUAL, number, 0, 4), step(_LOAD, flags), step(_SET, _WRITING, 0, 1)]
            steps += [step(_RETURN, _REFUSE), step(_RETURN, _ALLOW)]
    for both, commands in _COMMANDS.items():
        steps += [step(_EQUAL, both[column], 0, len(commands) + 3), step(_LOAD, 24)]
        steps += [step(_EQUAL, value, len(commands) - at, 0) for at, value in enumerate(commands)]
        steps += [step(_RETURN, _REFUSE), step(_RETURN, _ALLOW)]
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            steps += [step(_EQUAL, number, 0, 1), step(_RETURN, _ALLOW)]
    return b"".join([*steps, step(_RETURN, _REFUSE)])


def give_up_rights(seconds: int, memory_bytes: int) -> str | None:
    """Set the limits and the filter; return what this system lacks for it, or None."""
    for kind, limit in (
        (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (limit, limit))
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES:
        return f"no filter for {sys.platform} on {machine}"
    program = _program(machine)
    code = ctypes.create_string_buffer(program, len(program))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(filter_), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(argument) for argument in call)) != 0:
            return f"prctl({call[0]}) fails with {os.strerror(ctypes.get_errno())}"
        if call[0] == _PR_SET_NO_NEW_PRIVS:
            _hide_files(libc)
    return None


def _hide_files(libc: ctypes.CDLL) -> None:
    """Leave Python's own files and the working folder to read (linux/landlock.h), where the kernel can (from 5.13 on).

    Without it the code could put what it reads, such as keys in the environment of other processes, into its error.
    """
    handled = ctypes.c_uint64(_FILE_RIGHTS)
    rules = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    if rules < 0:
        return
    library = Path(os.__file__).parent
    for place in (library, library.parent, *map(Path, ("/usr/lib", "/usr/lib64", "/lib", "/lib64")), Path.cwd()):
        if place.is_dir():
            folder = os.open(place, os.O_PATH | os.O_CLOEXEC)
            rule = ctypes.create_string_buffer(struct.pack("=Qi", _READ_FILE | _READ_FOLDER, folder))
            libc.syscall(_LANDLOCK_ADD, rules, _BENEATH, rule, 0)
            os.close(folder)
    libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _refuse_reflection(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what reads or rewrites the interpreter from within: its heap, its memory, its byte code (audit hook)."""
    if event.startswith(_REFLECTION) or (event == "import" and arguments[0] in ("_ctypes", "gc")):
        raise PermissionError(f"{event} is refused to generated code")
    if event != "open" or isinstance(arguments[0], int):
        return
    if os.path.realpath(os.fsdecode(arguments[0])).startswith("/proc"):
        raise PermissionError("/proc is refused to generated code")


def _keeper(mark: str, frame: FrameType) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that prints the mark when that very frame asks. Nothing else refers to the mark."""
    frame_of, write = sys._getframe, os.write

    def keep(event: str, _: tuple[Any, ...]) -> None:
        if event == _END and frame_of(1) is frame:
            write(1, f"\n{mark}\n".encode())

    return keep


def run(job: dict[str, Any]) -> None:
    """Run the parts in one namespace; have the mark printed when all of them have come to their end.

    The code can walk to this frame, so nothing in it may help: no mark, no list to empty, no name that it can replace.
    """
    space: dict[str, Any] = {"__name__": "exercise"}
    parts = enumerate(job.pop("parts"), 1)
    codes = tuple(compile(part, f"<part {number}>", "exec", dont_inherit=True) for number, part in parts)
    execute, audit = exec, sys.audit
    for name in ("ctypes", "_ctypes", "gc"):
        sys.modules.pop(name, None)
    sys.addaudithook(_keeper(job.pop("mark"), sys._getframe()))
    sys.addaudithook(_refuse_reflection)
    for code in codes:
        execute(code, space)
    audit(_END)


def main() -> int:
    """Read the job, give up rights, run; a failure is the last line of standard error."""
    job = json.loads(sys.stdin.buffer.read())
    sys.setrecursionlimit(2000)
    lacking = give_up_rights(int(job["cpu_seconds"]), int(job["memory_bytes"]))
    if lacking:
        os.write(2, f"{lacking}\n".encode())
        return UNSUPPORTED
    try:
        run(job)
    except BaseException as error:
        os.write(2, f"\n{type(error).__name__}: {error}".encode("utf-8", "replace")[:500] + _line(error))
        return 1
    return 0


def _line(error: BaseException) -> bytes:
    """Name the line of the code that failed, for assertions, which say nothing of themselves."""
    place, trace = b"", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith("<part"):
            place = f" ({name[1:-1]}, line {trace.tb_lineno})".encode()
        trace = trace.tb_next
    return place


if __name__ == "__main__":
    status = main()
    os._exit(status)
