"""`python -m beex_keras.cli` is `beex`."""

from beex_keras.cli.app import main

main()
