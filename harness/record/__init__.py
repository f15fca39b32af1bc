"""Records of trials and timings, the host and code that they came from, and the folder that holds them."""
