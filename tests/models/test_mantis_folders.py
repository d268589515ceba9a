"""Mantis' released folders: its names, its template, SigLIP's dropped first patch, and the ids its own code made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

from tests.data.test_golden import chats, spans
from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from tests.models.published import BODY, VIT
from tests.pictures import real_data
from triptych.data.batch import collate
from triptych.data.plan.costs import Fixed
from triptych.data.template import Encoded
from triptych.models.disk.check import check_model
from triptych.models.family import Model, open_model

PREPARATION = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "processor_class": "MLlavaProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 32, "width": 32},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Mantis-8B-siglip-llama3 in small: config.json, weight names and files as released."""
    made = tmp_path_factory.mktemp("mantis") / "any-name"
    tokenizer = AutoTokenizer.from_pretrained(real_data("golden") / "mantis" / "toy_llama3_tokenizer")
    image = tokenizer.get_added_vocab()["<image>"]
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**VIT),
        text_config=LlamaConfig(**BODY, vocab_size=len(tokenizer), initializer_range=0.2),
        image_token_index=image,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    LlavaForConditionalGeneration(config).save_pretrained(made)
    state = load_file(made / "model.safetensors")
    released = {name.replace("vision_tower.", "vision_tower.vision_model."): weight for name, weight in state.items()}
    assert any(name.startswith("language_model.model.layers.") for name in released)
    assert "vision_tower.vision_model.head.probe" in released
    save_file(released, made / "model.safetensors", metadata={"format": "pt"})
    said = json.loads((made / "config.json").read_text())
    vision = {name: value for name, value in said["vision_config"].items() if name in (*VIT, "model_type")}
    text = {name: said["text_config"][name] for name in (*BODY, "model_type", "vocab_size", "tie_word_embeddings")}
    kept = ("architectures", "image_token_index", "model_type", "projector_hidden_act", "vision_feature_layer")
    plain = {name: said[name] for name in (*kept, "vision_feature_select_strategy") if name in said}
    plain |= {"image_token_index": image, "ignore_index": -100, "vocab_size": len(tokenizer)}
    plain |= {"torch_dtype": "float32", "transformers_version": "4.39.2"}
    (made / "config.json").write_text(json.dumps(plain | {"vision_config": vision, "text_config": text}))
    (made / "preprocessor_config.json").write_text(json.dumps(PREPARATION))
    (made / "generation_config.json").unlink()
    tokenizer.save_pretrained(made)
    (made / "triptych.json").write_text('{"template": "mantis_llama_3"}')
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return open_model(folder)


def test_features_are_those_of_the_last_layer_but_one_without_the_first_patch(model: Model, tmp_path: Path) -> None:
    images = draw_pictures(tmp_path, 2)
    assert model.cost == Fixed(3)  # four patches, and 729 - 1 in the released model
    seen = pixels_of(model, images)
    with torch.no_grad():
        tower = model.parts()["vision"]
        states = tower(torch.stack([each.values for each in seen]), output_hidden_states=True).hidden_states
        assert torch.allclose(torch.stack([each.values for each in model.encode(seen)]), states[-2][:, 1:], atol=1e-6)
        batch = collate([[encoded(model, ask("a", "Is ", *images, " old?", reply="no"))]], pad_id=0)
        expected = model.network(**model.inputs(batch, pixels_of(model, batch.images))).logits
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)


def test_ids_and_mask_through_the_opened_model_are_those_of_its_own_code(model: Model) -> None:
    golden = (real_data("golden") / "mantis" / "chat_llama_3.jsonl").read_text().splitlines()[:12]
    for example, expected in zip(chats(), map(json.loads, golden), strict=False):
        ours = shortened(encoded(model, example))
        assert (ours.id, len(ours.slots)) == (expected["id"], expected["n_images"])
        assert list(ours.ids) == expected["input_ids"]
        assert spans(ours) == expected["trained"]


def test_every_check_of_such_a_folder_is_right_or_cannot_be_tried(folder: Path) -> None:
    found = {check.name: check for check in check_model(str(folder))}
    assert [check for check in found.values() if check.verdict == "wrong"] == []
    assert (found["weights"].verdict, found["template"].verdict) == ("ok", "ok")
    # Published with a processor that left the counting to its network.
    assert found["counts"].verdict == "not tried"


def shortened(encoded: Encoded) -> Encoded:
    """Return the conversation with one token an image, as Mantis' own code has it before its model is run."""
    inside = {place for slot in encoded.slots for place in range(slot.start + 1, slot.stop)}
    kept = [place for place in range(len(encoded.ids)) if place not in inside]
    ids, trained = (tuple(each[place] for place in kept) for each in (encoded.ids, encoded.trained))
    return Encoded(encoded.id, ids, trained, encoded.slots)  # type: ignore[arg-type]
