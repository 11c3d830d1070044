"""A crawl to clean: good pages among what a crawl of the web brings along, made of public text on any machine.

    python -m benchmarks.ablation_noise OUT [--texts FOLDER] [--megabytes 6]

Input: document tables with ``text`` and ``language`` (without ``--texts``: Python's help pages and docstrings, and
Django's catalogues for other languages). Output: ``OUT/crawl/pages.jsonl``, which a corpus stage cleans, ``OUT/raw``,
the same pages as a finished corpus that nobody cleaned, and ``OUT/judge``, a corpus whose held-out documents are good
pages of other works, as they were before any crawl. Every choice is a hash: the same on any machine.

Of 100 pages about 36 are good, most of them inside menus and footers; 20 are copies of such a page on other hosts, with
another menu and a few words changed; 12 are menus and lists of links; 10 are stubs cut off after some lines; 8 are spun
(the words of a good page drawn anew); 6 are in another language; 4 are garbled by a wrong character set; 4 are product
lists of one template.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document, read_rows, write_documents
from smolforge.corpus.ingest import Ingestion
from smolforge.corpus.split import draw
from smolforge.corpus.text.words import split_text
from smolforge.store import digest_json
from smolforge.store.artifact import Manifest, finish

PAGE = 4000  # characters of a page, at most
HOSTS = tuple(f"{name}.example" for name in ("alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak",
                                             "pine", "rowan", "willow"))  # fmt: skip
KINDS = (  # (kind, share of the pages)
    ("good", 0.36), ("copy", 0.20), ("menu", 0.12), ("stub", 0.10), ("spun", 0.08), ("foreign", 0.06),
    ("garbled", 0.04), ("products", 0.04),
)  # fmt: skip
ENDS = tuple(zip((name for name, _ in KINDS), accumulate(share for _, share in KINDS), strict=True))
MENU = ("Home", "News", "About us", "Contact", "Shop", "Log in", "Register", "My account", "Cart (0)", "Search", "Help",
        "Terms of use", "Privacy policy", "Site map", "Careers", "Blog", "Forum", "Downloads", "Gallery", "Events",
        "Newsletter", "Support", "Partners", "Press", "RSS", "Archive", "FAQ", "Feedback")  # fmt: skip
FOOTER = ("We use cookies to give you the best experience. By using this site you agree to our cookie policy.",
          "Share on Facebook | Share on Twitter | Pin it | E-mail to a friend", "Subscribe to our newsletter!",
          "Sign up now and never miss a post", "You may also like", "Read more...", "Back to top",
          "Powered by PageMill", "All rights reserved.", "Leave a reply. Your address will not be published.",
          "0 comments", "Click here to enable JavaScript")  # fmt: skip
ADJECTIVES = ("new", "best", "cheap", "premium", "classic", "original", "blue", "red", "large", "small")


class Crawl:
    """Pages by number; ``seed`` and the number decide everything about one."""

    def __init__(self, good: list[str], foreign: list[str], seed: int) -> None:
        self.good, self.foreign, self.seed = good, foreign, seed
        self.words = sorted({word for text in good[:50] for word in text.split() if word.isalpha() and len(word) > 4})

    def draw(self, number: int, purpose: str) -> float:
        """Return a number in [0, 1) for one page and purpose."""
        return draw(self.seed, str(number), purpose)

    def pick(self, items: tuple[str, ...] | list[str], number: int, purpose: str) -> str:
        """Choose one of ``items``."""
        return items[int(self.draw(number, purpose) * len(items))]

    def host(self, number: int) -> str:
        """Return the page's host."""
        return self.pick(HOSTS, number, "host")

    def framed(self, text: str, number: int, host: str) -> str:
        """Put a text into its host's menu and footer, as four of five pages are."""
        if self.draw(number, "framed") < 0.2:
            return text
        h = HOSTS.index(host)
        menu = [MENU[(h * 5 + i * 3) % len(MENU)] for i in range(9)]
        footer = [FOOTER[(h + i * 2) % len(FOOTER)] for i in range(5)]
        day = int(self.draw(number, "day") * 28) + 1
        return "\n".join([host, *menu, f"Last updated {day} March, {day * 37 % 900} views", text, *footer, f"© {host}"])

    def good_page(self, number: int) -> str:
        """The next good page: each is there once."""
        return self.framed(self.good[number % len(self.good)], number, self.host(number))

    def copy(self, number: int) -> str:
        """A good page on another host, with one word in 300 changed."""
        source = int(self.draw(number, "source") * len(self.good))
        words = self.good[source].split(" ")
        for i in range(len(words) // 300):
            at = int(self.draw(number, f"at{i}") * len(words))
            words[at] = self.pick(self.words, number, f"word{i}")
        return self.framed(" ".join(words), number, self.host(number))

    def menu(self, number: int) -> str:
        """Menus and lists of links without any text."""
        lines = [
            f"{self.pick(MENU, number, f'm{i}')} » {self.pick(self.words, number, f'w{i}')} "
            f"({int(self.draw(number, f'n{i}') * 200)})"
            for i in range(20 + int(self.draw(number, "length") * 120))
        ]
        return self.framed("\n".join(lines), number, self.host(number))

    def stub(self, number: int) -> str:
        """The first lines of a page and a link to the rest."""
        source = self.pick(self.good, number, "source")
        return self.framed(
            source[: 80 + int(self.draw(number, "cut") * 200)] + "… Read more", number, self.host(number)
        )

    def spun(self, number: int) -> str:
        """The words of a page in a drawn order, with search words among them."""
        words = self.pick(self.good, number, "source").split()
        key = self.pick(self.words, number, "key")
        order = sorted(range(len(words)), key=lambda i: draw(self.seed, f"{number}/{i}", "spin"))
        return " ".join(key if i % 12 == 0 else words[place] for i, place in enumerate(order))

    def other_language(self, number: int) -> str:
        """A page in another language."""
        return self.framed(self.pick(self.foreign, number, "source"), number, self.host(number))

    def garbled(self, number: int) -> str:
        """A page in another language (or with typographic signs) read in the wrong character set, twice."""
        text = self.pick(self.foreign, number, "source")
        for _ in range(2):
            text = text.encode("utf-8").decode("latin-1")
        return text

    def products(self, number: int) -> str:
        """A list of products: one template, other names and prices."""
        lines = []
        for i in range(15 + int(self.draw(number, "length") * 30)):
            name = f"{self.pick(ADJECTIVES, number, f'a{i}')} {self.pick(self.words, number, f'w{i}')}"
            price = int(self.draw(number, f"p{i}") * 9000)
            lines.append(f"Buy {name} online - {name} price ${price / 100:.2f} - free shipping - Add to cart")
        return "\n".join(lines)

    def pages(self) -> Iterator[tuple[str, str, str]]:
        """Yield (kind, url, text) until every good page has been there once."""
        makers: dict[str, Callable[[int], str]] = {
            "good": self.good_page, "copy": self.copy, "menu": self.menu, "stub": self.stub, "spun": self.spun,
            "foreign": self.other_language, "garbled": self.garbled, "products": self.products,
        }  # fmt: skip
        number = shown = 0
        while shown < len(self.good):
            at = self.draw(number, "kind")
            kind = next((name for name, end in ENDS if at < end), "good")
            yield (
                kind,
                f"https://{self.host(number)}/{kind}/{number}",
                makers[kind](shown if kind == "good" else number),
            )
            shown += kind == "good"
            number += 1


@dataclass
class Texts:
    """English pages for the crawl, pages of other works to judge by, and pages in other languages."""

    good: list[str] = field(default_factory=list)
    judges: list[Document] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def texts_of(folder: Path | None, limit: int, seed: int) -> Texts:
    """Read works until the English pages have ``limit`` bytes; one work in twenty judges and is not in the crawl."""
    texts, used = Texts(), 0
    for language, url, text in _rows(folder):
        pages = [page for page in split_text(text, PAGE) if len(page) > 500]
        work = url.partition("#")[0]
        if language != "en":
            texts.foreign += pages[:1] if len(texts.foreign) < 500 else []
        elif used < limit and draw(seed, work, "judge") < 0.05:
            texts.judges += [
                Document.make(page, url=f"{work}#{len(texts.judges) + i}", source="judge", licence="", language="en")
                for i, page in enumerate(pages)
            ]
        elif used < limit:
            texts.good += pages
            used += sum(map(len, pages))
    return texts


def _rows(folder: Path | None) -> Iterator[tuple[str, str, str]]:
    """Yield (language, url, text) of works in natural languages."""
    if folder is not None:
        for path in sorted(folder.glob("*.parquet")):
            for row in read_rows(path, ["text", "language", "url"]):
                if len(row["language"]) == 2:
                    yield row["language"], row["url"], row["text"]
        return
    prose = (SourceSpec(kind="pydoc_topics"), SourceSpec(kind="python_stdlib", docstring_share=1.0))
    for document in Ingestion(CorpusConfig(sources=prose)).documents():
        yield "en", document.url, document.text
    catalogues = CorpusConfig(sources=(SourceSpec(kind="gettext", packages=("django",)),))
    for document in Ingestion(catalogues).documents():
        if document.language != "en":
            yield document.language, document.url, document.text


def write_corpus(folder: Path, kept: list[Document], held_out: list[Document], seed: int) -> None:
    """Write documents as a finished corpus."""
    work = folder.with_name(folder.name + ".work")
    for leftover in (work, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    write_documents(work / "kept", kept)
    write_documents(work / "held_out", held_out)
    name = digest_json([seed, [document.doc_id for document in kept + held_out]])[:16]
    finish(work, folder, Manifest("corpus", name, "1", None, {}, seed))


def main() -> None:
    """Write the crawl, the raw corpus and the judges, and say how many pages of each kind there are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=Path, help="folder of Parquet tables with text, url and language")
    parser.add_argument("--megabytes", type=float, default=6.0, help="of good English pages")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    texts = texts_of(options.texts, int(options.megabytes * 1e6), options.seed)
    counts: dict[str, int] = {}
    pages: list[Document] = []
    crawl = options.out / "crawl"
    crawl.mkdir(parents=True, exist_ok=True)
    with (crawl / "pages.jsonl").open("w", encoding="utf-8") as stream:
        for kind, url, text in Crawl(texts.good, texts.foreign, options.seed).pages():
            counts[kind] = counts.get(kind, 0) + 1
            stream.write(json.dumps({"text": text, "url": url}, ensure_ascii=False) + "\n")
            pages.append(Document.make(text, url=url, source="crawl", licence="", language="en"))
    write_corpus(options.out / "raw", pages, [], options.seed)
    write_corpus(options.out / "judge", [], texts.judges, options.seed)
    print(json.dumps({"pages": counts, "bytes": sum(p.bytes for p in pages), "judges": len(texts.judges)}))


if __name__ == "__main__":
    main()
