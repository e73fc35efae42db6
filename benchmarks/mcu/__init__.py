"""Instructions, flash and RAM of models on emulated microcontrollers."""
