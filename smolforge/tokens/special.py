"""The special tokens: control strings of documents and chats, in the order of their ids from 0.

The tokenizer is trained with them, the template writes them, and nothing a person types ever becomes one.
"""

from __future__ import annotations

PAD = "<|pad|>"
END_OF_TEXT = "<|end_of_text|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
THINK, END_THINK = "<think>", "</think>"
TOOL_CALL, END_TOOL_CALL = "<tool_call>", "</tool_call>"
TOOL_RESPONSE, END_TOOL_RESPONSE = "<tool_response>", "</tool_response>"
RESERVED = tuple(f"<|reserved_{i}|>" for i in range(6))

CHAT_TOKENS = (IM_START, IM_END, THINK, END_THINK, TOOL_CALL, END_TOOL_CALL, TOOL_RESPONSE, END_TOOL_RESPONSE)
SPECIAL_TOKENS = (PAD, END_OF_TEXT, *CHAT_TOKENS, *RESERVED)


def control_tokens(reserved: int) -> list[str]:
    """Return the control tokens in the order of their ids, with ``reserved`` names kept for later instead of six."""
    return [*SPECIAL_TOKENS, *(f"<|reserved_{i}|>" for i in range(len(RESERVED), reserved))]
