"""Validators: what proves that a span is an address, an account, a card or a key, and no other string of its shape.

Input: the matched text. Output: true or false.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import math
import re
from collections import Counter

# Lengths from the IBAN registry (ISO 13616), by country.
_IBAN_COUNTRIES = (
    "15:NO;16:BE;18:DK FK FI FO GL NL SD;19:MK SI;20:AT BA EE KZ LT LU MN XK;21:CH HR LI LV;"
    "22:BG BH CR DE GB GE IE ME RS;23:AE GI IL IQ OM SO TL;24:AD CZ ES MD PK RO SA SE SK TN VG;25:LY PT ST;26:IS TR;"
    "27:BI DJ FR GR IT MC MR SM;28:AL AZ BY CY DO GT HN HU LB NI PL SV;29:BR EG PS QA UA;30:JO KW MU;31:MT SC;"
    "32:LC;33:RU"
)
_LENGTH_OF = {
    country: int(length)
    for length, countries in (entry.split(":") for entry in _IBAN_COUNTRIES.split(";"))
    for country in countries.split()
}
_COUNTRIES = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca "
    "cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo "
    "fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je "
    "jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo "
    "mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt "
    "pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk "
    "tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
# Endings in other scripts (IANA's root zone); an expression of alternatives.
NATIONAL_ENDINGS = (
    "рф|рус|бел|укр|срб|мкд|мон|қаз|бг|ею|москва|дети|онлайн|сайт|орг|ком|ελ|ευ|հայ|გე|ישראל|"
    "مصر|السعودية|امارات|المغرب|تونس|الجزائر|الاردن|قطر|عمان|سورية|فلسطين|عراق|ایران|موقع|شبكة|भारत|ไทย|中国|中國|香港|台灣|台湾"
)
_COUNTRY_DOMAINS = frozenset(_COUNTRIES.split())
# Endings of file names ("icon@2x.png") and of attributes in programs, which no mail server has.
_ENDINGS = (
    "png jpg jpeg gif svg webp bmp ico pdf html htm css js json xml yaml yml txt csv log exe dll jar tar get set value"
)
_NO_DOMAINS = frozenset(_ENDINGS.split())
_TEST_DOMAINS = re.compile(
    r"(?i)(?:^|\.)(?:example(?:\.[a-z]{2,3})?|test|invalid|localhost|local|internal|domain\.(?:com|tld))$"
)


def host_is_reserved(host: str) -> bool:
    """Check for a host reserved for examples and tests (RFC 2606, 6761) or one of the own machine or network."""
    return _TEST_DOMAINS.search(host) is not None


def email_is_plausible(local: str, domain: str) -> bool:
    """Check dots of the local part, the ending of the domain, and that it is none reserved for examples (RFC 2606)."""
    if local.startswith(".") or local.endswith(".") or ".." in local or _TEST_DOMAINS.search(domain):
        return False
    ending = domain.rpartition(".")[2].lower()
    return ending in _COUNTRY_DOMAINS if len(ending) == 2 and ending.isascii() else ending not in _NO_DOMAINS


def address_is_public(text: str) -> bool:
    """Check that an IPv4 or IPv6 address is one that the internet routes."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


def iban_is_valid(text: str) -> bool:
    """Check an IBAN's country and its length there, and its ISO 7064 mod-97 check digits."""
    compact = text.replace(" ", "")
    if _LENGTH_OF.get(compact[:2]) != len(compact):
        return False
    digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def luhn_is_valid(text: str) -> bool:
    """Check a card number's length (13..19), first digit (2..6) and Luhn sum (ISO/IEC 7812-1)."""
    digits = [int(character) for character in text if character.isdecimal()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = [d if i % 2 == 0 else d * 2 - 9 * (d > 4) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters in bits: 4 and more for random keys, 2 to 3 for words."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def looks_random(text: str, bits: float = 3.2) -> bool:
    """Check for letters, digits and an entropy of at least ``bits``, and that it is no sample ("EXAMPLE", "xxxx")."""
    mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return mixed and entropy(text) >= bits and "example" not in text.lower()


def is_web_token(text: str) -> bool:
    """Check that the first part of a JSON Web Token (RFC 7519) is a JSON object that names its algorithm."""
    head = text.partition(".")[0]
    try:
        value = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(value, dict) and "alg" in value
