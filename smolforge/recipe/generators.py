"""The ``synthesize`` stage with models of this machine: opens the engine for generators that have no address.

Input: the stage's configuration and context. Output: what ``corpus.synthesize.stage.run`` returns. The corpus knows no
engine; this room, which knows both, hands it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smolforge.corpus.synthesize import stage
from smolforge.corpus.synthesize.config import SynthesizeConfig
from smolforge.corpus.synthesize.endpoint import Backend, EndpointConfig, Failed
from smolforge.corpus.synthesize.request import Request, Sample
from smolforge.errors import ConfigError, DataError
from smolforge.store import StageContext, StageOutcome

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine

_ITSELF = "default"  # the model that verbs take when none is named


class EngineBackend:
    """An engine that answers requests. Its name in keys holds a digest of the weights: another file, other answers."""

    def __init__(self, engine: Engine, timeout: float) -> None:
        self._engine, self._timeout = engine, timeout
        self.model = f"{engine.model.name}@{engine.model.digest[:16]}"

    def ask(self, request: Request, sample: int) -> Sample:
        """Answer one sample with the model's own template, without a think block."""
        from smolforge.generator import Sampling

        params = request.params
        if params.extra:
            raise ConfigError(f"params.extra is for servers; the engine takes no {', '.join(sorted(params.extra))}")
        sampling = Sampling(
            params.temperature, params.top_p, seed=request.seed + sample, frequency_penalty=params.frequency_penalty
        )
        try:
            answer = self._engine.chat(
                [dict(message) for message in request.messages], max_tokens=params.max_tokens, sampling=sampling,
                schema=request.schema, stop=params.stop, timeout=self._timeout,
            )  # fmt: skip
        except DataError as error:
            raise Failed(str(error)) from None
        if answer.finish in ("timeout", "cancelled"):
            raise Failed(f"no answer within {self._timeout:g} seconds", by_generator=True)
        tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        return Sample(request.key(self.model, sample), answer.text, answer.reasoning, answer.finish, tokens)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def open_backend(config: EndpointConfig) -> Backend:
    """Open the model a generator names: a file, a folder, a name of the hub's cache, or ``default``."""
    from smolforge.engine.engine import Engine

    return EngineBackend(Engine.open(None if config.model == _ITSELF else config.model), config.timeout)


def run(config: SynthesizeConfig, context: StageContext) -> StageOutcome:
    """Run the stage."""
    return stage.run(config, context, open_backend)
