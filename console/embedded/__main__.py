"""`python -m console.embedded`: what `make up` runs."""

import sys

from console.embedded.up import main

sys.exit(main())
