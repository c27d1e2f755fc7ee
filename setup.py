"""What lossbench needs. MXNet is an extra: ``mxnet`` and ``mxnet-cu112`` fill the same folder, the user picks one."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).resolve().parent
version = re.search(r'__version__ = "(.+)"', (here / "lossbench" / "__init__.py").read_text(encoding="utf-8"))[1]
readme = here / "README.md"
# The configs lie beside the package in a checkout, and within it where it is installed.
CONFIGS = {
    "lossbench." + ".".join(folder.relative_to(here).parts): str(folder.relative_to(here))
    for folder in [here / "configs", *sorted((here / "configs").glob("*/"))]
    if folder.is_dir()
}

setup(
    name="lossbench",
    version=version,
    description="Classification losses that shape the embedding space, trained and compared in MXNet/Gluon",
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.15",
    packages=[*find_packages(include=["lossbench", "lossbench.*"]), *CONFIGS],
    package_dir=CONFIGS,
    package_data={
        "lossbench": ["py.typed"],
        "lossbench.data": ["digits.npz"],
        "lossbench.report": ["page.css", "page.js"],
        **{name: ["*.yaml"] for name in CONFIGS},
    },
    install_requires=[
        # MXNet 1.9.1 wants NumPy below 1.24, which no Python after 3.11 has; lossbench supplies what later ones lack.
        "numpy>=1.21,<1.24; python_version < '3.12'",
        "numpy>=1.26,<2; python_version == '3.12'",
        "numpy>=2.1,<2.6; python_version >= '3.13'",
        "requests; python_version >= '3.13'",  # MXNet downloads with it, and is installed alone there
        "scipy<2",  # MXNet reads scipy.sparse.csr
        "packaging",
        "pydantic>=2",
        "pyyaml",
        "scikit-learn",
        "matplotlib",
        "pillow",
        "tqdm",
    ],
    extras_require={
        # Its metadata ask for NumPy below 2, which Python 3.13 has no more: there, pip install --no-deps mxnet==1.9.1.
        "cpu": ["mxnet==1.9.1; python_version < '3.13'"],
        "cu112": [
            "mxnet-cu112==1.9.1; python_version < '3.13'",
            "nvidia-cuda-runtime-cu11",
            "nvidia-cuda-nvrtc-cu11",
            "nvidia-nvtx-cu11",
            "nvidia-cublas-cu11",
            "nvidia-cudnn-cu11<9",
            "nvidia-cufft-cu11",
            "nvidia-curand-cu11",
            "nvidia-cusolver-cu11",
            "nvidia-nccl-cu11",
        ],
        "zoo": ["gluoncv"],
        "mpi": ["mpi4py>=4", "mpich"],
        "export": ["onnx>=1.16,<1.19", "onnxruntime"],  # MXNet's exporter reads onnx.mapping, which 1.19 dropped
        "tensorboard": ["tensorboardX"],
        "tune": ["optuna>=4"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis",
            "ruff",
            "mypy",
            "setuptools; python_version >= '3.12'",  # earlier ones bring it to each environment
        ],
        "docs": ["sphinx", "myst-nb", "furo"],
    },
    entry_points={"console_scripts": ["lossbench = lossbench.cli:main"]},
)
