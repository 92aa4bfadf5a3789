"""page and web: the React page with the engine in it, and the static bundle with a model beside it."""

from __future__ import annotations

from stages import tools
from stages.graph import Output, Stage, files
from stages.settings import Settings

# What installs and the linter leave or read, and what is there for the page's tests alone.
NOT_BUNDLED = (
    "web/node_modules/**",
    "web/dist/**",
    "web/biome.json",
    "web/src/testing/**",
    "**/*.test.ts",
    "**/*.test.tsx",
)


def page_stage() -> Stage:
    """The stage `page`: the bundle without a model; no preset changes it."""
    return Stage(
        name="page",
        doc="Bundle the page and its worker (Vite, React, TypeScript).",
        run=(
            "sh",
            "-c",
            'ln -sfn "{root}/build/tools/node/node_modules" web/node_modules && cd web && '
            'POCKETLM_WASM="{in.wasm}" node_modules/.bin/vite build '
            '--outDir "{out}/page" --emptyOutDir --logLevel warn',
        ),
        outputs=("page/",),
        inputs={"wasm": Output("wasm", "pkg/")},
        sources=(files("web", exclude=NOT_BUNDLED),),
        tools=(tools.NODE,),
        background=True,
        needs=(tools.NODE_PACKAGES,),
        scope="shared",
    )


def stage(settings: Settings) -> Stage:
    """The stage `web` of one preset: a folder that any static host can serve, from any sub-path."""
    return Stage(
        name="web",
        doc="Put page, model.bin and provenance.json together: a static bundle for any host.",
        run=(
            "sh",
            "-c",
            'cp -R "{in.page}" "{out}/web" && chmod -R u+w "{out}/web" && cp "{in.model}" "{out}/web/model.bin" && '
            'cp "{in.provenance}" "{out}/web/provenance.json"',
        ),
        outputs=("web/",),
        inputs={
            "page": Output("page", "page/"),
            "model": Output("export", "model.bin"),
            "provenance": Output("provenance", "provenance.json"),
        },
        scope=settings.preset,
        links={"web": "web"},
    )
