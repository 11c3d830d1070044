"""`pull` against a hub on this machine: the layout it leaves, resume, digests, redirects, access, no network."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.errors import ConfigError, NetworkError
from smolforge.hub import remote
from smolforge.hub.cache import find
from smolforge.hub.download import Pulled, pull
from smolforge.hub.names import parse_name
from smolforge.hub.remote import Hub
from tests.hub.local_hub import Repository, digest, serve

WEIGHTS = random.Random(1).randbytes(3_000_000)
PATIENCE = 600.0  # seconds; other processes may have the machine


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def repository() -> Repository:
    return Repository(
        {
            "config.json": b'{"model_type": "llama"}',
            "tokenizer.json": b"{}",
            "model.safetensors": WEIGHTS,
            "pytorch_model.bin": b"pickled",
            "README.md": b"---\nlicense: mit\n---",
        }
    )


def take(name: str, root: Path, address: str, token: str | None = None) -> Pulled:
    return pull(parse_name(name), root, Hub(address, token), lambda *progress: None, wait=lambda seconds: None)


@pytest.mark.parametrize("lfs", ["a" * 64, ["sha256"], 7, {"size": 3}])
def test_a_listing_with_a_strange_entry_is_refused_in_one_line(lfs: object) -> None:
    entry = {"rfilename": "model.safetensors", "size": 3, "blobId": "a" * 40, "lfs": lfs}
    with pytest.raises(NetworkError, match="without its size or digest"):
        Hub("http://localhost", None)._file(entry, parse_name("some/model"))


def test_a_listing_is_read_no_further_than_the_limit(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_LISTING", 300)
    with serve({"some/model": repository}) as address, pytest.raises(NetworkError, match="longer than"):
        take("some/model", tmp_path, address)


def files_of(root: Path) -> set[str]:
    return {str(file.relative_to(root)) for file in root.rglob("*") if not file.is_dir() and ".locks" not in file.parts}


def test_a_pull_leaves_what_the_hubs_own_library_finds(repository: Repository, tmp_path: Path) -> None:
    with serve({"some/model": repository}) as address:
        pulled = take("some/model", tmp_path, address)
    folder = tmp_path / "models--some--model"
    assert (folder / "refs" / "main").read_text() == repository.commit == pulled.commit
    assert pulled.snapshot == folder / "snapshots" / repository.commit
    link = pulled.snapshot / "model.safetensors"
    assert link.is_symlink() and link.resolve() == (folder / "blobs" / digest(WEIGHTS)).resolve()
    assert link.read_bytes() == WEIGHTS
    assert not (pulled.snapshot / "pytorch_model.bin").exists()

    hub = pytest.importorskip("huggingface_hub")
    theirs = hub.snapshot_download("some/model", cache_dir=tmp_path, local_files_only=True)
    assert Path(theirs) == pulled.snapshot
    assert hub.scan_cache_dir(tmp_path).warnings == []


def test_what_is_here_is_not_fetched_again(repository: Repository, tmp_path: Path) -> None:
    with serve({"some/model": repository}) as address:
        assert take("some/model", tmp_path, address).fetched > len(WEIGHTS)
        assert take("some/model", tmp_path, address).fetched == 0


def test_a_broken_connection_goes_on_where_it_broke(repository: Repository, tmp_path: Path) -> None:
    repository.break_after = [1_000_000, 0, 500_000]
    with serve({"some/model": repository}) as address:
        pulled = take("some/model", tmp_path, address)
    assert (pulled.snapshot / "model.safetensors").read_bytes() == WEIGHTS
    asked = [headers.get("Range") for _, path, headers in repository.requests if "safetensors" in path]
    assert asked == [None, "bytes=1000000-", "bytes=1000000-", "bytes=1500000-"]
    assert pulled.fetched == sum(len(repository.files[name]) for name in pulled.files)


def test_without_ranges_a_broken_transfer_begins_again(repository: Repository, tmp_path: Path) -> None:
    repository.break_after, repository.ranges = [1_000_000], False
    with serve({"some/model": repository}) as address:
        assert (take("some/model", tmp_path, address).snapshot / "model.safetensors").read_bytes() == WEIGHTS


def test_a_hub_that_always_breaks_is_given_up_and_keeps_the_part(repository: Repository, tmp_path: Path) -> None:
    repository.break_after = [1_000_000] + [0] * 20
    with serve({"some/model": repository}) as address:
        with pytest.raises(NetworkError, match="given up after 6 attempts"):
            take("some/model", tmp_path, address)
        part = tmp_path / "models--some--model" / "blobs" / f"{digest(WEIGHTS)}.incomplete"
        assert part.stat().st_size == 1_000_000
        assert not (tmp_path / "models--some--model" / "snapshots").exists()
        repository.break_after, repository.requests = [], []
        take("some/model", tmp_path, address)
    assert [h["Range"] for _, path, h in repository.requests if "safetensors" in path] == ["bytes=1000000-"]


def test_a_killed_pull_goes_on_with_the_bytes_it_had(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.break_after = [2_000_000] + [0] * 100  # the process waits to try again, and is killed there
    with serve({"some/model": repository}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        command = [sys.executable, "-m", "smolforge.cli.main", "pull", "some/model"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        part = tmp_path / "hf" / "hub" / "models--some--model" / "blobs" / f"{digest(WEIGHTS)}.incomplete"
        deadline = time.monotonic() + PATIENCE
        while not (part.is_file() and part.stat().st_size >= 1_500_000):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = part.stat().st_size
        repository.break_after, repository.requests = [], []
        take("some/model", tmp_path / "hf" / "hub", address)
    assert [h["Range"] for _, path, h in repository.requests if "safetensors" in path] == [f"bytes={kept}-"]
    assert find(parse_name("some/model"), tmp_path / "hf" / "hub") is not None


def test_a_wrong_digest_is_refused_and_nothing_is_kept(repository: Repository, tmp_path: Path) -> None:
    repository.lie_about = "model.safetensors"
    with serve({"some/model": repository}) as address, pytest.raises(NetworkError, match=r"model\.safetensors did not"):
        take("some/model", tmp_path, address)
    assert not any(digest(WEIGHTS) in name for name in files_of(tmp_path))
    assert find(parse_name("some/model"), tmp_path) is None


def test_a_rotten_part_of_an_earlier_attempt_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    part = tmp_path / "models--some--model" / "blobs" / f"{digest(WEIGHTS)}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(100_000))
    with serve({"some/model": repository}) as address:
        assert (take("some/model", tmp_path, address).snapshot / "model.safetensors").read_bytes() == WEIGHTS


def test_the_token_is_not_sent_to_the_host_of_a_redirect(repository: Repository, tmp_path: Path) -> None:
    repository.token, repository.redirect = "hf_secret", True
    with serve({"some/model": repository}) as address:
        take("some/model", tmp_path, address, "hf_secret")
    elsewhere = [headers for host, _, headers in repository.requests if host.startswith("localhost")]
    here = [headers for host, _, headers in repository.requests if host.startswith("127.0.0.1")]
    assert elsewhere and all("Authorization" not in headers for headers in elsewhere)
    assert all(headers["Authorization"] == "Bearer hf_secret" for headers in here)


def test_a_refused_token_is_not_shown(repository: Repository, tmp_path: Path) -> None:
    repository.token = "hf_right"
    with serve({"some/model": repository}) as address:
        with pytest.raises(NetworkError, match="refuses access") as refusal:
            take("some/model", tmp_path, address, "hf_wrong")
        with pytest.raises(NetworkError, match="set HF_TOKEN"):
            take("some/model", tmp_path, address)
    assert "hf_wrong" not in str(refusal.value)


def test_a_busy_hub_is_asked_again(repository: Repository, tmp_path: Path) -> None:
    repository.busy = 3
    with serve({"some/model": repository}) as address:
        assert take("some/model", tmp_path, address).commit == repository.commit


def test_a_revision_is_pinned(repository: Repository, tmp_path: Path) -> None:
    repository.revisions = ("main", "v1.0")
    with serve({"some/model": repository}) as address:
        take("some/model@v1.0", tmp_path, address)
        with pytest.raises(NetworkError, match="no such model, revision"):
            take("some/model@v2.0", tmp_path, address)
    assert find(parse_name("some/model@v1.0"), tmp_path) == find(parse_name(f"some/model@{'a' * 40}"), tmp_path)
    assert find(parse_name("some/model"), tmp_path) is None


def test_a_quantization_names_one_file(tmp_path: Path) -> None:
    files = {"m-Q4_K_M.gguf": b"a" * 20_000, "m-Q8_0.gguf": b"b" * 20_000, "m-F16-00001-of-00002.gguf": b"c"}
    with serve({"some/GGUF": Repository(files)}) as address:
        take("some/GGUF:q8_0", tmp_path, address)
        assert find(parse_name("some/GGUF"), tmp_path).name == "m-Q8_0.gguf"  # type: ignore[union-attr]
        assert take("some/GGUF", tmp_path, address).files == ["m-Q4_K_M.gguf"]
        with pytest.raises(ConfigError, match=r"name one of :Q4_K_M, :Q8_0"):
            take("some/GGUF:Q5_0", tmp_path, address)


@pytest.mark.parametrize("path", ["../escape.json", "/etc/passwd", "a/../../b", "a\\..\\b"])
def test_a_listing_with_unsafe_paths_is_refused(path: str, tmp_path: Path) -> None:
    hostile = Repository({"config.json": b"{}", path: b"x"})
    with serve({"some/model": hostile}) as address, pytest.raises(NetworkError, match="not a safe path"):
        take("some/model", tmp_path / "cache", address)
    assert files_of(tmp_path) == set()


def test_what_the_disk_cannot_hold_is_refused_first(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smolforge.hub.download.ROOM_TO_LEAVE", 1 << 60)
    with serve({"some/model": repository}) as address, pytest.raises(NetworkError, match="make room with"):
        take("some/model", tmp_path, address)
    assert files_of(tmp_path) == set()


def test_without_a_network_the_command_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve({}) as address:
        pass  # the port is free again: nobody listens there
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert main(["pull", "HuggingFaceTB/SmolLM3-3B"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "cannot reach 127.0.0.1" in err and "smolforge ls" in err
    assert not (tmp_path / "hf").exists()


def test_the_command_prints_the_path_alone_and_obeys_offline(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve({"some/model": repository}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert main(["pull", "some/model"]) == 0
        out, err = capsys.readouterr()
        assert Path(out.strip()).is_dir() and out.count("\n") == 1 and repository.commit in err
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        asked = len(repository.requests)
        assert main(["pull", "some/model"]) == 0 and capsys.readouterr().out == out
        assert main(["pull", "other/model"]) == 2 and "HF_HUB_OFFLINE" in capsys.readouterr().err
        assert len(repository.requests) == asked
