"""Media are kept as what they were, never as bytes."""

import hashlib
import json
from base64 import b64encode

import pytest
from langchain_core.messages import HumanMessage

from langchain_reflect.recording.media import without_media
from langchain_reflect.recording.plain import TEXT_LIMIT, clean_text, plain

RAW = bytes(range(256)) * 8
DATA = b64encode(RAW).decode()
SHA = hashlib.sha256(RAW).hexdigest()

BLOCKS = [
    ({"type": "image", "base64": DATA, "mime_type": "image/png"}, "image/png"),
    ({"type": "image", "source_type": "base64", "data": DATA, "mime_type": "image/jpeg"}, "image/jpeg"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": DATA}}, "image/webp"),
    ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}, "application/pdf"),
    ({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}, "audio/*"),
    ({"type": "file", "file": {"filename": "a.pdf", "file_data": DATA}}, "application/*"),
    ({"type": "audio", "base64": DATA}, "audio/*"),
]


@pytest.mark.parametrize(("block", "mime"), BLOCKS)
def test_a_block_becomes_type_size_and_hash(block, mime):
    kept = plain(HumanMessage([{"type": "text", "text": "Look"}, block]))["content"]
    assert kept[0] == {"type": "text", "text": "Look"}
    assert kept[1] == {"type": block["type"], "media": mime, "bytes": len(RAW), "sha256": SHA}


def test_a_data_url_in_any_text_is_told_by_its_hash():
    block = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
    assert plain(block)["image_url"]["url"] == f"[media image/png, {len(RAW)} bytes, sha256 {SHA[:16]}]"
    assert without_media(f"see data:;base64,{DATA}.") == f"see [media text/plain, {len(RAW)} bytes, sha256 {SHA[:16]}]."


@pytest.mark.parametrize(
    "block", [{"type": "image", "url": "https://a/b.png"}, {"type": "text", "data": "x" * 999}, {"data": DATA}, {"type": 3}]
)
def test_other_mappings_stay(block):
    assert set(plain(block)) == set(block)


def test_twenty_megabytes_take_no_room():
    block = {"type": "image", "base64": "A" * 20_000_000, "mime_type": "image/png"}
    assert len(json.dumps(plain({"messages": [HumanMessage([block])]}))) < 400


def test_ten_megabytes_of_text_keep_head_and_tail_with_the_hash_of_all():
    text = "begin " + "x" * 10_000_000 + " end"
    cleaned = []
    kept = clean_text(text, lambda part: cleaned.append(len(part)) or part)
    assert kept.startswith("begin x")
    assert kept.endswith("x end")
    assert hashlib.sha256(text.encode()).hexdigest()[:16] in kept
    assert len(kept) < TEXT_LIMIT + 100
    assert max(cleaned) < 100_000


def test_a_secret_near_the_end_of_a_long_text_is_masked():
    text = "x" * 1_000_000 + " key=SECRET" + "y" * 500
    assert "SECRET" not in clean_text(text, lambda part: part.replace("SECRET", "***"))


def test_keys_that_look_alike_stay_two():
    assert plain({1: "a", "1": "b"}) == {"1": "a", "str:1": "b"}


def test_a_number_of_thousands_of_digits_is_described():
    assert json.loads(json.dumps(plain([10**5000]))) == ["<int of 16610 bits>"]
