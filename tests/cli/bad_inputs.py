"""Every mistake we can think of, and the words that the sentence about it must have.

`python -m tests.cli.bad_input_table` prints the sentences as a table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration

from caa_nnsight.experiment import RunSettings
from caa_nnsight.runs import RunFolder
from caa_nnsight.vectors import SteeringVectors, VectorMeta
from tests.cli.places import lay_out, save_model, write_prompts
from tests.core.examples import made_up_free_pairs, made_up_pairs, write_pairs
from tests.parity.cases import random_vector
from tests.tiny_models import HIDDEN
from tests.tiny_tokenizers import tiny_tokenizer


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        what: what is wrong, as the table shows it.
        words: the command, in the folder that `lay_out_mistakes` makes.
        said: words that the sentence must have: the thing that is wrong, at least.
        usage: the command line's parser finds it, and shows the command's usage before.
    """

    what: str
    words: tuple[str, ...]
    said: tuple[str, ...]
    usage: bool = False


def _case(what: str, words: str | tuple[str, ...], *said: str, usage: bool = False) -> Case:
    return Case(what, tuple(words.split()) if isinstance(words, str) else words, said, usage)


RUN = "run refusal --pairs=pairs.jsonl --held-out-pairs=held_out.jsonl --model=model "
PAIRS = "run refusal --model=model --held-out=4 --pairs="
HELD_OUT = "run refusal --model=model --pairs=pairs.jsonl --held-out-pairs="
PROMPTS = RUN + "--open-ended-prompts="
MODEL = "run refusal --limit=8 --model="
EXTRACT = "extract refusal --limit=8 --model=model "
SCORE = "score good.safetensors refusal --model=model --held-out=4 "
SCORE_OTHER = " refusal --model=model --held-out=4"
STUDY = "experiment layer-sweep --model=model --limit=8 "
JUDGED = "experiment open-ended refusal --model=model --limit=8 --held-out=2 "
CAPABLE = "experiment capability refusal --model=model --limit=8 --held-out=2 "
GENERATE = "generate good.safetensors Hello --model=model "

FREE = "run ./free.py --model=model --held-out=2 --pairs="
FREE_LEAK = "run ./free.py --model=model --held-out-pairs=free_leak.jsonl"
SOURCED = "run ./sourced.py --model=model --source="

CASES = [
    # -- the command line
    _case("unknown command", "rnu refusal", "rnu", usage=True),
    _case("no behavior", "run", "'behavior'", usage=True),
    _case("unknown option", "run refusal --layer=3", "--layer", usage=True),
    _case("option without a value", "run refusal --seed", "--seed", usage=True),
    _case("a word for a number", "run refusal --limit=ten", "--limit", "integer", usage=True),
    _case("a fraction for a whole number", "run refusal --controls=2.5", "--controls", usage=True),
    _case("negative seed", "run refusal --seed=-1", "--seed", "0", usage=True),
    _case("seed beyond 32 bits", "run refusal --seed=99999999999", "--seed", usage=True),
    _case("generate without a layer", "generate good.safetensors Hi", "--layers", usage=True),
    _case(
        "generate without a prompt", "generate good.safetensors --layers=1", "prompt", usage=True
    ),
    # -- behaviors
    _case("unknown behavior, near one", "run refusual", "'refusual'", "Did you mean 'refusal'?"),
    _case("unknown behavior", "run weather", "'weather'", "refusal, ", "sycophancy"),
    _case("a known name in capitals", "behaviors show Refusal", "'Refusal'", "'refusal'"),
    _case("no such behavior file", "run ./mine.py", "mine.py"),
    _case("no such member of a file", "run ./two.py:Thre", "'Thre'", "one, two"),
    _case("two behaviors in one file", "run ./two.py", "2 behaviors (one, two)", "./two.py:one"),
    _case("a Python file without a behavior", "run ./nothing.py", "nothing.py", "no behavior"),
    _case("a Python file with a typing error", "run ./broken.py", "broken.py", "SyntaxError"),
    _case("a Python file that fails", "run ./fails.py", "fails.py", "ZeroDivisionError"),
    _case("a behavior without pairs", "run ./no_pairs.py", "no_pairs.py", "`pairs`"),
    _case("a behavior with a misspelled name", "run ./bad_name.py", "'my tea'"),
    _case("a behavior whose data file is missing", "run ./no_data.py", "absent.jsonl"),
    _case("an empty folder for a behavior", "run ./empty", "empty", "no behavior"),
    _case("a data file for a behavior", "run ./pairs.jsonl", "pairs.jsonl", "no behavior"),
    _case("check of an unknown behavior", "behaviors check wether", "'wether'"),
    # -- behaviors of other forms
    _case("a misspelled form", "run ./bad_form.py", "'freeform'", "'free_form'"),
    _case("a place that the form has not", "run ./bad_place.py", "`read_at`", "'mean' or 'last'"),
    _case("a missing system prompt", "run ./no_prompt.py", "`negative_system_prompt`"),
    _case("system prompts with nothing to score", "run ./asked.py", "asked", "`held_out`"),
    _case(
        "lettered pairs for free ones", FREE + "lettered.jsonl", "lettered.jsonl:2", '"positive"'
    ),
    _case("a free answer that is no text", FREE + "free_list.jsonl", "free_list.jsonl:2", "list"),
    _case("an empty free answer", FREE + "free_empty.jsonl", "free_empty.jsonl:2", "empty"),
    _case("the same free answer twice", FREE + "free_same.jsonl", "free_same.jsonl:2", "the same"),
    _case("free items that made the vector", FREE_LEAK, "Say 3:", "take them out"),
    # -- behaviors made from others
    _case("an unknown part", "run ./unknown_part.py", "'refusall'", "Did you mean 'refusal'?"),
    _case("a part's file that is missing", "run ./no_part.py", "absent.py"),
    _case("a part without a number", "run ./no_weight.py", "weight of refusal", "'much'"),
    _case("a part times 0", "run ./zero.py", "weight of refusal", "is 0"),
    _case("parts and pairs at once", "run ./both.py", "`pairs`", "`parts`"),
    _case("a behavior made from itself", "run ./itself.py", "'itself'", "itself → itself"),
    _case("parts that are scored differently", "run ./mixed.py", "'mixed'", "different forms"),
    # -- sources
    _case("unknown source", SOURCED + "teh", "'teh'", "Did you mean 'the'?"),
    _case("a behavior without sources", "run ./free.py --source=paper", "'paper'", "but its own"),
    _case("a source without its folder", SOURCED + "the", "'the'", "the=PATH", "a colleague"),
    _case("a source that ends at its sign", SOURCED + "the=", "'the='", "NAME=PATH"),
    _case("a source in no folder", SOURCED + "the=none", "none", "no folder"),
    _case("a source's folder without its file", SOURCED + "the=empty", "their.jsonl", "empty"),
    _case("a source's file with broken JSON", SOURCED + "cut=.", "broken.jsonl:3", "column"),
    _case("a source of other things", SOURCED + "other=.", "None of the 7 records"),
    _case("a source on the Hub without a commit", SOURCED + "hub", "nobody/none", "hub@HASH"),
    _case("a source at a branch", SOURCED + "hub@main", "'main'", "commit"),
    # -- pairs
    _case("no such file of pairs", PAIRS + "none.jsonl", "none.jsonl"),
    _case("empty file of pairs", PAIRS + "empty.jsonl", "empty.jsonl", "no records"),
    _case("a folder for pairs", PAIRS + "model", "model", "folder"),
    _case("broken JSON in the third line", PAIRS + "broken.jsonl", "broken.jsonl:3", "column"),
    _case("broken JSON array", PAIRS + "array.json", "array.json", "line 3"),
    _case("CSV instead of JSONL", PAIRS + "table.csv", "table.csv:1", "one JSON object"),
    _case("pairs in Latin-1", PAIRS + "latin.jsonl", "latin.jsonl", "UTF-8"),
    _case("a number for a pair", PAIRS + "number.jsonl", "number.jsonl:2", "int"),
    _case("missing key", PAIRS + "no_key.jsonl", "no_key.jsonl:2", "answer_matching_behavior"),
    _case("answer that is no text", PAIRS + "no_text.jsonl", "no_text.jsonl:2", "None"),
    _case("empty question", PAIRS + "no_question.jsonl", "no_question.jsonl:2", "empty"),
    _case("same answer twice", PAIRS + "same.jsonl", "same.jsonl:2", "(A)"),
    _case("letter not among the choices", PAIRS + "letter.jsonl", "letter.jsonl:2", "(C)"),
    _case("answer that is no letter", PAIRS + "yes.jsonl", "yes.jsonl:2", "'Yes'"),
    _case("three choices", PAIRS + "three.jsonl", "three.jsonl:2", "3 choices"),
    _case("a single choice", PAIRS + "single.jsonl", "single.jsonl:2", "single choice"),
    _case("no choices", PAIRS + "open.jsonl", "open.jsonl:2", "no lettered choices"),
    _case("two choices that say the same", PAIRS + "twins.jsonl", "twins.jsonl:2", "the same"),
    _case("contradicting answers", PAIRS + "contrary.jsonl", "contrary.jsonl:21", "opposite"),
    _case("too few pairs to hold some out", PAIRS + "few.jsonl", "4 different pairs"),
    _case("too few pairs to pick a layer", PAIRS + "ten.jsonl", "6 generation pairs", "8"),
    _case("all matching answers are (A)", PAIRS + "all_a.jsonl", "(A)", "both_orders"),
    _case("no such held-out file", HELD_OUT + "none.jsonl", "none.jsonl"),
    _case("a held-out question among the pairs", HELD_OUT + "leak.jsonl", "Held-out", "Question 3"),
    _case("more held-out items than there are", RUN + "--held-out=1000", "1000", "8"),
    _case("no such file of prompts", PROMPTS + "none.jsonl", "none.jsonl"),
    _case("an empty prompt in the file", PROMPTS + "empty_prompt.jsonl", "empty_prompt.jsonl:2"),
    # -- models
    _case("unknown model, near an alias", MODEL + "smollm2-135", "'smollm2-135'", "smollm2-135m"),
    _case("unknown model", MODEL + "my-model", "'my-model'", "alias"),
    _case("no model", MODEL, "No model was named"),
    _case("no such folder", MODEL + "./none", "none"),
    _case("a Hub id without the Hub", MODEL + "nobody/none-such", "Hub"),
    _case("a folder that is no model", MODEL + "empty", "empty", "config.json"),
    _case("a model without weights", MODEL + "no_weights", "no_weights", "weights"),
    _case("a model without a tokenizer", MODEL + "no_tokenizer", "no_tokenizer", "tokenizer"),
    _case("truncated weights", MODEL + "truncated", "truncated"),
    _case("weights of another size", MODEL + "other_weights", "other_weights", "sizes"),
    _case("a config that is no JSON", MODEL + "bad_config", "config.json", "JSON"),
    _case("a config without a family", MODEL + "no_family", "config.json", "model_type"),
    _case("an unknown architecture", MODEL + "zebra", "zebra", "transformers"),
    _case("an encoder", MODEL + "bert", "bert", "encoder"),
    _case("an encoder-decoder", MODEL + "t5", "t5", "encoder-decoder"),
    _case("an adapter", MODEL + "adapter", "adapter", "merge"),
    _case("a data file for a model", MODEL + "./pairs.jsonl", "pairs.jsonl", "GGUF"),
    _case("no such GGUF file", MODEL + "none.gguf", "none.gguf"),
    _case("a text named .gguf", MODEL + "text.gguf", "text.gguf", "not a GGUF file"),
    _case("a truncated GGUF file", MODEL + "truncated.gguf", "truncated.gguf", "damaged"),
    _case("one piece of a GGUF model", MODEL + "m-00001-of-00003.gguf", "of-00003", "merge"),
    _case("a revision of a folder", MODEL + "model --revision=main", "'main'", "model"),
    _case("no layers at this path", MODEL + "model --layers-path=h", "'h'"),
    _case("unknown device", MODEL + "model --device=tpu", "'tpu'", "cpu, cuda"),
    _case("a GPU that is not there", MODEL + "model --device=cuda:77", "cuda:77"),
    _case("a budget of no memory", MODEL + "model --memory-budget=0", "--memory-budget", "GiB"),
    _case("a budget that is no number", MODEL + "model --memory-budget=nan", "nan", "GiB"),
    _case("unknown number format", MODEL + "model --dtype=int4", "'int4'", "float32"),
    # -- layers and multipliers
    _case("a layer beyond the model", RUN + "--layers=2,99", "99", "0 to 3"),
    _case("a range that runs backwards", RUN + "--layers=3-1", "3-1", "backwards"),
    _case("layers that are no numbers", RUN + "--layers=middle", "'middle'", "10-16"),
    _case("a negative layer", RUN + "--layers=-1", "'-1'"),
    _case("no layers between commas", RUN + "--layers=1,,2", "'1,,2'"),
    _case("multipliers that are no numbers", RUN + "--multipliers=1,two", "'1,two'"),
    _case("multiplier not a number", RUN + "--multipliers=0,nan", "'0,nan'", "finite"),
    _case("infinite multiplier", RUN + "--multipliers=-inf,0", "'-inf,0'", "finite"),
    _case("only the multiplier 0", RUN + "--multipliers=0", "other than 0"),
    _case("no multipliers", (*RUN.split(), "--multipliers="), "''", "finite"),
    _case("multiplier that overflows", SCORE + "--multipliers=0,1e39", "1e+39", "overflow"),
    # -- other settings
    _case("limit too small", RUN + "--limit=3", "--limit", "3"),
    _case("too few held-out items", RUN + "--held-out=1", "--held-out", "1"),
    _case("validation share above 1", RUN + "--validation=1.5", "1.5", "0 and 1"),
    _case("validation share of all", RUN + "--validation=0.999", "0.999", "--validation"),
    _case("negative controls", RUN + "--controls=-1", "--controls", "-1"),
    _case("negative open-ended", RUN + "--open-ended=-1", "--open-ended", "-1"),
    _case("nothing to generate", RUN + "--max-new-tokens=0", "--max-new-tokens", "0"),
    _case("empty batches", RUN + "--batch-size=0", "--batch-size", "0"),
    _case("unknown method", RUN + "--method=median", "'median'", "mean_difference"),
    _case("unknown balance", RUN + "--balance=both", "'both'", "both_orders"),
    # -- where to write
    _case("a file in the way of the run", RUN + "--out=pairs.jsonl", "pairs.jsonl", "--out"),
    _case("a run below a file", RUN + "--out=pairs.jsonl/run", "pairs.jsonl/run", "--out"),
    _case("a run in a folder of other files", RUN + "--out=model", "model", "such as"),
    _case(
        "a run of other settings",
        RUN + "--seed=2 --out=other_run",
        "other_run",
        "seed 1 there, 2 asked for",
    ),
    _case("a run with a broken manifest", RUN + "--out=broken_run", "manifest.json", "delete"),
    _case("a run of a newer version", RUN + "--out=newer_run", "version 2", "upgrade"),
    _case("vectors into a missing folder", EXTRACT + "--out=a/b.safetensors", "a/b.safetensors"),
    _case("vectors over a folder", EXTRACT + "--out=model", "model", "folder"),
    _case("rows of an unknown format", SCORE + "--out=rows.xlsx", "rows.xlsx", ".parquet or .csv"),
    _case("rows into a missing folder", SCORE + "--out=a/rows.csv", "a/rows.csv"),
    _case("rows over a folder", SCORE + "--out=folder.csv", "folder.csv", "folder"),
    # -- vectors
    _case("no such vectors", "score none.safetensors" + SCORE_OTHER, "none.safetensors"),
    _case("a folder for vectors", "score model" + SCORE_OTHER, "model"),
    _case("vectors that are no safetensors", "score text.gguf" + SCORE_OTHER, "text.gguf"),
    _case("truncated vectors", "score cut.safetensors" + SCORE_OTHER, "cut.safetensors", "damaged"),
    _case("other people's tensors", "score foreign.safetensors" + SCORE_OTHER, "foreign", "'pt'"),
    _case("vectors of a newer version", "score newer.safetensors" + SCORE_OTHER, "version '2'"),
    _case("vectors of another model", "score wide.safetensors" + SCORE_OTHER, "48", str(HIDDEN)),
    _case("vectors beyond the model", "score deep.safetensors" + SCORE_OTHER, "layer 9", "0 to 3"),
    _case("layer without a vector", SCORE + "--layers=3", "layer 3", "1-2"),
    _case(
        "items that made the vector",
        "score seen.safetensors refusal --model=model --held-out-pairs=held_out.jsonl",
        "Question 40",
        "score others",
    ),
    _case("scoring without items", "score good.safetensors ./asked.py", "asked", "`held_out`"),
    _case("scoring with a lone multiplier nan", SCORE + "--multipliers=nan", "'nan'"),
    # -- prompts and generation
    _case("empty prompt", ("generate", "good.safetensors", " ", "--layers=1"), "prompt is empty"),
    _case(
        "prompt that is no Unicode",
        (*GENERATE.split(), "--layers=1", "--system-prompt=caf\udce9"),
        "half of a character",
    ),
    _case("negative temperature", GENERATE + "--layers=1 --temperature=-1", "temperature", "-1"),
    _case("temperature not a number", GENERATE + "--layers=1 --temperature=nan", "nan"),
    _case("nucleus of nothing", GENERATE + "--layers=1 --top-p=0", "top_p", "0"),
    _case("no new tokens", GENERATE + "--layers=1 --max-new-tokens=0", "max_new_tokens", "0"),
    # -- experiments
    _case("unknown experiment", "experiment layer-sweeps refusal", "'layer-sweep'?"),
    _case("experiment of no name", ("experiment", ",", "refusal"), "NAME,NAME"),
    _case("experiment on nothing", "experiment layer-sweep", "layer-sweep", "a behavior"),
    _case("experiment twice on one behavior", STUDY + "refusal refusal", "one name"),
    _case("experiment without a validation item", STUDY + "refusal --validation=0", "validation"),
    _case("no few-shot examples", STUDY + "refusal --examples=0", "--examples", "0"),
    _case("no capability items", STUDY + "refusal --capability-items=0", "--capability-items"),
    _case("judge of no kind", JUDGED + "--judge=wise", "wise", "openai:MODEL"),
    _case("capability file that is not there", CAPABLE + "--mmlu=none.json", "none.json"),
    _case(
        "texts that are not there",
        "experiment damage refusal --model=model --limit=8 --held-out=2 --texts=none.txt",
        "none.txt",
    ),
    _case("comparison of one run", "compare other_run", "other_run"),
    # -- reports
    _case("report of nothing", "report none", "none"),
    _case("report of a file", "report pairs.jsonl", "pairs.jsonl"),
    _case("report of a folder that is no run", "report model", "model", "manifest.json"),
    _case("report of an unfinished run", "report other_run", "other_run", "caa run"),
    _case("report of a run without results", "report hollow_run", "hollow_run/results.parquet"),
    _case("report of a run of other code", "report newer_run", "version 2", "upgrade"),
]


def lay_out_mistakes(folder: Path) -> Path:
    """Make every file that the commands of `CASES` name."""
    lay_out(folder)
    _lay_out_behaviors(folder)
    _lay_out_forms(folder)
    _lay_out_pairs(folder)
    _lay_out_models(folder)
    _lay_out_vectors(folder)
    _lay_out_runs(folder)
    return folder


_TEXTS = 'description = "d"\n    polarity = "p"\n'
_BEHAVIOR = (
    "from caa_nnsight import Behavior\n\n\nclass {title}(Behavior):\n    name = '{name}'\n    "
    + _TEXTS
)


def _lay_out_behaviors(folder: Path) -> None:
    tea = _BEHAVIOR.format(title="Tea", name="tea")
    one, two = (
        _BEHAVIOR.format(title=name.title(), name=name) + "    pairs = 'pairs.jsonl'\n\n\n"
        for name in ("one", "two")
    )
    files = {
        "two.py": one + two,
        "nothing.py": "x = 1\n",
        "broken.py": "class Tea(:\n",
        "fails.py": "1 / 0\n",
        "no_pairs.py": tea,
        "bad_name.py": _BEHAVIOR.format(title="Tea", name="my tea") + "    pairs = []\n",
        "no_data.py": tea + "    pairs = 'absent.jsonl'\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "empty").mkdir()


def _lay_out_forms(folder: Path) -> None:
    """Behaviors of every form, each wrong in one way."""
    asked = "form = 'system_prompts'\n    pairs = [*'abcdefgh']\n    positive_system_prompt = 'a'"
    bodies = {
        "bad_form": "form = 'freeform'\n    pairs = 'pairs.jsonl'",
        "bad_place": "form = 'free_form'\n    read_at = 'answer'\n    pairs = 'free.jsonl'",
        "no_prompt": asked,
        "asked": f"{asked}\n    negative_system_prompt = 'b'",
        "free": "form = 'free_form'\n    pairs = 'free.jsonl'",
        "free_tests": "form = 'free_form'\n    pairs = held_out = 'free.jsonl'",
        "unknown_part": "parts = {'refusall': 1.0}",
        "no_part": "parts = {'./absent.py': 1.0}",
        "no_weight": "parts = {'refusal': 'much'}",
        "zero": "parts = {'refusal': 0}",
        "both": "parts = {'refusal': 1.0}\n    pairs = 'pairs.jsonl'",
        "itself": "parts = {'./itself.py': 1.0}",
        "mixed": "parts = {'refusal': 1.0, './free_tests.py': 1.0}",
        "sourced": "pairs = 'pairs.jsonl'\n    sources = {\n"
        "        'the': DataSource(pairs='their.jsonl', about='a colleague has them'),\n"
        "        'cut': DataSource(pairs='broken.jsonl'),\n"
        "        'other': DataSource(pairs='prompts.jsonl'),\n"
        "        'hub': DataSource(pairs='their.jsonl', repo='nobody/none'),\n    }",
    }
    for name, body in bodies.items():
        head = _BEHAVIOR.format(title=name.title().replace("_", ""), name=name)
        head = head.replace("import Behavior", "import Behavior, DataSource")
        (folder / f"{name}.py").write_text(f"{head}    {body}\n", encoding="utf-8")

    def spoiled(name: str, **changes: object) -> None:
        records = [pair.to_record() for pair in made_up_free_pairs(20)]
        records[1] |= changes
        _write_lines(folder / name, [json.dumps(record) for record in records])

    spoiled("free.jsonl")
    mixed = [pair.to_record() for pair in (*made_up_free_pairs(1), *made_up_pairs(1))]
    _write_lines(folder / "lettered.jsonl", map(json.dumps, mixed))
    spoiled("free_list.jsonl", positive=["Yes"])
    spoiled("free_empty.jsonl", negative=" ")
    spoiled("free_same.jsonl", positive="Yes", negative=" Yes ")
    write_pairs(folder / "free_leak.jsonl", made_up_free_pairs(4, first=3))


def _lay_out_pairs(folder: Path) -> None:
    def spoiled(name: str, **changes: object) -> None:
        """Twenty pairs of which the second is changed; a None takes the key away."""
        records: list[dict] = [pair.to_record() for pair in made_up_pairs(20)]
        records[1] = {k: v for k, v in (records[1] | changes).items() if v is not ...}
        _write_lines(folder / name, [json.dumps(record) for record in records])

    stem, matching = "Tea?\n\nChoices:\n", "answer_matching_behavior"
    spoiled("no_key.jsonl", **{matching: ...})
    spoiled("no_text.jsonl", **{matching: None})
    spoiled("no_question.jsonl", question=" ")
    spoiled("same.jsonl", **{matching: "(A)"})
    spoiled("letter.jsonl", **{matching: " (C)"})
    spoiled("yes.jsonl", **{matching: "Yes"})
    spoiled("three.jsonl", question=stem + " (A) Yes\n (B) No\n (C) Both")
    spoiled("single.jsonl", question=stem + " (A) Yes")
    spoiled("open.jsonl", question="Tea?")
    spoiled("twins.jsonl", question=stem + " (A) Yes\n (B) yes")

    lines = [json.dumps(pair.to_record()) for pair in made_up_pairs(20)]
    _write_lines(folder / "broken.jsonl", [*lines[:2], lines[2][:40], *lines[3:]])
    _write_lines(folder / "number.jsonl", [lines[0], "17", *lines[2:]])
    _write_lines(folder / "array.json", ["[", lines[0], lines[1], "]"])
    _write_lines(folder / "table.csv", ["question,positive,negative", "Tea?,Yes,No"])
    (folder / "latin.jsonl").write_bytes("\n".join(lines).replace("tea", "thé").encode("latin-1"))
    (folder / "empty.jsonl").touch()
    contrary = made_up_pairs(1)[0]
    turned = type(contrary)(contrary.question, contrary.negative, contrary.positive)
    write_pairs(folder / "contrary.jsonl", [*made_up_pairs(20), turned])
    write_pairs(folder / "few.jsonl", made_up_pairs(4))
    write_pairs(folder / "ten.jsonl", made_up_pairs(10))
    write_pairs(folder / "all_a.jsonl", made_up_pairs(60)[::2])
    write_pairs(folder / "leak.jsonl", made_up_pairs(4, first=3))
    write_prompts(folder / "empty_prompt.jsonl", ["Fine?", " "])


def _lay_out_models(folder: Path) -> None:
    config = json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))

    def spoiled(name: str, without: str = "", **files: str) -> Path:
        """The tiny model again, with some of its files left out and others rewritten."""
        target = save_model(folder / name)
        for path in target.glob(without) if without else ():
            path.unlink()
        for file, text in files.items():
            (target / file.replace("_json", ".json")).write_text(text, encoding="utf-8")
        return target

    spoiled("no_weights", without="*.safetensors")
    spoiled("no_tokenizer", without="tokenizer*")
    weights = spoiled("truncated") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    spoiled("other_weights", config_json=json.dumps(config | {"intermediate_size": 64}))
    spoiled("bad_config", config_json="{model")
    spoiled("no_family", config_json="{}")
    spoiled("zebra", config_json=json.dumps(config | {"model_type": "zebra"}))
    small = {"vocab_size": 512, "num_attention_heads": 2, "num_heads": 2}
    encoder = BertConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, **small)
    BertForMaskedLM(encoder).save_pretrained(folder / "bert")
    both = T5Config(d_model=16, d_ff=16, d_kv=8, num_layers=1, **small)
    T5ForConditionalGeneration(both).save_pretrained(folder / "t5")
    for name in ("bert", "t5"):
        tiny_tokenizer("joined").save_pretrained(folder / name)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}", encoding="utf-8")
    (folder / "text.gguf").write_text("no model", encoding="utf-8")
    header = b"GGUF" + (3).to_bytes(4, "little") + (2).to_bytes(8, "little") + b"\x05"
    for name in ("truncated.gguf", "m-00001-of-00003.gguf"):
        (folder / name).write_bytes(header)


def _lay_out_vectors(folder: Path) -> None:
    def vectors(layers, hidden: int = HIDDEN, **meta) -> SteeringVectors:
        made = {layer: random_vector(layer).repeat(2)[:hidden] for layer in layers}
        return SteeringVectors(made, VectorMeta(behavior="refusal", model="another", **meta))

    good = vectors((1, 2)).save(folder / "good.safetensors")
    vectors((1, 2), hidden=48).save(folder / "wide.safetensors")
    vectors((1, 9)).save(folder / "deep.safetensors")
    seen = " ".join(pair.id for pair in made_up_pairs(2, first=40))
    vectors((1, 2), pair_ids=seen).save(folder / "seen.safetensors")
    (folder / "cut.safetensors").write_bytes(good.read_bytes()[:-50])
    tensors = {"weight": random_vector(0)}
    save_file(tensors, folder / "foreign.safetensors", {"format": "pt"})
    ours = {"format": "caa_nnsight.steering_vectors", "schema_version": "2"}
    save_file(tensors, folder / "newer.safetensors", ours)
    (folder / "folder.csv").mkdir()


def _lay_out_runs(folder: Path) -> None:
    settings = RunSettings(
        behavior="refusal",
        pairs="pairs.jsonl",
        held_out_pairs="held_out.jsonl",
        model="model",
        seed=1,
    )
    parts = {"settings": asdict(settings), "model": {}, "behavior": {"name": "refusal"}}

    def run(name: str) -> RunFolder:
        return RunFolder(folder / name, parts, "caa run refusal")

    run("other_run")
    run("newer_run").update(schema_version="2")
    (run("broken_run").path / "manifest.json").write_text("{", encoding="utf-8")
    hollow = run("hollow_run")
    hollow.update(picked_layer=1, split={})
    hollow.finish()


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
