"""Personal data: what is masked, and what only looks like it."""

from __future__ import annotations

import pytest

from smolforge.corpus.pii import find, iban_is_valid, luhn_is_valid, mask


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        ("write to Jane.Doe+news@mail.harbour-office.co.uk today", "en", "email"),
        ("the server 81.2.69.142 answered", "en", "ip"),
        ("host [2a02:6b8:0:1::242] port", "ru", "ip"),
        ("appelez le +33 1 44 55 66 77 demain", "fr", "phone"),
        ("Rufen Sie 030 / 901 820 an", "de", "phone"),
        ("ligue (11) 3091-3116 agora".replace("(11)", "(011)"), "pt", "phone"),
        ("IBAN GB82 WEST 1234 5698 7654 32 ok", "en", "iban"),
        ("pay DE89370400440532013000 now", "de", "iban"),
        ("card 4111 1111 1111 1111 please", "en", "card"),
        ("token ghp_" + "aB3dE5fG7h" * 4, "code", "secret"),
        ('api_key = "q8Zr2Lk0Vw9Xc4Tn6Bp1"', "code", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----\n" + "MIIB" * 20 + "\n-----END RSA PRIVATE KEY-----", "en", "secret"),
    ],
)
def test_personal_data_is_found_and_gone_after_masking(text: str, language: str, kind: str) -> None:
    findings = find(text, language)
    assert [finding.kind for finding in findings] == [kind]
    masked, counts = mask(text, language)
    assert counts == {kind: 1}
    assert text[findings[0].start : findings[0].end] not in masked
    assert masked.startswith(text[: findings[0].start])
    assert masked.endswith(text[findings[0].end :])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("version 10.0.19041.1 of the driver", "en"),
        ("pip install thing==3.11.7.2", "en"),
        ("OpenSSL 1.0.2.11 is old", "en"),
        ("not an address: 256.1.1.1", "en"),
        ("private 192.168.0.1, loop 127.0.0.1, doc 203.0.113.9", "en"),
        ("section 81.2.69.142.7", "en"),
        ("someone@example.com and root@localhost and a@b.test", "en"),
        ("@decorator\ndef f(self): return x@y", "code"),
        ("time 12:30:45 and ratio 1:2:3, C++ std::vector", "en"),
        ("std::is_same<A, B>::value and dead::beef", "code"),
        ("IBAN GB82 WEST 1234 5698 7654 33", "en"),
        ("order 4111 1111 1111 1112", "en"),
        ("pi is 3.14159265358979323846", "en"),
        ("0x1234567890abcdef and 1234567890123456", "code"),
        ("TABLE = [0123456, 4111111111111111]", "code"),
        ("between 2019-2020 and 01.02.2003 - 04.05.2006", "de"),
        ("2021-03-04 05:06:07", "en"),
        ("0 1 2 3 4 5 6 7 8 9 10 11", "en"),
        ("password: 'please-change-me-now'", "en"),
        ('password = "%(placeholder)s0123456789"', "code"),
        ("ISBN 978-0-306-40615-7", "en"),
    ],
)
def test_numbers_versions_and_code_are_left_alone(text: str, language: str) -> None:
    assert mask(text, language) == (text, {})


def test_masking_is_stable_and_idempotent() -> None:
    text = "a@corp.fr b@corp.fr a@corp.fr, +49 30 901820, 81.2.69.142, DE89370400440532013000, 4111 1111 1111 1111"
    masked, counts = mask(text, "de")
    assert counts == {"card": 1, "email": 3, "iban": 1, "ip": 1, "phone": 1}
    first, second, third = masked.split(",")[0].split()
    assert first == third != second
    assert mask(masked, "de") == (masked, {})
    assert mask("z@corp.fr " + text, "de")[0].endswith(masked)


def test_only_the_wanted_kinds_are_masked() -> None:
    text = "a@corp.fr 81.2.69.142"
    assert mask(text, "en", ("ip",))[1] == {"ip": 1}


def test_check_digits() -> None:
    assert iban_is_valid("FR14 2004 1010 0505 0001 3M02 606")
    assert not iban_is_valid("FR14 2004 1010 0505 0001 3M02 607")
    assert luhn_is_valid("5500-0000-0000-0004")
    assert not luhn_is_valid("5500-0000-0000-0005")
    assert not luhn_is_valid("0000000000000000")
