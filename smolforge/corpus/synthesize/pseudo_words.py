"""Invented words that sound like a language, so that a model has to copy them and cannot remember them.

Input: a language and a generator. Output: one word. There is no list to learn by heart.
"""

from __future__ import annotations

import random

_LATIN_CODAS = ("", "", "", "n", "r", "l", "s", "m", "k", "x")
# onsets, vowels, codas per language: common ones, so that a byte-level tokenizer splits them like real words.
_SYLLABLES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "en": ("b br c ch d f fl g gr h j k l m n p qu r s sh sl t tr v w y z", "a e i o u ee oo ai", _LATIN_CODAS),
    "fr": ("b br c ch d f fr g j l m n p pl r s t tr v", "a e i o u é è ou au oi", ("", "", "", "n", "r", "l", "s")),
    "es": ("b c ch d f g gu j l ll m n ñ p r s t tr v z", "a e i o u ue ie á í", ("", "", "", "n", "r", "l", "s")),
    "de": ("b br d f g gr h j k kl l m n p r s sch st t w z", "a e i o u ä ö ü ei au", (*_LATIN_CODAS, "rg", "ck")),
    "it": ("b c d f g gl gn l m n p r s sc t tr v z", "a e i o u ia io", ("", "", "", "", "n", "r", "l")),
    "pt": ("b c d f g j l lh m n nh p r s t v x z", "a e i o u ão ei ou", ("", "", "", "r", "l", "s", "m")),
    "ru": ("б в г д ж з к л м н п р с т ф х ч ш вл кр ст", "а е и о у ы ю я", ("", "", "", "н", "р", "к", "т", "м")),
    "ar": ("ب ت ث ج ح د ر ز س ش ط ع غ ف ق ك م ن ه", "ا و ي ا", ("", "", "ن", "ر", "ل", "م", "د")),
}
_HAN = "安白北冰博辰川达迪飞丰高海禾宏华吉佳金凯克兰乐力灵龙洛麦米明木诺帕奇青瑞萨山思塔天同维文溪晓欣雅伊云泽知卓"


def pseudo_word(language: str, rng: random.Random) -> str:
    """Return one invented word of two or three syllables (Chinese: two to four characters)."""
    if language == "zh":
        return "".join(rng.choice(_HAN) for _ in range(rng.choice((2, 2, 3, 4))))
    onsets, vowels, codas = _SYLLABLES[language]
    heads, middles = onsets.split(), vowels.split()
    syllables = (rng.choice(heads) + rng.choice(middles) + rng.choice(codas) for _ in range(rng.choice((2, 2, 3))))
    return "".join(syllables)
