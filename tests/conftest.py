"""What holds for every test, on whatever machine it runs.

Tests that drive a browser, a terminal, servers or processes get more tries: they wait for another program of a machine
that may be busy with something else for seconds, and one that fails three times in a row has found something. What
hypothesis draws is the same on every run; ``--hypothesis-profile=default`` looks elsewhere.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent
DRIVES_OTHERS = (
    "cli/test_chat_terminal.py",
    "cli/test_cli_manners.py",
    "cli/test_corpus_models.py",
    "cli/test_odd_commands.py",
    "corpus/engine",
    "corpus/test_calibrate.py",
    "corpus/test_corpus_history.py",
    "corpus/test_corpus_ingest",
    "corpus/test_corpus_stage",
    "corpus/test_difficulty.py",
    "corpus/test_extract_pages.py",
    "corpus/test_hostile_inputs.py",
    "corpus/test_label.py",
    "corpus/test_report_corpus.py",
    "corpus/test_scoring_stage.py",
    "corpus/test_synthesis_code.py",
    "corpus/test_synthesis_client.py",
    "corpus/test_synthesis_model.py",
    "corpus/test_synthesis_stage.py",
    "corpus/test_why.py",
    "end_to_end",
    "engine/test_engine.py",
    "engine/test_import.py",
    "engine/test_lease.py",
    "engine/test_load_accuracy.py",
    "engine/test_load_llamacpp.py",
    "engine/test_odd_requests.py",
    "engine/test_scheduler",
    "export/test_llama_cpp_text.py",
    "hub/test_pull.py",
    "native/test_pool.py",
    "native/test_sanitized.py",
    "recipe/test_ablate.py",
    "recipe/test_run_recipe.py",
    "serve",
    "tasks/test_agent.py",
    "tasks/test_apply.py",
    "tokens/test_llama_cpp_agreement.py",
    "tokens/test_template.py",
    "train/test_training_loop.py",
)
TRIES_MORE = 2

settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# A shell that starts us in the background lets Ctrl-C pass us by, and so all that we start, where tests press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that depend on other programs."""
    for item in items:
        if item.path.relative_to(ROOT).as_posix().startswith(DRIVES_OTHERS):
            item.add_marker(pytest.mark.flaky(reruns=TRIES_MORE))
