"""`smolforge corpus calibrate`: refit rule limits to samples; the table of old and new limits goes to stdout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

_HEADINGS = ["language", "feature", "side", "old", "new", "dropped before", "dropped after", "documents"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    sample = "Parquet files or folders: documents (column 'text') or annotations of the corpus stage"
    parser.add_argument("sample", nargs="+", type=Path, help=f"good text in the languages to fit: {sample}")
    parser.add_argument(
        "--reference",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="good text of the same kind in the reference language (default: what the sample has in it)",
    )
    parser.add_argument("--reference-language", default="en", metavar="CODE", help="whose limits are trusted (en)")
    parser.add_argument("--profile", default="prose", help="the rule profile to refit (prose)")
    parser.add_argument("--rules", metavar="FOLDER", help="where profiles are, as the recipe's corpus.rules")
    parser.add_argument("--features", nargs="+", default=[], metavar="NAME", help="refit these alone")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the profile here, for corpus.rules")
    parser.add_argument("--json", action="store_true", help="the table as JSON")


def run(options: argparse.Namespace) -> int:
    """Fit, show, write."""
    from smolforge.cli.table import render
    from smolforge.corpus.rules.calibrate import FEWEST, new_limits, refit, rows, write_profile
    from smolforge.corpus.rules.limits import load_profile
    from smolforge.corpus.sample import read_samples
    from smolforge.errors import ConfigError, DataError, nearest

    profile = load_profile(options.profile, options.rules)
    limits = profile.limits(options.reference_language)
    for name in options.features:
        if name not in limits:
            raise ConfigError(f"--features: profile '{profile.name}' has no limit on '{name}'{nearest(name, limits)}")
    samples = read_samples(options.sample)
    trusted = read_samples(options.reference) if options.reference else samples
    language = options.reference_language
    if language not in trusted:
        raise DataError(f"no documents in '{language}' among {', '.join(trusted) or 'nothing'}: name --reference")
    chosen = {code: columns for code, columns in samples.items() if len(columns["words"]) >= FEWEST}
    if few := sorted(set(samples) - set(chosen)):
        print(f"fewer than {FEWEST} documents, left as they are: {', '.join(few)}", file=sys.stderr)
    refits = refit(profile, chosen, trusted[language], language, options.features)
    if not refits:
        raise DataError(f"the sample has no language besides '{language}' whose limits could be refitted")
    if options.json:
        print(json.dumps(rows(refits), indent=1))
    else:
        print(render(_HEADINGS, [[str(each) for each in row.values()] for row in rows(refits)], right=range(3, 8)))
    if options.output:
        sizes = {each.language: each.documents for each in refits}
        fitted = {
            "sample": [path.name for path in options.sample],
            "documents": {language: len(trusted[language]["words"]), **sizes},
            "reference_language": language,
        }
        path = write_profile(options.output, options.profile, options.rules, new_limits(refits, profile), fitted)
        print(f"wrote {path}; a recipe takes it with corpus.rules: {options.output}", file=sys.stderr)
    return 0
