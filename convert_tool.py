"""`deepseek-r1 convert` under the name of the published description."""

import sys

from deepseek_r1.cli import main

sys.argv.insert(1, "convert")
main()
