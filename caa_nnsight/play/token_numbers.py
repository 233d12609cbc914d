"""How far each token's activation lies along the vector, as shaded text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from caa_nnsight.play.writing import Answers

if TYPE_CHECKING:
    import numpy as np

    from caa_nnsight.models import Model
    from caa_nnsight.prompts import TextPrompt
    from caa_nnsight.vectors import SteeringVectors

Number = Literal["cosine", "projection"]

# Of the numbers' distances from their mean: what lies beyond has the fullest shade.
_FULL_SHADE = 0.98


@dataclass(frozen=True, eq=False)
class TokenNumbers:
    """The tokens of one text, each with its numbers.

    Attributes:
        texts: what they read.
        cosine: float64 `[tokens]`, of a token's activation with the vector.
        projection: float64 `[tokens]`, the activation's length along the vector, in units of the
            residual stream.
    """

    texts: list[str]
    cosine: np.ndarray
    projection: np.ndarray


def read_tokens(
    model: Model,
    vectors: SteeringVectors,
    layer: int,
    prompt: TextPrompt,
    answers: Answers,
    look: Callable[[], None] = lambda: None,
) -> list[TokenNumbers]:
    """Read the prompt, the plain and the steered answer, all without steering.

    So what is measured is what the model wrote, and not the vector that was added meanwhile.

    Args:
        model: a loaded model.
        vectors: along which to measure.
        layer: whose output is read.
        prompt, answers: token ids.
        look: called after each pass; what it raises ends the work.

    Returns:
        of the prompt, and of each answer in turn. Tokens that hold parts of one character are
        joined, and their numbers averaged.

    Raises:
        RemoteError: the server can't be reached, or failed.
    """
    import numpy as np

    length = prompt.prompt_length
    sequences = [list(prompt.ids), *([*prompt.ids, *answer] for answer in answers)]
    positions = [range(length), *(range(length, len(ids)) for ids in sequences[1:])]
    direction = vectors[layer].double().numpy()
    size = float(np.linalg.norm(direction)) or 1.0
    projections = [np.zeros(len(each)) for each in positions]
    lengths = [np.zeros(len(each)) for each in positions]
    for keys, hidden in model.tracer.iterate_captures(sequences, [layer], positions):
        look()
        for (text, token), vector in zip(keys, hidden[:, 0].double().numpy(), strict=True):
            projections[text][token] = vector @ direction / size
            lengths[text][token] = np.linalg.norm(vector)
    parts = [list(prompt.ids), *answers]
    return [
        _joined(model, ids, along, long)
        for ids, along, long in zip(parts, projections, lengths, strict=True)
    ]


def _joined(
    model: Model, ids: list[int], projection: np.ndarray, length: np.ndarray
) -> TokenNumbers:
    import numpy as np

    from caa_nnsight.analysis.texts.tokens import token_texts

    cosine = np.divide(projection, length, out=np.zeros_like(projection), where=length > 0)
    texts, numbers, first = [], [], 0
    for text, size in token_texts(model.tokenizer, ids):
        part = slice(first, first + size)
        texts.append(text)
        numbers.append((cosine[part].mean(), projection[part].mean()))
        first += size
    table = np.array(numbers).reshape(-1, 2)
    return TokenNumbers(texts, table[:, 0], table[:, 1])


@dataclass(frozen=True)
class Shading:
    """The texts as HTML, and what their shades mean.

    Attributes:
        texts: of the prompt and of each answer; all that the model wrote is escaped.
        mean: the number that is left unshaded.
        limit: the distance from `mean` at which the shade is fullest.
    """

    texts: list[str]
    mean: float
    limit: float


def shaded(read: Sequence[TokenNumbers], number: Number) -> Shading:
    """Shade all texts on one scale: each number less the mean over all of them.

    Args:
        read: the prompt, then the answers.
        number: which of the tokens' numbers.
    """
    import numpy as np

    from caa_nnsight.analysis.report.parts import TokenView
    from caa_nnsight.analysis.report.token_views import shade

    values = [getattr(each, number) for each in read]
    # The first token of a text has an activation like no other, whatever it says.
    counted = np.concatenate([values[0][1:], *values[1:]])
    mean = float(counted.mean()) if len(counted) else 0.0
    far = float(np.quantile(np.abs(counted - mean), _FULL_SHADE)) if len(counted) else 0.0
    limit = far or 1.0
    views = [
        TokenView("", each.texts, (own - mean).tolist(), limit)
        for each, own in zip(read, values, strict=True)
    ]
    return Shading(
        [_html(shade(view).tokens, own) for view, own in zip(views, values, strict=True)],
        mean,
        limit,
    )


def _html(tokens, numbers: np.ndarray) -> str:
    pieces = []
    for token, number in zip(tokens, numbers, strict=True):
        text = "".join(
            f"<i>{escape(part.text)}</i>" if part.mark else escape(part.text)
            for part in token.parts
        )
        level = f' class="{token.side} s{token.level}"' if token.level else ""
        before = "<wbr>" if token.breaks_before else ""
        pieces.append(
            f'{before}<span{level} title="{f"{number:.3g}".replace("-", "−")}">{text}</span>'
        )
    return "".join(pieces)
