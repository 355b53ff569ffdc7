"""What was measured as a page, as Markdown and as pictures; `write.report` makes them."""
