"""What in a sentence turns its meaning round, where vectors hardly differ: negations, numbers, opposites, the order of words. Pure.

The word lists are English and need not be complete: what is missed here is still compared by its vector.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final


@dataclass(frozen=True, slots=True)
class Said:
    """What a text says, as far as it is compared."""

    words: tuple[str, ...]
    """Stems, without fillers; words that turn a meaning by their kind."""
    signs: tuple[tuple[str, str], ...]
    """Kinds of words that turn a meaning, with the word that they are bound to."""
    numbers: Counter[tuple[str, str]]
    """With their units."""

    @classmethod
    def of(cls, text: str) -> "Said":
        """Take a text apart."""
        tokens = [t for t in _tokens(text) if t not in _FILLERS]
        words = tuple(_word(t, before) for before, t in pairwise((" ", *tokens)))
        pairs = list(pairwise((*words, "")))
        signs = tuple((word, "" if word in _UNBOUND else following) for word, following in pairs if word in _SIGNS)
        numbers = Counter((word, following if following in _UNITS else "") for word, following in pairs if word[0].isdigit())
        return cls(words, signs, numbers)


def agree(one: Said, other: Said) -> bool:
    """Whether nothing speaks against two texts meaning the same.

    Args:
        one: A text.
        other: Another of near-equal meaning.
    """
    if one.words == other.words:
        return True
    mine, yours = Counter(one.words) - Counter(other.words), Counter(other.words) - Counter(one.words)
    reordered = not mine and not yours
    one_for_another = mine.total() == yours.total() == 1  # a synonym, or the very point
    return not (reordered or one_for_another or _turned(one, other) or any(_opposed(a, b) for a in mine for b in yours))


def share_words(one: Said, other: Said) -> float:
    """Words in both by words in either, 0 to 1; 1 for two empty texts.

    Args:
        one: A text.
        other: Another.
    """
    mine, yours = set(one.words), set(other.words)
    return len(mine & yours) / len(mine | yours) if mine or yours else 1.0


def _turned(one: Said, other: Said) -> bool:
    return (
        one.numbers != other.numbers
        or Counter(sign for sign, _ in one.signs) != Counter(sign for sign, _ in other.signs)
        or _rebound(one, other)
        or _rebound(other, one)
    )


def _rebound(one: Said, other: Said) -> bool:
    """Whether a word that is denied, excepted, or comes first in one text stands in the other as well, but not so."""
    return any(bound in other.words and (sign, bound) not in other.signs for sign, bound in one.signs if bound)


def _tokens(text: str) -> Iterator[str]:
    said = text.casefold().replace("\u2019", "'")
    for short, full in _SHORT.items():
        said = said.replace(short, full)
    for token in _TOKEN.findall(said):
        yield _NUMBERS.get(token, token)


def _word(token: str, before: str) -> str:
    stem = _stem(token)
    return _SIGNS.get(token) or (_UNITS.get(stem, stem) if before[0].isdigit() else stem)


def _stem(word: str) -> str:
    """A word without common endings: check, checks, checked, checking are one; so are use, uses, used, using."""
    bare = _ENDING.sub("", word)
    return _DOUBLE.sub(r"\1", bare) if bare != word else bare


def _opposed(one: str, other: str) -> bool:
    return (one, other) in _OPPOSITES or any(one == p + other or other == p + one for p in _NEGATING)


def _by_word(text: str) -> Mapping[str, str]:
    """Lines of a name and the words that it stands for, turned round."""
    lines = [line.split() for line in text.strip().splitlines()]
    return {word: name for name, *words in lines for word in words}


_TOKEN: Final = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:_\w+)*|[%$€£<>=]+")
_ENDING: Final = re.compile(r"(?<=[^\W_]{2})(?:ings?|ed|es|(?<!s)s|e)$")
_DOUBLE: Final = re.compile(r"([bdgmnprt])\1$")
_SHORT: Final = {"can't": "can not", "cannot": "can not", "won't": "will not", "n't": " not"}
_NUMBER_WORDS: Final = """
0.5 half
1 once single
2 two twice pair
3 three
4 four
5 five
6 six
7 seven
8 eight
9 nine
10 ten
11 eleven
12 twelve dozen
"""
_NUMBERS: Final = _by_word(_NUMBER_WORDS)
_UNIT_WORDS: Final = """
% % percent pct
$ $ dollar usd
€ € euro eur
cent cent
ms ms millisecond
s s sec second
min min minute
h h hr hour
day day
week week
month month
year year
token token
char char character letter digit
word word
line line
row row
mm mm millimetre millimeter
cm cm centimetre centimeter
m m metre meter
km km kilometre kilometer
kb kb kilobyte
mb mb megabyte
gb gb gigabyte
"""
_SIGN_WORDS: Final = """
not not no never none nothing nobody neither nor avoid avoids avoiding refrain forbid stop
without without
instead instead rather
unless unless except excepting
only only just solely exclusively
before before until prior
after after afterwards
from from
if if when whenever while
"""
_SIGNS: Final = _by_word(_SIGN_WORDS)
_UNBOUND: Final = frozenset({"only", "if"})
"""Signs of which only the number counts, since what they bind may be worded in many ways."""
_FILLER_WORDS: Final = """
a an the this that these those it its their your you he she they them we i is are be been being was were to of in on at for with by as and
or so then than do does did done has have had will would should must can could may might please also too very any some there here
"""
_FILLERS: Final = frozenset(_FILLER_WORDS.split())
_OPPOSITE_PAIRS: Final = """
more/less more/fewer most/least most/fewest first/last first/second initial/final increase/decrease raise/lower always/never all/none
every/none both/either upper/lower uppercase/lowercase capital/small ascending/descending asc/desc min/max minimum/maximum minimal/maximal
above/below over/under start/end begin/end prefix/suffix include/exclude add/remove add/subtract multiply/divide plus/minus enable/disable
left/right top/bottom true/false yes/no old/new oldest/newest earlier/later early/late earliest/latest long/short longer/shorter
longest/shortest cheap/expensive cheaper/dearer cheapest/dearest high/low higher/lower highest/lowest large/small larger/smaller
largest/smallest big/small bigger/smaller greater/less greater/smaller inner/outer allow/deny allow/forbid accept/reject public/private
local/remote read/write push/pull on/off in/out up/down inside/outside singular/plural absolute/relative departure/arrival outbound/return
input/output encode/decode required/optional open/close before/after pass/fail success/failure encrypt/decrypt import/export single/double
even/odd forward/backward front/back row/column horizontal/vertical fast/slow faster/slower strict/lenient keep/drop keep/delete keep/remove
"""
_NEGATING: Final = ("un", "in", "im", "ir", "non", "dis", "mis")
"""With one of these in front, a word is its own opposite."""
_UNITS: Final = {_stem(word): unit for word, unit in _by_word(_UNIT_WORDS).items()}
_OPPOSITES: Final = frozenset(
    (_stem(a), _stem(b)) for pair in _OPPOSITE_PAIRS.split() for one, other in [pair.split("/")] for a, b in ((one, other), (other, one))
)
