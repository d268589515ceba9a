"""What a run tells of itself: records of steps, work done a second, sessions, trackers."""
