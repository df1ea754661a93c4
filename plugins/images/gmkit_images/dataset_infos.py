"""Data sets of images: what they are, whose they are, where they lie.

Sizes and SHA-256 are those on which many independent records of the published files agree
(TensorFlow Datasets, torchvision's MD5 beside them, and others). The SHA-256 of MNIST's contents
are our own, of a copy that agrees with the published one byte for byte.
"""

from __future__ import annotations

from gmkit.api import DataFile, DatasetInfo

_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_MNIST_LICENCE = "CC BY-SA 3.0 (LeCun, Cortes, Burges)"
_MNIST_CITATION = "LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86 (1998) 2278"
_FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
    "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/"
)
_FASHION_CITATION = "Xiao, Rasul and Vollgraf, arXiv:1708.07747 (2017)"

DATASETS: list[DatasetInfo] = [
    DatasetInfo(
        name="digits",
        summary="1,797 handwritten digits of 8 × 8 pixels, inside scikit-learn",
        domain="images",
        licence="CC BY 4.0 (UCI); distributed with scikit-learn (BSD-3-Clause)",
        loader="gmkit_images.datasets:digits",
        column="image",
        rows=1_797,
        default=True,
        citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (1998)",
    ),
    DatasetInfo(
        name="mnist",
        summary="60,000 handwritten digits of 28 × 28 pixels, the training set",
        domain="images",
        licence=_MNIST_LICENCE,
        url=f"{_MNIST}train-images-idx3-ubyte.gz",
        sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        size=9_912_422,
        content_sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        beside=(
            DataFile(
                url=f"{_MNIST}train-labels-idx1-ubyte.gz",
                sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                size=28_881,
                content_sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
        column="image",
        rows=60_000,
        citation=_MNIST_CITATION,
    ),
    DatasetInfo(
        name="mnist-test",
        summary="10,000 handwritten digits of 28 × 28 pixels, the test set",
        domain="images",
        licence=_MNIST_LICENCE,
        url=f"{_MNIST}t10k-images-idx3-ubyte.gz",
        sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        size=1_648_877,
        content_sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        beside=(
            DataFile(
                url=f"{_MNIST}t10k-labels-idx1-ubyte.gz",
                sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                size=4_542,
                content_sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        column="image",
        rows=10_000,
        citation=_MNIST_CITATION,
    ),
    DatasetInfo(
        name="fashion-mnist",
        summary="60,000 grey pictures of clothes, 28 × 28, the training set",
        domain="images",
        licence="MIT (Zalando SE)",
        url=f"{_FASHION}train-images-idx3-ubyte.gz",
        sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        size=26_421_880,
        beside=(
            DataFile(
                url=f"{_FASHION}train-labels-idx1-ubyte.gz",
                sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                size=29_515,
            ),
        ),
        column="image",
        rows=60_000,
        citation=_FASHION_CITATION,
    ),
    DatasetInfo(
        name="fashion-mnist-test",
        summary="10,000 grey pictures of clothes, 28 × 28, the test set",
        domain="images",
        licence="MIT (Zalando SE)",
        url=f"{_FASHION}t10k-images-idx3-ubyte.gz",
        sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        size=4_422_102,
        beside=(
            DataFile(
                url=f"{_FASHION}t10k-labels-idx1-ubyte.gz",
                sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                size=5_148,
            ),
        ),
        column="image",
        rows=10_000,
        citation=_FASHION_CITATION,
    ),
    DatasetInfo(
        name="cifar-10",
        summary="50,000 small photographs of ten things, 32 × 32 RGB, training set",
        domain="images",
        licence="no licence stated; free for research with citation",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        size=170_052_171,
        column="image",
        rows=50_000,
        citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)",
    ),
]
