"""The ResNet, the detector and CLIP that nobody trains for a paper: learned on rendered stills or on Open Images, or
taken over by hash."""
