"""What is recorded of a run when it starts: facts, environment, source changes."""
