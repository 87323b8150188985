"""Fewer passes than views, on the images of the CLIP and CNN chapters."""
