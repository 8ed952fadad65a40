"""What people log, as the format can hold it, or refused with a reason."""
