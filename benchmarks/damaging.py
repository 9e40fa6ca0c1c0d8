"""Ways in which the files of a Chroma folder get damaged, as data: each takes the folder that Chroma wrote to."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path], None]
FILES = ("chroma.sqlite3", "data_level0.bin", "header.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")
"""What Chroma writes; all but the first lie in a folder per collection."""


def file_of(folder: Path, name: str) -> Path:
    """The file of this name, wherever it lies."""
    return next(folder.rglob(name))


def delete(file: Path) -> None:
    """The file is gone."""
    file.unlink()


def cut(file: Path) -> None:
    """The second half is gone, as after a power cut."""
    os.truncate(file, file.stat().st_size // 2)


def zero(file: Path) -> None:
    """As long as it was, but zeros only: the file system knew its size before its content."""
    file.write_bytes(bytes(file.stat().st_size))


def flip(file: Path) -> None:
    """Some bytes have other values, and nothing else tells: size and times are as they were."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    step = max(1, len(content) // 64)
    for at in range(step // 2, len(content), step):
        content[at] ^= 0xFF
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _to(change: Damage, name: str) -> Damage:
    return lambda folder: change(file_of(folder, name))


def lose_segment(folder: Path) -> None:
    """The folder of the collection is gone."""
    shutil.rmtree(file_of(folder, "header.bin").parent)


def lose_all(folder: Path) -> None:
    """All that Chroma wrote is gone."""
    shutil.rmtree(folder)


def garble_marker(folder: Path) -> None:
    """The note beside it says nothing."""
    (folder.parent / "reflect-index.json").write_bytes(b"\0" * 100)


KINDS: dict[str, Damage] = {
    **{f"{change.__name__} {name}": _to(change, name) for name in FILES for change in (delete, cut, zero, flip)},
    "delete segment folder": lose_segment,
    "delete everything": lose_all,
    "garble marker": garble_marker,
}
LIVE = ("delete chroma.sqlite3", "zero chroma.sqlite3", "cut data_level0.bin", "delete segment folder", "delete everything")
"""Kinds that are tried while the folder is open as well."""
