from __future__ import annotations

import pytest
import torch

from training.models.llama import Llama, Options, build

VOCABULARY, CONTEXT = 40, 16


def network(**changes: object) -> Llama:
    torch.manual_seed(0)
    options = Options(width=64, depth=2, heads=4, kv_heads=2, hidden=96, **changes)  # type: ignore[arg-type]
    return build(options, VOCABULARY, CONTEXT)


def test_nothing_depends_on_what_follows() -> None:
    model, tokens = network().eval(), torch.randint(0, VOCABULARY, (2, CONTEXT))
    with torch.inference_mode():
        whole = model(tokens)
        for length in (1, 7):
            torch.testing.assert_close(model(tokens[:, :length]), whole[:, :length], atol=1e-5, rtol=1e-5)
    assert whole.shape == (2, CONTEXT, VOCABULARY)


def test_features_stand_before_the_tokens() -> None:
    model, tokens = network().eval(), torch.randint(0, VOCABULARY, (1, 5))
    with torch.inference_mode():
        # Features that are embeddings of tokens are those tokens.
        prefix = model.embedding(tokens[:, :3])
        torch.testing.assert_close(model(tokens[:, 3:], prefix), model(tokens)[:, 3:], atol=1e-5, rtol=1e-5)


def test_activations_computed_again_give_the_same_gradients() -> None:
    tokens = torch.randint(0, VOCABULARY, (2, CONTEXT))
    gradients = []
    for again in (False, True):
        model = network(checkpoint_gradients=again)
        model(tokens).square().mean().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize("tied", [True, False])
def test_it_is_the_llama_of_transformers(tied: bool) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = network(tie_embeddings=tied).eval()
    reference = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=tied,
        )
    ).eval()
    weights = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.norm.weight}
    weights["lm_head.weight"] = model.head_weight
    for index, block in enumerate(model.blocks):
        name = f"model.layers.{index}."
        query, key, value = block.attention.qkv.weight.split([64, 32, 32])
        gate, up = block.mlp.gate_up.weight.chunk(2)
        weights |= {
            f"{name}self_attn.q_proj.weight": query,
            f"{name}self_attn.k_proj.weight": key,
            f"{name}self_attn.v_proj.weight": value,
            f"{name}self_attn.o_proj.weight": block.attention.output.weight,
            f"{name}mlp.gate_proj.weight": gate,
            f"{name}mlp.up_proj.weight": up,
            f"{name}mlp.down_proj.weight": block.mlp.down.weight,
            f"{name}input_layernorm.weight": block.attention_norm.weight,
            f"{name}post_attention_layernorm.weight": block.mlp_norm.weight,
        }
    reference.load_state_dict(weights)
    tokens = torch.randint(0, VOCABULARY, (3, CONTEXT))
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens), reference(tokens).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 30, "heads": 2}, r"width \(30\).*take 32, or another number of heads"),
        ({"width": 40, "heads": 2, "kv_heads": 2}, "take 32 or 64,"),
        ({"width": 100, "heads": 6}, "take 96 or 192,"),
        ({"heads": 6, "kv_heads": 4}, r"heads \(6\) must be a multiple of kv_heads \(4\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Options(**options)
