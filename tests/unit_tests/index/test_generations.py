import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.index.generations import MARKER, begin, digest, mark, trusted


@pytest.fixture
def closed(tmp_path):
    """A generation with two files, closed."""
    place = begin(tmp_path, "1")
    (place / "segment").mkdir()
    (place / "chroma.sqlite3").write_bytes(b"rows")
    (place / "segment" / "header.bin").write_bytes(bytes(100))
    mark(place, "1", closed=True)
    return place


def test_what_was_closed_and_left_alone_is_trusted(closed, tmp_path):
    assert trusted(tmp_path, "1") == closed


def test_what_was_opened_again_and_not_closed_is_not(closed, tmp_path):
    mark(closed, "1", closed=False)
    assert trusted(tmp_path, "1") is None


def test_what_another_version_closed_is_not(closed, tmp_path):
    assert trusted(tmp_path, "2") is None


def cut_short(place):
    os.truncate(place / "segment" / "header.bin", 50)


def flip_a_bit_and_keep_the_time(place):
    file = place / "segment" / "header.bin"
    before = file.stat()
    file.write_bytes(bytes(99) + b"\1")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap_for_a_pipe(place):
    (place / "chroma.sqlite3").unlink()
    os.mkfifo(place / "chroma.sqlite3")


def swap_for_a_link(place):
    (place / "chroma.sqlite3").rename(place.parent / "elsewhere")
    (place / "chroma.sqlite3").symlink_to(place.parent / "elsewhere")


DAMAGE = {
    "cut short": cut_short,
    "bit flipped": flip_a_bit_and_keep_the_time,
    "file gone": lambda place: (place / "chroma.sqlite3").unlink(),
    "file added": lambda place: (place / "chroma.sqlite3-wal").write_bytes(b""),
    "file renamed": lambda place: (place / "segment").rename(place / "other"),
    "pipe": swap_for_a_pipe,
    "link": swap_for_a_link,
    "all gone": lambda place: place.rename(place.parent / "moved"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_has_changed_since_is_not(closed, tmp_path, kind):
    DAMAGE[kind](closed)
    assert trusted(tmp_path, "1") is None


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{}", b"\xff", b'{"generation": 3}', b'{"generation": "..", "digest": null}', b"[" * 9999]
)
def test_a_marker_that_says_nothing_is_not(closed, tmp_path, text):
    (tmp_path / MARKER).write_bytes(text)
    assert trusted(tmp_path, "1") is None


@given(st.integers(0, 103), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(tmp_path_factory, at, change):
    place = tmp_path_factory.mktemp("some")
    content = bytearray(104)
    (place / "file").write_bytes(content)
    before = digest(place)
    content[at] ^= change
    (place / "file").write_bytes(content)
    assert digest(place) != before


def test_a_new_generation_takes_the_place_of_all_others_and_of_nothing_else(closed, tmp_path):
    (tmp_path / "theirs").mkdir()
    new = begin(tmp_path, "1")
    assert {path.name for path in tmp_path.iterdir()} == {"theirs", MARKER, new.name}
    assert trusted(tmp_path, "1") is None
