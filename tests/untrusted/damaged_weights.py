"""Files of weights that a stranger made: each changes those of a folder."""

import h5py
import numpy as np


def damage_of_a_weight(change):
    """`change` of the open file and the name of its first matrix."""

    def damage(folder):
        with h5py.File(folder / "weights.weights.h5", "r+") as file:
            names = []
            file.visititems(
                lambda name, item: (
                    names.append(name)
                    if isinstance(item, h5py.Dataset) and item.ndim == 2
                    else None
                )
            )
            change(file, names[0])

    return damage


@damage_of_a_weight
def huge_lazy(file, name):
    del file[name]
    file.create_dataset(name, (2**22, 2**22), "f4", chunks=(1024, 1024))


@damage_of_a_weight
def bomb(file, name):
    del file[name]
    file.create_dataset(
        name, data=np.zeros((2**13, 2**13), "f4"), compression="gzip"
    )


@damage_of_a_weight
def external_link(file, name):
    del file[name]
    file[name] = h5py.ExternalLink("/etc/hostname", "/x")


@damage_of_a_weight
def external_data(file, name):
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, "u1", external=[("/etc/passwd", 0, 4096)])


@damage_of_a_weight
def soft_link(file, name):
    del file[name]
    file[name] = h5py.SoftLink("/")


@damage_of_a_weight
def virtual(file, name):
    shape = file[name].shape
    del file[name]
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", shape)
    file.create_virtual_dataset(name, layout)


@damage_of_a_weight
def not_finite(file, name):
    file[name][0, 0] = np.nan


@damage_of_a_weight
def text(file, name):
    del file[name]
    file[name] = [["a", "b"]]


@damage_of_a_weight
def missing(file, name):
    del file[name]


@damage_of_a_weight
def another_shape(file, name):
    del file[name]
    file[name] = np.zeros((3, 5), "f4")


@damage_of_a_weight
def circle(file, name):
    file["again"] = file["/"]
    del file[name]
