"""``tools.json``: every intent as a function in OpenAI's format, with what a constrained decoder needs to know.

Input: all command draws. Output: tool definitions. Three kinds of parameter: closed (``enum``), copied (``x-copy``: any span of
the command) and numbers (``minimum``, ``maximum``); ``x-slot-combinations`` lists the argument names a call may carry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from smolforge.corpus.synthesize.hassil_sampler import ARGUMENT_ORDER, Draw, Scalar
from smolforge.errors import DataError

INTENT_DESCRIPTIONS = {
    "HassBroadcast": "Speak a message in every room.",
    "HassCancelAllTimers": "Cancel all timers, or those of one area.",
    "HassCancelTimer": "Cancel one timer.",
    "HassClimateGetTemperature": "Tell the current temperature.",
    "HassClimateSetFanMode": "Set the fan mode of a climate device.",
    "HassClimateSetTemperature": "Set the target temperature.",
    "HassDecreaseTimer": "Take time off a running timer.",
    "HassFanSetSpeed": "Set the speed of a fan in percent.",
    "HassGetCurrentDate": "Tell today's date.",
    "HassGetCurrentTime": "Tell the time.",
    "HassGetState": "Tell or check the state of a device, a group or a person.",
    "HassGetWeather": "Tell the weather.",
    "HassIncreaseTimer": "Add time to a running timer.",
    "HassLawnMowerDock": "Send a lawn mower to its dock.",
    "HassLawnMowerStartMowing": "Start mowing.",
    "HassLightSet": "Set brightness, color or color temperature of lights.",
    "HassListAddItem": "Add an item to a named list.",
    "HassListCompleteItem": "Tick an item off a named list.",
    "HassListRemoveItem": "Remove an item from a named list.",
    "HassMediaNext": "Skip to the next track.",
    "HassMediaPause": "Pause playback.",
    "HassMediaPlayerMute": "Mute a media player.",
    "HassMediaPlayerUnmute": "Unmute a media player.",
    "HassMediaPrevious": "Go back to the previous track.",
    "HassMediaSearchAndPlay": "Search for media and play it.",
    "HassMediaUnpause": "Resume playback.",
    "HassNevermind": "The person takes the request back.",
    "HassPauseTimer": "Pause a timer.",
    "HassRespond": "Answer small talk.",
    "HassSetPosition": "Move a cover or valve to a position in percent.",
    "HassSetVolume": "Set the volume in percent.",
    "HassSetVolumeRelative": "Turn the volume up or down.",
    "HassShoppingListAddItem": "Add an item to the shopping list.",
    "HassShoppingListCompleteItem": "Tick an item off the shopping list.",
    "HassStartTimer": "Start a timer, or run a command after a delay.",
    "HassTimerStatus": "Tell how much time is left on a timer.",
    "HassTurnOff": "Turn off, close or unlock.",
    "HassTurnOn": "Turn on, open, lock, press or run.",
    "HassUnpauseTimer": "Resume a paused timer.",
    "HassVacuumCleanArea": "Vacuum one area.",
    "HassVacuumReturnToBase": "Send a vacuum back to its base.",
    "HassVacuumStart": "Start a vacuum.",
}


@dataclass
class _Parameter:
    """What was seen of one slot of one intent."""

    copied: bool = False
    words: set[str] = field(default_factory=set)
    numbers: set[float | int] = field(default_factory=set)

    def schema(self) -> dict[str, Any]:
        kinds: list[dict[str, Any]] = []
        if self.words:
            kinds.append({"type": "string", "enum": sorted(self.words)})
        if self.copied:
            kinds.append({"type": "string", "x-copy": True})
        if self.numbers:
            whole = all(isinstance(number, int) for number in self.numbers)
            bounds = {"minimum": min(self.numbers), "maximum": max(self.numbers)}
            kinds.append({"type": "integer" if whole else "number", **bounds})
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def build_tools(draws: Iterable[Draw]) -> list[dict[str, Any]]:
    """Return one definition per intent, sorted by name, that admits every draw."""
    parameters: dict[str, dict[str, _Parameter]] = defaultdict(lambda: defaultdict(_Parameter))
    combinations: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for draw in draws:
        combinations[draw.intent].add(tuple(draw.arguments))
        for slot, value in draw.arguments.items():
            seen = parameters[draw.intent][slot]
            if slot in draw.free:
                seen.copied = True
            elif isinstance(value, str):
                seen.words.add(value)
            else:
                seen.numbers.add(value)
    return [_tool(intent, parameters[intent], combinations[intent]) for intent in sorted(combinations)]


def _tool(intent: str, parameters: dict[str, _Parameter], combinations: set[tuple[str, ...]]) -> dict[str, Any]:
    order = [slot for slot in ARGUMENT_ORDER if slot in parameters]
    legal = sorted(combinations, key=lambda slots: (len(slots), [ARGUMENT_ORDER.index(slot) for slot in slots]))
    return {
        "type": "function",
        "function": {
            "name": intent,
            "description": INTENT_DESCRIPTIONS.get(intent, intent),
            "parameters": {
                "type": "object",
                "properties": {slot: parameters[slot].schema() for slot in order},
                "required": [slot for slot in order if all(slot in slots for slots in combinations)],
                "additionalProperties": False,
                "x-slot-combinations": [list(slots) for slots in legal],
            },
        },
    }


class Tools:
    """The definitions of ``tools.json`` with the question every consumer has: may this call be made for this command?"""

    def __init__(self, definitions: list[dict[str, Any]]) -> None:
        self.functions = {tool["function"]["name"]: tool["function"]["parameters"] for tool in definitions}

    def check(self, command: str, intent: str, arguments: dict[str, Scalar]) -> None:
        """DataError saying what is wrong with the call, if anything is."""
        if intent not in self.functions:
            raise DataError(f"no tool is called {intent!r}")
        function = self.functions[intent]
        if list(arguments) not in function["x-slot-combinations"]:
            raise DataError(f"{intent} does not take the arguments {list(arguments)} in this order")
        for slot, value in arguments.items():
            schema = function["properties"][slot]
            if not any(_admits(kind, value, command) for kind in schema.get("anyOf", [schema])):
                raise DataError(f"{intent}.{slot}: {value!r} is neither allowed nor a span of {command!r}")


def _admits(kind: dict[str, Any], value: Scalar, command: str) -> bool:
    if kind["type"] == "string":
        return isinstance(value, str) and (value in kind["enum"] if "enum" in kind else value in command)
    wanted = (int,) if kind["type"] == "integer" else (int, float)
    return isinstance(value, wanted) and kind["minimum"] <= value <= kind["maximum"]
