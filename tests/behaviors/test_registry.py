"""Where behaviors come from: plugins, the decorator, local files; and what breaks politely."""

import warnings

import pytest

from caa_nnsight import registry
from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import BehaviorError
from caa_nnsight.registry import (
    behavior_names,
    behavior_origin,
    get_behavior,
    installed_behaviors,
    list_behaviors,
    load_behaviors,
    register,
)

PAIRS = [
    {"question": "Tea or coffee?", "positive": "Tea", "negative": "Coffee"},
    {"question": "What to drink?", "positive": "Some tea", "negative": "Some coffee"},
]
SHIPPED = {"hallucination", "refusal", "sycophancy"}


def source(class_name="Mine", name="mine", extra=""):
    return (
        "from caa_nnsight import Behavior\n"
        f"class {class_name}(Behavior):\n"
        f"    name = {name!r}\n"
        "    description = 'd'\n"
        "    polarity = 'p'\n"
        f"    pairs = {PAIRS!r}\n"
        f"{extra}\n"
    )


@pytest.fixture(autouse=True)
def no_registered_classes(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the path, as pip would: a module, its metadata, its entry points."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def add(dist, entries, module="", code=""):
        info = site / f"{dist.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.5\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[caa_nnsight.behaviors]", *lines]))
        if module:
            (site / f"{module}.py").write_text(code)

    return add


def test_the_shipped_behaviors_are_plugins_like_others():
    assert set(behavior_names()) >= SHIPPED
    assert get_behavior("refusal").name == "refusal"
    assert behavior_origin("refusal").startswith("caa_nnsight ")
    assert behavior_origin("refusal").endswith("(caa_nnsight.behaviors.refusal:Refusal)")


def test_good_plugin_is_found_and_imported_only_when_asked_for(install, tmp_path):
    mark = tmp_path / "imported"
    install(
        "tea-plugin",
        {"tea": "tea_plugin:Tea"},
        "tea_plugin",
        source("Tea", "tea") + f"open({str(mark)!r}, 'w').close()\n",
    )
    assert "tea" in behavior_names()
    assert behavior_origin("tea") == "tea-plugin 1.5 (tea_plugin:Tea)"
    get_behavior("refusal")
    assert not mark.exists()
    assert len(get_behavior("tea").load_pairs()) == 2
    assert mark.exists()


BROKEN = {
    "raises on import": (
        {"bad": "bad_plugin:Bad"},
        "raise RuntimeError('no license key\\nsecond line')",
        "Behavior 'bad' from bad-plugin 1.5 (bad_plugin:Bad) can't be loaded: RuntimeError: no "
        "license key.",
    ),
    "exits on import": (
        {"bad": "bad_plugin:Bad"},
        "raise SystemExit(3)",
        "Behavior 'bad' from bad-plugin 1.5 (bad_plugin:Bad) can't be loaded: SystemExit: 3.",
    ),
    "no such module": (
        {"bad": "nowhere_at_all:Bad"},
        "",
        "Behavior 'bad' from bad-plugin 1.5 (nowhere_at_all:Bad) can't be loaded: "
        "ModuleNotFoundError: No module named 'nowhere_at_all'.",
    ),
    "no such class": (
        {"bad": "bad_plugin:Bda"},
        source("Bad", "bad"),
        "Behavior 'bad' from bad-plugin 1.5 (bad_plugin:Bda) can't be loaded: AttributeError: "
        "module 'bad_plugin' has no attribute 'Bda'.",
    ),
    "no behavior": (
        {"bad": "bad_plugin:Bad"},
        "class Bad: name = 'bad'",
        "Behavior 'bad' from bad-plugin 1.5 (bad_plugin:Bad) can't be used: it is a Bad, and not "
        "a class that derives from `caa_nnsight.Behavior`.",
    ),
    "incomplete": (
        {"bad": "bad_plugin:Bad"},
        "from caa_nnsight import Behavior\nclass Bad(Behavior):\n    name = 'bad'",
        "Behavior 'bad' from bad-plugin 1.5 (bad_plugin:Bad) can't be loaded: Behavior Bad has no "
        '`description`: write description = "..." in the class, or pass description= to it.',
    ),
    "another name": (
        {"bad": "bad_plugin:Bad"},
        source("Bad", "worse"),
        "Behavior 'bad' from bad-plugin 1.5 (bad_plugin:Bad) can't be used: it calls itself "
        "'worse'; the name of the entry point has to be the same.",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_plugin_warns_and_is_skipped_and_is_an_error_when_asked_for(
    install, monkeypatch, case
):
    import sys

    entries, code, sentence = BROKEN[case]
    monkeypatch.delitem(sys.modules, "bad_plugin", raising=False)
    install("bad-plugin", entries, "bad_plugin", code)
    with pytest.raises(BehaviorError) as caught:
        get_behavior("bad")
    assert str(caught.value) == sentence
    with pytest.warns(UserWarning, match="A behavior was skipped: Behavior 'bad' from bad-plugin"):
        names = {behavior.name for behavior in installed_behaviors()}
    assert names >= SHIPPED
    assert "bad" not in names
    (row,) = [row for row in list_behaviors() if row.name == "bad"]
    assert (row.behavior, row.problem) == (None, sentence)
    assert row.origin.startswith("bad-plugin 1.5")
    monkeypatch.delitem(sys.modules, "bad_plugin", raising=False)


def test_two_plugins_of_one_name_are_an_error_that_names_both_and_only_for_that_name(install):
    install("one", {"twice": "one_plugin:Twice"}, "one_plugin", source("Twice", "twice"))
    install("two", {"twice": "two_plugin:Twice"}, "two_plugin", source("Twice", "twice"))
    with pytest.raises(BehaviorError) as caught:
        get_behavior("twice")
    message = str(caught.value)
    assert message.startswith("2 behaviors are named 'twice': ")
    assert "one 1.5 (one_plugin:Twice)" in message
    assert "two 1.5 (two_plugin:Twice)" in message
    assert message.endswith("; uninstall or rename one, or name a file by its path.")
    assert get_behavior("refusal").name == "refusal"
    (row,) = [row for row in list_behaviors() if row.name == "twice"]
    assert row.problem == message


def test_the_same_object_declared_twice_is_no_clash(install):
    install("one", {"same": "same_plugin:Same"}, "same_plugin", source("Same", "same"))
    install("renamed", {"same": "same_plugin:Same"})
    assert get_behavior("same").name == "same"


def test_decorator_registers_and_running_a_cell_again_replaces():
    def cell(polarity_text):
        @register
        class Tea(Behavior):
            name = "tea"
            description = "d"
            polarity = polarity_text
            pairs = PAIRS

        return Tea

    tea = cell("first")
    assert get_behavior("tea").polarity == "first"
    cell("second")
    assert get_behavior("tea").polarity == "second"
    assert "registered class" in behavior_origin("tea")
    assert get_behavior(tea).polarity == "first"
    instance = tea()
    assert get_behavior(instance) is instance


def test_registered_class_that_clashes_with_a_plugin_names_both():
    @register
    class Refusal(Behavior):
        name = "refusal"
        description = "d"
        polarity = "p"
        pairs = PAIRS

    with pytest.raises(
        BehaviorError, match=r"2 behaviors are named 'refusal': caa_nnsight .* and "
    ):
        get_behavior("refusal")


def test_decorator_refuses_what_is_no_behavior():
    with pytest.raises(BehaviorError, match=r"@register is for classes that derive .* 'dict' does"):
        register(dict)
    with pytest.raises(BehaviorError, match="Behavior Half has no `name`"):
        register(type("Half", (Behavior,), {}))


def test_unknown_name_gets_did_you_mean_or_the_list(tmp_path, monkeypatch):
    with pytest.raises(BehaviorError) as caught:
        get_behavior("refusel")
    assert str(caught.value) == "There is no behavior 'refusel'. Did you mean 'refusal'?"
    with pytest.raises(BehaviorError, match="Did you mean 'sycophancy'"):
        behavior_origin("Sycofancy")
    with pytest.raises(BehaviorError, match=r"There are: .*hallucination, .*refusal, .*sycophancy"):
        get_behavior("quux")
    with pytest.raises(BehaviorError, match=r"^There is no behavior ''\."):
        get_behavior("")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quux").mkdir()
    with pytest.raises(BehaviorError, match=r"To load the folder of that name, write \./quux"):
        get_behavior("quux")
    (tmp_path / "quux.jsonl").touch()
    with pytest.raises(BehaviorError, match=r"a file of pairs, begin with `caa behaviors new`"):
        get_behavior("quux.jsonl")


def test_local_file_is_loaded_by_path(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(source())
    monkeypatch.chdir(tmp_path)
    for address in ("mine.py", "./mine.py", str(tmp_path / "mine.py"), tmp_path / "mine.py"):
        assert get_behavior(address).name == "mine"
    (tmp_path / "mine.py").write_text(source(name="changed"))
    assert get_behavior("mine.py").name == "changed"


def test_file_with_several_behaviors_wants_a_name(tmp_path):
    file = tmp_path / "several.py"
    file.write_text(
        source("_Base", "base")
        + source("One", "one")
        + source("Two", "two")
        + "Alias = Two\nthree = Behavior(name='three', description='d', polarity='p', pairs=[{}])\n"
    )
    assert [b.name for b in load_behaviors(file)] == ["one", "two", "three"]
    assert get_behavior(f"{file}:two").name == "two"
    with pytest.raises(BehaviorError) as caught:
        get_behavior(str(file))
    assert str(caught.value) == (
        f"{file} has 3 behaviors (one, three, two); say which one, as in {file}:one."
    )
    with pytest.raises(BehaviorError, match=r"has no behavior 'tow'; .* Did you mean 'two'\?"):
        get_behavior(f"{file}:tow")


def test_package_and_folder_are_loaded(tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import Mine\n")
    (package / "inner.py").write_text(source())
    assert get_behavior(package).name == "mine"

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.py").write_text(source("A", "a"))
    (folder / "_private.py").write_text("raise RuntimeError")
    (folder / "notes.txt").write_text("x")
    (folder / "helper.py").write_text("x = 1\n")
    package.rename(folder / "pack")
    assert [b.name for b in load_behaviors(folder)] == ["a", "mine"]

    (folder / "broken.py").write_text("def broken(:")
    with pytest.warns(UserWarning, match=r"skipped: .*broken\.py can't be loaded: SyntaxError"):
        assert [b.name for b in load_behaviors(folder)] == ["a", "mine"]

    (folder / "b.py").write_text(source("Again", "a"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BehaviorError, match=r"two behaviors named 'a': A \(.*\) and Again \("):
            load_behaviors(folder)


def test_only_the_named_path_is_executed(tmp_path, monkeypatch):
    (tmp_path / "refusal.py").write_text("raise RuntimeError('executed')")
    monkeypatch.chdir(tmp_path)
    assert get_behavior("refusal").name == "refusal"
    installed_behaviors()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.py", None, "There is no file or folder {path} to load behaviors from."),
        ("raises.py", "1 / 0", "{path} can't be loaded: ZeroDivisionError: division by zero."),
        ("exits.py", "import sys; sys.exit()", "{path} can't be loaded: SystemExit."),
        ("syntax.py", "def", "{path} can't be loaded: SyntaxError: invalid syntax (syntax.py, "),
        ("nothing.py", "x = 1", "{path} defines no behavior; write a class that derives from "),
        (
            "half.py",
            "from caa_nnsight import Behavior\nclass Half(Behavior): name = 'half'",
            "{path} can't be loaded: Behavior Half has no `description`: write ",
        ),
        ("data.jsonl", "{}", "{path} is no behavior: a behavior is a .py file, or a folder with "),
    ],
)
def test_unusable_path_has_its_own_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(BehaviorError) as caught:
        get_behavior(str(path))
    assert str(caught.value).startswith(sentence.format(path=path))
    assert "\n" not in str(caught.value)


def test_missing_path_gets_did_you_mean(tmp_path):
    (tmp_path / "behavior.py").write_text(source())
    with pytest.raises(BehaviorError, match=r"Did you mean 'behavior\.py'\?"):
        get_behavior(str(tmp_path / "behaviour.py"))


def test_empty_folder_says_what_to_write(tmp_path):
    with pytest.raises(BehaviorError, match="defines no behavior"):
        get_behavior(tmp_path)
