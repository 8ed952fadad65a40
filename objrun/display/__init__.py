"""What people see of runs, experiments and workspaces in a notebook."""
