"""Named tensors and notes on the disk, which appear whole or not at all and prove that they are whole.

    KIND-00001234-DIGEST.safetensors  of one process: a file; DIGEST: the first 16 digits of its sha256
    KIND-00001234-DIGEST/             of tensors in pieces: what each process has of them (torch.distributed.checkpoint)
        shard-0000N-….safetensors     and notes.json, with the sha256 of these files; DIGEST: of notes.json

Either is written beside its place, forced to the disk, and renamed; so a kill at any moment leaves the one before.
Nothing is pickled. Any number of processes reads either, in pieces or not.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor

from training import dist
from training.command import sync

NOTES = "notes.json"
_NAME = re.compile(r"([a-z]+)-(\d{8,})-([0-9a-f]{16})(?:\.safetensors)?")


class Damaged(ValueError):
    """What was stored is not what is there."""


def write(directory: Path, kind: str, step: int, tensors: dict[str, Tensor], notes: dict[str, str]) -> Path:
    """Store them; returns where. Of tensors in pieces all processes must do this.

    Raises OSError that says what is left where they cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    in_pieces = any(isinstance(tensor, DTensor) for tensor in tensors.values())
    temporary = directory / (f".tmp-{kind}-{step:08}" if in_pieces else f".tmp-{os.getpid()}")
    with _failures_named(directory, temporary, f"the checkpoint of step {step}"):
        fill = _fill_folder if in_pieces else _fill_file
        final = directory / f"{kind}-{step:08}-{fill(temporary, tensors, notes)}"
        final = final if in_pieces else final.with_name(f"{final.name}.safetensors")
        if dist.leads():
            temporary.rename(final)
            sync(directory)
    return final


def read(path: Path, weight_of: Callable[[str], Tensor | None]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and notes as they were stored. weight_of: the weight whose shape and pieces a tensor of a folder has.
    All processes of a run must do this.

    Raises Damaged.
    """
    expected = digest_of(path)
    if path.is_dir():
        return _read_folder(path, expected, weight_of)
    data = path.read_bytes()
    if not hashlib.sha256(data).hexdigest().startswith(expected):
        raise Damaged("damaged (its sha256 is not the one in its name)")
    try:
        return load(data), notes_of(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Damaged(f"not a checkpoint ({error})") from error


def notes_of(data: bytes) -> dict[str, str]:
    """The notes of a file: a safetensors file is a u64 length, a JSON header of so many bytes, and the tensors."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    notes: dict[str, str] = json.loads(header["__metadata__"]["pocketlm"])
    return notes


def found(directory: Path, kind: str) -> list[tuple[int, Path]]:
    """(step, path) of what a folder holds of a kind, newest step first."""
    matched = [(int(name[2]), path) for path in directory.glob(f"{kind}-*") if (name := _NAME.fullmatch(path.name))]
    return sorted(matched, key=lambda pair: (pair[0], pair[1].stat().st_mtime_ns), reverse=True)


def digest_of(path: Path) -> str:
    """The digest in a name."""
    name = _NAME.fullmatch(path.name)
    assert name, f"{path} was not stored here"
    return name[3]


def delete(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def copy(path: Path, directory: Path) -> None:
    """Copy to another folder what was stored; `read` sees whether all of it came there."""
    directory.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, directory / path.name, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, directory / path.name)


def _fill_file(temporary: Path, tensors: dict[str, Tensor], notes: dict[str, str]) -> str:
    """Write a file; returns its digest."""
    ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}  # share no memory
    data = save(ready, metadata={"pocketlm": json.dumps(notes, sort_keys=True)})  # several are in random order
    _write_bytes(temporary, data)
    return hashlib.sha256(data).hexdigest()[:16]


def _fill_folder(temporary: Path, tensors: dict[str, Tensor], notes: dict[str, str]) -> str:
    """Write this process's part of a folder, and the notes in the one that leads; returns the folder's digest."""
    if dist.leads():
        delete(temporary)
        temporary.mkdir()
    torch.distributed.barrier()
    dcp.save(
        {name: tensor.detach() for name, tensor in tensors.items()},
        storage_writer=dcp.HuggingFaceStorageWriter(str(temporary), save_distributed=True),
    )
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    own = {path.name: _sha256(path) for path in temporary.glob(f"shard-{rank + 1:05}-*")}
    all_of_them: list[dict[str, str]] = [{}] * size
    torch.distributed.all_gather_object(all_of_them, own)
    files = {name: digest for each in all_of_them for name, digest in each.items()}
    data = json.dumps({"files": files, "notes": notes}, sort_keys=True).encode()
    if dist.leads():
        _write_bytes(temporary / NOTES, data)
        sync(temporary)
    return hashlib.sha256(data).hexdigest()[:16]


def _read_folder(
    path: Path, expected: str, weight_of: Callable[[str], Tensor | None]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The processes share the work of checking the files; then each reads what it has a part in."""
    try:
        data = (path / NOTES).read_bytes()
        listed = json.loads(data)
        files, notes = listed["files"], listed["notes"]
        rank, size = dist.place()
        whole = hashlib.sha256(data).hexdigest().startswith(expected) and all(
            _sha256(path / name) == digest for name, digest in sorted(files.items())[rank::size]
        )
    except (OSError, KeyError, TypeError, ValueError):
        whole = False
    if not dist.agreed(whole):
        raise Damaged("damaged (a sha256 of its files is not the one in its notes)")
    reader = dcp.HuggingFaceStorageReader(str(path))
    tensors: dict[str, Tensor] = {}
    for name, form in reader.read_metadata().state_dict_metadata.items():
        assert isinstance(form, TensorStorageMetadata), name
        weight, dtype = weight_of(name), form.properties.dtype
        if isinstance(weight, DTensor) and weight.shape == form.size:
            tensors[name] = torch.empty_like(weight, dtype=dtype)
        else:
            tensors[name] = torch.empty(form.size, dtype=dtype)
    with warnings.catch_warnings(action="ignore"):  # that it asks no other process is as it should be
        dcp.load(tensors, storage_reader=reader, no_dist=True)
    return tensors, notes


@contextmanager
def _failures_named(directory: Path, temporary: Path, what: str) -> Iterator[None]:
    """Raises OSError that says what was not written, and what is left."""
    try:
        yield
    except (OSError, CheckpointException) as error:
        delete(temporary)
        first = error if isinstance(error, OSError) else next(iter(error.failures.values()))[0]
        raise OSError(
            getattr(first, "errno", None),
            f"{getattr(first, 'strerror', None) or first}: {what} was not written; the one before it stays, and the "
            "same command goes on from there",
            str(directory),
        ) from error


def _write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
