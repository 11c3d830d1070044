"""What a training stage is told: phases and their mixtures, optimizer, schedule, precision, batch, checkpoints.

One class serves pretraining, long-context extension, mid-training and SFT; preference tuning adds its loss. Values come
from the recipe; the defaults are SmolLM3's (docs/design/blueprint.md).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from smolforge.errors import nearest
from smolforge.store import Config
from smolforge.tokens.epoch_caps import EVERY_SOURCE
from smolforge.tokens.published import published_weights


class OptimizerConfig(Config):
    """AdamW for everything, or Muon for the matrices of the layers with AdamW for the rest.

    ``learning_rate`` is AdamW's peak; ``matrix_learning_rate`` is Muon's. AdamW decays every parameter but the
    embedding (chosen by identity, so a tied head follows). ``block_rows`` lets Muon orthogonalise blocks of so many
    rows instead of whole matrices, which costs a fraction of the arithmetic where batches are small.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(2e-4, gt=0)
    matrix_learning_rate: float = Field(0.02, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    momentum: float = Field(0.95, ge=0, lt=1)
    block_rows: int | None = Field(None, gt=0)
    grad_clip: float = Field(1.0, gt=0)


class ScheduleConfig(Config):
    """Learning rate over steps: linear warm-up, then ``wsd`` (constant, then linear decay), ``cosine`` or ``linear``.

    The decay ends at ``final_fraction`` of the peak. ``decay_steps`` belongs to wsd alone.
    """

    name: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    warmup_steps: int = Field(0, ge=0)
    decay_steps: int = Field(0, ge=0)
    final_fraction: float = Field(0.0, ge=0, le=1)


class PhaseConfig(Config):
    """A stretch of steps with one mixture: shard name (or a pattern with ``*``) → weight by tokens.

    Weights need not sum to one; the reader normalises. A text instead of a table names a published mixture
    (``smollm3/stable``). ``max_epochs``: how often a source may be read in this phase (``default``: those not named);
    ``at_cap`` says what happens to a mixture that would pass it: refuse, or redistribute the rest to the others.
    ``order``: each source's documents by their difficulty, over the length of the phase. ``sequence_length``,
    ``batch_sequences``, ``accumulation`` and ``schedule`` override the stage's for this phase (a phase with its own
    schedule starts it afresh).
    """

    name: str
    steps: int = Field(gt=0)
    mixture: dict[str, float]
    max_epochs: dict[str, float] = Field(default_factory=dict)
    at_cap: Literal["refuse", "redistribute"] = "refuse"
    order: Literal["shuffled", "easy_first", "hard_first"] = "shuffled"
    sequence_length: int | None = Field(None, gt=0)
    batch_sequences: int | None = Field(None, gt=0)
    accumulation: int | None = Field(None, gt=0)
    rope_theta: float | None = Field(None, gt=0)
    learning_rate_scale: float = Field(1.0, gt=0)
    schedule: ScheduleConfig | None = None

    @field_validator("mixture", mode="before")
    @classmethod
    def _published_table(cls, value: Any) -> Any:
        return published_weights(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _weights_are_positive(self) -> PhaseConfig:
        wrong = [name for name, weight in self.mixture.items() if not weight > 0]
        if wrong or not self.mixture:
            raise ValueError(
                f"phase '{self.name}': mixture weights must be positive numbers, not {wrong or 'an empty mixture'}"
            )
        for name, epochs in self.max_epochs.items():
            if name not in self.mixture and name != EVERY_SOURCE:
                raise ValueError(
                    f"phase '{self.name}': max_epochs names '{name}', which its mixture does not"
                    f"{nearest(name, self.mixture)}"
                )
            if not epochs > 0:
                raise ValueError(
                    f"phase '{self.name}': max_epochs of '{name}' is {epochs:g}, expected a number above 0"
                )
        return self


class ParallelConfig(Config):
    """How many ranks share the work: ``data`` replicas, each split over ``tensor`` × ``context`` ranks."""

    data: int = Field(1, gt=0)
    tensor: int = Field(1, gt=0)
    context: int = Field(1, gt=0)


class LoopConfig(Config):
    """What every training stage has. One step takes accumulation × data replicas × batch_sequences rows."""

    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch_sequences: int = Field(8, gt=0)
    accumulation: int = Field(1, gt=0)
    parallel: ParallelConfig = ParallelConfig()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    attention: Literal["auto", "sdpa", "flex"] = "auto"
    checkpoint_every: int = Field(200, gt=0)
    snapshots: list[int] = Field(default_factory=list)
    log_every: int = Field(10, gt=0)


class TrainConfig(LoopConfig):
    """Pretraining, long-context extension, mid-training, SFT: cross entropy on the supervised tokens.

    ``model`` is filled by the runner for the stage that starts from nothing (pretrain): a preset's name and overrides.
    ``weights``: what a mixture's shares are shares of (they differ where whole documents leave windows part empty).
    ``reading``: each phase reads its sources afresh, or goes onward in them from where the phases before it stopped.
    ``notes`` is free text for people.
    """

    model: dict[str, Any] | None = None
    sequence_length: int = Field(4096, gt=0)
    packing: Literal["stream", "whole"] = "stream"
    weights: Literal["tokens", "windows"] = "tokens"
    reading: Literal["afresh", "onward"] = "afresh"
    phases: list[PhaseConfig] = Field(min_length=1)
    notes: str = ""

    @model_validator(mode="after")
    def _reading_can_go_onward(self) -> TrainConfig:
        if self.reading == "onward":
            if len({phase.sequence_length or self.sequence_length for phase in self.phases}) > 1:
                raise ValueError("reading: onward needs one sequence_length for all phases; windows differ between two")
            if any(phase.order != "shuffled" for phase in self.phases):
                raise ValueError("reading: onward goes on in one order; a phase with an order of its own reads afresh")
        return self

    @model_validator(mode="after")
    def _phases_have_names_of_their_own(self) -> TrainConfig:
        names = [phase.name for phase in self.phases]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"two phases are called '{min(twice)}'; a phase's name seeds its order, so give each its own"
            )
        return self


class PreferenceConfig(LoopConfig):
    """Preference tuning on pairs: ``apo_zero`` (arXiv 2408.06266) or ``dpo`` (arXiv 2305.18290) against the SFT model.

    ``batch_sequences`` counts pairs. ``max_length`` truncates prompt + answer (counted).
    """

    loss: Literal["apo_zero", "dpo"] = "apo_zero"
    beta: float = Field(0.05, gt=0)
    steps: int = Field(gt=0)
    max_length: int = Field(24576, gt=0)
    pairs: str = "preferences"
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-6)
    notes: str = ""


class MergeConfig(Config):
    """A soup (equal mean) of the preference stage's snapshots and its end, then a linear merge with one other stage.

    ``weight`` is the soup's share: 0.9 · soup + 0.1 · model of stage ``with_stage``.
    """

    soup: bool = True
    weight: float = Field(0.9, gt=0, le=1)
    with_stage: str = "midtrain"
    notes: str = ""
