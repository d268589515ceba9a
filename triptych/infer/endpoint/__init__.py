"""A model behind an address: OpenAI's messages, what is in flight, what it may cost, what a response means."""
