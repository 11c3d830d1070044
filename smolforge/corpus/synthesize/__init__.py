"""What the house writes itself: commands with calls, reasoning with derivations, preferences, copying drills.

Input: the sentence templates of ``home-assistant-intents``, problems of ``reasoning-gym`` and our own home values.
Output: the JSONL sets of the ``synthesize`` stage, which the tokens room turns into shards.
"""
