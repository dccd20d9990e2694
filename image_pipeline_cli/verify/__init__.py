"""`image-pipeline verify`: prove a stack with images of its own, and remove them."""
