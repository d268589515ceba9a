"""Words that stay when the images among them go elsewhere: the gaps are closed, and what would be missed is named.

Not where the images go (``layout``). An image is missed inside a sentence, in a list, after a colon, where words
between images belong to one of them ("The front view: <image> The right view: <image>"), and where images of several
turns come together: there its label or a name stays. Else its label goes with it, and so does its own line.
Images side by side, as the frames of a video, are one gap: all of them are named ("images 1 to 10") or none.
Invariant: no word is lost but labels and "Images:", and no line is left empty that was not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby, pairwise

from triptych.core.records import ImageRef, Part, Text
from triptych.data.text.labels import Label, labelled, labels_in, named_behind, without_labels, words_between
from triptych.data.text.references import find_references

_PREPOSITIONS = frozenset([
    "about", "above", "after", "and", "at", "before", "below", "between", "by", "compare", "compared", "describe",
    "for", "from", "in", "inside", "into", "is", "like", "match", "matches", "of", "on", "or", "resemble", "show",
    "shows", "than", "that", "to", "toward", "towards", "under", "versus", "vs", "watch", "with"
])  # fmt: skip
_VERBS = frozenset([
    "and", "are", "contains", "depicts", "has", "is", "looks", "matches", "or", "resembles", "shows", "versus", "vs",
    "was"
])  # fmt: skip
_ASKING = frozenset(["a", "an", "any", "he", "it", "she", "that", "the", "there", "these", "they", "this", "those"])
_BRACKETS = frozenset(("()", "[]", "{}", "||", '""', "''", "“”", "‘’", "«»", "（）", "【】", "「」", "『』", "《》"))
_NOUN = r"(?:image|picture|photo|photograph|frame|view|video)s?"
_NOUN_LAST = re.compile(r"(?<!\bthis )(?<!\bthe )\b(?:image|picture|photo|photograph|frame|view)[ \t]+$", re.IGNORECASE)
_NOUNS_LAST = re.compile(r"\b(?:images|pictures|photos|photographs)[ \t]+$", re.IGNORECASE)
_SINGULAR = re.compile(r"\b(?:image|picture|photo|photograph|frame|view|video)\b", re.IGNORECASE)
_NOUN_AND_COLON = re.compile(rf"\b{_NOUN}[ \t]*[:：]$", re.IGNORECASE)
_NAME = re.compile(
    r"\W*(?:(?:is|as)\b\W*)?(.*?)(?:\s+(?:is|shows))?[^\w.,;:，。；：、]*([.,;:，。；：、]?)\W*",
    re.IGNORECASE | re.DOTALL,
)
"""A label. Group 1: the name in it; group 2: the punctuation that ends it."""
_LABEL_VERB = re.compile(r"\s(?:is|shows)$")
_NEXT = re.compile(r"\s*[A-Z][\w ]{0,30}:")
_LIST = re.compile(r"[\s\-*•]*\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.):]+")
"""All that stands before an image in a numbered list: "1.", "(A)"."""
_LINK = re.compile(
    r"[ \t]*(?:[,;&/+，；、和与與及或]|(?:,[ \t]*)?\b(?:and|or|while|whereas|vs\.?|versus)(?!\w))[ \t]*", re.IGNORECASE
)
"""All that stands between two images that are named together."""
_WORD = re.compile(r"\b(?!(?:and|or)\b)[^\W_]")


@dataclass(frozen=True, slots=True)
class _Gap:
    """Where an image is gone, or several that stood side by side."""

    start: int
    stop: int
    """The parts [start, stop) of the turn."""
    numbers: tuple[int, ...]
    """Numbers of the images that stood there; a video has a negative one, -1 for the first."""
    before: str
    """Words between it and the image before it, without labels that go."""
    after: str
    line_before: str
    line_after: str

    @property
    def number(self) -> int:
        """The number of its first image, by which the gap is known."""
        return self.numbers[0]


def words_left(
    parts: Sequence[Part], number: int, *, count: int, video: int = 0, leave: str, keep_labels: bool, spread: bool
) -> str:
    """Return a turn's words without its images.

    Args:
        parts: of the turn, with at least one image or video.
        number: of its first image in the conversation.
        count: of all images there.
        video: number of its first video in the conversation; 0: there is only one, which needs none.
        leave: the name of an image that is missed; ``{k}`` is its number. Empty: none, but labels serve as names.
        keep_labels: let "Image 1:" stay everywhere.
        spread: other turns have images too, so that words that name none of these are not about them any more.
    """
    labels, known = labels_in(parts, number, count=count), labelled(parts, number, count=count)
    apart = words_between(parts, number, count=count) is not None
    bare = _without(parts, labels, frozenset())
    gaps = _gaps(parts, bare, number, max(1, video), known)
    inside = _inside(gaps, known, {label.number for own in labels.values() for label in own if label.start})
    stay = (known if keep_labels else _heads(gaps) & known if apart else frozenset()) - inside
    shown = number - 1 + sum(isinstance(part, ImageRef) for part in parts)
    unnamed = spread and not _own_references("\n".join(bare), gaps, count, shown)
    named = {gap.number for gap in gaps if apart or unnamed or not "".join(bare).strip() or _is_listed(gap)} | inside
    behind = named_behind(parts, number, count=count)
    named -= stay | {gap.number for gap in gaps if len(gap.numbers) == 1 and gap.number in behind}
    words = _without(parts, labels, stay)
    mark = next(chr(code) for code in range(0xE000, 0xF900) if not any(chr(code) in each for each in words))
    said, at, before = "", 0, 0
    for gap in gaps:
        said += "".join(words[at : gap.start])
        at = gap.stop
        after = words[at] if at < len(words) else ""
        called = _label_of(parts, labels, gap) or _called(gap, leave, numbered=video > 0)
        if gap.number in named and called:
            listed = before in named and not gap.before.strip(" \t")
            said = _insert(said, called, after, inside=gap.number in inside, listed=listed)
            before = gap.number
            continue
        before = gap.number
        if gap.number in stay and after.lstrip(" \t")[:1] in tuple(".,;)]>，。；、）】"):
            said = _LABEL_VERB.sub("", said.rstrip(" \t\n:=,-–—：，、"))
        elif gap.number in known - stay and after:
            # What followed "Image 1 is <image>" closes nothing any more.
            words[at] = re.sub(r"^[ \t]*[)\]>）】]?[.,;，。；、]?", "", after)
        said += "".join(words[each] or mark for each in range(gap.start, gap.stop))
    return _closed_up(said + "".join(words[at:]), mark, nouns=keep_labels)


def _own_references(words: str, gaps: Sequence[_Gap], count: int, shown: int) -> bool:
    """Return whether words name an image of these by its number."""
    references = find_references(words, count=count, shown=shown)
    said = {number for reference in references for number in reference.numbers}
    return not said.isdisjoint(number for gap in gaps for number in gap.numbers)


def _without(parts: Sequence[Part], labels: Mapping[int, Sequence[Label]], stay: Set[int]) -> list[str]:
    """Return the words of each part, empty for an image, without the labels but for those that stay."""
    return [
        without_labels(part.text, [label for label in labels.get(index, ()) if label.number not in stay])
        if isinstance(part, Text)
        else ""
        for index, part in enumerate(parts)
    ]


def _label_of(parts: Sequence[Part], labels: Mapping[int, Sequence[Label]], gap: _Gap) -> str:
    """Return what a label calls an image; empty: it has none."""
    for beside in (gap.start - 1, gap.stop):
        part = parts[beside] if 0 <= beside < len(parts) else None
        for label in labels.get(beside, ()):
            if isinstance(part, Text) and label.number == gap.number:
                found = _NAME.fullmatch(part.text[label.start : label.stop].strip())
                assert found is not None
                return found[1] + (found[2] if beside >= gap.stop else "")
    return ""


def _called(gap: _Gap, leave: str, *, numbered: bool) -> str:
    """Return what the images of a gap are called, as ``leave`` has it: "image 1", "images 1 to 10", "the video"."""
    if not leave:
        return ""
    names: list[str] = []
    for is_image, run in groupby(gap.numbers, lambda number: number > 0):
        numbers = [abs(number) for number in run]
        name = leave if is_image else "video {k}" if numbered else "the video"
        if len(numbers) > 1:
            name = _SINGULAR.sub(r"\g<0>s", name, count=1)
        link = " and " if len(numbers) == 2 else " to "
        names.append(name.replace("{k}", link.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))))
    return " and ".join(names)


def _gaps(parts: Sequence[Part], words: Sequence[str], number: int, video: int, known: Set[int]) -> list[_Gap]:
    """Return where images and videos stood, in order: numbered from ``number`` and ``video``. Those with only blanks
    between them are one gap, but for one with a label of its own."""
    runs: list[tuple[int, int, tuple[int, ...]]] = []
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            continue
        own = number if isinstance(part, ImageRef) else -video
        number, video = number + (own > 0), video + (own < 0)
        if runs and own not in known and runs[-1][2][0] not in known and _is_blank(parts[runs[-1][1] : index]):
            runs[-1] = (runs[-1][0], index + 1, (*runs[-1][2], own))
        else:
            runs.append((index, index + 1, (own,)))
    return [
        _Gap(
            start,
            stop,
            numbers,
            words[start - 1] if start else "",
            words[stop] if stop < len(words) else "",
            "".join(words[:start]).rpartition("\n")[2],
            "".join(words[stop:]).partition("\n")[0],
        )
        for start, stop, numbers in runs
    ]


def _is_blank(parts: Sequence[Part]) -> bool:
    return all(isinstance(part, Text) and not part.text.strip(" \t") for part in parts)


def _heads(gaps: Sequence[_Gap]) -> frozenset[int]:
    """Return the numbers of images with words of their own after them: "<image> a cat". What follows the last one in
    another line is its own only where that is so of one before."""
    beside = {gap.number for gap in gaps if _WORD.search(gap.after.partition("\n")[0])}
    below = {gap.number for gap in gaps[:-1] if _WORD.search(gap.after)} - beside
    return frozenset(beside | below | ({gaps[-1].number} if below and _WORD.search(gaps[-1].after) else set()))


def _inside(gaps: Sequence[_Gap], known: frozenset[int], led: Set[int]) -> set[int]:
    """Return the numbers of images inside a sentence: where they would be missed.

    Args:
        gaps: where they stood.
        known: those that have labels.
        led: those whose label has words before it.
    """
    found: set[int] = set()
    for at, gap in enumerate(gaps):
        chained = at > 0 and gaps[at - 1].number in found
        in_words = gap.number in led and gap.before.rstrip(" \t")[-1:].isalnum()
        announced = gap.before.rstrip(" \t")[-1:] in (":", "：") and gap.after.lstrip(" \t")[:1] in tuple(".,;。，；")
        if in_words or (announced and gap.number not in known) or _is_inside(gap.before, gap.after, chained=chained):
            found.add(gap.number)
    linked = [(one, other) for one, other in pairwise(gaps) if _LINK.fullmatch(one.after)]
    for one, other in linked:
        if one.after.strip() not in tuple(",;，；、") or not {one.number, other.number} <= known:
            found |= {one.number, other.number}
    for one, other in reversed(linked):
        if other.number in found:
            found.add(one.number)
    return found


def _is_inside(before: str, after: str, *, chained: bool) -> bool:
    """Return whether an image stands inside a sentence, and would be missed there."""
    left, right = before.rstrip(" \t"), after.lstrip(" \t")
    last = left.split()[-1].lower() if left[-1:].isalnum() else ""
    following = right[:80].lower().split()
    if last in _PREPOSITIONS or (chained and left.endswith((",", "，", "、"))) or left[-1:] + right[:1] in _BRACKETS:
        return True
    if left and not left.endswith((",", "\n", "，", "、")) and not last:
        return False
    if following[:1] and following[0].strip(",.?") in _VERBS and not right.lstrip()[:1].isupper():
        return not left.strip() and (len(following) < 2 or following[1] not in _ASKING)
    return bool(last) and right[:1].islower()


def _is_listed(gap: _Gap) -> bool:
    """Return whether an image is all that a line of a list has, or what a colon announces."""
    before = gap.line_before.rstrip()
    announced = before.endswith((":", "：")) and not _NOUN_AND_COLON.search(before)
    if re.search(r"\w", gap.line_after):
        return announced and _NEXT.match(gap.line_after) is not None
    bullets = f"{before}{gap.line_after}".strip(" \t\r,;.，；。、") and not re.search(r"\w", before)
    return announced or bool(bullets) or _LIST.fullmatch(before) is not None


def _insert(said: str, name: str, after: str, *, inside: bool, listed: bool) -> str:
    """Return the words with an image's name after them; ``listed``: they end in the name of the one before."""
    left = said.rstrip(" \t")
    noun, _, number = name.partition(" ")
    if noun.lower() in ("image", "images") and (_NOUN_LAST.search(said) or (noun[5:] and _NOUNS_LAST.search(said))):
        name = number
    if not left or (left.endswith((".", "?", "!", "\n")) and not left.lower().endswith("vs.")):
        name = name[0].upper() + name[1:]
    gap = " " if said and not said[-1].isspace() and said[-1] not in "([{|\"'“‘（【「『《，、；：" else ""
    announced = left.rpartition("\n")[2].endswith((":", ")")) or (listed and ":" in left.rpartition("\n")[2])
    stop = "" if inside or not after.lstrip(" \t")[:1].isupper() else "." if announced else ":"
    apart = " " if after[:1].isalnum() and name[-1] not in "，。；：、" else ""
    return (f"{left}, " if listed else said + gap) + name + stop + apart


def _closed_up(said: str, mark: str, *, nouns: bool) -> str:
    """Return the words with the gaps closed where images stood. A line with nothing else goes, and of the blank lines
    on its two sides the longer run stays; "Images:" goes likewise, unless ``nouns`` are to stay."""
    if not nouns:
        said = re.sub(rf"(?im)^[ \t]*+(?:the[ \t]+)?{_NOUN}[ \t]*+:\s*+(?={mark}[{mark} \t]*$)", "", said)
    lines: list[str] = []
    before = blank = 0
    for at, line in enumerate(said.split("\n")):
        bare = line.replace(mark, "").strip(" \t\r,;.，；。、" if mark in line else None)
        if mark in line and not bare:
            before = next((number for number, each in enumerate(reversed(lines)) if each.strip()), len(said))
            blank = 0
        elif not bare and blank < before:
            blank += 1
        else:
            before = before if not bare else 0
            closed = re.sub(rf"(?<![ \t])([ \t]*){mark}[{mark} \t]*", _closed, line)
            lines.append(closed.lstrip(" \t") if mark in line and not at else closed)
    text = "\n".join(lines)
    return text.rstrip() if said.rstrip().endswith(mark) else text


def _closed(gap: re.Match[str]) -> str:
    """Return what stays of the white space around images that stood in a line with words."""
    left, right = gap.string[: gap.start()], gap.string[gap.end() :]
    if not left:
        return gap[1]
    if not right.strip() or right[0] in ".,;:?!)]}，。；：？！、）】」』》":
        return ""
    return " " if any(each.isspace() for each in gap[0]) or (left[-1].isalnum() and right[0].isalnum()) else ""
