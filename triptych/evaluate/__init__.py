"""Questions, scores with intervals, reports."""
