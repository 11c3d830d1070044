"""The language classifier: py3langid's model, laid out for the native kernel.

In: wanted languages. Out: a classifier for them and their neighbours. The model is unpacked once (half a second) and
then mapped from the cache.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from smolforge.corpus import _text
from smolforge.errors import ConfigError, MissingDependencyError, nearest
from smolforge.store import digest_file
from smolforge.store.cache import Arrays, cached_arrays

# The closest relatives of the languages that corpora are made of, so that a neighbour is recognised as one.
_NEIGHBOURS = "ca gl oc nl lb ro da no sv pl cs tr la fa ur ps uk bg be sr mk kk ja ko he el hi vi id"
NEIGHBOURS = tuple(_NEIGHBOURS.split())
_ARRAYS = ("next", "row", "output", "table", "prior", "labels")


@functools.lru_cache(maxsize=4)
def language_model(languages: tuple[str, ...]) -> tuple[_text.LanguageModel, list[str]]:
    """Return the classifier for the languages and their neighbours, and the label of each of its classes; a language
    in two scripts has two. ConfigError for a language that the model does not know."""
    try:
        from py3langid import langid  # type: ignore[import-untyped]
    except ImportError:
        raise MissingDependencyError("py3langid", "data", "the language step") from None
    made_from = [digest_file(file) for file in (Path(langid.__file__).parent / langid.MODEL_FILE, Path(__file__))]
    full = cached_arrays("languages", made_from, _ARRAYS, _unpacked)
    labels = full["labels"].tolist()
    for language in languages:
        if language not in labels:
            known = nearest(language, dict.fromkeys(labels))
            raise ConfigError(f"corpus.languages: '{language}' is not known to the classifier{known}")
    wanted = {*languages, *NEIGHBOURS}
    columns = [column for column, label in enumerate(labels) if label in wanted]
    table = np.ascontiguousarray(full["table"][columns].T.astype(np.float32))
    model = _text.LanguageModel(full["next"], full["row"], full["output"], table, full["prior"][columns])
    return model, [labels[column] for column in columns]


def _unpacked() -> Arrays:
    """Return the arrays of ``native/text/langid.h``, but of all classes, ``table`` float16 (classes, features)."""
    from py3langid import langid

    full = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    return {
        "next": np.asarray(full.tk_nextmove, np.uint32),
        "row": np.asarray(full.tk_row, np.uint32) * np.uint32(256),
        "output": np.asarray(full.tk_output, np.int32),
        "table": np.ascontiguousarray(full.nb_ptc.T),
        "prior": np.asarray(full.nb_pc, np.float32),
        "labels": np.array(full.nb_classes),
    }
