import base64
import random
import time

import pytest

from langchain_reflect.recording.media import without_media as recorded
from langchain_reflect.reflection.placeholders import medium, without_media

BYTES = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(12_000)
DATA = base64.b64encode(BYTES).decode()


def test_a_data_url_becomes_type_and_size():
    assert without_media(f"see data:image/webp;base64,{DATA} there") == "see [image/webp 12 kB] there"


def test_bare_base64_is_known_by_its_first_letters():
    assert without_media(f'{{"shot": "{DATA}"}}') == '{"shot": "[image/png 12 kB]"}'
    other = base64.b64encode(BYTES[8:]).decode()
    assert without_media(f"bytes: {other}.") == "bytes: [base64 12 kB]."


def test_base64_in_lines_becomes_one_placeholder():
    assert without_media(base64.encodebytes(BYTES).decode()).strip() == "[image/png 12 kB]"


def test_what_the_recorder_stored_is_shortened():
    assert without_media(recorded(f"see data:image/png;base64,{DATA}")) == "see [image/png 12 kB]"


@pytest.mark.parametrize("text", ["a" * 900, "ACGT" * 300, "-" * 500, "f00d" * 100, "word " * 300, "/usr/lib/python3/Site" * 5, ""])
def test_other_long_runs_stay(text):
    assert without_media(text) == text


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({"type": "image", "media": "image/png", "bytes": 12345, "sha256": "ab"}, "[image/png 12 kB]"),
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}, "[image/png 12 kB]"),
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, "[image https://example.org/a.png]"),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": DATA}}, "[image/jpeg 12 kB]"),
        ({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}, "[input_audio 12 kB]"),
        ({"type": "image", "base64": DATA, "mime_type": "image/png"}, "[image/png 12 kB]"),
        ({"type": "text", "text": "hello"}, None),
        ({"type": "image", "source": None}, None),
        ({"type": 3, "url": 4}, None),
        ({}, None),
    ],
)
def test_content_blocks_become_placeholders(block, told):
    assert medium(block) == told


@pytest.mark.parametrize(
    "piece", ["data:image/png;base64,", "data:;a", ";a", "aA1" * 66 + " ", "aA1" * 25 + "\n", "[media a", "data:" + "a" * 99]
)
def test_hostile_megabytes_take_no_time(piece):
    started = time.process_time()
    without_media(piece * (1_000_000 // len(piece)) + ";base64,[media ")
    assert time.process_time() - started < 3.0
