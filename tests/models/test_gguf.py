"""GGUF files load as the model and tokenizer they were made from, and are unpacked once."""

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file

from caa_nnsight.errors import ModelError
from caa_nnsight.models import gguf as unpacking
from caa_nnsight.models import load
from caa_nnsight.models.packages import sha256_of
from tests.models.gguf_files import tiny_gguf

ON_CPU = {"device": "cpu", "dtype": "float32"}
TEXTS = ("Would you (A) agree\n\n to it?", "<turn>user\nhi<end>", "naïve 12")


@pytest.fixture
def conversions(monkeypatch):
    """The files that were converted, as they are."""
    seen = []
    convert = unpacking.convert

    def counted(path, *args, **options):
        seen.append(path.name)
        convert(path, *args, **options)

    monkeypatch.setattr(unpacking, "convert", counted)
    return seen


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_a_gguf_file_gives_the_same_logits_and_tokens(tmp_path, cache, tied):
    module, tokenizer = tiny_gguf(tmp_path / "tiny.gguf", tied=tied)
    model = load(tmp_path / "tiny.gguf", **ON_CPU)
    ids = torch.tensor([[5, 6, 7, 300]])
    torch.testing.assert_close(model.module(ids).logits, module(ids).logits)
    for text in TEXTS:
        assert model.tokenizer(text).input_ids == tokenizer(text).input_ids
    assert model.tokenizer.chat_template == tokenizer.chat_template
    assert model.tokenizer.eos_token == tokenizer.eos_token
    assert model.module.generation_config.eos_token_id == tokenizer.eos_token_id
    assert (model.module.lm_head.weight is model.module.model.embed_tokens.weight) == tied
    kept = load_file(next(cache.glob("models/*/model.safetensors")))
    assert ("lm_head.weight" in kept) != tied
    assert {weight.dtype for weight in kept.values()} == {torch.float32}


def test_the_source_and_digest_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path)
    model = load(path, **ON_CPU)
    assert model.source == "gguf:~/tiny.gguf"
    assert model.describe()["sha256"] == sha256_of(path)


def test_the_same_file_is_converted_once_under_any_name_of_folder(tmp_path, cache, conversions):
    tiny_gguf(tmp_path / "tiny.gguf")
    load(tmp_path / "tiny.gguf", **ON_CPU)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "tiny.gguf").rename(tmp_path / "elsewhere" / "tiny.gguf")
    load(moved, **ON_CPU)
    assert conversions == ["tiny.gguf"]


def test_another_file_of_the_same_name_is_converted_afresh(tmp_path, conversions):
    tiny_gguf(tmp_path / "tiny.gguf")
    load(tmp_path / "tiny.gguf", **ON_CPU)
    tiny_gguf(tmp_path / "tiny.gguf", tied=True)
    assert load(tmp_path / "tiny.gguf", **ON_CPU).module.config.tie_word_embeddings
    assert len(conversions) == 2


def test_cache_dir_takes_precedence_over_the_environment(tmp_path, cache):
    tiny_gguf(tmp_path / "tiny.gguf")
    load(tmp_path / "tiny.gguf", cache_dir=tmp_path / "mine", **ON_CPU)
    assert list((tmp_path / "mine" / "models").iterdir())
    assert not cache.exists()


def test_what_a_killed_conversion_left_is_cleared_and_never_used(tmp_path, cache):
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path)
    left = cache / "models" / f".making-gguf-tiny-{sha256_of(path)[:12]}-abc"
    left.mkdir(parents=True)
    (left / "config.json").write_text("{}")
    load(path, **ON_CPU)
    assert not left.exists()


def test_a_conversion_that_fails_leaves_nothing(tmp_path, cache, monkeypatch):
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path)

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(path, **ON_CPU)
    assert list((cache / "models").iterdir()) == []
    load(path, **ON_CPU)


def test_a_damaged_copy_in_the_cache_is_made_again(tmp_path, cache, conversions):
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path)
    load(path, **ON_CPU)
    weights = next(cache.glob("models/*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    load(path, **ON_CPU)
    assert len(conversions) == 2


def test_two_at_once_convert_once(tmp_path, conversions):
    tiny_gguf(tmp_path / "tiny.gguf")
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda _: load(tmp_path / "tiny.gguf", **ON_CPU), range(2)))
    assert len(models) == 2
    assert conversions == ["tiny.gguf"]


def test_the_header_is_read_once_and_the_reader_put_back(tmp_path, monkeypatch):
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path)
    opened = []

    class CountedReader(gguf.GGUFReader):
        def __init__(self, *args, **options):
            opened.append(args)
            super().__init__(*args, **options)

    monkeypatch.setattr(gguf, "GGUFReader", CountedReader)
    load(path, **ON_CPU)
    assert len(opened) == 1
    assert gguf.GGUFReader is CountedReader


def test_one_line_tells_that_a_file_is_unpacked(tmp_path, capfd):
    tiny_gguf(tmp_path / "tiny.gguf")
    capfd.readouterr()
    load(tmp_path / "tiny.gguf", **ON_CPU)
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err == "Unpacking tiny.gguf (once; up to a minute or two)\n"


def _not_gguf(path: Path) -> None:
    path.write_text("<html>404</html>")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut_in_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _cut_in_the_tensors(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _garbage_after_the_magic(path: Path) -> None:
    path.write_bytes(b"GGUF" + bytes(range(256)) * 4)


def _without_a_tensor(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))


def _unknown_architecture(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llamba")
    writer.add_name("tiny llamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


NOT_GGUF = (
    "{path} is not a GGUF file (it does not begin with the letters GGUF): pass one, or a folder "
    "that holds a config.json."
)
DAMAGED = "The GGUF file {path} can't be read ("


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_not_gguf, NOT_GGUF),
        (_empty, NOT_GGUF),
        (_cut_in_the_header, DAMAGED),
        (_cut_in_the_tensors, DAMAGED),
        (_garbage_after_the_magic, DAMAGED),
        (
            _without_a_tensor,
            "The weights in {path} lack 1 of the model's tensors, such as "
            "model.layers.1.mlp.up_proj.weight: they are incomplete, or were saved without the "
            "language-model head.",
        ),
        (
            _unknown_architecture,
            "The GGUF file {path} can't be used: GGUF model with architecture llamba is not "
            "supported yet.",
        ),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence_and_leaves_nothing(
    tmp_path, cache, spoil, message
):
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path)
    spoil(path)
    with pytest.raises(ModelError) as caught:
        load(path, **ON_CPU)
    text = str(caught.value)
    assert text.startswith(message.format(path=path))
    assert text.endswith(".")
    assert "\n" not in text
    assert not list(cache.glob("models/*"))


def test_one_piece_of_a_split_model_is_refused(tmp_path):
    path = tmp_path / "big-00001-of-00003.gguf"
    tiny_gguf(path)
    with pytest.raises(ModelError) as caught:
        load(path, **ON_CPU)
    assert str(caught.value) == (
        f"{path} is one piece of a GGUF model in several files: join them first with llama.cpp's "
        "gguf-split --merge."
    )


def test_a_file_that_is_no_model_at_all_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(ModelError) as caught:
        load(path, **ON_CPU)
    assert str(caught.value) == NOT_GGUF.format(path=path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")

    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ModelError) as caught:
        load(path, **ON_CPU)
    assert str(caught.value) == f"The file {path} can't be read (Permission denied)."


def test_the_record_says_what_made_the_copy(tmp_path, cache):
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path)
    load(path, **ON_CPU)
    record = json.loads(next(cache.glob("models/*/caa_model.json")).read_text())
    assert record["sha256"] == sha256_of(path)
    assert record["source"] == f"gguf:{path}"
    assert "model.safetensors" in record["files"]
