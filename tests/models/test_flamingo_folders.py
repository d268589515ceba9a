"""Flamingos on disk: folders as they were published, and what is said where one cannot be opened."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerBase

from tests.models.pictures import ask, draw_pictures, encoded, logits_of
from triptych.core.errors import ModelError
from triptych.core.records import Json
from triptych.data.batch import collate
from triptych.data.template import find_template
from triptych.models import parts, toys
from triptych.models.families.flamingo import FAMILY, FlamingoModel, open_folder
from triptych.models.family import PartsPlan
from triptych.models.flamingo.join import TOKENS, join, teach
from triptych.models.flamingo.language import cross_attention_of
from triptych.models.flamingo.network import FlamingoForConditionalGeneration, OtterForConditionalGeneration
from triptych.models.parts import Language

VISION = {
    "_name_or_path": "openai/clip-vit-large-patch14",
    "architectures": None,
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "image_size": 32,
    "patch_size": 16,
    "hidden_act": "quick_gelu",
    "torch_dtype": None,
}
TEXTS: dict[str, dict[str, object]] = {
    "llama": {
        "_name_or_path": "luodian/llama-7b-hf",
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": False,
    },
    "mpt": {
        "_name_or_path": "",
        "architectures": ["MPTForCausalLM"],
        "model_type": "mpt",
        "attn_config": {"alibi": True, "alibi_bias_max": 8, "attn_impl": "torch", "attn_pdrop": 0, "qk_ln": False},
        "d_model": 48,
        "hidden_size": 48,
        "n_heads": 4,
        "n_layers": 4,
        "max_seq_len": 64,
        "init_config": {"name": "kaiming_normal_", "verbose": 0},
        "tokenizer_name": "EleutherAI/gpt-neox-20b",
        "tie_word_embeddings": True,
        "use_cache": False,
        "verbose": 0,
    },
}
_LINEAR = r"\.(weight|bias)"
_CLIP_ENDS = r"embeddings\.(class_embedding|patch_embedding\.weight|position_embedding\.weight)"
_CLIP = rf"{_CLIP_ENDS}|(pre_layrnorm|post_layernorm){_LINEAR}"
_CLIP_LAYER = rf"(self_attn\.(q|k|v|out)_proj|layer_norm[12]|mlp\.fc[12]){_LINEAR}"
_LLAMA_LAYER = r"(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj|(input|post_attention)_layernorm)\.weight"
_MPT_LAYER = r"(norm_[12]|attn\.(Wqkv|out_proj)|ffn\.(up|down)_proj)\.weight"
_GATED = rf"attn_gate|ff_gate|attn\.(norm{_LINEAR}|to_(q|kv|out)\.weight)|feed_forward\.(0{_LINEAR}|[13]\.weight)"
_PERCEIVER = rf"(norm_media|norm_latents|feed_forward\.0){_LINEAR}|(to_q|to_kv|to_out|feed_forward\.[13])\.weight"
PUBLISHED = re.compile(
    rf"vision_encoder\.vision_model\.({_CLIP}|encoder\.layers\.\d+\.({_CLIP_LAYER}))"
    rf"|perceiver\.(latents|frame_embs|norm{_LINEAR}|layers\.\d+\.({_PERCEIVER}))"
    rf"|lang_encoder\.(model\.layers|transformer\.blocks)\.\d+\.decoder_layer\.({_LLAMA_LAYER}|{_MPT_LAYER})"
    rf"|lang_encoder\.(model\.layers|transformer\.blocks)\.\d+\.gated_cross_attn_layer\.({_GATED})"
    r"|lang_encoder\.(lm_head|model\.embed_tokens|model\.norm|transformer\.wte|transformer\.norm_f)\.weight"
)
"""The names of the weights in Otter's and Flamingo's published folders, whole."""


def tokenizer() -> PreTrainedTokenizerBase:
    """A language model's tokenizer, and Flamingo's tokens in the published order; no chat template."""
    made = toys.toy_tokenizer()
    teach(made, find_template("otter"))
    made.chat_template = None
    return made


def write_published(folder: Path, text: str, *, model_type: str = "otter", bare: bool = False) -> dict[str, Tensor]:
    """Write a folder as they were published, small but for the sizes that are fixed; return its weights.

    Args:
        folder: to be made.
        text: of ``TEXTS``.
        model_type: ``otter`` or ``flamingo``.
        bare: leave out buffers that early versions of the networks kept among their weights.
    """
    spoken = tokenizer()
    config = {
        "architectures": ["OtterForConditionalGeneration"],
        "cross_attn_every_n_layers": 2,
        "max_num_frames": 8,
        "model_type": model_type,
        "only_attend_previous": True,
        "text_config": TEXTS[text] | {"vocab_size": len(spoken)},
        "torch_dtype": "float32",
        "transformers_version": None,
        "use_media_placement_augmentation": True,
        "vision_config": VISION,
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    spoken.save_pretrained(folder)
    network = AutoModelForImageTextToText.from_config(parts.AutoConfig.from_pretrained(folder), dtype=torch.float32)
    weights = {}
    for name, weight in network.state_dict().items():
        name = name.replace("vision_encoder.", "vision_encoder.vision_model.")
        if name != "lang_encoder.lm_head.weight" or text == "llama":  # MPT's is its embedding table
            generator = torch.Generator().manual_seed(len(weights))
            noise = torch.randn(weight.shape, generator=generator) * 0.1
            weights[name] = weight + 1.0 if "gate" in name.rsplit(".", 1)[-1] else weight + noise
    kept = dict(weights)
    if not bare:
        kept["vision_encoder.vision_model.embeddings.position_ids"] = torch.arange(5)[None]
        if text == "llama":
            for layer in range(4):
                kept[f"lang_encoder.model.layers.{layer}.decoder_layer.self_attn.rotary_emb.inv_freq"] = torch.ones(6)
    save_file({name: weight.clone() for name, weight in kept.items()}, folder / "model.safetensors", {"format": "pt"})
    return weights


@pytest.mark.parametrize("text", sorted(TEXTS))
@pytest.mark.parametrize("model_type", ["flamingo", "otter"])
def test_a_published_folder_opens_with_every_weight_in_its_place(text: str, model_type: str, tmp_path: Path) -> None:
    weights = write_published(tmp_path / "published", text, model_type=model_type)
    assert [name for name in weights if not PUBLISHED.fullmatch(name)] == []
    network, report = AutoModelForImageTextToText.from_pretrained(tmp_path / "published", output_loading_info=True)
    assert {name: found for name, found in report.items() if found} == {}
    own = {
        name.replace("vision_encoder.", "vision_encoder.vision_model."): weight
        for name, weight in network.state_dict().items()
    }
    assert weights.keys() == own.keys() - ({"lang_encoder.lm_head.weight"} if text == "mpt" else set())
    assert all(torch.equal(own[name], weight) for name, weight in weights.items())
    assert len(network.perceiver.layers) == 6
    assert network.perceiver.latents.shape == (64, 32)
    assert network.perceiver.frame_embs.shape == (8, 32)
    assert [layer.attn.to_kv.weight.shape for layer in cross_attention_of(network.lang_encoder)] == [(1024, 32)] * 2


@pytest.mark.parametrize("text", sorted(TEXTS))
def test_a_published_otter_opens_here_and_what_is_saved_of_it_is_the_same_model(text: str, tmp_path: Path) -> None:
    write_published(tmp_path / "published", text)
    model = open_folder(tmp_path / "published")
    assert isinstance(model.network, OtterForConditionalGeneration)
    assert model.template.name == "otter"
    assert [model.tokenizer.convert_tokens_to_ids(token) for token in TOKENS] == list(range(259, 262))
    assert model.image_token_id == model.network.config.image_token_id == 260
    picture = draw_pictures(tmp_path / "pictures", 1)[0]
    batch = collate([[encoded(model, ask("a", picture, "What is it?", reply="a cat"))]], pad_id=0)
    with torch.no_grad():
        wanted = logits_of(model, batch)
    model.save(tmp_path / "saved")
    again = open_folder(tmp_path / "saved")
    assert again.template == model.template
    assert type(again.network) is type(model.network)
    with torch.no_grad():
        assert torch.equal(logits_of(again, batch), wanted)


def test_an_image_token_that_is_no_number_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    write_published(folder, "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"image_token_id": "260"}))
    with pytest.raises(ModelError, match=r"config\.json: image_token_id is '260', and a number is wanted"):
        open_folder(folder)


def test_whole_numbers_of_an_mpt_may_be_written_as_floats(tmp_path: Path) -> None:
    write_published(tmp_path / "published", "mpt")
    config = json.loads((tmp_path / "published" / "config.json").read_text())
    config["text_config"]["attn_config"] |= {"attn_pdrop": 0.0, "alibi_bias_max": 8.0}
    (tmp_path / "published" / "config.json").write_text(json.dumps(config))
    attention = open_folder(tmp_path / "published").network.config.text_config.attn_config
    assert (attention.attn_pdrop, attention.alibi_bias_max) == (0, 8)


def test_pictures_of_a_published_folder_are_prepared_as_it_was_trained(tmp_path: Path) -> None:
    """No such folder says how: OpenFlamingo's pictures were cut to a square, Otter's pressed into one."""
    wide = Image.new("RGB", (64, 32), "white")
    wide.paste((0, 0, 0), (0, 0, 16, 32))  # what a cut takes away
    left, mean = {}, {}
    for model_type in ("flamingo", "otter"):
        write_published(tmp_path / model_type, "llama", model_type=model_type, bare=True)
        (tmp_path / model_type / "triptych.json").write_text('{"template": "otter"}')
        processor = open_folder(tmp_path / model_type).processor
        pixels_CHW = processor(wide, return_tensors="pt")["pixel_values"][0]
        assert pixels_CHW.shape == (3, 32, 32)
        left[model_type], mean[model_type] = float(pixels_CHW[:, :, 0].max()), processor.image_mean[0]
    assert left["flamingo"] > 0.5 > -1.0 > left["otter"]
    assert mean == {"flamingo": 0.48145466, "otter": 0.481}


def test_a_weight_that_is_missing_is_named(tmp_path: Path) -> None:
    weights = write_published(tmp_path / "published", "llama", bare=True)
    del weights["perceiver.layers.3.to_q.weight"]
    save_file(weights, tmp_path / "published" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing, the first is 'perceiver.layers.3.to_q.weight'"):
        open_folder(tmp_path / "published")


def test_a_folder_whose_tokenizer_knows_no_image_is_refused(tmp_path: Path) -> None:
    write_published(tmp_path / "published", "llama", bare=True)
    toys.toy_tokenizer().save_pretrained(tmp_path / "published")
    with pytest.raises(ModelError, match="put the tokenizer that the model was tuned with into its folder"):
        open_folder(tmp_path / "published")


def test_a_flamingo_that_names_no_template_says_how_to_name_one(tmp_path: Path) -> None:
    write_published(tmp_path / "published", "mpt", model_type="flamingo", bare=True)
    with pytest.raises(ModelError, match=r'it has no chat template. Name its template: .* \{"template": NAME\} in'):
        open_folder(tmp_path / "published")
    (tmp_path / "published" / "triptych.json").write_text('{"template": "mantis_openflamingo_clean"}')
    assert open_folder(tmp_path / "published").template.name == "mantis_openflamingo_clean"


def test_what_a_model_costs_is_known_without_its_weights(tmp_path: Path) -> None:
    sample = FAMILY.samples["mpt"](0)
    sample.save(tmp_path / "saved")
    (tmp_path / "saved" / "model.safetensors").unlink()
    assert FAMILY.outline is not None
    assert FAMILY.outline(tmp_path / "saved").digest == sample.rendering.digest


@pytest.mark.parametrize(
    "settings", [{}, {"max_num_frames": 4}, {"max_num_frames": 4, "adjacent_images_are_frames": False}]
)
def test_what_parts_will_cost_is_known_before_they_are_joined(settings: dict[str, Json], tmp_path: Path) -> None:
    vision, language = toys.toy_vit(0), toys.toy_language(0)
    for each in (vision.tower, vision.processor):
        each.save_pretrained(tmp_path / "seen")
    for spoken in (language.network, language.tokenizer):
        spoken.save_pretrained(tmp_path / "spoken")
    plan = PartsPlan(
        vision=str(tmp_path / "seen"),
        language=str(tmp_path / "spoken"),
        projector="mlp",
        image_tokens=None,
        template="otter_simple",
        seed=0,
        settings=settings,
    )
    assert FAMILY.outline is not None
    assert FAMILY.assemble is not None
    assembled = FAMILY.assemble(plan)
    assert FAMILY.outline(plan).digest == assembled.rendering.digest
    assert assembled.cost.joins is (settings == {"max_num_frames": 4})


@pytest.mark.parametrize("tied", [True, False])
def test_head_and_embeddings_stay_one_or_two(tied: bool, tmp_path: Path) -> None:
    language = toys.toy_language(0)
    if not tied:
        head = torch.nn.Linear(*language.network.lm_head.weight.shape[::-1], bias=False)
        language.network.config.tie_word_embeddings = False
        language.network.lm_head = head
    template = find_template("otter_simple")
    vision = toys.toy_vit(0)
    network = join(vision, language, template=template, seed=0, settings={"resampler_depth": 1})
    sources = {"vision": toys.PROVENANCE, "language": toys.PROVENANCE}
    model = FlamingoModel(network, language.tokenizer, processor=vision.processor, template=template, sources=sources)
    model.save(tmp_path / "saved")
    opened = open_folder(tmp_path / "saved").network
    for each in (network, opened):
        one = each.get_input_embeddings().weight is each.get_output_embeddings().weight
        assert one is tied
    assert torch.equal(opened.get_output_embeddings().weight, network.get_output_embeddings().weight)


def test_new_tokens_get_rows_in_the_middle_of_all_others_and_in_the_published_order() -> None:
    language = toys.toy_language(0)
    before, rows = language.network.get_input_embeddings().weight.clone(), len(language.tokenizer)
    network = join(
        toys.toy_vit(0), language, template=find_template("otter_simple"), seed=0, settings={"resampler_depth": 1}
    )
    added = language.tokenizer.convert_ids_to_tokens(range(rows, len(language.tokenizer)))
    assert tuple(added) == TOKENS
    table = network.get_input_embeddings().weight
    assert len(table) == len(language.tokenizer) == network.config.text_config.vocab_size
    assert torch.equal(table[:rows], before)
    assert torch.allclose(table[rows:], before.mean(dim=0).expand(3, -1), atol=1e-6)
    assert network.generation_config.eos_token_id == rows


def test_a_new_flamingo_of_parts_speaks_as_its_language_model_does() -> None:
    language: Language = toys.toy_language(0)
    ids_BT = torch.tensor([[1, 20, 30, 40]])
    with torch.no_grad():
        wanted = language.network(input_ids=ids_BT).logits
        network = join(toys.toy_vit(0), language, template=find_template("otter_simple"), seed=0, settings={})
        found = network(input_ids=ids_BT).logits
    assert isinstance(network, FlamingoForConditionalGeneration)
    assert torch.allclose(found[..., : wanted.shape[-1]], wanted, atol=1e-5)


@pytest.mark.parametrize("tower", sorted(toys.TOWERS))
def test_any_tower_can_be_joined_and_saved(tower: str, tmp_path: Path) -> None:
    language, vision, template = toys.toy_language(0), toys.TOWERS[tower](0), find_template("otter_simple")
    network = join(vision, language, template=template, seed=0, settings={"resampler_depth": 1})
    for gated in cross_attention_of(network.lang_encoder):
        torch.nn.init.ones_(gated.attn_gate)
    sources = {"vision": toys.PROVENANCE, "language": toys.PROVENANCE}
    model = FlamingoModel(network, language.tokenizer, processor=vision.processor, template=template, sources=sources)
    first, second = draw_pictures(tmp_path / "pictures", 2)
    batches = [
        collate([[encoded(model, ask("a", each, "What is it?", reply="a cat"))]], pad_id=0) for each in (first, second)
    ]
    model.save(tmp_path / "saved")
    opened = open_folder(tmp_path / "saved")
    with torch.no_grad():
        one, other = (logits_of(model, batch) for batch in batches)
        assert not torch.allclose(one, other, atol=1e-3)
        assert torch.equal(logits_of(opened, batches[0]), one)
