"""The hub room: models on this machine and how they get here, in the Hugging Face cache layout.

Input: names (``owner/repo[:quant][@revision]``), the environment, and, for ``pull`` alone, the network. Output: paths
of model folders and GGUF files. Import the module you need: this file stays light.
"""
