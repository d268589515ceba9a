"""What is done with saved replies, without a model: marked, scored anew, compared, set against each other."""
