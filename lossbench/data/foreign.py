"""Images of one dataset brought to the form that a network trained on another one takes, and whether they are there."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from lossbench.data import cifar, digits, files, idx
from lossbench.data.dataset import Split

_LOADERS = {
    "mnist": idx.mnist,
    "fashion_mnist": idx.fashion_mnist,
    "cifar10": cifar.cifar10,
    "cifar100": cifar.cifar100,
    "digits": digits.load,
}
_CIFAR = {"cifar10": cifar._CIFAR10, "cifar100": cifar._CIFAR100}


def fitted(images, image_shape):
    """Images in another size and number of channels.

    Gray becomes three equal channels; color becomes its luma (0.299 red, 0.587 green, 0.114 blue). Where the size
    differs, an image is scaled, bilinear, until it covers the new size, and its middle is kept.

    Parameters
    ----------
    images : ndarray of uint8, (N, 1 or 3, H, W)
    image_shape : tuple of int
        (channels, height, width), channels 1 or 3.

    Returns
    -------
    ndarray of uint8, (N, channels, height, width)

    Examples
    --------
    >>> images = np.array([[[[255]], [[0]], [[0]]]], np.uint8)
    >>> fitted(images, (1, 2, 2))[0, 0]
    array([[76, 76],
           [76, 76]], dtype=uint8)
    """
    channels, height, width = image_shape
    if images.shape[1] != channels:
        images = images.repeat(channels, axis=1) if images.shape[1] == 1 else _luma(images)
    if images.shape[2:] == (height, width):
        return images
    from PIL import Image

    scale = max(height / images.shape[2], width / images.shape[3])
    high, wide = (max(n, round(scale * old)) for n, old in zip((height, width), images.shape[2:]))
    top, left = (high - height) // 2, (wide - width) // 2
    out = np.empty((len(images), channels, height, width), np.uint8)
    for image, target in zip(images, out):
        for plane, into in zip(image, target):
            resized = Image.fromarray(plane).resize((wide, high), Image.BILINEAR)
            into[...] = np.asarray(resized)[top : top + height, left : left + width]
    return out


def test_images(source: str, image_shape) -> Split:
    """Test images of a data set that needs no options, in the form of another's.

    Parameters
    ----------
    source : str
        mnist, fashion_mnist, cifar10, cifar100 or digits; downloaded where its files are not on this machine.
    image_shape : tuple of int
        (channels, height, width), channels 1 or 3.

    Raises
    ------
    ValueError
        If its files cannot be had, or are not what they should be.
    """
    found = _LOADERS[source](SimpleNamespace(root=None, test_fraction=0.2), seed=0).test
    return Split(fitted(found.images, image_shape), found.labels)


def is_present(source: str, root=None) -> bool:
    """Whether the files of a standard dataset are on this machine, so that loading it downloads nothing.

    Parameters
    ----------
    source : str
        mnist, fashion_mnist, cifar10, cifar100, or any other name, which needs no download.
    root : path, optional
    """
    if source in ("mnist", "fashion_mnist"):
        name = source.replace("_", "-")
        return any(
            (folder / f"{name}.npz").is_file()
            or all(files.first(folder, idx._names(stem)) for stem in idx._FILES[name])
            for folder in files.folders(name, root)
        )
    if source in _CIFAR:
        form = _CIFAR[source]
        places = [place for folder in files.folders(source, root) for place in (folder, folder / form.inner)]
        places += [folder / form.python for folder in files.folders(source, root)]
        return any(
            (place / form.archive[0]).is_file()
            or all((place / name).is_file() for name in form.files)
            or cifar._has_python(form.files, place)
            for place in places
        )
    return True


def _luma(images):
    """One channel of three, rounded as Pillow does."""
    weights = np.array([19595, 38470, 7471])  # of 2**16
    return ((np.tensordot(images, weights, axes=(1, 0)) + (1 << 15)) >> 16).astype(np.uint8)[:, None]
