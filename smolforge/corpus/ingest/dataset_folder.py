"""A Hugging Face dataset folder: the data files that its card or its saved state names, with licence and language.

Input: a local copy of a dataset repository, its address (``hf://datasets/...``), or a folder of ``save_to_disk``.
Output: pieces of its Parquet, JSON lines, CSV or Arrow files. Formats: the YAML head of ``README.md`` (dataset cards),
``dataset_info.json``, ``dataset_dict.json`` and ``state.json`` of the ``datasets`` library.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable
from typing import Any

from smolforge.corpus.config import SourceSpec
from smolforge.corpus.ingest.folder import Piece, list_files, pieces
from smolforge.corpus.ingest.formats import format_of
from smolforge.corpus.ingest.remote import StoredFile, join, open_file
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.errors import DataError, nearest

_DATA = ("parquet", "jsonl", "csv", "arrow")
_SPLIT = re.compile(r"(?:^|[/_.-])(train|validation|valid|dev|test)(?=[/_.-])", re.IGNORECASE)
_MAX_CARD_BYTES = 1 << 20


def dataset_pieces(spec: SourceSpec, record: SourceRecord) -> list[Piece]:
    """Return the files of the configuration and split that the spec asks for: by default the card's first (or
    "default") configuration, and of it the split "train", or everything where there is none of that name."""
    assert spec.path is not None
    files = [file for file in list_files(spec.path, record) if not file.name.startswith("cache-")]
    card = _card(spec.path, files, record)
    record.licence = spec.licence or _licence(spec.path, card, files)
    data = [file for file in files if (form := format_of(file.name)) is not None and form.reader in _DATA]
    record.leave_out("files that are not data", len(files) - len(data))
    splits = _stated_splits(spec, card, data) or _splits_by_name(data)
    split = spec.split or ("train" if "train" in splits else None)
    if split is not None and split not in splits:
        known = ", ".join(sorted(splits)) or "none"
        raise DataError(f"corpus.sources: '{spec.path}' has no split '{split}'{nearest(split, splits)}; it has {known}")
    chosen = splits[split] if split is not None else data
    if len(chosen) < len(data):
        record.leave_out("files of other splits or configurations", len(data) - len(chosen))
    return pieces(spec.path, chosen, spec.text_key, record)


def _card(root: str, files: Iterable[StoredFile], record: SourceRecord) -> dict[str, Any]:
    """Return the YAML head of the dataset card, {} where there is none."""
    import yaml

    if not any(file.name == "README.md" for file in files):
        return {}
    text = _read(root, "README.md")
    match = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    if match is None:
        return {}
    try:
        card = yaml.safe_load(match[1])
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        record.problem("README.md", "line 1", f"the card's YAML cannot be read ({str(error).splitlines()[0]})")
        return {}
    return card if isinstance(card, dict) else {}


def _read(root: str, name: str) -> str:
    with open_file(join(root, name)) as file:
        return file.read(_MAX_CARD_BYTES).decode("utf-8", "replace")


def _licence(root: str, card: dict[str, Any], files: Iterable[StoredFile]) -> str:
    stated = card.get("license") or card.get("licence")
    if not stated:
        info = next((file.name for file in files if file.name.rsplit("/", 1)[-1] == "dataset_info.json"), None)
        try:
            stated = json.loads(_read(root, info)).get("license") if info else None
        except (ValueError, AttributeError, RecursionError):
            stated = None
    # strings alone: what else YAML may hold can grow without end when it is printed
    names = [stated] if isinstance(stated, str) else stated if isinstance(stated, list) else []
    return " AND ".join(sorted(name for name in names if isinstance(name, str) and name)) or "unknown"


def _stated_splits(spec: SourceSpec, card: dict[str, Any], data: list[StoredFile]) -> dict[str, list[StoredFile]]:
    """Return the files of each split that the card names for the wanted configuration, {} where it names none."""
    listed = card.get("configs")
    configs = [
        each
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and each.get("data_files")
    ]
    stated = (each.get("config_name") for each in configs)
    names = [name if isinstance(name, str) else "default" for name in stated]
    if spec.subset is not None and spec.subset not in names:
        known = ", ".join(names) or "none"
        hint = nearest(spec.subset, names)
        raise DataError(f"corpus.sources: '{spec.path}' has no subset '{spec.subset}'{hint}; its card names {known}")
    if not configs:
        return {}
    wanted = spec.subset or ("default" if "default" in names else names[0])
    found: dict[str, list[StoredFile]] = {}
    for split, pattern in _patterns(configs[names.index(wanted)]["data_files"]):
        found.setdefault(split, []).extend(file for file in data if fnmatch.fnmatchcase(file.name, pattern))
    return {split: files for split, files in found.items() if files}


def _patterns(stated: Any) -> Iterable[tuple[str, str]]:
    """Yield (split, pattern) of ``data_files``: a pattern, a list of them, or entries of split and path."""
    for entry in stated if isinstance(stated, list) else [stated]:
        named = entry.get("split") if isinstance(entry, dict) else None
        split = named if isinstance(named, str) else "train"
        paths = entry.get("path", []) if isinstance(entry, dict) else entry
        for path in paths if isinstance(paths, list) else [paths]:
            if isinstance(path, str):
                yield split, path.removeprefix("./").replace("**/", "*").replace("**", "*")


def _splits_by_name(data: Iterable[StoredFile]) -> dict[str, list[StoredFile]]:
    """Return the files of each split by what folders and file names say; a file that says nothing is "train"."""
    found: dict[str, list[StoredFile]] = {}
    for file in data:
        match = _SPLIT.search(file.name)
        name = match[1].lower() if match else "train"
        found.setdefault({"valid": "validation", "dev": "validation"}.get(name, name), []).append(file)
    return found
