"""All worked examples, by chapter."""

from tests.examples import deployment, speech, text, training, vision
from tests.examples.catalogue import Chapter

CHAPTERS = (
    Chapter("Text", text.EXAMPLES),
    Chapter("Images", vision.EXAMPLES),
    Chapter("Speech", speech.EXAMPLES),
    Chapter("Training", training.EXAMPLES),
    Chapter("Smaller, elsewhere, served", deployment.EXAMPLES),
)
