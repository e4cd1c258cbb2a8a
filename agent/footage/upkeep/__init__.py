"""What is done about footage that lies on the disk: how long it is kept, what holds it, and why some is missing."""
