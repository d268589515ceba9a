"""Which rows make up which step, at what length and cost; read ahead by other processes. Needs no pixels."""
