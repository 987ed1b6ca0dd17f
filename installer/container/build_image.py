#!/usr/bin/env python3
"""Builds the image's file system from the Dockerfile without a container engine.

    sudo python3 installer/container/build_image.py WORK            # WORK/image and WORK/image.json
    sudo python3 installer/container/build_image.py WORK --cache /src/build/bundle/wheels

It reads the Dockerfile and performs its instructions in order, each RUN in a chroot with namespaces
of its own. Instructions and options that it does not know are errors. The base images are made from
Debian's packages: debian:SUITE-slim by debootstrap, python:VERSION-slim-SUITE by compiling Debian's
source of that Python with the options of the official image. Bases are kept in WORK/bases.

The network's settings of this machine (resolv.conf, certificates, variables of pip and uv) are
visible to RUN and leave nothing in the image. Linux as root only; needs debootstrap.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MIRROR = "http://deb.debian.org/debian"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of this machine, for RUN only: where packages come from, and with which certificates.
PASSED_VARIABLES = re.compile(r"(PIP|UV)_\w+|\w+_proxy", re.IGNORECASE)
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CERTIFICATES_INSIDE = "/run/build-certificates.crt"
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

# As the official slim images have it: no documentation, no translations, no package lists.
SLIM = """\
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
"""
SOURCES = """\
Types: deb
URIs: {mirror}
Suites: {suite} {suite}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: {mirror}-security
Suites: {suite}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
"""
PYTHON_BASE = r"""
FROM debian:{suite}-slim AS compile
RUN sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources \
        > /etc/apt/sources.list.d/source.sources \
    && apt-get update && apt-get install --yes --no-install-recommends dpkg-dev gcc libbz2-dev \
        libc6-dev libdb-dev libffi-dev libgdbm-dev liblzma-dev libncursesw5-dev libreadline-dev \
        libsqlite3-dev libssl-dev make pkg-config uuid-dev xz-utils zlib1g-dev
WORKDIR /compile
# The upstream source, without Debian's patches.
RUN apt-get source --download-only python{version} \
    && tar --extract --strip-components=1 --file python{version}_*.orig.tar.xz \
    && ./configure --enable-loadable-sqlite-extensions --enable-option-checking=fatal \
        --enable-shared --with-ensurepip --disable-test-modules \
    && make -j"$(nproc)" && make install && ldconfig \
    && find /usr/local -depth '(' -name test -o -name __pycache__ ')' -exec rm -r '{{}}' + \
    && strip --strip-unneeded /usr/local/lib/libpython*.so.*

FROM debian:{suite}-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates netbase tzdata \
        libbz2-1.0 libdb5.3t64 libffi8 libgdbm6t64 liblzma5 libncursesw6 libreadline8t64 \
        libsqlite3-0 libssl3t64 libuuid1 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=compile /usr/local /usr/local
RUN ldconfig && cd /usr/local/bin && ln -s python3 python && ln -s pip3 pip || true
CMD ["python3"]
"""


class BuildFailed(Exception):
    """The image cannot be built; the text says why."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile."""

    name: str
    rest: str
    line: int


@dataclass
class Config:
    """What an image says about the process to start."""

    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = ""
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    health: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Config:
        """Return an independent copy, for a stage that begins with this one."""
        return Config(**json.loads(json.dumps(vars(self))))


@dataclass
class Stage:
    """A stage: its file system, and its configuration so far."""

    root: Path
    config: Config
    arguments: dict[str, str] = field(default_factory=dict)


def instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile. Comments inside of one are left out."""
    lines: list[str] = []
    began = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        began = began if lines else number
        lines.append(line.rstrip().removesuffix("\\"))
        if not line.rstrip().endswith("\\"):
            name, _, rest = "".join(lines).strip().partition(" ")
            yield Instruction(name.upper(), rest.strip(), began)
            lines = []
    if lines:
        raise BuildFailed(f"Line {began}: the last instruction does not end.")


def words(rest: str) -> list[str]:
    """Return the words of an instruction, in its JSON form or its plain form."""
    return list(json.loads(rest)) if rest.startswith("[") else shlex.split(rest)


def process(rest: str) -> list[str]:
    """Return the command of RUN, CMD or ENTRYPOINT; the plain form is the shell's."""
    return list(json.loads(rest)) if rest.startswith("[") else ["/bin/sh", "-c", rest]


def options_of(rest: str) -> tuple[dict[str, str], str]:
    """Split `--name=value` at the beginning from the rest."""
    found: dict[str, str] = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        found[match[1]] = match[2]
        rest = rest[match.end() :]
    return found, rest


def ignored(patterns: Sequence[str], path: str) -> bool:
    """Return whether .dockerignore leaves out a path of the context."""
    out = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").strip("/")
        parts = re.split(r"(\*\*/|\*\*|\*|\?)", wanted)
        meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        expression = "".join(meaning.get(part, re.escape(part)) for part in parts)
        if re.fullmatch(f"{expression}(?:/.*)?", path):
            out = not pattern.startswith("!")
    return out


def copy_tree(source: Path, target: Path, left_out: Callable[[Path], bool]) -> None:
    """Copy a file, a link, or what is in a folder. Owner is root; modes and times stay."""
    if source.is_dir() and not source.is_symlink():
        if not target.is_dir():
            target.mkdir(parents=True)
            shutil.copystat(source, target)
        for entry in sorted(source.iterdir()):
            if not left_out(entry):
                copy_tree(entry, target / entry.name, left_out)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.is_file():
        target.unlink()
    shutil.copy2(source, target, follow_symlinks=False)
    os.chown(target, 0, 0, follow_symlinks=False)


def clone(source: Path, target: Path) -> None:
    """Copy a whole file system."""
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def home_of(root: Path, user: str) -> tuple[int, int, str]:
    """Return the number, group and home of a user in the image."""
    name = user.partition(":")[0] or "root"
    for line in (root / "etc/passwd").read_text(encoding="utf-8").splitlines():
        entry = line.split(":")
        if name in (entry[0], entry[2]):
            return int(entry[2]), int(entry[3]), entry[5]
    return int(name), 0, "/"


class Builder:
    """Builds the stages of one Dockerfile."""

    def __init__(
        self, work: Path, context: Path, caches: Sequence[str] = (), stages: str = "stages"
    ) -> None:
        self._work, self._context, self._caches = work, context, caches
        self._folder = work / stages
        self._stages: dict[str, Stage] = {}
        ignore = context / ".dockerignore"
        text = ignore.read_text(encoding="utf-8") if ignore.is_file() else ""
        self._ignore = [line for line in map(str.strip, text.splitlines()) if line]

    def build(self, text: str) -> Stage:
        """Perform all instructions. Returns the last stage. Raises BuildFailed."""
        stage: Stage | None = None
        for each in instructions(text):
            began = time.monotonic()
            print(f"line {each.line}: {each.name} {each.rest[:90]}", flush=True)
            if each.name == "FROM":
                stage = self._from(each)
            elif stage is None:
                raise BuildFailed(f"Line {each.line}: the first instruction has to be FROM.")
            else:
                self._perform(stage, each)
            print(f"    {time.monotonic() - began:.1f} s", flush=True)
        if stage is None:
            raise BuildFailed("The Dockerfile has no FROM.")
        return stage

    def _from(self, each: Instruction) -> Stage:
        name, _, alias = re.sub(r"\s+as\s+", "\0", each.rest, flags=re.IGNORECASE).partition("\0")
        base = self._stages.get(name) or base_image(name, self._work)
        number = str(sum(key.isdigit() for key in self._stages))
        stage = Stage(self._folder / number, base.config.copy())
        clone(base.root, stage.root)
        self._stages |= {number: stage} | ({alias: stage} if alias else {})
        return stage

    def _perform(self, stage: Stage, each: Instruction) -> None:
        name, config = each.name, stage.config
        known = config.environment | stage.arguments
        expanded = re.sub(
            r"\$(?:\{(\w+)\}|(\w+))", lambda m: known.get(m[1] or m[2], ""), each.rest
        )
        if name == "RUN":
            self._run(stage, each)
        elif name == "COPY":
            self._copy(stage, expanded, each.line)
        elif name == "ENV":
            config.environment |= dict(word.split("=", 1) for word in shlex.split(expanded))
        elif name == "ARG":
            key, _, value = expanded.partition("=")
            stage.arguments[key] = value
        elif name == "USER":
            config.user = expanded
        elif name == "WORKDIR":
            config.folder = str(Path(config.folder) / expanded)
            (stage.root / config.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "ENTRYPOINT":
            config.entrypoint, config.command = process(each.rest), []
        elif name == "CMD":
            config.command = process(each.rest)
        elif name == "VOLUME":
            config.volumes += words(expanded)
        elif name == "EXPOSE":
            config.ports += words(expanded)
        elif name == "HEALTHCHECK":
            config.health = health(each.rest)
        elif name != "LABEL":
            raise BuildFailed(f"Line {each.line}: {name} is not known here.")

    def _copy(self, stage: Stage, rest: str, line: int) -> None:
        options, rest = options_of(rest)
        if options.keys() - {"from"}:
            raise BuildFailed(f"Line {line}: COPY with {options} is not known here.")
        *sources, target = words(rest)
        context = self._context
        if "from" in options:
            context = self._stages[options["from"]].root
        place = Path(stage.config.folder, target)
        inside = stage.root / str(place).lstrip("/")

        def left_out(path: Path) -> bool:
            relative = path.relative_to(context).as_posix()
            return "from" not in options and ignored(self._ignore, relative)

        for pattern in sources:
            found = sorted(context.glob(pattern.lstrip("/")))
            found = [each for each in found if not left_out(each)]
            if not found:
                raise BuildFailed(f"Line {line}: {pattern} does not exist.")
            for source in found:
                whole = source.is_dir() or not (target.endswith(("/", ".")) or inside.is_dir())
                copy_tree(source, inside if whole else inside / source.name, left_out)

    def _run(self, stage: Stage, each: Instruction) -> None:
        if each.rest.startswith("--"):
            raise BuildFailed(f"Line {each.line}: RUN with options is not known here.")
        number, group, home = home_of(stage.root, stage.config.user)
        inside = ["chroot", f"--userspec={number}:{group}", "--groups="]
        variables = {"HOME": home} | passed_variables() | stage.arguments | stage.config.environment
        inside += [str(stage.root), "env", "-i", f"--chdir={stage.config.folder}"]
        inside += [f"{key}={value}" for key, value in variables.items()]
        inside += process(each.rest)
        mounts = Mounts(stage.root)
        if CERTIFICATES.is_file():
            mounts.bind(CERTIFICATES, CERTIFICATES_INSIDE, "ro")
        mounts.bind(Path("/etc/resolv.conf").resolve(), "/etc/resolv.conf", "ro")
        mounts.bind(Path("/etc/hosts"), "/etc/hosts", "ro")
        for cache in self._caches:
            kept = self._work / "cache" / cache.strip("/").replace("/", "-")
            kept.mkdir(parents=True, exist_ok=True)
            mounts.bind(kept, cache, "rw")
        status = mounts.run(inside)
        if status:
            raise BuildFailed(f"Line {each.line}: RUN ended with status {status}.")


class Mounts:
    """The mounts of one RUN, in a mount namespace that ends with it."""

    def __init__(self, root: Path) -> None:
        self._root, self._made = root, list[Path]()
        self._commands = [
            ["mount", "-t", "proc", "proc", str(root / "proc")],
            ["mount", "-t", "sysfs", "-o", "ro", "sysfs", str(root / "sys")],
            ["mount", "--rbind", "/dev", str(root / "dev")],
        ]

    def bind(self, source: Path, inside: str, mode: str) -> None:
        """Mount a file or folder of this machine. A place that is missing is made, and removed."""
        target = self._root / inside.lstrip("/")
        missing = [each for each in (target, *target.parents) if not each.exists()]
        if missing and source.is_dir():
            target.mkdir(parents=True)
        elif missing:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        self._made += missing
        self._commands.append(["mount", "--bind", "-o", mode, str(source), str(target)])

    def run(self, command: Sequence[str]) -> int:
        """Run a command below the mounts. Returns its exit status."""
        script = " && ".join(map(shlex.join, [*self._commands, ["exec", *command]]))
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        try:
            return subprocess.run([*unshare, "sh", "-c", script], check=False).returncode
        finally:
            for each in self._made:
                if each.is_dir() and not any(each.iterdir()):
                    each.rmdir()
                elif each.is_file() and not each.stat().st_size:
                    each.unlink()


def passed_variables() -> dict[str, str]:
    """Return this machine's variables for packages, with its certificates at their place inside."""
    found = {key: value for key, value in os.environ.items() if PASSED_VARIABLES.fullmatch(key)}
    found = {key: value for key, value in found.items() if not value.startswith("/")}
    if CERTIFICATES.is_file():
        found |= dict.fromkeys(CERTIFICATE_VARIABLES, CERTIFICATES_INSIDE)
    return found


def health(rest: str) -> dict[str, Any]:
    """Return the options and the command of HEALTHCHECK."""
    options, rest = options_of(rest)
    if rest == "NONE":
        return {}
    command = rest.removeprefix("CMD").strip()
    return {**options, "command": process(command)}


def base_image(name: str, work: Path) -> Stage:
    """Return a base image, made at its first use. Raises BuildFailed for one that is not known."""
    kind = re.fullmatch(r"(?:python:(\d+\.\d+)-slim-|debian:)([a-z]+)(?:-slim)?", name)
    if kind is None:
        raise BuildFailed(f"How to make {name} is not known here.")
    version, suite = kind[1], kind[2]
    place = work / "bases" / name.replace(":", "-")
    done = place.with_name(f"{place.name}.json")
    if not done.is_file():
        if version is None:
            debian_base(suite, place)
            config = Config(command=["bash"])
        else:
            text = PYTHON_BASE.format(suite=suite, version=version)
            built = Builder(work, work, stages=f"stages-of-{place.name}").build(text)
            clone(built.root, place)
            shutil.rmtree(built.root.parent)
            config = built.config
        done.write_text(json.dumps(vars(config)), encoding="utf-8")
    return Stage(place, Config(**json.loads(done.read_text(encoding="utf-8"))))


def debian_base(suite: str, place: Path) -> None:
    """Make the file system of debian:SUITE-slim."""
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    subprocess.run(["debootstrap", "--variant=minbase", suite, str(place), MIRROR], check=True)
    (place / "etc/dpkg/dpkg.cfg.d/docker").write_text(SLIM, encoding="ascii")
    for folder in ("doc", "info", "locale", "man"):
        for file in (place / "usr/share" / folder).rglob("*"):
            # Links between packages' folders stay: they lead to a copyright file.
            if file.name != "copyright" and not file.is_dir():
                file.unlink()
    for folder in ("var/lib/apt/lists", "var/cache/apt"):
        shutil.rmtree(place / folder)
        (place / folder).mkdir()
    (place / "etc/apt/sources.list").unlink(missing_ok=True)
    sources = SOURCES.format(mirror=MIRROR, suite=suite)
    (place / "etc/apt/sources.list.d/debian.sources").write_text(sources, encoding="ascii")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("work", type=Path, help="where bases, stages and the image are made")
    parser.add_argument("--context", type=Path, default=ROOT, help="default: this checkout")
    parser.add_argument("--dockerfile", type=Path, help="default: installer/container/Dockerfile")
    parser.add_argument(
        "--cache", action="append", default=[], metavar="FOLDER", help="kept between builds"
    )
    options = parser.parse_args()
    work = options.work.absolute()
    dockerfile = options.dockerfile or options.context / "installer/container/Dockerfile"
    os.umask(0o022)
    try:
        builder = Builder(work, options.context.absolute(), options.cache)
        stage = builder.build(dockerfile.read_text(encoding="utf-8"))
    except (BuildFailed, subprocess.CalledProcessError) as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    image = work / "image"
    if image.exists():
        shutil.rmtree(image)
    stage.root.rename(image)
    text = json.dumps(vars(stage.config), indent=2)
    image.with_suffix(".json").write_text(f"{text}\n", encoding="utf-8")
    size = subprocess.run(["du", "-sm", str(image)], capture_output=True, text=True, check=True)
    print(f"{image}: {size.stdout.split()[0]} MiB\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
