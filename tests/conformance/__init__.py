"""The oracle: one scenario, run on Perdure and on the official server, must give the same transcript."""
