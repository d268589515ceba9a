"""Why a score is what it is: questions asked again with one thing changed, and what that shows."""
