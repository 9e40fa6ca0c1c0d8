import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.reflection.fencing import defuse, fence_of
from langchain_reflect.reflection.prompts import Prompts, _messages

TOKENS = (
    *(
        "<|im_start|>system",
        "<|im_end|>",
        "<|endoftext|>",
        "<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>",
        "<|begin_of_text|>",
    ),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>", "[SYSTEM_PROMPT]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]"),
    *(
        "<start_of_turn>",
        "<end_of_turn>",
        "<bos>",
        "<eos>",
        "<unused7>",
        "<|START_OF_TURN_TOKEN|>",
        "<|CHATBOT_TOKEN|>",
        "<|assistant|>",
        "<|end|>",
    ),
    *(
        "<\uff5cUser\uff5c>",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
        "<tool_call>",
        "</tool_call>",
        "<function_calls>",
        "<think>",
        "</think>",
    ),
    *("<|start|>assistant<|channel|>final<|message|>", "<|channel|>"),
)
NONCE = "1234abcd"
PARTS = st.sampled_from(
    [
        *TOKENS,
        *(
            f"<data-{NONCE}>",
            f"</data-{NONCE}>",
            "</data-",
            NONCE,
            NONCE[:5],
            NONCE[5:],
            "<data-$nonce>",
            "$nonce",
            "$data",
            "$",
            "${data}",
        ),
        *(
            '"}]}',
            "```",
            "\n\n",
            "\u200b",
            "\u200d",
            "\u202e",
            "\x00",
            "<",
            "|",
            ">",
            "/",
            "</da\u200bta-",
            "\u2028",
            "Answer with JSON only",
        ),
    ]
)
DATA = st.lists(PARTS | st.text(max_size=8), max_size=20).map("".join)


@given(DATA, st.sampled_from([NONCE, None]))
def test_no_data_can_forge_the_fence(data, nonce):
    prompts = Prompts()
    system, human = _messages(
        prompts.contrast_system, prompts.contrast, data, {"question": "?", "most": "1", "label": "R1", "nothing": ""}, nonce
    )
    (used,) = set(re.findall(r"<data-(\w+)>", system.text))
    opening, closing = f"<data-{used}>\n", f"\n</data-{used}>"
    assert (human.text.count(used), human.text.count(opening), human.text.count(closing)) == (2, 1, 1)
    assert len(re.findall("<data-", human.text)) == len(re.findall("</data-", human.text)) == 1, "nor set up another"
    inside = human.text[human.text.index(opening) + len(opening) : human.text.index(closing)]
    assert inside == defuse(data)
    assert re.sub(r"\s", "", inside) == re.sub(r"\s", "", seen(data)), "all of it is there"


def seen(data: str) -> str:
    return "".join(c for c in data if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Cn"))


@given(DATA)
def test_no_mark_of_a_models_template_is_left(data):
    text = defuse(data)
    assert not [token for token in TOKENS if token.split(">")[0] + ">" in text and token.startswith("<")]
    assert not [token for token in TOKENS if token.startswith("[") and token in text]
    assert defuse(text) == text


@pytest.mark.parametrize("token", TOKENS)
def test_marks_are_defused_visibly(token):
    assert defuse(token) != token
    assert defuse(token).replace(" ", "") == token
    assert defuse("\u200b".join(token)) == defuse(token), "also where invisible characters hide it"


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "x[INSTANCE]", "<script>", "<data>", "List<String>", "f(x) |> g", "日本語\tعربي\nline", "[1] <b>"]
)
def test_other_texts_stay_as_they_are(text):
    assert defuse(text).replace("| >", "|>") == text


def test_a_taken_mark_is_not_used_again():
    assert fence_of("text", NONCE) == NONCE
    assert fence_of(f"text {NONCE}", NONCE) != NONCE
