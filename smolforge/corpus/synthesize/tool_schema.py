"""``tools.json``: every intent as a function in OpenAI's format, with what a constrained decoder needs to know.

Input: the slots of all templates, the argument sets of all draws. Output: tool definitions. A parameter is closed
(``enum``), copied (``x-copy``: any span of the command) or a number; ``x-slot-combinations`` are the legal calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from smolforge.corpus.synthesize.hassil_sampler import ARGUMENT_ORDER, Scalar, SlotKind
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


def build_tools(
    kinds: Mapping[str, Iterable[SlotKind]], combinations: Mapping[str, Iterable[tuple[str, ...]]]
) -> list[dict[str, Any]]:
    """Return one definition per intent, sorted by name.

    ``kinds`` says what each slot may hold, ``combinations`` which argument names were seen together, both by intent.
    """
    tools = []
    for intent in sorted(combinations):
        by_slot: dict[str, list[SlotKind]] = defaultdict(list)
        for kind in kinds[intent]:
            by_slot[kind.slot].append(kind)
        seen = set(combinations[intent])
        used = {slot: _schema(members) for slot, members in by_slot.items() if any(slot in names for names in seen)}
        tools.append(_tool(intent, used, seen))
    return tools


def _schema(kinds: list[SlotKind]) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    if words := sorted(frozenset[str]().union(*(kind.words for kind in kinds))):
        choices.append({"type": "string", "enum": words})
    if any(kind.copied for kind in kinds):
        choices.append({"type": "string", "x-copy": True})
    ends = [end for kind in kinds for end in (kind.least, kind.most) if end is not None]
    if ends:
        whole = all(isinstance(end, int) for end in ends)
        choices.append({"type": "integer" if whole else "number", "minimum": min(ends), "maximum": max(ends)})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _tool(intent: str, parameters: dict[str, dict[str, Any]], combinations: set[tuple[str, ...]]) -> dict[str, Any]:
    order = [slot for slot in ARGUMENT_ORDER if slot in parameters]
    legal = sorted(combinations, key=lambda slots: (len(slots), [ARGUMENT_ORDER.index(slot) for slot in slots]))
    return {
        "type": "function",
        "function": {
            "name": intent,
            "description": INTENT_DESCRIPTIONS.get(intent, intent),
            "parameters": {
                "type": "object",
                "properties": {slot: parameters[slot] for slot in order},
                "required": [slot for slot in order if all(slot in slots for slots in combinations)],
                "additionalProperties": False,
                "x-slot-combinations": [list(slots) for slots in legal],
            },
        },
    }


class Tools:
    """The definitions of ``tools.json`` and the question every consumer has: may this call answer this command?"""

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
