#!/usr/bin/env python3
"""Runs a bundle's command line on old processors that QEMU emulates.

    python3 installer/bundle/old_processors.py dist/r1desk [MODEL…]

For each model: what `doctor` says of the kernel, and a short answer. It has to be an answer or a
sentence, never an unknown instruction. Linux with qemu-user; root, or user namespaces.

QEMU's user mode runs one program, and a program that this one starts would run on the real
processor. So the bundle's two executables are copied with a mark in the unused bytes of their ELF
header, and the kernel is told, in a namespace of its own, to start whatever bears it under QEMU.
There /proc/cpuinfo also lists only what the model has.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

MARK = b"R1CPU"
MARK_OFFSET = 9  # e_ident's padding: nothing reads it
PROGRAMS = ("deepseek-r1", "r1desk")
WAIT_S = 600
UNKNOWN_INSTRUCTION = re.compile(r"(?i)sigill|illegal instruction|uncaught target signal 4")

# Flags of /proc/cpuinfo that end with a generation, newest first.
_AVX512 = r"avx512\w*|amx\w*|avx_vnni"
_AVX2 = r"avx2|bmi1|bmi2|fma|movbe|vaes|vpclmulqdq|gfni"
_AVX = r"avx|f16c|xsave\w*"
_SSE4 = r"sse4_1|sse4_2|popcnt|sse4a|aes|pclmulqdq"
MODELS = {
    "Skylake-Client": [_AVX512],
    "Haswell": [_AVX512],
    "IvyBridge": [_AVX512, _AVX2],
    "SandyBridge": [_AVX512, _AVX2, "f16c"],
    "Westmere": [_AVX512, _AVX2, _AVX],
    "Nehalem": [_AVX512, _AVX2, _AVX, "aes|pclmulqdq"],
    "core2duo": [_AVX512, _AVX2, _AVX, _SSE4],
    "qemu64": [_AVX512, _AVX2, _AVX, _SSE4, "ssse3"],
}


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a command on a processor model."""

    status: int
    out: str
    err: str

    @property
    def unknown_instruction(self) -> bool:
        """True if the program used an instruction that the processor does not have."""
        return self.status in (-4, 128 + 4) or bool(UNKNOWN_INSTRUCTION.search(self.err))


def main() -> int:
    """Print one line per model. Returns 1 if one of them met an unknown instruction."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    bundle, models = Path(sys.argv[1]).absolute(), sys.argv[2:] or list(MODELS)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="r1desk-old-", dir=bundle.parent) as folder:
        marked = marked_copy(bundle, Path(folder) / "r1desk")
        for model in models:
            doctor = run_on(model, marked, "doctor", "--json")
            answer = run_on(
                model, marked, "generate", "Say hello.", "--json", "--max-tokens=4",
                "--temperature=0", "--threads=1", "--context-length=512",
            )  # fmt: skip
            print(f"{model:15} {said(doctor, answer)}", flush=True)
            bad += doctor.unknown_instruction or answer.unknown_instruction
    return 1 if bad else 0


def marked_copy(bundle: Path, copy: Path) -> Path:
    """Make a copy of the bundle with linked files and marked executables."""
    shutil.copytree(bundle, copy, symlinks=True, copy_function=os.link)
    for name in PROGRAMS:
        data = bytearray((bundle / name).read_bytes())
        data[MARK_OFFSET : MARK_OFFSET + len(MARK)] = MARK
        (copy / name).unlink()
        (copy / name).write_bytes(data)
        (copy / name).chmod(0o755)
    return copy


def run_on(model: str, bundle: Path, *arguments: str) -> Run:
    """Run the command line on a processor model in its own namespace."""
    with tempfile.TemporaryDirectory(prefix="r1desk-model-") as name:
        folder = Path(name)
        (folder / "cpuinfo").write_text(cpuinfo_of(model), encoding="utf-8")
        emulator = folder / "emulator"
        emulator.write_text(
            f'#!/bin/sh\nexec {shutil.which("qemu-x86_64")} -cpu {model} "$@"\n', encoding="utf-8"
        )
        emulator.chmod(0o755)
        rule = f":r1desk:M:{MARK_OFFSET}:{MARK.decode()}::{emulator}:"
        misc = "/proc/sys/fs/binfmt_misc"
        script = (
            f"mount -t binfmt_misc none {misc} && echo '{rule}' > {misc}/register"
            f' && mount --bind {folder}/cpuinfo /proc/cpuinfo && exec "$@"'
        )
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
        command += [str(bundle / "deepseek-r1"), *arguments]
        environment = {"HOME": name, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=WAIT_S, check=False
        )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))


def cpuinfo_of(model: str) -> str:
    """Returns this machine's /proc/cpuinfo without the flags that the model lacks."""
    lacking = re.compile("|".join(MODELS.get(model, [])) or "(?!)")
    lines = []
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, colon, value = line.partition(":")
        if key.strip() == "flags":
            flags = [flag for flag in value.split() if not lacking.fullmatch(flag)]
            line = f"{key}{colon} {' '.join(flags)}"  # noqa: PLW2901 - the line, changed
        lines.append(line)
    return "\n".join(lines) + "\n"


def said(doctor: Run, answer: Run) -> str:
    """Returns one line of the table."""
    if doctor.unknown_instruction or answer.unknown_instruction:
        return "UNKNOWN INSTRUCTION"
    if not doctor.out or answer.status != 0:  # the doctor's 1 is a finding, with a report
        failed = answer if doctor.out else doctor
        return f"status {failed.status}: {failed.err.strip()}"
    kernel = json.loads(doctor.out)["kernel"]["variant"]
    return f"{kernel:15} {json.loads(answer.out)['text'].strip()!r}"


if __name__ == "__main__":
    sys.exit(main())
