"""Configuration of the ``synthesize`` stage: how many rows of what, and which shares of each kind.

Read by the recipe; everything the stage does follows from it and from the seed in the stage context.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from smolforge.corpus.synthesize.generated_config import GeneratedConfig
from smolforge.store.config import Config
from smolforge.store.outside import package_versions

Language = Literal["en", "fr", "es", "de", "it", "pt", "ar", "zh", "ru"]
LANGUAGES: tuple[Language, ...] = ("en", "fr", "es", "de", "it", "pt", "ar", "zh", "ru")


TEMPLATE_SETS = frozenset({
    "commands_train", "commands_seen", "commands_templates", "commands_values", "commands", "copying", "copying_long",
    "needle_test", "preferences", "reasoning_midtrain", "reasoning_train", "reasoning_test", "tools", "counts",
})  # fmt: skip


class CommandsConfig(Config):
    """Counts are rows per language; shares are probabilities per row."""

    train: int = Field(6500, ge=0)
    seen: int = Field(200, ge=0)
    templates: int = Field(200, ge=0)
    values: int = Field(200, ge=0)
    documents: int = Field(500, ge=0, description="plain question/answer documents per language")
    held_out_templates: float = Field(0.12, ge=0, le=0.5)
    held_out_known_words: bool = Field(
        True, description="hold out only templates whose words other ones of the intent have"
    )
    held_out_values: float = Field(0.15, gt=0, lt=1)
    think_share: float = Field(0.2, ge=0, le=1)
    held_out_think_share: float = Field(0.2, ge=0, le=1)
    pseudo_share: float = Field(0.3, ge=0, le=1, description="training rows whose free slots are invented words")
    held_out_pseudo_share: float = Field(0.25, ge=0, le=1, description="the same for commands_values")
    capitalize_share: float = Field(0.15, ge=0, le=1)
    full_stop_share: float = Field(0.05, ge=0, le=1)
    intent_balance: float = Field(
        0.5, ge=0, le=1, description="rows per intent grow with templates**balance: 0 is even, 1 follows the templates"
    )


class ReasoningConfig(Config):
    """Counts are problems over all languages; ``test`` problems are asked in both modes."""

    midtrain: int = Field(6000, ge=0)
    train: int = Field(4000, ge=0)
    test: int = Field(300, ge=0)
    slot_logic_share: float = Field(0.8, ge=0, le=1)
    train_think_share: float = Field(0.6, ge=0, le=1)
    midtrain_think_share: float = Field(0.8, ge=0, le=1)
    slot_logic_languages: tuple[Language, ...] = ("en", "fr", "es", "de")
    steps: tuple[int, int] = Field((4, 6), description="fewest and most swaps of a slot logic problem")
    options: int = Field(4, ge=3, le=5, description="rooms of a slot logic problem; a guess is right once in as many")


class CopyingConfig(Config):
    """Short drills over all languages, long ones for longer windows, and the needle test. Lengths in characters."""

    word_length: int = Field(6, ge=4, description="keys and values are words of at most so many characters")
    short: int = Field(6000, ge=0)
    short_facts: tuple[int, int] = (2, 6)
    rounds: tuple[int, int] = Field((3, 6), description="how often a short drill tells its facts")
    long: int = Field(900, ge=0)
    long_characters: tuple[int, int] = (500, 1100)
    long_facts: tuple[int, int] = (3, 8)
    needle_characters: tuple[int, ...] = (500, 1000, 2000, 4000)
    needle_facts: int = Field(4, ge=1, description="facts in a document of the test; one is asked")
    needles_per_length: int = Field(24, ge=0)


class SynthesizeConfig(Config):
    """The whole stage. ``system`` is the text of a system message put before every command; none by default.

    ``templates``: whether the sets that need no generator are written. ``generated``: sets that a generator writes from
    the corpus' documents, each sample checked.
    """

    languages: tuple[Language, ...] = LANGUAGES
    system: str | None = None
    templates: bool = True
    commands: CommandsConfig = CommandsConfig()
    reasoning: ReasoningConfig = ReasoningConfig()
    copying: CopyingConfig = CopyingConfig()
    preferences: int = Field(1500, ge=0, description="pairs over all languages")
    generated: GeneratedConfig | None = None

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if not self.templates and self.generated is None:
            raise ValueError("templates: false and no generated sets leave nothing to write")
        for name in self.generated.sets if self.generated else ():
            if self.templates and name in TEMPLATE_SETS:
                raise ValueError(f"the set '{name}' is written from templates already; choose another name")
        return self

    def fingerprint(self) -> dict[str, Any]:
        """Return the versions of the packages whose templates and generators the sets are made with."""
        packages: dict[str, Any] = dict(package_versions(("hassil", "home-assistant-intents", "reasoning-gym")))
        if not self.templates:
            packages = {}
        return packages | ({"generated": self.generated.fingerprint()} if self.generated else {})
