"""Files that ship with the package: the toy world's pretrained ViT and how it was made, and the published numbers."""
