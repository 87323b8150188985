"""Pretrained CNNs on turned images: frozen features, and what is learned on top."""
