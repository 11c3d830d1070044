"""`smolforge serve`: a model over HTTP, for OpenAI and Ollama clients and for the page in a browser.

Nothing goes to standard output; the address and one line a request go to standard error. SIGTERM and Ctrl-C let running
requests finish.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from smolforge.cli.options import KV_KINDS, model_arguments, positive

if TYPE_CHECKING:
    from smolforge.serve.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    model_arguments(parser)
    where = parser.add_argument_group("address")
    where.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1); any other needs a key")
    where.add_argument("--port", type=int, default=8080, metavar="N", help="port (8080); 0: any free one")
    who = parser.add_argument_group("who may ask")
    who.add_argument("--api-key-file", type=Path, metavar="FILE", help="keys, one a line (or $SMOLFORGE_API_KEY)")
    who.add_argument("--api-key", metavar="KEY", help="one key; others on this machine can see it in the process list")
    who.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="further name of this server")
    who.add_argument("--allow-origin", action="append", default=[], metavar="URL", help="pages of this origin may ask")
    much = parser.add_argument_group("how much")
    much.add_argument("--parallel", type=int, default=32, metavar="N", help="requests computed at once (32)")
    much.add_argument("--queue", type=int, default=256, metavar="N", help="requests that may wait (256)")
    much.add_argument("--timeout", type=float, default=600, metavar="S", help="most seconds for one request (600)")
    much.add_argument(
        "--drain", type=float, default=30, metavar="S", help="seconds for running requests at the end (30)"
    )
    engine = parser.add_argument_group("engine")
    engine.add_argument("--threads", type=int, metavar="N", help="threads (as many as cores may be used)")
    engine.add_argument("--kv", choices=KV_KINDS, default="f16", help="how keys and values are kept (f16)")
    engine.add_argument("--context", type=int, metavar="N", help="most tokens of prompt and answer together")
    engine.add_argument(
        "--prefixes", type=Path, metavar="FILE", help="load shared prefixes at start, save them at the end"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from smolforge.cli.opening import chosen_model
    from smolforge.cli.progress import progress

    positive(options, "parallel", "queue", "threads", "context")
    settings, path = settings_of(options), chosen_model(options)
    try:
        from smolforge.serve.run import bound, serve
    except ImportError as error:
        from smolforge.errors import MissingDependencyError

        raise MissingDependencyError(error.name or "fastapi", "serve", "smolforge serve") from None
    from smolforge.engine.admission import Limits
    from smolforge.engine.engine import Engine

    with bound(settings) as listener:
        limits = Limits(running=options.parallel, waiting=options.queue)
        with progress(f"first use of {path.name}", "%") as shown:
            engine = Engine.open(
                path, threads=options.threads, context=options.context, kv=options.kv, limits=limits,
                progress=lambda share, what: shown.update(100 * share, 100, what),
            )  # fmt: skip
        with engine:
            if options.prefixes is not None and options.prefixes.exists():
                engine.load_prefixes(options.prefixes)
            host, port = listener.getsockname()[:2]
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            _say(f"{engine.model.name} at {address} (OpenAI: {address}/v1)")
            if sys.stderr.isatty():
                _say(f"open {address} in a browser to chat; Ctrl-C stops")
            code = serve(engine, settings, listener)
            if options.prefixes is not None:
                engine.save_prefixes(options.prefixes)
            return code


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the server's settings; ConfigError where it would be open to others without a key."""
    from smolforge.serve.settings import KEY_VARIABLE, Settings, read_keys

    keys = [key for key in (options.api_key, os.environ.get(KEY_VARIABLE)) if key]
    if options.api_key_file is not None:
        keys += read_keys(options.api_key_file)
    return Settings(
        host=options.host,
        port=options.port,
        keys=tuple(keys),
        allow_hosts=tuple(options.allow_host),
        allow_origins=tuple(options.allow_origin),
        timeout=options.timeout,
        drain=options.drain,
    )


def _say(text: str) -> None:
    print(f"smolforge serve: {text}", file=sys.stderr, flush=True)
