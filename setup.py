"""What lossbench needs. MXNet is an extra: ``mxnet`` and ``mxnet-cu112`` fill the same folder, the user picks one."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).resolve().parent
version = re.search(r'__version__ = "(.+)"', (here / "lossbench" / "__init__.py").read_text(encoding="utf-8"))[1]
readme = here / "README.md"

setup(
    name="lossbench",
    version=version,
    description="Classification losses that shape the embedding space, trained and compared in MXNet/Gluon",
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9,<3.13",
    packages=find_packages(include=["lossbench", "lossbench.*"]),
    package_data={"lossbench.report": ["page.css", "page.js"]},
    install_requires=[
        # MXNet 1.9.1 wants NumPy below 1.24; Python 3.12 has no such NumPy, and lossbench supplies what 1.26 lacks.
        "numpy>=1.21,<1.24; python_version < '3.12'",
        "numpy>=1.26,<2; python_version >= '3.12'",
        "setuptools; python_version >= '3.12'",  # for distutils, which MXNet imports
        "pydantic>=2",
        "pyyaml",
        "scikit-learn",
        "matplotlib",
        "pillow",
        "tqdm",
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1"],
        "cu112": [
            "mxnet-cu112==1.9.1",
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
        "onnx": ["onnx>=1.16,<1.19"],
        "tensorboard": ["tensorboardX"],
        "test": [
            "pytest>=8",
            "ruff",
            "onnxruntime",
            "onnx<1.17; python_version < '3.10'",  # what the last onnxruntime for Python 3.9 can read
        ],
        "docs": ["sphinx", "myst-parser"],
    },
    entry_points={"console_scripts": ["lossbench = lossbench.cli:main"]},
)
