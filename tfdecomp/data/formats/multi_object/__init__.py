"""The multi-object TFRecords: CLEVR, Multi-dSprites and more."""
