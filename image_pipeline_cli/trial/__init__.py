"""`image-pipeline try`: render files on this machine by a recipe file, and compare it with the present recipes."""
