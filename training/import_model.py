"""A model that others trained in, the folder of training/imported.py out: what stands in place of corpus ... train."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from training import command, imported
from training.config.data import Source
from training.config.import_ import ARCHIVES, Import
from training.config.section import read
from training.data import sources
from training.imported import Imported
from training.interop import gguf, hf, llama2c


def load(settings: Import, root: Path) -> Imported:
    """The model that the settings name, its context cut to theirs. root: what `file:` counts from.

    Raises ValueError that names the source and what is missing, not supported or not as its digest says.
    """
    try:
        with _located(settings, root) as found:
            if isinstance(found, str):
                model = hf.read(found)
            else:
                model = (llama2c if found.suffix == ".bin" else gguf).read(found)
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(settings.source) else f"{settings.source}: {message}") from error
    known = model.config["ctx_len"]
    if settings.ctx_len > known:
        raise ValueError(f"import.ctx_len={settings.ctx_len} is longer than the context of the model, {known}")
    rows = model.config["vocab_size"]
    if model.tokenizer.vocab_size > rows:
        raise ValueError(
            f"{settings.source}: the tokenizer has {model.tokenizer.vocab_size} tokens, the model only {rows}"
        )
    model.config["ctx_len"] = settings.ctx_len or known
    model.origin.update(source=settings.source, sha256=settings.sha256 or None)
    return model


@contextmanager
def _located(settings: Import, root: Path) -> Iterator[Path | str]:
    """The .gguf or llama2.c's .bin, on this machine, or the URL of a Hugging Face folder."""
    scheme, _, rest = settings.source.partition(":")
    with tempfile.TemporaryDirectory(prefix="pocketlm-") as folder:
        fetched = Path(folder) / "model.gguf"
        if scheme in ARCHIVES:
            documents = list_one(settings, root, fetched)
            if not documents.endswith(".gguf"):
                raise ValueError(f"{documents} is no .gguf")
            yield fetched
        elif scheme == "file":
            path = (root / Path(rest).expanduser()).resolve()
            if not path.exists():
                raise ValueError(f"no such file or folder under {root.resolve()}")
            if path.is_file():
                _check(settings, path)
            yield path if path.is_file() else path.as_uri()
        elif settings.source.endswith(".gguf"):
            with fsspec.open(settings.source, "rb") as stream, fetched.open("wb") as file:
                shutil.copyfileobj(stream, file)
            _check(settings, fetched)
            yield fetched
        else:
            yield settings.source


def list_one(settings: Import, root: Path, out: Path) -> str:
    """Write the one file that an archive's glob names, and return its name. Raises ValueError where there are more."""
    found = ""
    for name, stream in sources.documents(Source(settings.source, settings.sha256), root):
        if found:
            raise ValueError(f"{settings.source} names several files, {found} and {name}; narrow the glob")
        found = name
        with out.open("wb") as file:
            while data := stream.read(1 << 20):
                file.write(data)
    return found


def _check(settings: Import, path: Path) -> None:
    """Raises ValueError unless the file has the digest that was asked for, if one was."""
    if not settings.sha256:
        return
    with path.open("rb") as opened:
        got = hashlib.file_digest(opened, "sha256").hexdigest()
    if got != settings.sha256:
        raise ValueError(f"wrong checksum: expected sha256 {settings.sha256}, got {got}")


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    settings = read(command.params_of(arguments), Import)
    model = load(settings, arguments.root)
    with command.publishing(arguments.out) as temporary:
        imported.write(temporary, model)
    came = ", ".join(f"{count} {kind}" for kind, count in model.origin["dtypes"].items())
    wide = sum(stored.dtype == "f32" and len(stored.shape) > 1 for stored in model.tensors.values())
    kept = sum(len(stored.shape) > 1 for stored in model.tensors.values()) - wide
    command.say(
        f"{model.architecture}, {len(model.tensors)} tensors ({came}): {kept} matrices as they are, {wide} in f32"
    )


if __name__ == "__main__":
    arguments = command.parser("import_model", "Read a model that others trained.")
    arguments.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="what file: sources count from (default: here)"
    )
    sys.exit(command.run(main, arguments))
