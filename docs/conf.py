"""The site: `make docs` builds it into docs/_build/html. The pages are Markdown that a forge shows as well."""

import re
from pathlib import Path

from docutils import nodes
from docutils.utils import math
from docutils.utils.math import latex2mathml
from sphinx.util import logging

import lossbench

project = "lossbench"
author = copyright = "the lossbench authors"
version = release = lossbench.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = True
# Types in docstrings are words for people ("list of str"), not names to look up.
nitpick_ignore_regex = [("py:(class|exc)", ".*")]
default_role = "literal"

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False  # MXNet's
napoleon_use_rtype = False
html_math_renderer = "mathml"

html_theme = "furo"
html_title = f"lossbench {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

BELOW = {"api": "api/*", "results/README": "*/README"}  # page -> the pages below it


def _inline(self, node):
    self.body.append(_mathml(node))
    raise nodes.SkipNode


def _block(self, node):
    self.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def _mathml(node, **options):
    try:
        return latex2mathml.tex2mathml(node.astext(), **options)
    except math.MathError as error:
        logging.getLogger(__name__).warning(f"formula: {error}", location=node)
        return node.astext()


def _navigation(app, name, source):
    """Make the navigation from the lists of links in index.md; a page that none of them names comes last."""
    if name in BELOW:
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n{BELOW[name]}\n```\n"
    if name != "index":
        return
    heads, *groups = re.split(r"^## (.*)\n", source[0], flags=re.MULTILINE)
    pages = {path.relative_to(app.srcdir).as_posix() for path in Path(app.srcdir).glob("*.md")} - {"index.md"}
    trees = {caption: re.findall(r"\]\(([^)#:]+)\)", text) for caption, text in zip(groups[::2], groups[1::2])}
    trees[groups[-2]] += sorted(pages - {page for named in trees.values() for page in named})
    for caption, named in trees.items():
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n" + "\n".join(named) + "\n```\n"


def setup(app):
    # Formulas as MathML: every browser draws it, without a script and without a network.
    app.connect("source-read", _navigation)
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
