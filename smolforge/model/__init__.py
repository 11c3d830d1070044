"""The model room: configuration and presets, the decoder, Hugging Face checkpoints, and the torch reference generator.

Input: a ``ModelConfig`` (``config``, ``presets``) or a Hugging Face folder (``checkpoint``). Output: hidden states and
logits for the trainer, folders for the exporter, answers for tasks. Import the module you need: this file stays light.
"""
