"""Weights that the authors of a system published, turned into ours.

    sources    theirs: names -> arrays, of PyTorch and TensorFlow 1 files
    provide, iodine, silot    which of our weights each of them is
    folders    ours: a folder that `tfdecomp.load` opens

No code of a file is ever run.
"""
