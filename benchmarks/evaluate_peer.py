"""lmms-eval beside the evaluation engine: an environment for it, and a process there that answers when it is asked.

Not the answering: ``evaluate_lmms.py`` does that, in the other environment. lmms-eval declares torchvision, timm and
some forty more, which its evaluator and its ``llava_hf`` do not import; an ordinary install would bring them, and with
them another torch. So its environment lies on top of the running one, whose torch and transformers it uses, and has
besides them lmms-eval without its dependencies, and what those two import. Nothing is replaced by a stand-in.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from triptych.core.errors import RunError
from triptych.core.files import cache_folder, write_atomically
from triptych.core.log import say
from triptych.core.records import Example, ImageRef, Part, Text
from triptych.data.media.images import load_image
from triptych.models.family import Model

LMMS_EVAL = "lmms-eval==0.7.3"
IMPORTED = (
    "aiohttp",
    "datasets",
    "decord",
    "evaluate",
    "loguru",
    "pytablewriter",
    "python-dotenv",
    "pytz",
    "sacrebleu",
    "tenacity",
)
"""What lmms-eval's evaluator, its command line and its ``llava_hf`` import, and Triptych does not bring."""

ANSWERING = Path(__file__).with_name("evaluate_lmms.py")
DONE = "installed.json"
INSTALL_S = 900.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Replies by the question's id, and what they took: by the clock, and of processor time."""

    replies: Mapping[str, str]
    s: float
    cpu_s: float


class Peer:
    """A process of lmms-eval with the model open; idle but while `ask` waits for it."""

    def __init__(self, process: subprocess.Popen[str], log: Path, numbers: Mapping[str, int]) -> None:
        self._process = process
        self._log = log
        self._numbers = numbers
        self.about: dict[str, Any] = self._line()

    def ask(self, questions: Sequence[Example]) -> Asked:
        """Return its replies; where it met an error there is none.

        Raises:
            RunError: the process has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([self._numbers[question.id] for question in questions]) + "\n")
        self._process.stdin.flush()
        return Asked(**self._line())

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            found: dict[str, Any] = json.loads(line)
            return found
        raise RunError(f"lmms-eval ended: {_last_line(self._log.read_text(encoding='utf-8', errors='replace'))}")


@contextmanager
def open_peer(
    model: Model, source: str, *, python: Path, questions: Sequence[Example], tokens: int, folder: Path
) -> Iterator[Peer]:
    """Open the model in lmms-eval, with as many threads, on the same device and of the same type as here.

    Args:
        source: the folder or hub id that ``model`` was opened from.
        python: of an environment in which lmms-eval can be imported.
        folder: for the questions, for images that are no plain files, and for what the process says.

    Raises:
        RunError: it does not start, or a question is one that it cannot be shown.
    """
    kept: dict[ImageRef, str] = {}
    documents = [_document(question, folder, kept) for question in questions]
    listed = folder / "questions.json"
    write_atomically(listed, json.dumps(documents))
    command = [str(python), "-P", str(ANSWERING), source, str(listed), "--tokens", str(tokens)]
    command += ["--device", str(model.device), "--threads", str(torch.get_num_threads())]
    command += ["--dtype", str(next(model.network.parameters()).dtype).removeprefix("torch.")]
    log = folder / "lmms_eval.txt"
    numbers = {question.id: number for number, question in enumerate(questions)}
    with log.open("w", encoding="utf-8") as file, _started(command, stderr=file) as process:
        yield Peer(process, log, numbers)


@contextmanager
def _started(command: Sequence[str], *, stderr: Any) -> Iterator[subprocess.Popen[str]]:
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8"
        )
    except OSError as error:
        raise RunError(f"{command[0]}: {error.strerror}. --peer-python wants a Python with lmms-eval.") from None
    with process:
        try:
            yield process
        finally:
            process.kill()


def make_environment() -> Path:
    """Return the Python of lmms-eval's environment, made in the cache folder the first time (a minute, and PyPI).

    Raises:
        RunError: something could not be installed.
    """
    seen = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    wanted = json.dumps([LMMS_EVAL, *IMPORTED, sys.version, *seen])
    folder = cache_folder() / "peers" / f"lmms-eval-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    python = folder / "bin" / "python"
    if (folder / DONE).exists():
        return python
    say(f"installing {LMMS_EVAL} into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True)
        own = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        )
        lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in seen)
        Path(own.stdout.strip(), "beneath.pth").write_text(lines, encoding="utf-8")
        _install(python, *IMPORTED)
        _install(python, "--no-deps", LMMS_EVAL)
    except subprocess.CalledProcessError as error:
        raise RunError(f"cannot install lmms-eval: {_last_line(str(error.stderr))}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"cannot install lmms-eval: {error}") from None
    write_atomically(folder / DONE, wanted)
    return python


def _install(python: Path, *what: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)


def _document(question: Example, folder: Path, kept: dict[ImageRef, str]) -> dict[str, Any]:
    if question.demonstrations:
        raise RunError(f"{question.id}: has demonstrations, which are not asked of lmms-eval here.")
    turns = [(turn.role, [_part(part, question, folder, kept) for part in turn.parts]) for turn in question.turns]
    return {"id": question.id, "messages": [{"role": role, "content": content} for role, content in turns]}


def _part(part: Part, question: Example, folder: Path, kept: dict[ImageRef, str]) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if not isinstance(part, ImageRef):
        raise RunError(f"{question.id}: has a video, which is not asked of lmms-eval here.")
    if part not in kept:
        kept[part] = _file_of(part, folder / f"image-{len(kept)}.png")
    return {"type": "image", "path": kept[part]}


def _file_of(image: ImageRef, other: Path) -> str:
    """Return the image's own file where anybody who opens it sees the same pixels, else a new one."""
    ours = load_image(image)
    if Path(image.source).is_file():
        with Image.open(image.source) as picture:
            plain = picture.convert("RGB")
        if plain.size == ours.size and plain.tobytes() == ours.tobytes():
            return image.source
    ours.save(other)
    return str(other)


def _last_line(text: str) -> str:
    line = next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
    return line.strip().removeprefix("ERROR: ")
