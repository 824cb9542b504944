"""What the export tests share."""

from __future__ import annotations

import sys
from pathlib import Path

# `architectures` is a plain module beside the tests; importlib mode adds no directory by itself.
sys.path.insert(0, str(Path(__file__).parent))
