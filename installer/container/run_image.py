#!/usr/bin/env python3
"""Runs the built image as compose.yaml or the Kubernetes manifest says, and checks the server.

    sudo python3 installer/container/build_image.py WORK
    sudo python3 installer/container/run_image.py WORK/image --model model.gguf
    sudo python3 installer/container/run_image.py WORK/image --model model.gguf --kubernetes \
        --memory 1G --cpus 1

The command, the limits, the key, the volumes, the read-only root and the grace period are read from
the manifest. The process is the first one of new namespaces (processes, mounts, network, control
groups), has no capabilities, and is in a control group with the limits of memory and processor
time: version 2, or version 1 where the machine has that one. Not imitated: seccomp profiles, and
the network between containers.

Checked are: the budget and the threads follow the limits; the key; the health check before the
model is loaded, when it is, and when the server hangs; an answer; an engine that is killed; a
drain that lets an answer end, and one whose answer takes too long; the exit status; the limits
were kept; nothing was written outside of the volumes. The exit status is 1 if a check fails.

Linux as root only; needs PyYAML, and ip (iproute2).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
GROUPS = Path("/sys/fs/cgroup")
MIB = 1 << 20
UNITS = {"": 1, "k": 1 << 10, "m": MIB, "g": 1 << 30}
PERIOD_US = 100_000
BUDGET_SHARE = 0.95  # of the container's memory limit, as docs/guides/serve.md says
START_S = 10.0  # until the mounts are made
LOOPBACK, PORT = "127.0.0.1", 8080
INSIDE = "R1DESK_RUN_IMAGE_NETWORK"  # set in the process that has a network of its own
SHARED = "/dev/shm"  # noqa: S108 - a folder of the container
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
ANSWERS = 4  # at once
QUESTION = "Write a long story about a lighthouse."


class RunFailed(Exception):
    """The image cannot be run; the text says why."""


@dataclass(frozen=True)
class Service:
    """What a manifest says about the server's container."""

    command: list[str]
    memory: int
    cpus: float
    grace_s: float
    read_only: bool
    models: str  # where the volume is inside
    temporary: dict[str, int | None] = field(default_factory=dict)  # places of tmpfs, and sizes
    secret: str = ""  # the key as a file, or
    variable: str = ""  # as a variable
    groups: tuple[int, ...] = ()


def amount(text: str) -> int:
    """Return the bytes of a size such as 512M, 512Mi or 1g."""
    match = re.fullmatch(r"(\d+)([kmg]?)i?b?", text.strip().lower())
    if match is None:
        raise RunFailed(f"{text} is no size.")
    return int(match[1]) * UNITS[match[2]]


def processors(text: str) -> float:
    """Return the cores of a quota such as 0.5 or 500m."""
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def from_compose(text: str) -> Service:
    """Return the service that is built from the Dockerfile."""
    services = yaml.safe_load(text)["services"]
    found = next(each for each in services.values() if "build" in each)
    limits = found["deploy"]["resources"]["limits"]
    name = found["secrets"][0]
    return Service(
        command=found["command"],
        memory=amount(limits["memory"]),
        cpus=processors(limits["cpus"]),
        grace_s=float(found["stop_grace_period"].removesuffix("s")),
        read_only=found.get("read_only", False),
        models=found["volumes"][0].split(":")[1],
        temporary=dict.fromkeys(found.get("tmpfs", [])),
        secret=f"/run/secrets/{name}",
    )


def from_kubernetes(text: str) -> Service:
    """Return the container of the Deployment."""
    documents = yaml.safe_load_all(text)
    pod = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]
    spec = pod["spec"]
    container = spec["containers"][0]
    limits = container["resources"]["limits"]
    volumes = {each["name"]: each for each in spec["volumes"]}
    mounts = {each["mountPath"]: volumes[each["name"]] for each in container["volumeMounts"]}
    return Service(
        command=container["args"],
        memory=amount(limits["memory"]),
        cpus=processors(limits["cpu"]),
        grace_s=float(spec["terminationGracePeriodSeconds"]),
        read_only=container["securityContext"]["readOnlyRootFilesystem"],
        models=next(path for path, each in mounts.items() if "persistentVolumeClaim" in each),
        temporary={
            path: amount(each["emptyDir"]["sizeLimit"])
            for path, each in mounts.items()
            if "emptyDir" in each
        },
        variable=container["env"][0]["name"],
        groups=(spec["securityContext"]["fsGroup"],),
    )


class ControlGroup:
    """A control group with the container's limits, of version 2 or 1."""

    def __init__(self, memory: int, cpus: float) -> None:
        self.version = 1 if (GROUPS / "memory").is_dir() else 2
        name = f"r1desk-image-{os.getpid()}"
        places = {"memory": GROUPS / "memory" / name, "cpu": GROUPS / "cpu" / name}
        if self.version == 2:
            (GROUPS / "cgroup.subtree_control").write_text("+memory +cpu +pids")
            places = dict.fromkeys(places, GROUPS / name)
        self._memory, self._cpu = places["memory"], places["cpu"]
        self.folders = sorted(set(places.values()))
        for folder in self.folders:
            folder.mkdir()
        quota = str(int(cpus * PERIOD_US))
        if self.version == 2:
            (self._memory / "memory.max").write_text(str(memory))
            (self._memory / "memory.swap.max").write_text("0")
            (self._cpu / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (self._memory / "memory.limit_in_bytes").write_text(str(memory))
            (self._cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self._cpu / "cpu.cfs_quota_us").write_text(quota)

    def join(self) -> None:
        """Put the calling process into the group."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def processes(self) -> list[int]:
        """Return the processes in the group."""
        return [int(line) for line in (self._memory / "cgroup.procs").read_text().split()]

    def peak(self) -> int:
        """Return the peak of the memory in bytes."""
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        return int((self._memory / name).read_text())

    def events(self) -> dict[str, int]:
        """Return how often the limit was reached (max) and processes were killed (oom_kill)."""
        if self.version == 2:
            return numbers(self._memory / "memory.events")
        found = numbers(self._memory / "memory.oom_control")
        return {"max": int((self._memory / "memory.failcnt").read_text()), **found}

    def memory(self) -> dict[str, int]:
        """Return what the memory consists of."""
        found = numbers(self._memory / "memory.stat")
        names = ("anon", "file", "shmem", "kernel", "rss", "cache")
        return {name: found[name] for name in names if name in found}

    def processor(self) -> dict[str, int]:
        """Return the processor time, and how often the quota ended it."""
        return numbers(self._cpu / "cpu.stat")

    def remove(self) -> None:
        """End what is left in the group, and remove it."""
        for number in self.processes():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for folder in self.folders:
            wait(lambda: _removed(folder), 10)  # noqa: B023 - called at once


def _removed(folder: Path) -> bool:
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def numbers(file: Path) -> dict[str, int]:
    """Return the lines `name number` of a file."""
    lines = (line.split() for line in file.read_text(encoding="ascii").splitlines())
    return {line[0]: int(line[1]) for line in lines if len(line) == 2}


def wait(condition: Any, seconds: float) -> bool:
    """Wait until a condition is true. Returns whether it became true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Container:
    """The image's process with its limits."""

    def __init__(self, image: Path, service: Service, model: Path, key: str, work: Path) -> None:
        self._config = json.loads(image.with_suffix(".json").read_text(encoding="utf-8"))
        self._image, self._service, self._model, self._work = image, service, model, work
        self._key = key
        self.root, self.changes = work / "root", work / "changes"
        self.log = work / "log"
        self.group = ControlGroup(service.memory, service.cpus)
        environment = dict(self._config["environment"])
        environment["HOME"] = self._home()
        if service.variable:
            environment[service.variable] = key
        self._environment = [f"{name}={value}" for name, value in environment.items()]
        self._unshare: subprocess.Popen[bytes] | None = None

    def _home(self) -> str:
        for line in (self._image / "etc/passwd").read_text(encoding="utf-8").splitlines():
            entry = line.split(":")
            if self._config["user"].partition(":")[0] in (entry[0], entry[2]):
                return entry[5]
        return "/"

    def start(self) -> None:
        """Start the entry point."""
        command = [*self._config["entrypoint"], *(self._service.command or self._config["command"])]
        script = " && ".join(map(shlex.join, [*self._mounts(), ["exec", *self._enter(command)]]))
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"]
        with self.log.open("wb") as log:
            self._unshare = subprocess.Popen(
                ["unshare", *namespaces, "sh", "-c", script],
                preexec_fn=self.group.join,  # noqa: PLW1509 - this program has one thread here
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait(self._inside, START_S)

    def _inside(self) -> bool:
        """Whether the process has come to the image's file system, or has ended."""
        if self.ended(0.01) is not None:
            return True
        with suppress(OSError, RunFailed):
            return Path(f"/proc/{self.first}/root").readlink() == self.root
        return False

    def _mounts(self) -> list[list[str]]:
        """Return the commands that mount the file system, inside of the new namespaces."""
        lower, upper = self._image, self.changes
        for folder in (self.root, upper, self._work / "overlay"):
            folder.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={self._work / 'overlay'}"
        root = str(self.root)
        commands = [["mount", "-t", "overlay", "overlay", "-o", options, root]]

        def mount(kind: str, place: str, options: str = "rw") -> None:
            target = f"{root}{place}"
            commands.append(["mkdir", "-p", target])
            commands.append(["mount", "-t", kind, "-o", options, kind, target])

        def bind(source: Path, place: str) -> None:
            target = shlex.quote(f"{root}{place}")
            make = f"mkdir -p {target}"
            if not source.is_dir():
                make = f"mkdir -p $(dirname {target}) && touch {target}"
            commands.append(["sh", "-c", make])
            commands.append(["mount", "--bind", str(source), f"{root}{place}"])

        mount("proc", "/proc")
        mount("sysfs", "/sys", "ro")
        if self.group.version == 2:
            commands.append(["mount", "-t", "cgroup2", "-o", "ro", "group", f"{root}{GROUPS}"])
        else:
            mount("tmpfs", str(GROUPS), "mode=755")
            for folder in self.group.folders:
                bind(folder, f"{GROUPS}/{folder.parent.name}")
        mount("tmpfs", "/dev", "mode=755,size=64k")
        for name in DEVICES:
            bind(Path("/dev", name), f"/dev/{name}")
        commands.append(["ln", "-s", "/proc/self/fd", f"{root}/dev/fd"])
        mount("tmpfs", SHARED, "mode=1777,size=64m")
        for place, size in self._service.temporary.items():
            mount("tmpfs", place, f"mode=1777{f',size={size}' if size else ''}")
        bind(self._models(), self._service.models)
        bind(self._model, f"{self._service.models}/model.gguf")
        if self._service.secret:
            file = self._work / "api_key.txt"
            file.write_text(f"{self._key}\n", encoding="ascii")
            bind(file, self._service.secret)
        if self._service.read_only:
            commands.append(["mount", "-o", "remount,bind,ro", root])
        return commands

    def _models(self) -> Path:
        """Return the volume, with a place for the model. Only root can write in it."""
        folder = self._work / "models"
        folder.mkdir()
        (folder / "model.gguf").touch()
        return folder

    def _enter(self, command: Sequence[str]) -> list[str]:
        """Return a command in the image as its user, without rights."""
        user = self._config["user"] or "0"
        groups = ",".join(map(str, self._service.groups))
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--no-new-privs"]
        drop += [f"--groups={groups}" if groups else "--clear-groups"]
        drop += ["--bounding-set=-all", "--inh-caps=-all"]
        inside = ["env", "-i", f"--chdir={self._config['folder']}", *self._environment]
        return ["chroot", str(self.root), *drop, *inside, *command]

    @property
    def first(self) -> int:
        """The number of the container's first process, on this side."""
        if self._unshare is None:
            raise RunFailed("It was not started.")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        with suppress(OSError):
            if found := children.read_text(encoding="ascii").split():
                return int(found[0])
        raise RunFailed("The container's first process does not run.")

    def execute(self, command: Sequence[str], seconds: float) -> int | str:
        """Run a command in the container. Returns its exit status, or `timeout`."""
        inside = self._enter(command)[2:]
        spaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--root", "--wd"]
        full = ["nsenter", f"--target={self.first}", *spaces, "--", *inside]
        process = subprocess.Popen(
            full,
            preexec_fn=self.group.join,  # noqa: PLW1509 - it only writes numbers into files
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "timeout"

    def health(self) -> int | str:
        """Run the image's health check. Returns its exit status, or `timeout`."""
        check = self._config["health"]
        return self.execute(check["command"], float(check["timeout"].removesuffix("s")))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process."""
        os.kill(self.first, number)

    def ended(self, seconds: float) -> int | None:
        """Wait for the end. Returns the exit status; None if it did not end."""
        if self._unshare is None:
            raise RunFailed("It was not started.")
        with suppress(subprocess.TimeoutExpired):
            return self._unshare.wait(seconds)
        return None

    def written(self) -> list[str]:
        """Return the files that were written into the root and the temporary folders."""
        made_here = {str(GROUPS).lstrip("/"), self._service.secret.lstrip("/")}
        made_here |= {f"dev/{name}" for name in DEVICES}
        found = [
            file.relative_to(self.changes).as_posix()
            for file in self.changes.rglob("*")
            if not file.is_dir()
        ]
        return sorted(each for each in found if each not in made_here)

    def temporary(self) -> list[str]:
        """Return the files in the temporary folders, while the process runs."""
        places = [*self._service.temporary, SHARED]
        roots = [Path(f"/proc/{self.first}/root{place}") for place in places]
        return [str(file) for root in roots for file in root.rglob("*") if not file.is_dir()]

    def remove(self) -> None:
        """End it, and remove its group."""
        if self._unshare is not None and self._unshare.poll() is None:
            self._unshare.kill()
            self._unshare.wait()
        self.group.remove()


class Client:
    """Requests to the server."""

    def __init__(self, key: str) -> None:
        self._key = key

    def get(self, path: str, *, key: bool = True) -> tuple[int, str]:
        """Return the status and the text of a path; status 0 where nobody listens."""
        return self._ask("GET", path, None, self._key if key else "")

    def chat(self, tokens: int, key: str | None = None) -> tuple[int, dict[str, Any]]:
        """Ask the question. Returns the status and the answer."""
        given = self._key if key is None else key
        status, text = self._ask("POST", "/v1/chat/completions", chat_body(tokens), given)
        return status, json.loads(text) if text.startswith("{") else {}

    def _ask(self, method: str, path: str, body: str | None, key: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(LOOPBACK, PORT, timeout=600)
        try:
            connection.request(method, path, body, headers(key))
            reply = connection.getresponse()
            return reply.status, reply.read().decode("utf-8")
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)
        finally:
            connection.close()


class Stream(threading.Thread):
    """A streamed answer that is read beside the checks."""

    def __init__(self, key: str, path: str, body: str) -> None:
        super().__init__(daemon=True)
        self._key, self._path, self._body = key, path, body
        self.pieces, self.last, self.whole = 0, "", False

    def run(self) -> None:
        """Read the answer to its end."""
        connection = http.client.HTTPConnection(LOOPBACK, PORT, timeout=600)
        with suppress(OSError, http.client.HTTPException):
            connection.request("POST", self._path, self._body, headers(self._key))
            reply = connection.getresponse()
            while line := reply.readline().decode("utf-8"):
                if line.startswith("data:"):
                    self.pieces += 1
                    self.last = line.strip()[:300]
            self.whole = self.last == "data: [DONE]"
        connection.close()


def headers(key: str) -> dict[str, str]:
    """Return the headers of a request."""
    found = {"Content-Type": "application/json"}
    return found | ({"Authorization": f"Bearer {key}"} if key else {})


def chat_body(tokens: int, *, stream: bool = False) -> str:
    """Return the body of a request for an answer of this length."""
    messages = [{"role": "user", "content": QUESTION}]
    body = {"messages": messages, "max_tokens": tokens, "stream": stream}
    return json.dumps(body)


def endless_body(tokens: int) -> str:
    """Return the body of a streamed request whose answer does not end by itself."""
    prompt = " ".join(f"{number}," for number in range(1, 40))
    return json.dumps({"prompt": prompt, "max_tokens": tokens, "stream": True, "temperature": 0})


class Report:
    """The checks and their outcomes."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, name: str, good: bool, detail: object = "") -> None:
        """Print one check."""
        self.failed += not good
        print(f"{'ok    ' if good else 'FAILED'} {name}: {detail}", flush=True)

    def note(self, name: str, detail: object) -> None:
        """Print something that is not judged."""
        print(f"       {name}: {detail}", flush=True)


@dataclass(frozen=True)
class Run:
    """The options of all checks."""

    image: Path
    model: Path
    service: Service
    start_s: float
    tokens: int


@contextmanager
def running(run: Run, service: Service | None = None) -> Iterator[tuple[Container, Client, str]]:
    """Yield a started container, a client and the key."""
    key = secrets.token_hex(24)
    with tempfile.TemporaryDirectory(dir=run.image.parent) as folder, ExitStack() as stack:
        work = Path(folder)
        work.chmod(0o755)
        forget_pages([run.model, *run.image.rglob("*")])
        container = Container(run.image, service or run.service, run.model, key, work)
        stack.callback(container.remove)
        container.start()
        yield container, Client(key), key


def forget_pages(files: Iterable[Path]) -> None:
    """Drop files from the page cache: pages that are there already are not charged to a group."""
    for file in files:
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def until(run: Run, container: Container, client: Client, path: str) -> None:
    """Wait until a path answers with 200. Raises RunFailed."""

    def over() -> bool:
        return client.get(path)[0] == 200 or container.ended(0.01) is not None

    if not wait(over, run.start_s) or container.ended(0.01) is not None:
        raise RunFailed(f"{path} did not answer: {container.log.read_text()}")


def check_service(run: Run, report: Report) -> None:
    """Check a server from its start to the end of a drain."""
    with running(run) as (container, client, key):
        check_start(run, container, client, report)
        check_limits_followed(run, container, client, report)
        check_requests(run, container, client, report)
        check_hanging(container, report)
        check_killed_engine(container, client, report)
        report.note("files in temporary folders", container.temporary())
        check_drain(run, container, client, key, report)
        check_limits_kept(run, container, report)
        written = container.written()
        report.check("nothing written into the root", not written, written)
        report.note("log", container.log.read_text().strip().splitlines()[-6:])


def check_start(run: Run, container: Container, client: Client, report: Report) -> None:
    """The health check fails until the model is loaded."""
    began = time.monotonic()
    report.check("health check at once", (found := container.health()) == 1, found)
    until(run, container, client, "/health")
    report.note("listens after", f"{time.monotonic() - began:.1f} s")
    early = client.get("/health/ready")[0]
    if early == 503:
        report.check("health check while loading", container.health() == 1, f"ready says {early}")
    until(run, container, client, "/health/ready")
    report.note("ready after", f"{time.monotonic() - began:.1f} s")
    report.check("health check when ready", container.health() == 0)
    first = Path(f"/proc/{container.first}")
    wanted = re.findall(r"^(?:Uid|NSpid|CapEff|CapBnd|NoNewPrivs|Groups):.*$", (
        first / "status"
    ).read_text(), re.MULTILINE)  # fmt: skip
    report.note("first process", [line.split() for line in wanted])


def check_limits_followed(run: Run, container: Container, client: Client, report: Report) -> None:
    """The budget follows the memory limit, the threads the quota."""
    time.sleep(3)  # until the engine has told its state
    text = container.log.read_text()
    report.note("log", text.strip().splitlines())
    budget = re.search(r"([\d,]+) of ([\d,]+) MiB planned", text)
    wanted = min(2048, int(run.service.memory * BUDGET_SHARE / MIB))
    shown = int(budget[2].replace(",", "")) if budget else 0
    report.check("budget", shown == wanted, f"{shown} MiB, wanted {wanted}")
    metrics = client.get("/metrics")[1]
    gauges = dict(re.findall(r"^deepseek_r1:(\w+) (\S+)$", metrics, re.MULTILINE))
    report.check(
        "budget in /metrics", float(gauges.get("memory_budget_mib", 0)) <= wanted,
        {name: gauges[name] for name in sorted(gauges) if "mib" in name or name.startswith("num")},
    )  # fmt: skip
    report.note("/v1/loads", client.get("/v1/loads")[1])
    for path in ("/health", "/health/ready"):
        report.check(f"{path} without key", client.get(path, key=False)[0] == 200)
    for path in ("/metrics", "/v1/loads", "/v1/models"):
        report.note(f"{path} without key", client.get(path, key=False)[0])


def check_requests(run: Run, container: Container, client: Client, report: Report) -> None:
    """Chat requests with and without the key."""
    report.check("chat without key", (status := client.chat(4, "")[0]) == 401, status)
    report.check("chat with a wrong key", (status := client.chat(4, "x" * 48)[0]) == 401, status)
    began = time.monotonic()
    status, answer = client.chat(run.tokens)
    seconds = time.monotonic() - began
    text = answer["choices"][0]["message"]["content"] if "choices" in answer else str(answer)
    usage = answer.get("usage", {})
    report.check("chat with the key", status == 200 and bool(text), (status, text[:60]))
    for place in (Path("/proc", str(number)) for number in container.group.processes()):
        command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        if not command.startswith("unshare"):
            report.note("threads and their seconds", f"{thread_seconds(place)}: {command[:70]}")
    rate = usage.get("completion_tokens", 0) / seconds
    report.note("answer", f"{usage.get('completion_tokens')} tokens, {rate:.1f} a second")


def thread_seconds(process: Path) -> list[float]:
    """Return the processor time of each thread of a process, the most first."""
    ticks = os.sysconf("SC_CLK_TCK")
    lines = [(task / "stat").read_text().rpartition(")")[2] for task in process.glob("task/*")]
    return sorted((sum(map(int, line.split()[11:13])) / ticks for line in lines), reverse=True)


def check_hanging(container: Container, report: Report) -> None:
    """A server that hangs is not healthy, and healthy again when it goes on."""
    container.signal(signal.SIGSTOP)
    report.check("health check of a hanging server", (found := container.health()) != 0, found)
    container.signal(signal.SIGCONT)
    report.check("health check afterwards", (found := container.health()) == 0, found)


def check_killed_engine(container: Container, client: Client, report: Report) -> None:
    """The engine's process is killed: the next request starts it again."""
    for number in container.group.processes():
        if b"--engine-host" in Path(f"/proc/{number}/cmdline").read_bytes():
            os.kill(number, signal.SIGKILL)
    time.sleep(1)
    report.note("/health/ready without engine", client.get("/health/ready")[0])
    report.note("health check without engine", container.health())
    began = time.monotonic()
    status = client.chat(4)[0]
    seconds = time.monotonic() - began
    report.check("chat after the engine was killed", status == 200, f"{status}, {seconds:.1f} s")
    status_files = [Path(f"/proc/{each}/stat") for each in container.group.processes()]
    zombies = [each for each in status_files if ") Z " in each.read_text()]
    report.check("no zombies", not zombies, zombies)


def check_drain(run: Run, container: Container, client: Client, key: str, report: Report) -> None:
    """SIGTERM: a running answer ends, new requests are refused, the exit status is 0."""
    stream = Stream(key, "/v1/chat/completions", chat_body(run.tokens, stream=True))
    stream.start()
    wait(lambda: stream.pieces > 2, 120)
    container.signal(signal.SIGTERM)
    began = time.monotonic()
    time.sleep(1)
    report.check("new request while draining", client.chat(4)[0] in (0, 503), client.get("/health"))
    status = container.ended(run.service.grace_s)
    seconds = time.monotonic() - began
    stream.join(10)
    report.check("drain lets the answer end", stream.whole, f"{stream.pieces} pieces")
    report.check("exit status after the drain", status == 0, f"{status} after {seconds:.1f} s")


def check_limits_kept(run: Run, container: Container, report: Report) -> None:
    """No process was killed for memory."""
    events, peak = container.group.events(), container.group.peak()
    killed = events.get("oom", 0) + events.get("oom_kill", 0)
    report.check("no oom", not killed, {key: value for key, value in events.items() if value})
    limit = run.service.memory
    report.check("memory peak", peak <= limit, f"{peak / MIB:.0f} of {limit / MIB:.0f} MiB")
    report.note("processor", container.group.processor())


def check_long_answer(run: Run, report: Report) -> None:
    """An answer that takes longer than the drain: the end still comes within the grace period."""
    with running(run) as (container, client, key):
        until(run, container, client, "/health/ready")
        streams = [Stream(key, "/v1/completions", endless_body(4000)) for _ in range(ANSWERS)]
        for stream in streams:
            stream.start()
        wait(lambda: all(stream.pieces > 2 for stream in streams), 240)
        report.note("memory with four answers", container.group.memory())
        began = time.monotonic()
        container.signal(signal.SIGTERM)
        status = container.ended(run.service.grace_s)
        seconds = time.monotonic() - began
        report.check("end within the grace period", status is not None, f"{seconds:.1f} s")
        report.check("exit status after a long drain", status == 0, status)
        for stream in streams:
            stream.join(10)
        report.note("answers", [(stream.pieces, stream.last[-120:]) for stream in streams])
        check_limits_kept(run, container, report)
        report.note("log", container.log.read_text().strip().splitlines()[-4:])


def check_writable(run: Run, report: Report) -> None:
    """With a writable root, nothing is written either."""
    writable = replace(run.service, read_only=False, temporary={})
    with running(run, writable) as (container, client, _):
        until(run, container, client, "/health/ready")
        status = client.chat(8)[0]
        container.signal(signal.SIGTERM)
        ended = container.ended(run.service.grace_s)
        written = container.written()
        report.check("a writable root stays as it is", not written, (status, ended, written))


def check_early_end(run: Run, report: Report) -> None:
    """SIGTERM while the model is loaded ends it at once."""
    with running(run) as (container, client, _):
        until(run, container, client, "/health")
        began = time.monotonic()
        container.signal(signal.SIGTERM)
        status = container.ended(run.service.grace_s)
        detail = f"{status} after {time.monotonic() - began:.1f} s"
        report.check("SIGTERM while loading", status == 0, detail)


def check_wrong_start(run: Run, report: Report) -> None:
    """Without a key, or without the model, it ends at once and says why."""
    missing = [each.replace("model.gguf", "other.gguf") for each in run.service.command]
    cases: Mapping[str, Service] = {
        "no key": replace(run.service, command=[], variable=""),
        "no model": replace(run.service, command=missing),
    }
    for name, service in cases.items():
        with running(run, service) as (container, _, _key):
            status = container.ended(60)
            log = container.log.read_text().strip().splitlines()
            report.check(f"start with {name}", status not in (0, None), (status, log[-2:]))


CHECKS = {
    "service": check_service,
    "long": check_long_answer,
    "writable": check_writable,
    "early": check_early_end,
    "wrong": check_wrong_start,
}


def own_network() -> None:
    """Go on in a network of its own, where port 8080 is free."""
    if INSIDE not in os.environ:
        command = ["unshare", "--net", sys.executable, *sys.argv]
        os.execvpe("unshare", command, os.environ | {INSIDE: "1"})  # noqa: S606
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("image", type=Path, help="the folder that build_image.py made")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--manifests", type=Path, default=HERE, help="default: this folder")
    parser.add_argument("--kubernetes", action="store_true", help="instead of compose.yaml")
    parser.add_argument("--memory", type=amount, help="default: the manifest's")
    parser.add_argument("--cpus", type=processors, help="default: the manifest's")
    parser.add_argument("--start-seconds", type=float, default=300.0, help="until it is ready")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer")
    parser.add_argument("--only", choices=tuple(CHECKS), action="append")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise SystemExit("It needs root on Linux.")
    own_network()
    if options.kubernetes:
        file = options.manifests / "kubernetes" / "deepseek-r1.yaml"
        service = from_kubernetes(file.read_text(encoding="utf-8"))
    else:
        service = from_compose((options.manifests / "compose.yaml").read_text(encoding="utf-8"))
    service = replace(
        service,
        memory=options.memory or service.memory,
        cpus=options.cpus or service.cpus,
    )
    run = Run(
        options.image.absolute(),
        options.model.absolute(),
        service,
        options.start_seconds,
        options.tokens,
    )
    report = Report()
    report.note("service", service)
    for name in options.only or CHECKS:
        print(f"--- {name}", flush=True)
        try:
            CHECKS[name](run, report)
        except RunFailed as error:
            report.check(name, False, error)
    print(f"{report.failed} checks failed" if report.failed else "all checks passed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
