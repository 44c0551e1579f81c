"""What touches the machine itself: the clock, the process."""
