"""How words of a pack attend: within their conversation, at their positions, as far as the model reaches."""
