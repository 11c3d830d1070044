"""Personal data: what is masked, and what only looks like it."""

from __future__ import annotations

import pytest

from smolforge.corpus.privacy.pii import find, iban_is_valid, luhn_is_valid, mask

JSON_WEB_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


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
        ("card 4111 1111 1111 1111 12/26 please", "en", "card"),
        ("card 4111111111111111 123 please", "en", "card"),
        ("IBAN ES91 2100 0418 4502 0005 1332 BIC CAIXESBB", "es", "iban"),
        ("AT61 1904 3002 3457 3201 BANK", "de", "iban"),
        ("电话:13812345678，谢谢", "zh", "phone"),
        ("Tel:030 901 820", "de", "phone"),
        ("token ghp_" + "aB3dE5fG7h" * 4, "code", "secret"),
        ('api_key = "q8Zr2Lk0Vw9Xc4Tn6Bp1"', "code", "secret"),
        ("export DB_PASSWORD=q8Zr2Lk0Vw9Xc4Tn6Bp1 now", "code", "secret"),
        ("id AKIA4QZ7XW2MNB6TRV5K here", "en", "secret"),
        ("use sk-proj-q8Zr2Lk0Vw9Xc4Tn6Bp1q8Zr2Lk0Vw9X please", "en", "secret"),
        (f"Bearer {JSON_WEB_TOKEN} sent", "en", "secret"),
        ("请联系zhang.wei@qq.com谢谢", "zh", "email"),
        ("地址81.2.69.142是公开的", "zh", "ip"),
        ("手机13812345678找我", "zh", "phone"),
        ("电话：010-65529988。", "zh", "phone"),
        ("call (212) 736-5000 today", "en", "phone"),
        ("call 212-736-5000 today", "en", "phone"),
        ("звоните 8 (495) 123-45-67 завтра", "ru", "phone"),
        ("teléfono: 912 345 678, Madrid", "es", "phone"),
        ("هاتف ٠١٠٠١٢٣٤٥٦٧ مصر", "ar", "phone"),
        ("IBAN NO93 8601 1117 947 ok", "en", "iban"),
        ("-----BEGIN RSA PRIVATE KEY-----\n" + "MIIB" * 20 + "\n-----END RSA PRIVATE KEY-----", "en", "secret"),
        ("-----BEGIN PRIVATE KEY-----\n" + ("MIIB" * 16 + "\n") * 9 + "q8Zr2Lk0==\n\nand so on", "en", "secret"),
        ("schreiben Sie an rathaus@münchen.de bitte", "de", "email"),
        ("пишите на почта@пример-школа.рф сегодня", "ru", "email"),
        ("pay de89370400440532013000 now", "de", "iban"),
        ("iban es91 2100 0418 4502 0005 1332 gracias", "es", "iban"),
        ("fetch https://jane:hunter22@files.harbour.org/a", "en", "secret"),
        ("postgres://app:q8Zr2Lk0@db.harbour.org:5432/main", "code", "secret"),
        ('password = "hunter22"', "code", "secret"),
        ("'api_key': 'q8Zr2Lk0V'", "code", "secret"),
        ("llámame al 612 34 56 78 mañana", "es", "phone"),
        ("chiamami al 347 123 4567 domani", "it", "phone"),
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
        ("time:2024-01-02 10:11:12, build:20240102 101112", "en"),
        ("3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", "en"),
        ("4111 1111 1111 11112 222", "en"),
        ("pi is 3.14159265358979323846", "en"),
        ("0x1234567890abcdef and 1234567890123456", "code"),
        ("TABLE = [0123456, 4111111111111111]", "code"),
        ("between 2019-2020 and 01.02.2003 - 04.05.2006", "de"),
        ("2021-03-04 05:06:07", "en"),
        ("0 1 2 3 4 5 6 7 8 9 10 11", "en"),
        ("password: 'please-change-me-now'", "en"),
        ('password = "%(placeholder)s0123456789"', "code"),
        ("ISBN 978-0-306-40615-7", "en"),
        ("the file icon@2x.png and user@host.zz", "en"),
        ("la población es 912 345 678 en total", "es"),
        ("between 2019 and 2020, 1 234 567 890 people", "fr"),
        ("the key AKIAIOSFODNN7EXAMPLE and sk-" + "x" * 40, "en"),
        ("eyJhbGciOnotbase64.eyJub3QianNvbg.c2lnbmF0dXJl", "en"),
        ("keyboard: 'the quick brown fox jumps'", "en"),
        ("ticket IT60X0542811101000000123457", "en"),
        ("ftp://user:password@localhost/ and http://jane:hunter22@example.com/", "en"),
        ("redis://{user}:{secret9}@{host} and redis://app:%(pw)s@{host}", "code"),
        ('password = "changeme1"; secret = "your-secret1"; PASSWORD_HASHER = "md5crypt9"', "code"),
        ('password: "Passwort", secret_name = "q8Zr2Lk0V"', "code"),
        ("the commit de89f70e00b4053d2013 and be12ab34cd56ef78", "en"),
        ("la población es 612 345 678 en total; ISBN 84-376-0494-7", "es"),
        ("dal 12.03.2004 al 347.123 abitanti, ISBN 88-04-32118-3, versione 3.11.4", "it"),
        ("-----BEGIN PRIVATE KEY-----\nis the first line of such a file", "en"),
        ("the DNS servers 8.8.8.8 and 1.1.1.1", "en"),
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


def test_a_value_has_one_placeholder_however_it_is_written_and_another_in_another_corpus() -> None:
    texts = [
        "ring +49 30 901820 now",
        "ring +49 (30) 90-18-20 now",
        "card 4111 1111 1111 1111",
        "card 4111111111111111",
    ]
    masked = [mask(text, "en")[0] for text in texts]
    assert masked[0] == masked[1] and masked[2] == masked[3]
    emails = " ".join(f"user{n}@corp.fr" for n in range(200))
    assert len(set(mask(emails, "en")[0].split())) > 190
    assert mask(emails, "en", key="a")[0] != mask(emails, "en", key="b")[0]
    assert mask(emails, "en", key="a") == mask(emails, "en", key="a")
    assert mask(mask(emails, "en", key="a")[0], "en", key="b")[1] == {}


@pytest.mark.parametrize(
    "mark", ["sk-", "xoxb-", "glpat-", "key=", "AIza", "-----BEGIN PRIVATE KEY-----\n", "password='a1"]
)
def test_a_text_of_marks_ends(mark: str) -> None:
    text = mark * (2_000_000 // len(mark))  # where each mark looked to the end, this would take hours
    assert isinstance(mask(text, "en")[0], str)
    secret = "ghp_" + "aB3dE5fG7h" * 4
    assert mask(f"{text} {secret}", "en")[0].count(secret) == 0


def test_long_texts_with_many_findings_are_masked_wherever_they_stand() -> None:
    text = ("x" * 997 + " a@corp.fr ") * 300 + "81.2.69.142"
    masked, counts = mask(text, "en")
    assert counts == {"email": 300, "ip": 1}
    assert [part for part in masked.split() if "x" * 9 not in part and "@" not in part] == [masked.split()[-1]]
