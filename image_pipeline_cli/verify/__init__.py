"""`image-pipeline verify`: check that a stack works, with images of its own, and remove them."""
