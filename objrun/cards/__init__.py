"""What notebooks show of runs, lists, experiments and workspaces: HTML of plain values. Pure."""
