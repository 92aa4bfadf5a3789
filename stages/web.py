"""npm, page and web: the package that others embed, the React page that uses it, and the bundle with a model beside."""

from __future__ import annotations

import shlex

from stages import tools
from stages.graph import Output, Stage, files, python_sources
from stages.settings import Settings

TESTS = ("**/*.test.ts", "**/*.test.tsx")
# What the package is made of. It knows nothing of the page.
PACKAGE = ("web/src/package", "web/src/engine", "web/npm", "web/scripts/package.mjs", "web/scripts/wasm-types.mjs")
PACKAGE_CONFIG = ("web/package.json", "web/package-lock.json", "web/tsconfig.base.json", "web/tsconfig.package.json")
# What installs and the linter leave or read, what is there for the tests alone, and what comes out of the package.
NOT_BUNDLED = (
    "web/node_modules/**",
    "web/dist/**",
    "web/biome.json",
    "web/src/testing/**",
    *(f"{path}/**" for path in PACKAGE[:3]),
    "web/scripts/**",
    "web/examples/**",
    "web/tsconfig.package.json",
    *TESTS,
)
NODE_MODULES = 'ln -sfn "{root}/build/tools/node/node_modules" web/node_modules && cd web && '


def npm_stage() -> Stage:
    """The stage `npm`: build/npm/pocketlm, ES modules with their types, worker and wasm; no preset changes it."""
    return Stage(
        name="npm",
        doc="Make the npm package that pages embed, build/npm/pocketlm (Rolldown, TypeScript).",
        run=("sh", "-c", NODE_MODULES + 'POCKETLM_WASM="{in.wasm}" node scripts/package.mjs "{out}/pocketlm"'),
        outputs=("pocketlm/",),
        inputs={"wasm": Output("wasm", "pkg/")},
        sources=(files(*PACKAGE, *PACKAGE_CONFIG, "LICENSE", exclude=TESTS),),
        tools=(tools.NODE,),
        background=True,
        needs=(tools.NODE_PACKAGES,),
        scope="npm",
        links={"pocketlm": "pocketlm"},
    )


def page_stage() -> Stage:
    """The stage `page`: the bundle without a model; no preset changes it."""
    return Stage(
        name="page",
        doc="Bundle the page and its worker (Vite, React, TypeScript).",
        run=(
            "sh",
            "-c",
            f"{NODE_MODULES}"
            'POCKETLM_NPM="{in.npm}" node_modules/.bin/vite build '
            '--outDir "{out}/page" --emptyOutDir --logLevel warn',
        ),
        outputs=("page/",),
        inputs={"npm": Output("npm", "pocketlm/")},
        sources=(files("web", exclude=NOT_BUNDLED),),
        tools=(tools.NODE,),
        background=True,
        needs=(tools.NODE_PACKAGES,),
        scope="shared",
    )


def stage(settings: Settings) -> Stage:
    """The stage `web` of one preset: a folder that any static host can serve, from any sub-path."""
    # What the page shows of how the model was made. What was trained here has a curve, and texts written on the way.
    told = {"provenance": Output("provenance", "provenance.json"), "timings": Output("provenance", "timings.json")}
    if settings.trains:
        told |= {"training": Output("report", "training.json"), "samples": Output("report", "samples.json")}
    copies = " && ".join(f'cp "{{in.{name}}}" "{{out}}/web/{output.path}"' for name, output in told.items())
    volatile = [f"web/{told[name].path}" for name in ("timings", "samples") if name in told]
    return Stage(
        name="web",
        doc="Put page, model.bin, an index of models and how it was made together: a bundle for any host.",
        run=(
            "sh",
            "-c",
            'cp -R "{in.page}" "{out}/web" && chmod -R u+w "{out}/web" && cp "{in.model}" "{out}/web/model.bin" && '
            f'{copies} && mkdir "{{out}}/web/models" && '
            f'"{{python}}" -m training.model_index --name {shlex.quote(settings.preset)} --path ../model.bin '
            '--model "{in.model}" > "{out}/web/models/index.json"',
        ),
        outputs=("web/", *volatile),
        volatile=volatile,
        inputs={
            "page": Output("page", "page/"),
            "model": Output("export", "model.bin"),
            **told,
        },
        sources=(python_sources("training.model_index"),),
        scope=settings.preset,
        links={"web": "web"},
        pythonpath=("{snapshot}",),
    )
