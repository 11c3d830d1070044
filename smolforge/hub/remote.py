"""The hub over HTTP: what a revision holds, and its files from any byte on. No other module asks the hub.

Input: a ``ModelName``. Output: a listing pinned to a commit, and byte streams. The token goes to the hub's own address
and to no other, and into no message.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

from smolforge import __version__
from smolforge.errors import NetworkError
from smolforge.hub.names import ModelName

TIMEOUT_SECONDS = 30.0  # without a byte
MAX_LISTING = 64 << 20
_BLOCK = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SAFE_PATH = re.compile(r"(?!\.{1,2}(/|$))[^/\\\0]+(/(?!\.{1,2}(/|$))[^/\\\0]+)*")


class Broken(Exception):
    """A transfer ended early or the hub was busy: worth another try. The text is for a person."""


class Unreachable(NetworkError):
    """There is no way to the hub now; in the middle of a download that may pass."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a revision. ``digest`` is its SHA-256 (64 hex digits), or git's SHA-1 of a small file (40)."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True)
class RemoteModel:
    """A revision's files, pinned: ``commit`` never changes its meaning."""

    name: ModelName
    commit: str
    files: list[RemoteFile]


class Transfer:
    """An open answer. ``start``: the position in the file of its first byte."""

    def __init__(self, answer: http.client.HTTPResponse, start: int) -> None:
        self._answer, self.start = answer, start

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield at most ``size`` bytes at a time until the end; Broken when the connection breaks."""
        try:
            while block := self._answer.read(size):
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise Broken(_reason(error)) from None

    def whole(self, limit: int) -> bytes | None:
        """Return everything up to the end; None where that is more than ``limit`` bytes, of which no more are kept."""
        data = bytearray()
        for block in self.blocks(min(_BLOCK, limit + 1)):
            data += block
            if len(data) > limit:
                return None
        return bytes(data)

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._answer.close()


class Hub:
    """One hub. ``endpoint`` e.g. ``https://huggingface.co``; ``token`` may be None."""

    def __init__(self, endpoint: str, token: str | None) -> None:
        self._endpoint, self._token = endpoint, token
        self.host = urlsplit(endpoint).netloc
        if urlsplit(endpoint).scheme not in ("http", "https") or not self.host:
            raise NetworkError(f"HF_ENDPOINT: {endpoint!r} is not an address; expected e.g. https://huggingface.co")
        self._opener = urllib.request.build_opener(_Redirects())

    def model(self, name: ModelName) -> RemoteModel:
        """Return what ``name`` holds now; NetworkError if it cannot be had, Broken if it is worth another try."""
        address = f"{self._endpoint}/api/models/{name.id}/revision/{quote(name.revision, safe='')}?blobs=true"
        with self._open(address, 0, str(name)) as answer:
            data = answer.whole(MAX_LISTING)
            if data is None:
                raise NetworkError(
                    f"{self.host}: the answer about {name} is longer than {MAX_LISTING >> 20} MiB; refused"
                )
            try:
                found = json.loads(data)
            except (ValueError, RecursionError):
                raise NetworkError(f"{self.host}: the answer about {name} is not JSON; is it a hub?") from None
        commit = found.get("sha") if isinstance(found, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit) or not isinstance(found.get("siblings"), list):
            raise NetworkError(f"{self.host}: the answer about {name} has no commit or no files; is it a hub?")
        return RemoteModel(name, commit, [self._file(entry, name) for entry in found["siblings"]])

    def open(self, model: RemoteModel, file: RemoteFile, start: int) -> Transfer:
        """Return the file's bytes from ``start`` on, or from 0: the transfer's own ``start`` says which."""
        address = f"{self._endpoint}/{model.name.id}/resolve/{model.commit}/{quote(file.path)}"
        return self._open(address, start, f"{model.name}: {file.path}")

    def _file(self, entry: Any, name: ModelName) -> RemoteFile:
        path = entry.get("rfilename") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not _SAFE_PATH.fullmatch(path):
            raise NetworkError(f"{self.host}: {name} lists the file {str(path)[:80]!r}, which is not a safe path")
        large = entry.get("lfs")
        about = large or entry
        about = about if isinstance(about, dict) else {}
        size, digest = about.get("size"), about.get("sha256" if large else "blobId")
        if type(size) is not int or size < 0 or not (_SHA256 if large else _COMMIT).fullmatch(str(digest)):
            raise NetworkError(f"{self.host}: {name} lists {path} without its size or digest, so it cannot be checked")
        return RemoteFile(path, size, str(digest))

    def _open(self, address: str, start: int, what: str) -> Transfer:
        request = urllib.request.Request(address, headers={"User-Agent": f"smolforge/{__version__}"})
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            answer = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            raise self._refused(error, what) from None
        except urllib.error.URLError as error:
            raise Unreachable(
                f"cannot reach {self.host} ({_reason(error.reason)}); without a network only models that are here "
                "already can be used: see 'smolforge ls'"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise Broken(_reason(error)) from None
        return Transfer(answer, start if answer.status == 206 and _starts_at(answer, start) else 0)

    def _refused(self, error: urllib.error.HTTPError, what: str) -> Exception:
        with error:
            if error.code == 416:  # the part we hold is longer than the file: begin again
                return Broken("the hub has fewer bytes than were kept")
            if error.code in (408, 425, 429) or error.code >= 500:
                return Broken(f"the hub answered {error.code} {error.reason}")
        if error.code in (401, 403):
            how = "the token was not accepted" if self._token else "set HF_TOKEN to an access token"
            return NetworkError(f"{what}: {self.host} refuses access: no such model, or it is private or gated; {how}")
        if error.code == 404:
            return NetworkError(f"{what}: {self.host} has no such model, revision or file")
        return NetworkError(f"{what}: {self.host} answered {error.code} {error.reason}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; the token is sent again only to the same host, and nothing goes from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> Any:
        """See urllib."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if before.scheme == "https" and after.scheme != "https":
            raise NetworkError(f"{before.netloc}: redirects to an address without encryption; refused")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and before[:2] == after[:2]:
            new.unredirected_hdrs.update(req.unredirected_hdrs)
        return new


def _starts_at(answer: http.client.HTTPResponse, start: int) -> bool:
    return (answer.headers.get("Content-Range") or "").strip().startswith(f"bytes {start}-")


def _reason(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
