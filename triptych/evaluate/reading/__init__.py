"""What a reply says: which option it chooses, what a short answer means, whose key it is marked by."""
