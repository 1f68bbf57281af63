"""deploy/Dockerfile, as far as it can be read without Docker."""

import json
import re
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "deploy" / "Dockerfile"


def test_the_service_offers_no_page_that_the_image_lacks():
    text = DOCKERFILE.read_text()
    command = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", text, re.M)[1])
    assert command[:2] == ["picanet", "serve"]
    assert ("--nopage" in command) != ("COPY web/" in text)
