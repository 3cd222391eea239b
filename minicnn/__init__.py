"""minicnn: a convolutional network in which every number can be followed by hand.

image -> data.transforms -> DataLoader -> nn layers -> logits -> criterion -> loss
                                            ^                      | backward
                              optim <- parameter.grad <------------+
logits -> softmax -> probabilities -> argmax -> index -> classes -> label
"""

from minicnn import data, functional, nn, optim
from minicnn.kernels.threads import get_num_threads, set_num_threads
from minicnn.nn.grad_mode import no_grad

__version__ = "0.1.0"
__all__ = ["data", "functional", "get_num_threads", "nn", "no_grad", "optim", "set_num_threads"]
