"""What the house writes itself from templates, and what a generator writes from documents, each sample verified.

Input: the sentence templates of ``home-assistant-intents``, problems of ``reasoning-gym``, our own home values; for
generated sets (``generated_stage.py``) documents and any OpenAI-compatible generator (``endpoint.py``). Output: the
JSONL sets of the ``synthesize`` stage, which the tokens room turns into shards.
"""
