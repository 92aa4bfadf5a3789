"""A model with a chat template: the bundle's own weights and tokenizer, and a template that the page renders.

Its context is CTX_LEN positions whatever the bundle's, so that a test can outgrow it.

python -m tests.e2e.chat_model BUNDLE/model.bin OUT.BIN
"""

from __future__ import annotations

import sys
from pathlib import Path

from pocketlm_tokenizer import Tokenizer

from training.format.file import Section, read_model, write_model

CTX_LEN = 256
TEMPLATE = (
    "{% for message in messages %}{{ '<|endoftext|>' + message['role'] | upper + ':\\n' + message['content'] + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|endoftext|>PROSPERO:\\n' }}{% endif %}"
)


def main(model_path: Path, out: Path) -> None:
    """Write the model."""
    model = read_model(model_path)
    dtypes = {name: stored.dtype for name, stored in model.stored.items()}
    sections = {"chat_template": Section(TEMPLATE.encode())}
    # Ends a text beside the end of text, but is in none, so that an answer goes on until it is stopped.
    (stop,) = Tokenizer.from_bytes(model.tokenizer_bytes).encode("\0")
    write_model(
        out,
        {**model.config, "ctx_len": CTX_LEN, "stop_token_ids": [stop]},
        model.tokenizer_bytes,
        model.stored,
        model.golden,
        model.provenance,
        dtypes,  # type: ignore[arg-type]
        model.architecture,
        sections,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
