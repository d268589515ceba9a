"""What a reply says: as it was kept, which option it chooses, whether it is right, what a judge makes of it."""
