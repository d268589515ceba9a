"""LLaVA-OneVision: one picture, several and the frames of a video, each as transformers has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from tests.models.test_llava_next import SIZES, draw
from triptych.core.errors import ModelError
from triptych.core.records import Example, ImageRef, VideoRef
from triptych.data.batch import collate
from triptych.data.media.images import Size, load_image, measure
from triptych.data.media.video import frame_refs
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine
from triptych.infer.local import LocalResponder
from triptych.infer.responder import Failed
from triptych.models.disk.check import own_processor
from triptych.models.families.llava_onevision import LlavaOnevisionModel, tiny
from triptych.models.family import Seen, open_model
from triptych.models.vision.features import FeatureStore

MARKS = ("<image>", "<video>")


@pytest.fixture(scope="module", params=[{}, {"most": 2}, {"patch_px": 5}], ids=["anyres", "brought_down", "odd_side"])
def model(request: pytest.FixtureRequest) -> LlavaOnevisionModel:
    return tiny(3, **request.param)


@pytest.mark.parametrize("size", SIZES)
def test_one_picture_has_the_tokens_of_transformers_in_number_and_order(model: LlavaOnevisionModel, size: Size) -> None:
    picture = model.pixels(draw(size))
    with torch.no_grad():
        (own,) = model.project(model.encode([picture]))
        theirs = model.network.model.get_image_features(  # type: ignore[union-attr]
            picture.values[None, 1:], torch.tensor([[size[1], size[0]]]), batch_num_images=torch.tensor([1])
        ).pooler_output
    assert own.shape == theirs[0].shape == (model.cost.tokens(size), 48)
    assert torch.allclose(own, theirs[0], atol=1e-5)


def test_several_pictures_are_a_view_and_a_new_line_each(model: LlavaOnevisionModel) -> None:
    pictures = [draw(size) for size in SIZES]
    seen = [model.pixels(picture) for picture in pictures]
    cost = model.cost.among(len(SIZES))
    made = model.processor([pictures], return_tensors="pt")  # type: ignore[arg-type]
    with torch.no_grad():
        own = model.project(model.encode(seen), [cost.tokens(size) for size in SIZES])
        theirs = model.network.model.get_image_features(  # type: ignore[union-attr]
            made["pixel_values"], made["image_sizes"], batch_num_images=torch.tensor([len(SIZES)])
        ).pooler_output
    assert {len(tokens) for tokens in own} == {model.cost.tile_patches**2 + 1}
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(own, theirs, strict=True))


def test_frames_of_a_video_are_pooled_and_end_with_one_new_line(model: LlavaOnevisionModel) -> None:
    frames = [draw((48, 30), seed=seed) for seed in range(3)]
    seen = [model.pixels(frame) for frame in frames]
    each = model.cost.framed(last=False).tokens((1, 1))
    assert each == ((model.cost.tile_patches + 1) // 2) ** 2
    with torch.no_grad():
        own = model.project(model.encode(seen), [each, each, each + 1])
        # The published preparation of a frame: squeezed to a tile.
        tiles_NCHW = torch.stack([picture.values[1] for picture in seen])
        theirs = model.network.model.get_video_features(tiles_NCHW[None]).pooler_output[0]  # type: ignore[union-attr]
    assert torch.allclose(torch.cat(own), theirs, atol=1e-5)


def test_what_there_is_room_for_is_all_that_needs_to_be_seen(model: LlavaOnevisionModel) -> None:
    picture = draw((64, 48))
    everything = model.encode([model.pixels(picture)])
    alone, among, frame = model.cost.tokens((64, 48)), model.cost.among(2).tokens((64, 48)), model.cost.frame or 0
    for room, views in ((alone, len(everything[0].values) - 1), (among, 1), (frame, 1), (frame + 1, 1)):
        seen = model.pixels(picture, room)
        assert len(seen.values) == views
        with torch.no_grad():
            (fewer,), (all_of_it,) = (model.project(each, [room]) for each in (model.encode([seen]), everything))
        assert len(fewer) == room
        assert torch.allclose(fewer, all_of_it, atol=1e-5)


def test_a_slot_of_another_size_is_refused(model: LlavaOnevisionModel) -> None:
    features = model.encode([model.pixels(draw((64, 48)))])
    with pytest.raises(
        ModelError, match=r"a picture of 64x48 pixels is .* tokens alone, .* as a frame; its slot has 7\."
    ):
        model.project(features, [7])
    view = model.encode([model.pixels(draw((64, 48)), model.cost.among(2).tokens((64, 48)))])
    with pytest.raises(ModelError, match="its slot has"):
        model.project(view, [model.cost.tokens((64, 48))])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_saved_processor_makes_the_ids_and_pixels_that_we_make(
    model: LlavaOnevisionModel, count: int, tmp_path: Path
) -> None:
    """Without videos: transformers makes the processor for them only where torchvision is."""
    model.save(tmp_path / "saved")
    images = draw_pictures(tmp_path / "pictures", count)
    question = ask("a", "Is ", *images, " old ?", reply="no")
    question = replace(question, turns=question.turns[:1])
    own = encoded(model, question, open_reply=True)
    processor = own_processor(tmp_path / "saved")
    content = [{"type": "text", "text": "Is "}, *[{"type": "image"}] * count, {"type": "text", "text": " old ?"}]
    messages = [{"role": "user", "content": content}]
    prompt = model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    pictures = [Image.open(image.source) for image in images]
    made = processor(text=prompt, images=[pictures], return_tensors="pt")  # type: ignore[arg-type, list-item]
    inputs = model.inputs(collate([[own]], pad_id=0), [model.pixels(picture) for picture in pictures])
    assert made["input_ids"].tolist() == inputs["input_ids"].tolist()
    assert made["pixel_values"].shape == inputs["pixel_values"].shape
    assert torch.equal(made["pixel_values"], inputs["pixel_values"])
    assert torch.equal(made["image_sizes"], inputs["image_sizes"])


def film(folder: Path, frames: int = 3, *, seed: int = 0) -> tuple[ImageRef, ...]:
    """Write a video as a folder of frames and return references to all of them, measured."""
    folder.mkdir(parents=True)
    for number in range(frames):
        draw((48, 30), seed=10 * seed + number).save(folder / f"frame_{number}.png")
    return tuple(map(measure, frame_refs(VideoRef(str(folder)), range(frames))))


def film_talks(folder: Path) -> dict[str, Example]:
    """Return conversations with videos; no word stands right behind one, where some tokenizers write a space."""
    one, other = film(folder / "one"), film(folder / "other", seed=1)
    first, second = draw_pictures(folder / "pictures", 2)
    return {
        "a video": ask("a", "Is ", *one, " old ?", reply="no"),
        "two videos": ask("b", "Is ", *one, " or ", *other, " old ?", reply="no"),
        "two videos side by side": ask("c", *one, *other, " Old ?", reply="no"),
        "a picture beside a video": ask("d", "Is ", first, " in ", *one, " ?", reply="yes"),
        "pictures around a video": ask("e", "Is ", first, " in ", *one, " or ", second, " ?", reply="no"),
        "a single frame": ask("f", "Is ", *one[:1], " old ?", reply="no"),
        "a still and its own video": ask("g", replace(one[1], video=""), " in ", *one, " ?", reply="yes"),
    }


TALKS = (
    "a video",
    "two videos",
    "two videos side by side",
    "a picture beside a video",
    "pictures around a video",
    "a single frame",
    "a still and its own video",
)


def published_ids(model: LlavaOnevisionModel, question: Example, folder: Path) -> list[int]:
    """Return the ids that transformers' own processor writes, its videos' tokens and images' tokens as it has them."""
    processor: Any = own_processor(folder)
    shown: list[list[ImageRef]] = []
    content: list[dict[str, str]] = []
    for part in question.turns[0].parts:
        if not isinstance(part, ImageRef):
            content.append({"type": "text", "text": part.text})  # type: ignore[union-attr]
        elif part.video and shown and shown[-1][-1].video == part.video:
            shown[-1].append(part)
        else:
            shown.append([part])
            content.append({"type": "image"})
    messages = [{"role": "user", "content": content}]
    text = str(model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
    pieces = text.split(MARKS[0])
    stills = [each[0] for each in shown if not each[0].video]
    pictures = (
        processor.image_processor([[load_image(image) for image in stills]], return_tensors="pt") if stills else {}
    )
    films = {"pixel_values_videos": [torch.zeros(len(each), 3, 16, 16) for each in shown if each[0].video]}
    images = videos = 0
    said = pieces[0]
    for each, after in zip(shown, pieces[1:], strict=True):
        if each[0].video:
            said += processor.replace_video_token(films, videos)
            videos += 1
        else:
            said += processor.replace_image_token(pictures, images)
            images += 1
        said += after
    return list(model.tokenizer(said, add_special_tokens=False)["input_ids"])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TALKS)
def test_a_conversation_with_videos_has_the_ids_and_logits_of_transformers(
    model: LlavaOnevisionModel, name: str, tmp_path: Path
) -> None:
    talk = film_talks(tmp_path)[name]
    question = replace(talk, turns=talk.turns[:1])
    own = collate([[encoded(model, question, open_reply=True)]], pad_id=0)
    inputs = model.inputs(own, pixels_of(model, own.images))
    model.save(tmp_path / "saved")
    assert inputs["input_ids"][0].tolist() == published_ids(model, question, tmp_path / "saved")
    with torch.no_grad():
        expected = model.network(**inputs).logits
        assert torch.allclose(logits_of(model, own), expected, atol=1e-4)
        features = model.encode(
            [model.pixels_in(load_image(image), span) for image, span in zip(own.images, own.spans, strict=True)]
        )
        fewer = model.head(model.hidden(model.weave(own, features)))
    assert torch.allclose(fewer, expected, atol=1e-4)


def test_videos_in_a_pack_have_the_logits_they_have_alone(model: LlavaOnevisionModel, tmp_path: Path) -> None:
    talks = list(film_talks(tmp_path).values())
    rows = [encoded(model, talk) for talk in talks]
    with torch.no_grad():
        packed = logits_of(model, collate([rows], pad_id=0))[0]
        alone = [logits_of(model, collate([[row]], pad_id=0))[0] for row in rows]
    assert torch.allclose(packed, torch.cat(alone), atol=1e-4)


def test_a_reply_to_a_video_is_what_transformers_generates(model: LlavaOnevisionModel, tmp_path: Path) -> None:
    talk = film_talks(tmp_path)["pictures around a video"]
    question = replace(talk, turns=talk.turns[:1])
    own = collate([[encoded(model, question, open_reply=True)]], pad_id=0)
    inputs = model.inputs(own, pixels_of(model, own.images))
    words = model.network.generate(**inputs, max_new_tokens=6, do_sample=False)  # type: ignore[operator]
    expected = words[0, own.ids_BT.shape[1] :].tolist()
    (answer,) = LocalResponder(model, features=FeatureStore(model), name="tiny").answer([question], max_tokens=6)
    assert not isinstance(answer, Failed)
    assert (answer.tokens_in, answer.tokens_out) == (own.ids_BT.shape[1], len(expected))
    assert answer.text == model.tokenizer.decode(expected, skip_special_tokens=True)
    with Engine(model, features=FeatureStore(model)) as engine:
        assert engine.submit(question, Sampling(max_tokens=6)).join() == answer.text


def test_an_engine_encodes_what_a_slot_shows_and_no_tiles_beyond_it(
    model: LlavaOnevisionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    encode = LlavaOnevisionModel.encode

    def counted(self: LlavaOnevisionModel, pictures: Sequence[Seen]) -> list[Seen]:
        shown.extend(len(picture.values) for picture in pictures)
        return encode(self, pictures)

    monkeypatch.setattr(LlavaOnevisionModel, "encode", counted)
    talk = film_talks(tmp_path)["pictures around a video"]
    with Engine(model, features=FeatureStore(model)) as engine:
        engine.submit(replace(talk, turns=talk.turns[:1]), Sampling(max_tokens=2)).join()
    assert shown == [1] * 5


def test_videos_of_differing_lengths_are_more_than_the_network_of_transformers_takes(tmp_path: Path) -> None:
    model, one, other = tiny(0), film(tmp_path / "one"), film(tmp_path / "other", 2, seed=1)
    row = encoded(model, ask("a", *one, " or ", *other, " ?", reply="no"))
    own = collate([[row]], pad_id=0)
    assert [slot.stop - slot.start for slot in row.slots] == [4, 4, 5, 4, 5]
    with pytest.raises(ModelError, match="videos of 3, 2 frames"):
        model.inputs(own, pixels_of(model, own.images))
    assert logits_of(model, own).isfinite().all()


def test_a_model_that_shows_frames_whole_sees_pictures(tmp_path: Path) -> None:
    """LLaVA-NeXT-Interleave."""
    model, frames = tiny(0, frames="whole"), film(tmp_path / "one")
    model.save(tmp_path / "saved")
    model = open_model(tmp_path / "saved")  # type: ignore[assignment]
    stills = [replace(frame, video="") for frame in frames]
    assert model.cost.frame is None
    as_video, as_images = (encoded(model, ask("a", "Is ", *shown, " old?", reply="no")) for shown in (frames, stills))
    assert as_video.ids == as_images.ids
    assert {slot.stop - slot.start for slot in as_video.slots} == {model.cost.among_others}
    assert [len(encoded(model, ask("a", frame, reply="no")).slots) for frame in frames] == [1, 1, 1]


def tower_views(model: LlavaOnevisionModel, talks: Sequence[Example], store: FeatureStore) -> int:
    """Return how many views the tower sees for conversations."""
    batch = collate([[encoded(model, talk) for talk in talks]], pad_id=0)
    views: list[int] = []
    hook = model.parts()["vision"].register_forward_hook(
        lambda _, given, __: views.append(len(given[0])), with_kwargs=False
    )
    try:
        model.weave(batch, store.features(batch.images, spans=batch.spans))
    finally:
        hook.remove()
    return sum(views)


@pytest.mark.parametrize("on_disk", [False, True], ids=["in memory", "on disk"])
def test_the_tower_sees_only_the_views_that_a_conversation_shows(on_disk: bool, tmp_path: Path) -> None:
    model, talks = tiny(0), film_talks(tmp_path)
    model.network.requires_grad_(False)
    first, second = draw_pictures(tmp_path / "pictures", 2)
    store = FeatureStore(model, tmp_path / "kept" if on_disk else None)
    alone = ask("alone", "Is ", first, " old?", reply="no")
    assert tower_views(model, [ask("a", first, " or ", second, " ?", reply="no")], store) == 2
    assert tower_views(model, [ask("b", second, " or ", first, " ?", reply="no")], store) == 0
    tiles = len(model.pixels(load_image(first)).values) - 1
    assert tiles > 2
    assert tower_views(model, [alone], store) == tiles
    assert tower_views(model, [talks["a video"]], store) == 3
    assert tower_views(model, [talks["a video"], talks["two videos"], alone], store) == 3
    assert tower_views(model, [talks["a still and its own video"]], store) > 3, "a frame as a picture alone has tiles"
    if on_disk:
        assert tower_views(model, list(talks.values()), FeatureStore(model, tmp_path / "kept")) == 0
