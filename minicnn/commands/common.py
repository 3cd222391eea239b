"""What several commands share: data by name or folder, images from files, figures without a screen."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np


def load_data(name: str, size=None, color: bool | None = None):
    """Return (train, test) of a data set by name, or of a folder with one folder a class.

    A folder that has the name of a data set is taken for it unless there are folders in it.
    `size` and `color` say how the images of a folder are read, as in `data.ImageFolder`.
    A folder that holds "train" and "test" is taken as it is split; any other is split 80 : 20 by class.

    >>> [len(part) for part in load_data("mnist-5k")]
    [4000, 1000]
    """
    from minicnn import data

    if name in data.NAMES and not any(Path(name).glob("[!.]*/")):  # mnist/ may stand here with its own files
        return data.load(name)
    if not Path(name).is_dir():
        raise ValueError(
            f"--data: the name must be one of {', '.join(data.NAMES)}, or that of a folder. Got {name!r}. "
            "Pass one of these, or the path of a folder of images."
        )
    if Path(name, "train").is_dir() and Path(name, "test").is_dir():
        train = read_folder(Path(name, "train"), size, color)
        test = read_folder(Path(name, "test"), train.images.shape[1:3], train.images.ndim == 4)
        if train.classes != test.classes:
            raise ValueError(
                f"{name}: train and test must have the same classes. Got {', '.join(train.classes)} and "
                f"{', '.join(test.classes)}. Give both the same folders."
            )
    else:
        train, test = data.split(read_folder(name, size, color), (0.8, 0.2), rng=0)
        if len(test) == 0:
            raise ValueError(
                f"{name}: a fifth of the images must be at least one to test on. Got {len(train)} "
                f"image{'s' * (len(train) != 1)}. Add images, or divide them into the folders train and test."
            )
    transforms = data.transforms
    prepared = transforms.Compose([transforms.ToFloat(), transforms.Normalize.fit(train)])
    train.transform = test.transform = prepared
    return train, test


def read_folder(path, size, color: bool | None):
    """Return the images of a folder with one folder a class.

    >>> read_folder("nowhere", None, None)
    Traceback (most recent call last):
    ValueError: ImageFolder: path must name a folder. Got 'nowhere', which is none. Pass the path of a folder.
    """
    from minicnn import data
    from minicnn.data.folder import MixedSizes

    try:
        return data.ImageFolder(path, size=size, color=color)
    except MixedSizes as error:
        raise ValueError(
            f"{path}: images must be of one size, {error.first} as the first. Got {error.size} in "
            f"{str(error.path)!r}. Resize them, or train with --size, for example --size 32."
        ) from error


def check_can_be_written(option: str, path: str) -> None:
    """Raise ValueError unless a file can be put at `path`; to be asked before the work, not after it.

    >>> check_can_be_written("--out", "nowhere/a.safetensors")
    Traceback (most recent call last):
    ValueError: --out: path must lie in a folder that can be written to. Got 'nowhere/a.safetensors'. Make the \
folder, or pass another path.
    """
    import os

    from minicnn.data.files import check_is_file

    check_is_file(option, path)
    folder = Path(os.path.realpath(path)).parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ValueError(
            f"{option}: path must lie in a folder that can be written to. Got {path!r}. "
            "Make the folder, or pass another path."
        )


def check_can_be_drawn(option: str, path: str) -> None:
    """Raise ValueError unless a picture can be put at `path`, of the kind that its name ends with.

    >>> check_can_be_drawn("--confusion", "a")
    Traceback (most recent call last):
    ValueError: --confusion: path must end as the names of pictures do. Got 'a'. Pass for example 'a.png'.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    check_can_be_written(option, path)
    if Path(path).suffix.lower().removeprefix(".") not in FigureCanvasBase.get_supported_filetypes():
        raise ValueError(
            f"{option}: path must end as the names of pictures do. Got {path!r}. "
            f"Pass for example {str(Path(path).with_suffix('.png'))!r}."
        )


def load_classifier(path: str):
    """Return the classifier in a file, whose parts fit each other.

    >>> load_classifier("nowhere.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.safetensors'
    """
    import errno
    import os

    from minicnn.checkpoint.files import RefusedFile
    from minicnn.classifier import Classifier
    from minicnn.commands import refusals

    if not Path(path).exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    try:
        classifier = Classifier.load(path)
    except RefusedFile as error:
        raise refusals.refused_model(path, error.reason) from error
    if classifier.image_shape is not None:
        colours = (3,) if knows_colours(classifier) else ()
        black = np.zeros((1, *classifier.image_shape[:2], *colours), np.uint8)
        refusals.check_parts_fit(path, classifier, black)
    return classifier


def images_like(classifier, paths: list[str], invert: bool = False) -> np.ndarray:
    """Return the images in files, in the size and the colours that the classifier was trained on.

    Warns where an image had to be resized, or has a bright border where the training images are dark. Where
    the classifier does not say what size and colours it knows, images are taken as they are.

    >>> from minicnn.classifier import Classifier
    >>> images_like(Classifier(None, image_shape=(28, 28)), []).shape
    (0, 28, 28)
    """
    from minicnn.data import read_image

    shape, color, images = classifier.image_shape, knows_colours(classifier), []
    for path in paths:
        image = read_image(path, color=color)
        if shape is not None and image.shape[:2] != tuple(shape[:2]):
            size = "x".join(map(str, shape[:2]))
            found = "x".join(map(str, image.shape[:2]))
            warnings.warn(f"{path}: resized from {found} to {size}, the size the model knows", stacklevel=2)
            image = read_image(path, color=color, size=tuple(shape[:2]))
        if invert:
            image = 255 - image
        elif border_brightness(image) > 127 and knows_dark_borders(classifier):
            warnings.warn(
                f"{path}: bright border, but the model was trained on dark ones; try --invert", stacklevel=2
            )
        images.append(image)
    if shape is None and classifier.transform is not None:  # without one no raw image is taken at all
        check_as_they_are(classifier, paths, images)
    return np.stack(images) if images else np.zeros((0, *(shape or (1, 1))), np.uint8)


def advised_labels(classifier, images: np.ndarray, who: str, advice: str) -> np.ndarray:
    """Return the label of each raw image; a warning about those that mean nothing ends in the `advice`.

    >>> from minicnn import nn
    >>> from minicnn.classifier import Classifier
    >>> advised_labels(Classifier(nn.Flatten(), ["cat", "dog"]), np.array([[1.0, 2.0]]), "m", "Train again.")
    array(['dog'], dtype='<U3')
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        labels = classifier.predict(images)
    for warning in caught:
        said = str(warning.message)
        if said.startswith("Classifier: a label needs finite logits"):
            said = said.removeprefix("Classifier: ").removesuffix("Look at explain(images).")
            warnings.warn(f"{who}: {said}{advice}", stacklevel=2)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return labels


def knows_colours(classifier) -> bool | None:
    """Say whether the classifier was trained on images in colour; None where it does not tell.

    >>> from minicnn.classifier import Classifier
    >>> knows_colours(Classifier(None, image_shape=(32, 32, 3))), knows_colours(Classifier(None))
    (True, None)
    """
    return None if classifier.image_shape is None else len(classifier.image_shape) == 3


def check_as_they_are(classifier, paths: list[str], images: list[np.ndarray]) -> None:
    """Raise ValueError unless the classifier's model takes the images as they are, in one batch.

    >>> from minicnn import nn
    >>> from minicnn.classifier import Classifier
    >>> from minicnn.data.transforms import ToFloat
    >>> clf = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), ["cat", "dog"], ToFloat())
    >>> check_as_they_are(clf, ["a.png"], [np.zeros((2, 2), np.uint8)])
    """
    from minicnn import nn

    advice = "or save the classifier with image_shape=train.images.shape[1:]."
    for position, (path, image) in enumerate(zip(paths, images, strict=True)):
        if position and image.shape == images[0].shape:
            continue
        try:
            with nn.no_grad():
                classifier.model.eval()(classifier.transform(image[np.newaxis]))
        except ValueError as error:
            raise ValueError(
                f"{path}: images must have the size and the colours that the model was made for, which its "
                f"file does not name. Got shape {image.shape}. Bring the image to them, {advice}"
            ) from error
        if position:
            raise ValueError(
                f"{path}: images must be of one shape, {images[0].shape} as the first, where the model's file "
                f"names none. Got shape {image.shape}. Pass the images one by one, {advice}"
            )


def border_brightness(image: np.ndarray) -> float:
    """Return the mean of the outermost pixels, 0 to 255.

    >>> border_brightness(np.array([[10, 10, 10], [10, 200, 10], [10, 10, 10]], np.uint8))
    10.0
    """
    edges = [image[0], image[-1], image[1:-1, 0], image[1:-1, -1]]
    return float(np.concatenate([edge.ravel() for edge in edges]).mean())


def knows_dark_borders(classifier) -> bool:
    """Say whether the training images were dark on the whole, as white digits on black are.

    >>> from minicnn.classifier import Classifier
    >>> from minicnn.data import transforms
    >>> knows_dark_borders(Classifier(None, transform=transforms.Normalize([0.13], [0.3])))
    True
    """
    transform = classifier.transform
    steps = getattr(transform, "transforms", [transform])
    means = [step.mean for step in steps if hasattr(step, "mean")]
    return bool(means) and float(np.mean(means[0])) < 0.25


def save_figure(drawn, path: Path) -> None:
    """Write a figure, or the one that axes belong to, and close it.

    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(Figure().subplots(), Path(folder, "a.png"))
    ...     Path(folder, "a.png").exists()
    True
    """
    import matplotlib.pyplot as plt

    figure = np.ravel(drawn)[0].figure
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
