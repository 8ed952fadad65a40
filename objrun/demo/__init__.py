"""The demo: a sweep over models of handwritten digits, each trained in a process of its own."""
