"""`python -m tests.examples` writes EXAMPLES.md."""

from tests.examples.page import PAGE, render

PAGE.write_text(render(), encoding="utf-8")
