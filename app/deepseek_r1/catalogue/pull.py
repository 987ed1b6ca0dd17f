"""Bring a model into the models' folder. Nothing is there under its name unless it is right.

The way of a file: journal and part in `.downloads` (`half`), there under its own name once its
checksum is right, and into the folder once the header of the model has been read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from deepseek_r1.catalogue.arrivals import Phase, Progress, Pulled, Tell
from deepseek_r1.catalogue.checksums import Stop, file_sha256, remember
from deepseek_r1.catalogue.disk import disk_errors
from deepseek_r1.catalogue.errors import (
    ChecksumWrong,
    DownloadRunning,
    FileNameTaken,
)
from deepseek_r1.catalogue.half import STAGING, HalfFile
from deepseek_r1.catalogue.orders import Order
from deepseek_r1.catalogue.rules import Rules
from deepseek_r1.catalogue.transfer import Transfer
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.files import sync_folder
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.gguf import read_header


@dataclass(frozen=True, slots=True)
class _Arrived:
    order: Order
    path: Path  # in the staging folder, or in its place if it was here before
    sha256: str
    new: bool


def pull(
    orders: Sequence[Order],
    folder: Path,
    *,
    rules: Rules | None = None,
    tell: Tell = lambda _progress: None,
    stop: Stop | None = None,
) -> Pulled:
    """Fetch the files of one model, check them and put them into `folder`.

    Raises DownloadFailed and its kinds (what has come is kept), ChecksumUnknown, ChecksumWrong,
    FileNameTaken, FileNameUnusable, and the refusals of `read_header`, after which the files are
    gone again.
    """
    for order in orders:
        order.require_checkable()
    with disk_errors(orders[0].file, folder), contextlib.ExitStack() as locks:
        (folder / STAGING).mkdir(parents=True, exist_ok=True)
        for order in orders:
            locks.enter_context(_locked(folder, order.file))
        stopper = stop or Stop()
        arrived = [_fetch(order, folder, rules or Rules(), tell, stopper) for order in orders]
        paths = _place(arrived, folder)
    return Pulled(
        path=paths[0],
        files=tuple(paths),
        sha256=tuple(each.sha256 for each in arrived),
        verified=all(each.order.sha256 is not None for each in arrived),
        new=any(each.new for each in arrived),
    )


def _fetch(order: Order, folder: Path, rules: Rules, tell: Tell, stop: Stop) -> _Arrived:
    place, staged = folder / order.file, folder / STAGING / order.file
    for path, new in ((place, False), (staged, True)):
        if path.exists():
            found = _hash_told(path, order, tell, stop)
            if found == order.sha256:
                return _Arrived(order, path, found, new)
            if not new:
                raise FileNameTaken(file=order.file, folder=str(folder))
            staged.unlink()
    half = HalfFile(folder, order)
    try:
        half.open(
            stop,
            lambda done: tell(Progress(order.file, Phase.CHECKING, done, order.size_bytes)),
        )
        Transfer(half, rules, tell).run(stop)
        sha256 = half.finish()
    finally:
        half.close()
    if order.sha256 is not None and sha256 != order.sha256:
        half.discard()
        raise ChecksumWrong(file=order.file, actual=sha256, expected=order.sha256)
    half.part.replace(staged)
    half.forget_journal()
    return _Arrived(order, staged, sha256, new=True)


def _hash_told(path: Path, order: Order, tell: Tell, stop: Stop) -> str:
    size = path.stat().st_size
    return file_sha256(
        path,
        tell=lambda done: tell(Progress(order.file, Phase.CHECKING, done, size)),
        stop=stop,
    )


def _place(arrived: Sequence[_Arrived], folder: Path) -> list[Path]:
    """Move what is new into the folder once the whole model is sound."""
    fresh = [each for each in arrived if each.new]
    try:
        if len(fresh) == len(arrived):
            read_header(arrived[0].path)
        for each in fresh:
            read_container(each.path)
    except ModelRefused:
        for each in fresh:
            each.path.unlink()
        raise
    for each in fresh:
        each.path.replace(folder / each.order.file)
        remember(folder / each.order.file, each.sha256)
    sync_folder(folder)
    return [folder / each.order.file for each in arrived]


@contextlib.contextmanager
def _locked(folder: Path, file: str) -> Iterator[None]:
    lock = FileLock(folder / STAGING / f"{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as taken:
        raise DownloadRunning(file=file) from taken
    try:
        yield
    finally:
        lock.release()
