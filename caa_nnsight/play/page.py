"""The page: one object for each tab, of NiceGUI's elements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from nicegui import ui

from caa_nnsight.errors import CAAError
from caa_nnsight.play.asking import Ask
from caa_nnsight.play.choices import Choice
from caa_nnsight.play.complaints import sentence
from caa_nnsight.play.desk import Desk
from caa_nnsight.play.stopping import StoppedError
from caa_nnsight.play.threads import in_thread
from caa_nnsight.play.token_numbers import TokenNumbers, shaded
from caa_nnsight.play.workbench import Workbench, Written

if TYPE_CHECKING:
    from caa_nnsight.models import Model

STYLE = Path(__file__).with_name("page.css")
# Seconds between two looks at what is being written.
TICK = 0.1
MOST_TOKENS = 2000
# Seconds in which a lost connection may come back.
GRACE = 2.0


class Page:
    """What one tab shows.

    Args:
        bench: the model and what can be steered with.
        desk: the line that all tabs wait in.
        stops: the events that end the work under way in all tabs; this one's is kept there.
    """

    def __init__(self, bench: Workbench, desk: Desk, stops: set[Event]) -> None:
        self._bench = bench
        self._desk = desk
        self._stops = stops
        self._stopped = Event()
        self._busy = False
        self._written: Written | None = None
        self._read: list[TokenNumbers] | None = None
        ui.add_css(STYLE)
        with ui.element("main"):
            self._put_head()
            with ui.element("div").classes("work"):
                with ui.element("section").classes("controls").props('aria-label="Controls"'):
                    self._put_controls()
                with ui.element("section").classes("results").props('aria-label="Answers"'):
                    self._put_answers()
                    self._put_tokens()
                    self._put_code()
        self._client = ui.context.client
        self._client.on_disconnect(self._leave)
        self._choose()

    # -- elements --------------------------------------------------------------------------

    def _put_head(self) -> None:
        model = self._bench.model
        place = f" at {model.remote.host}" if model.remote else ""
        with ui.element("header"):
            _text("h1", "caa play")
            _text("p", f"{shown(model)}{place}, {model.num_layers} layers").classes("soft")

    def _put_controls(self) -> None:
        names = list(self._bench.choices)
        self._behavior = ui.select(
            names, value=names[0], label="Behavior", on_change=self._choose
        ).props("outlined options-dense")
        self._polarity = _text("p", "").classes("soft polarity")
        self._prompt = (
            ui.textarea("Prompt", on_change=self._show_code)
            .props("outlined autogrow input-style='min-height: 5.5rem; max-height: 18rem'")
            .on("keydown.ctrl.enter", self._answer)
            .on("keydown.meta.enter", self._answer)
        )
        self._multiplier_says = _text("p", "").classes("dial")
        self._multiplier = _slider("Multiplier", 1.0, self._move)
        self._multiplier.props("min=-3 max=3 step=0.25")
        with ui.element("div").classes("ticks").props("aria-hidden=true"):
            for tick in range(-3, 4):
                _text("span", times(tick))
        self._layer_says = _text("p", "").classes("dial")
        self._layer = _slider("Layer", 0, self._move)
        self._layer_why = _text("p", "").classes("soft why")
        with ui.element("details").classes("more"):
            _text("summary", "More settings")
            self._length = ui.number(
                "Longest answer, in tokens", value=100, min=1, max=MOST_TOKENS, precision=0
            )
            self._temperature = ui.number(
                "Temperature (0 takes the likeliest token)", value=0, min=0, max=2, step=0.1
            )
            self._seed = ui.number("Seed", value=0, min=0, max=2**31 - 1, precision=0)
            self._system = ui.textarea("System prompt").props("autogrow")
            for each in (self._length, self._temperature, self._seed, self._system):
                each.props("outlined dense").on_value_change(self._show_code)
        with ui.element("div").classes("buttons"):
            self._go = ui.button("Answer", on_click=self._answer, color=None)
            self._go.props("unelevated no-caps").classes("go")
            self._stop = ui.button("Stop", on_click=self._end).props("outline no-caps")
            self._stop.disable()
        self._bar = ui.linear_progress(0, show_value=False).props(
            'instant-feedback aria-label="Extracting the vectors"'
        )
        self._bar.set_visibility(False)
        self._status = _text("p", "").classes("soft status").props('role="status"')
        self._complaint = _text("p", "").classes("complaint").props('role="alert"')

    def _put_answers(self) -> None:
        self._answer_says, self._answers = [], []
        with ui.element("div").classes("answers"):
            for title in ("Plain", "Steered"):
                with ui.element("article"):
                    _text("h2", title)
                    self._answer_says.append(_text("p", "").classes("soft"))
                    self._answers.append(_text("p", "").classes("answer").props('dir="auto"'))

    def _put_tokens(self) -> None:
        with ui.element("details") as self._tokens:
            _text("summary", "Tokens along the vector")
            self._number = ui.radio(
                {"cosine": "Cosine", "projection": "Projection"},
                value="cosine",
                on_change=self._shade,
            ).props("inline dense")
            self._shade_says = _text("p", "Answer a prompt first.").classes("soft")
            self._shaded = []
            for title in ("Prompt", "Plain", "Steered"):
                with ui.element("div") as part:
                    _text("h3", title)
                    # Escaped where it is made; NiceGUI's own sanitizing stands behind that.
                    self._shaded.append((part, ui.html("", tag="p").classes("shaded")))
                part.set_visibility(False)
        self._tokens.on("toggle", self._opened, js_handler="(e) => emit(e.target.open)")
        self._tokens_open = False

    def _put_code(self) -> None:
        with ui.element("details"):
            _text("summary", "The code that does the same")
            self._copy = ui.button("Copy the code", on_click=self._copy_code)
            self._copy.props("outline no-caps dense")
            with ui.element("pre").props('tabindex=0 aria-label="Code"'):
                self._code = _text("code", "")

    # -- what the controls say -------------------------------------------------------------

    @property
    def _choice(self) -> Choice:
        return self._bench.choices[self._behavior.value]

    def _ask(self) -> Ask:
        """What the controls say; what was emptied counts as its least."""
        return Ask(
            prompt=self._prompt.value or "",
            layer=self._near_layer(),
            multiplier=float(self._multiplier.value or 0),
            system_prompt=self._system.value or "",
            max_new_tokens=int(min(max(self._length.value or 1, 1), MOST_TOKENS)),
            temperature=float(max(self._temperature.value or 0.0, 0.0)),
            seed=int(min(max(self._seed.value or 0, 0), 2**31 - 1)),
        )

    def _near_layer(self) -> int:
        layers = self._bench.layers_of(self._choice)
        return min(layers, key=lambda layer: abs(layer - int(self._layer.value or 0)))

    def _choose(self) -> None:
        """Show what belongs to the behavior that was picked."""
        choice = self._choice
        try:
            polarity = choice.polarity()
        except CAAError as error:
            self._polarity.text = ""
            self._complain(str(error))
        else:
            self._polarity.text = polarity
            self._complain("")
        layers = self._bench.layers_of(choice)
        layer, why = self._bench.first_layer(choice)
        self._layer.props(f"min={layers[0]} max={layers[-1]}")
        self._layer.value = str(layer)
        self._layer_why.text = f"Layer {layer} to begin with: {why}."
        self._move()

    def _move(self) -> None:
        ask = self._ask()
        self._multiplier_says.text = f"Multiplier {times(ask.multiplier)}"
        self._layer_says.text = f"Layer {ask.layer}"
        self._show_code()

    def _show_code(self) -> None:
        self._code.text = self._bench.code(self._choice, self._ask())

    def _copy_code(self) -> None:
        ui.clipboard.write(self._code.text)
        self._status.text = "The code is copied."

    def _complain(self, text: str) -> None:
        self._complaint.text = text

    # -- answering -------------------------------------------------------------------------

    async def _answer(self) -> None:
        if self._busy:
            return
        choice, ask = self._choice, self._ask()
        self._forget()
        with self._work() as stopped:
            self._answer_says[0].text = "multiplier 0"
            by = f"{choice.name}, multiplier {times(ask.multiplier)}, layer {ask.layer}"
            self._answer_says[1].text = by
            watch = _Watch()
            async with self._desk.turn(self._wait, stopped):
                self._status.text = "Reading the prompt …"
                if not self._bench.has_vectors(choice):
                    self._status.text = f"Looking for the vectors of {choice.name} …"
                job = in_thread(
                    self._bench.write,
                    choice,
                    ask,
                    show=watch.see,
                    stopped=stopped,
                    progress=watch.count,
                    said=watch.hear,
                )
                self._written = await self._watching(job, watch)
            ended = "Stopped" if stopped.is_set() else "Done"
            self._show_answers(self._written.answers, whole=True)
            self._status.text = f"{ended}: {watch.speed()}"
        if self._written and self._tokens_open:
            await self._read_tokens()

    async def _watching(self, job: Any, watch: _Watch) -> Any:
        """Show what a job in another thread has come to, until it ends."""
        task = asyncio.ensure_future(job)
        while not task.done():
            await asyncio.wait([task], timeout=TICK)
            self._bar.set_visibility(bool(watch.pairs) and watch.answers is None)
            if watch.answers is not None:
                self._show_answers(watch.answers)
                self._status.text = "Writing …"
            elif watch.pairs:
                done, total = watch.pairs
                self._bar.value = done / max(total, 1)
                self._status.text = f"Extracting the vectors: {done} of {total} pairs"
            if watch.said:
                self._status.text = watch.said
        self._bar.set_visibility(False)
        return task.result()

    def _show_answers(self, answers: list[list[int]], *, whole: bool = False) -> None:
        for label, ids in zip(self._answers, answers, strict=True):
            label.text = self._bench.text(ids, whole=whole)

    def _forget(self) -> None:
        self._written = self._read = None
        self._show_answers([[], []])
        for part, _ in self._shaded:
            part.set_visibility(False)
        self._shade_says.text = "Answer a prompt first."

    def _wait(self, ahead: int) -> None:
        before = "another tab" if ahead == 1 else f"{ahead} others"
        self._status.text = f"Waiting for {before} …"

    @contextmanager
    def _work(self) -> Iterator[Event]:
        """Something that takes its time, may be stopped, and may go wrong."""
        self._busy = True
        stopped = self._stopped = Event()
        self._stops.add(stopped)
        self._go.disable()
        self._stop.enable()
        self._complain("")
        try:
            yield stopped
        except StoppedError:
            self._status.text = "Stopped."
        except Exception as error:
            self._status.text = ""
            self._complain(sentence(error))
        finally:
            self._stops.discard(stopped)
            self._busy = False
            self._bar.set_visibility(False)
            self._go.enable()
            self._stop.disable()

    async def _end(self) -> None:
        self._stopped.set()
        await self._desk.look_up()

    async def _leave(self) -> None:
        """The tab is closed, unless it comes back at once: nobody reads on."""
        await asyncio.sleep(GRACE)
        if not self._client.has_socket_connection:
            await self._end()

    # -- the token view --------------------------------------------------------------------

    async def _opened(self, event: Any) -> None:
        self._tokens_open = bool(event.args)
        if self._tokens_open and self._written and not self._read and not self._busy:
            await self._read_tokens()

    async def _read_tokens(self) -> None:
        with self._work() as stopped:
            before = self._status.text
            async with self._desk.turn(self._wait, stopped):
                self._status.text = before
                self._shade_says.text = "Reading the texts …"
                self._read = await in_thread(self._bench.read, self._written, stopped=stopped)
            self._shade()
        if not self._read:
            self._shade_says.text = "Not read: fold this and open it again."

    def _shade(self) -> None:
        if not self._read or not self._written:
            return
        number = self._number.value
        shading = shaded(self._read, number)
        what = {
            "cosine": "Cosine of each token's activation with the vector",
            "projection": "Length of each token's activation along the vector",
        }[number]
        self._shade_says.text = (
            f"{what} at layer {self._written.ask.layer}, read without steering. Blue with a solid "
            f"line is above the mean of {signed(shading.mean)}, orange with a dotted line below; "
            f"fullest at {shading.limit:.3g} from it."
        )
        for (part, html), text in zip(self._shaded, shading.texts, strict=True):
            html.content = text
            part.set_visibility(True)


class _Watch:
    """What a thread tells of its work, and when."""

    def __init__(self) -> None:
        self.answers: list[list[int]] | None = None
        self.pairs: tuple[int, int] | None = None
        self.said = ""
        self._began = self._first = self._last = time.monotonic()
        self._steps = 0

    def see(self, answers: list[list[int]]) -> None:
        now = time.monotonic()
        if self.answers is None:
            self._first = now
        self._steps, self._last, self.answers = max(map(len, answers)), now, answers

    def hear(self, sentence: str) -> None:
        self.said = sentence

    def count(self, done: int, total: int) -> None:
        self.pairs = (done, total)
        # The vectors are no part of the time to the first token.
        self._began = time.monotonic()

    def speed(self) -> str:
        lengths = " and ".join(str(len(each)) for each in self.answers or [[], []])
        said = f"{lengths} tokens, the first after {self._first - self._began:.1f} s"
        spent = self._last - self._first
        if self._steps > 1 and spent > 0:
            said += f", then {(self._steps - 1) / spent:.1f} per second in each answer"
        return f"{said}."


def _text(tag: str, text: str) -> Any:
    """An element of plain text: whatever stands in it is shown, and never read as HTML."""
    element = ui.label(text)
    element.tag = tag
    return element


def _slider(label: str, value: float, moved: Callable[[], None]) -> ui.input:
    """The browser's own slider: it takes the keyboard, and says what it is. Its value is a text."""
    slider = ui.input(value=f"{value:g}", on_change=moved)
    return slider.props(f'type=range borderless dense aria-label="{label}"').classes("slider")


def times(multiplier: float) -> str:
    """A multiplier as the page writes it.

    >>> times(1.0), times(-0.25), times(0.0)
    ('+1', '−0.25', '0')
    """
    return f"{'+' if multiplier > 0 else ''}{signed(multiplier)}"


def signed(number: float) -> str:
    """A number of three digits, with a minus that is one.

    >>> signed(-0.12345)
    '−0.123'
    """
    return f"{number:.3g}".replace("-", "−")


def shown(model: Model) -> str:
    """A model's name; of a folder or a file, its own name."""
    return Path(model.name).name if Path(model.name).exists() else model.name


def pages(bench: Workbench) -> tuple[Callable[[], None], Callable[[], None]]:
    """What builds the page of a tab, and what ends the work of all tabs."""
    desk, stops = Desk(), set()

    def build() -> None:
        Page(bench, desk, stops)

    def end() -> None:
        for stopped in tuple(stops):
            stopped.set()

    return build, end
