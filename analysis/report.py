"""A run's report: one self-contained HTML page and its figures, from the run's folder alone."""

from __future__ import annotations

import base64
import hashlib
import shlex
from importlib import resources
from itertools import combinations
from pathlib import Path

import jinja2
from markupsafe import Markup

from caa_nnsight.errors import CAAError, RunError
from caa_nnsight.files import write_atomically

from .cautions import warnings_for
from .effects import effect
from .findings import conclude
from .frame import BEHAVIOR_VECTOR, choose_contrast
from .layers import pick_layer
from .pictures import Figure, draw
from .run_folder import RunFolder, read_run, split_ids
from .summary import summarize
from .tables import Table, answer_tables, effect_table, record_rows, score_table
from .words import count, split_name, times

_VERDICTS = {
    "yes": "Yes",
    "partly": "Partly",
    "no": "Not shown",
    "backward": "Backward",
    "unknown": "Can't say",
}
_SHOWN = {"behavior", "settings", "model", "versions", "timings_seconds", "split", "command"}
_SHOWN |= {"warnings", "picked_layer", "norms"}


def write_report(run_folder: str | Path) -> Path:
    """Write `report.html` and `figures/*.png` into a run's folder, from what the folder holds.

    The page needs nothing else: images and styles are in it, it asks no network, and reads well
    without its script, on a phone, in dark mode and on paper. Each file is written whole or not
    at all; the same folder gives the same bytes.

    Args:
        run_folder: a folder with manifest.json, results.parquet and generations.parquet.

    Returns:
        The path of report.html.

    Raises:
        RunError: a file is missing, damaged, incomplete or of another run, or can't be written.
    """
    run = read_run(run_folder)
    try:
        pictures = draw(run)
        figures = [figure for figure, _ in pictures]
        page = _render(run, figures)
    except RunError:
        raise
    except CAAError as error:
        raise RunError(f"{run.path / 'results.parquet'} can't be reported: {error}") from error
    for figure, png in pictures:
        _write(run.path / "figures" / f"{figure.name}.png", png)
    report = run.path / "report.html"
    _write(report, page.encode("utf-8"))
    return report


def _render(run: RunFolder, figures: list[Figure]) -> str:
    finding = conclude(run.scores, run.layer)
    script, style = _asset("report.js"), _asset("report.css")
    manifest = run.manifest
    return (
        _environment()
        .from_string(_asset("report.html.j2"))
        .render(
            behavior=manifest["behavior"],
            model=manifest["model"],
            model_name=_model_name(manifest),
            verdict=finding.verdict,
            verdict_word=_VERDICTS[finding.verdict],
            finding=finding,
            warnings=_warnings(run),
            figures=figures,
            figure_note=_figure_note(figures),
            tables=_tables(run),
            more_tables=_more_tables(run),
            answers=answer_tables(run.generations),
            split=_split_counts(run),
            split_notes=_split_notes(run),
            command=_command(manifest),
            records=_records(manifest),
            script=Markup(script),
            style=Markup(style),
            script_hash=_hash(script),
            style_hash=_hash(style),
        )
    )


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )


def _visible(value: object) -> object:
    """Replace what HTML can't carry: control characters by their pictures, lone surrogates."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n").translate(_PICTURES)
    return text.encode("utf-8", "replace").decode("utf-8")


_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_PICTURES |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the hash by which the page's security policy admits its own script and style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _model_name(manifest: dict) -> str:
    model = manifest["model"]
    return str(model.get("name") or manifest["settings"].get("model") or "the model")


def _warnings(run: RunFolder) -> list[str]:
    own = run.scores[(run.scores["split"] == "validation") | (run.scores["layer"] == run.layer)]
    recorded = run.manifest.get("warnings")
    recorded = [str(text) for text in recorded] if isinstance(recorded, list) else []
    return list(dict.fromkeys([*recorded, *_overlaps(run), *warnings_for(own)]))


def _overlaps(run: RunFolder) -> list[str]:
    found = []
    parts = split_ids(run.manifest)
    for first, second in combinations(parts, 2):
        shared = set(parts[first]) & set(parts[second])
        if shared:
            found.append(
                f"{count(len(shared), 'item')} {'stands' if len(shared) == 1 else 'stand'} in both "
                f"the {split_name(first)} and the {split_name(second)} part (first: "
                f"{min(shared)}), so the figures flatter the result."
            )
    return found


def _figure_note(figures: list[Figure]) -> str:
    names = {figure.name for figure in figures}
    notes = []
    if "accuracy_curve" not in names:
        notes.append("The accuracy curve needs both orders of the choices; one was scored.")
    if "layer_curve" not in names:
        notes.append("There is no layer curve: it takes validation scores of several layers.")
    return " ".join(notes)


def _tables(run: RunFolder) -> list[Table]:
    rows = run.scores[(run.scores["split"] == "held_out") & (run.scores["layer"] == run.layer)]
    low, high = choose_contrast(rows.loc[rows["vector"] == BEHAVIOR_VECTOR, "multiplier"])
    change = f"Change in log-odds from multiplier {times(low)} to {times(high)}"
    return [
        effect_table(effect(rows, low, high), f"{change}, held-out items"),
        score_table(
            summarize(rows[rows["vector"] == BEHAVIOR_VECTOR]),
            f"Scores of the held-out items, behavior's vector at layer {run.layer}",
        ),
    ]


def _more_tables(run: RunFolder) -> list[Table]:
    tables = []
    held_out, validation = (
        run.scores[run.scores["split"] == s] for s in ("held_out", "validation")
    )
    others = held_out[(held_out["layer"] == run.layer) & (held_out["vector"] != BEHAVIOR_VECTOR)]
    if len(others):
        caption = f"Scores of the held-out items, every control vector at layer {run.layer}"
        tables.append(score_table(summarize(others), caption))
    if validation["multiplier"].nunique() > 1:
        low, high = validation["multiplier"].min(), validation["multiplier"].max()
        caption = f"Change in log-odds from multiplier {times(low)} to {times(high)}"
        caption += ", validation items, every layer"
        tables.append(effect_table(effect(validation, low, high), caption))
    return tables


def _split_counts(run: RunFolder) -> list[tuple[str, str, str]]:
    uses = {
        "generation": ("Generation", "pairs that the vector was made from"),
        "validation": ("Validation", "items that the layer was picked on"),
        "held_out": ("Held out", "items that every headline figure is about"),
    }
    listed, behavior = split_ids(run.manifest), run.manifest["behavior"]
    rows = []
    for part, (name, use) in uses.items():
        n = len(listed[part]) if part in listed else behavior.get(f"n_{part}")
        rows.append((name, "not recorded" if n is None else str(n), use))
    return rows


def _split_notes(run: RunFolder) -> list[str]:
    notes = []
    listed = split_ids(run.manifest)
    if len(listed) == 3 and not _overlaps(run):
        notes.append("No item is in two parts: checked by the ids in manifest.json.")
    scored = run.scores.loc[run.scores["split"] == "held_out", "item"].nunique()
    if "held_out" in listed and scored < len(listed["held_out"]):
        notes.append(f"{scored} of the {len(listed['held_out'])} held-out items were scored.")
    validation = run.scores[run.scores["split"] == "validation"]
    if validation["layer"].nunique() < 2 or validation["multiplier"].nunique() < 2:
        notes.append(f"Layer {run.layer} was not picked among others on validation items.")
        return notes
    best = pick_layer(validation)
    notes.append(
        f"Layer {run.layer} has the largest change on the validation items; the held-out items "
        "played no part in the choice."
        if best == run.layer
        else f"Layer {run.layer} was steered, though layer {best} has the largest change on the "
        "validation items."
    )
    return notes


def _command(manifest: dict) -> str:
    command = manifest.get("command")
    if isinstance(command, list):
        return shlex.join(map(str, command))
    return str(command) if command else ""


def _records(manifest: dict) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return every figure of the manifest that the page doesn't show elsewhere, by section."""
    rest = {key: value for key, value in manifest.items() if key not in _SHOWN}
    sections = [
        ("Settings", manifest["settings"]),
        ("Model", manifest["model"]),
        ("Behavior", manifest["behavior"]),
        ("Versions", manifest.get("versions")),
        ("Timings (seconds)", manifest.get("timings_seconds")),
        ("Length of the behavior's vector, by layer", manifest.get("norms")),
        ("Run", {"picked_layer": manifest["picked_layer"], **rest}),
    ]
    return [
        (name, record_rows(record))
        for name, record in sections
        if isinstance(record, dict) and record
    ]


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, lambda temporary: temporary.write_bytes(data))
    except OSError as error:
        raise RunError(
            f"{path} can't be written ({error.strerror}): free the space or make the folder "
            "writable, then write the report again."
        ) from error
