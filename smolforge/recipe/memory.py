"""How much memory training takes on one accelerator: weights, gradients, optimizer state, activations, logits.

Input is the model's shape, how it is split, and the tokens of one micro-batch; output is bytes by holder. The dry run
prints it; it is an estimate of what must be held at once, without the allocator's slack and the framework itself.
"""

from __future__ import annotations

from smolforge.model.config import ModelConfig
from smolforge.train.config import ParallelConfig

FLOAT, HALF = 4, 2


def per_accelerator(
    model: ModelConfig, parallel: ParallelConfig, micro_tokens: int, optimizer: str, precision: str
) -> dict[str, float]:
    """Return bytes for one micro-batch of ``micro_tokens`` tokens.

    Weights: float32 masters and, unless ``precision`` is float32, their bfloat16 copy for the matrix products;
    gradients float32; AdamW two float32 moments, Muon one (for nearly all parameters). All are split over ``tensor``
    ranks and held by every data replica.
    """
    parameters = model.parameter_count() / parallel.tensor
    tokens = micro_tokens / parallel.context
    width = FLOAT if precision == "float32" else HALF
    return {
        "weights": parameters * (FLOAT + (0 if width == FLOAT else HALF)),
        "gradients": parameters * FLOAT,
        "optimizer": parameters * FLOAT * (2 if optimizer == "adamw" else 1),
        "activations": width * tokens * activations_per_token(model) / parallel.tensor,
        "logits": 2 * FLOAT * tokens * model.vocab_size / parallel.tensor,
    }


def activations_per_token(model: ModelConfig) -> int:
    """Return how many values the backward pass keeps for one token over all layers, attention being fused.

    Counted per layer as Korthikanti et al. (arXiv:2205.05198, section 4) count it, for RMSNorm, grouped-query
    attention and SwiGLU: input and output of two norms (4 H), queries, keys, values and the attention's output
    (2 Q + 2 K), gate, up, activated gate and their product (4 F). The sequence-parallel split of the norms is counted.
    """
    per_layer = 4 * model.hidden_size + 2 * model.query_size + 2 * model.kv_size + 4 * model.intermediate_size
    return per_layer * model.n_layers
