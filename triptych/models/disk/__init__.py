"""Models on a disk: folders written and opened, brought from a hub, recognised, checked."""
